"""What a module imports and uses, by dotted name. Nothing of it is run."""

import ast
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from launcher.checks.problem import Problem
from launcher.console import UserError

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
CAUGHT = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
CHOOSING = {"TYPE_CHECKING", "version_info", "hexversion", "hasattr", "find_spec", "platform"}
BEYOND = "<beyond>"
"""What a relative import with too many dots starts from."""


@dataclass(frozen=True)
class Name:
    """What a file imports, a.b for `from a import b`, or reaches below an import, such as datetime.UTC.

    It is `lazy` if only a call reaches it, `optional` if its absence is caught or a condition asks for a version or a
    type first.
    """

    file: str
    line: int
    name: str
    imported: bool
    lazy: bool
    optional: bool

    @property
    def place(self) -> str:
        return f"{self.file}, line {self.line}"

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]


def name_findings(
    names: Iterable[Name], problem_of: Callable[[Name], Problem | None]
) -> list[UserError]:
    """Return each problem that names have, at the first place."""
    findings: dict[Problem, UserError] = {}
    for each in names:
        if not each.optional and (problem := problem_of(each)):
            what, expected, remedy = problem
            findings.setdefault(problem, UserError(f"{each.place}: {what}", expected, remedy))
    return [*findings.values()]


def listed_findings(names: Iterable[Name], problems: Mapping[str, Problem]) -> list[UserError]:
    """Return the problems of names, and those of what they lie below: of a, a.b and a.b.c for a.b.c."""

    def listed(each: Name) -> Problem | None:
        prefixes = accumulate(each.name.split("."), "{}.{}".format)
        return next((problems[name] for name in prefixes if name in problems), None)

    return name_findings(names, listed)


def names_in(file: str, tree: ast.Module) -> list[Name]:
    known, names = meanings(file, tree), []
    for node, lazy, optional in walk(tree):
        for _, _, name in imports_in(node, file):
            names.append(Name(file, getattr(node, "lineno", 1), name, True, lazy, optional))
        if isinstance(node, ast.Attribute) and (name := qualified(node, known)):
            names.append(Name(file, node.lineno, name, False, lazy, optional))
    return sorted(names, key=lambda each: each.line)


@functools.cache
def walk(tree: ast.Module) -> Sequence[tuple[ast.AST, bool, bool]]:
    """Return each node, whether it stands in a function, and whether it is optional: once, because each check asks for them."""
    found: list[tuple[ast.AST, bool, bool]] = [(tree, False, False)]
    for node, lazy, optional in found:
        inner = lazy or isinstance(node, FUNCTIONS)
        for child in ast.iter_child_nodes(node):
            found.append((child, inner, optional or is_choice(child)))
    return found


def is_choice(node: ast.AST) -> bool:
    """Return whether a statement runs only what it can."""
    if isinstance(node, ast.Try):
        return any(each.type is None or words(each.type) & CAUGHT for each in node.handlers)
    asked = words(node.test) if isinstance(node, ast.If | ast.IfExp) else set()
    return bool(asked & CHOOSING) or {"os", "name"} <= asked


def words(tree: ast.AST) -> set[str]:
    return {getattr(node, "attr", getattr(node, "id", "")) for node in ast.walk(tree)}


def imports_in(node: ast.AST, file: str) -> Iterator[tuple[str, str, str]]:
    """Yield the local name of each import of a statement, what that stands for, and the name that is imported."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            local = alias.asname or alias.name.partition(".")[0]
            yield local, alias.name if alias.asname else local, alias.name
    elif isinstance(node, ast.ImportFrom):
        module = ".".join([*package_named(node.level, file), *filter(None, [node.module])])
        for alias in node.names:
            name = module if alias.name == "*" else f"{module}.{alias.name}"
            yield alias.asname or alias.name, name, name


def module_name(file: str) -> str:
    return re.sub(r"(/__init__)?\.py$", "", file).replace("/", ".")


def package_named(level: int, file: str) -> list[str]:
    """Return the parts of the package that the dots of a relative import name, `BEYOND` for too many dots."""
    folders = file.split("/")[:-1]
    beyond = level > len(folders)
    return [BEYOND] if beyond else folders[: len(folders) + 1 - level] if level else []


@functools.cache
def meanings(file: str, tree: ast.Module) -> dict[str, str]:
    """Return the full name of what each import, function and class of a module binds, if nothing rebinds it."""
    own = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    known = {name: f"{module_name(file)}.{name}" for name in own}
    known |= {local: name for node, *_ in walk(tree) for local, name, _ in imports_in(node, file)}
    for name in rebound(tree):
        known.pop(name, None)
    return known


@functools.cache
def rebound(tree: ast.Module) -> set[str]:
    """Return the names that a module binds otherwise than by an import or at its top level, in any scope."""
    top, bound = set(map(id, tree.body)), set[str]()
    for node, *_ in walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)) and id(node) not in top:
            bound.add(getattr(node, "name", ""))
    return bound


def qualified(node: ast.expr, known: Mapping[str, str]) -> str:
    """Return the full name of a known name, or of what is read below it; "" for any other expression."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        parts.insert(0, node.attr)
        node = node.value
    known_as = known.get(node.id) if isinstance(node, ast.Name) else None
    return ".".join([known_as, *parts]) if known_as else ""
