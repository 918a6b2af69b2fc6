"""Encoded rows as Parquet shards: the same bytes whatever the order of the table, threads and memory."""

import concurrent.futures
import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from trainer.data.schema import Schema
from trainer.preprocessing import analyze, sql
from trainer.preprocessing.engine import Engine

ROW_GROUP_ROWS = 1 << 16
GROUPS_PER_SHARD = 16


def write_shards(engine: Engine, schema: Schema, split: str, folder: Path, weight: str) -> None:
    """Write one split as Parquet files of at most `GROUPS_PER_SHARD` row groups to a new folder."""
    from pyarrow.parquet import ParquetWriter

    target = shard_schema(schema, weight)
    folder.mkdir()
    batches = engine.batches(sql.encoded(schema, split, bool(weight)), ROW_GROUP_ROWS)
    encoded = (
        with_word_codes(rows.rename_columns(target.names), schema).cast(target)
        for rows in row_groups(batches)
    )
    with contextlib.ExitStack() as shards:
        for number, rows in enumerate(computed_ahead(encoded)):
            shard, group = divmod(number, GROUPS_PER_SHARD)
            if group == 0:
                shards.close()
                path = folder / f"{shard:05d}.parquet"
                writer = shards.enter_context(ParquetWriter(path, target))
            writer.write_table(rows)


def row_groups(batches: Iterable[Any]) -> Iterator[Any]:
    """Yield tables of `ROW_GROUP_ROWS` rows, the last of fewer: how DuckDB cuts batches depends on its threads."""
    import pyarrow

    kept: list[Any] = []
    for batch in batches:
        rows = pyarrow.Table.from_batches([*kept, batch])
        while rows.num_rows >= ROW_GROUP_ROWS:
            yield rows.slice(0, ROW_GROUP_ROWS).combine_chunks()
            rows = rows.slice(ROW_GROUP_ROWS)
        kept = rows.to_batches()
    if kept:
        yield pyarrow.Table.from_batches(kept).combine_chunks()


def computed_ahead(items: Iterator[Any]) -> Iterator[Any]:
    """Yield each item while a thread computes the next; None ends the items."""
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, items, None)
        while (item := following.result()) is not None:
            following = thread.submit(next, items, None)
            yield item


def with_word_codes(rows: Any, schema: Schema) -> Any:
    """Return an Arrow table of rows with the words of each text replaced by their codes."""
    for name in schema.texts:
        codes = analyze.word_codes(rows[name], schema.text_words, schema.text_buckets)
        rows = rows.set_column(rows.column_names.index(name), name, codes)
    return rows


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
