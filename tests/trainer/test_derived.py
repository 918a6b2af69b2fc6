"""Derived columns: SQL and TensorFlow compute the same from an expression, and what is wrong in one has a line with its position."""

import json
import random
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import numpy as np
import pytest
import tensorflow as tf
from test_splits import split_of
from test_tables import declare, parquet, prepared
from trainer import evaluate, features, predict, prepare, task
from trainer.data import cells, expressions, files
from trainer.data.schema import Schema, check, check_names, read_schema
from trainer.evaluation import measures
from trainer.model import Serving
from trainer.preprocessing import cell_sql, derived, engine, sql
from trainer.preprocessing.provenance import stale_reasons
from trainer.publish import load_and_predict
from trainer.run.errors import UserError
from trainer.serving import input_parameters
from trainer.smoke import made_up_statistics
from trainer.training.derived import OF_MISSING, OPERATIONS

ROWS, EXPRESSIONS = 300, 80
KINDS = {"number": "numeric", "date": "datetime", "text": "hashed", "boolean": "numeric"}
COLUMNS = {
    "number": ("a", "b", "`odd name`", "`free number`"),
    "date": ("first", "last", "free_date"),
    "text": ("word", "note", "free_text"),
}
TABLE = {
    **{"a": "numeric", "b": "numeric", "odd name": "numeric", "free number": "ignore"},
    **{"first": "datetime", "last": "datetime", "free_date": "ignore"},
    **{"word": "categorical", "note": "text", "free_text": "ignore", "unused": "ignore"},
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


def with_expressions(
    schema: Schema, found: Mapping[str, tuple[str, str]], **options: Any
) -> Schema:
    """Return a schema of TABLE and derived columns, each an expression and its kind."""
    columns = TABLE | {name: kind for name, (_, kind) in found.items()}
    texts = {name: text for name, (text, _) in found.items()}
    plain = replace(
        schema,
        task="multiclass",
        label="label",
        label_sql="",
        missing=("NA", "-999"),
        comment="",
        units={},
    )
    return replace(
        plain, columns=columns, derived=texts, header=(), day_first=(), decimal=".", **options
    )


def made_up_table(schema: Schema, choose: random.Random) -> dict[str, list[str]]:
    types = {name.strip("`"): type_ for type_, names in COLUMNS.items() for name in names}
    return {
        name: [made_up_cell(choose, types.get(name, "text")) for _ in range(ROWS)]
        for name in schema.raw.columns
    }


def by_sql(schema: Schema, rows: Mapping[str, Sequence[str]]) -> dict[str, list[Any]]:
    """Return the derived columns as preparation computes them."""
    connection = duckdb.connect()
    for function in cell_sql.functions(schema):
        connection.execute(engine.in_duckdb(function))
    names = [f"c{index}" for index in range(len(schema.sources))]
    connection.execute(
        f"CREATE TABLE source ({', '.join(f'{name} VARCHAR' for name in names)}, label VARCHAR)"
    )
    columns = [rows[name] for name in schema.sources]
    count = len(columns[0])
    table = zip(*columns, map(str, range(count)), strict=True)
    connection.executemany(
        f"INSERT INTO source VALUES ({', '.join('?' * (len(names) + 1))})", [*table]
    )
    query = derived.with_derived(sql.validated_rows(schema.raw, False), schema)
    found = connection.execute(
        engine.in_duckdb(f"SELECT * FROM ({query}) AS r ORDER BY CAST(label AS INT64)")
    )
    held = {
        description[0]: values
        for description, values in zip(
            found.description, zip(*found.fetchall(), strict=True), strict=True
        )
    }
    assert {*held["reason"]} == {None} and len(held["reason"]) == count
    positions = {name: f"x{index}" for index, name in enumerate(schema.numeric)}
    positions |= {name: f"t{index}" for index, name in enumerate(schema.textual)}
    return {name: [*held[positions[name]]] for name in schema.derived}


def by_graph(schema: Schema, rows: Mapping[str, Sequence[str]], signature: str) -> dict[str, Any]:
    """Return the derived columns as a serving signature computes them."""
    model: Any = SimpleNamespace(network=SimpleNamespace(variables=[]))
    serving = Serving(model, schema, made_up_statistics(schema))
    inputs = {}
    for parameter, spec in serving.inputs(signature).items():
        name = next(name for name, own in serving.parameters.items() if own == parameter)
        given: Any = rows[name]
        if spec.dtype != tf.string:
            given = [
                float("nan") if number is None else number
                for number in (numbers_of(each, schema) for each in given)
            ]
        inputs[parameter] = tf.constant(given, spec.dtype)
    found = tf.function(serving.derived, autograph=False)(inputs)
    return {name: found[serving.parameters[name]].numpy() for name in schema.derived}


def numbers_of(text: str, schema: Schema) -> float | None:
    held = cells.stripped(text)
    return None if held in schema.markers else cells.number(held)


def test_each_function_has_an_operation() -> None:
    assert {*expressions.FUNCTIONS} == {*OPERATIONS, *OF_MISSING}


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


def tree(text: str, schema: Schema, kind: str = "numeric", **more: str) -> Schema:
    """Return a checked schema with one derived column."""
    kinds = {name: "numeric" for name in more if name == "e"}
    found = with_expressions(schema, {"d": (text, kind)})
    found = replace(found, columns=found.columns | kinds, derived={"d": text, **more})
    check(found)
    return found


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


KINDS_OF_LOANS = {
    **{"fee": "numeric", "start": "datetime", "end": "ignore", "plan": "categorical", "note": "ignore", "row": "ignore"},
    **{"rate": "numeric", "late": "numeric", "short": "categorical", "latest": "datetime"},
}  # fmt: skip
DERIVED = {
    "rate": "fee / (1 + DAYS_BETWEEN(start, end))",
    "short": "IF(LENGTH(plan) < 5, LOWER(plan), 'other')",
    "late": "DAYS_BETWEEN(start, end) > 4",
    "latest": "GREATEST(start, end)",
}


def loans(count: int, choose: random.Random) -> list[dict[str, Any]]:
    """Return rows of a table, the label of which follows the rate."""
    rows = []
    for row in range(count):
        fee, days = choose.randrange(1, 100), choose.randrange(9)
        plan = choose.choice(["Plus", "BASIC", "Free", "?"])
        cells = {
            "fee": fee,
            "start": "2024-01-01",
            "end": f"2024-01-{1 + days:02}",
            "plan": plan,
            "note": "x",
            "row": row,
        }
        label = "yes" if fee / (1 + days) > 10 else "no"
        rows.append({**cells, **({"end": "?"} if row % 9 == 0 else {}), "y": label})
    return rows


def written(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    lines = [",".join(map(str, each)) for each in ([*rows[0]], *(row.values() for row in rows))]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    declare(monkeypatch, KINDS_OF_LOANS, DERIVED=DERIVED)
    return written(loans(600, random.Random(0)), tmp_path / "table.csv")


def test_a_model_with_derived_columns_is_trained_evaluated_and_asked(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = prepared(table)
    assert [*found["numeric"]] == ["fee", "rate", "late", "start", "latest"]
    assert {*found["vocabularies"]["short"]} == {"other", "plus", "free"}
    assert (found["numeric"]["late"]["minimum"], found["numeric"]["late"]["maximum"]) == (0, 1)
    assert found["numeric"]["rate"]["missing"] > 30 and found["numeric"]["latest"]["missing"] > 30
    output = table.parent / "output"
    raw = ["fee", "start", "end", "plan"]
    examples = [
        json.loads(line) for line in (output / files.EXAMPLES).read_text("utf-8").splitlines()
    ]
    assert [*map(list, examples)] == [raw] * 10 and {
        *map(type, (each["fee"] for each in examples))
    } == {float}
    job = tmp_path / "job"
    flags = [
        "--data-dir",
        str(output),
        "--job-dir",
        str(job),
        "--quality",
        "fast",
        "--hidden-units",
        "8",
    ]
    assert task.main(flags) == 0  # which compares the exported model with the network
    printed = capsys.readouterr().err
    assert re.search(r"not used +note, row: ignore in trainer/features.py\n", printed)
    schema = read_schema(features)
    model = job / "model"
    assert {*input_parameters(model)} == {*raw}
    arguments = [
        "--train",
        table,
        "--output",
        output,
        "--model",
        model,
        "-q",
        "--by",
        "short,rate,late,note,end",
    ]
    monkeypatch.setattr(measures, "RESAMPLES", 2)
    assert evaluate.main([*map(str, arguments)]) == 0
    document = json.loads((job / "evaluation/evaluation.json").read_text("utf-8"))
    assert {*document["importance"]} == {*raw}
    assert next(iter(document["importance"])) in ("fee", "end")
    assert {*document["slices"]["short"]} == {"other", "plus", "free"}
    assert {*document["slices"]["note"]} == {"x"}
    assert {*document["slices"]["late"]} == {"0", "1", "(missing)"}
    for slices in document["slices"].values():
        assert sum(each["rows"] for each in slices.values()) == document["rows"]
    rows = [{name: row[name] for name in raw} for row in loans(30, random.Random(1))]
    rows[3]["end"] = "tomorrow"
    asked = written(rows, tmp_path / "asked" / "rows.csv")
    with pytest.raises(
        UserError, match="row 4, column 'end' is 'tomorrow'; expected a date such as"
    ):
        predict.main(["--model", str(model), "--input", str(asked)])
    with pytest.raises(UserError, match="do not fit the model .'rate': unknown"):
        predict.main(
            ["--model", str(model), "--input", str(written([{**rows[0], "rate": 1}], asked))]
        )
    del rows[3]
    capsys.readouterr()
    assert predict.main(["--model", str(model), "--input", str(written(rows, asked)), "-q"]) == 0
    predicted = [json.loads(line)["probability"] for line in capsys.readouterr().out.splitlines()]
    texts = [{name: cells.text(cell) for name, cell in row.items()} for row in rows]
    session = load_and_predict(model, texts)
    np.testing.assert_allclose(predicted, [each["probability"] for each in session], rtol=1e-4)
    assert schema.raw.used == ("fee", "start", "end", "plan")


def test_a_row_stays_in_its_split_and_an_expression_makes_prepared_data_stale(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "COLUMNS", {**features.COLUMNS, "row": "numeric"})
    with_rate = {row[1] for row in split_of(table, "-q")["eval"]}
    request = prepare.request_of(
        prepare.parser().parse_args(
            ["--train", str(table), "--output", str(table.with_name("output"))]
        )
    )
    assert not stale_reasons(request, read_schema(features))
    changed = {**DERIVED, "rate": "fee"}
    monkeypatch.setattr(features, "DERIVED", changed)
    assert re.search(
        "another features.py .DERIVED: .*", stale_reasons(request, read_schema(features))[0]
    )
    plain = {name: kind for name, kind in features.COLUMNS.items() if name not in DERIVED}
    declare(monkeypatch, plain, DERIVED={})
    assert {row[1] for row in split_of(table, "-q")["eval"]} == with_rate and len(with_rate) > 20


def test_a_cell_that_an_expression_cannot_read_rejects_its_row(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = loans(600, random.Random(0))
    rows[7]["end"] = "soon"
    assert prepared(written(rows, table))["rejected"] == 1
    assert "end: soon is not a date" in capsys.readouterr().err


def test_a_column_that_an_expression_alone_reads_has_no_nested_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"a": "ignore", "d": "numeric"}, DERIVED={"d": "a + 1"})
    nested = parquet(tmp_path / "t.parquet", ["a", "y"], [[[1]] * 9, ["yes", "no", "no"] * 3])
    with pytest.raises(UserError, match="column 'a' with nested cells"):
        prepared(nested)


def test_features_py_of_an_earlier_version_has_no_derived_columns(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(
        monkeypatch, {name: kind for name, kind in KINDS_OF_LOANS.items() if name not in DERIVED}
    )
    monkeypatch.delattr(features, "DERIVED")
    schema = read_schema(features)
    assert schema.derived == {} and schema.raw is schema and not schema.expressions
    assert [*prepared(table)["numeric"]] == ["fee", "start"]
