"""The rows that predict reads: every format, the columns that it names, and the cells that it refuses."""

import csv
import gzip
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from trainer import predict
from trainer.data import cells
from trainer.data.raw_rows import RawRow, read_raw_rows
from trainer.data.schema import Schema
from trainer.run.console import Console
from trainer.run.errors import UserError
from trainer.serving import checked_cell

COLUMNS = {"age": False, "plan": True, "a, b": True}
ROWS = [{"age": "39", "plan": "basic", "a, b": 'x "y"'}, {"age": "", "plan": "é", "a, b": " ?"}]


@pytest.fixture
def table(schema: Schema) -> Schema:
    """The schema of a table with a header line, two features and a column that is ignored."""
    kinds = {"age": "numeric", "plan": "categorical", "a, b": "hashed", "id": "ignore"}
    return replace(
        schema, columns=kinds, label="y", header=(), delimiter=",", comment="", missing=("?", "NA")
    )


def as_csv(delimiter: str = ",", rows: list[dict[str, str]] = ROWS) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return file.getvalue()


AS_JSON = "".join(json.dumps(row) + "\n\n" for row in ROWS).encode()
ACCEPTED = {
    "rows.csv": as_csv(),
    "blank_lines.csv": b"\r\n\n" + as_csv(),
    "semicolons.csv": as_csv(";"),
    "tabs.txt": as_csv("\t"),
    "excel.csv": b"\xef\xbb\xbf" + as_csv(),
    "unicode.txt": as_csv("\t").decode().encode("utf-16"),
    "rows.csv.gz": gzip.compress(as_csv()),
    "rows.jsonl": AS_JSON,
    "powershell.jsonl": AS_JSON.decode().encode("utf-16"),
    "no_ending": b"\xef\xbb\xbf" + AS_JSON,
    "rows.ndjson.gz": gzip.compress(AS_JSON),
    "rows.parquet": as_parquet(ROWS),
    "misnamed.csv": as_parquet(ROWS),
}


def read(folder: Path, name: str, content: bytes, table: Schema) -> list[dict[str, Any]]:
    (folder / name).write_bytes(content)
    return [cells for _, cells in read_raw_rows(folder / name, table, COLUMNS)]


@pytest.mark.parametrize("name", ACCEPTED)
def test_every_format_holds_the_same_rows(name: str, table: Schema, tmp_path: Path) -> None:
    assert read(tmp_path, name, ACCEPTED[name], table) == ROWS


