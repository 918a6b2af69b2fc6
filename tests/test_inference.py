"""What is inferred from the cells of a table: kinds of columns, the label, the task, and the features."""

import datetime
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cmle_extension import adult
from cmle_extension.dataset import (
    checked_data_path,
    checked_features,
    checked_label,
    inferred_features,
    inferred_label,
    listed_features,
)
from cmle_extension.inference import TEXT_WORDS, described, kind_of
from cmle_extension.labels import Task, described_label, likely_label, task_of
from cmle_extension.quoting import parsed
from cmle_extension.table import Column
from tests.bakery import ROOT
from tests.refused import refused

quick = settings(max_examples=60, deadline=None)
MISSING = ["", "?", "NA", "N/A", "NaN", "nan", "null", "NULL"]


def column(*cells: str, name: str = "x") -> Column:
    return Column(name, cells)


def repeated(values: int, rows: int) -> tuple[str, ...]:
    """Return text cells in which each value is equally frequent."""
    return tuple(f"v{row % values}" for row in range(rows))


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (("1", "2.5", "", "?", "-3e4", "NaN", ".5", "+7", "0", "0.0", "5."), "numeric"),
        (("1", "1", "2", "2"), "numeric"),
        (("3", "9", "4", "7"), "numeric"),
        (("02134", "10001", "02134", "60601") * 5, "categorical"),
        (("1e39", "2", "2"), "categorical"),
        (("1,5", "2,5", "2,5"), "categorical"),
        (("inf", "2", "2"), "categorical"),
        (("1_000", "2", "2"), "categorical"),
        (("٣", "2", "2"), "categorical"),
        (("true", "false", "true"), "categorical"),
        (("Yes", "No", "", "No"), "categorical"),
        (("Yes", "", "", "Yes"), "categorical"),
        (("1", "", "", "1"), "categorical"),
        (("a", "a", "a"), "ignore"),
        (("1", "1", "1"), "ignore"),
        (("", "?", "NA"), "ignore"),
        (("ann", "bob", "cid", "dan"), "ignore"),
        (("7", "8", "9", "10"), "ignore"),
        (("3", "2", "1", "0"), "ignore"),
        (tuple(map(str, range(1960, 2020))), "numeric"),
        (repeated(1000, 6000), "categorical"),
        (repeated(1001, 6006), "hashed"),
        (repeated(100, 500), "categorical"),
        (repeated(101, 500), "hashed"),
        (repeated(20, 40), "categorical"),
        (repeated(21, 40), "hashed"),
        (repeated(449, 500), "hashed"),
        (repeated(450, 500), "ignore"),
    ],
)
def test_the_kind_follows_from_the_cells(cells: tuple[str, ...], kind: str) -> None:
    assert kind_of(column(*cells)) == kind


@pytest.mark.parametrize(
    "name", ["id", "ID", "Index", "user_id", "row-id", "User ID", "PassengerId"]
)
def test_integers_called_an_identifier_are_no_quantity(name: str) -> None:
    assert kind_of(column("3", "9", "4", "7", name=name)) == "ignore"
    assert kind_of(column("3", "9", "3", "9", name=name)) == "categorical"
    assert kind_of(column(*map(str, range(40)), *map(str, range(40)), name=name)) == "hashed"


@pytest.mark.parametrize("name", ["x", "paid", "humid", "idle", "PAID"])
def test_other_integers_are_quantities(name: str) -> None:
    assert kind_of(column("3", "9", "4", "7", name=name)) == "numeric"


def test_rows_are_counted_within_each_part_of_the_file() -> None:
    cells = ("1", "2", "3", "90", "91", "92")
    assert kind_of(Column("x", cells, (0, 3))) == "ignore"
    assert kind_of(Column("x", cells)) == "numeric"


NUMBERS = st.floats(min_value=-1e38, max_value=1e38).map(repr) | st.integers(-(10**9), 10**9).map(
    str
)
WORDS = st.text(alphabet="abcdefghij ", min_size=1).map(lambda word: f"w{word}".strip())


@given(st.lists(NUMBERS | st.sampled_from(MISSING), min_size=2))
@quick
def test_numbers_are_never_inferred_as_words(cells: list[str]) -> None:
    numbers = {cell for cell in cells if cell not in MISSING}
    numeric = column("0.5", "1.5", "1.5", *cells)
    assert kind_of(numeric) == "numeric"
    assert set(numeric.values) == {"0.5", "1.5", *numbers}


