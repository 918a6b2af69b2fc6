"""How the generated project reads the text of a cell: by its own grammar, `trainer/data/cells.py`."""

import functools
import math
import re
from collections.abc import Iterable

from .shared import trainer_module

GRAMMAR = trainer_module("cells")
BLANKS: str = GRAMMAR.BLANKS
LARGEST_FLOAT32: float = GRAMMAR.LARGEST_FLOAT32
MISSING = ("", "?", "NA", "N/A", "NaN", "nan", "null", "NULL")

# A number with leading zeros is a code: a postal code would lose them.
NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
LONGEST_NUMBER = 50
ZEROS = str.maketrans("123456789", "000000000")
UNIT = re.compile(r"[0-9.,)]\s*([^\W\d_][^0-9()]*|[^\w\s.,()%+-][^0-9()]*)\)?")
COMMA_FRACTION = re.compile(r"[-+]?0,[0-9]")
SIMPLE_COMMA = re.compile(r"[-+]?[0-9]+,[0-9]+")
FEWEST_SHARE = 0.9  # of a sample that has to be numbers with one unit, or one decimal mark

# What people write for a missing value, in lower case.
MARKS = r"""
? ?? ??? - -- --- . .. ... na n/a n.a. n.a nan n/d nd null (null) none nil \n #n/a #na #n/a! #value! #ref!
#div/0! #null! #num! <na> (na) [na] <null> missing (missing) [missing] miss unknown unk (unknown) blank (blank) empty
(empty) undefined undef unspecified unavailable void nat tbd tba k.a. s/d
"""
PHRASES = (
    "not available,not applicable,no data,no answer,not known,no value,not specified,keine angabe"
)
MISSING_WORDS = frozenset(("", *MARKS.split(), "\u2013", "\u2014", *PHRASES.split(",")))


def is_number(text: str, decimal: str = ".", unit: str = "") -> bool:
    """Return whether text is a finite number that a float32 can hold, and no code."""
    if decimal == "." and NUMBER.fullmatch(text):
        return abs(float(text)) <= LARGEST_FLOAT32
    if len(text) > LONGEST_NUMBER or is_code(text):
        return False
    return has_form_of_number(text.translate(ZEROS), decimal, unit)


@functools.lru_cache(maxsize=100_000)
def has_form_of_number(form: str, decimal: str, unit: str) -> bool:
    """Return whether the grammar reads text whose digits are all zeros: it looks at their number alone."""
    return GRAMMAR.number(form, decimal, unit) is not None


def number(text: str, decimal: str = ".", unit: str = "") -> float:
    """Return the number that text holds, NaN if it holds none."""
    if decimal == "." and NUMBER.fullmatch(text):
        return float(text)
    found = GRAMMAR.number(text, decimal, unit)
    return math.nan if found is None else float(found)


def looks_numeric(text: str) -> bool:
    """Return whether text is a number, whichever the decimal mark of its table is."""
    return is_number(text) or is_number(text, ",")


def unit_of(texts: Iterable[str], decimal: str) -> str:
    """Return the text that is behind nearly all numbers, such as kg, "" if there is none."""
    texts = list(texts)
    found = [match[1].strip() for text in texts if (match := UNIT.search(text[-LONGEST_NUMBER:]))]
    unit = max(found, key=found.count, default="")
    if 2 * found.count(unit) < len(texts) or are_numbers(texts, decimal):
        return ""
    return unit if are_numbers(texts, decimal, unit) else ""


def are_numbers(texts: Iterable[str], decimal: str, unit: str = "") -> bool:
    """Return whether nearly all of some texts are numbers."""
    found = [is_number(text, decimal, unit) for text in texts if not is_missing_marker(text)]
    return bool(found) and sum(found) >= FEWEST_SHARE * len(found)


def decimal_of(columns: Iterable[Iterable[str]], delimiter: str) -> str:
    """Return the decimal mark of a table from samples of its columns: the one that makes more of them numeric."""
    samples = [list(column) for column in columns]
    if not any("," in text for texts in samples for text in texts):
        return "."
    commas, points = (
        [texts for texts in samples if are_numbers(texts, each, unit_of(texts, each))]
        for each in (",", ".")
    )
    if len(commas) != len(points):
        return "," if len(commas) > len(points) else "."
    cells = [text for texts in commas for text in texts]
    if any(map(COMMA_FRACTION.match, cells)):
        return ","
    # Each cell is a number with either: 1,234 in a table of semicolons, where nothing has a point, is 1.234.
    with_comma = any("," in text for text in cells) and not any("." in text for text in cells)
    return "," if delimiter == ";" and with_comma else "."


def is_integer(text: str) -> bool:
    """Return whether text is a plain number without a fraction, such as 3 or 3.0."""
    return bool(NUMBER.fullmatch(text)) and is_number(text) and float(text).is_integer()


def is_code(text: str) -> bool:
    """Return whether text is digits that name something: they have leading zeros, or are more than 15."""
    return bool(GRAMMAR.CODE.fullmatch(text))


def is_missing_marker(text: str) -> bool:
    """Return whether people write this text for a missing value. Only some of these are in MISSING."""
    return text in MISSING or text.lower() in MISSING_WORDS


@functools.lru_cache(maxsize=100_000)
def days(text: str, day_first: bool) -> float | None:
    """Return the days from 1970-01-01 to a date, None if text is none."""
    found: float | None = GRAMMAR.days(text, day_first)
    return found
