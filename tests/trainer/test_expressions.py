"""Expressions of derived columns: what they mean, and the line with the position of what is wrong in one."""

import numpy as np
import pytest
from derivation import TABLE, by_graph, by_sql, tree, with_expressions
from trainer.data import expressions
from trainer.data.schema import Schema, check, check_names
from trainer.run.errors import UserError
from trainer.training.derived import OF_MISSING, OPERATIONS


def test_each_function_has_an_operation() -> None:
    assert {*expressions.FUNCTIONS} == {*OPERATIONS, *OF_MISSING}


INVALID = [
    ("a +", "numeric", 'character 4: it ends here; expected a column, a number, text in quotes or a function; correct it'),
    ("a b", "numeric", "character 3: 'b' stands here; expected an operator, or the end"),
    ("(a + b", "numeric", r"character 7: it ends here; expected \)"),
    ("a ? b", "numeric", "character 3: '[?]' stands here; expected an operator, or the end"),
    ("1 + 2", "numeric", "character 1: the expression reads no column; expected a column of the table"),
    ("a + aa", "numeric", "character 5: 'aa' is no column of the table; expected a column that is not derived; did you mean 'a'"),
    ("FLOOR(a)", "numeric", "character 1: 'FLOOR' is no function here; expected one of ABS, COALESCE, .*LOWER"),
    ("a + LOG(a, b)", "numeric", r"character 5: LOG has 2 argument\(s\); expected 1, separated by commas"),
    ("LOG()", "numeric", r"character 5: '\)' stands here; expected a column"),
    ("COALESCE(a)", "numeric", r"COALESCE has 1 argument\(s\); expected 2 or more"),
    ("a + word", "numeric", r"character 5: \+ takes a number here, and this is a text; expected a number; correct it, or a kind in COLUMNS"),
    ("LOWER(a)", "hashed", "character 7: LOWER takes a text here, and this is a number"),
    ("IF(a, 1, 2)", "numeric", "character 4: IF takes a boolean here, and this is a number"),
    ("COALESCE(a, 'x')", "hashed", "character 10: COALESCE takes a text here, and this is a number"),
    ("first - last", "numeric", "character 1: - takes a number here, and this is a date"),
    ("word < note", "numeric", "character 6: < takes no text; expected numbers or dates"),
    ("LEAST(word, note)", "hashed", "character 1: LEAST takes no text; expected numbers or dates"),
    ("REGEXP_CONTAINS(word, note)", "numeric", "character 23: REGEXP_CONTAINS takes a pattern here, and this is a text; expected a pattern"),
    ("REGEXP_CONTAINS(word, NULL)", "numeric", "character 23: REGEXP_CONTAINS takes a pattern here, and this is a NULL"),
    ("REGEXP_CONTAINS(word, 'a)(b')", "numeric", r"character 23: the pattern cannot be read \(.*\); expected RE2's syntax"),
    ("REGEXP_CONTAINS(word, '(?=a)')", "numeric", r"character 23: the pattern cannot be read"),
    ("a IS 1", "numeric", "character 6: '1' stands here; expected NULL"),
    ("a", "categorical", 'character 1: a number is of the kind categorical; expected numeric or ignore; write \'d\': "numeric" in COLUMNS'),
    ("word", "numeric", "character 1: a text is of the kind numeric; expected categorical or hashed or text or ignore"),
    ("LEAST(first, last)", "numeric", "character 1: a date is of the kind numeric; expected datetime"),
    ("a = b", "hashed", "character 1: a boolean is of the kind hashed; expected numeric"),
    ("ABS(unused) + LENGTH(unused)", "numeric", "character 5: ABS takes a number here, and this is a text; expected a number; correct it, or a kind in COLUMNS"),
    (f"a{' + a' * 100}", "numeric", "character 1: more than 200 words and signs; expected fewer; shorten it"),
    (f"{'(' * 5000}a", "numeric", "character 1: more than 200 words and signs; expected fewer; shorten it"),
    (f"{'-' * 5000}a", "numeric", "character 1: more than 200 words and signs; expected fewer; shorten it"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "message"), INVALID)