@given(st.lists(NUMBERS, max_size=15), WORDS)
@quick
def test_one_word_among_few_numbers_makes_words_of_them(cells: list[str], word: str) -> None:
    assert kind_of(column(*cells, word)) != "numeric"


MANY = tuple(f"{number}.5" for number in range(95))


@pytest.mark.parametrize(
    ("odd", "missing", "note"),
    [
        (("n.a.",), ("n.a.",), "1 of 96 cells is 'n.a.', taken as missing"),
        (("-",) * 50, ("-",), "50 of 145 cells are '-', taken as missing"),
        (("keine",) * 15, ("keine",), "15 of 110 cells are 'keine', taken as missing"),
        (("a", "b", "c"), ("a", "b", "c"), "3 of 98 cells are 'a' or 'b' or 'c', taken as missing"),
        (("a", "-", "b", "c"), ("a", "-", "b", "c"), "'a' or '-' or 'b' or 1 more"),
        (("-9999",) * 4, ("-9999",), "4 of 99 cells are '-9999', taken as missing"),
        (("99",) * 4, (), ""),  # within the others' range
        (("-9999",), (), ""),  # once
        (("", "NA"), (), ""),
        (("007",), (), ""),  # one number written so
    ],
)
def test_odd_cells_among_many_numbers_are_missing(
    odd: tuple[str, ...], missing: tuple[str, ...], note: str
) -> None:
    found = described(column(*MANY, *odd))
    assert (found.kind, found.missing) == ("numeric", missing)
    assert note in found.note and bool(note) == bool(found.note)


@pytest.mark.parametrize(
    "cells",
    [
        (*MANY, *(f"A{number}" for number in range(10))),
        ("1", "2", "3") * 30 + ("C",) * 3,
        (*(f"0{number}" for number in range(20)), *MANY),
        tuple(f"{number}" for number in range(10**15, 10**15 + 400, 4)) * 2,
    ],
)
def test_codes_among_numbers_are_no_quantities(cells: tuple[str, ...]) -> None:
    assert kind_of(column(*cells)) in ("categorical", "hashed", "ignore")


@pytest.mark.parametrize(
    ("written", "unit", "note"),
    [
        ("{:,}", "", "'1,007' is read as 1007"),
        ("${:,}.50", "", "'$7.50' is read as 7.5"),
        ("{} EUR", "", "'7 EUR' is read as 7"),
        ("{}%", "", "'7%' is read as 0.07"),
        ("({})", "", "'(7)' is read as -7"),
        ("{} kg", "kg", "'7 kg' is read as 7, UNITS has 'kg'"),
        ("{}km/h", "km/h", "UNITS has 'km/h'"),
        ("{} °C", "°C", "UNITS has '°C'"),
        ("{} m²", "m²", "UNITS has 'm²'"),
        ("{}e3", "", ""),
        ("+{}", "", ""),
        ("{}.50", "", ""),
    ],
)
def test_numbers_may_be_written_as_people_write_them(written: str, unit: str, note: str) -> None:
    cells = [written.format(number * 1000 + 7) for number in range(40)]
    cells[5] = "n/a"
    found = described(column(*cells))
    assert (found.kind, found.unit, found.missing) == ("numeric", unit, ("n/a",))
    assert note in found.note


@pytest.mark.parametrize(
    "cells",
    [
        tuple(f"{number}{'ABCDEFGH'[number % 8]}" for number in range(60)),
        tuple(f"{number} kg" if number % 2 else f"{number} g" for number in range(60)),
        tuple(f"{number}_000" for number in range(60)),
        tuple(f"0x{number:x}" for number in range(60)),
    ],
)
def test_what_no_engine_reads_as_a_number_is_none(cells: tuple[str, ...]) -> None:
    assert kind_of(column(*cells)) != "numeric"


@pytest.mark.parametrize(
    ("few", "note"),
    [
        ("<5", "100 of 150 cells are numbers, others such as '<5' are not"),
        ("at most 3", "100 of 150 cells are numbers, others such as 'at most 3' are not"),
    ],
)
def test_a_column_that_is_half_of_numbers_is_reported(few: str, note: str) -> None:
    cells = [*map(str, range(0, 100, 2))] * 2 + [few] * 25 + ["none of it"] * 25
    found = described(column(*cells))
    assert found.kind != "numeric" and found.note == note


