"""What the package's source imports, compared with what a clean environment has. Nothing of it is run."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from launcher.checks.probe import ask
from launcher.checks.source_files import modules_of, parsed_modules
from launcher.console import UserError, nearest
from launcher.packaging.sdist import PACKAGE, error_line

# Distributions whose name gives their import name away only to those who know it.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
CAUGHT = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


@dataclass(frozen=True)
class Import:
    """One module that a file needs: `file` relative to the project, `lazy` if only a call imports it."""

    file: str
    line: int
    module: str
    lazy: bool

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    @property
    def package(self) -> str:
        """The part of the module's name that identifies its distribution."""
        return ".".join(self.module.split(".")[:3]) if self.top == "google" else self.top


class Collector(ast.NodeVisitor):
    """Gathers the absolute imports of a module that are not optional."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.imports: list[Import] = []
        self._functions = 0

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._functions += 1
        self.generic_visit(node)
        self._functions -= 1

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Note `from a import b` as a.b, which may be a module of a namespace package."""
        if node.module and not node.level:
            for alias in node.names:
                name = node.module if alias.name == "*" else f"{node.module}.{alias.name}"
                self._add(node, name)

    def visit_Try(self, node: ast.Try) -> None:
        """Leave out an import whose failure is caught."""
        caught = any(catches_import_error(handler) for handler in node.handlers)
        for child in ast.iter_child_nodes(node):
            if not (caught and child in node.body):
                self.visit(child)

    def visit_If(self, node: ast.If) -> None:
        """Leave out what only a type checker imports."""
        skipped = node.body if is_type_checking(node.test) else []
        for child in ast.iter_child_nodes(node):
            if child not in skipped:
                self.visit(child)

    def _add(self, node: ast.stmt, module: str) -> None:
        self.imports.append(Import(self.file, node.lineno, module, lazy=self._functions > 0))


def catches_import_error(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    return any(isinstance(node, ast.Name) and node.id in CAUGHT for node in ast.walk(handler.type))


def is_type_checking(test: ast.expr) -> bool:
    return getattr(test, "id", getattr(test, "attr", "")) == "TYPE_CHECKING"


def imports_of(project: Path) -> list[Import]:
    """Return what the modules below trainer/ import from elsewhere, without those that cannot be parsed."""
    imports: list[Import] = []
    for name, tree in parsed_modules(project):
        collector = Collector(name)
        collector.visit(tree)
        imports += collector.imports
    return [each for each in imports if each.top != PACKAGE]


def absent_modules(python: Path, modules: Iterable[str]) -> frozenset[str]:
    """Return the modules that an interpreter cannot find; raise `UserError` if it cannot run."""
    absent, output = ask(python, "absent_modules", sorted(set(modules)), "[")
    if absent is None:
        raise UserError(
            f"{python} cannot run ({error_line(output)})",
            "the interpreter of the training environment",
            f"remove the folder {python.parent.parent} and run the command again",
        )
    return frozenset(absent)


def import_findings(
    project: Path, imports: Iterable[Import], absent: frozenset[str], declared: frozenset[str]
) -> list[UserError]:
    """Return one finding for each absent module, at the first place that imports it.

    `declared` holds the distributions that setup.py names, those of extras included.
    """
    findings: dict[str, UserError] = {}
    for each in imports:
        new = each.module in absent and each.package not in findings
        if new and (finding := finding_of(project, each, declared)):
            findings[each.package] = finding
    return list(findings.values())


def finding_of(project: Path, each: Import, declared: frozenset[str]) -> UserError | None:
    where, name = f"{each.file}, line {each.line}", each.top
    for folder in (Path(each.file).parent, Path(PACKAGE)):
        if holds_module(project / folder, name):
            what = f'"import {name}" works only inside the folder {folder.as_posix()}'
            fix = f'write "from {".".join(folder.parts)} import {name}"'
            return UserError(f"{where}: {what}", "an import that names the package", fix)
    if holds_module(project, name):
        what = f"imports {name}, which lies beside trainer/ and does not travel to the cloud"
        fix = f'move {name} below trainer/ and write "from {PACKAGE} import {name}"'
        return UserError(f"{where}: {what}", "modules below trainer/", fix)
    from packaging.utils import canonicalize_name

    distribution = canonicalize_name(DISTRIBUTIONS.get(each.package, each.package))
    fix = f'add "{distribution}" to install_requires'
    if distribution not in declared:
        what = f"imports {each.package}, which a clean environment does not have"
        expected = "every package that the code needs to be declared"
        return UserError(f"{where}: {what}", expected, f"{fix} in setup.py")
    if each.lazy:
        return None
    what = f"imports {name}, which only an extra in setup.py declares, when the module loads"
    fix = f"import it inside the function that needs it, or {fix}"
    return UserError(f"{where}: {what}", "modules that load without the extras", fix)


def holds_module(folder: Path, name: str) -> bool:
    """Return whether `folder` holds a module or a folder of modules of that name."""
    return (folder / f"{name}.py").is_file() or any((folder / name).glob("*.py"))


def own_import_findings(project: Path) -> list[UserError]:
    findings: dict[str, UserError] = {}
    modules = modules_of(project)
    for name, line, module in own_imports(project):
        if not (project / module.replace(".", "/")).is_dir() and module not in modules:
            guess = nearest(module, modules)
            findings[module] = UserError(
                f"{name}, line {line}: imports {module}, which does not exist",
                "a module below trainer/",
                f"write {guess}" if guess else "correct the name",
            )
    return list(findings.values())


def own_imports(project: Path) -> Iterator[tuple[str, int, str]]:
    """Yield file, line and name of each module of the package that another imports from."""
    for name, tree in parsed_modules(project):
        folder = name.split("/")[:-1]
        for node in ast.walk(tree):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            modules = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                start = folder[: len(folder) + 1 - node.level] if node.level else []
                modules = [".".join([*start, *filter(None, [node.module])])]
            for module in modules:
                if module.partition(".")[0] == PACKAGE:
                    yield name, node.lineno, module
