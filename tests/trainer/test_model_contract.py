"""What trainer/model.py may not do: each mistake is reported before the first step."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from trainer import model as model_module
from trainer.data.schema import Schema
from trainer.data.shards import Split, Window
from trainer.data.statistics import Statistics
from trainer.model import Model, build_optimizer
from trainer.run.errors import UserError
from trainer.settings import Settings
from trainer.training.contract import check_labels, check_model
from trainer.training.train_step import Trainer

SETTINGS = Settings(
    epochs=1, batch_size=64, learning_rate=1e-3, hidden_units=(8,), ensemble=1, dropout=0.1
)
Network = Callable[[Any, int], Any]


@pytest.fixture
def window(prepared: Path, schema: Schema) -> Window:
    return Split(prepared / "train", schema, SETTINGS.memory_mb).all_rows()


def trainer_of(schema: Schema, statistics: Statistics) -> Trainer:
    model = Model(schema, statistics, SETTINGS)
    return Trainer(model, build_optimizer(model.network, SETTINGS, 300, 10), SETTINGS)


def test_the_model_of_the_template_passes(
    schema: Schema, statistics: Statistics, window: Window
) -> None:
    trainer = trainer_of(schema, statistics)
    before = [variable.numpy() for variable in trainer.variables]
    started = time.process_time()
    check_model(trainer, window)
    assert time.process_time() - started < 5
    after = [variable.numpy() for variable in trainer.variables]
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def test_fractions_that_float32_loses_in_the_loss_pass() -> None:
    """Labels of millions, one of them with a half."""

    def losses(outputs: Any, labels: Any) -> Any:
        return tf.square(outputs[:, 0] - (labels - 5e6) / 2.3e6)

    model = SimpleNamespace(task="regression", output_count=1, losses=losses)
    for half in np.arange(1e6, 4e6, 50_000) + 0.5:
        labels = np.linspace(1e6, 8e6, 64).round().astype(np.float32)
        labels[3] = half
        check_labels(model, tf.zeros([64, 1]), tf.constant(labels))


def test_a_network_of_zeros_passes(
    schema: Schema, statistics: Statistics, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_network(
        monkeypatch,
        lambda hidden, outputs: keras.layers.Dense(outputs, "linear", True, "zeros")(hidden),
    )
    check_model(trainer_of(schema, statistics), window)


# Each takes the right losses of rows, the outputs and the labels.
LOSSES: list[tuple[Callable[[Any, Any, Any], Any], str]] = [
    (lambda own, outputs, labels: own - tf.cast(labels, tf.float32)[:, None], r"returns float32 \[64, 64\]; expected float32 \[64\]"),
    (lambda own, outputs, labels: own[:, None] * own, r"returns float32 \[64, 64\]"),
    (lambda own, outputs, labels: own[:, None], r"returns float32 \[64, 1\]"),
    (lambda own, outputs, labels: tf.reduce_mean(own), r"returns float32 \[\]; expected float32 \[64\]"),
    (lambda own, outputs, labels: tf.cast(own, tf.float64), r"returns float64 \[64\]"),
    (lambda own, outputs, labels: tf.cast(own, tf.bfloat16), r"returns bfloat16 \[64\]"),
    (lambda own, outputs, labels: None, "returns NoneType; expected"),
    (lambda own, outputs, labels: own.numpy(), "does not depend on the weights"),
    (lambda own, outputs, labels: np.abs(own), "does not depend on the weights .*; NumPy, "),
    (lambda own, outputs, labels: tf.stop_gradient(own), "does not depend on the weights"),
    (lambda own, outputs, labels: tf.cast(tf.cast(own, tf.int32), tf.float32), "does not depend on the weights"),
    (lambda own, outputs, labels: tf.round(own) * 0 + tf.square(outputs)[:, 0], "ignores the (fractions of the )?labels"),
    (lambda own, outputs, labels: own / tf.reduce_mean(own), "other values for the same rows when the batch is smaller"),
    (lambda own, outputs, labels: own - tf.reduce_sum(own), "other values for the same rows"),
    (lambda own, outputs, labels: own + tf.random.normal([tf.shape(own)[0]]), "and not on chance"),
    (lambda own, outputs, labels: tf.math.log(own * 0.0), "-?inf for 64 of 64 values, before any training"),
    (lambda own, outputs, labels: own * float("nan"), "returns nan for 64 of 64 values"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), LOSSES)
def test_a_loss_that_breaks_the_contract_is_reported(
    schema: Schema,
    statistics: Statistics,
    window: Window,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Any, Any, Any], Any],
    message: str,
) -> None:
    losses = Model.losses

    def changed(model: Model, outputs: Any, labels: Any) -> Any:
        return change(losses(model, outputs, labels), outputs, labels)

    monkeypatch.setattr(Model, "losses", changed)
    with pytest.raises(UserError, match=message):
        check_model(trainer_of(schema, statistics), window)


PREDICTIONS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda own: own[:, 0], r"Model.predictions in trainer/model.py returns float32 \[64\]; expected"),
    (lambda own: tf.cast(own, tf.float64), r"returns float64"),
    (lambda own: tf.nn.dropout(own, 0.5), "other values for the same rows|returns rows such as"),
    (lambda own: own - tf.reduce_mean(own, axis=0), "other values for the same rows"),
    (lambda own: own / tf.zeros_like(own), "before any training"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), PREDICTIONS)
def test_predictions_that_break_the_contract_are_reported(
    schema: Schema,
    statistics: Statistics,
    window: Window,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Any], Any],
    message: str,
) -> None:
    predictions = Model.predictions
    monkeypatch.setattr(
        Model, "predictions", lambda model, *given: change(predictions(model, *given))
    )
    with pytest.raises(UserError, match=message):
        check_model(trainer_of(schema, statistics), window)


@pytest.mark.parametrize(
    ("layer", "options"),
    [
        (keras.layers.Dropout, (0.5,)),
        (keras.layers.GaussianNoise, (1.0,)),
        (keras.layers.BatchNormalization, ()),
    ],
)
def test_predictions_with_training_layers_on_are_reported(
    schema: Schema,
    statistics: Statistics,
    window: Window,
    monkeypatch: pytest.MonkeyPatch,
    layer: Any,
    options: tuple[float, ...],
) -> None:
    use_network(
        monkeypatch, lambda hidden, outputs: keras.layers.Dense(outputs)(layer(*options)(hidden))
    )
    monkeypatch.setattr(
        Model,
        "predictions",
        lambda model, *inputs: model.activate(model.network([*inputs], training=True)),
    )
    with pytest.raises(UserError, match="other values for the same rows"):
        check_model(trainer_of(schema, statistics), window)


class Untrained(keras.layers.Layer):  # type: ignore[misc]
    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], 2))

    def call(self, values: Any) -> Any:
        return values + 0.0 * tf.reduce_sum(tf.round(self.kernel))


NETWORKS: list[tuple[Network, str]] = [
    (lambda hidden, outputs: keras.layers.Dense(outputs)(keras.ops.round(hidden)), "does not depend on the weights dense"),
    (lambda hidden, outputs: keras.layers.Dense(outputs)(Untrained()(hidden)), "does not depend on the weights untrained/"),
    (lambda hidden, outputs: keras.layers.Dense(outputs, dtype="float64")(hidden), "returns float64"),
    (lambda hidden, outputs: keras.layers.Dense(outputs, dtype="bfloat16")(hidden), "returns bfloat16"),
    (lambda hidden, outputs: keras.ops.log(keras.ops.relu(keras.layers.Dense(outputs)(hidden)) - 1.0), "before any training"),
]  # fmt: skip


def use_network(patch: pytest.MonkeyPatch, head: Network) -> None:
    """Let the model end in `head` of one hidden layer."""

    def build(schema: Schema, statistics: Statistics, settings: Settings) -> Any:
        numbers = keras.Input((len(schema.numeric),), name="numbers")
        codes = keras.Input((len(schema.coded),), dtype="int32", name="codes")
        known = keras.ops.nan_to_num(numbers)
        inputs = keras.layers.Concatenate()([known, keras.ops.cast(codes, "float32")])
        hidden = keras.layers.Dense(4)(keras.ops.tanh(inputs))
        outputs = len(statistics.label.classes) if schema.task == "multiclass" else 1
        return keras.Model([numbers, codes], head(hidden, outputs))

    patch.setattr(model_module, "build_network", build)


@pytest.mark.parametrize(("head", "message"), NETWORKS)
def test_a_network_that_breaks_the_contract_is_reported(
    schema: Schema,
    statistics: Statistics,
    window: Window,
    monkeypatch: pytest.MonkeyPatch,
    head: Network,
    message: str,
) -> None:
    use_network(monkeypatch, head)
    with pytest.raises(UserError, match=message):
        check_model(trainer_of(schema, statistics), window)


def added(hidden: Any, outputs: int) -> Any:
    activation = "sigmoid" if outputs == 1 else "softmax"
    dense = keras.layers.Dense(outputs, activation=activation)(hidden)
    return keras.layers.Add()([dense, keras.layers.Dense(outputs, use_bias=False)(hidden)])


@pytest.mark.parametrize(
    "head",
    [
        added,
        lambda hidden, outputs: keras.layers.Dense(
            outputs, activation="sigmoid" if outputs == 1 else "softmax"
        )(hidden),
        lambda hidden, outputs: (
            keras.layers.Softmax()(keras.layers.Dense(outputs)(hidden))
            if outputs > 1
            else keras.layers.Activation("sigmoid")(keras.layers.Dense(outputs)(hidden))
        ),
    ],
)
def test_an_activation_that_is_applied_twice_is_reported(
    schema: Schema,
    statistics: Statistics,
    window: Window,
    monkeypatch: pytest.MonkeyPatch,
    head: Network,
) -> None:
    if schema.task == "regression":
        pytest.skip("of classes only")
    use_network(monkeypatch, head)
    with pytest.raises(UserError, match="ends in (sigmoid|softmax), and the loss applies it again"):
        check_model(trainer_of(schema, statistics), window)


def test_an_activation_that_an_ensemble_applies_twice_is_reported(
    schema: Schema, statistics: Statistics, window: Window
) -> None:
    if schema.task == "regression":
        pytest.skip("of classes only")
    settings = replace(SETTINGS, ensemble=3)
    model = Model(schema, statistics, settings)
    activation = keras.layers.Activation("sigmoid" if schema.task == "binary" else "softmax")
    model.network = keras.Model(model.network.inputs, activation(model.network.outputs[0]))
    optimizer = build_optimizer(model.network, settings, 300, 10)
    with pytest.raises(UserError, match="ends in (sigmoid|softmax), and the loss applies it again"):
        check_model(Trainer(model, optimizer, settings), window)


def test_an_activation_that_loss_and_predictions_expect_passes(
    schema: Schema, statistics: Statistics, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    if schema.task != "binary":
        pytest.skip("of two classes")

    def losses(model: Model, outputs: Any, labels: Any) -> Any:
        return keras.losses.binary_crossentropy(
            tf.cast(labels, tf.float32)[:, None], outputs, axis=-1
        )

    monkeypatch.setattr(Model, "losses", losses)
    monkeypatch.setattr(
        Model, "activate", lambda _, outputs: tf.concat([1 - outputs, outputs], axis=1)
    )
    use_network(
        monkeypatch, lambda hidden, outputs: keras.layers.Dense(1, activation="sigmoid")(hidden)
    )
    check_model(trainer_of(schema, statistics), window)
    monkeypatch.setattr(
        Model,
        "activate",
        lambda _, outputs: tf.concat([tf.sigmoid(-outputs), tf.sigmoid(outputs)], 1),
    )
    with pytest.raises(UserError, match="ends in sigmoid, and Model.predictions applies it again"):
        check_model(trainer_of(schema, statistics), window)


class OwnVariable(keras.layers.Layer):  # type: ignore[misc]
    """Keras knows only what add_weight creates."""

    def build(self, shape: Any) -> None:
        self.scale = tf.Variable(tf.ones([shape[-1]]), name="scale")

    def call(self, values: Any) -> Any:
        return values * self.scale


@pytest.mark.parametrize("where", [tf.Variable, keras.Variable])
@pytest.mark.parametrize("part", ["losses", "activate"])
def test_a_variable_outside_of_the_network_is_reported(
    schema: Schema,
    statistics: Statistics,
    window: Window,
    monkeypatch: pytest.MonkeyPatch,
    where: Any,
    part: str,
) -> None:
    own, scale = getattr(Model, part), where(1.0, name="scale")

    def changed(model: Model, *given: Any) -> Any:
        return own(model, *given) * tf.convert_to_tensor(scale)

    monkeypatch.setattr(Model, part, changed)
    with pytest.raises(UserError, match=r"reads the variable .*scale.* \[\], which is no weight"):
        check_model(trainer_of(schema, statistics), window)


@pytest.mark.parametrize(
    "head",
    [
        lambda hidden, outputs: keras.layers.Dense(outputs)(OwnVariable()(hidden)),
        lambda hidden, outputs: OwnVariable()(keras.layers.Dense(outputs)(hidden)),
    ],
)
def test_a_variable_that_keras_does_not_know_is_reported(
    schema: Schema,
    statistics: Statistics,
    window: Window,
    monkeypatch: pytest.MonkeyPatch,
    head: Network,
) -> None:
    use_network(monkeypatch, head)
    with pytest.raises(UserError, match=r"reads the variable .*scale:0 \[\d\], .*add_weight"):
        check_model(trainer_of(schema, statistics), window)


def test_a_layer_beside_the_network_is_reported(
    schema: Schema, statistics: Statistics, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = keras.layers.Dense(1, name="beside")
    own = Model.predictions

    def changed(model: Model, numbers: Any, codes: Any) -> Any:
        shift = tf.reduce_sum(beside(tf.cast(codes, tf.float32)) * 0.0, axis=1)
        return own(model, numbers, codes) + shift[:, None]

    beside.build((None, len(schema.coded)))
    monkeypatch.setattr(Model, "predictions", changed)
    with pytest.raises(UserError, match=r"reads the variable beside/(kernel|bias):0 "):
        check_model(trainer_of(schema, statistics), window)


def test_batch_statistics_are_those_of_the_batch_and_need_one_replica(
    schema: Schema, statistics: Statistics, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_network(
        monkeypatch,
        lambda hidden, outputs: keras.layers.Dense(outputs)(
            keras.layers.BatchNormalization()(hidden)
        ),
    )
    trainer = trainer_of(schema, statistics)
    assert trainer.parts == 1
    check_model(trainer, window)
    monkeypatch.setattr("trainer.training.distribution.Replicas.count", 2)
    with pytest.raises(
        UserError, match=r"BatchNormalization\) computes .*; use LayerNormalization"
    ):
        check_model(trainer, window)
