"""What the package's source imports, compared with what a clean environment has. Nothing of it is run."""

import ast
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.console import UserError, nearest
from launcher.packaging.sdist import PACKAGE, error_line, normalised, python_files
from launcher.subprocesses import clean_variables, run_captured

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
        """The first part of the module's name."""
        return self.module.partition(".")[0]

    @property
    def package(self) -> str:
        """The part of the module's name that tells distributions apart."""
        return ".".join(self.module.split(".")[:3]) if self.top == "google" else self.top


class Collector(ast.NodeVisitor):
    """Gathers the absolute imports of a module that are not optional."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Import] = []
        self._functions = 0

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Take what is imported inside as lazy."""
        self._functions += 1
        self.generic_visit(node)
        self._functions -= 1

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Import(self, node: ast.Import) -> None:
        """Note `import a.b`."""
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
        self.found.append(Import(self.file, node.lineno, module, lazy=self._functions > 0))


def catches_import_error(handler: ast.ExceptHandler) -> bool:
    """Return whether an `except` clause catches a failed import."""
    if handler.type is None:
        return True
    return any(isinstance(node, ast.Name) and node.id in CAUGHT for node in ast.walk(handler.type))


def is_type_checking(test: ast.expr) -> bool:
    """Return whether a condition is `TYPE_CHECKING` or `typing.TYPE_CHECKING`."""
    return getattr(test, "id", getattr(test, "attr", "")) == "TYPE_CHECKING"


def imports_of(project: Path) -> list[Import]:
    """Return what the modules below trainer/ import, without those that cannot be parsed."""
    found: list[Import] = []
    for name in python_files(project):
        try:
            tree = ast.parse((project / name).read_bytes())
        except (SyntaxError, ValueError):
            continue
        collector = Collector(name)
        collector.visit(tree)
        found += collector.found
    return [each for each in found if each.top != PACKAGE]


def absent_modules(python: Path, modules: Iterable[str], elsewhere: Path) -> frozenset[str]:
    """Return the modules that the interpreter `python`, started in the folder `elsewhere`, cannot find."""
    probe = Path(__file__).parent / "probes" / "absent_modules.py"
    command = [str(python), "-I", str(probe)]
    request = json.dumps(sorted(set(modules)))
    code, output = run_captured(command, elsewhere, clean_variables(), given=request)
    if code:
        raise UserError(
            f"{python} cannot run ({error_line(output)})",
            "the interpreter of the training environment",
            "remove the folder .nox/runtime and run the command again",
        )
    return frozenset(json.loads(output.splitlines()[-1]))


def import_findings(
    project: Path, found: Sequence[Import], absent: frozenset[str], declared: frozenset[str]
) -> list[UserError]:
    """Return one finding for each absent module, at the first place that imports it.

    `declared` holds the distributions that setup.py names, those of extras included.
    """
    findings: dict[str, UserError] = {}
    for each in found:
        if each.module in absent and each.package not in findings:
            finding = finding_of(project, each, declared)
            if finding:
                findings[each.package] = finding
    return list(findings.values())


def finding_of(project: Path, each: Import, declared: frozenset[str]) -> UserError | None:
    where = f"{each.file}, line {each.line}"
    for folder in (Path(each.file).parent, Path(PACKAGE)):
        if holds_module(project / folder, each.top):
            return inside_only(where, each, folder)
    if holds_module(project, each.top):
        return outside_package(where, each)
    distribution = distribution_of(each)
    if distribution not in declared:
        return undeclared(where, each, distribution)
    return None if each.lazy else extra_only(where, each, distribution)


def holds_module(folder: Path, name: str) -> bool:
    """Return whether `folder` holds a module or a folder of modules of that name."""
    return (folder / f"{name}.py").is_file() or any((folder / name).glob("*.py"))


def distribution_of(each: Import) -> str:
    """Return the name under which a module is most likely installed."""
    return normalised(DISTRIBUTIONS.get(each.package, each.package))


def inside_only(where: str, each: Import, folder: Path) -> UserError:
    return UserError(
        f'{where}: "import {each.top}" works only inside the folder {folder.as_posix()}',
        "an import that names the package",
        f'write "from {".".join(folder.parts)} import {each.top}"',
    )


def outside_package(where: str, each: Import) -> UserError:
    return UserError(
        f"{where}: imports {each.top}, which lies beside trainer/ and does not travel to the cloud",
        "modules below trainer/",
        f'move {each.top} below trainer/ and write "from {PACKAGE} import {each.top}"',
    )


def undeclared(where: str, each: Import, distribution: str) -> UserError:
    return UserError(
        f"{where}: imports {each.package}, which a clean environment does not have",
        "every package that the code needs to be declared",
        f'add "{distribution}" to install_requires in setup.py',
    )


def extra_only(where: str, each: Import, distribution: str) -> UserError:
    return UserError(
        f"{where}: imports {each.top}, which only an extra in setup.py declares, when the module loads",
        "modules that load without the extras",
        f'import it inside the function that needs it, or add "{distribution}" to install_requires',
    )


def own_import_findings(project: Path) -> list[UserError]:
    findings: dict[str, UserError] = {}
    modules = [name.removesuffix(".py").replace("/", ".") for name in python_files(project)]
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
    for name in python_files(project):
        try:
            tree = ast.parse((project / name).read_bytes())
        except (SyntaxError, ValueError):
            continue
        folder = name.split("/")[:-1]
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                start = folder[: len(folder) + 1 - node.level] if node.level else []
                module = ".".join([*start, *([node.module] if node.module else [])])
                found = [module]
            else:
                found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for module in found:
                if module.partition(".")[0] == PACKAGE:
                    yield name, node.lineno, module  # type: ignore[attr-defined]
