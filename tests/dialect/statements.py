"""Prepare tables of hostile cells with each statement run in ZetaSQL, too; print as JSON which results differ."""

import csv
import json
import random
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainer.data import cells
from trainer.data.schema import Schema
from trainer.preprocessing import pipeline, sql
from trainer.preprocessing.engine import DuckDB, in_duckdb
from trainer.preprocessing.provenance import Request
from trainer.run.console import Console

from tests.dialect.cells import ODD_DATES, ODD_NUMBERS, ODD_TEXTS
from tests.dialect.zetasql import Rows, Table, ZetaSQL, start

KINDS = {
    **{"VARCHAR": "STRING", "DOUBLE": "FLOAT64", "BOOLEAN": "BOOL"},
    **dict.fromkeys(("BIGINT", "HUGEINT", "INTEGER"), "INT64"),
}
CREATING = re.compile(r"(?:CREATE TABLE \w+ AS|INSERT INTO \w+) ((?:SELECT|WITH)\b.*)", re.DOTALL)
CHANGING = re.compile(r"(?:UPDATE|DELETE FROM) (\w+)\b.*", re.DOTALL)
# The sum of fractions depends on the order of adding: trainer.preprocessing.analyze rounds what comes of it.
ADDING = re.compile(r"\b(?:AVG|STDDEV_POP|SQRT)\(|SUM\(weight")
RELATIVE_ERROR = 1e-9
SPELLING = "CAST(y AS STRING)"  # 3.0 in DuckDB, 3 in BigQuery: it is cast back before it is written
SHOWN = 300

VALID = {"numeric": ("1", "2.5", "-3e2", "40"), "datetime": ("2024-01-15", "1999-12-31 23:59:59")}
ODD = {"numeric": ODD_NUMBERS, "datetime": ODD_DATES}
WORDS = ("red", "green", "blue", "green blue red")

SCHEMA = Schema(
    label="y",
    task="binary",
    positive="a",
    label_sql="LOWER(REPLACE(label, '.', ''))",
    columns={
        **{
            "n": "numeric",
            "km": "numeric",
            "d": "datetime",
            "c": "categorical",
            "e": "categorical",
        },
        **{"h": "hashed", "t": "text", "w": "ignore", "s": "ignore", "z": "ignore"},
    },
    missing=("?", "-999", "it's"),
    delimiter=",",
    comment="",
    header=(),
    vocabulary_limit=12,
    hash_buckets=16,
    boundaries=4,
    units={"km": "km"},
    text_words=3,
    text_buckets=8,
)
DERIVED = {
    "sum": "n + km / n - POW(n, 2)",
    "shape": "ROUND(LOG(n)) + SQRT(ABS(km)) + LENGTH(c)",
    "when": "YEAR(d) * 10000 + MONTH(d) * 100 + DAY(d) + WEEKDAY(d) / 8 + HOUR(d) / 100",
    "since": "DAYS_BETWEEN(d, d) + LEAST(n, km, 3) + GREATEST(n, 0) + COALESCE(n, km, 1)",
    "both": "CONCAT(LOWER(c), '-', h)",
    "is": r"IF(REGEXP_CONTAINS(c, r'^[a-z\d]+$') AND NOT n > 2 OR km IS NULL, 'ja', e)",
}
PREPARATIONS: dict[str, tuple[Schema, dict[str, Any]]] = {
    "weights, groups, unique rows": (SCHEMA, {"weight": "w", "split": "group:s", "deduplicate": True}),
    "derived columns, classes, a test table": (
        replace(
            SCHEMA,
            task="multiclass",
            label_sql="",
            derived=DERIVED,
            columns=SCHEMA.columns | dict.fromkeys(DERIVED, "numeric") | {"both": "hashed", "is": "categorical"},
        ),
        {"split": "stratified", "test": True},
    ),
    "numbers with a comma, dates with the day first, by time": (
        replace(SCHEMA, task="regression", label_sql="", decimal=",", day_first=("d",)),
        {"split": "time:d", "weight": "w"},
    ),
    "a column that splits, markers": (replace(SCHEMA, label_sql="SUBSTR(LOWER(label), 1, 1)"), {"split": "column:s"}),
    "folds, few different rows": (replace(SCHEMA, label_sql=""), {"fold": (2, 3)}),
}  # fmt: skip


