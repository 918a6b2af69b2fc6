"""The walls of a project: which package may import which, and what starting a command may not import."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.bakery import SOURCES

# What each package, or module beside the packages, may import: of its own side | of other distributions.
ALLOWED = {
    "trainer.run": " | filelock",
    "trainer.data": "run | numpy pyarrow",
    "trainer.preprocessing": "run data | duckdb numpy pyarrow sqlglot",
    "trainer.features": "",
    "trainer.settings": "run features",
    "trainer.arguments": "data settings features",
    "trainer.training": "run data settings | keras numpy tensorboard tensorflow",
    "trainer.serving": "run data | numpy tensorflow",
    "trainer.model": "run data settings training serving | keras numpy tensorflow",
    "trainer.publish": "run data serving | numpy tensorflow",
    "trainer.evaluation": "run data settings preprocessing serving publish predict | matplotlib numpy pyarrow sklearn",
    "trainer.evaluate": "run data preprocessing serving publish predict prepare evaluation features | numpy pyarrow",
    "trainer.smoke": "run data settings training serving model publish | numpy tensorflow",
    "trainer.task": "run data settings arguments training model publish smoke features",
    "trainer.prepare": "run data preprocessing features",
    "trainer.endpoint": "run",
    "trainer.predict": "run data serving training features endpoint | numpy pyarrow tensorflow",
    "trainer.batch": "run data predict features | pyarrow",
    "trainer.monitor": "run data arguments preprocessing serving training publish predict evaluate evaluation features | numpy tensorflow",
    "trainer.server": "run data serving training features | numpy prometheus_client tensorflow uvicorn",
    "trainer.serve": "run server training | google uvicorn",
    "launcher.console": " | rich",
    "launcher.files": "console | filelock",
    "launcher.subprocesses": "console",
    "launcher.spec": "console | tomli",
    "launcher.packaging": "console files subprocesses | packaging",
    "launcher.project": "console files subprocesses spec packaging",
    "launcher.runs": "console files subprocesses spec packaging project",
    "launcher.results": "console files spec runs",
    "launcher.executors.local": "console files subprocesses spec packaging project",
    "launcher.executors.vertex": "console files subprocesses spec packaging project | google google_crc32c requests",
    "launcher.tuning": "console files subprocesses spec packaging executors.local | matplotlib optuna",
    "launcher.checks": "console files subprocesses spec packaging project executors.vertex | detect_secrets packaging",
    "launcher.checks.probes": "",
    "launcher.commands": "console files subprocesses spec packaging project runs results executors.local executors.vertex tuning checks | google requests",
    "launcher.__main__": "console subprocesses project commands",
}  # fmt: skip
# The only ones that parse a command line.
PARSERS = {
    *("trainer.arguments", "trainer.prepare", "trainer.predict", "trainer.evaluate"),
    *("trainer.serve", "trainer.batch", "trainer.monitor", "trainer.plan"),
    *("launcher.__main__", "launcher.commands", "launcher.executors.local.__main__"),
    "launcher.checks.probes",
}
IMPURE = {"argparse", "os", "random", "shutil", "socket", "subprocess", "tempfile", "time"}

MODULES = {
    ".".join(path.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__"): path
    for side in ("trainer", "launcher")
    for path in sorted((SOURCES / side).rglob("*.py"))
}


def package_of(module: str) -> str:
    """Return the package that holds a module; a module beside the packages stands for itself."""
    while module not in ALLOWED and "." in module:
        module = module.rpartition(".")[0]
    return module


def imports_of(module: str) -> set[str]:
    """Return the modules that a module imports, those inside its functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{module}: a relative import"
            names = {f"{node.module}.{name.name}" for name in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return found


IMPORTS = {module: imports_of(module) for module in MODULES}


def own(module: str) -> set[str]:
    """Return the imports of a module that are modules of the trainer or the launcher."""
    return IMPORTS[module] & set(MODULES)


def test_every_package_is_in_the_table() -> None:
    packages = {package_of(module) for module in MODULES}
    # A package that holds only others: trainer, launcher, launcher.executors.
    assert {package for package in packages if package not in ALLOWED} == {"trainer", "launcher"}
    assert set(ALLOWED) <= packages


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_what_it_may(package: str) -> None:
    side = package.partition(".")[0]
    names, _, others = ALLOWED[package].partition("|")
    allowed = {package, side, *(f"{side}.{name}" for name in names.split()), *others.split()}
    for module in (each for each in MODULES if package_of(each) == package):
        inside = own(module)
        outside = {name.partition(".")[0] for name in IMPORTS[module] - inside}
        found = {package_of(name) for name in inside} | (outside - sys.stdlib_module_names)
        assert found <= allowed, f"{module} imports {found - allowed}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    imports = {module: own(module) - {module} for module in MODULES}
    # Raises CycleError, which names the modules, if there is no such order.
    order = [*TopologicalSorter(imports).static_order()]
    assert sorted(order) == sorted(MODULES)


def test_only_commands_parse_a_command_line() -> None:
    found = {module for module in MODULES if "argparse" in IMPORTS[module]}
    assert {module for module in found if not {module, package_of(module)} & PARSERS} == set()


def test_the_spec_is_pure() -> None:
    for module in MODULES:
        if package_of(module) == "launcher.spec":
            assert not IMPORTS[module] & IMPURE, module


HELP = """
import runpy, sys
module, before = sys.argv.pop(1), set(sys.modules)
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code
slow = {"tensorflow", "keras", "numpy", "pyarrow", "duckdb", "sqlglot", "google", "optuna"}
print(sorted(name for name in set(sys.modules) - before if name.partition(".")[0] in slow))
"""


@pytest.mark.parametrize(
    "command",
    [("trainer.task",), ("launcher",)]
    + [("launcher", name) for name in ("local_train", "check", "submit", "tune", "tiers")],
    ids=" ".join,
)
def test_help_imports_nothing_that_takes_long(
    command: tuple[str, ...], baked: dict[str, Path]
) -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-c", HELP, *command, "--help"],
        cwd=baked["defaults"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert ("--hidden-units" in done.stdout) == (command[-1] not in ("launcher", "tiers"))
    assert "usage: " in done.stdout and done.stdout.splitlines()[-1] == "[]"


RUN_IMPORTS = """
import sys, time
started = time.process_time()
for module in sys.argv[1:]:
    __import__(module)
print(time.process_time() - started)
"""


def test_trainer_run_is_imported_quickly(
    baked: dict[str, Path],
) -> None:
    modules = [module for module in MODULES if package_of(module) == "trainer.run"]
    # It takes 0.04 s, of the processor, as others use this machine too; the first process compiles.
    seconds = [
        float(
            subprocess.run(
                [sys.executable, "-c", RUN_IMPORTS, *modules],
                cwd=baked["defaults"],
                capture_output=True,
                check=True,
            ).stdout
        )
        for _ in range(4)
    ]
    assert min(seconds) < 0.15, seconds
