"""Print the keys of rows, and what they must be, as JSON: they decide the split, so they must be the same with every version of DuckDB and sqlglot."""

import json

import duckdb
from trainer.data.schema import Schema
from trainer.preprocessing import cell_sql, engine, sql

SCHEMA = Schema(
    label="y",
    task="binary",
    positive="a",
    label_sql="",
    columns={"number": "numeric", "text": "categorical"},
    missing=("?",),
    delimiter=",",
    comment="",
    header=(),
    vocabulary_limit=10,
    hash_buckets=4,
    boundaries=3,
)
ROWS = (
    ("1", "x", "a"),
    ("", "it's \\x1f", "b"),
    (" 2.5", "\x1f", "?"),
    ("3e2", "ü\n", "a\tb"),
    ("3.0", "True", "1.50"),
    ("2024-01-01 00:00:00+00:00", "nan", "x 05:00:00.000+00"),
)
# The text whose MD5 is the key: what CSV and Parquet write otherwise is alike.
TEXTS = [*map("\x1f".join, ROWS[:4]), "3\x1ftrue\x1f1.5", "2024-01-01\x1f\x1fx 05:00:00"]
KEYS = [
    *(313791377742889310, 543438818615444965, 103803371328550574, 1113608960730968679),
    *(1087465442954359113, 926527835594663859),
]


def key_of(row: tuple[str, str, str]) -> int:
    """Return the key that the preparation's SQL gives to a row of number, text and label."""
    connection = duckdb.connect()
    connection.execute("CREATE TABLE source (c0 VARCHAR, c1 VARCHAR, label VARCHAR)")
    connection.execute("INSERT INTO source VALUES (?, ?, ?)", row)
    for function in cell_sql.functions(SCHEMA):
        connection.execute(engine.in_duckdb(function))
    query = engine.in_duckdb(sql.validated_rows(SCHEMA, deduplicate=False))
    [(key,)] = connection.execute(f"SELECT row_key FROM ({query})").fetchall()
    return int(key)


if __name__ == "__main__":
    print(json.dumps({"keys": [key_of(row) for row in ROWS], "expected": KEYS}))