class BothEngines(DuckDB):
    """DuckDB, with each statement run in ZetaSQL before, on the same tables; `differences` collects what is not alike."""

    count = 0
    differences: list[str] = []  # noqa: RUF012

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.zetasql = ZetaSQL()

    def run(self, statement: str) -> None:
        if self.zetasql.define(statement):
            pass
        elif changing := CHANGING.fullmatch(statement):
            tables = self.tables(statement)
            self.compare(
                statement,
                lambda: self.zetasql.changed(statement, tables),
                lambda: self.changed(statement, len(tables[changing[1]][0])),
            )
        elif creating := CREATING.fullmatch(statement):
            self.rows(creating[1])
        super().run(statement)

    def load(self, table: Any, schema: Schema, statement: str) -> None:
        super().load(table, schema, statement)
        creating = CREATING.fullmatch(statement)
        assert creating
        self.rows(creating[1])

    def rows(self, query: str) -> Rows:
        found: Rows = super().rows(query)
        self.compare(query, lambda: self.zetasql.rows(query, self.tables(query)), lambda: found)
        return found

    def batches(self, query: str, *rest: Any) -> Any:
        self.rows(query)
        return super().batches(query, *rest)

    def changed(self, statement: str, width: int) -> Rows:
        """Return the rows that DuckDB changes, without their cells where it removes them; DuckDB takes it back."""
        self.connection.execute("BEGIN")
        found = self.connection.execute(f"{in_duckdb(statement)} RETURNING *").fetchall()
        self.connection.execute("ROLLBACK")
        return [() if statement.startswith("DELETE") else row[:width] for row in found]

    def tables(self, statement: str) -> dict[str, Table]:
        """Return the content of the tables and views that a statement names."""
        words = {*re.findall(r"\w+", statement)} - {"whole"}
        listed = self.connection.execute("SELECT table_name FROM information_schema.tables")
        return {name: self.content(name) for (name,) in listed.fetchall() if name in words}

    def content(self, name: str) -> Table:
        found = self.connection.execute(f"SELECT * FROM {name}")
        columns = [(column, str(kind)) for column, kind, *_ in found.description]
        return {column: KINDS[kind] for column, kind in columns}, found.fetchall()

    def compare(
        self, statement: str, zetasql: Callable[[], Rows], duckdb: Callable[[], Rows]
    ) -> None:
        BothEngines.count += 1
        try:
            found = [*differing(statement, zetasql(), duckdb())]
        except ValueError as error:
            found = [str(error)]
        self.differences.extend(f"{difference} in {statement}" for difference in found)


def differing(statement: str, expected: Rows, found: Rows) -> Iterator[str]:
    """Yield the first row in which DuckDB differs from ZetaSQL, whose rows are in any order without ORDER BY."""
    ordered = re.search(r" ORDER BY [\w., ]+$", statement)
    same = close if ADDING.search(statement) else spelt if SPELLING in statement else equal
    pairs = [rows if ordered else sorted(rows, key=repr) for rows in (expected, found)]
    if len(expected) != len(found):
        yield f"{len(expected)} rows in ZetaSQL, {len(found)} in DuckDB"
    for zetasql, duckdb in zip(*pairs, strict=False):
        if not all(map(same, zetasql, duckdb)):
            return (yield f"ZetaSQL {str(zetasql)[:SHOWN]}, DuckDB {str(duckdb)[:SHOWN]}")


def equal(one: Any, other: Any) -> bool:
    """Return whether two values are of one type and the same; NaN is the same as NaN."""
    nan = one != one and other != other
    return type(one) is type(other) and bool(one == other or nan)


def close(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= RELATIVE_ERROR * abs(one)
    return equal(one, other)


def spelt(one: Any, other: Any) -> bool:
    """Return whether two values are the same, or texts of one number, as the grammar of cells reads them."""
    if isinstance(one, str) and isinstance(other, str) and cells.number(one) is not None:
        return cells.number(one) == cells.number(other)
    return equal(one, other)


def rows_of(schema: Schema, count: int, choose: random.Random) -> Iterator[dict[str, str]]:
    """Yield rows of mostly valid cells, a tenth of them hostile."""
    for number in range(count):
        row = {
            name: cell(kind, choose)
            for name, kind in schema.columns.items()
            if name not in schema.derived
        }
        row |= {
            "w": choose.choice(("1", "0", "2.5")),
            "s": choose.choice(("train", " Eval", "valid")),
        }
        if schema.decimal == ",":
            row |= {name: row[name].replace(".", ",") for name in ("n", "km", "w")}
        classes = ("a", "b.", "b.", "A.") if schema.label_sql else ("a", "b")
        label = f"{number % 9},5" if schema.task == "regression" else choose.choice(classes)
        odd = ODD_NUMBERS if schema.task == "regression" else ("", "?")
        yield {**row, schema.label: choose.choice(odd) if number % 7 == 0 else label}
        if number % 5 == 0:
            yield {**row, schema.label: label}


def cell(kind: str, choose: random.Random) -> str:
    if choose.random() < 0.1:
        return choose.choice(ODD.get(kind, ODD_TEXTS))
    return choose.choice(VALID.get(kind, WORDS))


def prepared(name: str, folder: Path, count: int) -> None:
    """Prepare one of `PREPARATIONS`."""
    schema, options = PREPARATIONS[name]
    choose, tables = random.Random(name), {}
    for split in ("train", "test"):
        tables[split] = folder / f"{split}.csv"
        with tables[split].open("w", encoding="utf-8", newline="") as file:
            rows = [*rows_of(schema, count, choose)]
            writer = csv.DictWriter(file, rows[0], quoting=csv.QUOTE_ALL)
            writer.writeheader()
            writer.writerows(rows)
    given: dict[str, Any] = {"deduplicate": False, "memory_mb": 500, **options}
    given["test"] = tables["test"] if options.get("test") else None
    request = Request(
        tables["train"], output=folder / "out", eval_share=0.3, max_rejected_share=0.99, **given
    )
    pipeline.prepare(request, schema, Console(quiet=True))


def main() -> None:
    start()
    vars(pipeline)["DuckDB"] = BothEngines
    sql.JOINS_AT_ONCE = 2
    for name in sys.argv[2:] or PREPARATIONS:
        with tempfile.TemporaryDirectory() as folder:
            prepared(name, Path(folder), int(sys.argv[1]))
    found: Mapping[str, Any] = {
        "statements": BothEngines.count,
        "different": BothEngines.differences,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
