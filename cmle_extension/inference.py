"""Infers the kind of each column from a sample of the table, with the reason where it is not plain. Pure functions."""

import functools
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .cells import NUMBER, SIMPLE_COMMA, days, is_code, is_integer, is_missing_marker
from .header import NAMELESS, YEARS
from .refusal import shown
from .table import Column, spread

CODES = "zip(?:[_ .-]?code)?|post(?:al)?[_ .-]?code|plz|fips|isbn|ean|gtin|ssn|phone"
IDENTIFIER_NAME = re.compile(rf"(?i:(?:.*[_ .-])?(?:id|index|{CODES}))|.*[a-z](?:Id|ID)")
# Names of numbers that only identify the rows if no two rows have the same one.
UNIQUE_NAME = re.compile(
    r"(?i:(?:.*[_ .-])?(?:uuid|guid|key|pk|seq|serial)|row([_ .-]?(?:num(?:ber)?|names?|no))?|#|s?[_ .-]?no\.?|nr\.?)"
)

NEAR_UNIQUE_SHARE = 0.9
MOST_CATEGORIES = 1000
LONG_TEXT = 25  # characters on average
WORD = re.compile(r"[^\W\d_]{2}")  # two letters
FEWEST_WORDS, FEWEST_WORDS_ON_AVERAGE = 2, 3
MOSTLY_DISTINCT_SHARE = 0.5
TEXT_WORDS = 64  # of trainer/features.py
FEW_CATEGORIES = 20  # categorical even in a table with few rows
CATEGORY_SHARE = 0.2

MOST_ODD_SHARE = 0.05  # of the cells in a column of numbers
MOST_REPEATED_SHARE = 0.2  # if they are one or two words: an unknown marker of missing values
MOST_REPEATED_WORDS = 2
MOST_ODD_SHARE_OF_CODES = 0.005  # where the numbers are few, a rare word may be one more class
MOST_NAMED = 3  # in a message
MOST_ODD_WORDS = 20  # more are not listed in MISSING
# Days are computed slowly, so of many dates a sample is read.
SAMPLED_DATES = 300
MOST_DATES = 1000
DATE_LIKE = re.compile(  # and no version, such as 1.2.34
    "[0-9]{4}|[0-9][/-][0-9]{1,2}[/-][0-9]|[0-9]{2}[.][0-9]{2}[.][0-9]{2}|[0-9][-/. ]*[A-Za-z]{3}"
)
DIGITS_OF_DATE = re.compile("(?:19|20)[0-9]{6}(?:[0-9]{6})?")

FEWEST_CODES_SHARE = 0.02
FEWEST_ROWS_OF_INDEX = 100  # of fewer numbers all may differ by chance

# A number, and then something that no dates, times, ranges and codes have.
NUMBER_LIKE = re.compile(
    r"[-+(~<>]?[^\w\s]?[0-9]+[.,' ]?[0-9., ]*[^0-9:/-]*[^:/-]*|[0-9]+:[0-9]{2}(:[0-9]{2})?\W*\w*",
    re.ASCII,
)

SENTINEL = re.compile(r"-?99+(?:\.0*)?")
FEWEST_SENTINELS = 3
FEWEST_SENTINEL_SHARE = 0.002


@dataclass(frozen=True)
class Finding:
    """The kind of a column, why if that is not plain, and how its cells are to be read."""

    kind: str
    note: str = ""
    missing: tuple[str, ...] = ()
    unit: str = ""
    day_first: bool = False


def kind_of(column: Column) -> str:
    """Return numeric, datetime, categorical, hashed, text or ignore."""
    return described(column).kind


@functools.lru_cache(maxsize=10_000)
def described(column: Column) -> Finding:
    """Return the kind of a column, with its reason."""
    if not is_hopeless(column) and (dates := described_dates(column)):
        return dates
    if reason := why_unused(column):
        return Finding("ignore", reason)
    if is_numeric(column) and not IDENTIFIER_NAME.fullmatch(column.name):
        return described_numbers(column)
    if text := described_text(column):
        return text
    if len(column.values) > 1 and near_unique(column):
        return Finding("ignore", why_no_category(column))
    note = unread_number(column) or half_numbers(column) or half_dates(column)
    return Finding(kind_of_text(column), note)


