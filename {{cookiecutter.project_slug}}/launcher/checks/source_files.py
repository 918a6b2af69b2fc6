"""The files of the package: their syntax, and what the source distribution leaves out."""

import ast
import functools
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from launcher.console import UserError
from launcher.packaging.environment import find_program
from launcher.packaging.sdist import PACKAGE, package_files, python_files, syntax_finding
from launcher.subprocesses import clean_variables, run_captured


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


def left_out_findings(project: Path, shipped: frozenset[str]) -> list[UserError]:
    """Return the modules that are not among the `shipped` files; those that lack the same `__init__.py` once."""
    findings: dict[str, UserError] = {}
    expected = "every module below trainer/ to travel to the cloud"
    for name in python_files(project):
        if name not in shipped:
            init = missing_init(project, name)
            fix = "remove what excludes it from setup.py or MANIFEST.in"
            fix = f"create {init}, an empty file" if init else fix
            what = f"{name} is not in the source distribution"
            findings.setdefault(init or name, UserError(what, expected, fix))
    return [*findings.values()]


def missing_init(project: Path, name: str) -> str:
    """Return the topmost `__init__.py` that a module lacks on its way from trainer/, or ""."""
    inits = [folder / "__init__.py" for folder in Path(name).parents][-2::-1]
    return next((path.as_posix() for path in inits if not (project / path).is_file()), "")


def data_findings(project: Path, shipped: frozenset[str]) -> list[UserError]:
    """Return the files that a module names, alone or at the end of a path, and that are not `shipped`."""
    users: dict[str, str] = {}
    for user, tree in parsed_modules(project):
        for text in texts_of(tree):
            users.setdefault(text.rpartition("/")[2], user)
    data = (name for name in package_files(project) if not name.endswith((".py", ".pyc")))
    lacking = ((name, users.get(name.rpartition("/")[2])) for name in data if name not in shipped)
    return [unshipped(name, user) for name, user in lacking if user]


def unshipped(file: str, user: str) -> UserError:
    package_data = {PACKAGE: [file.partition("/")[2]]}
    return UserError(
        f"{file} is named in {user} but is not in the source distribution",
        "every file that the code opens to travel with it",
        f"add package_data={package_data} to setup() in setup.py",
    )