@pytest.mark.parametrize(
    ("written", "reported"),
    [
        ("{}h 30m", "texts such as '0h 30m', not read as numbers"),
        ("{},23,45", "texts such as '0,23,45', not read as numbers"),
        ("<{}x2", "texts such as '<0x2', not read as numbers"),
        ("{}-9", ""),
        ("{}:30", "texts such as '0:30', not read as numbers"),
        ("12:{:02d} pm", "texts such as '12:00 pm', not read as numbers"),
        ("{:05d}", ""),
        ("A{}", ""),
    ],
)
def test_texts_that_begin_as_numbers_are_reported(written: str, reported: str) -> None:
    cells = tuple(written.format(number) for number in range(40))
    assert described(column(*cells * 9)).note == reported
    if reported:
        found = described(column(*cells))
        assert (found.kind, found.note) == (
            "ignore",
            f"{reported}; they differ in nearly every row",
        )


DAYS = [datetime.date(2024, 1, 1) + datetime.timedelta(days=5 * number) for number in range(60)]


@pytest.mark.parametrize(
    ("written", "day_first", "note"),
    [
        ("%Y-%m-%d", False, ""),
        ("%Y-%m-%dT%H:%M:%SZ", False, ""),
        ("%Y/%m/%d %H:%M", False, ""),
        ("%Y%m%d", False, ""),
        ("%d %B %Y", False, ""),
        ("%b %d, %Y", False, ""),
        ("%m/%d/%y", False, ""),
        ("%d.%m.%Y", True, "the day comes first, as in '01.01.2024'"),
        ("%d/%m/%Y 08:30", True, "the day comes first"),
        ("%d-%b-%y", False, ""),
    ],
)
def test_dates_are_dates_however_they_are_written(written: str, day_first: bool, note: str) -> None:
    days = [day.strftime(written) for day in DAYS]
    for cells in (days, days * 3, [*days, "-", "unknown"]):
        found = described(column(*cells))
        assert (found.kind, found.day_first) == ("datetime", day_first)
        assert found.missing == (("-", "unknown") if "-" in cells else ())
        assert found.note.startswith(note)


@pytest.mark.parametrize(
    ("cells", "day_first"),
    [
        (
            ("1/5/2024", "1/12/2024", "2/3/2024", "2/11/2024"),
            False,
        ),  # sorted, if the month is first
        (("5/1/2024", "12/1/2024", "3/2/2024", "11/2/2024"), True),
        (("01.02.2024", "01.02.2024", "05.03.2024"), True),
        (("01/02/2024", "01/02/2024", "05/03/2024"), False),
    ],
)
def test_an_order_of_day_and_month_that_is_open_is_reported(
    cells: tuple[str, ...], day_first: bool
) -> None:
    found = described(column(*cells))
    assert (found.kind, found.day_first) == ("datetime", day_first)
    edit = "otherwise take it out of DAY_FIRST" if day_first else "otherwise add it to DAY_FIRST"
    assert edit in found.note


@pytest.mark.parametrize(
    "cells",
    [
        ("10:30", "11:45", "10:30"),
        ("1.2.3", "1.2.4", "1.2.3"),
        ("1.2.34", "10.4.11", "1.2.34"),
        ("2021", "2022", "2022"),
        ("31/31/2024", "32/13/2024") * 3,
        tuple(str(20_000_000 + 999 * number) for number in range(60)) * 2,
        ("May", "June", "May"),
    ],
)
def test_other_cells_are_no_dates(cells: tuple[str, ...]) -> None:
    assert kind_of(column(*cells)) != "datetime"


SHUFFLED = tuple(str(number * 37 % 151) for number in range(151))