@functools.lru_cache(maxsize=10_000)
def described_numbers(column: Column) -> Finding:
    """Return what is to be known about a column of numbers: how they are written, and which of its cells are none."""
    odd = odd_cells(column) | sentinels(column)
    notes = [how_written(column), counted_cells(column, odd, "taken as missing")]
    return Finding("numeric", "; ".join(filter(None, notes)), tuple(odd), column.unit)


def how_written(column: Column) -> str:
    """Return an example of numbers that are not written plainly, "" if they are."""
    plain = SIMPLE_COMMA if column.decimal == "," else NUMBER
    for text in column.sample:
        if column.is_number(text) and not (plain.fullmatch(text) or NUMBER.fullmatch(text)):
            unit = f", UNITS has {shown(column.unit)}" if column.unit else ""
            return f"{shown(text)} is read as {column.number(text):.10g}{unit}"
    return ""


def described_text(column: Column) -> Finding | None:
    """Return what is to be known about a column of free text, None if it is no such column.

    Nearly all of its cells are of several words, and most of them differ.
    """
    found = [text.split() for text in column.sample]
    counts = [sum(bool(WORD.search(word)) for word in words) for words in found]
    several = sum(count >= FEWEST_WORDS for count in counts) >= NEAR_UNIQUE_SHARE * len(counts)
    distinct = len(column.values) > MOSTLY_DISTINCT_SHARE * column.present
    if not (several and distinct) or sum(counts) < FEWEST_WORDS_ON_AVERAGE * len(counts):
        return None
    if is_json(column) or (not is_long(column) and unread_number(column)):
        return None
    longer = sum(len(words) > TEXT_WORDS for words in found) / len(found)
    cut = f"the first {TEXT_WORDS} words of each text are read; {longer:.0%} of the texts have more"
    return Finding("text", cut if longer else "")


def is_long(column: Column) -> bool:
    texts = column.sample
    return sum(map(len, texts)) > LONG_TEXT * len(texts)


def is_json(column: Column) -> bool:
    return all(text[0] in "{[" and text[-1] in "}]" for text in column.sample)


@functools.lru_cache(maxsize=10_000)
def described_dates(column: Column) -> Finding | None:
    """Return what is to be known about a column of dates, None if it is no such column."""
    texts = [
        text for text in spread([*column.values], SAMPLED_DATES) if not is_missing_marker(text)
    ]
    if not (texts and any(map(DATE_LIKE.search, texts[:5])) and may_hold_dates(column)):
        return None
    counts = [sum(days(text, order) is not None for text in texts) for order in (False, True)]
    if max(counts) < (1 - MOST_ODD_SHARE) * len(texts) or len(texts) < 2:
        return None
    day_first, note = order_of_days(column, texts, counts[1] - counts[0])
    odd = odd_dates(column, day_first)
    notes = [note, counted_cells(column, odd, "taken as missing")]
    return Finding("datetime", "; ".join(filter(None, notes)), tuple(odd), day_first=day_first)


def order_of_days(column: Column, texts: Sequence[str], more: int) -> tuple[bool, str]:
    """Return whether the day comes before the month, and a note unless it never comes second.

    `more` is how many more of the texts are dates if it does.
    """
    numbered = [text for text in texts if days(text, False) != days(text, True)]
    if more or not numbered:
        return more > 0, f"the day comes first, as in {shown(texts[0])}" if more > 0 else ""
    day_first = looks_day_first(column, texts)
    first, edit = ("day", "take it out of") if day_first else ("month", "add it to")
    return (
        day_first,
        f"the {first} comes first, as in {shown(numbered[0])}; otherwise {edit} DAY_FIRST",
    )


def may_hold_dates(column: Column) -> bool:
    """Return whether numbers, if a column holds some, are all dates such as 20240131."""
    numbers = [text for text in column.sample if column.is_number(text)]
    return not column.numbers or all(map(DIGITS_OF_DATE.fullmatch, numbers))


