"""Derived columns of a table of known columns, as SQL and the graph compute them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import duckdb
import tensorflow as tf
from trainer.data import cells
from trainer.data.schema import Schema, check
from trainer.model import Serving
from trainer.preprocessing import cell_sql, derived, engine, sql
from trainer.smoke import made_up_statistics

TABLE = {
    **{"a": "numeric", "b": "numeric", "odd name": "numeric", "free number": "ignore"},
    **{"first": "datetime", "last": "datetime", "free_date": "ignore"},
    **{"word": "categorical", "note": "text", "free_text": "ignore", "unused": "ignore"},
}


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


def tree(text: str, schema: Schema, kind: str = "numeric", **more: str) -> Schema:
    """Return a checked schema with one derived column."""
    kinds = {name: "numeric" for name in more if name == "e"}
    found = with_expressions(schema, {"d": (text, kind)})
    found = replace(found, columns=found.columns | kinds, derived={"d": text, **more})
    check(found)
    return found