def test_an_invalid_expression_has_a_line_with_the_position(
    text: str, kind: str, message: str, schema: Schema
) -> None:
    with pytest.raises(UserError, match=f"^trainer/features.py: DERIVED.*{message}"):
        tree(text, schema, kind)


def test_a_derived_column_is_no_column_of_the_table(schema: Schema) -> None:
    with pytest.raises(
        UserError,
        match="character 1: 'e' is no column of the table; expected a column that is not derived",
    ):
        tree("e + 1", schema, e="a + 1")
    with pytest.raises(
        UserError,
        match="DERIVED has 'a . 1' for 'f'; expected an expression in quotes, and a kind in COLUMNS; write 'f': \"numeric\"",
    ):
        tree("a", schema, f="a + 1")
    with pytest.raises(UserError, match="DERIVED has 3 for 'd'; expected an expression in quotes"):
        check(with_expressions(schema, {"d": (3, "numeric")}))  # type: ignore[dict-item]
    valid = tree("a", schema)
    with pytest.raises(
        UserError,
        match="t.csv has a column 'd' that trainer/features.py only derives; expected every column of the table in COLUMNS; rename the derived",
    ):
        check_names("t.csv", ("label", *TABLE, "d"), valid)


@pytest.mark.parametrize(
    ("text", "row", "expected"),
    [
        ("a - b - 1", {"a": "7", "b": "2"}, 4),
        ("a / b * 2", {"a": "6", "b": "3"}, 4),
        ("-a + 2 * b", {"a": "1", "b": "3"}, 5),
        ("NOT a = b", {"a": "1", "b": "2"}, 1),
        ("a = 1 OR b = 2 AND a = 3", {"a": "1", "b": "5"}, 1),
        ("a > 0 AND b IS NOT NULL", {"a": "1", "b": "NA"}, 0),
        ("a > 0 AND b > 1", {"a": "1", "b": ""}, None),
        ("a / b", {"a": "1", "b": "0"}, None),
        ("COALESCE(LOG(a), -1)", {"a": "-3"}, -1),
        ("SQRT(a)", {"a": "-1"}, None),
        ("ROUND(a)", {"a": "2.5"}, 3),
        ("ROUND(a)", {"a": "-0.5"}, -1),
        ("a * a", {"a": "3e38"}, None),
        ("LEAST(a, b)", {"a": "1", "b": ""}, None),
        ("GREATEST(a, b, 3)", {"a": "1", "b": "2"}, 3),
        ("days_between(first, last)", {"first": "2024-02-28", "last": "2024-03-01 12:00"}, 2.5),
        ("WEEKDAY(first)", {"first": "2026-11-29"}, 7),
        ("WEEKDAY(first)", {"first": "1969-12-29 23:00"}, 1),
        ("HOUR(first)", {"first": "2024-01-01 05:00"}, 5),
        ("HOUR(first)", {"first": "1969-12-30 19:00"}, 19),
        ("DAY(first)", {"first": "1900-03-01"}, 1),
        ("LENGTH(word)", {"word": " d\u00e9j\u00e0 "}, 4),
        ("REGEXP_CONTAINS(LOWER(note), r'^(mr|dr)\\.')", {"note": "Dr. No"}, 1),
        ("word = '3'", {"word": "3.0"}, 1),
        ("free_text = word", {"word": "a", "free_text": " a"}, 1),
        ("IF(unused > 2, 1, 0)", {"unused": "3"}, 1),
        ("COALESCE(unused, 5)", {"unused": "NA"}, 5),
        ("COALESCE(a, 1e999)", {"a": ""}, None),
        (f"a{' + a' * 99}", {"a": "2"}, 200),
        (f"{'ABS(' * 60}a{')' * 60}", {"a": "-2"}, 2),
        (f"{'-' * 190}a", {"a": "-2"}, -2),
    ],
)
def test_an_expression_means_what_it_means_in_bigquery(
    text: str, row: dict[str, str], expected: float | None, schema: Schema
) -> None:
    one = tree(text, schema)
    rows = {name: [row.get(name, "")] for name in one.raw.columns}
    assert by_sql(one, rows)["d"] == [expected]
    for signature in ("text", "serving_default"):
        served = by_graph(one, rows, signature)["d"]
        np.testing.assert_array_equal(served, np.array([expected], np.float32))