def looks_day_first(column: Column, texts: Sequence[str]) -> bool:
    """Return whether the day comes first where no date is above the twelfth: the rows are sorted then, or points are used."""
    cells = [cell for cell in column.cells[:SAMPLED_DATES] if days(cell, False) is not None]
    falls = [
        sum(
            (days(after, order) or 0) < (days(before, order) or 0)
            for before, after in itertools.pairwise(cells)
        )
        for order in (False, True)
    ]
    return falls[1] < falls[0] if falls[0] != falls[1] else "." in texts[0]


def odd_dates(column: Column, day_first: bool) -> dict[str, int]:
    """Return the number of each cell of a column of dates that is none, markers of missing values first."""
    values = column.values
    odd = [text for text in values if is_missing_marker(text)]
    odd += [text for text in [*values][:MOST_DATES] if days(text, day_first) is None]
    return {text: values[text] for text in list(dict.fromkeys(odd))[:MOST_ODD_WORDS]}


def counted_cells(column: Column, cells: Mapping[str, int], what: str) -> str:
    """Return the number and the first of some cells of a column, and what they are, "" for no cells."""
    if not cells:
        return ""
    named = " or ".join(map(shown, [*cells][:MOST_NAMED]))
    named += f" or {len(cells) - MOST_NAMED} more" if len(cells) > MOST_NAMED else ""
    count = sum(cells.values())
    return (
        f"{count:,} of {len(column.cells):,} cells {'is' if count == 1 else 'are'} {named}, {what}"
    )


def is_hopeless(column: Column) -> bool:
    """Return whether a column has no values, no name or one value, whatever its cells are."""
    return bool(why_hopeless(column) or len(column.values) < 2)


def why_hopeless(column: Column) -> str:
    if column.reason or not column.values:
        return column.reason or "no values"
    if column.name == "self":
        return "TensorFlow cannot serve a column of this name; rename it in the file"
    return "no name in the header, as of a row index" * bool(NAMELESS.fullmatch(column.name))


def why_unused(column: Column) -> str:
    """Return why a column cannot help to predict the label of other rows, "" if it can."""
    if reason := why_hopeless(column):
        return reason
    if is_constant(column):
        return "the same value in every row"
    if is_row_number(column):
        return "row numbers"
    return "identifiers, another one in each row" if is_identifier(column) else ""


def why_no_category(column: Column) -> str:
    """Return what a text column is that has another value in nearly every row."""
    texts, long = column.sample, is_long(column)
    if is_json(column):
        return "JSON, which is not read; write its values into columns of their own"
    if not long and (unread := unread_number(column)):
        return f"{unread}; they differ in nearly every row"
    if long or sum(" " in text for text in texts) > len(texts) / 2:
        return "text that differs in nearly every row"
    return "identifiers, another one in nearly every row"


def unread_number(column: Column) -> str:
    """Return an example of cells that begin as numbers and are not read as such, "" if they are few, or few values."""
    found = [
        text
        for text in column.sample
        if NUMBER_LIKE.fullmatch(text) and not (column.is_number(text) or text.isdigit())
    ]
    many = len(column.values) > FEW_CATEGORIES and len(found) >= NEAR_UNIQUE_SHARE * len(
        column.sample
    )
    return f"texts such as {shown(found[0])}, not read as numbers" if many else ""


def half_numbers(column: Column) -> str:
    """Return how many cells are numbers, with another one, "" if they are less than half, all or few different ones."""
    count = sum(column.numbers.values())
    if len(column.numbers) <= FEW_CATEGORIES or not column.present / 2 <= count < column.present:
        return ""
    other = next(text for text in column.values if text not in column.numbers)
    return (
        f"{count:,} of {column.present:,} cells are numbers, others such as {shown(other)} are not"
    )


def half_dates(column: Column) -> str:
    """Return how many texts of a sample are dates, with another one, "" if they are less than half or all."""
    texts = column.sample
    other = [text for text in texts if days(text, False) is None and days(text, True) is None]
    count = len(texts) - len(other)
    if not other or 2 * count < len(texts) or column.numbers:
        return ""
    return f"{count} of {len(texts)} texts are dates, others such as {shown(other[0])} are not"


