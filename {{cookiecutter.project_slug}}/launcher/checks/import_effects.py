"""What the package does when it is imported: first by its source, then, in a clean environment, by its deeds."""

import ast
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from launcher.checks.dependencies import is_type_checking
from launcher.console import UserError, nearest
from launcher.packaging.environment import Environment
from launcher.packaging.sdist import PACKAGE, python_files
from launcher.subprocesses import clean_variables, run_captured

NOTE = "imported.json"
ACTS = {
    *("fit", "evaluate", "predict", "train", "train_on_batch", "compile_and_fit", "run", "main"),
    *("open", "urlopen", "urlretrieve", "check_output", "check_call", "system"),
    *("read_csv", "read_parquet", "read_table", "read_json", "read_excel", "read_text"),
    *(
        "read_bytes",
        "loadtxt",
        "genfromtxt",
        "load_data",
        "load_dataset",
        "read_file",
        "list_files",
    ),
    *("TextLineDataset", "TFRecordDataset", "CsvDataset", "FixedLengthRecordDataset", "GFile"),
    *("image_dataset_from_directory", "text_dataset_from_directory", "FileWriter"),
    *("make_csv_dataset", "write_text", "write_bytes", "mkdir", "makedirs", "save", "export"),
}
"""What trains, reads or writes, whatever it is called on."""
SETTINGS = ("set", "enable", "disable", "register", "filter", "simplefilter", "basicConfig", "add_")
"""How the names of functions begin that only set something."""
OWN_FILES = {"__file__", "__path__", "resources", "files", "get_data"}
"""What names a file of the package itself, which travels with it."""


def import_time_findings(project: Path) -> list[UserError]:
    """Return one finding for each module whose source does more than define when it is imported."""
    findings = []
    for name in python_files(project):
        try:
            tree = ast.parse((project / name).read_bytes())
        except (SyntaxError, ValueError):
            continue
        statement = next((each for each in statements(tree.body) if acts(each)), None)
        if statement:
            findings.append(import_time_finding(name, statement.lineno, "code runs"))
    return findings


def import_time_finding(name: str, line: int, what: str) -> UserError:
    """Return the finding for a module that does something when it is imported."""
    return UserError(
        f"{name}, line {line}: {what} when the module is imported",
        "definitions only, because every replica, test and tool imports the module",
        'move it into a function that is called below if __name__ == "__main__":',
    )


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that an import runs, those inside classes, branches and loops too."""
    for node in body:
        if isinstance(node, ast.If) and (is_main_guard(node.test) or is_type_checking(node.test)):
            yield from statements(node.orelse)
            continue
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for part in ("body", "orelse", "finalbody", "handlers", "cases"):
                inner = getattr(node, part, [])
                yield from statements(inner if isinstance(inner, list) else [])


def is_main_guard(test: ast.expr) -> bool:
    """Tell whether a condition compares `__name__`."""
    return any(getattr(node, "id", "") == "__name__" for node in ast.walk(test))


def acts(node: ast.stmt) -> bool:
    """Tell whether a statement, without the statements in it, trains, reads, writes or calls for effect."""
    nodes = list(run_parts(node))
    if any(getattr(each, "id", getattr(each, "attr", "")) in OWN_FILES for each in nodes):
        return False
    if any(isinstance(each, ast.Call) and called(each) in ACTS for each in nodes):
        return True
    call = node.value if isinstance(node, ast.Expr) else None
    by_name = isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    return by_name and not called(call).startswith(SETTINGS)  # type: ignore[arg-type]


def run_parts(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a statement that run with it: no inner statement, no body of a function."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(
            child, ast.expr | ast.arguments | ast.keyword | ast.withitem | ast.comprehension
        ) and not (isinstance(child, ast.Lambda)):
            yield from run_parts(child)


def own_import_findings(project: Path) -> list[UserError]:
    """Return one finding for each import of a module of the package that does not exist, in functions too."""
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


def called(call: ast.Call) -> str:
    """Return the last part of the name that is called."""
    return str(getattr(call.func, "attr", getattr(call.func, "id", "")))


def imported_findings(environment: Environment, project: Path, content: str) -> list[UserError]:
    """Import every module in the environment, once for each `content`; return what was done beyond that."""
    note = environment.folder / NOTE
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    if known.get("content") != content:
        found = import_all(environment.python, project)
        known = {"content": content, "found": found}
        note.write_text(json.dumps(known), encoding="utf-8")
    return [imported_finding(name, line, what) for name, line, what in known["found"]]


def imported_finding(name: str, line: int, what: str) -> UserError:
    """Return the finding for what an import did."""
    if not what.startswith("fails"):
        return import_time_finding(name, line, what)
    return UserError(
        f"{name}, line {line}: {what}, when it is imported in the training environment",
        "modules that can be imported there",
        "correct that line, or add what it needs to install_requires in setup.py",
    )


def import_all(python: Path, project: Path) -> list[tuple[str, int, str]]:
    """Return file, line and deed of each module that acts, or fails, when it is imported."""
    names = [name.removesuffix(".py").replace("/", ".") for name in python_files(project)]
    modules = [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]
    probe = Path(__file__).parent / "probes" / "import_effects.py"
    variables = clean_variables(TF_CPP_MIN_LOG_LEVEL="3")
    command = [str(python), "-I", str(probe)]
    with tempfile.TemporaryDirectory() as folder:
        _, output = run_captured(command, Path(folder), variables, given=json.dumps(modules))
    lines = [line for line in output.splitlines() if line.startswith("[")]
    if not lines:
        return [("trainer/__init__.py", 1, "the interpreter ends")]
    return [(name, line, what) for name, line, what in json.loads(lines[-1])]
