"""Quality `best`: two networks share the ensemble, and one of them is given the waves of each number, too."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorder import batches, splits_of
from trainer.data.schema import Schema
from trainer.data.statistics import Statistics
from trainer.model import Model, build_optimizer
from trainer.settings import Settings
from trainer.training.layers import MemberDense, Periodic
from trainer.training.train_step import Trainer

SETTINGS = Settings(quality="best", batch_size=64, learning_rate=0.01, hidden_units=(8,), dropout=0)


@pytest.fixture
def several(schema: Schema) -> Schema:
    """The project's schema, of more than two classes if its label is one of two."""
    return schema if schema.task == "regression" else replace(schema, task="multiclass")


def layers_of(network: Any, kind: type) -> list[Any]:
    return [layer for layer in network.layers if type(layer) is kind]


@pytest.mark.parametrize(("members", "sizes"), [(2, [2]), (3, [3]), (4, [2, 2]), (7, [4, 3])])
def test_two_networks_share_an_ensemble_of_four_members_or_more(
    several: Schema, statistics: Statistics, members: int, sizes: list[int]
) -> None:
    model = Model(several, statistics, replace(SETTINGS, ensemble=members))
    dense = layers_of(model.network, MemberDense)
    two = bool(several.numeric) and len(sizes) == 2
    assert sorted(layer.members for layer in dense) == (sorted(sizes) if two else [members])
    assert len(layers_of(model.network, Periodic)) == two
    assert model.network.output.shape[1:] == (members, model.network.output.shape[-1])


@pytest.mark.parametrize(("quality", "task"), [("default", ""), ("best", "binary")])
def test_another_quality_and_two_classes_have_one_network(
    several: Schema, statistics: Statistics, quality: str, task: str
) -> None:
    schema = replace(several, task=task or several.task)
    model = Model(schema, statistics, replace(SETTINGS, quality=quality, ensemble=8))
    assert len(layers_of(model.network, MemberDense)) == 1
    assert not layers_of(model.network, Periodic)


def test_both_networks_learn(prepared: Path, several: Schema, statistics: Statistics) -> None:
    settings = replace(SETTINGS, ensemble=4)
    split, _ = splits_of(prepared, several, settings)
    model = Model(several, statistics, settings)
    trainer = Trainer(model, build_optimizer(model.network, settings, split.rows, 60), settings)
    before, _ = trainer.evaluate(split)
    first = [variable.numpy() for variable in model.network.trainable_variables]
    for _ in range(6):
        trainer.train_steps(trainer.tensors(split.all_rows()), batches(split.rows, 10), 0, 10)
    assert trainer.evaluate(split)[0]["loss"] < before["loss"]
    last = [variable.numpy() for variable in model.network.trainable_variables]
    assert all(not np.array_equal(*pair) for pair in zip(first, last, strict=True))


def test_waves_follow_the_quantiles_of_a_number() -> None:
    layer = Periodic([(0.0, 1.0, 5.0), (-1.0, 1.0)], units=3)
    numbers = np.array([[0, -1], [1, 0], [3, 1], [5, 9], [7, 2], [np.nan, -5]], np.float32)
    found = layer(numbers).numpy().reshape(6, 2, 3)
    quantiles = np.array([[0, 0], [0.5, 0.5], [0.75, 1], [1, 1], [1, 1], [0, 0]])
    frequencies, phases, mixtures = (weight.numpy() for weight in layer.weights)
    waves = np.cos(quantiles[:, :, None] * frequencies + phases)
    np.testing.assert_allclose(found, np.einsum("rcw,cwu->rcu", waves, mixtures), atol=1e-4)
