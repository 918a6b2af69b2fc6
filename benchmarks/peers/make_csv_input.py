"""The input alone: one shuffled pass over tf.data.experimental.make_csv_dataset.

API: https://www.tensorflow.org/api_docs/python/tf/data/experimental/make_csv_dataset

Everything is a default (10,000 rows are shuffled, prefetch is tuned), except that the types of the columns
are given instead of guessed from the first 100 rows, which may contain integers only.
"""

from __future__ import annotations

import table

# isort: split
import time
from pathlib import Path

import tensorflow as tf


def read_csv(schema: table.Schema, path: Path, batch_rows: int) -> tf.data.Dataset:
    """Return the dataset of batches with labels."""
    strings = set(schema.categorical) | ({schema.label} if schema.binary else set())
    used = {*schema.columns, schema.label}
    selected = [name for name in table.header(path) if name in used]
    return tf.data.experimental.make_csv_dataset(
        str(path),
        batch_rows,
        select_columns=selected,
        column_defaults=[tf.string if name in strings else tf.float32 for name in selected],
        label_name=schema.label,
        num_epochs=1,
    )


def count_rows(dataset: tf.data.Dataset, most_rows: int | None) -> int:
    """Draw batches until the file ends or enough rows are read."""
    rows = 0
    for _, labels in dataset:
        rows += labels.shape[0]
        if most_rows is not None and rows >= most_rows:
            break
    return rows


def main() -> None:
    parser = table.parser(__doc__, "schema", "train")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--max-rows", type=int, help="stop after that many rows")
    options = parser.parse_args()
    schema = table.read_schema(options.schema)
    started = time.perf_counter()
    rows = count_rows(read_csv(schema, options.train, options.batch_size), options.max_rows)
    table.report(rows=rows, seconds=time.perf_counter() - started)


if __name__ == "__main__":
    main()
