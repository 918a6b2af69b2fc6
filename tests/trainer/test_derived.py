"""Derived columns of random expressions: SQL and TensorFlow compute the same."""

import random
import re
from contextlib import suppress

import numpy as np
import pytest
from derivation import TABLE, by_graph, by_sql, with_expressions
from trainer.data import expressions
from trainer.data.schema import Schema, check
from trainer.run.errors import UserError

ROWS, EXPRESSIONS = 300, 80
KINDS = {"number": "numeric", "date": "datetime", "text": "hashed", "boolean": "numeric"}
COLUMNS = {
    "number": ("a", "b", "`odd name`", "`free number`"),
    "date": ("first", "last", "free_date"),
    "text": ("word", "note", "free_text"),
}
TYPED_TABLE = TABLE | {"free number": "numeric", "free_date": "datetime", "free_text": "text"}
# Uses that give the ignored columns their types.
TYPED = {
    "t1": "`free number` + 1",
    "t2": "DAYS_BETWEEN(free_date, first)",
    "t3": "LOWER(free_text)",
}
NUMBERS = (
    "0",
    "-0",
    "1",
    "-1",
    "0.1",
    "0.5",
    "2.5",
    "-2.5",
    "1e30",
    "3e38",
    "-3e38",
    "1e-30",
    "1,000",
    "$5",
    "(3)",
    "7 %",
)
DATES = ("2024-02-29", "1970-01-01", "1969-12-31 23:59:59", "2000-01-01T05:00:00Z", "3/1/1999 11:59 pm", "1000-01-01", "9999-12-31",
         "2024-12-31 23:30:00.25 -0100", "Feb 28, 1900")  # fmt: skip
TEXTS = (
    "a",
    "A",
    "3.0",
    "3",
    "TRUE",
    " ab ",
    "É",
    "İ",
    "ΣΑΣ",
    "a\nb",
    "x.y",
    "it's",
    'say "so"',
    "back\\slash",
    "日本",
    "\U0001f600!",
    "-999.0",
)
MISSING = ("", " ", "NA", "-999", "\u00a0NA")
PATTERNS = (
    "r'^a'",
    "r'[0-9]+$'",
    "'a.b'",
    r"r'\w\d'",
    "'(?i)É|x'",
    r"r'\.'",
    "''",
    "r'a|b'",
    "'^$'",
)
# What stands in braces in a form is an expression of that type, or one of CHOICES; {same} is of the type
# of the form, and {any} of any type.
LITERALS = {
    "number": ("0", "1", ".5", "1e3", "NULL"),
    "date": COLUMNS["date"],
    "text": ("''", "'a'", r"'it\'s'", "NULL"),
}
CHOICES = {
    "operator": ("+", "-", "*", "/"),
    "function": ("ABS", "LOG", "SQRT", "ROUND", "-"),
    "power": ("2", "-1", "0.5", "{number}"),
    "part": ("YEAR", "MONTH", "DAY", "WEEKDAY", "HOUR"),
    "pattern": PATTERNS,
    "least": ("LEAST", "greatest"),
    "more": ("", ", {same}"),
    "equal": ("=", "<>", "!="),
    "less": ("<", "<=", ">", ">="),
    "not": ("", "NOT "),
    "and": ("AND", "or"),
}
ANYTHING = ("IF({boolean}, {same}, {same})", "coalesce({same}, {same}{more})")
ORDERED = (*ANYTHING, "{least}({same}, {same}{more})")
FORMS = {
    "number": (
        *ORDERED,
        *("({number} {operator} {number})",) * 6,
        *("{function}({number})", "{part}({date})") * 3,
        *("POW({number}, {power})", "DAYS_BETWEEN({date}, {date})", "LENGTH({text})"),
    ),
    "date": ORDERED,
    "text": (*ANYTHING, "LOWER({text})", "CONCAT({text}, {text})"),
    "boolean": (
        *("({any} {equal} {any})", "({number} {less} {number})", "({date} {less} {date})"),
        *("REGEXP_CONTAINS({text}, {pattern})", "({any} IS {not}NULL)"),
    ),
}
OF_BOOLEANS = ("({boolean} {and} {boolean})", "(NOT {boolean})", ANYTHING[0])


def made_up_cell(choose: random.Random, type_: str) -> str:
    if choose.random() < 0.2:
        return choose.choice(MISSING)
    if type_ == "number":
        return choose.choice([*NUMBERS, f"{choose.gauss(0, 100)}", f"{choose.randrange(-9, 9)}"])
    if type_ == "date":
        day = f"{choose.randrange(1900, 2100)}-{choose.randrange(1, 13):02}-{choose.randrange(1, 29):02}"
        time = f"{day} {choose.randrange(24):02}:{choose.randrange(60):02}:{choose.uniform(0, 59):05.2f}"
        return choose.choice([*DATES, day, time])
    return choose.choice(TEXTS)


def made_up(choose: random.Random, type_: str, depth: int) -> str:
    """Return an expression of a type."""
    if depth == 0 and type_ != "boolean":
        return choose.choice([*COLUMNS[type_] * 2, choose.choice(LITERALS[type_])])
    forms = FORMS[type_] + (OF_BOOLEANS if type_ == "boolean" and depth > 1 else ())
    types = {"same": type_, "any": choose.choice([*COLUMNS])}

    def part(name: re.Match[str]) -> str:
        if name[1] in CHOICES:
            return filled(choose.choice(CHOICES[name[1]]))
        return made_up(choose, types.get(name[1], name[1]), max(depth, 1) - 1)

    def filled(form: str) -> str:
        return re.sub(r"\{(\w+)\}", part, form)

    return filled(choose.choice(forms))


def made_up_table(schema: Schema, choose: random.Random) -> dict[str, list[str]]:
    types = {name.strip("`"): type_ for type_, names in COLUMNS.items() for name in names}
    return {
        name: [made_up_cell(choose, types.get(name, "text")) for _ in range(ROWS)]
        for name in schema.raw.columns
    }


@pytest.mark.parametrize("seed", range(4))
def test_sql_and_the_graph_compute_the_same(schema: Schema, seed: int) -> None:
    choose = random.Random(seed)
    found: dict[str, tuple[str, str]] = {}
    while len(found) < EXPRESSIONS:
        type_ = choose.choice([*KINDS])
        text = made_up(choose, type_, choose.randrange(1, 5))
        with suppress(UserError):  # of too many words, or of no column
            expressions.parsed({"d": text}, TYPED_TABLE | {"d": KINDS[type_]})
            found[f"d{len(found)}"] = (text, KINDS[type_])
    free = {name: (text, "hashed" if name == "t3" else "numeric") for name, text in TYPED.items()}
    wide = with_expressions(schema, found | free)
    check(wide)
    rows = made_up_table(wide, choose)
    expected = by_sql(wide, rows)
    known = 0
    for signature in ("text", "serving_default"):
        served = by_graph(wide, rows, signature)
        for name, values in expected.items():
            text = wide.derived[name]
            if wide.columns[name] == "hashed":
                assert [each.decode() for each in served[name]] == values, text
            else:
                numbers = np.array(values, np.float64).astype(np.float32)
                np.testing.assert_allclose(
                    served[name], numbers, rtol=1e-5, atol=1e-37, err_msg=text
                )
                known += int(np.isfinite(numbers).sum())
    assert known > ROWS * EXPRESSIONS / 4, "too few numbers are known to show anything"
