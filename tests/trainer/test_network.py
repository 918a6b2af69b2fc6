"""The network: its boundaries, the members of an ensemble, its linear part and its crosses."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from recorder import SETTINGS, batches, splits_of
from trainer.data.schema import Schema
from trainer.data.shards import Split
from trainer.data.statistics import Statistics
from trainer.model import Model, boundaries_of, build_optimizer, treatments
from trainer.training.layers import (
    MOST_CROSSES,
    Calendar,
    FirstDense,
    Heads,
    MemberDense,
    MemberDropout,
    PiecewiseLinear,
    fixed_width,
    pairs_to_cross,
)
from trainer.training.optimizer import Treatment
from trainer.training.train_step import Trainer


@pytest.mark.parametrize(
    ("quality", "train_rows", "count"),
    [
        *[("fast", 50_000, 24), ("default", 50_000, 64), ("default", 8_000, 40)],
        *[("best", 50_000, 100), ("best", 900, 24)],
    ],
)
def test_a_lower_quality_and_a_run_of_few_rows_have_fewer_boundaries_with_the_same_ends(
    schema: Schema, statistics: Statistics, quality: str, train_rows: int, count: int
) -> None:
    edges = tuple(float(number) for number in range(100))
    columns = {name: replace(each, boundaries=edges) for name, each in statistics.numeric.items()}
    first, *others = columns
    columns[first] = replace(columns[first], boundaries=edges[:2])
    statistics = replace(statistics, numeric=columns, rows={"train": train_rows, "eval": 1})
    few, *many = boundaries_of(statistics, replace(SETTINGS, quality=quality))
    assert few == (0.0, 1.0) and len(many) == len(others) > 0
    assert all(len(set(each)) == count and (each[0], each[-1]) == (0.0, 99.0) for each in many)


def test_an_ensemble_predicts_the_mean_of_members_that_differ(
    prepared: Path, schema: Schema, statistics: Statistics
) -> None:
    model = Model(schema, statistics, replace(SETTINGS, ensemble=3))
    window = Split(prepared / "eval", schema, SETTINGS.memory_mb).all_rows()
    outputs = model.network([window.numbers, window.codes])
    members = [model.activate(outputs[:, member]) for member in range(3)]
    assert not np.allclose(members[0], members[1])
    assert np.allclose(
        model.predictions(window.numbers, window.codes), np.mean(members, axis=0), atol=1e-6
    )
    own = [model.member_losses(outputs[:, member], window.labels) for member in range(3)]
    assert np.allclose(model.losses(outputs, window.labels), np.mean(own, axis=0), atol=1e-6)


def test_the_layers_of_an_ensemble_keep_its_members_apart() -> None:
    """What each computes at once is what the members would compute one by one."""
    rows = np.random.default_rng(2).normal(size=(50, 7)).astype(np.float32)
    first, heads = MemberDense(3, 5), Heads(2)
    hidden = first(rows)
    scores = heads(hidden).numpy()
    kernel, bias = heads.kernel.numpy(), heads.bias.numpy()
    assert hidden.shape == (50, 3, 5) and scores.shape == (50, 3, 2)
    for member in range(3):
        scaled = rows * first.scale.numpy()[:, member]
        expected = scaled @ first.kernel.numpy() + first.bias.numpy()
        np.testing.assert_allclose(hidden[:, member], expected, atol=1e-5)
        np.testing.assert_allclose(
            scores[:, member], expected @ kernel[member] + bias[member], atol=1e-5
        )


def test_the_first_layer_computes_no_gradient_of_inputs_that_nothing_learns() -> None:
    rows = tf.constant(np.random.default_rng(3).normal(size=(50, 7)).astype(np.float32))
    for first in FirstDense(5, fixed=4), MemberDense(3, 5, fixed=4), FirstDense(5, fixed=7):
        found = []
        for training in True, False:
            with tf.GradientTape() as tape:
                tape.watch(rows)
                loss = tf.reduce_sum(tf.square(first(rows, training=training)))
            found.append(tape.gradient(loss, [rows, *first.trainable_variables]))
        (of_rows, *ours), (whole, *expected) = found
        assert not of_rows[:, : first.fixed].numpy().any()
        np.testing.assert_allclose(of_rows[:, first.fixed :], whole[:, first.fixed :], rtol=1e-5)
        for own, other in zip(ours, expected, strict=True):
            np.testing.assert_allclose(own, other, rtol=1e-5)


def test_only_inputs_without_weights_before_them_are_fixed(
    schema: Schema, statistics: Statistics
) -> None:
    two, three = keras.Input((2,)), keras.Input((3,))
    learned, joined = keras.layers.Dense(4)(two), keras.layers.Concatenate
    assert fixed_width(joined()([three, two, learned, three])) == 5
    assert fixed_width(joined()([keras.layers.ReLU()(learned), three])) == 0
    assert fixed_width(keras.layers.ReLU()(joined()([two, three]))) == 5
    # A layer of the user's before the first one learns by the gradient of all its outputs.
    assert fixed_width(keras.layers.LayerNormalization()(joined()([two, three]))) == 0
    layers = Model(schema, statistics, SETTINGS).network.layers
    [fixed] = [layer.fixed for layer in layers if isinstance(layer, FirstDense)]
    encoded = [layer for layer in layers if isinstance(layer, PiecewiseLinear | Calendar)]
    assert fixed == sum(layer.output.shape[1] for layer in encoded)


def test_dropout_leaves_out_the_same_units_for_all_members() -> None:
    dropout, ones = MemberDropout(0.25), np.ones((200, 4, 30), np.float32)
    np.testing.assert_array_equal(dropout(ones, training=False), ones)
    kept = dropout(ones, training=True).numpy()
    assert (kept == kept[:, :1]).all() and np.unique(kept).tolist() == pytest.approx([0, 4 / 3])
    assert (kept == 0).mean() == pytest.approx(0.25, abs=0.03)
    assert not (kept[0] == kept[1]).all()


def test_an_ensemble_learns(prepared: Path, schema: Schema, statistics: Statistics) -> None:
    settings = replace(SETTINGS, ensemble=4, learning_rate=0.01)
    split, _ = splits_of(prepared, schema, settings)
    model = Model(schema, statistics, settings)
    trainer = Trainer(model, build_optimizer(model.network, settings, split.rows, 60), settings)
    before, *_ = trainer.evaluate(split)
    for _ in range(6):
        trainer.train_steps(trainer.tensors(split.all_rows()), batches(split.rows, 10), 0, 10)
    assert trainer.evaluate(split)[0]["loss"] < before["loss"]


def test_the_linear_part_moves_faster_and_by_evidence(
    schema: Schema, statistics: Statistics
) -> None:
    network = Model(schema, statistics, SETTINGS).network
    found = treatments(network, SETTINGS, rows=300)
    wide = [one for one in found if one.rate_factor > 1]
    assert len(wide) == bool(schema.coded)
    assert all(one.epsilon == 1 / SETTINGS.batch_size and not one.decay for one in wide)
    decayed = [one for one in found if one.decay]
    kinds = keras.layers.Dense, FirstDense
    dense = [layer for layer in network.layers if isinstance(layer, kinds)]
    assert decayed == [Treatment(decay=SETTINGS.weight_decay)] * len(dense)


@pytest.mark.parametrize("ensemble", [1, 3])
def test_a_layer_may_have_any_name(schema: Schema, statistics: Statistics, ensemble: int) -> None:
    settings = replace(SETTINGS, ensemble=ensemble)
    network = Model(schema, statistics, settings).network
    renamed = Model(schema, statistics, settings).network
    for number, layer in enumerate(renamed.layers):
        layer.name = f"layer_{number}"
        for variable in layer.variables:
            variable._path = f"{layer.name}/{variable.name}"
    assert treatments(renamed, settings, 300) == treatments(network, settings, 300)


def test_pairs_of_columns_are_bounded_and_those_of_the_fewest_combinations() -> None:
    assert pairs_to_cross([3, 2, 90], 10_000) == [(0, 1), (0, 2), (1, 2)]
    assert pairs_to_cross([3, 2, 90], 100) == [(0, 1)]
    few = [2] * 10
    pairs = pairs_to_cross([*few, *[30] * 100], 1_000_000)
    assert len(pairs) == MOST_CROSSES
    assert {(a, b) for a in range(10) for b in range(a + 1, 10)} < set(pairs)
