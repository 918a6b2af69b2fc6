"""What the package's modules import and use, by dotted name. Nothing of them is run."""

import ast
import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher.checks.problem import Problem, findings_at
from launcher.checks.source_files import parsed_modules
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


def names_of(project: Path) -> list[Name]:
    """Return the names in the modules below trainer/, without those that cannot be parsed."""
    return [name for file, tree in parsed_modules(project) for name in names_in(file, tree)]


@functools.cache
def names_in(file: str, tree: ast.Module) -> list[Name]:
    nodes, names = [*walk(tree)], []
    modules: dict[str, str] = {}
    for node, lazy, optional in nodes:
        for local, module, name in imports_in(node, file):
            modules[local] = module
            names.append(Name(file, getattr(node, "lineno", 1), name, True, lazy, optional))
    for local in rebound(tree):
        modules.pop(local, None)
    for node, lazy, optional in nodes:
        if isinstance(node, ast.Attribute) and (name := qualified(node, modules)):
            names.append(Name(file, node.lineno, name, False, lazy, optional))
    return sorted(names, key=lambda each: each.line)


def name_findings(
    names: Iterable[Name], *rules: Callable[[Name], Problem | None]
) -> list[UserError]:
    """Return each problem that a rule has with a name, at the first place."""
    places: dict[Problem, str] = {}
    for each in names:
        for problem in filter(None, (rule(each) for rule in rules if not each.optional)):
            places.setdefault(problem, f"{each.place}: ")
    return [each for problem in places for each in findings_at(places[problem], [problem])]


def walk(tree: ast.AST) -> Iterator[tuple[ast.AST, bool, bool]]:
    """Yield each node, whether it stands in a function, and whether it is optional."""
    waiting = deque([(tree, False, False)])
    while waiting:
        node, lazy, optional = waiting.popleft()
        optional = optional or is_choice(node)
        yield node, lazy, optional
        lazy = lazy or isinstance(node, FUNCTIONS)
        waiting.extend((child, lazy, optional) for child in ast.iter_child_nodes(node))


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


def package_named(level: int, file: str) -> list[str]:
    """Return the parts of the package that the dots of a relative import name, `BEYOND` for too many dots."""
    folders = file.split("/")[:-1]
    beyond = level > len(folders)
    return [BEYOND] if beyond else folders[: len(folders) + 1 - level] if level else []


@functools.cache
def rebound(tree: ast.Module) -> set[str]:
    """Return the names that a module binds otherwise than by an import or at its top level, in any scope."""
    top, bound = set(map(id, tree.body)), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)) and id(node) not in top:
            bound.add(getattr(node, "name", ""))
    return bound


def prefixes(name: str) -> list[str]:
    """Return a, a.b and a.b.c of a.b.c."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def qualified(node: ast.expr, known: Mapping[str, str]) -> str:
    """Return the full name of a known name, or of what is read below it; "" for any other expression."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        parts.insert(0, node.attr)
        node = node.value
    known_as = known.get(node.id) if isinstance(node, ast.Name) else None
    return ".".join([known_as, *parts]) if known_as else ""