def test_a_table_without_a_header_line_is_read_as_in_training(
    table: Schema, tmp_path: Path
) -> None:
    other = replace(table, header=("id", *COLUMNS), comment="|")
    content = b"|a comment\n1,39,basic,x\n\n2,,plus,y\n"
    assert [row["age"] for row in read(tmp_path, "rows.data", content, other)] == ["39", ""]
    assert read(tmp_path, "blank.data", b"\n" + content, other) == read(
        tmp_path, "rows.data", content, other
    )
    assert read(tmp_path, "with_header.csv", as_csv(), other) == ROWS


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "empty.csv holds no rows"),
        ("header.csv", b"age,plan\n", "holds no rows"),
        ("blank.jsonl", b"\n \n", "holds no rows"),
        ("rows.parquet", as_parquet(ROWS)[:-20], "cannot be read"),
        ("rows.csv.gz", gzip.compress(as_csv())[:-9], "cannot be read"),
        ("latin.csv", "age,plan\n1,é\n".encode("latin-1"), "expected a file in UTF-8"),
        ("long.csv", b"age,plan\n1,x\n1,x,y\n", "row 2, has more or fewer cells than the"),
        ("short.csv", b"age,plan\n1\n", "row 1, has more or fewer cells than the"),
        ("open.csv", b'age,plan\n2,y\n1,"x\n', "row 2, is not CSV .unexpected end of data"),
        ("quotes.csv", b'age,plan\n1,"x" y\n', "row 1, is not CSV"),
        ("header.csv", b'age,"plan" a\n1,2\n', "row 1, is not CSV"),
        ("huge.csv", b"age,plan\n1," + b"x" * 200_000, "row 1, is not CSV .field larger"),
        (".", None, "cannot be read .Is a directory"),
        ("twice.csv", b"age,age\n1,2\n", "the column 'age' more than once"),
        ("rows.jsonl", b'{"age": 1}\n{"age"\n', r"line 2, is not JSON .*; expected a JSON object"),
        ("rows.json", b'[{"age": 1}]', "line 1, is .*; expected a JSON object per line"),
        ("deep.jsonl", b"[" * 100_000, "line 1, is not JSON"),
        ("digits.jsonl", b"1" * 5_000, "line 1, is not JSON"),
        ("no.jsonl", None, "no.jsonl cannot be read .No such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_reported(
    name: str, content: bytes | None, message: str, table: Schema, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_raw_rows(tmp_path / name, table, COLUMNS)


def test_each_column_that_differs_is_named_once(
    table: Schema, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [("x", {"agee": 1, "Plan": "b", "id": 7, "y": 0}), ("x", {"plan": "b", "zip": 3})]
    predict.report_columns(rows, COLUMNS, table, Console())
    assert capsys.readouterr().err.splitlines() == [
        "columns  not used by the model: 'id', 'y'",
        "warning: the model has no column 'agee', so it is not used; is it 'age'?",
        "warning: the model has no column 'Plan', so it is not used; is it 'plan'?",
        "warning: the model has no column 'zip', so it is not used",
        "warning: 2 of 2 rows have no column 'a, b', which counts as missing",
        "warning: 2 of 2 rows have no column 'age', which counts as missing; is it 'agee'?",
        "warning: 1 of 2 rows have no column 'plan', which counts as missing; is it 'Plan'?",
    ]


def test_rows_with_all_columns_report_nothing(
    table: Schema, capsys: pytest.CaptureFixture[str]
) -> None:
    predict.report_columns([("x", dict(row)) for row in ROWS], COLUMNS, table, Console())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("value", [None, "", "  ", "?", " NA", float("nan"), "\u00a0"])
def test_a_missing_number_stays_missing(value: object, table: Schema) -> None:
    assert cells.stripped(checked_cell(value, "age", table)) in table.markers


@pytest.mark.parametrize(
    ("value", "number"),
    [("39", 39), (" 4e1 ", 40), (7, 7), (b"1.5", 1.5), ("1,234", 1234), ("12 %", 0.12)],
)
def test_a_number_may_be_text(value: object, number: float, table: Schema) -> None:
    assert cells.number(checked_cell(value, "age", table)) == number


@pytest.mark.parametrize(
    "value", ["abc", "1,23", "1_000", True, "inf", float("-inf"), 10**400, "1e39", [1], {"a": 1}]
)
def test_a_cell_that_is_no_number_is_refused(value: object, table: Schema) -> None:
    with pytest.raises(ValueError, match="a number"):
        checked_cell(value, "age", table)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (float("nan"), ""), (True, "true"), (12, "12"), (b"x", "x"), ("\ud800a", "?a")],
)
def test_a_value_is_text_as_in_a_table(value: object, text: str, table: Schema) -> None:
    assert checked_cell(value, "plan", table) == text


def test_each_invalid_cell_is_reported_with_its_row(
    table: Schema, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[RawRow] = [
        ("rows.csv, row 1", {"age": "4"}),
        ("rows.csv, row 2", {"age": "old", "plan": ["a"]}),
    ]
    with pytest.raises(UserError) as caught:
        predict.checked_cells(rows, COLUMNS, table)
    lines = [*capsys.readouterr().err.splitlines(), f"error: {caught.value}"]
    assert [line.partition("; ")[0] for line in lines] == [
        "error: rows.csv, row 2, column 'age' is 'old'",
        "error: rows.csv, row 2, column 'plan' is ['a']",
    ]


def test_only_the_first_of_many_invalid_cells_are_reported(
    table: Schema,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows: list[tuple[str, dict[str, Any]]] = [("x", {"age": "old"})] * 1_000
    with pytest.raises(UserError):
        predict.checked_cells(rows, COLUMNS, table)
    assert len(capsys.readouterr().err.splitlines()) < 30
