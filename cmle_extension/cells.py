"""How the generated project reads the text of a cell: as missing, a number, or another value."""

import re

BLANKS = " \t\n\v\f\r"  # stripped from both ends of a cell
MISSING = ("", "?", "NA", "N/A", "NaN", "nan", "null", "NULL")

# A number with leading zeros is a code: a postal code would lose them.
NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
LARGEST_FLOAT32 = 3.4e38


def is_number(text: str) -> bool:
    """Return whether text is a finite decimal number that a float32 can hold."""
    return bool(NUMBER.fullmatch(text)) and abs(float(text)) <= LARGEST_FLOAT32


def is_integer(text: str) -> bool:
    """Return whether text is a number without a fraction, such as 3 or 3.0."""
    return is_number(text) and float(text).is_integer()