def is_numeric(column: Column) -> bool:
    """Return whether the column holds quantities: at least two numbers, and few other cells."""
    return len(column.numbers) > 1 and not holds_codes(column) and odd_share_is_small(column)


def holds_codes(column: Column) -> bool:
    """Return whether digits are names, not quantities: leading zeros, or more digits than a float holds."""
    codes = {value: count for value, count in column.values.items() if is_code(value)}
    same_length = len(set(map(len, column.values))) == 1
    return bool(codes) and (
        same_length or sum(codes.values()) > FEWEST_CODES_SHARE * column.present
    )


def odd_cells(column: Column) -> dict[str, int]:
    """Return the number of each cell of a column of numbers that SQL does not read as one."""
    return {
        value: count
        for value, count in (column.values - column.numbers).items()
        if not column.is_cast(value)
    }


def odd_share_is_small(column: Column) -> bool:
    """Return whether the cells that are neither numbers nor missing are as few as mistakes and markers are."""
    odd = odd_cells(column)
    words = [count for value, count in odd.items() if not is_missing_marker(value)]
    share = sum(words) / (sum(column.numbers.values()) + sum(words))
    if len(column.numbers) <= FEW_CATEGORIES:
        return share <= MOST_ODD_SHARE_OF_CODES
    repeated = len(words) <= MOST_REPEATED_WORDS and share <= MOST_REPEATED_SHARE
    return repeated or (share <= MOST_ODD_SHARE and len(odd) <= MOST_ODD_WORDS)


def sentinels(column: Column) -> dict[str, int]:
    """Return the numbers such as -999 that mean a missing value: nines, repeated and far from all others."""
    often = max(FEWEST_SENTINELS, FEWEST_SENTINEL_SHARE * column.present)
    found = {
        text: count
        for text, count in column.numbers.items()
        if count >= often and SENTINEL.fullmatch(text)
    }
    if not found:
        return {}
    others = [column.number(text) for text in column.numbers if text not in found]
    if len(others) <= FEW_CATEGORIES:
        return {}
    low, high = min(others), max(others)
    far = high - low
    return {
        text: count
        for text, count in found.items()
        if not low - far <= column.number(text) <= high + far
    }


def is_constant(column: Column) -> bool:
    """Return whether every cell has the same value; a column with one value and missing cells is not constant."""
    return len(column.values) == 1 and column.present == len(column.cells)


def is_identifier(column: Column) -> bool:
    """Return whether integers identify the rows, and so do not generalise to new ones."""
    if len(column.values) < len(column.cells) or not all(map(is_integer, column.values)):
        return False
    name = column.name.strip()
    return bool(IDENTIFIER_NAME.fullmatch(name) or UNIQUE_NAME.fullmatch(name))


def near_unique(column: Column) -> bool:
    """Return whether at least 90 % of the present values are distinct."""
    return len(column.values) >= NEAR_UNIQUE_SHARE * column.present


def is_row_number(column: Column) -> bool:
    """Return whether integers count the rows: by one from row to row, with gaps where rows were removed, or shuffled."""
    if len(column.values) < len(column.cells) or not all(map(is_integer, column.cells)):
        return False
    numbers = [float(cell) for cell in column.cells]
    if min(numbers) >= YEARS[0] and max(numbers) <= YEARS[-1]:
        return False
    starts = set(column.starts)
    steps = {numbers[row] - numbers[row - 1] for row in range(1, len(numbers)) if row not in starts}
    if steps in ({1.0}, {-1.0}):
        return True
    dense = max(numbers) - min(numbers) < 2 * len(numbers) and min(numbers) in (0, 1)
    return dense and len(numbers) >= FEWEST_ROWS_OF_INDEX and len(starts) == 1


def kind_of_text(column: Column) -> str:
    """Return categorical for few values, hashed for many."""
    distinct = len(column.values)
    few = distinct <= max(FEW_CATEGORIES, CATEGORY_SHARE * column.present)
    return "categorical" if few and distinct <= MOST_CATEGORIES else "hashed"
