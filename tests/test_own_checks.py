"""The own lint, types and tests of baked projects, with the tests of the trainer copied into them.

In a file of their own, so that another process runs them beside test_life.py.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.bakery import COVERED, ROOT
from tests.drill import WHOLE
from tests.sessions import ran, settled

# The defaults pass theirs in a session. Each format and each task is in one of the few that are
# tested here; `nox -s drills` tests all.
FEW = (
    "comma.csv-multiclass",
    "semicolon.csv-binary",
    "tab.tsv.gz-multiclass",
    "table.parquet-regression",
)
OTHERS = tuple(name for name in COVERED if name != "defaults")
TESTED = OTHERS if WHOLE else FEW
# They need TensorFlow and DuckDB, which a project's environment of tests has.
TRAINER_TESTS = Path(__file__).parent / "trainer"
# These do not depend on the answers.
SAME_FOR_ALL = (
    "test_project",
    *("test_calibration", "test_card", "test_class_weights", "test_cluster", "test_comparison"),
    *("test_drift", "test_identity", "test_locks", "test_losses", "test_measures", "test_metrics"),
    *("test_monitor", "test_optimizer", "test_plan", "test_predict_output", "test_provenance"),
    *("test_row_weights", "test_schema", "test_server_load", "test_signature", "test_split_columns", "test_splits"),
    *("test_table_files", "test_tables", "test_task"),
)  # fmt: skip
# Whole runs, which depend on the task alone: once for each task is enough.
OF_A_TASK = (
    *("test_checkpoints", "test_evaluate", "test_evaluate_tables", "test_job_dir", "test_loop"),
    *("test_network", "test_publish", "test_shares", "test_thresholds"),
)
# Replicas of each task are started by `nox -s drills`; here by the project of defaults alone.
OF_DRILLS = () if WHOLE else ("test_distributed",)
# What reads tables: all that is run here of a project whose task another one has; the drills run the others.
OF_A_FORMAT = (
    "test_prepare",
    "test_preprocessing",
    "test_predict",
    "test_serving",
    "test_training",
)
FIRST_OF_TASK = ("comma.csv-multiclass", "table.parquet-regression")


@pytest.mark.minute
def test_the_project_passes_its_own_lint(lived_in: Path) -> None:
    assert "Success: no issues found" in ran(lived_in, "lint")


@pytest.fixture(scope="module")
def tools(lived_in: Path) -> Path:
    """The environments of one project's tests and lint, for the others to use: only their text differs."""
    command = [sys.executable, "-m", "nox", "-f", str(lived_in / "noxfile.py"), "--install-only"]
    subprocess.run([*command, "-s", "tests", "lint"], capture_output=True, check=True)
    return lived_in / ".nox"


def with_trainer_tests(project: Path, target: Path) -> Path:
    """Copy a project without its environments and runs, and the tests of the trainer into its tests/."""
    shutil.copytree(project, target, ignore=shutil.ignore_patterns(".nox", "runs"))
    for path in TRAINER_TESTS.glob("*.py"):
        assert not (target / "tests" / path.name).exists(), f"two files are called {path.name}"
        shutil.copy(path, target / "tests")
    return target


@pytest.mark.minute
def test_the_project_passes_its_own_tests(lived_in: Path, tools: Path, tmp_path: Path) -> None:
    tested = settled(with_trainer_tests(lived_in, tmp_path / "tested"), lived_in)
    assert " passed" in ran(tested, "tests")
    assert not complaint(tested, [[str(tools / "lint" / "bin" / "mypy")]])


@pytest.mark.full
def test_the_step_of_the_benchmarks_runs_on_the_trainer_of_now(
    lived_in: Path, tools: Path, tmp_path: Path
) -> None:
    rows, columns = 300, 2
    np.savez(
        tmp_path / "arrays.npz",
        numbers=np.ones((rows, columns), np.float32),
        codes=np.ones((rows, columns), np.int32),
        labels=np.arange(rows, dtype=np.int32) % 2,
        counts=np.full(columns, 3, np.int32),
    )
    program = ROOT / "benchmarks" / "ours" / "step.py"
    done = subprocess.run(
        [str(tools / "tests/bin/python"), str(program), "--arrays", str(tmp_path / "arrays.npz")],
        env={**os.environ, "PYTHONPATH": str(lived_in)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows_per_second"] > 0


@pytest.mark.full
def test_eight_replicas_read_a_table_beyond_the_memory_of_one(
    lived_in: Path, tools: Path, tmp_path: Path
) -> None:
    tested = with_trainer_tests(lived_in, tmp_path / "tested")
    command = [str(tools / "tests" / "bin" / "python"), "-m", "pytest", "-q", "-k", "beyond_the"]
    variables = {**os.environ, "REPLICAS": "8"}
    done = subprocess.run(
        [*command, "tests/test_distributed.py"],
        cwd=tested,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout[-4000:]


@pytest.fixture(scope="module")
def own_checks(
    baked: dict[str, Path], tools: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, "Future[str]"]]:
    """The failures of each covered project's types and tests, two projects at a time."""
    copies = tmp_path_factory.mktemp("own")
    projects = {
        name: with_trainer_tests(baked[name], copies / name) if name in TESTED else baked[name]
        for name in OTHERS
    }
    with ThreadPoolExecutor(2) as pool:
        yield {
            name: pool.submit(complaint, project, commands_of(name, tools))
            for name, project in projects.items()
        }
        pool.shutdown(cancel_futures=True)


def commands_of(name: str, tools: Path) -> list[list[str]]:
    """Return the commands of a project's types and tests, without tests that other projects have run."""
    commands = [[str(tools / "lint" / "bin" / "mypy")]]
    python = [str(tools / "tests" / "bin" / "python"), "-m", "pytest", "-q", "-x"]
    if WHOLE or name in FIRST_OF_TASK:
        modules = (*SAME_FOR_ALL, *OF_DRILLS, *(() if name in FIRST_OF_TASK else OF_A_TASK))
        commands.append([*python, *(f"--ignore=tests/{module}.py" for module in modules)])
    elif name in TESTED:
        commands.append([*python, *(f"tests/{module}.py" for module in OF_A_FORMAT)])
    return commands


def complaint(project: Path, commands: Sequence[Sequence[str]]) -> str:
    """Return the output of the first command that fails, "" if all pass."""
    for command in commands:
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        if done.returncode:
            return (done.stdout + done.stderr)[-4000:]
    return ""


@pytest.mark.full
@pytest.mark.parametrize("name", OTHERS)
def test_every_covered_project_passes_its_own_types_and_tests(
    name: str, own_checks: dict[str, "Future[str]"]
) -> None:
    assert not own_checks[name].result()