@pytest.mark.parametrize(
    ("name", "cells", "reason"),
    [
        ("Unnamed: 0", ("ann", "bob", "ann"), "no name in the header"),
        ("", ("0.5", "1.5", "0.5"), "no name in the header"),
        ("n", SHUFFLED, "row numbers"),
        ("n", tuple(map(str, (x for x in range(200) if x % 5))), "row numbers"),
        ("row_num", ("3", "9", "4", "7"), "identifiers"),
        ("account", tuple(str(10**16 + 7 * n) for n in range(60)), "identifiers"),
        ("e", ("", "NA"), "no values"),
        ("k", ("a", "a"), "the same value in every row"),
        (
            "t",
            tuple(f"row this{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(60)),
            "text that differs",
        ),
        ("j", tuple(f'{{"a": {n}}}' for n in range(60)), "JSON"),
    ],
)
def test_a_column_that_is_not_used_has_a_reason(
    name: str, cells: tuple[str, ...], reason: str
) -> None:
    found = described(column(*cells, name=name))
    assert found.kind == "ignore" and reason in found.note


@given(st.lists(WORDS, min_size=2, max_size=20, unique=True), st.integers(2, 5), st.randoms())
@example(["wa aa", "wa aa aa aa"], 2, random.Random(0))
@quick
def test_few_distinct_words_are_categories_in_any_order(
    words: list[str], times: int, order: random.Random
) -> None:
    cells = words * times
    order.shuffle(cells)
    assert kind_of(column(*cells)) == "categorical"


@pytest.mark.parametrize(
    ("names", "label"),
    [
        (["a", "b", "c"], "c"),
        (["Target", "a"], "Target"),
        (["species", "class", "a"], "class"),
        (["Y", "a", "b"], "Y"),
        (["x", "y", "z", "price"], "price"),
        (["LABEL", "label", "a"], "LABEL"),
        (["class", "age", "survived"], "survived"),
        (["income", "age", "spend"], "spend"),
    ],
)
def test_the_label_has_a_well_known_name_or_comes_last(names: list[str], label: str) -> None:
    assert likely_label(names) == label


@pytest.mark.parametrize(
    ("cells", "task"),
    [
        (("no", "yes", "yes"), Task("binary", "yes")),
        (("0", "1", "1"), Task("binary", "1")),
        (("0.0", "1.0", ""), Task("binary", "1.0")),
        (("-1", "1", "1"), Task("binary", "1")),
        (("False", "True", "True"), Task("binary", "True")),
        (("<=50K", ">50K", ">50K"), Task("binary", ">50K")),
        (("negative", "positive", "positive"), Task("binary", "positive")),
        (("no", "maybe", "maybe"), Task("binary", "maybe")),
        (("yes", "unclear", "yes"), Task("binary", "yes")),
        (("good", "bad", "good"), Task("binary", "bad")),
        (("1", "2", "1"), Task("binary", "2")),
        (("b", "a"), Task("binary", "b")),
        (("a", "b", "c", "a", "b", "c"), Task("multiclass")),
        (("0", "1", "2", "0", "1", "2"), Task("multiclass")),
        (("1.0", "2.0", "3.0") * 2, Task("multiclass")),
        (tuple(str(i % 20) for i in range(60)), Task("multiclass")),
        (tuple(str(i % 21) for i in range(63)), Task("regression")),
        (("1", "2", "3"), Task("regression")),
        (("1990", "1991", "1992") * 3, Task("regression")),
        (("0.5", "1", "2") * 3, Task("regression")),
        (repeated(1000, 3000), Task("multiclass")),
        (("01", "02", "03") * 3, Task("multiclass")),
    ],
)
def test_the_task_follows_from_the_label(cells: tuple[str, ...], task: Task) -> None:
    assert task_of(column(*cells)) == task


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (("a", "a", "?"), ("has 1 different value in the 3 rows read", "at least two", "shuffle")),
        (("", ""), ("has 0 different values in the 2 rows read",)),
        (repeated(1001, 3003), ("has 1001 different values in 3003 rows", "at most 1000 classes")),
        (("ann", "bob", "cid"), ("has 3 different values in 3 rows", "such as 'ann'")),
        (
            (*map(str, range(500)), *(f"a{number}" for number in range(99))),
            ("not all of them numbers, such as 'a0'", "clean this one"),
        ),
        (("\x1b[2J", "b", "c"), ("'\\x1b[2J'",)),
    ],
)
def test_a_label_that_cannot_be_predicted_is_refused(
    cells: tuple[str, ...], words: tuple[str, ...]
) -> None:
    message = refused(lambda: task_of(column(*cells, name="y")), "label: the column 'y' has")
    assert all(part in message for part in words)


