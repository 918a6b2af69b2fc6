"""The grammar of cells: what is read as a number, a date or a value, and what is not."""

import importlib.util
import random
import sys
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from tests.bakery import SOURCES


def loaded() -> Any:
    spec = importlib.util.spec_from_file_location("cells", SOURCES / "trainer/data/cells.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["cells"] = module  # where dataclasses look their module up
    spec.loader.exec_module(module)
    return module


cells = loaded()


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        *((" 5\u00a0", 5), ("+5", 5), ("-5", -5), ("\u22125", -5), (".5", 0.5), ("5.", 5)),
        *(("1e5", 1e5), ("1.5E+05", 1.5e5), ("2e\u22123", 2e-3), ("007", 7), ("- 5", -5)),
        *(("1,234.5", 1234.5), ("12,345,678", 12345678), ("1'234", 1234), ("1\u2019234", 1234)),
        *(("1 234", 1234), ("1\u202f234\u202f567", 1234567), ("1\u00a0234.5", 1234.5)),
        *(("$1,200.50", 1200.5), ("-$5", -5), ("$-5", -5), ("5 \u20ac", 5), ("R$ 5", 5)),
        *(("USD 5", 5), ("5 CHF", 5), ("US$5", 5), ("\u00a3 1,000", 1000)),
        *(("12.5%", 0.125), ("12.5 %", 0.125), ("-3%", -0.03), ("1,200%", 12)),
        *(("(5)", -5), ("($1,200)", -1200), ("$(1,200)", -1200), ("(5%)", -0.05), ("(5)%", -0.05)),
    ],
)
def test_a_number_is_read(cell: str, expected: float) -> None:
    assert cells.number(cell) == expected


@pytest.mark.parametrize(
    "cell",
    [
        *("", " ", "-", "+", ".", "%", "$", "()", "1_000", "+-1", "--1", "0x46", "inf", "-inf", "nan", "NaN"),
        *("1e5x", "1e", "e5", "1,23", "1,2345", "1234,567", "1,000,00", ",123", "1, 234", "1,234'567"),
        *("1.2.3", "(5", "5)", "(-5)(", "--$5", "5 kg", "5%%", "5$$", "1e39", "1e400", "\u0665", "true", "1\n2"),
        *("12-05", "1/2", "1:30", "3 4", "$", "5 USDX", "1d", "1f", "5\x00"),
    ],
)  # fmt: skip
def test_other_text_is_no_number(cell: str) -> None:
    assert cells.number(cell) is None


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        *(("1,5", 1.5), ("1.234", 1234), ("1.234,5", 1234.5), ("1 234,5", 1234.5), ("\u20ac 1.200,50", 1200.5)),
        *(("12,5 %", 0.125), ("12.5", None), ("1,234,567", None), ("5", 5), ("-,5", -0.5), ("1,5e3", 1500)),
    ],
)  # fmt: skip
def test_a_decimal_comma_is_read(cell: str, expected: float | None) -> None:
    assert cells.number(cell, ",") == expected


@pytest.mark.parametrize("unit", ["kg", "km/h", "\u00b0C", "m\u00b2", "sq. ft", "\u20ac/kg", "kr"])
def test_a_unit_is_read_where_it_is_the_columns(unit: str) -> None:
    assert [cells.number(f"{text}{unit}", ".", unit) for text in ("5 ", "1,200", "-3.5")] == [5, 1200, -3.5]  # fmt: skip
    assert cells.number("5 lb", ".", unit) is None
    assert cells.number("5", ".", unit) == 5


DAY = (date(2024, 1, 15) - date(1970, 1, 1)).days


@pytest.mark.parametrize(
    "cell",
    [
        *("2024-01-15", "2024/1/15", "2024.01.15", "20240115", " 2024-01-15\u00a0", "2024-Jan-15"),
        *("1/15/2024", "01/15/24", "1-15-2024", "15 Jan 2024", "15-Jan-24", "15. January 2024", "15Jan2024"),
        *("Jan 15, 2024", "January 15th 2024", "JAN. 15 24", "Mon, 15 Jan 2024", "Monday, January 15, 2024"),
    ],
)  # fmt: skip
def test_a_date_is_read(cell: str) -> None:
    assert cells.days(cell) == DAY


