"""The modules below trainer/ as source: their syntax, the paths that they name, and what ruff finds in them."""

import ast
import contextlib
import functools
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from launcher.checks.names import Name, module_name, names_in, walk
from launcher.console import UserError, shown
from launcher.files import read_json
from launcher.packaging.environment import find_program
from launcher.packaging.sdist import UNPARSED, python_files, syntax_finding
from launcher.subprocesses import clean_variables, run_captured

PATHS = read_json(Path(__file__).with_name("paths.json"))
"""The patterns of texts that are paths, here or elsewhere."""
RUFF = read_json(Path(__file__).with_name("ruff.json"))
"""The rules that ruff checks, and what it reports of them."""


@dataclass(frozen=True)
class Source:
    """The modules of a project's package, each read once."""

    project: Path

    @functools.cached_property
    def trees(self) -> dict[str, ast.Module]:
        """The tree of each file; one that cannot be parsed is left out, and has a finding of its own."""
        trees = {}
        for file in python_files(self.project):
            with contextlib.suppress(*UNPARSED):
                trees[file] = ast.parse((self.project / file).read_bytes())
        return trees

    @functools.cached_property
    def modules(self) -> dict[str, str]:
        """The file of each module by its dotted name."""
        return {module_name(file): file for file in python_files(self.project)}

    @functools.cached_property
    def names(self) -> list[Name]:
        """What the modules import and use."""
        return [name for file, tree in self.trees.items() for name in names_in(file, tree)]

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield the file and the value of each text in the code."""
        for file, tree in self.trees.items():
            constants = {each.value for each, *_ in walk(tree) if isinstance(each, ast.Constant)}
            yield from ((file, each) for each in constants if isinstance(each, str))


def syntax_findings(project: Path) -> list[UserError]:
    findings = (syntax_finding(project / name, name) for name in python_files(project))
    return [finding for finding in findings if finding]


def home_findings(source: Source) -> list[UserError]:
    """Return a finding for each file that names a path on this machine."""
    findings: dict[str, UserError] = {}
    for file, text in sorted(source.texts()):
        if re.fullmatch(PATHS["constant"], text):
            what = f"{file} names {shown(text)}, a path on this machine"
            expected = "a flag of the module, whose value a cloud job can read"
            fix = "add a flag, and give it a gs:// address in job.toml [arguments]"
            findings.setdefault(file, UserError(what, expected, fix))
    return [*findings.values()]


def ruff_findings(source: Source, python: str) -> list[UserError]:
    """Return what would fail where it runs and, once for each file, syntax that the job's Python does not have.

    `python` is its version, such as 3.10, or "" for that of this process.
    """
    minor = python.partition(".")[2] or str(sys.version_info[1])
    command = [find_program("ruff"), "check", "--isolated", "--no-cache", "--quiet"]
    command += ["--output-format", "json", "--select", RUFF["rules"]]
    command += ["--target-version", f"py3{minor}", *source.trees]
    _, output = run_captured(command, source.project, clean_variables())
    findings: dict[tuple[str, str], UserError] = {}
    for each in json.loads(output or "[]"):
        if each["message"].startswith("Import for"):  # of a debugger, which does nothing by itself
            continue
        file = Path(each["filename"]).relative_to(source.project.resolve()).as_posix()
        what = f"{file}, line {each['location']['row']}: {each['message']}"
        kind = "syntax" if each["code"] == "invalid-syntax" else each["message"]
        corrections = RUFF["corrections"]
        expected, fix = corrections.get(each["code"], corrections["other"])
        expected = expected.format(minor=minor)
        findings.setdefault((file, kind), UserError(what, expected, fix))
    return [*findings.values()]
