"""The kind of a column, inferred from its cells, and what is reported about them."""

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cmle_extension.inference import TEXT_WORDS, described, kind_of
from cmle_extension.table import Column
from tests.bakery import ROOT
from tests.columns import DAYS, MANY, MISSING, column, repeated

quick = settings(max_examples=60, deadline=None)


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


def test_a_column_that_is_half_of_dates_is_reported() -> None:
    others = [f"in spring {number}" for number in range(15)]
    found = described(column(*(*map(str, DAYS), *others) * 2))
    assert found.kind == "hashed"
    assert found.note == "60 of 75 texts are dates, others such as 'in spring 0' are not"


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
        ("self", ("0.5", "1.5", "0.5"), "TensorFlow cannot serve a column of this name"),
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


def test_the_words_that_are_reported_are_those_that_are_read() -> None:
    features = ROOT / "tests" / "golden" / "defaults" / "trainer" / "features.py.golden"
    assert f"TEXT_WORDS = {TEXT_WORDS} " in features.read_text(encoding="utf-8")
