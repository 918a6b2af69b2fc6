"""Drift of rows against the training rows, on cases worked by hand and planted; the counts that preparation keeps for it."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from declared_tables import CUSTOMERS, customers, declare, prepared
from trainer.data.statistics import Statistics, parsed
from trainer.evaluation.drift import distances, drift

ROWS = 3_000


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Statistics:
    folder, columns = tmp_path_factory.mktemp("drift"), customers(ROWS, 1)
    days = np.datetime64("1970-01-01") + columns["day"].astype("timedelta64[D]")
    labels = ["yes" if number % 3 else "no" for number in range(ROWS)]
    table = pyarrow.table({**columns, "day": days.astype(str), "y": labels})
    pyarrow.parquet.write_table(table, folder / "table.parquet")
    with pytest.MonkeyPatch.context() as patch:
        declare(patch, CUSTOMERS)
        return parsed(prepared(folder / "table.parquet"))


def drifted(training: Statistics, columns: dict[str, Any]) -> set[str]:
    return {name for name, each in drift(training, columns.items()).items() if each["drifted"]}


def test_distances_are_those_worked_by_hand() -> None:
    found = distances(np.array([3.0, 1.0]), np.array([1.0, 1.0]))
    of_training = 0.75 * math.log2(0.75 / 0.625) + 0.25 * math.log2(0.25 / 0.375)
    of_rows = 0.5 * math.log2(0.5 / 0.625) + 0.5 * math.log2(0.5 / 0.375)
    assert found["jensen_shannon"] == pytest.approx((of_training + of_rows) / 2)
    assert found["l_infinity"] == 0.25
    apart = distances(np.array([2, 0]), np.array([0, 5]))
    assert apart == {"jensen_shannon": 1.0, "l_infinity": 1.0}
    alike = distances(np.array([2, 4]), np.array([0.1, 0.2]))
    assert [*alike.values()] == pytest.approx([0, 0])
    assert {*distances(np.array([2, 4]), np.zeros(2)).values()} == {None}


def test_preparation_keeps_the_counts_of_the_training_rows(training: Statistics) -> None:
    rows = training.rows["train"]
    assert training.counts.keys() == {"plan", "city", "user"}
    missing, rare, *values = training.counts["plan"]
    assert training.vocabularies["plan"] == ("basic", "plus", "pro")
    assert missing + rare + sum(values) == rows and rare == 0
    assert np.array([missing, *values]) / rows == pytest.approx([0.1, 0.5, 0.3, 0.1], abs=0.03)
    assert training.counts["user"] == (0, rows)
    assert training.numeric["age"].missing / rows == pytest.approx(0.1, abs=0.02)
    for column in training.numeric.values():
        assert sum(column.shares) == pytest.approx(1, abs=1e-4)
        assert len(column.shares) == len(column.boundaries) + 1 and column.shares[0] == 0
    # Zero has a bin of its own.
    assert max(training.numeric["zeros"].shares) == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("rows", [1, 10, 100, 20_000])
@pytest.mark.parametrize("seed", range(2, 7))
def test_rows_like_those_of_training_have_no_drift(
    rows: int, seed: int, training: Statistics
) -> None:
    found = drift(training, customers(rows, seed).items())
    assert found.keys() == {*CUSTOMERS}
    assert not any(each["drifted"] for each in found.values())


@pytest.mark.parametrize("rows", [200, 2_000])
def test_drift_in_two_columns_is_named_and_no_other(rows: int, training: Statistics) -> None:
    columns = customers(rows, 2)
    columns["age"] = columns["age"] + 25
    columns["plan"] = ["pro" if each == "basic" else each for each in columns["plan"]]
    found = drift(training, columns.items())
    assert drifted(training, columns) == {"age", "plan"} == {*[*found][:2]}
    assert found["plan"]["l_infinity"] == pytest.approx(0.5, abs=0.15)
    assert found["age"]["jensen_shannon"] > found["age"]["limit"] > 0.3


def test_drift_of_missing_and_of_unseen_cells_is_named(training: Statistics) -> None:
    columns = customers(1_000, 3)
    columns["day"][:600] = np.nan
    columns["city"] = [
        f"town {each}" if n < 700 else each for n, each in enumerate(columns["city"])
    ]
    columns["user"] = [None if n < 500 else each for n, each in enumerate(columns["user"])]
    found = drift(training, columns.items())
    assert drifted(training, columns) == {"day", "city", "user"}
    assert (found["day"]["missing"], found["day"]["training_missing"]) == (0.6, 0.0)
    assert found["city"]["unseen"] == pytest.approx(0.7) == found["city"]["l_infinity"]
    assert found["user"]["missing"] == 0.5
    assert {found["user"][name] for name in ("unseen", "jensen_shannon", "l_infinity")} == {None}
    beyond = drift(training, [("age", np.full(400, 1e30))])["age"]
    assert beyond["unseen"] == 1.0 and beyond["drifted"]
    nothing = drift(training, [("age", np.full(400, np.nan)), ("plan", [None] * 400)])
    assert all(each["drifted"] and each["l_infinity"] is None for each in nothing.values())


def test_data_that_an_earlier_version_prepared_has_no_distances(training: Statistics) -> None:
    earlier = json.loads(json.dumps(asdict(training)))
    for name in ("counts", "revealing"):
        del earlier[name]
    for column in earlier["numeric"].values():
        del column["shares"]
    found = drift(parsed(earlier), customers(500, 2).items())
    assert found.keys() == {"age", "zeros", "day"}
    assert {each["jensen_shannon"] for each in found.values()} == {None}
    assert found["age"]["training_missing"] == pytest.approx(0.1, abs=0.02)
    assert not any(each["drifted"] for each in found.values())


def test_a_column_without_any_value_is_compared(tmp_path: Path, monkeypatch: Any) -> None:
    declare(monkeypatch, {"x": "numeric", "n": "numeric", "c": "categorical"})
    lines = [f"{n},,,{'yes' if n % 3 else 'no'}" for n in range(200)]
    (tmp_path / "t.csv").write_text("\n".join(["x,n,c,y", *lines, ""]), encoding="utf-8")
    training = parsed(prepared(tmp_path / "t.csv"))
    same: dict[str, Any] = {"x": np.arange(200.0), "n": np.full(200, np.nan), "c": [None] * 200}
    found = drift(training, same.items())
    assert not any(each["drifted"] for each in found.values())
    assert found["c"]["training_missing"] == found["n"]["training_missing"] == 1.0
    other = drift(training, [("n", np.ones(200)), ("c", ["a"] * 200)])
    assert all(each["drifted"] for each in other.values())
