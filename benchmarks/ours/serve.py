"""Latency of a SavedModel on raw columns: one row, and a batch. The same program for ours and the peer's."""

import argparse
import csv
import itertools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CALLS, WARM_UP_CALLS, BATCH_ROWS = 300, 30, 1_024


def columns_of(table: Path, rows: int) -> dict[str, list[str]]:
    """Return the first rows of a CSV file by column."""
    with table.open(newline="") as lines:
        records = list(itertools.islice(csv.DictReader(lines), rows))
    return {name: [record[name] for record in records] for name in records[0]}


def tensors_for(signature: Any, columns: dict[str, list[str]]) -> dict[str, Any]:
    """Return the arguments of a signature, of the types and ranks it asks for."""
    import tensorflow as tf

    tensors = {}
    for name, spec in signature.structured_input_signature[1].items():
        cells: Any = columns[name]
        if spec.dtype != tf.string:
            cells = [float(cell) for cell in cells]
        tensors[name] = tf.reshape(
            tf.constant(cells, spec.dtype), [-1] + [1] * (spec.shape.rank - 1)
        )
    return tensors


def median_seconds(call: Callable[[], Any]) -> float:
    """Return the median time of a call."""
    times = []
    for number in range(WARM_UP_CALLS + CALLS):
        started = time.perf_counter()
        next(iter(call().values())).numpy()
        if number >= WARM_UP_CALLS:
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    """Print the median time of one row and of a batch."""
    import tensorflow as tf

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    given = parser.parse_args()
    loaded = tf.saved_model.load(str(given.model))
    signature = loaded.signatures.get("typed") or loaded.signatures["serving_default"]
    found = {}
    for name, rows in (("one", 1), ("batch", BATCH_ROWS)):
        tensors = tensors_for(signature, columns_of(given.table, rows))
        found[f"{name}_seconds"] = median_seconds(lambda: signature(**tensors))  # noqa: B023
    print(json.dumps({**found, "rows_per_second": BATCH_ROWS / found["batch_seconds"]}))


if __name__ == "__main__":
    main()