@pytest.mark.parametrize("cell", ["15/1/2024", "15.01.2024", "15-1-24", "15-Jan-24", "2024-01-15"])
def test_a_date_with_the_day_first_is_read(cell: str) -> None:
    assert cells.days(cell, day_first=True) == DAY


@pytest.mark.parametrize(
    ("cell", "seconds"),
    [
        *(("2024-01-15 10:30", 37800), ("2024-01-15T10:30:05", 37805), ("2024-01-15t1:30", 5400)),
        *(("2024-01-15 10:30:05.25", 37805.25), ("2024-01-15 10:30:05,25", 37805.25)),
        *(("2024-01-15T10:30Z", 37800), ("2024-01-15 10:30:00 UTC", 37800)),
        *(("2024-01-15T10:30:00+01:00", 34200), ("2024-01-15 10:30-0530", 57600), ("2024-01-15 10:30+02", 30600)),
        *(("1/15/2024 3:05 PM", 54300), ("1/15/24 12:05:09 am", 309), ("1/15/24 12:00 p.m.", 43200)),
        *(("Mon, 15 Jan 2024 10:30:00 +0000", 37800), ("20240115103000", 37800), ("20240115T103000Z", 37800)),
    ],
)  # fmt: skip
def test_a_time_is_read(cell: str, seconds: float) -> None:
    assert cells.days(cell) == pytest.approx(DAY + seconds / 86400, abs=1e-9)


@pytest.mark.parametrize(
    "cell",
    [
        *("", "2024", "2024-13-01", "2023-02-29", "1900-02-29", "2024-04-31", "0000-00-00", "15/1/2024", "1/2/2024 25:00"),
        *("2024-01-15 10:60", "2024-01-15 13:00 PM", "2024-01-15 24:00:00", "2024-01-15 EST", "Janu 5 2024", "5", "1.5"),
        *("2024-01-15x", "24-1", "Foo 15, 2024", "2024-01-15 10:30 CET", "2024-01-15\n10:30"),
    ],
)  # fmt: skip
def test_other_text_is_no_date(cell: str) -> None:
    assert cells.days(cell) is None


def test_days_are_those_of_the_calendar() -> None:
    choose = random.Random(0)
    for _ in range(2000):
        moment = datetime(1000, 1, 1) + timedelta(seconds=choose.randrange(283_000_000_000))
        expected = (moment - datetime(1970, 1, 1)) / timedelta(days=1)
        assert cells.days(moment.isoformat()) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        *(("3.0", "3"), ("3", "3"), ("-3.00", "-3"), (" True ", "true"), ("TRUE", "true"), ("false", "false")),
        *(("007", "007"), ("007.0", "007.0"), ("3.10", "3.10"), ("3.", "3."), ("tRue", "tRue"), ("Yes", "Yes")),
        *(("1e3", "1e3"), ("a\nb", "a\nb"), ("\u00a0x\u00a0", "x"), ("", "")),
    ],
)  # fmt: skip
def test_a_value_has_one_form(cell: str, expected: str) -> None:
    assert cells.value(cell) == expected


@pytest.mark.parametrize("cell", ["007", "0123456", "1234567890123456"])
def test_a_code_is_no_quantity(cell: str) -> None:
    assert cells.CODE.fullmatch(cell)


@pytest.mark.parametrize("cell", ["0", "0.5", "123456789012345", "0.1234567890123456"])
def test_a_quantity_is_no_code(cell: str) -> None:
    assert not cells.CODE.fullmatch(cell)


def test_rendering_changes_no_pattern() -> None:
    source = (SOURCES / "trainer/data/cells.py").read_text(encoding="utf-8")
    assert not [mark for mark in ("{{", "{%", "{#") if mark in source]
