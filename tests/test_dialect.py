"""The preparation's SQL is BigQuery's: each statement gives the same rows in ZetaSQL, Google's own engine, as in DuckDB."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bakery import ROOT, bake
from tests.drill import WHOLE

# One author's build for WebAssembly, 28 MB; docs/decisions.md says more.
ZETASQL = "zetasql==0.1.5"
ROWS = "60"  # of each table: with copies, about 400 in all, of which a third has a hostile cell
FEWEST_STATEMENTS = 200
CELLS, ROUNDS = ("20000", 5) if WHOLE else ("2000", 1)

SLIPS = (
    ("cell_sql.py", "_|0[xX]", "0[xX]"),  # 1_000
    ("cell_sql.py", "_|0[xX]", "_"),  # 0x46
    ("cell_sql.py", "{text} < '-' OR ", ""),  # +-1
    ("sql.py", '"CAST(weight AS STRING)"', '"weight"'),
)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter with a project, DuckDB and ZetaSQL."""
    folder = tmp_path_factory.mktemp("dialect")
    project, python = bake(folder, {}), str(folder / "venv" / "bin" / "python")
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "-q", "--python", sys.executable, folder / "venv"], check=True)
    install = [*uv, "pip", "install", "-q", "--python", python]
    subprocess.run([*install, f"{project}[prepare]"], check=True)
    done = subprocess.run([*install, ZETASQL], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{ZETASQL} cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
    return python


def ran(python: str, module: str, *arguments: str) -> Any:
    """Return what a module of tests/dialect prints."""
    command = [python, "-m", f"tests.dialect.{module}", *arguments]
    variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.minute
def test_every_statement_gives_the_same_rows(python: str) -> None:
    found = ran(python, "statements", ROWS)
    assert found["different"] == []
    assert found["statements"] >= FEWEST_STATEMENTS


@pytest.mark.full
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_random_cells_are_read_alike(python: str, seed: int) -> None:
    assert ran(python, "fuzz", CELLS, str(seed))["different"] == []


@pytest.mark.full
@pytest.mark.parametrize(("name", "text", "other"), SLIPS if WHOLE else SLIPS[:1])
def test_a_statement_that_the_engines_read_differently_is_found(
    python: str, name: str, text: str, other: str
) -> None:
    [path] = Path(python).parents[1].glob(f"lib/*/site-packages/trainer/preprocessing/{name}")
    kept = path.read_text(encoding="utf-8")
    assert kept.count(text) == 1
    path.write_text(kept.replace(text, other), encoding="utf-8")
    try:
        assert ran(python, "statements", ROWS, "weights, groups, unique rows")["different"]
    finally:
        path.write_text(kept, encoding="utf-8")
