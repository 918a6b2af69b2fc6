"""One reading of cells: Python, the SQL of preparation and the serving signatures find the same number, date or value."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pytest
import tensorflow as tf
from trainer.data import cells
from trainer.data.schema import Schema
from trainer.preprocessing import analyze, cell_sql, engine
from trainer.serving import checked_cell
from trainer.training import text_cells
from trainer.training.layers import calendar

COUNT = 4_000
PIECES = [
    *("0123456789" * 2 + ".,-+eE$%() '_x\n\t"),
    *("\u00a0", "\u202f", "\u2212", "\u2019", "€", "USD", "kg", "1,000", "12", "31", "02", "29", "2024", "1e", "0x"),
    *("inf", "nan", "NA", "-999", "true", "TRUE", "\u0665", "\uff15", "é", "\U0001f600"),
    *("/", "/", ":", "T", "Z", " PM", "am", "Jan", "March", "Mon, ", " UTC", "+05:30", "m01", "y2024-"),
]  # fmt: skip
NUMBERS = (
    *("{:,}", "{:,.2f}", "{:.3e}", "{}", "{:+}", "({:,})", "${:,.2f}", "-${:,}", "{:.1f}%", "({:.1f} %)", "{} kg"),
    *("€ {:,.2f}", "{:,.0f} USD", "{:.6g}", "US$ {:,}"),
)  # fmt: skip
MONTHS = ("Jan", "February", "mar", "APR", "May", "June", "Jul.", "Aug", "Sept", "October", "Nov", "DECEMBER")  # fmt: skip


def made_up_cell(choose: random.Random) -> str:
    """Return text that is, or resembles, a number or a date, or is neither."""
    kind = choose.randrange(3)
    if kind == 0:
        return "".join(choose.choice(PIECES) for _ in range(choose.randrange(7)))
    text = made_up_number(choose) if kind == 1 else made_up_date(choose)
    return choose.choice(["", "", " ", "\u00a0"]) + text + choose.choice(["", "", " ", "\t"])


def made_up_number(choose: random.Random) -> str:
    value = choose.choice(
        [
            choose.uniform(-1e4, 1e7),
            choose.randrange(10 ** choose.randrange(1, 9)),
            choose.gauss(0, 1),
        ]
    )
    text = choose.choice(NUMBERS).format(value)
    return text.translate({44: 46, 46: 44}) if choose.random() < 0.3 else text


def made_up_date(choose: random.Random) -> str:
    year = choose.choice([choose.randrange(1900, 2100), choose.randrange(500, 10_000)])
    month, day, hour = choose.randrange(1, 14), choose.randrange(33), choose.randrange(1, 14)
    minute, second = choose.randrange(61), choose.randrange(61)
    name = choose.choice(MONTHS)
    text = choose.choice(
        [
            *(f"{year:04}-{month:02}-{day:02}", f"{month}/{day}/{year}", f"{day}.{month}.{year % 100:02}"),
            *(f"{day} {name} {year}", f"{name} {day}, {year}", f"{year}{month:02}{day:02}", f"{year}-{month}"),
            f"{day}-{name}-{year % 100:02}",
        ]
    )  # fmt: skip
    time = choose.choice(
        [
            *("", f" {hour}:{minute:02}", f"T{hour:02}:{minute:02}:{second:02}", f" {hour:02}:{minute:02} am"),
            f" {hour}:{minute:02}:{second:02}.{choose.randrange(1000)} PM",
        ]
    )  # fmt: skip
    return text + time + choose.choice([*[""] * 5, "Z", " +0530", "-08:00", "+02", " UTC"])


@pytest.fixture(scope="module")
def texts() -> list[str]:
    choose = random.Random(0)
    return [made_up_cell(choose) for _ in range(COUNT)]


@pytest.fixture(params=[(".", "", False), (",", "kg", True), (".", "kg", True)])
def table(schema: Schema, request: pytest.FixtureRequest) -> Schema:
    """The schema of a table with a number and a date."""
    decimal, unit, day_first = request.param
    return replace(
        schema,
        columns={"number": "numeric", "day": "datetime", "value": "categorical"},
        missing=("NA", "-999", "TRUE"),
        decimal=decimal,
        units={"number": unit} if unit else {},
        day_first=("day",) if day_first else (),
    )


def expected_number(cell: str, table: Schema) -> float | None:
    if cells.stripped(cell) in table.markers:
        return None
    found = cells.number(cell, table.decimal, table.units.get("number", ""))
    return None if found in table.marker_numbers("number") else found


def expected_days(cell: str, table: Schema) -> float | None:
    if cells.stripped(cell) in table.markers:
        return None
    return cells.days(cell, bool(table.day_first))


def by_sql(texts: Sequence[str], table: Schema) -> list[tuple[Any, ...]]:
    """Return number, days and value of each cell, as the preparation computes them."""
    connection = duckdb.connect()
    connection.execute("CREATE TABLE texts (position INTEGER, cell VARCHAR)")
    connection.executemany("INSERT INTO texts VALUES (?, ?)", list(enumerate(texts)))
    dates, last = cell_sql.dated(replace(table, columns={"day": "datetime"}))
    is_number = f"{cell_sql.finite('x')} AND NOT {cell_sql.is_marker('x', 'number', table)}"
    known = cell_sql.known("cell", table)
    query = (
        f"WITH cleaned AS (SELECT *, {known} AS d0 FROM texts), {', '.join(dates)},"
        f" read AS (SELECT *, {cell_sql.number('cell', table.units.get('number', ''), table)} AS x FROM {last})"
        f" SELECT IF({is_number} AND {known} IS NOT NULL, x, NULL), {cell_sql.days('d0')}, {cell_sql.value('cell', table)}"
        " FROM read ORDER BY position"
    )
    return [*connection.execute(engine.in_duckdb(query)).fetchall()]


def test_sql_reads_cells_as_python_does(texts: list[str], table: Schema) -> None:
    found = by_sql(texts, table)
    expected = [
        (expected_number(text, table), expected_days(text, table), table.value(text))
        for text in texts
    ]
    different = [each for each in zip(texts, found, expected, strict=True) if each[1] != each[2]]
    assert not different
    known = [sum(row[column] is not None for row in expected) for column in range(2)]
    assert min(known) > COUNT / 15, "too few cells are numbers, or dates, to show anything"


@pytest.mark.parametrize("name", ["number", "day"])
def test_the_graph_reads_cells_as_python_does(name: str, texts: list[str], table: Schema) -> None:
    unit, markers = table.units.get("number", ""), table.markers
    read: Callable[[Any], Any]
    python: Callable[[str], float | None]
    if name == "number":
        grammar = cells.number_grammar(table.decimal, unit)
        read = lambda cell: text_cells.numbers(cell, markers, table.decimal, unit)  # noqa: E731
        python = lambda cell: cells.number(cell, table.decimal, unit)  # noqa: E731
    else:
        grammar = cells.date_grammar(bool(table.day_first))
        read = lambda cell: text_cells.days(cell, markers, bool(table.day_first))  # noqa: E731
        python = lambda cell: cells.days(cell, bool(table.day_first))  # noqa: E731
    held = text_cells.canonical(text_cells.stripped(tf.constant(texts)), grammar).numpy()
    for text, canonical in zip(texts, held, strict=True):
        found = None if canonical.startswith(b"x") else canonical.decode()
        assert found == grammar.canonical(cells.stripped(text)), text
    known = [text for text in texts if python(text) is not None or cells.stripped(text) in markers]
    expected = [math.nan if cells.stripped(text) in markers else python(text) for text in known]
    np.testing.assert_array_equal(tf.function(read)(tf.constant(known)), np.array(expected))


def test_the_graph_reads_values_as_python_does(texts: list[str]) -> None:
    found = text_cells.value(tf.constant(texts)).numpy()
    assert [each.decode() for each in found] == [cells.value(text) for text in texts]


@pytest.mark.parametrize(
    "cell", ["abc", "1_0", "+-1", "0x46", "inf", "nan", "x1", "xnan", "1.2.3.4", "1e39", "-1e400"]
)
@pytest.mark.parametrize("read", ["numbers", "days"])
def test_the_graph_refuses_what_it_cannot_read(cell: str, read: str) -> None:
    how = (".", "") if read == "numbers" else (False,)
    with pytest.raises(tf.errors.InvalidArgumentError):
        getattr(text_cells, read)(tf.constant([cell]), ("",), *how)


WORDS = (
    *("Don't panic", "STRASSE", "Straße", "É tude", "x2", "2,5", "\u65e5\u672c\u8a9e", "\U0001f600", "a\x00b", "A-Z_0~9"),
    *("na\u00efve\u2014caf\u00e9\u2026", "\u00abquoted\u00bb", "\u201cwell\u201d", "tab\tend\n", "\u3000", "[x]{y}`z^\\", "@#$%", "İI", "w" * 70),
)  # fmt: skip


def made_up_text(choose: random.Random) -> str:
    return choose.choice(("", " ", "-", ", ")).join(
        choose.choice([*WORDS, *PIECES]) for _ in range(choose.randrange(12))
    )


def expected_words(cell: str, table: Schema) -> list[str]:
    """Return the words of a text by other means than an expression: runs of letters, digits and what is beyond U+00BF."""
    blanks = {*map(chr, range(0x2000, 0x2070)), *map(chr, range(0x3000, 0x3040)), "\ufeff"}
    kept = [
        each
        if (each.isascii() and each.isalnum()) or (each > "\u00bf" and each not in blanks)
        else " "
        for each in cell
    ]
    lower = "".join(each.lower() if each.isascii() else each for each in kept)
    found = [each for each in lower.split(" ") if each][: table.text_words]
    return [] if cells.stripped(cell) in table.markers else found


def test_sql_and_the_graph_find_the_same_words(table: Schema) -> None:
    table = replace(table, columns={"note": "text"}, text_words=5, text_buckets=64)
    choose = random.Random(5)
    texts = ["", " NA ", "na", "-999", *(made_up_text(choose) for _ in range(COUNT))]
    expected = [expected_words(text, table) for text in texts]
    assert sum(len(words) == 5 for words in expected) > COUNT / 5 and [] in expected[4:]
    found = text_cells.words(tf.constant(texts), table.markers, 5).numpy()
    assert [[word.decode() for word in row if word] for row in found] == expected
    connection = duckdb.connect()
    connection.execute("CREATE TABLE texts (position INTEGER, cell VARCHAR)")
    connection.executemany("INSERT INTO texts VALUES (?, ?)", list(enumerate(texts)))
    query = f"SELECT {cell_sql.words('cell', table)} AS words FROM texts ORDER BY position"
    lists = connection.sql(engine.in_duckdb(query)).to_arrow_table().column("words")
    assert [[word for word in row if word] for row in lists.to_pylist()] == expected
    codes = analyze.word_codes(lists, 5, 64).to_pylist()
    buckets = tf.strings.to_hash_bucket_fast(found, 64).numpy()
    assert codes == np.where(found == b"", 0, 1 + buckets).tolist()


def test_dates_are_those_of_the_calendar() -> None:
    days = range(-700_000, 2_900_000, 97)
    dates = [date(1970, 1, 1) + timedelta(days=day) for day in days]
    found = [each.numpy() for each in calendar(tf.constant(days, tf.int32))]
    assert [*zip(*found, strict=True)] == [(each.year, each.month, each.day) for each in dates]


@pytest.mark.parametrize(
    ("value", "decimal", "text"),
    [
        *((1.5, ",", "1,5"), (1.5, ".", "1.5"), (3, ",", "3"), ("1.5", ",", "1.5"), (None, ",", "")),
        *((datetime(2024, 1, 15), ".", "2024-01-15 00:00:00"), (date(2024, 1, 15), ".", "2024-01-15")),
    ],
)  # fmt: skip
def test_a_value_becomes_text_of_the_table(value: Any, decimal: str, text: str) -> None:
    assert cells.text(value, decimal) == text


@pytest.mark.parametrize("value", ["yesterday", 5, "31/12/2024", True, [1]])
def test_a_cell_that_is_no_date_is_refused(value: Any, schema: Schema) -> None:
    dated = replace(schema, columns={"day": "datetime"})
    with pytest.raises(ValueError, match="a date|text, a number"):
        checked_cell(value, "day", dated)


@pytest.fixture
def plain(schema: Schema) -> Schema:
    """The schema of a number and a text."""
    kinds = {"age": "numeric", "plan": "categorical"}
    return replace(schema, columns=kinds, missing=("?", "NA"), decimal=".", units={})


@pytest.mark.parametrize("value", [None, "", "  ", "?", " NA", float("nan"), "\u00a0"])
def test_a_missing_number_stays_missing(value: object, plain: Schema) -> None:
    assert cells.stripped(checked_cell(value, "age", plain)) in plain.markers


@pytest.mark.parametrize(
    ("value", "number"),
    [("39", 39), (" 4e1 ", 40), (7, 7), (b"1.5", 1.5), ("1,234", 1234), ("12 %", 0.12)],
)
def test_a_number_may_be_text(value: object, number: float, plain: Schema) -> None:
    assert cells.number(checked_cell(value, "age", plain)) == number


@pytest.mark.parametrize(
    "value", ["abc", "1,23", "1_000", True, "inf", float("-inf"), 10**400, "1e39", [1], {"a": 1}]
)
def test_a_cell_that_is_no_number_is_refused(value: object, plain: Schema) -> None:
    with pytest.raises(ValueError, match="a number"):
        checked_cell(value, "age", plain)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (float("nan"), ""), (True, "true"), (12, "12"), (b"x", "x"), ("\ud800a", "?a")],
)
def test_a_value_is_text_as_in_a_table(value: object, text: str, plain: Schema) -> None:
    assert checked_cell(value, "plan", plain) == text
