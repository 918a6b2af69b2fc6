"""The files of the package: their syntax, and what the source distribution leaves out."""

import ast
import fnmatch
import functools
import json
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

from launcher.console import UserError, shown
from launcher.packaging.environment import find_program
from launcher.packaging.sdist import PACKAGE, package_files, python_files, syntax_finding
from launcher.subprocesses import clean_variables, run_captured

FILE_NAME = re.compile(r"[\w .*-]*\.\w+|[\w-]+")


def modules_of(project: Path) -> dict[str, str]:
    """Return the file of each module below trainer/ by its dotted name."""
    return {module_name(file): file for file in python_files(project)}


def module_name(file: str) -> str:
    return re.sub(r"(/__init__)?\.py$", "", file).replace("/", ".")


def parsed_modules(project: Path) -> Iterator[tuple[str, ast.Module]]:
    """Yield file and tree of each module below trainer/; one that cannot be parsed has a finding of its own."""
    for name in python_files(project):
        if tree := parsed((project / name).read_bytes()):
            yield name, tree


@functools.cache
def parsed(content: bytes) -> ast.Module | None:
    try:
        return ast.parse(content)
    except (SyntaxError, ValueError):
        return None


def ruff_messages(project: Path, rule: str, minor: int) -> list[tuple[str, int, str]]:
    """Return file, line and message of what a rule of ruff finds in the modules, as code of Python 3.`minor`."""
    files = [name for name, _ in parsed_modules(project)]
    options = ("--isolated", "--no-cache", "--quiet", "--output-format", "json", "--select", rule)
    command = [find_program("ruff"), "check", *options, "--target-version", f"py3{minor}", *files]
    _, output = run_captured(command, project, clean_variables())
    return [
        (
            Path(each["filename"]).relative_to(project.resolve()).as_posix(),
            each["location"]["row"],
            each["message"],
        )
        for each in json.loads(output or "[]")
        if each["code"] == rule or rule == "E9"
    ]


def undefined_findings(project: Path) -> list[UserError]:
    messages = ruff_messages(project, "F821", sys.version_info[1])
    first = {(file, message): line for file, line, message in reversed(messages)}
    return [
        UserError(
            f"{file}, line {line}: {message}", "a defined name", "correct the name, or import it"
        )
        for (file, message), line in first.items()
    ]


def texts_of(tree: ast.Module) -> set[str]:
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, str)}


def syntax_findings(project: Path) -> list[UserError]:
    findings = (syntax_finding(project / name, name) for name in python_files(project))
    return [finding for finding in findings if finding]


def twin_findings(project: Path) -> list[UserError]:
    """Return the modules that have a folder of the same name beside them, which Python imports instead."""
    files = python_files(project)
    twins = [(name, f"{name.removesuffix('.py')}/__init__.py") for name in files]
    return [
        UserError(f"{name} is never imported, because {init} exists", "one of them", "rename one")
        for name, init in twins
        if init in files
    ]


def left_out_findings(project: Path, shipped: frozenset[str]) -> list[UserError]:
    """Return the modules that are not among the `shipped` files; those of a folder, or that lack the same `__init__.py`, once."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name in python_files(project):
        if name not in shipped:
            init = missing_init(project, name)
            groups.setdefault((init, "" if init else name.rpartition("/")[0]), []).append(name)
    return [left_out(names, init) for (init, _), names in groups.items()]


def left_out(names: Sequence[str], init: str) -> UserError:
    more = f" (and {len(names) - 1} more)" if names[1:] else ""
    fix = 'write packages=find_packages(include=["trainer", "trainer.*"]) in setup.py'
    fix = f"{fix}, and remove what excludes it from MANIFEST.in"
    return UserError(
        f"{names[0]}{more} is not in the source distribution",
        "every module below trainer/ to travel to the cloud",
        f"create {init}, an empty file" if init else fix,
    )


def missing_init(project: Path, name: str) -> str:
    """Return the topmost `__init__.py` that a module lacks on its way from trainer/, or ""."""
    inits = [folder / "__init__.py" for folder in Path(name).parents][-2::-1]
    return next((path.as_posix() for path in inits if not (project / path).is_file()), "")


def data_findings(project: Path, shipped: frozenset[str]) -> list[UserError]:
    """Return the data files that a module names otherwise than they are named, or that are not `shipped`."""
    findings: dict[tuple[str, bool], UserError] = {}
    data = [name for name in package_files(project) if not name.endswith((".py", ".pyc"))]
    for (user, text, last), file in product(named_files(project), data):
        name, pattern = Path(file).name, "*" in last
        if not fnmatch.fnmatchcase(name.casefold(), last.casefold()):
            continue
        if not pattern and (last != name or "\\" in text):
            findings.setdefault((file, True), misnamed(file, user, text))
        elif file not in shipped:
            findings.setdefault((file, False), unshipped(file, user))
    return list(findings.values())


def named_files(project: Path) -> list[tuple[str, str, str]]:
    """Return module, text and last part of each text in the code that may be a file's path or pattern."""
    texts = ((user, text) for user, tree in parsed_modules(project) for text in texts_of(tree))
    split = ((user, text, re.split(r"[/\\]", text)[-1]) for user, text in texts)
    return [each for each in split if FILE_NAME.fullmatch(each[2])]


def misnamed(file: str, user: str, text: str) -> UserError:
    return UserError(
        f"{user} names {shown(text)}, which only Windows or macOS take for {file}",
        "the file's name, letter by letter, and / between folders",
        f"write {shown(file.partition('/')[2])}, or rename the file",
    )


def unshipped(file: str, user: str) -> UserError:
    package_data = {PACKAGE: [file.partition("/")[2]]}
    return UserError(
        f"{file} is named in {user} but is not in the source distribution",
        "every file that the code opens to travel with it",
        f"add package_data={package_data} to setup() in setup.py",
    )