@pytest.mark.parametrize(
    ("cells", "task", "sql"),
    [
        (("Yes", "yes", "YES", "No", "no"), Task("binary", "yes"), "LOWER(label)"),
        (("1", "0", "1.0", "0.0"), Task("binary", "1"), r"REGEXP_REPLACE(label, r'^(-?[0-9]+)\.0*$', r'\1')"),
        (("in_use", "in use", "idle"), Task("binary", "idle"), r"REGEXP_REPLACE(label, r'(\S)[\s_-]+', r'\1 ')"),
        (("ok.", "ok", "bad"), Task("binary", "bad"), "RTRIM(label, '.!')"),
        (("yes", "no", "-"), Task("binary", "yes"), "NULLIF(label, '-')"),
        (("yes", "no", "None"), Task("binary", "yes"), "NULLIF(label, 'None')"),
        (("good", "bad", "n/a"), Task("binary", "good"), "NULLIF(label, 'n/a')"),
        (("good", "bad", "none"), Task("multiclass"), ""),
        (("+", "-", "0"), Task("multiclass"), ""),
        (("Y", "yes", "N", "no"), Task("binary", "yes"), "CASE WHEN label IN ('Y', 'yes') THEN 'yes' WHEN label IN ('N', 'no') THEN 'no' END"),
        (("Y", "yes", "N", "n/a"), Task("binary", "yes"), "CASE WHEN NULLIF(label, 'n/a') IN ('Y', 'yes') THEN 'yes' WHEN NULLIF(label, 'n/a') IN ('N') THEN 'no' END"),
        (("ja", "nein"), Task("binary", "ja"), ""),
        (("a", "b", "c"), Task("multiclass"), ""),
        (("1", "0", "n/a"), Task("binary", "1"), ""),
        (("1.5", "2.50", "3", "3.0", "7.25"), Task("regression"), ""),
    ],
)  # fmt: skip
def test_variants_of_a_class_are_folded(cells: tuple[str, ...], task: Task, sql: str) -> None:
    found = described_label(column(*cells * 20))
    assert (found.task, found.sql) == (task, sql)
    assert any("are read as" in note for note in found.notes) == bool(sql)


@pytest.mark.parametrize(
    ("cells", "notes"),
    [
        (("no", "yes") * 20, ["binary, the probability of 'yes' (and not 'no')"]),
        (("1", "2", "3") * 20, ['multiclass, 3 classes; to predict a number, write TASK = "regression"']),
        (("a", "b", "c") * 20, ["multiclass, 3 classes"]),
        (("1.5", "2.5", "3.5") * 20, ["from 1.5 to 3.5; to predict classes, write TASK ="]),
        (MANY, ["regression, numbers from 0.5 to 94.5"]),
        ((*MANY, *["-999"] * 5), ["regression, numbers from 0.5 to 94.5", "5 of 100 cells are '-999'"]),
        ((*MANY, "none"), ["regression", "1 of 96 cells is 'none', taken as missing"]),
        (("a", "b", "c") * 20 + ("d",), ["4 classes", "('d': 1), too few to learn and to evaluate; LABEL_SQL = \"IF(label IN ('d'), 'other', label)\""]),
        (("0",) * 500 + ("1",) * 3, ["binary", "('1': 3), too few to learn and to evaluate; collect more rows"]),
        (("low", "mid", "none") * 20, ["3 classes", "'none' (20 of 60 rows) counts as a class; if it means that the label is missing, write LABEL_SQL = \"NULLIF(label, 'none')\""]),
    ],
)  # fmt: skip
def test_what_is_to_be_known_about_a_label_is_reported(
    cells: tuple[str, ...], notes: list[str]
) -> None:
    found = described_label(column(*cells)).notes
    assert len(found) == len(notes)
    assert all(part in note for part, note in zip(notes, found, strict=True))


# The answers about a table


@pytest.mark.parametrize(
    ("rows", "decimal"),
    [
        (["1,5;2,25", "-0,5;10,5", "3,5;7,75"], ","),
        (["1.234,5;7", "2.500,25;8", "17,5;9"], ","),
        (["4,501;1,234", "7,634;2,345", "8,194;3,456"], ","),  # nothing has a point
        (["1,234;4.5", "2,345;5.5", "3,456;6.5"], "."),
        (["1.5;2.5", "2.5;3.5", "3.5;4.5"], "."),
        (['"1,5 kg";7', '"2,5 kg";8', '"3,25 kg";9'], ","),
        (['"1,234",4', '"2,345",5', '"3,456",6'], "."),
        (['"0,234",4', '"0,345",5', '"3,456",6'], ","),
    ],
)
def test_the_decimal_mark_is_that_of_the_table(
    tmp_path: Path, rows: list[str], decimal: str
) -> None:
    mark = ";" if ";" in rows[0] else ","
    rows = [f"{row}{mark}{'xy'[number % 2]}" for number, row in enumerate(rows * 5)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join([mark.join(["a", "b", "label"]), *rows]), encoding="utf-8")
    table = parsed(checked_features(inferred_features(str(path), "label"), str(path), "label"))
    assert table["decimal"] == decimal
    assert [item["kind"] for item in table["columns"]] == ["numeric", "numeric"]
    assert table["notes"][0].startswith("table ") == (decimal == ",")


