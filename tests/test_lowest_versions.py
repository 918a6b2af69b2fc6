"""Preparation with the lowest versions that setup.py allows: the same split as with the newest ones."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bakery import bake

ROW_KEYS = Path(__file__).parent / "trainer" / "row_keys.py"
# The census sample; `nox -s demo` prepares it with the newest versions.
ROWS = {"train": 29_332, "eval": 3_229, "test": 16_281}


@pytest.fixture(scope="module")
def lowest(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A project, and a Python with the lowest versions of what its setup.py requires for preparing."""
    folder = tmp_path_factory.mktemp("lowest")
    project, python = bake(folder, {}), str(folder / "venv" / "bin" / "python")
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "-q", "--python", sys.executable, folder / "venv"], check=True)
    # No compiler is needed: where a version has no wheel for this Python, a later one is taken.
    wheels = [f"--only-binary={name}" for name in ("duckdb", "numpy", "pyarrow", "grpcio")]
    install = [*uv, "pip", "install", "-q", "--python", python, "--resolution", "lowest-direct"]
    subprocess.run([*install, *wheels, f"{project}[prepare]"], check=True)
    return project, python


@pytest.mark.minute
def test_rows_have_the_same_keys(lowest: tuple[Path, str]) -> None:
    project, python = lowest
    printed = subprocess.run(
        [python, str(ROW_KEYS)], cwd=project, capture_output=True, text=True, check=True
    ).stdout
    found = json.loads(printed)
    assert found["keys"] == found["expected"]


@pytest.mark.minute
def test_the_census_sample_is_split_alike(lowest: tuple[Path, str]) -> None:
    project, python = lowest
    tables = ["--train", "data/adult.data.gz", "--test", "data/adult.test.gz"]
    command = [python, "-m", "trainer.prepare", *tables, "--output", "data/prepared", "-q"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    statistics = json.loads((project / "data/prepared/statistics.json").read_text(encoding="utf-8"))
    assert statistics["rows"] == ROWS
