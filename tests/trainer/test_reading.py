"""One reading of cells: Python, the SQL of preparation and the serving signatures find the same number, date or value."""

import csv
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import tensorflow as tf
from trainer import features, prepare
from trainer.data import cells
from trainer.data.schema import Schema, read_schema
from trainer.data.shards import Split
from trainer.data.statistics import read_statistics
from trainer.model import Model, export
from trainer.preprocessing import analyze, cell_sql, engine
from trainer.serving import (
    SCORES,
    SIGNATURE,
    TYPED_SIGNATURE,
    checked_cell,
    input_parameters,
)
from trainer.settings import Settings
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


# --- all kinds, from the file to the prediction ---

KINDS = {"price": "numeric", "weight": "numeric", "day": "datetime", "seen": "datetime", "flag": "categorical", "code": "hashed", "note": "text", "title": "text"}  # fmt: skip
FORMS: dict[str, list[str]] = {
    "price": [
        "1200.5",
        "1,200.50",
        "$1,200.50",
        "(12)",
        "5%",
        " 7 ",
        "",
        "n/a",
        "-999",
        "-999.0",
        "1e3",
        "+4",
    ],
    "weight": ["5 kg", "5kg", "1,200 kg", "3", "", "0.5 kg"],
    "day": ["2024-01-15", "2024-02-29T10:30:00Z", "Mar 3, 2021", "", "n/a", "2020-12-31 23:59:59"],
    "seen": ["15/1/2024", "31.12.1999", "1 May 2020 3:05 PM", ""],
    "flag": ["True", "TRUE", "true", "False", "3", "3.0", " 3 ", "007", "", "n/a", "never"],
    "code": ["1.0", "1", "a", " a", "True", "true", "\u00a0b", "", "b"],
    "note": [
        "",
        "n/a",
        " N/A ",
        "3.0",
        "True",
        "Don\u2019t panic!",
        "a b",
        "b a",
        "a  b a",
        "?!",
        "w " * 90,
        "Stra\u00dfe",
    ],
    "title": ["", "a b", "\u65e5\u672c a", "so-called"],
}


@pytest.fixture(scope="module")
def prepared_kinds(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A table of all kinds with cells in every form, prepared; its schema, rows and folder."""
    folder = tmp_path_factory.mktemp("kinds")
    choose = random.Random(3)
    rows = [
        {name: choose.choice(forms) for name, forms in FORMS.items()}
        | {"y": choose.choice(["$1,000", "25%", "-3", "1e2"])}
        for _ in range(500)
    ]
    with (folder / "train.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "COLUMNS": KINDS, "LABEL": "y", "TASK": "regression", "MISSING": ["n/a", "-999"], "DELIMITER": ",", "HEADER": [],
            "COMMENT": "", "UNITS": {"weight": "kg"}, "DAY_FIRST": ["seen"], "DECIMAL": ".", "ENCODING": "utf-8",
        }.items():  # fmt: skip
            patch.setattr(features, name, value)
        schema = read_schema(features)
        output = folder / "output"
        assert (
            prepare.main(["--train", str(folder / "train.csv"), "--output", str(output), "-q"]) == 0
        )
    return schema, rows, output


def test_no_row_is_lost_and_numbers_are_read(prepared_kinds: Any) -> None:
    schema, rows, output = prepared_kinds
    statistics = read_statistics(output, schema)
    assert statistics.rejected == 0 and sum(statistics.rows.values()) == len(rows)
    assert (statistics.numeric["price"].minimum, statistics.numeric["price"].maximum) == (
        -12,
        1200.5,
    )
    assert statistics.numeric["weight"].maximum == 1200
    first, last = datetime(2020, 12, 31, 23, 59, 59), datetime(2024, 2, 29, 10, 30)
    expected = [(day - datetime(1970, 1, 1)) / timedelta(days=1) for day in (first, last)]
    days = statistics.numeric["day"]
    assert [days.minimum, days.maximum] == pytest.approx(expected, abs=1e-9)
    assert sorted(statistics.vocabularies["flag"]) == ["007", "3", "false", "never", "true"]
    assert statistics.label.mean < 400


def test_the_signatures_predict_as_training_does(prepared_kinds: Any, tmp_path: Path) -> None:
    schema, rows, output = prepared_kinds
    statistics = read_statistics(output, schema)
    model = Model(
        schema, statistics, Settings(hidden_units=(8,), ensemble=1).for_rows(100, schema.task)
    )
    for variable in model.network.trainable_variables:
        variable.assign(tf.random.stateless_normal(variable.shape, [1, 2], stddev=0.3))
    export(model, schema, statistics, tmp_path, is_chief=True)
    trained = np.concatenate(
        [
            predictions_of(model, Split(output / split, schema, memory_mb=64))
            for split in statistics.rows
        ]
    )
    found = served(
        tmp_path, SIGNATURE, schema, [{name: row[name] for name in KINDS} for row in rows]
    )
    scale = max(1.0, float(np.abs(trained).max()))
    # Both in the order of their values: preparation orders rows by their keys.
    assert np.abs(np.sort(found) - np.sort(trained)).max() / scale < 1e-5
    assert np.ptp(trained) > 0.1
    plain = served(tmp_path, TYPED_SIGNATURE, schema, [as_numbers(row, schema) for row in rows])
    assert np.abs(plain - found).max() / scale < 1e-5


def predictions_of(model: Model, split: Split) -> Any:
    window = split.all_rows()
    return model.predictions(tf.constant(window.numbers), tf.constant(window.codes)).numpy()[:, 0]


def as_numbers(row: dict[str, str], schema: Schema) -> dict[str, Any]:
    """Return a row as `typed` takes it: numbers as such, other forms of other cells."""
    found: dict[str, Any] = {name: row[name] for name in KINDS}
    for name in schema.of_kind("numeric"):
        number = (
            None
            if row[name] in schema.missing
            else cells.number(row[name], ".", schema.units.get(name, ""))
        )
        found[name] = math.nan if number is None else number
    return found


def served(folder: Path, name: str, schema: Schema, rows: Sequence[dict[str, Any]]) -> Any:
    signature = tf.saved_model.load(str(folder)).signatures[name]
    inputs = {
        parameter: tf.constant([row[column] for row in rows])
        for column, parameter in input_parameters(folder).items()
    }
    return signature(**inputs)[SCORES[schema.task]].numpy()


@pytest.mark.parametrize("first", [True, False])
def test_other_forms_of_a_value_have_its_prediction(
    first: bool, prepared_kinds: Any, tmp_path: Path
) -> None:
    schema, _, output = prepared_kinds
    statistics = read_statistics(output, schema)
    model = Model(
        schema, statistics, Settings(hidden_units=(8,), ensemble=1).for_rows(100, schema.task)
    )
    export(model, schema, statistics, tmp_path, is_chief=True)
    for name in ("flag", "code"):
        same = ["True", "true", "TRUE", " true "] if first else ["3", "3.0", "3.00", "\u00a03"]
        found = served(
            tmp_path,
            SIGNATURE,
            schema,
            [{**{each: "" for each in KINDS}, name: cell} for cell in same],
        )
        assert np.ptp(found) < 1e-6


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