def test_units_and_orders_of_dates_reach_the_templates(tmp_path: Path) -> None:
    rows = [f"{n} kg,{day:%d.%m.%Y},{n % 7}.5 EUR,{n % 9}.5 km" for n, day in enumerate(DAYS)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["a,b,c,way", *rows]), encoding="utf-8")
    table = parsed(checked_features("c:numeric", str(path), "way"))
    assert (table["units"], table["day_first"]) == ('{"way": "km", "a": "kg"}', ["b"])
    refused(lambda: checked_features("a:datetime", str(path), "way"), "'a' is datetime, but")
    assert inferred_label(str(path)) == "way"


@pytest.mark.parametrize(
    "last",
    [
        tuple(f"{day}" for day in DAYS),
        tuple(map(str, range(60))),
        ("same",) * 60,
        ("",) * 60,
        tuple(f"k{number}" for number in range(60)),
        tuple(f"comment number {number} of many" for number in range(60)),
    ],
)
def test_row_numbers_constants_and_names_are_no_labels(
    tmp_path: Path, last: tuple[str, ...]
) -> None:
    rows = [f"{number}.5,{number % 2},{cell}\n" for number, cell in enumerate(last)]
    for name in ("last", "target"):
        path = tmp_path / f"{name}.csv"
        path.write_text(f"size,kind,{name}\n{''.join(rows)}", encoding="utf-8")
        assert inferred_label(str(path)) == "kind"


def test_the_words_that_are_reported_are_those_that_are_read() -> None:
    features = ROOT / "tests" / "golden" / "defaults" / "trainer" / "features.py.golden"
    assert f"TEXT_WORDS = {TEXT_WORDS} " in features.read_text(encoding="utf-8")


def test_a_marker_of_missing_values_is_kept_where_it_is_a_number(tmp_path: Path) -> None:
    rows = [f"{number}.5,{'-999' if number < 9 else number},y{number % 2}" for number in range(90)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["a,b,label", *rows]), encoding="utf-8")
    table = parsed(checked_features("a:numeric", str(path), "label"))
    assert "-999" in table["missing"]
    rows[5] = "-999,-999,y1"
    path.write_text("\n".join(["a,b,label", *rows]), encoding="utf-8")
    table = parsed(checked_features("a:numeric", str(path), "label"))
    assert "-999" not in table["missing"]
    assert "9 of 90 cells are '-999', a number in other columns" in table["columns"][1]["note"]


@pytest.fixture
def people(tmp_path: Path) -> str:
    """The path of a table of people."""
    rows = [f"{i},{i * 7 % 60},{'abc'[i % 3]},{i % 2},{i * 3 % 50}" for i in range(60)]
    path = tmp_path / "people.csv"
    path.write_text("\n".join(["id,age,city,self,pay", *rows]), encoding="utf-8")
    return checked_data_path(str(path))


def test_the_default_features_describe_the_table(people: str) -> None:
    label = checked_label(inferred_label(people), people)
    features = inferred_features(people, label)
    assert (label, features) == ("pay", "id:ignore, age:numeric, city:categorical, self:numeric")
    with_self_ignored = features.replace("self:numeric", "self:ignore")
    assert parsed(checked_features(with_self_ignored, people, label)) == {
        "label": "pay",
        "task": "regression",
        "positive": "",
        "label_sql": "",
        "delimiter": ",",
        "encoding": "utf-8",
        "comment": "",
        "header": [],
        "missing": MISSING,
        "columns": [
            {"name": "id", "kind": "ignore", "note": "row numbers"},
            {"name": "age", "kind": "numeric", "note": ""},
            {"name": "city", "kind": "categorical", "note": ""},
            {"name": "self", "kind": "ignore", "note": "chosen by the answer"},
        ],
        "units": "{}",
        "decimal": ".",
        "day_first": [],
        "notes": [
            "label    pay: regression, numbers from 0 to 49",
            "not used id: row numbers",
            "not used self: chosen by the answer",
        ],
    }


