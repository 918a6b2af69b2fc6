"""The rows that predict reads: every format, the columns that it names, and nested cells that it refuses."""

import bz2
import csv
import gzip
import io
import json
import os
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from trainer.data import raw_rows
from trainer.data.raw_rows import BATCH_ROWS, Batch, Reading
from trainer.data.schema import Schema
from trainer.run.errors import UserError

COLUMNS = ("age", "plan", "a, b")
ROWS = [{"age": "39", "plan": "basic", "a, b": 'x "y"'}, {"age": "", "plan": "é", "a, b": "z?"}]
PLAIN = [{"age": "39", "plan": "basic", "a, b": "x"}, {"age": "", "plan": "é", "a, b": "z?"}]


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
    file = io.BytesIO()
    pa.parquet.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def as_zip(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("rows.csv", content)
    return file.getvalue()


AS_JSON = "".join(json.dumps(row) + "\n\n" for row in ROWS).encode()
ACCEPTED = {
    "rows.csv": as_csv(),
    "blank_lines.csv": b"\r\n\n" + as_csv(),
    "semicolons.csv": as_csv(";"),
    "separator.csv": b"sep=|\r\n" + as_csv("|"),
    "tabs.txt": as_csv("\t"),
    "excel.csv": b"\xef\xbb\xbf" + as_csv(),
    "unicode.txt": as_csv("\t").decode().encode("utf-16"),
    "rows.csv.gz": gzip.compress(as_csv()),
    "rows.csv.bz2": bz2.compress(as_csv()),
    "rows.zip": as_zip(as_csv()),
    "rows.jsonl": AS_JSON,
    "powershell.jsonl": AS_JSON.decode().encode("utf-16"),
    "no_ending": b"\xef\xbb\xbf" + AS_JSON,
    "rows.ndjson.gz": gzip.compress(AS_JSON),
    "array.json": json.dumps(ROWS).encode(),
    "array_without_ending": b"\n " + json.dumps(ROWS, indent=1).encode(),
    "array.json.gz": gzip.compress(json.dumps(ROWS).encode("utf-16")),
    "request.json": json.dumps({"instances": ROWS, "parameters": {}}).encode(),
    "rows.parquet": as_parquet(ROWS),
    "misnamed.csv": as_parquet(ROWS),
}


def batches(path: Path, table: Schema, keep: tuple[str, ...] = ()) -> list[Batch]:
    return list(Reading(table, COLUMNS, keep).batches(path))


def rows_of(batch: Batch) -> list[dict[str, str]]:
    """Return the text of each row in the columns of the model."""
    columns = {name: batch.texts(name) for name in COLUMNS}
    return [
        {name: texts[rows[row]] for name, (rows, texts) in columns.items()}
        for row in range(len(batch.names))
    ]


def read(folder: Path, name: str, content: bytes, table: Schema) -> list[dict[str, str]]:
    (folder / name).write_bytes(content)
    return [row for batch in batches(folder / name, table) for row in rows_of(batch)]


@pytest.mark.parametrize("name", ACCEPTED)
def test_every_format_holds_the_same_rows(name: str, table: Schema, tmp_path: Path) -> None:
    assert read(tmp_path, name, ACCEPTED[name], table) == ROWS


@pytest.mark.parametrize("letters", [2, 7, 30])
def test_an_array_is_read_in_blocks(
    letters: int, table: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_rows, "BLOCK_LETTERS", letters * 10)
    monkeypatch.setattr(raw_rows, "BATCH_ROWS", letters)
    for text in (
        json.dumps(ROWS * 4),
        json.dumps({"instances": ROWS * 4, "parameters": {"a": []}}),
    ):
        assert read(tmp_path, "rows.json", text.encode(), table) == ROWS * 4


def test_lines_without_quotes_are_the_same_rows(table: Schema, tmp_path: Path) -> None:
    assert read(tmp_path, "rows.csv", as_csv(";", PLAIN), table) == PLAIN
    # A separator of several bytes, blank lines, and a last line without an end.
    assert read(tmp_path, "rows.csv", b"sep=\xc2\xa7\n" + as_csv("§", PLAIN), table) == PLAIN
    blank = as_csv(";", PLAIN).replace(b"\n", b"\n\r\n").rstrip()
    assert read(tmp_path, "rows.csv", blank, table) == PLAIN


def test_a_folder_is_one_table(table: Schema, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(as_csv(rows=ROWS[:1]))
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(as_csv(rows=ROWS[1:])))
    assert [row for batch in batches(tmp_path, table) for row in rows_of(batch)] == ROWS
    assert [(batch.source, batch.first) for batch in batches(tmp_path, table)] == [
        ("a.csv", 1),
        ("b.csv.gz", 1),
    ]


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.parquet"])
def test_names_of_folders_are_columns(name: str, table: Schema, tmp_path: Path) -> None:
    bare = [{"age": "39"}, {"age": ""}]
    lines = "".join(json.dumps(row) + "\n" for row in bare).encode()
    contents = {
        "rows.csv": as_csv(rows=bare),
        "rows.jsonl": lines,
        "rows.parquet": as_parquet(bare),
    }
    folder = tmp_path / "x=1" / "plan=caf%C3%A9" / "a, b=__HIVE_DEFAULT_PARTITION__"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(contents[name])
    [batch] = batches(tmp_path, table)
    assert rows_of(batch) == [{**row, "plan": "café", "a, b": ""} for row in bare]
    assert batch.names == [("age", "plan", "a, b")] * 2


def test_a_pipe_is_read_once(table: Schema, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = os.open(pipe, os.O_RDWR)  # so that no side waits for the other
    os.write(writing, as_csv())
    reading = iter(Reading(table, COLUMNS, ()).batches(pipe))
    threading.Timer(0.5, os.close, [writing]).start()
    assert rows_of(next(reading)) == ROWS


def test_an_encoding_is_that_of_the_table(table: Schema, tmp_path: Path) -> None:
    latin = replace(table, encoding="latin-1")
    assert read(tmp_path, "rows.csv", as_csv().decode().encode("latin-1"), latin) == ROWS


def test_a_table_without_a_header_line_is_read_as_in_training(
    table: Schema, tmp_path: Path
) -> None:
    other = replace(table, header=("id", *COLUMNS, "y"), comment="|")
    content = b"|a comment\n1,39,basic,x,0\n\n2,,plus,y,1\n"
    assert [row["age"] for row in read(tmp_path, "rows.data", content, other)] == ["39", ""]
    without_label = b"1,39,basic,x\n2,,plus,y\n"
    assert [row["age"] for row in read(tmp_path, "rows.data", without_label, other)] == ["39", ""]
    assert read(tmp_path, "blank.data", b"\n" + content, other) == read(
        tmp_path, "rows.data", content, other
    )
    assert read(tmp_path, "with_header.csv", as_csv(), other) == ROWS


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "empty.csv is without rows"),
        ("header.csv", b"age,plan\n", "is without rows"),
        ("blank.jsonl", b"\n \n", "is without rows"),
        ("array.json", b"[]", "is without rows"),
        ("rows.parquet", as_parquet(ROWS)[:-20], "is invalid"),
        ("rows.csv.gz", gzip.compress(as_csv())[:-9], "is damaged or incomplete"),
        ("latin.csv", "age,plan\n1,é\n".encode("latin-1"), "is invalid .*ENCODING"),
        ("long.csv", b"age,plan\n1,x\n1,x,y\n", "row 2: 3 cells, and 2 in the first line"),
        ("short.csv", b"age,plan\n1\n", "row 1: 1 cells, and 2 in the first line"),
        ("open.csv", b'age,plan\n2,y\n1,"x\n', "row 2: unexpected end of data"),
        ("quotes.csv", b'age,plan\n1,"x" y\n', "row 1: "),
        ("header.csv", b'age,"plan" a\n1,2\n', "header: "),
        ("huge.csv", b'age,plan\n1,"' + b"x" * 200_000 + b'"', "row 1: field larger"),
        ("rows.jsonl", b'{"age": 1}\n{"age"\n', r"row 2 is no JSON object: '{\"age\"'"),
        ("rows.jsonl", b'{"age": 1},{"age": 2}\n', "row 1 is no JSON object"),
        ("rows.jsonl", b'{"age": 1}\n[2]\n', "row 2 is no JSON object"),
        ("rows.json", b'[{"age": 1}, 2]', "row 2 is no JSON object: '2'"),
        ("rows.json", b'[{"age": 1},', "is invalid .row 2: Expecting value"),
        ("rows.json", b'[{"age": 1}]\n[{"age": 1}]', "is invalid .Extra data"),
        ("rows.json", b'{"instances": [{"age": 1}]', "is invalid .Expecting ','"),
        ("deep.jsonl", b'{"age":' + b"[" * 100_000, "row 1 is no JSON object"),
        ("deep.json", b"[" * 100_000, "is invalid"),
        ("digits.jsonl", b"1" * 5_000, "row 1 is no JSON object"),
        ("no.jsonl", None, "no.jsonl is not there"),
    ],
)
def test_a_file_that_cannot_be_read_is_reported(
    name: str, content: bytes | None, message: str, table: Schema, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        batches(tmp_path / name, table)


JSON_CELLS = {
    "integer": ["3", "-5", "40", "0"],
    "float": ["1.5", "3.0", "1e2", "2.25", "-0.125"],
    "odd": ["-0", "-0.0", "1e39", str(2**53 + 1), str(2**64), "-0.5", "1E400", "NaN"],
    "text": [
        '"a"',
        '"é"',
        '"null"',
        '"2024-01-02"',
        '"12"',
        '"a\\"b"',
        '"x\\": null"',
        '"{"',
        '": null"',
        '""',
    ],
    "word": ['"a"', '"b"'],
    "boolean": ["true", "false"],
    "null": ["null"],
    "nested": ["[1]", "[2.5, 3]", '{"b": 1}', "{}"],
}
COMMON = ["integer", "float", "text", "word", "boolean"]
BAD_LINES = ['{"age": 1}{"age": 2}', '{"age": 1', " {} ", "[1]", '{"age": 01}', '{"age": 1},']


def random_json(random: Random) -> str:
    """Return JSON Lines whose columns are mostly of one kind each; some rows lack columns, or have others."""
    kinds = {name: random.choice(3 * COMMON + [*JSON_CELLS]) for name in (*COLUMNS, "id")}
    mixed, lacking = random.choice([0.0, 0.02]), random.choice([0.0, 0.02])

    def cell(kind: str) -> str:
        chosen = random.choice([*JSON_CELLS]) if random.random() < mixed else kind
        return random.choice(JSON_CELLS["null" if random.random() < mixed else chosen])

    def line() -> str:
        some = [(name, cell(kind)) for name, kind in kinds.items() if random.random() >= lacking]
        some += random.choices(some or [("id", "1")], k=random.random() < 0.01)  # twice
        text = ", ".join(f"{json.dumps(name)}: {value}" for name, value in some)
        return random.choice(BAD_LINES) if random.random() < 0.004 else f"{{{text}}}"

    return "".join(line() + random.choice(["\n", "\r\n"]) for _ in range(random.randint(8, 30)))


def texts_of(batch: Batch, name: str) -> list[str]:
    rows, texts = batch.texts(name)
    return [texts[row] for row in rows]


def found_in(text: str, table: Schema, keep: tuple[str, ...]) -> list[Any]:
    """Return the names of the columns of each row, its text in each column, and the cells to keep; errors as text."""
    found: list[Any] = []

    def tried(cells: Callable[..., Any], *arguments: Any) -> None:
        try:
            found.append(repr(cells(*arguments)))
        except (ValueError, UserError) as error:
            found.append(str(error))

    def each_row() -> None:
        blocks = raw_rows.json_blocks(io.StringIO(text, newline=""), False)
        for names, columns in Reading(table, COLUMNS, keep).of_json(blocks):
            batch = Batch("rows.jsonl", 1, names, columns, ".")
            found.append([{*each} for each in names])
            for name in COLUMNS:
                tried(texts_of, batch, name)
            for name, as_text in product(keep, [False, True]):
                tried(lambda of, *which: of.array(*which).to_pylist(), batch, name, as_text)

    tried(each_row)
    return found


def test_json_read_by_arrow_holds_the_same_cells(
    table: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    random, typed, by_arrow = Random(7), raw_rows.typed_columns, 0
    monkeypatch.setattr(raw_rows, "BATCH_ROWS", 6)

    def counted(*arguments: Any) -> dict[str, Any]:
        nonlocal by_arrow
        columns = typed(*arguments)
        by_arrow += bool(columns)
        return columns

    for trial in range(600):
        text, keep = random_json(random), random.choice([(), ("age",), ("id", "plan")])
        monkeypatch.setattr(raw_rows, "typed_columns", counted)
        found = found_in(text, table, keep)
        monkeypatch.setattr(raw_rows, "typed_columns", lambda *arguments: {})
        assert found == found_in(text, table, keep), (trial, text)
    assert by_arrow > 300


@pytest.mark.parametrize("quoted", [False, True])
def test_a_large_file_comes_in_numbered_batches(
    quoted: bool, table: Schema, tmp_path: Path
) -> None:
    """Lines are split by Arrow until a quote comes; from there on rows are read in another way."""
    rows = [{"age": str(each), "plan": "p", "a, b": "x"} for each in range(BATCH_ROWS + 9)]
    content = as_csv(";", rows)
    if quoted:
        content = content.replace(b"p;x\r\n9;", b'"p";x\r\n9;')
    (tmp_path / "rows.csv").write_bytes(content)
    found = batches(tmp_path / "rows.csv", table)
    assert [row for batch in found for row in rows_of(batch)] == rows
    assert [(batch.first, len(batch.names)) for batch in found] == [
        (1, BATCH_ROWS),
        (BATCH_ROWS + 1, 9),
    ]
    (tmp_path / "rows.csv").write_bytes(content + b"1;p\n")
    with pytest.raises(UserError, match=f"row {BATCH_ROWS + 10}: 2 cells"):
        batches(tmp_path / "rows.csv", table)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.1, 1e16, None, float("nan")], ["0.1", "1e+16", "", ""]),
        (pa.array([0.1, 2, None], pa.float32()), ["0.1", "2.0", ""]),
        (pa.array(np.array([0.1, 2], np.float16)), ["0.0999755859375", "2.0"]),
        (pa.array(["b", None, "a"]).dictionary_encode(), ["b", "", "a"]),
        (pa.array([None, None]), ["", ""]),
        (pa.array([date(2024, 1, 15)]), ["2024-01-15"]),
        (pa.array([Decimal("1.50")]), ["1.50"]),
        ([1, "a", True, 10**30, None], ["1", "a", "true", str(10**30), ""]),
        (["\ud800a"], ["?a"]),
        ([" x\t", b"y"], ["x", "y"]),
    ],
)
def test_values_become_text_as_in_training(values: Any, texts: list[str]) -> None:
    batch = Batch("rows", 1, [("age",)] * len(values), {"age": values}, ".")
    rows, different = batch.texts("age")
    assert [different[row] for row in rows] == texts


def test_numbers_have_the_decimal_mark_of_the_table() -> None:
    batch = Batch("rows", 1, [("age",)] * 2, {"age": [1.5, "2,5"]}, ",")
    assert sorted(batch.texts("age")[1]) == ["1,5", "2,5"]


@pytest.mark.parametrize("value", [{"value": "Male"}, ["Male"]])
@pytest.mark.parametrize("others", [[None], ["Male"], [7]])
def test_a_nested_cell_is_refused_with_its_row(value: Any, others: list[Any]) -> None:
    batch = Batch("rows.jsonl", 5, [("age",)] * 2, {"age": [*others, value]}, ".")
    with pytest.raises(UserError, match="rows.jsonl, row 6, column 'age' is [{[]'"):
        batch.texts("age")
