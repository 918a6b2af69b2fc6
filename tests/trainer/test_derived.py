"""Derived columns of random expressions: SQL and TensorFlow compute the same."""

import random
from contextlib import suppress
from typing import Any

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
PARTS = ("YEAR", "MONTH", "DAY", "WEEKDAY", "HOUR")


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

    def of(wanted: str) -> str:
        return made_up(choose, wanted, depth - 1)

    if depth == 0 and type_ != "boolean":
        literals = {
            "number": ("0", "1", ".5", "1e3", "NULL"),
            "date": COLUMNS["date"],
            "text": ("''", "'a'", r"'it\'s'", "NULL"),
        }
        return choose.choice([*COLUMNS[type_] * 2, choose.choice(literals[type_])])
    any_type, some = choose.choice(["number", "date", "text"]), choose.randrange(1, 3)
    anything = [
        lambda: f"IF({of('boolean')}, {of(type_)}, {of(type_)})",
        lambda: f"coalesce({', '.join(of(type_) for _ in range(some + 1))})",
    ]
    ordered = [
        lambda: (
            f"{choose.choice(['LEAST', 'greatest'])}({', '.join(of(type_) for _ in range(some + 1))})"
        )
    ]
    forms: dict[str, list[Any]] = {
        "number": [
            *anything, *ordered,
            *[lambda: f"({of('number')} {choose.choice('+-*/')} {of('number')})"] * 6,
            *[lambda: f"{choose.choice(['ABS', 'LOG', 'SQRT', 'ROUND', '-'])}({of('number')})"] * 3,
            lambda: f"POW({of('number')}, {choose.choice(['2', '-1', '0.5', of('number')])})",
            *[lambda: f"{choose.choice(PARTS)}({of('date')})"] * 3,
            lambda: f"DAYS_BETWEEN({of('date')}, {of('date')})",
            lambda: f"LENGTH({of('text')})",
        ],
        "date": [*anything, *ordered],
        "text": [*anything, lambda: f"LOWER({of('text')})", lambda: f"CONCAT({of('text')}, {of('text')})"],
        "boolean": [
            lambda: f"({of(any_type)} {choose.choice(['=', '<>', '!='])} {of(any_type)})",
            lambda: f"({of('number')} {choose.choice(['<', '<=', '>', '>='])} {of('number')})",
            lambda: f"({of('date')} {choose.choice(['<', '<=', '>', '>='])} {of('date')})",
            lambda: f"REGEXP_CONTAINS({of('text')}, {choose.choice(PATTERNS)})",
            lambda: f"({of(any_type)} IS {choose.choice(['', 'NOT '])}NULL)",
        ],
    }  # fmt: skip
    if depth > 1:
        forms["boolean"] += [
            lambda: f"({of('boolean')} {choose.choice(['AND', 'or'])} {of('boolean')})",
            lambda: f"(NOT {of('boolean')})",
            anything[0],
        ]
    depth = max(depth, 1)
    return str(choose.choice(forms[type_])())


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
