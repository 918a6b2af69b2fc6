"""Trains on one logical CPU and on two, as on two GPUs: `python tests/two_devices.py PREPARED` prints JSON.

`difference` is the largest between the weights of both runs without dropout; `seeds` are the states of the random
numbers of the two replicas of a run with it.
"""

import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from recorder import Recorder, splits_of
from trainer import features
from trainer.data.schema import read_schema
from trainer.data.statistics import read_statistics
from trainer.model import Model, build_optimizer
from trainer.run.cluster import ClusterPosition
from trainer.settings import Settings
from trainer.training import loop
from trainer.training.distribution import Replicas
from trainer.training.train_step import SEED_STATE, Trainer

STEPS = 6


def trained(prepared: Path, strategy: Any, dropout: float) -> Trainer:
    """Return the trainer after a few steps from the same initial weights."""
    schema = read_schema(features)
    statistics = read_statistics(prepared, schema)
    settings = Settings(
        dropout=dropout, max_steps=STEPS, batch_size=50, hidden_units=(8,), ensemble=1
    )
    settings = settings.for_rows(statistics.rows["train"], schema.task)
    keras.utils.set_random_seed(settings.seed)
    replicas = Replicas(ClusterPosition(), strategy)
    with replicas.strategy.scope():
        model = Model(schema, statistics, settings)
        optimizer = build_optimizer(model.network, settings, 1_000, STEPS)
    trainer = Trainer(model, optimizer, settings, replicas)
    loop.Run(trainer, *splits_of(prepared, schema, settings), settings, Recorder()).train()
    return trainer


def weights(trainer: Trainer) -> list[Any]:
    """Return the trained arrays."""
    return [variable.numpy() for variable in trainer.model.network.trainable_variables]


def main(prepared: Path) -> None:
    """Train three times and print the results."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    both = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    one, two = (weights(trained(prepared, strategy, 0.0)) for strategy in (None, both))
    pairs = zip(one, two, strict=True)
    network = trained(prepared, both, 0.5).model.network
    (seed,) = (variable for variable in network.variables if variable.name == SEED_STATE)
    found = {
        "difference": max(float(np.abs(left - right).max()) for left, right in pairs),
        "seeds": [value.numpy().tolist() for value in seed.value.values],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
