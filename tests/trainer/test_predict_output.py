"""What predict writes: by class and short to standard output, whole to a file."""

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from declared_tables import declare
from declared_tables import prepared as prepared_beside
from trainer import features, predict
from trainer.data.schema import read_schema
from trainer.data.statistics import read_statistics
from trainer.model import Model, export
from trainer.run.console import Console
from trainer.settings import Settings

CLASSES = ('a "b"', "c", "é")


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Predict two rows by a model of three classes, that was not trained."""
    declare(monkeypatch, {"x": "numeric"}, TASK="multiclass", POSITIVE="")
    with (tmp_path / "table.csv").open("w", encoding="utf-8", newline="") as file:
        rows = [(number, CLASSES[number % 3]) for number in range(90)]
        csv.writer(file).writerows([("x", "y"), *rows])
    prepared_beside(tmp_path / "table.csv")
    schema = read_schema(features)
    statistics = read_statistics(tmp_path / "output", schema)
    settings = Settings(hidden_units=(8,), ensemble=1).for_rows(80, schema.task)
    model = Model(schema, statistics, settings)
    export(model, schema, statistics, tmp_path / "model", is_chief=True)
    (tmp_path / "rows.csv").write_text("x,id\n7,1.23456789\n,2\n", encoding="utf-8")
    rows_csv = str(tmp_path / "rows.csv")
    return ["--model", str(tmp_path / "model"), "--input", rows_csv, "--keep", "id", "-q"]


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_probabilities_are_printed_by_class_and_written_in_the_order_of_the_classes(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert predict.main(arguments) == 0
    text = capsys.readouterr().out
    printed, target = lines(text), tmp_path / "out"
    for ending in (".parquet", ".csv", ".jsonl"):
        assert predict.main([*arguments, "--output", str(target.with_suffix(ending))]) == 0
    own = pa.parquet.read_table(target.with_suffix(".parquet")).column("probabilities").to_pylist()
    exact = np.array(own, np.float32)
    for row, numbers in zip(printed, exact, strict=True):
        assert tuple(row["probabilities"]) == CLASSES
        assert row["label"] == CLASSES[numbers.argmax()]
        assert np.array([*row["probabilities"].values()], np.float32).tolist() == numbers.tolist()
    written = target.with_suffix(".jsonl").read_text(encoding="utf-8")
    with target.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        as_csv = [json.loads(row["probabilities"]) for row in csv.DictReader(file)]
    for found in (as_csv, [row["probabilities"] for row in lines(written)]):
        assert np.array(found, np.float32).tolist() == exact.tolist()
    assert max(len(str(each)) for row in as_csv for each in row) <= len("0.000123456789")


def test_a_terminal_gets_digits_to_read(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    capsys.readouterr()
    assert predict.main(arguments) == 0
    for row in lines(capsys.readouterr().out):
        for number in row["probabilities"].values():
            assert number == float(f"{number:.4g}")
        assert row["id"] in ("1.23456789", "2")


class Printed(predict.Predictor):
    """What predicts the same for any table."""

    workers = 1

    def table(self, batch: Any) -> pa.Table:
        return pa.table({})


@pytest.mark.parametrize(
    ("name", "values", "digits"),
    [
        ("probability", [0.12345678, 1.0, 1.2345678e-9], ["0.1235", "1.0", "1.235e-09"]),
        ("prediction", [208512.34, -0.1234567, None], ["208512", "-0.123457", "null"]),
    ],
)
def test_numbers_are_short_on_a_terminal_alone(
    name: str, values: Sequence[float | None], digits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Printed([], False, Console(True))
    table = pa.table({"id": [0.123456789] * 3, name: pa.array(values, pa.float32())})
    assert model.readable(table) is table
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    text = predict.json_lines(model.readable(table)).decode()
    found = [json.loads(line) for line in text.splitlines()]
    assert [row[name] for row in found] == [json.loads(each) for each in digits]
    assert {row["id"] for row in found} == {0.123456789}


def test_a_column_to_keep_is_no_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    names = ("prediction", "probabilities", "probability")
    table = pa.table({name: ["as it is"] for name in names})
    assert Printed(names, False, Console(True)).readable(table) is table


def test_what_a_file_holds_is_exact_in_float32() -> None:
    exact = np.random.default_rng(3).random((500, 3)).astype(np.float32) ** 9
    found = predict.as_array(exact).to_pylist()
    assert np.array(found, np.float32).tolist() == exact.tolist()
    assert {str(each) for each in np.ravel(found)} == {str(each) for each in exact.ravel()}
