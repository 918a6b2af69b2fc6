"""The one grammar of cells: blanks, numbers, dates and values, for SQL, TensorFlow, Python and the prompts alike.

A rule is a regular expression for complete text, and its replacement. Patterns keep to the syntax and meaning that Python's
`re` shares with RE2, which DuckDB, BigQuery and TensorFlow use: `[0-9]` for `\\d`, `[^\\n]` for `.`, no look-around.
This module imports the standard library alone: the template loads it by its path.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

Rules = tuple[tuple[str, str], ...]

# ASCII's, then no-break, figure, thin, narrow no-break and ideographic blanks, and the byte order mark.
BLANKS = " \t\n\v\f\r\u00a0\u2007\u2009\u202f\u3000\ufeff"
LARGEST_FLOAT32 = 3.4e38
# What is no quantity: leading zeros, or more digits than a double holds.
CODE = re.compile("0[0-9]+|[0-9]{16,}")
BLANK = f"[{BLANKS}]"
ANY = r"[^\n]*"
# Here, because two braces in a row are a placeholder of the template.
TWO, THREE, FOUR, UP_TO_THREE = "[0-9]{2}", "[0-9]{3}", "[0-9]{4}", "[0-9]{1,3}"

SYMBOLS = "$€£¥₹₽₩₺₴₫₪₦₱₿฿₡₲₵₸₼₾"
ISO_4217 = (
    "AED|ARS|AUD|BGN|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EGP|EUR|GBP|HKD|HUF|IDR|ILS|INR|JPY|KRW|KZT|MXN|MYR|NGN|NOK|NZD|"
    "PEN|PHP|PKR|PLN|RON|RUB|SAR|SEK|SGD|THB|TRY|TWD|UAH|USD|VND|ZAR"
)
CURRENCY = "(?:[A-Z]{0,3}" + f"[{SYMBOLS}]|{ISO_4217})"
SIGN = "[-+\u2212]"  # the last is the typographic minus
QUOTES = "'\u2019"

MONTHS = (
    *("jan(?:uary)?", "feb(?:ruary)?", "mar(?:ch)?", "apr(?:il)?", "may", "june?", "july?"),
    *("aug(?:ust)?", "sept?(?:ember)?", "oct(?:ober)?", "nov(?:ember)?", "dec(?:ember)?"),
)
WEEKDAY = "(?i:mon|tue|tues|wed|thu|thur|thurs|fri|sat|sun|monday|tuesday|wednesday|thursday|friday|saturday|sunday)"
DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
LEAP_YEAR = "(?:[1-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)"
CALENDAR_DATE = (
    "(?:[1-9][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    f"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{LEAP_YEAR}-02-29)"
)
SECONDS_PER_DAY = 86_400
EPOCH = date(1970, 1, 1).toordinal()
WORD = "[A-Za-z]{3}|m[0-9]"  # or what the rules have made of a month
# Between the words of a text: whatever is no letter or digit in ASCII, and blanks and punctuation beyond it.
NO_WORD = "[\\x00-/:-@\\[-`{-\u00bf\u2000-\u206f\u3000-\u303f\ufeff]+"


@dataclass(frozen=True)
class Grammar:
    """How text of one kind becomes canonical: `worded` rules where it holds a word, `rules` in order, `valid`, `edits`.

    A rule applies to complete text; an edit replaces each occurrence in text that is `valid`.
    """

    rules: Rules
    valid: str
    edits: Rules = ()
    worded: Rules = ()

    def canonical(self, text: str) -> str | None:
        """Return the canonical form of text, None if it is not valid."""
        if self.worded and re.search(WORD, text):
            text = replaced(text, self.worded)
        text = replaced(text, self.rules)
        if not re.fullmatch(self.valid, text):
            return None
        for pattern, replacement in self.edits:
            text = re.sub(pattern, replacement, text)
        return text


def replaced(text: str, rules: Rules) -> str:
    """Return text after each rule that matches it completely."""
    for pattern, replacement in rules:
        if match := re.fullmatch(pattern, text):
            text = match.expand(replacement)
    return text


# Of a category: 3.0 and 3 are one value, as are True, TRUE and true.
VALUES: Rules = (
    (r"(-?(?:0|[1-9][0-9]*))[.]0+", r"\1"),
    ("True|TRUE", "true"),
    ("False|FALSE", "false"),
)


@lru_cache
def number_grammar(decimal: str = ".", unit: str = "") -> Grammar:
    """Return the grammar of numbers whose canonical form every engine casts alike; a unit may be behind them.

    Thousands are separated in groups of three; a currency may be before or behind; parentheses are a minus; 5 % is 5e-2.
    """
    comma = "." if decimal == "," else ","
    point = "," if decimal == "," else r"\."
    end = r"([^\n]*[0-9.,)])"  # of the number, before what is removed
    separators = (f"[{comma}]", f"[{QUOTES}]", BLANK)
    grouped = "|".join(f"(?:{each}{THREE})+" for each in separators)
    integer = f"(?:{UP_TO_THREE}(?:{grouped})|[0-9]+)"
    units = [(f"{end}{BLANK}*{re.escape(unit)}(\\)?)", r"\1\2")] if unit else []
    return Grammar(
        rules=(
            *units,
            (f"({SIGN}?\\(?{SIGN}?){BLANK}*{CURRENCY}{BLANK}*({ANY})", r"\1\2"),
            (f"{end}{BLANK}*{CURRENCY}(\\)?)", r"\1\2"),
            (f"{end}{BLANK}*%(\\)?)", r"\1e-2\2"),
            (f"\\({BLANK}*([^()\\n]*[0-9.,]){BLANK}*\\)((?:e-2)?)", r"-\1\2"),
        ),
        valid=f"{SIGN}?{BLANK}?(?:{integer}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE]{SIGN}?[0-9]+)?",
        edits=((f"[{comma}{QUOTES}{BLANKS}]", ""), ("\u2212", "-"), (point, ".")),
    )


NUMBER, YEAR, REST = "([0-9]{1,2})", "([0-9]{4}|[0-9]{2})", r"((?:[^0-9\n][^\n]*)?)"
ORDINAL = f"{NUMBER}(?:st|nd|rd|th)?"
TIME, SECONDS = f"{DATE}[ ap]{TWO}:{TWO}", "([0-9]{2}(?:[.][0-9]*)?)"
# Text with the name of a month, which becomes m and its number.
WORDED_DATES: Rules = (
    (f"{WEEKDAY}[.,]* +({ANY})", r"\1"),
    *(
        (f"([^A-Za-z\\n]*)(?i:{name})[.]?((?:[^A-Za-z\\n]{ANY})?)", f"\\1m{month:02d}\\2")
        for month, name in enumerate(MONTHS, 1)
    ),
    (f"{ORDINAL}[-/. ]*m({TWO})[-/., ]*{YEAR}{REST}", r"y\3-\2-\1\4"),
    (f"m({TWO})[-/. ]*{ORDINAL}[-/., ]+{YEAR}{REST}", r"y\3-\1-\2\4"),
    (f"({FOUR})[-/. ]*m({TWO})[-/. ]*{NUMBER}{REST}", r"\1-\2-\3\4"),
    ("m([0-9]{2})[-/., ]*([0-9]{4})", r"\2-\1-1"),
)
YEAR_FIRST: Rules = (
    (f"({FOUR})[-/.]{NUMBER}[-/.]{NUMBER}{REST}", r"\1-\2-\3\4"),
    ("([0-9]{4})[-/]([0-9]{1,2})", r"\1-\2-1"),
    ("([0-9]{8})([0-9]{6})", r"\1T\2"),
    (f"({FOUR})({TWO})({TWO}){REST}", r"\1-\2-\3\4"),
)
# A year that may have two digits is behind y.
YEAR_LAST = f"{NUMBER}[-/.]{NUMBER}[-/.]{YEAR}{REST}"
TWO_DIGITS: Rules = (
    (f"y({FOUR}-{ANY})", r"\1"),
    (f"y([0-5][0-9]|6[0-8])(-{ANY})", r"20\1\2"),
    (f"y({TWO})(-{ANY})", r"19\1\2"),
    (f"({FOUR})-([0-9])-({ANY})", r"\1-0\2-\3"),
    (f"({FOUR}-{TWO})-([0-9]){REST}", r"\1-0\2\3"),
)
# Of half a day, hours are behind a or p.
TIMES: Rules = (
    (f"({DATE})(?:[Tt]|,? +)([0-9]:{ANY})", r"\1 0\2"),
    (f"({DATE})(?:[Tt]|,? +)({TWO})({TWO})({TWO}){REST}", r"\1 \2:\3:\4\5"),
    (f"({DATE})(?:[Tt]|,? +)({TWO}:{ANY})", r"\1 \2"),
    (f"({DATE}) ([0-9:.]+){BLANK}?(?i:a[.]?m[.]?)({ANY})", r"\1a\2\3"),
    (f"({DATE}) ([0-9:.]+){BLANK}?(?i:p[.]?m[.]?)({ANY})", r"\1p\2\3"),
    (f"({TIME})((?:[^:0-9\\n]{ANY})?)", r"\1:00\2"),
    (f"({TIME}:{TWO}),([0-9]+{ANY})", r"\1.\2"),
    (f"({TIME}):{SECONDS}(?:{BLANK}?(?:Z|z|UTC|GMT))?", r"\1+00:00 \2"),
    (f"({TIME}):{SECONDS}{BLANK}?([-+]{TWO})", r"\1\3:00 \2"),
    (f"({TIME}):{SECONDS}{BLANK}?([-+]{TWO}):?({TWO})", r"\1\3:\4 \2"),
    (f"({DATE})", r"\1 00:00+00:00 00"),
)


@lru_cache
def date_grammar(day_first: bool = False) -> Grammar:
    """Return the grammar of dates and times; canonical is `YYYY-MM-DD HH:MM+HH:MM SS.f`: date, time, zone, seconds.

    The character after the date is a blank, or `a` or `p` before hours of half a day.
    """
    year_last = (YEAR_LAST, r"y\3-\2-\1\4" if day_first else r"y\3-\1-\2\4")
    return Grammar(
        worded=WORDED_DATES,
        rules=(*YEAR_FIRST, year_last, *TWO_DIGITS, *TIMES),
        valid=f"{CALENDAR_DATE}(?: (?:[01][0-9]|2[0-3])|[ap](?:0[1-9]|1[0-2])):[0-5][0-9]"
        "[-+](?:0[0-9]|1[0-4]):[0-5][0-9] [0-5][0-9](?:[.][0-9]*)?",
    )


def stripped(cell: str) -> str:
    return cell.strip(BLANKS)


def value(cell: str) -> str:
    """Return the value of a category that a cell holds; text stays as it is, without blanks around it."""
    return replaced(stripped(cell), VALUES)


def number(cell: str, decimal: str = ".", unit: str = "") -> float | None:
    """Return the number that a cell holds, None if it holds none that is finite in float32."""
    text = number_grammar(decimal, unit).canonical(stripped(cell))
    found = float(text) if text is not None else LARGEST_FLOAT32 * 2
    return found if abs(found) <= LARGEST_FLOAT32 else None


def days(cell: str, day_first: bool = False) -> float | None:
    """Return the days from 1970-01-01 00:00 UTC to the date and time that a cell holds, None if it holds none."""
    text = date_grammar(day_first).canonical(stripped(cell))
    if text is None:
        return None
    zone = int(f"{text[16]}{text[17:19]}") * 60 + int(f"{text[16]}{text[20:22]}")
    hour = int(text[11:13]) if text[10] == " " else int(text[11:13]) % 12 + 12 * (text[10] == "p")
    seconds = (hour * 60 + int(text[14:16]) - zone) * 60 + float(text[23:])
    return date.fromisoformat(text[:10]).toordinal() - EPOCH + seconds / SECONDS_PER_DAY


def date_of(days: float) -> str:
    """Return the date and time, UTC, that is `days` after 1970-01-01 00:00: the inverse of `days`, to a microsecond."""
    return (datetime(1970, 1, 1) + timedelta(days=days)).isoformat(" ")


def text(value: object, decimal: str = ".") -> str:
    """Return a value as preparation reads it from a table: a boolean in lower case, and "" for null and NaN."""
    if isinstance(value, str):
        # JSON can hold half a character, which TensorFlow refuses.
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if value is None or value != value:
        return ""
    if isinstance(value, (dict, list)):
        raise ValueError("text, a number, true, false or null")
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).replace(".", decimal) if isinstance(value, float) else str(value)
