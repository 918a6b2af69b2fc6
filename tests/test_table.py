"""The content of a table: the forms in which it is read, and the one line that refuses an invalid file."""

import bz2
import gzip
import io
import lzma
import zipfile
from pathlib import Path

import pytest
from cookiecutter.exceptions import FailedHookException
from hypothesis import given, settings
from hypothesis import strategies as st

from cmle_extension.dataset import (
    checked_data_path,
    checked_features,
    checked_label,
    inferred_features,
    inferred_label,
)
from cmle_extension.features_text import parse_features
from cmle_extension.quoting import parsed
from cmle_extension.table import read_table
from tests.refused import refused
from tests.small_tables import GOOD, LINES, written

quick = settings(max_examples=40, deadline=None)


def zipped(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, GOOD)
    return content.getvalue()


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


def test_lists_and_objects_of_json_lines_are_not_used(tmp_path: Path) -> None:
    rows = ['{"x": 1, "tags": ["a"], "flag": true, "y": "a"}', '{"y": null, "x": 1.5, "late": 1}']
    table = read_table(written(tmp_path, "\n".join(rows), "a.jsonl"))
    cells = {name: column.cells for name, column in table.columns.items()}
    assert (
        cells["x"] == ("1", "1.5") and cells["flag"] == ("true", "") and cells["late"] == ("", "1")
    )
    assert table.columns["tags"].reason == "its cells are lists or objects"
    assert "tags:ignore" in inferred_features(str(tmp_path / "a.jsonl"), "y")


def test_a_cell_may_be_as_long_as_the_line_that_preparation_reads(tmp_path: Path) -> None:
    path = tmp_path / "letters.csv"
    rows = [f"{'x' * 200_000},{number}" for number in range(3)]
    path.write_text("\n".join(["letter,y", *rows]), encoding="utf-8")
    assert len(read_table(str(path)).columns["letter"].cells[0]) == 200_000
