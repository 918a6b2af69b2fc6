"""Infers the kind of each column from a sample of the table, with the reason where it is not plain. Pure functions."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from .cells import is_cast, is_code, is_integer, is_missing_marker
from .header import NAMELESS
from .refusal import shown
from .table import Column

IDENTIFIER_NAME = re.compile(r"(?i:(?:.*[_ .-])?(?:id|index))|.*[a-z](?:Id|ID)")
# Names of numbers that only identify the rows if no two rows have the same one.
UNIQUE_NAME = re.compile(
    r"(?i:(?:.*[_ .-])?(?:uuid|guid|key|pk|seq|serial)|row([_ .-]?(?:num(?:ber)?|names?|no))?|#|s?[_ .-]?no\.?|nr\.?)"
)

NEAR_UNIQUE_SHARE = 0.9
MOST_CATEGORIES = 1000
FEW_CATEGORIES = 20  # categorical even in a table with few rows
CATEGORY_SHARE = 0.2

MOST_ODD_SHARE = 0.05  # of the cells in a column of numbers
MOST_REPEATED_SHARE = 0.2  # if they are one or two words: an unknown marker of missing values
MOST_REPEATED_WORDS = 2
MOST_ODD_SHARE_OF_CODES = 0.005  # where the numbers are few, a rare word may be one more class
MOST_NAMED = 3  # in a message
MOST_ODD_WORDS = 20  # more are not listed in MISSING
FEWEST_CODES_SHARE = 0.02
FEWEST_ROWS_OF_INDEX = 100  # of fewer numbers all may differ by chance

SENTINEL = re.compile(r"-?99+(?:\.0*)?")
FEWEST_SENTINELS = 3
FEWEST_SENTINEL_SHARE = 0.002


@dataclass(frozen=True)
class Finding:
    """The kind of a column, why if that is not plain, and the cells that are to be taken as missing."""

    kind: str
    note: str = ""
    missing: tuple[str, ...] = ()


def kind_of(column: Column) -> str:
    """Return numeric, categorical, hashed or ignore."""
    return described(column).kind


@functools.lru_cache(maxsize=10_000)
def described(column: Column) -> Finding:
    """Return the kind of a column, with its reason."""
    if reason := why_unused(column):
        return Finding("ignore", reason)
    if is_numeric(column) and not IDENTIFIER_NAME.fullmatch(column.name):
        return described_numbers(column)
    if len(column.values) > 1 and near_unique(column):
        return Finding("ignore", why_no_category(column))
    return Finding(kind_of_text(column))


def described_numbers(column: Column) -> Finding:
    """Return what is to be known about a column of numbers: which of its cells are none."""
    odd = odd_cells(column) | sentinels(column)
    return Finding("numeric", counted_cells(column, odd, "taken as missing"), tuple(odd))


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


def why_unused(column: Column) -> str:
    """Return why a column cannot help to predict the label of other rows, "" if it can."""
    if column.reason or not column.values:
        return column.reason or "no values"
    if NAMELESS.fullmatch(column.name):
        return "no name in the header, as of a row index"
    if is_constant(column):
        return "the same value in every row"
    if is_row_number(column):
        return "row numbers"
    return "identifiers, another one in each row" if is_identifier(column) else ""


def why_no_category(column: Column) -> str:
    """Return what a text column is that has another value in nearly every row."""
    texts = list(column.values)[:100]
    if all(text[0] in "{[" and text[-1] in "}]" for text in texts):
        return "JSON, which is not read; write its values into columns of their own"
    if (
        sum(map(len, texts)) > 25 * len(texts)
        or sum(" " in text for text in texts) > len(texts) / 2
    ):
        return "text that differs in nearly every row"
    return "identifiers, another one in nearly every row"


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
        if not is_cast(value)
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
    found: dict[str, int] = {}
    numbers = {float(value): value for value in column.numbers}
    for number in (min(numbers), max(numbers)) if numbers else ():
        text, others = numbers[number], [each for each in numbers if each != number]
        often = column.values[text] >= max(FEWEST_SENTINELS, FEWEST_SENTINEL_SHARE * column.present)
        if SENTINEL.fullmatch(text) and often and len(others) > FEW_CATEGORIES:
            gap = min(abs(number - min(others)), abs(number - max(others)))
            if gap > max(others) - min(others):
                found[text] = column.values[text]
    return found


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
