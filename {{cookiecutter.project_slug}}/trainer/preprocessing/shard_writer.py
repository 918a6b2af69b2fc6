"""Encoded rows as Parquet shards: the same bytes whatever the order of the table, threads and memory."""

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainer.data.schema import Schema
from trainer.data.shards import computed_ahead
from trainer.preprocessing import analyze, sql
from trainer.preprocessing.engine import Engine

ROW_GROUP_ROWS = 1 << 14
ROWS_AT_ONCE = 4 * ROW_GROUP_ROWS
SHARD_ROWS = 1 << 20


def shard_count(rows: int) -> int:
    """Return the number of shards of a split, a power of two: so that they have `SHARD_ROWS` rows or fewer on average."""
    return 1 << ((rows - 1) // SHARD_ROWS).bit_length()


@dataclass(frozen=True)
class Coding:
    """How text becomes codes: by SQL in the coded columns `joins`, in the others by Arrow arrays of cells and of their codes.

    `weight` is the column with the weights of rows, "" if there is none.
    """

    joins: Collection[int]
    cells: Mapping[str, tuple[Any, Any]]
    weight: str


def write_shards(
    engine: Engine, schema: Schema, split: str, rows: int, folder: Path, coding: Coding
) -> None:
    """Write the rows of one split, sorted by key, to a new folder: a Parquet file for each range of keys.

    Row groups have `ROW_GROUP_ROWS` rows, the last of a file fewer.
    """
    from pyarrow.parquet import ParquetWriter

    target = shard_schema(schema, coding.weight)
    folder.mkdir()
    query = sql.encoded(schema, split, coding.joins, bool(coding.weight))
    types = [None if field.name in coding.cells else field.type for field in target]
    batches = engine.batches(query, ROWS_AT_ONCE, types)
    parts = by_shard(batches, shard_count(rows))
    encoded = (
        (number, with_codes(rows.rename_columns(target.names), schema, coding).cast(target))
        for number, of_shard in itertools.groupby(parts, lambda part: part[0])
        for rows in row_groups(rows for _, rows in of_shard)
    )
    for number, of_shard in itertools.groupby(computed_ahead(encoded), lambda part: part[0]):
        with ParquetWriter(folder / f"{number:05d}.parquet", target) as writer:
            for _, rows in of_shard:
                writer.write_table(rows, ROW_GROUP_ROWS)


def by_shard(batches: Iterable[Any], count: int) -> Iterator[tuple[int, Any]]:
    """Yield the parts of record batches that belong to one shard, and its number; `row_key`, their last column, is left out.

    A shard has the keys of a range, `count` of which are equally long.
    """
    for batch in batches:
        shards = batch.column("row_key").to_numpy() // (sql.KEYS // count)
        begins = np.flatnonzero(np.diff(shards, prepend=-1)).tolist()
        rows = batch.select(batch.schema.names[:-1])
        for begin, end in zip(begins, [*begins[1:], len(shards)], strict=True):
            yield int(shards[begin]), rows.slice(begin, end - begin)


def row_groups(batches: Iterable[Any]) -> Iterator[Any]:
    """Yield tables of `ROWS_AT_ONCE` rows, the last of fewer: how DuckDB cuts batches depends on its threads."""
    import pyarrow

    kept: list[Any] = []
    for batch in batches:
        rows = pyarrow.Table.from_batches([*kept, batch])
        while rows.num_rows >= ROWS_AT_ONCE:
            yield rows.slice(0, ROWS_AT_ONCE).combine_chunks()
            rows = rows.slice(ROWS_AT_ONCE)
        kept = rows.to_batches()
    if kept:
        yield pyarrow.Table.from_batches(kept).combine_chunks()


def with_codes(rows: Any, schema: Schema, coding: Coding) -> Any:
    """Return an Arrow table of rows with text replaced by codes: of the whole cell in some columns, of each word in others."""
    from pyarrow import compute, table

    columns = dict(zip(rows.column_names, rows.columns, strict=True))
    for name, (cells, codes) in coding.cells.items():
        columns[name] = compute.take(codes, compute.index_in(columns[name], cells))
    for name in schema.texts:
        columns[name] = analyze.word_codes(columns[name], schema.text_words, schema.text_buckets)
    return table(columns)


def shard_schema(schema: Schema, weight: str = "") -> Any:
    """Return the Arrow schema of a shard: float32 numbers (null where missing), int32 codes, lists of codes, the label last.

    Before the label stands the float32 `weight`, if rows have one.
    """
    import pyarrow

    weights = [weight] * bool(weight)
    names = [*schema.numeric, *schema.textual, *weights, schema.label]
    label = pyarrow.float32() if schema.task == "regression" else pyarrow.int32()
    numbers = [pyarrow.float32()] * len(schema.numeric)
    codes = [pyarrow.int32()] * len(schema.coded)
    words = [pyarrow.list_(pyarrow.int32(), schema.text_words)] * len(schema.texts)
    kinds = [*numbers, *codes, *words, *[pyarrow.float32() for _ in weights], label]
    return pyarrow.schema(list(zip(names, kinds, strict=True)))
