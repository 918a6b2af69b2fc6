"""The header line of a table, and lines that are no rows."""

from pathlib import Path

import pytest

from cmle_extension.dataset import checked_data_path, inferred_features, inferred_label
from cmle_extension.table import read_table
from tests.refused import refused
from tests.small_tables import written

ROWS = "".join(f"{number}.5,{'xyz'[number % 3]},{number % 2}\n" for number in range(30))
TABLE = f"size,shape,label\n{ROWS}"


@pytest.mark.parametrize("header", ["year,2019,2020", "a,7,b", "red,yes", "name,x"])
def test_names_like_data_are_names_if_a_word_stands_above_numbers(
    tmp_path: Path, header: str
) -> None:
    rows = "1,2,3\n4,5,6\n" if header.count(",") > 1 else "blue,no\ngreen,maybe\n"
    assert checked_data_path(written(tmp_path, f"{header}\n{rows}"))


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
