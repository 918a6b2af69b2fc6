"""The package's source, checked against the Python of the job's machines. Nothing of it is run."""

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

from launcher.checks.dependencies import catches_import_error
from launcher.checks.source_files import parsed_modules
from launcher.console import UserError
from launcher.spec.catalog import google_cloud

GENERICS = 12
"""The minor version that brought `def f[T]` and nested quotes in f-strings (PEP 695, PEP 701)."""


def version_findings(project: Path, python: str) -> list[UserError]:
    minor, findings = int(python.partition(".")[2]), []
    expected = f"what Python {python} has, which the job's machines run"
    fix = "write it another way, or choose another image in job.toml [runtime]"
    for name, tree in parsed_modules(project):
        newer = newer_syntax((project / name).read_bytes(), tree, minor)
        if use := newer or other_library(tree, minor):
            line, what = use
            findings.append(UserError(f"{name}, line {line}: {what}", expected, fix))
    return findings


def newer_syntax(content: bytes, tree: ast.Module, minor: int) -> tuple[int, str] | None:
    """Return line and description of syntax that is newer than Python 3.`minor`."""
    what = f"syntax that is newer than Python 3.{minor}"
    try:
        ast.parse(content, feature_version=(3, minor))
    except SyntaxError as error:
        return error.lineno or 1, what
    since = google_cloud()["python_changes"]["syntax"]
    for node in ast.walk(tree):
        generic = minor < GENERICS and getattr(node, "type_params", None)
        if generic or since.get(type(node).__name__, 0) > minor:
            return getattr(node, "lineno", 1), what
    line = nested_quotes(content) if minor < GENERICS <= sys.version_info[1] else 0
    return (line, what) if line else None


def nested_quotes(content: bytes) -> int:
    """Return the first line on which an f-string holds what it could not before Python 3.12, 0 if none does.

    Source: https://peps.python.org/pep-0701/
    """
    around: list[str] = []
    for token in tokenize.tokenize(io.BytesIO(content).readline):
        kind = tokenize.tok_name[token.type]
        quote = token.string[-3:] if token.string[-3:] in ("'''", '"""') else token.string[-1:]
        inside = around and kind in ("STRING", "FSTRING_START", "COMMENT")
        if inside and (kind == "COMMENT" or quote in around or "\\" in token.string):
            return token.start[0]
        if kind == "FSTRING_START":
            around.append(quote)
        elif kind == "FSTRING_END":
            around.pop()
    return 0


def other_library(tree: ast.Module, minor: int) -> tuple[int, str] | None:
    """Return line and description of a use of the standard library that Python 3.`minor` does not have."""
    changes = google_cloud()["python_changes"]
    for line, name in used_names(tree):
        top = name.partition(".")[0]
        since = max(changes["added"].get(top, 0), changes["added"].get(name, 0))
        if since > minor:
            return line, f"{name} is new in Python 3.{since}"
        if changes["removed"].get(top, 99) <= minor:
            return line, f"{top} was removed in Python 3.{changes['removed'][top]}"
    return None


def used_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of what a module imports, and of what it reaches below that, such as dt.UTC.

    What a condition or an except clause chooses is left out.
    """
    chosen = {id(node) for part in choices(tree) for node in ast.walk(part)}
    modules: dict[str, str] = {}
    nodes = [node for node in ast.walk(tree) if id(node) not in chosen]
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                modules[alias.asname or alias.name.partition(".")[0]] = alias.name
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"
    for node in nodes:
        module = modules.get(getattr(getattr(node, "value", None), "id", ""))
        if isinstance(node, ast.Attribute) and module:
            yield node.lineno, f"{module}.{node.attr}"


def choices(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the parts of a module that run only where they can: tries, and what asks for a version or a type."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Try) and any(map(catches_import_error, node.handlers)):
            yield node
        elif isinstance(node, ast.If | ast.IfExp):
            names = {getattr(each, "attr", getattr(each, "id", "")) for each in ast.walk(node.test)}
            if names & {"version_info", "TYPE_CHECKING", "hasattr", "hexversion"}:
                yield node
