"""Our training step alone, on the network of the peers: run inside a baked project, with its interpreter.

The loop, the optimizer and the parts per core are the trainer's own; the network is a plain 128-64-32 on embeddings
of 8 and standardised numbers, so that every program of the comparison computes the same.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

HIDDEN_UNITS, EMBEDDING_SIZE, SEED = (128, 64, 32), 8, 1


def network_of(numeric: int, counts: Any) -> Any:
    """Return the network of inputs numbers [rows, numeric] and codes [rows, columns]."""
    import keras
    from trainer.training.layers import FusedEmbedding

    numbers = keras.Input((numeric,))
    codes = keras.Input((len(counts),), dtype="int32")
    embedded = FusedEmbedding([int(count) for count in counts], EMBEDDING_SIZE, 0.1)(codes)
    hidden = keras.layers.Concatenate()([keras.layers.Flatten()(embedded), numbers])
    for units in HIDDEN_UNITS:
        hidden = keras.layers.Dense(units, activation="relu", kernel_initializer="he_normal")(
            hidden
        )
    return keras.Model([numbers, codes], keras.layers.Dense(1)(hidden))


def trainer_of(arrays: Any, batch_size: int, steps: int) -> Any:
    """Return the trainer's trainer on that network."""
    from trainer.model import Model, build_optimizer
    from trainer.settings import Settings
    from trainer.training.train_step import Trainer

    settings = Settings(batch_size=batch_size, learning_rate=1e-3, ensemble=1, weight_decay=0.0)
    model = Model.__new__(Model)  # its losses, on another network
    model.task, model.output_count, model.columns, model.members = "binary", 2, (), 1
    model.weighted, model.class_weights = False, None
    model.network = network_of(arrays["numbers"].shape[1], arrays["counts"])
    optimizer = build_optimizer(model.network, settings, len(arrays["labels"]), steps)
    return Trainer(model, optimizer, settings)


def main() -> None:
    """Train the epochs asked for, and print the rows per second of the best after the first."""
    from trainer.training.tensorflow_setup import start_tensorflow

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arrays", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=1024)
    given = parser.parse_args()
    start_tensorflow(SEED)
    import tensorflow as tf
    from trainer.data.shards import Batches, Window, batches_of

    arrays = np.load(given.arrays)
    window = Window(arrays["numbers"], arrays["codes"], arrays["labels"])
    steps = -(-window.rows // given.batch_size)
    trainer = trainer_of(arrays, given.batch_size, steps * given.epochs)
    seconds = []
    for epoch in range(given.epochs):
        started = time.perf_counter()
        found = batches_of([window.rows], range(1), steps, [SEED, epoch])
        batches = Batches(*map(tf.constant, found))
        trainer.train_steps(trainer.tensors(window), batches, 0, steps)
        seconds.append(time.perf_counter() - started)
    fastest = min(seconds[1:])
    print(json.dumps({"rows_per_second": window.rows / fastest, "first_epoch_seconds": seconds[0]}))


if __name__ == "__main__":
    main()
