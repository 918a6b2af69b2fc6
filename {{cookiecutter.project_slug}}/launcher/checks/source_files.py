"""The files of the package: their syntax, and what the source distribution leaves out."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

from launcher.console import UserError
from launcher.packaging.sdist import PACKAGE, package_files, python_files, syntax_finding


def modules_of(project: Path) -> dict[str, str]:
    """Return the file of each module below trainer/ by its dotted name."""
    files = python_files(project)
    return {re.sub(r"(/__init__)?\.py$", "", name).replace("/", "."): name for name in files}


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
