"""The file that data_path names: what is read of it, and the one line that refuses an invalid file."""

import bz2
import gzip
import importlib
import io
import lzma
import os
import random
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cookiecutter.exceptions import FailedHookException
from hypothesis import given, settings
from hypothesis import strategies as st

from cmle_extension import csv_table
from cmle_extension.dataset import (
    checked_data_path,
    checked_features,
    checked_label,
    inferred_features,
    inferred_label,
)
from cmle_extension.features_text import parse_features
from cmle_extension.quoting import parsed
from cmle_extension.table import cached_table, read_table
from tests.refused import refused

quick = settings(max_examples=40, deadline=None)
GOOD = "age,city,label\n31,Rome,yes\n47,Oslo,no\n31,Rome,no\n"


LINES = """{"age": 31, "city": "Rome", "label": "yes"}
{"label": "no", "age": 47, "city": "Oslo"}
{"city": "Rome", "age": 31, "label": "no"}
"""


def zipped(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, GOOD)
    return content.getvalue()


def written(folder: Path, content: str | bytes, name: str = "table.csv") -> str:
    """Return the path of a new file with this content."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


# The file


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", GOOD),
        ("A.CSV", GOOD),
        ("a.txt", GOOD.replace(",", ";")),
        ("a.tsv", GOOD.replace(",", "\t")),
        ("a.csv.gz", gzip.compress(GOOD.encode(), mtime=0)),
        ("a.tsv.gz", gzip.compress(GOOD.replace(",", "\t").encode(), mtime=0)),
        ("a.csv", "\ufeff" + GOOD),
        ("a.csv", GOOD.replace("\n", "\r\n")),
        ("a.csv", GOOD.replace("\n", "\n\n")),
        ("a.csv", GOOD.rstrip("\n")),
        ("a.csv", GOOD.replace("Rome", '"Rome"')),
        ("a.CSV.bz2", bz2.compress(GOOD.encode())),
        ("a.csv.xz", lzma.compress(GOOD.encode())),
        ("a.zip", zipped("a.csv", "__MACOSX/._a.csv")),
        ("orc.csv", GOOD.replace("age", "orchard", 1)),
        ("gzip.csv", gzip.compress(GOOD.encode(), mtime=0)),
        ("no ending", GOOD),
        ("utf16.csv", GOOD.encode("utf-16")),
        ("unmarked.csv", GOOD.encode("utf-16-le")),
        ("mac.csv", GOOD.replace("\n", "\r")),
        ("pipe.csv", GOOD.replace(",", "|")),
        ("caret.txt", GOOD.replace(",", "^")),
        ("blank.txt", GOOD.replace(",", " ")),
        ("control.txt", GOOD.replace(",", "\1")),
        ("a.jsonl", LINES),
        ("a.jsonl.gz", gzip.compress(b"\xef\xbb\xbf" + LINES.encode(), mtime=0)),
    ],
)
def test_a_table_is_read_whatever_its_form(tmp_path: Path, name: str, content: str | bytes) -> None:
    path = checked_data_path(written(tmp_path, content, name))
    assert inferred_label(path) == "label"
    features = inferred_features(path, "label")
    assert features.replace("orchard", "age") == "age:numeric, city:categorical"


def test_cells_may_hold_separators_quotes_and_line_ends(tmp_path: Path) -> None:
    path = written(tmp_path, 'a,b\n"x, ""y""\nz",1\n"",2\n')
    columns = read_table(checked_data_path(path)).columns
    assert columns["a"].cells == ('x, "y"\nz', "")
    assert columns["b"].cells == ("1", "2")


def test_the_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, GOOD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert checked_data_path("table.csv") == path
    assert checked_data_path(os.path.join("~", "table.csv")) == path
    assert checked_data_path("") == ""


@pytest.mark.parametrize(
    "answer",
    [
        *('"my table.csv"', "'my table.csv'", "my\\ table.csv"),
        *(
            "$HOME/my table.csv",
            "${HOME}/my\\ table.csv",
            '"$HOME/my table.csv"',
            "'~/my table.csv'",
        ),
    ],
)
def test_a_path_may_be_written_as_in_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    path = written(tmp_path, GOOD, "my table.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert checked_data_path(answer) == path


@pytest.mark.parametrize("name", ["'a'.csv", "$HOME.csv", "a\\b.csv", "it's.csv", "~.csv"])
def test_a_file_with_a_strange_name_is_read_as_it_stands(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, GOOD, name)
    assert checked_data_path(path) == path


@pytest.mark.parametrize(
    "answer",
    ['"', "it's", "$NOTHING/a.csv", "$(touch pwned).csv", "`touch pwned`", "''", "a.csv b"],
)
def test_a_path_that_no_file_has_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(lambda: checked_data_path(answer), "data_path: ")
    assert list(tmp_path.iterdir()) == []


NAMES = [
    "my col", "a.b", "a-b", 'a"b', "it's", "class", "1st", "größe", "a,b", "a:b", " a", "😀", "\\", "#",
]  # fmt: skip


def test_columns_may_have_any_name_on_one_line(tmp_path: Path) -> None:
    header = ",".join('"' + name.replace('"', '""') + '"' for name in [*NAMES, "label"])
    rows = [",".join([str(row % 3 + 0.5)] * len(NAMES) + [f"c{row % 2}"]) for row in range(9)]
    path = checked_data_path(written(tmp_path, "\n".join([header, *rows])))
    features = inferred_features(path, "label")
    assert parse_features(features) == [(name, "numeric") for name in NAMES]
    table = parsed(checked_features(features, path, "label"))
    assert [item["name"] for item in table["columns"]] == NAMES


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty; expected a header line and rows"),
        ("\n\n", "has only blank lines"),
        ("a,b\n", "has a header and no rows"),
        ("a,a\n1,2\n", "there is more than one column 'a': columns 1 and 2"),
        ("a\n1\n2\n", "has one column, 'a'"),
        ("a.b\n1.2\n", "separated by commas, semicolons, tabs or another character"),
        ("a,b\n1,2\n1\n", "cells in line 3 is 1, in the header 2"),
        ("a,b\n1,2\n\n1,2,3\n", "cells in line 4 is 3, in the header 2"),
        ('a,b\n1,"2\n', "line 2 cannot be read (unexpected end of data)"),
        ('a,b\n1,"2"x\n', "line 2 cannot be read"),
        ("a,{{b}}\n1,2\n", "the name of column 2 '{{b}}' would be evaluated"),
        ('a,"b\nc"\n1,2\n', r"the name of column 2 'b\nc' contains a control character"),
        ("a,b\u202e\n1,2\n", r"the name of column 2 'b\u202e' contains a control character"),
        (
            "a,b\n1,é\n2,ü\n".encode() + b"3,caf\xe9\n",
            "line 4, byte 19 of the text is 0xe9, not UTF-8",
        ),
        ("a,b\n1,é\n2,ü\n".encode() + b"3,caf\xe9\n", "iconv -c -f UTF-8 -t UTF-8"),
        (b"a,b\n1,\0" + b"0" * 99 + b"\n", "byte 6 is zero, so the file is not text"),
        ('[{"a": 1, "b": 2}]', "'table.csv' is a JSON array"),
        ('[{"a": 1, "b": 2}]', "jq -c '.[]' table.csv > table.csv.jsonl"),
        ('{"a": 1,\n"b": 2}', "is JSON that is no object per line"),
        ("<!DOCTYPE html>", "is a page of HTML"),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    tmp_path: Path, content: str | bytes, words: str
) -> None:
    path = written(tmp_path, content)
    refused(lambda: checked_data_path(path), "data_path: ", words)


@pytest.mark.parametrize("header", ["year,2019,2020", "a,7,b", "red,yes", "name,x"])
def test_names_like_data_are_names_if_a_word_stands_above_numbers(
    tmp_path: Path, header: str
) -> None:
    rows = "1,2,3\n4,5,6\n" if header.count(",") > 1 else "blue,no\ngreen,maybe\n"
    assert checked_data_path(written(tmp_path, f"{header}\n{rows}"))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "a.xlsx",
            zipped("xl/workbook.xml", "[Content_Types].xml"),
            "'a.xlsx' is an Excel workbook",
        ),
        ("a.xlsx", zipped("xl/workbook.xml"), "libreoffice --headless --convert-to csv a.xlsx"),
        ("a.zip", zipped("a.csv", "b.csv"), "a zip archive of 2 files"),
        ("a.zip", b"PK\3\4", "damaged or incomplete"),
        ("a.csv.gz", gzip.compress(GOOD.encode(), mtime=0)[:-12], "damaged or incomplete"),
        ("a.csv.bz2", bz2.compress(GOOD.encode())[:-12], "damaged or incomplete"),
        ("a.csv.xz", lzma.compress(GOOD.encode())[:-12], "damaged or incomplete"),
        ("a.csv.gz", b"\x1f\x8b rubbish", "damaged or incomplete"),
        ("a.parquet.gz", gzip.compress(b"PAR1", mtime=0), "is a compressed Parquet file"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    tmp_path: Path, name: str, content: str | bytes, words: str
) -> None:
    path = written(tmp_path, content, name)
    refused(lambda: checked_data_path(path), "data_path: ", words)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere.csv", "cannot be opened (No such file or directory)"),
        ("gs://bucket/table.csv", "gcloud storage cp"),
        (".", "is a folder without a table"),
        ("*.csv", "cannot be opened"),
        ("x" * 5000 + ".csv", "cannot be opened"),
        ("{{cookiecutter}}.csv", "would be evaluated as a template"),
    ],
)
def test_a_path_without_a_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(lambda: checked_data_path(path), "data_path: ", words)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    refused(lambda: checked_data_path(str(path)), "is not a regular file")


def test_a_file_that_may_not_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = written(tmp_path, GOOD)
    monkeypatch.setattr(Path, "open", deny)
    refused(lambda: checked_data_path(path), "is not readable (Permission denied)", "permissions")


@given(st.binary(max_size=200), st.sampled_from(["a.csv", "a.csv.gz", "a.parquet"]))
@quick
def test_any_bytes_are_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    path = written(tmp_path_factory.mktemp("bytes"), content, name)
    try:
        label = inferred_label(checked_data_path(path))
        checked_features(inferred_features(path, label), path, checked_label(label, path))
    except FailedHookException as refusal:
        assert str(refusal).isprintable()


# The sample of a large file


def large_table(rows: int) -> str:
    """Return a table sorted by its label, with a column that counts the rows."""
    random.seed(1)
    lines = [f"{i},{random.random():.6f},{'x' * 60},{'abc'[i * 3 // rows]}" for i in range(rows)]
    return "\n".join(["row,value,constant,label", *lines, ""])


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_large_file_is_sampled_up_to_its_end(tmp_path: Path, name: str) -> None:
    text = large_table(120_000).encode()
    path = written(tmp_path, gzip.compress(text, 1) if name.endswith(".gz") else text, name)
    table = read_table(checked_data_path(path))
    assert len(table.columns["row"].cells) < 60_000
    assert inferred_features(path, "label") == "row:ignore, value:numeric, constant:ignore"
    # A gzip file is read from its beginning only as far as time allows, which is further than this one.
    assert len(table.columns["label"].values) == 3


def test_a_bad_line_in_a_later_block_is_refused(tmp_path: Path) -> None:
    text = large_table(120_000)
    ragged = written(tmp_path, text + "1,2\n", "ragged.csv")
    refused(
        lambda: checked_data_path(ragged), "cells in a line after byte", "is 2, in the header 4"
    )
    mixed = written(tmp_path, text.encode() + "ü,ü,ü,ü\n".encode() + b"1,2,3,\xe9\n", "mixed.csv")
    refused(lambda: checked_data_path(mixed), f"byte {len(text) + 18} of the text is 0xe9")


def test_blocks_are_left_out_where_cells_span_lines(tmp_path: Path) -> None:
    text = large_table(120_000).replace("\n0,", '\n"0\n",', 1)
    table = read_table(checked_data_path(written(tmp_path, text + "1,2\n")))
    assert set(table.columns["label"].values) == {"a"}


def test_a_block_with_unclear_quotes_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, large_table(120_000) + '9,"\n1,2\n",x,c\n')
    assert len(read_table(checked_data_path(path)).columns["label"].values) == 3


def test_a_first_line_without_end_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, b"x" * (csv_table.SMALL_FILE_BYTES + 1))
    refused(lambda: checked_data_path(path), "the first line is longer than 2097152 bytes")


@pytest.mark.minute
def test_reading_time_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = Path(written(tmp_path, large_table(60_000)))
    block = path.read_bytes().partition(b"\n")[2]
    with path.open("ab") as file:
        for _ in range(40):
            file.write(block)
    started = time.monotonic()
    inferred_features(checked_data_path(str(path)), "label")
    assert time.monotonic() - started < 5


def test_a_file_is_read_once_unless_it_changes(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    first = read_table(checked_data_path(path))
    misses = cached_table.cache_info().misses
    checked_features(inferred_features(path, "label"), path, checked_label("label", path))
    assert cached_table.cache_info().misses == misses
    written(tmp_path, GOOD.replace("city", "town"))
    assert read_table(path) != first


# Parquet


def parquet(folder: Path, columns: dict[str, Sequence[object]], **options: Any) -> str:
    """Return the path of a new Parquet file."""
    pyarrow = pytest.importorskip("pyarrow")
    path = str(folder / "table.parquet")
    importlib.import_module("pyarrow.parquet").write_table(pyarrow.table(columns), path, **options)
    return path


def test_parquet_is_read_as_the_project_will_read_it(tmp_path: Path) -> None:
    columns: dict[str, Sequence[object]] = {
        "whole": [1, 3, None, 9],
        "real": [0.5, 1.0, float("nan"), 2.25],
        "word": ["a", "b", "a", None],
        "list": [[1], [2], [3], []],
        "label": [True, False, True, True],
    }
    path = checked_data_path(parquet(tmp_path, columns))
    features = inferred_features(path, "label")
    assert features == "whole:numeric, real:numeric, word:categorical, list:ignore"
    table = parsed(checked_features(features, path, "label"))
    assert (table["task"], table["positive"], table["delimiter"]) == ("binary", "true", "")


def test_parquet_is_sampled_to_its_last_row_group(tmp_path: Path) -> None:
    columns = {"n": range(20_000), "x": [f"v{i % 7}" for i in range(20_000)]}
    path = parquet(
        tmp_path, {**columns, "label": [i // 7000 for i in range(20_000)]}, row_group_size=1000
    )
    table = read_table(checked_data_path(path))
    assert len(table.columns["n"].cells) == 8000
    assert set(table.columns["label"].values) == {"0", "1", "2"}
    assert inferred_features(path, "label") == "n:ignore, x:categorical"


def test_broken_parquet_is_refused(tmp_path: Path) -> None:
    path = Path(parquet(tmp_path, {"a": [1], "b": [2]}))
    path.write_bytes(path.read_bytes()[:-20])
    refused(lambda: checked_data_path(str(path)), "the Parquet file 'table.parquet' is corrupted")


def test_parquet_names_that_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"a": [1, 2], "A": [2, 3], "b": [1, 0]})
    refused(lambda: checked_data_path(path), "there is more than one column 'a'")


def test_parquet_without_rows_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"a": [], "b": []})
    refused(lambda: checked_data_path(path), "has a header and no rows")


def test_parquet_without_pyarrow_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    path = written(tmp_path, b"PAR1....", "a.parquet")
    monkeypatch.setattr("importlib.import_module", missing)
    refused(lambda: checked_data_path(path), "pyarrow is not installed", "run: pip install pyarrow")


# Lines that are no rows

ROWS = "".join(f"{number}.5,{'xyz'[number % 3]},{number % 2}\n" for number in range(30))
TABLE = f"size,shape,label\n{ROWS}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('"sep=,"\n' + TABLE, ("line 1 is not the header", "tail -n +2 old.csv")),
        ("Sales report\n" + TABLE, ("line 1 is not the header, which has 3 cells", "tail -n +2 ")),
        ("Sales\n2024, May\n\n" + TABLE, ("remove the first 3 lines: tail -n +4 old.csv",)),
        (TABLE.replace("label\n", "label\ncm,,\n"), ("line 2 holds texts", "'cm'", "sed 2d old.csv")),
        (TABLE.replace("label\n", "label\nfloat,text,int\n"), ("'float', 'text', 'int'", "sed 2d ")),
        ("body,,grade\n" + TABLE, ("line 2 holds texts", "remove line 1: sed 1d old.csv")),
        ("body,,\n" + TABLE, ("line 1 is not the header", "remove the line: tail -n +2 old.csv")),
        (TABLE + "Total,,15\n", ("looks like the total", "'Total', '15'", "sed '$d' old.csv")),
        ("Sales,,\nMay 2024,,\n,,\n" + TABLE, ("remove the first 3 lines: tail -n +4 old.csv",)),
        (TABLE + "Source: the survey of May,,\n", ("looks like a note", "sed '$d' old.csv")),
        (TABLE + "450.0,,\n", ("looks like the total", "'450.0'")),
        (TABLE.replace("\n", ",\n").replace("label,", "label"), ("each line but the header ends", "sed 's/,\\r*$//'")),
        (TABLE.replace("label\n", "label,\n"), ("only the header ends", "sed '1s/,\\r*$//'")),
        ("\n".join(["size,shape", *ROWS.split()]) + "\n", ("as R writes row names", "sed '1s/^/row,/'")),
    ],
)  # fmt: skip
def test_lines_that_are_no_rows_are_refused_with_the_command_that_removes_them(
    tmp_path: Path, content: str, words: tuple[str, ...]
) -> None:
    path = written(tmp_path, content)
    refused(lambda: checked_data_path(path), "data_path: ", *words)


@pytest.mark.parametrize(
    ("content", "features"),
    [
        ("sep=;\r\n" + TABLE.replace(",", ";"), "size:numeric, shape:categorical"),
        (TABLE.replace("\n", ",\n"), 'size:numeric, shape:categorical, "Unnamed: 3":ignore'),
        (
            "".join(f"{n or ''},{line}\n" for n, line in enumerate(TABLE.splitlines())),
            '"Unnamed: 0":ignore, size:numeric, shape:categorical',
        ),
        ("# made by hand\n# on Monday\n" + TABLE, "size:numeric, shape:categorical"),
        ("#size" + TABLE[4:], "#size:numeric, shape:categorical"),
        (TABLE + "450.5,x,15\n", "size:numeric, shape:categorical"),
        (TABLE + "9.5,Total,1\n9.5,Total,1\n", "size:numeric, shape:categorical"),
    ],
)
def test_odd_but_complete_tables_are_read(tmp_path: Path, content: str, features: str) -> None:
    path = checked_data_path(written(tmp_path, content))
    assert inferred_label(path) == "label"
    assert inferred_features(path, "label") == features


def test_columns_without_names_are_named_by_position(tmp_path: Path) -> None:
    path = written(tmp_path, ",Unnamed: 0,,a\n0,1,2,3\n0,1,2,4\n")
    assert [*read_table(path).columns] == ["Unnamed: 0.1", "Unnamed: 0", "Unnamed: 2", "a"]


def test_lines_above_the_header_that_begin_with_a_mark_are_comments(tmp_path: Path) -> None:
    marked = read_table(written(tmp_path, "# by hand, on Monday\n\n" + TABLE))
    assert (marked.comment, [*marked.columns]) == ("#", ["size", "shape", "label"])
    # DuckDB drops what follows the mark in other lines, too.
    path = written(tmp_path, "# by hand\n" + TABLE.replace("x", "#1"), "again.csv")
    refused(lambda: read_table(path), "line 1 is not the header", "tail -n +2")


@pytest.mark.parametrize(
    "header",
    [
        "district,2018",
        "district,2018,2019",
        ",0,1,2",
        "site,1,2,3,4",
        "dose,0.5,1.0,1.5",
        "2018,2019,2020",
    ],
)
def test_numbers_may_be_names_of_columns(tmp_path: Path, header: str) -> None:
    names = header.split(",")
    cells = [[f"Ann{row}", *[f"{row * 7 % 50}.5"] * (len(names) - 1)] for row in range(40)]
    rows = map(",".join, cells)
    table = read_table(written(tmp_path, "\n".join([header, *rows])))
    assert [*table.columns] == [names[0] or "Unnamed: 0", *names[1:]]


@pytest.mark.parametrize(
    "rows",
    [
        [f"Film {row},{1990 + row}" for row in range(30)],
        [f"Ann {row},{34 + row}" for row in range(30)],
        [f"{row % 5},{row % 7},{row % 3}" for row in range(1, 40)],
    ],
)
def test_a_first_line_of_data_is_no_header(tmp_path: Path, rows: list[str]) -> None:
    table = read_table(written(tmp_path, "\n".join(rows)))
    names = [f"c{position}" for position in range(rows[0].count(",") + 1)]
    assert [*table.columns] == [*table.header] == names
    assert len(table.columns["c0"].cells) == len(rows)
    assert "the first line looks like a row" in table.notes[0]


LATIN = "größe,label\n" + "".join(f"Zoë{n % 9},{'ab'[n % 2]}\n" for n in range(90))


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (LATIN.encode(), "utf-8"),
        (LATIN.encode("utf-8-sig"), "utf-8"),
        (LATIN.encode("latin-1"), "latin-1"),
        (LATIN.replace("Zoë1", "Zoë 1 €").encode("cp1252"), "cp1252"),
        (LATIN.encode("utf-16"), "utf-8"),  # by its mark
        (LATIN.encode("utf-16-le"), "utf-16-le"),
        (LATIN.encode("utf-16-be"), "utf-16-be"),
        (b"gr,label\n" + b"Zo,a\nOs,b\n" * 200_000 + b"Zo\xeb,a\n", "latin-1"),  # late in the file
    ],
)
def test_the_encoding_is_found(tmp_path: Path, content: bytes, encoding: str) -> None:
    path = checked_data_path(written(tmp_path, content))
    table = read_table(path)
    assert table.encoding == encoding
    name, column = next(iter(table.columns.items()))
    assert name in ("größe", "gr")
    assert any("Zoë" in cell for cell in column.cells)
    assert bool(table.notes) == (encoding != "utf-8")
    description = parsed(checked_features(inferred_features(path, "label"), path, "label"))
    assert description["encoding"] == encoding
    assert description["notes"][: len(table.notes)] == table.notes


@pytest.mark.parametrize("answer", ["parts", "parts/*", "parts/**/*.csv*", "pa?ts"])
def test_a_folder_or_a_pattern_is_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts" / "Year=2020" / "place=a%20b").mkdir(parents=True)
    (tmp_path / "parts" / "Year=2021" / "place=__HIVE_DEFAULT_PARTITION__").mkdir(parents=True)
    folders = sorted((tmp_path / "parts").glob("*/*"))
    written(folders[0], GOOD, "1.csv")
    written(folders[1], gzip.compress(b"label,age,city\nyes,1,Nice\n"), "2.csv.gz")
    written(tmp_path / "parts", b"", "_SUCCESS")
    table = read_table(checked_data_path(answer))
    assert {name: [*column.cells] for name, column in table.columns.items()} == {
        "age": ["31", "47", "31", "1"],
        "city": ["Rome", "Oslo", "Rome", "Nice"],
        "label": ["yes", "no", "no", "yes"],
        "Year": ["2020", "2020", "2020", "2021"],
        "place": ["a b", "a b", "a b", ""],
    }
    assert table.columns["age"].starts == (0, 3)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "b.csv",
            GOOD.replace("city", "town", 1),
            "'b.csv' has no column 'city', which 'a.csv' has",
        ),
        (
            "b.csv",
            GOOD.replace("\n", ",1\n").replace("l,1", "l,more", 1),
            "'a.csv' has no column 'more'",
        ),
        ("b.jsonl", LINES, "'a.csv' is CSV, 'b.jsonl' JSON"),
    ],
)
def test_files_that_are_not_of_one_table_are_refused(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    written(tmp_path, GOOD, "a.csv")
    written(tmp_path, content, name)
    refused(lambda: checked_data_path(str(tmp_path)), words)


def test_lists_and_objects_of_json_lines_are_not_used(tmp_path: Path) -> None:
    rows = ['{"x": 1, "tags": ["a"], "flag": true, "y": "a"}', '{"y": null, "x": 1.5, "late": 1}']
    table = read_table(written(tmp_path, "\n".join(rows), "a.jsonl"))
    cells = {name: column.cells for name, column in table.columns.items()}
    assert (
        cells["x"] == ("1", "1.5") and cells["flag"] == ("true", "") and cells["late"] == ("", "1")
    )
    assert table.columns["tags"].reason == "its cells are lists or objects"
    assert "tags:ignore" in inferred_features(str(tmp_path / "a.jsonl"), "y")


def test_parquet_cells_are_those_of_preparing(tmp_path: Path) -> None:
    import datetime
    import decimal

    pyarrow = pytest.importorskip("pyarrow")
    noon = datetime.datetime(2024, 5, 6, 12, 30)
    columns = {
        "date": pyarrow.array([noon.date()]),
        "nanoseconds": pyarrow.array([1], pyarrow.timestamp("ns")),
        "zone": pyarrow.array([noon], pyarrow.timestamp("us", "Asia/Tokyo")),
        "duration": pyarrow.array([5], pyarrow.duration("s")),
        "decimal": pyarrow.array([decimal.Decimal("1.50")]),
        "codes": pyarrow.array(["a"]).dictionary_encode(),
        "flag": pyarrow.array([True]),
        "large": pyarrow.array([2**64 - 1], pyarrow.uint64()),
        "null": pyarrow.nulls(1),
        "list": pyarrow.array([[1]]),
    }
    importlib.import_module("pyarrow.parquet").write_table(
        pyarrow.table(columns), tmp_path / "a.parquet"
    )
    table = read_table(str(tmp_path / "a.parquet"))
    cells = {name: column.cells[0] for name, column in table.columns.items()}
    assert cells == {
        "date": "2024-05-06",
        "nanoseconds": "1970-01-01 00:00:00",
        "zone": "2024-05-06 12:30:00+00:00",
        "duration": "5",
        "decimal": "1.50",
        "codes": "a",
        "flag": "true",
        "large": "18446744073709551615",
        "null": "",
        "list": "",
    }
    assert table.columns["list"].reason == "its cells are list<element: int64>"
