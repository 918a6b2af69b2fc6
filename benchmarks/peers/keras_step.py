"""The training step alone: Keras's fit on encoded arrays in memory.

Training: https://keras.io/api/models/model_training_apis/
Input: https://www.tensorflow.org/guide/data_performance

Every epoch draws its batches from a new permutation of all rows; a batch is one gather from each array.
What is left over after the last full batch waits for another permutation, so that all batches have the
same shape.
"""

from __future__ import annotations

import table

# isort: split
import argparse
import os
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

EMBEDDING_SIZE = 8
PREFETCHED_BATCHES = 32


class EpochClock(keras.callbacks.Callback):
    """Records the seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self.started = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.seconds.append(time.perf_counter() - self.started)


def embed_columns(codes: Any, counts: np.ndarray) -> Any:
    """Look each column up in a separate table."""
    embedded = [
        keras.layers.Embedding(int(count), EMBEDDING_SIZE)(codes[:, index])
        for index, count in enumerate(counts)
    ]
    return keras.layers.Concatenate()(embedded)


def embed_fused(codes: Any, counts: np.ndarray) -> Any:
    """Look all columns up in one table, each at its own offset."""
    offsets = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int32)
    embedding = keras.layers.Embedding(int(counts.sum()), EMBEDDING_SIZE)
    return keras.layers.Flatten()(embedding(codes + offsets))


EMBEDDINGS = {"columns": embed_columns, "fused": embed_fused}


def create_model(arrays: dict[str, np.ndarray], options: argparse.Namespace) -> Any:
    """Return the compiled network of numbers and codes."""
    numbers = keras.Input((arrays["numbers"].shape[1],), name="numbers")
    codes = keras.Input((arrays["codes"].shape[1],), name="codes", dtype="int32")
    embedded = EMBEDDINGS[options.embedding](codes, arrays["counts"])
    hidden = keras.layers.Concatenate()([embedded, numbers])
    for units in table.HIDDEN_UNITS:
        hidden = keras.layers.Dense(units, activation="relu")(hidden)
    model = keras.Model({"numbers": numbers, "codes": codes}, keras.layers.Dense(1)(hidden))
    model.compile(
        optimizer="adam",
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        steps_per_execution=options.steps_per_execution,
        jit_compile={"auto": "auto", "on": True, "off": False}[options.jit],
    )
    return model


def shuffled_batches(arrays: dict[str, np.ndarray], batch_rows: int) -> tf.data.Dataset:
    """Return an epoch of batches, in another order each time it is iterated."""
    numbers, codes, labels = (tf.constant(arrays[key]) for key in ("numbers", "codes", "labels"))
    rows = len(arrays["labels"])
    steps = rows // batch_rows

    def cut(_: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.shuffle(tf.range(rows))[: steps * batch_rows]
        return tf.data.Dataset.from_tensor_slices(tf.reshape(order, (steps, batch_rows)))

    def gather(index: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        features = {"numbers": tf.gather(numbers, index), "codes": tf.gather(codes, index)}
        return features, tf.gather(labels, index)

    dataset = tf.data.Dataset.range(1).flat_map(cut)
    dataset = dataset.map(gather, num_parallel_calls=os.cpu_count())
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
    return dataset.prefetch(PREFETCHED_BATCHES).with_options(options)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arrays", type=Path, required=True, help="numbers, codes, labels, counts")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--steps-per-execution", type=int, default=1)
    parser.add_argument("--embedding", choices=sorted(EMBEDDINGS), default="fused")
    parser.add_argument("--jit", choices=["auto", "on", "off"], default="on")
    return parser.parse_args()


def main() -> None:
    options = read_options()
    with np.load(options.arrays) as stored:
        arrays = {key: stored[key] for key in ("numbers", "codes", "labels", "counts")}
    clock = EpochClock()
    dataset = shuffled_batches(arrays, options.batch_size)
    model = create_model(arrays, options)
    model.fit(dataset, epochs=options.epochs, verbose=0, callbacks=[clock])
    rows = len(arrays["labels"]) // options.batch_size * options.batch_size
    table.report(
        rows_per_second=rows / min(clock.seconds[1:] or clock.seconds),
        first_epoch_seconds=clock.seconds[0],
    )


if __name__ == "__main__":
    main()
