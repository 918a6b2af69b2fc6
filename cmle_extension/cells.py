"""How the generated project reads the text of a cell: as missing, a number, or another value."""

import re

BLANKS = " \t\n\v\f\r"  # stripped from both ends of a cell
MISSING = ("", "?", "NA", "N/A", "NaN", "nan", "null", "NULL")

# A number with leading zeros is a code: a postal code would lose them.
NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
LARGEST_FLOAT32 = 3.4e38
CODE = re.compile(r"0[0-9]+|[0-9]{16,}")  # digits that a number would lose

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


def is_number(text: str) -> bool:
    """Return whether text is a finite decimal number that a float32 can hold."""
    return bool(NUMBER.fullmatch(text)) and abs(float(text)) <= LARGEST_FLOAT32


def is_integer(text: str) -> bool:
    """Return whether text is a number without a fraction, such as 3 or 3.0."""
    return is_number(text) and float(text).is_integer()


def is_code(text: str) -> bool:
    """Return whether text is digits that name something: they have leading zeros, or are more than 15."""
    return bool(CODE.fullmatch(text))


def is_missing_marker(text: str) -> bool:
    """Return whether people write this text for a missing value. Only some of these are in MISSING."""
    return text in MISSING or text.lower() in MISSING_WORDS


def is_cast(text: str) -> bool:
    """Return whether SQL reads text as a number: it does so for leading zeros too."""
    return is_number(text) or is_number(re.sub("^[+-]?0+(?=[0-9])", "", text))