def test_the_sample_is_described_without_reading_it() -> None:
    label = checked_label(inferred_label(""), "")
    table: dict[str, Any] = parsed(checked_features(inferred_features("", label), "", label))
    columns = table.pop("columns")
    assert table == {
        "label": "income",
        "task": "binary",
        "positive": ">50K",
        "label_sql": "RTRIM(label, '.')",
        "delimiter": ",",
        "encoding": "utf-8",
        "comment": "|",
        "header": list(adult.HEADER),
        "missing": ["", "?"],
        "notes": [],
        "units": "{}",
        "decimal": ".",
        "day_first": [],
    }
    assert [item["name"] for item in columns] == list(adult.HEADER[:-1])
    assert sum(item["kind"] == "numeric" for item in columns) == 6
    assert sum(item["kind"] == "categorical" for item in columns) == 8


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("Pay", ("no column 'Pay'", "write 'pay', if that is what you mean")),
        ("", ("no column ''", "write 'pay', its last column")),
        ("id\n", ("contains a control character",)),
    ],
)
def test_a_label_that_the_table_lacks_is_refused(
    people: str, label: str, words: tuple[str, ...]
) -> None:
    refused(lambda: checked_label(label, people), "label: ", *words)


def test_the_sample_has_one_label() -> None:
    refused(
        lambda: checked_label("age", ""),
        "the label of the census sample cannot be 'age'",
        "expected income",
    )
    refused(lambda: checked_label("incme", ""), "no column 'incme'", "write 'income', if")


ALL = {"id": "ignore", "age": "numeric", "city": "categorical", "self": "ignore"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"age": "number"}, ("kind of column 'age' is 'number'", "write 'numeric', if")),
        ({"age": ""}, ("kind of column 'age' is ''", "write ignore to leave")),
        ({"ages": "numeric"}, ("no column 'ages'", "write 'age', if")),
        ({"qqq": "numeric"}, ("no column 'qqq'", "remove it from the list")),
        ({"pay": "numeric"}, ("the label 'pay' is listed", "every column but the label")),
        ({"self": "numeric"}, ("named 'self'", "TensorFlow cannot serve", "self:ignore")),
        ({"age": "ignore", "city": "ignore"}, ("every column is ignored", "at least one")),
        ({"city": "numeric"}, ("'city' is numeric, but contains 'a'", "write city:categorical")),
    ],
)
def test_features_that_do_not_fit_the_table_are_refused(
    people: str, change: dict[str, str | None], words: tuple[str, ...]
) -> None:
    kinds = {name: kind for name, kind in {**ALL, **change}.items() if kind is not None}
    text = ", ".join(f"{name}:{kind}" for name, kind in kinds.items())
    refused(lambda: checked_features(text, people, "pay"), "features: ", *words)


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("self:ignore", {}),
        ("self:Ignore, age:categorical", {"age": "categorical"}),
        ("self:ignore,id:HASHED", {"id": "hashed"}),
        ("self:ignore,", {}),
    ],
)
def test_columns_that_are_not_listed_keep_their_inferred_kind(
    people: str, text: str, changed: dict[str, str]
) -> None:
    table = checked_features(text, people, "pay")
    columns = {column["name"]: column["kind"] for column in parsed(table)["columns"]}
    assert columns == ALL | changed
    assert list(columns) == list(ALL)  # as in the file
    assert checked_features(listed_features(table), people, "pay") == table


def test_a_column_listed_twice_is_refused(people: str) -> None:
    text = "age:numeric, age:ignore"
    refused(lambda: checked_features(text, people, "pay"), "'age' is listed twice")


def test_a_column_with_leading_zeros_may_be_declared_numeric(tmp_path: Path) -> None:
    path = tmp_path / "codes.csv"
    path.write_text("code,label\n02134,a\n-007.5,b\n02134,a\n", encoding="utf-8")
    assert inferred_features(str(path), "label") == "code:categorical"
    assert parsed(checked_features("code:numeric", str(path), "label"))["task"] == "binary"


def test_a_hostile_class_reaches_the_templates_as_data(tmp_path: Path) -> None:
    path = tmp_path / "hostile.csv"
    path.write_text("a,label\n1.5,no\n2.5,{{ 7*7 }}\n3.5,no\n", encoding="utf-8")
    text = checked_features("a:numeric", str(path), "label")
    assert "{{" not in text
    assert parsed(text)["positive"] == "{{ 7*7 }}"
