"""Predictions of an exported model by `trainer.predict`."""

import csv
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from conftest import Row, decimal, made_up_rows
from declared_tables import declare, labels
from declared_tables import prepared as prepared_beside
from trainer import features, predict
from trainer.data import files, raw_rows
from trainer.data.schema import Schema, read_schema
from trainer.data.statistics import Statistics, read_statistics
from trainer.model import Model, export
from trainer.run.errors import UserError
from trainer.serving import SCORES
from trainer.settings import Settings


@pytest.fixture(scope="module")
def exported(
    schema: Schema, statistics: Statistics, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a model that was not trained."""
    model = Model(
        schema, statistics, Settings(hidden_units=(8,), ensemble=1).for_rows(100, schema.task)
    )
    folder = tmp_path_factory.mktemp("model")
    export(model, schema, statistics, folder, is_chief=True)
    return folder


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return what was printed as JSON lines."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_predict_prints_a_line_for_each_row(
    exported: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", str(exported), "--input", str(prepared / files.EXAMPLES)]
    assert predict.main(arguments) == 0
    assert len(lines_of(capsys)) == 10


def test_predict_takes_null_and_absent_columns_as_missing(
    exported: Path, schema: Schema, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = schema.used[0]
    path = tmp_path / "rows.jsonl"
    path.write_text(
        json.dumps({first: None}) + "\n\n" + json.dumps(dict.fromkeys(schema.used)) + "\n",
        encoding="utf-8",
    )
    assert predict.main(["--model", str(exported), "--input", str(path)]) == 0
    absent, null = lines_of(capsys)
    assert absent.keys() == null.keys()
    # Another row of a batch may take another vector instruction, which rounds the last bit otherwise.
    np.testing.assert_allclose(scores([absent], schema), scores([null], schema), 1e-5)


Predict = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def predicted(exported: Path, capsys: pytest.CaptureFixture[str]) -> Predict:
    """Predicts the rows of a file and returns what was printed."""

    def run(path: Path, *more: str) -> list[dict[str, Any]]:
        assert predict.main(["--model", str(exported), "--input", str(path), *more]) == 0
        return lines_of(capsys)

    return run


def as_csv(rows: list[Row], path: Path) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_json(rows: list[Any], path: Path) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_rows, "BATCH_ROWS", 7)


def scores(rows: list[dict[str, Any]], schema: Schema) -> Any:
    """Return the predictions of rows, [rows] or [rows, classes], which are by class on standard output."""
    found = [row[SCORES[schema.task]] for row in rows]
    return np.array([[*each.values()] if isinstance(each, dict) else each for each in found])


@pytest.mark.usefixtures("small_batches")
def test_the_format_of_rows_does_not_matter(
    predicted: Predict, schema: Schema, tmp_path: Path
) -> None:
    rows = [{name: row[name] for name in schema.used} for row in made_up_rows(schema, 60, seed=5)]
    found = predicted(as_csv(rows, tmp_path / "rows.csv"))
    assert len(found) == 60
    array = tmp_path / "rows.json"
    array.write_text(json.dumps({"instances": rows}), encoding="utf-8")
    table = pa.Table.from_pylist(rows)
    pa.parquet.write_table(table, tmp_path / "rows.parquet", row_group_size=11)
    for path in (as_json(rows, tmp_path / "rows.jsonl"), array, tmp_path / "rows.parquet"):
        np.testing.assert_allclose(scores(predicted(path), schema), scores(found, schema), 1e-4)


def test_a_number_has_the_prediction_of_its_text(
    predicted: Predict, schema: Schema, tmp_path: Path
) -> None:
    name = schema.of_kind("numeric")[0]
    numbers = [0.1, 1e-05, 123456.789, -3.0, 1e16]
    texts = [[f"{number:.9f}", f"{number!r}", f"{number:+.12e}"] for number in numbers]
    for text in range(3):
        cells = [{name: decimal(each[text], schema)} for each in texts]
        found = predicted(as_csv(cells, tmp_path / "rows.csv"))
        for number_type in (pa.float64(), pa.float32()):
            column = pa.array(numbers).cast(number_type)
            pa.parquet.write_table(pa.table({name: column}), tmp_path / "rows.parquet")
            own = predicted(tmp_path / "rows.parquet")
            np.testing.assert_allclose(scores(own, schema), scores(found, schema), 1e-4)
        own = predicted(as_json([{name: each} for each in numbers], tmp_path / "rows.jsonl"))
        np.testing.assert_allclose(scores(own, schema), scores(found, schema), 1e-4)


OUTPUT_READERS: dict[str, Callable[[Path], list[dict[str, Any]]]] = {
    "out.jsonl": lambda path: [json.loads(line) for line in path.open(encoding="utf-8")],
    "out.csv": lambda path: [*csv.DictReader(path.open(encoding="utf-8", newline=""))],
    "out.parquet": lambda path: pa.parquet.read_table(path).to_pylist(),
}


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("name", OUTPUT_READERS)
def test_the_output_has_a_row_for_each_with_the_columns_to_keep(
    name: str, predicted: Predict, schema: Schema, tmp_path: Path
) -> None:
    first = schema.used[0]
    rows = [{"key, 1": f'é "{row}"', "n": str(row), first: ""} for row in range(20)]
    path = as_csv(rows, tmp_path / "rows.csv")
    expected = predicted(path, "--keep", '"key, 1",n')
    target = tmp_path / "new folder" / name
    assert predicted(path, "--keep", '"key, 1"', "--keep", "n", "--output", str(target)) == []
    found = OUTPUT_READERS[name](target)
    assert [(row["key, 1"], row["n"]) for row in found] == [
        (row["key, 1"], row["n"]) for row in rows
    ]
    assert [*found[0]] == [*expected[0]]
    as_numbers = [
        json.loads(row[SCORES[schema.task]]) if name == "out.csv" else row[SCORES[schema.task]]
        for row in found
    ]
    np.testing.assert_allclose(np.array(as_numbers), scores(expected, schema), 1e-4)
    assert os.listdir(target.parent) == [name]


@pytest.mark.usefixtures("small_batches")
def test_values_of_json_are_kept_as_they_are(
    predicted: Predict, schema: Schema, tmp_path: Path
) -> None:
    numbers = [{"key": row, schema.used[0]: None} for row in range(20)]
    found = predicted(as_json(numbers, tmp_path / "rows.jsonl"), "--keep", "key")
    assert [row["key"] for row in found] == [*range(20)]
    mixed = [{"key": [*"ab", 5, 1.5, None][row % 5], schema.used[0]: None} for row in range(20)]
    for name in ("out.csv", "out.parquet"):
        target = tmp_path / name
        path = as_json(mixed, tmp_path / "rows.jsonl")
        predicted(path, "--keep", "key", "--output", str(target))
        assert [row["key"] for row in OUTPUT_READERS[name](target)][:5] == [*"ab", "5", "1.5", ""]


def test_types_of_parquet_are_kept(predicted: Predict, schema: Schema, tmp_path: Path) -> None:
    table = pa.table({"key": [3, None], schema.used[0]: [None, None]})
    pa.parquet.write_table(table, tmp_path / "rows.parquet")
    target = tmp_path / "out.parquet"
    predicted(tmp_path / "rows.parquet", "--keep", "key", "--output", str(target))
    assert pa.parquet.read_table(target).column("key").to_pylist() == [3, None]
    kept = [row["key"] for row in predicted(tmp_path / "rows.parquet", "--keep", "key")]
    assert kept == [3, None]


@pytest.mark.usefixtures("small_batches")
def test_a_failed_run_leaves_no_file(
    exported: Path, schema: Schema, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = schema.of_kind("numeric")[0]
    rows = [{name: "1"} for _ in range(40)] + [{name: "old"}, {name: "new"}] * 15
    target = tmp_path / "out" / "rows.csv"
    path = as_csv(rows, tmp_path / "rows.csv")
    with pytest.raises(UserError, match=r"rows.csv, row 42, column .* is 'new'"):
        predict.main(["--model", str(exported), "--input", str(path), "--output", str(target)])
    assert not any(target.parent.iterdir())
    assert capsys.readouterr().err.count("error: rows.csv, row 41, column") == 1


def test_the_first_invalid_cells_are_reported(
    exported: Path, schema: Schema, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = schema.of_kind("numeric")[0]
    for count in (2, 1_000):
        path = as_csv([{name: "1"}, *[{name: "old"}] * count], tmp_path / "rows.csv")
        last = min(count, 20) + 1
        with pytest.raises(UserError, match=rf"rows.csv, row {last}, column .* is 'old'; exp"):
            predict.main(["--model", str(exported), "--input", str(path)])
        lines = capsys.readouterr().err.splitlines()
        assert [line.partition(", column")[0] for line in lines] == [
            f"error: rows.csv, row {row}" for row in range(2, last)
        ]


@pytest.mark.parametrize("cell", ["1e39", "-1e400", "1,23", "1_000", "inf"])
def test_what_is_no_number_is_refused(
    cell: str, exported: Path, schema: Schema, tmp_path: Path
) -> None:
    path = as_csv([{schema.of_kind("numeric")[0]: cell}], tmp_path / "rows.csv")
    with pytest.raises(UserError, match="row 1, column .*; expected a number"):
        predict.main(["--model", str(exported), "--input", str(path)])


@pytest.mark.parametrize(
    ("given", "more", "message"),
    [
        (
            [{"no such column": 1}],
            [],
            r"rows.jsonl, row 1, has columns that do not fit the model .'no such column': unknown",
        ),
        (
            [{}],
            [],
            "row 1, has columns that .*none.*; expected columns of the model, each once: COLUMNS",
        ),
        (
            ["USED", {"zip": 1, "USED": 2}],
            [],
            r"row 2, has columns .*: unknown.; expected .*; correct the names, --keep them",
        ),
        (["USED", {"CASE": 1}], [], r"row 2, has columns .*: did you mean 'USED'.."),
        (["USED"], ["--keep", "id"], "rows.jsonl has no column 'id' to keep; expected one of"),
        (["USED"], ["--keep", "SCORE"], "is a prediction, too"),
        (
            ["USED"],
            ["--output", "out.xlsx"],
            "--output is out.xlsx; expected .jsonl or .csv or .parquet; name another",
        ),
        (
            ["USED"],
            ["--output", "INPUT"],
            "--output is .*rows.jsonl; expected .jsonl or .*; name another",
        ),
        (["USED"], ["--output", "FOLDER"], "folder.csv cannot be written .it is a folder.; expect"),
        ([], [], "rows.jsonl is without rows"),
    ],
)
def test_columns_that_do_not_fit_are_refused(
    given: list[Any], more: list[str], message: str, exported: Path, schema: Schema, tmp_path: Path
) -> None:
    used, score = schema.used[0], SCORES[schema.task]
    text = "".join(json.dumps({row: 1} if row == "USED" else row) + "\n" for row in given)
    text = text.replace("USED", used).replace("CASE", used.swapcase())
    path = tmp_path / "rows.jsonl"
    path.write_text(text, encoding="utf-8")
    (folder := tmp_path / "folder.csv").mkdir()
    names = {"SCORE": score, "INPUT": str(path), "FOLDER": str(folder)}
    options = [names.get(each, each) for each in more]
    columns = re.escape(predict.listed(sorted(schema.used)))
    with pytest.raises(UserError, match=message.replace("USED", used).replace("COLUMNS", columns)):
        predict.main(["--model", str(exported), "--input", str(path), *options])


def test_a_column_that_a_file_has_twice_is_refused(
    exported: Path, schema: Schema, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    name = schema.of_kind("numeric")[0]
    path.write_text(f"{name},{name}\n1,2\n", encoding="utf-8")
    with pytest.raises(UserError, match="row 1, has columns .*'(.*)', '\\1'"):
        predict.main(["--model", str(exported), "--input", str(path)])


@pytest.mark.usefixtures("small_batches")
def test_columns_that_are_not_used_or_lacking_are_named_once(
    predicted: Predict, schema: Schema, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = schema.used[:2]
    rows = [{first: None, schema.label: 1}] * 10 + [{second: None, first: None}] * 20
    target = tmp_path / "out.jsonl"
    path = as_json(rows, tmp_path / "rows.jsonl")
    capsys.readouterr()
    errors = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stderr", errors)
        predicted(path, "--output", str(target))
    lines = errors.getvalue().splitlines()
    assert lines[0] == f"columns  not used by the model: {schema.label!r}"
    lacking = {line.partition(" rows have")[0].removeprefix("warning: ") for line in lines[1:]}
    assert f"warning: 10 of 30 rows have no column {second!r}, which counts as missing" in "".join(
        lines
    )
    assert lacking == {"10 of 30", "30 of 30"}
    assert not any(repr(first) in line.partition(", which")[0] for line in lines)


def test_progress_is_shown(
    predicted: Predict, schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "LINE_EVERY_SECONDS", 0.0)
    errors = io.StringIO()
    monkeypatch.setattr("sys.stderr", errors)
    path = as_json([dict.fromkeys(schema.used)] * 3, tmp_path / "rows.jsonl")
    predicted(path)
    assert errors.getvalue().startswith("predict  3 rows in ")
    predicted(path, "-q")
    assert errors.getvalue().count("\n") == 1


def test_standard_input_is_read(
    predicted: Predict, schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = as_json([dict.fromkeys(schema.used)] * 3, tmp_path / "rows.jsonl")
    with path.open(encoding="utf-8") as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert len(predicted(Path("-"))) == 3


def test_what_training_had_not_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(monkeypatch, {"day": "datetime", "plan": "categorical"})
    lines = [
        f"2024-01-{1 + n % 28:02},{('basic', 'plus')[n % 2]},{label}"
        for n, label in enumerate(labels(90))
    ]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["day,plan,y", *lines, ""]), encoding="utf-8")
    prepared_beside(table)
    schema = read_schema(features)
    statistics = read_statistics(tmp_path / "output", schema)
    model = Model(
        schema, statistics, Settings(hidden_units=(8,), ensemble=1).for_rows(80, schema.task)
    )
    export(model, schema, statistics, tmp_path / "model", is_chief=True)
    rows = tmp_path / "rows.csv"
    arguments = ["--model", str(tmp_path / "model"), "--input", str(rows)]
    capsys.readouterr()
    rows.write_text("day,plan\n2024-01-09,other\n2031-01-09,\n,another\n", encoding="utf-8")
    assert predict.main(arguments) == 0
    assert capsys.readouterr().err.splitlines() == [
        "warning: 1 of 3 rows have a 'day' outside of the dates of training, 2024-01-01 to 2024-01-28",
        "warning: no training row has a value that 'plan' has in these rows, so that all count as unseen",
    ]
    rows.write_text("day,plan\n2024-01-09,other\n2024-01-28,plus\n,\n", encoding="utf-8")
    assert predict.main(arguments) == 0
    assert capsys.readouterr().err == ""
