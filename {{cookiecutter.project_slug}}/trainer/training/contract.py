"""What trainer/model.py must keep, checked on some rows before the first step: what would train wrongly without an error."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.data.shards import Split, Window
from trainer.run.errors import UserError
from trainer.settings import Settings
from trainer.training.distribution import Replicas
from trainer.training.train_step import Trainer, stateful_layers

ROWS = 64
TOLERANCE = 1e-3
PASSES_ON = (keras.layers.Add, keras.layers.Average, keras.layers.Reshape, keras.layers.Flatten)
LOSS, NETWORK = "Model.losses in trainer/model.py", "the network of trainer/model.py"
PREDICTIONS = "Model.predictions in trainer/model.py"


def check_model(trainer: Trainer, window: Window) -> None:
    """Raise `UserError` if network, loss or predictions of the model break their contract on the first rows of a window."""
    check_state(trainer)
    if not window.rows:  # those of another replica are checked there
        return
    model = trainer.model
    numbers, codes, labels = (
        tf.constant(array[:ROWS]) for array in (window.numbers, window.codes, window.labels)
    )
    with tf.GradientTape() as tape:
        outputs = model.network([numbers, codes], training=False)
        check_array(NETWORK, outputs, [len(labels), *outputs.shape[1:]])
        losses = model.losses(outputs, labels)
        check_array(LOSS, losses, [len(labels)])
        losses = tf.convert_to_tensor(losses)
    variables = model.network.trainable_variables
    check_gradients(tape.gradient(losses, variables), variables)
    of_predictions = trainer.predict_part.get_concrete_function().variables
    check_variables([*tape.watched_variables(), *of_predictions], model.network)
    lowest = tf.argsort(losses)[: ROWS // 2]  # their mean is surely another one than that of all
    of_lowest = model.losses(tf.gather(outputs, lowest), tf.gather(labels, lowest))
    check_rows(LOSS, tf.gather(losses, lowest), of_lowest)
    check_labels(model, outputs, labels)
    predictions = trainer.predict_part(numbers, codes)
    check_array(PREDICTIONS, predictions, [len(labels), model.output_count])
    lowest = tf.argsort(predictions[:, -1])[: ROWS // 2]
    of_lowest = trainer.predict_part(tf.gather(numbers, lowest), tf.gather(codes, lowest))
    check_rows(PREDICTIONS, tf.gather(predictions, lowest), of_lowest)
    if model.task != "regression":
        check_probabilities(predictions.numpy())
        check_activated_once(model, outputs, labels, predictions)


def check_label_domain(splits: Mapping[str, Split], settings: Settings, replicas: Replicas) -> None:
    """Raise `UserError` for a label below 0 where the loss or the transform takes none."""
    flags = ["--loss poisson"] * (settings.loss == "poisson")
    flags += ["--target-transform log"] * (settings.target_transform == "log")
    if len(flags) > 1:
        raise UserError(
            " beside ".join(flags), "one of them: both take logarithms", "leave one out"
        )
    for name, split in splits.items() if flags else ():
        if (least := min(replicas.gathered(split.smallest_label()))) < 0:
            what, expected = f"a label of the {name} split is {least:g}", f">= 0 for {flags[0]}"
            raise UserError(what, expected, "leave that flag out, or correct the table")


def check_state(trainer: Trainer) -> None:
    layers = stateful_layers(trainer.model.network)
    if layers and trainer.replicas.count > 1:
        raise UserError(
            f"the layer {layers[0].name} ({type(layers[0]).__name__}) computes what it keeps from each replica's part of a batch",
            "layers with which several replicas train as one does",
            "use LayerNormalization, or one replica; a layer that training does not change: trainable = False",
        )


def check_array(where: str, values: Any, shape: list[int]) -> None:
    """Raise `UserError` unless `values` are finite float32 of a shape."""
    found = getattr(values, "shape", None)
    kind = tf.as_dtype(values.dtype).name if hasattr(values, "dtype") else type(values).__name__
    if found is None or [*found] != shape or kind != "float32":
        raise UserError(
            f"{where} returns {kind} {[*found] if found is not None else ''}".rstrip(),
            f"float32 {shape} for {shape[0]} rows",
            "check shapes and types on the way: [rows] and [rows, 1] combine to [rows, rows], and a mean leaves no rows",
        )
    invalid = ~np.isfinite(values)
    if invalid.any():
        raise UserError(
            f"{where} returns {np.asarray(values)[invalid][0]} for {invalid.sum()} of {invalid.size} values, before any training",
            "finite numbers",
            "guard logarithms, roots and divisions, and replace NaN, which stands for a missing number",
        )


def check_gradients(gradients: list[Any], variables: list[Any]) -> None:
    unused = [
        variable.path
        for variable, gradient in zip(variables, gradients, strict=True)
        if gradient is None
    ]
    if unused:
        more = f" and {len(unused) - 3} more" if len(unused) > 3 else ""
        raise UserError(
            f"the loss does not depend on the weights {', '.join(unused[:3])}{more}, which would never be trained",
            "a gradient for each weight",
            "connect their layer to the output, or remove it; NumPy, tf.stop_gradient, rounding and casts to integers cut gradients",
        )


def check_variables(read: Sequence[Any], network: Any) -> None:
    """Raise `UserError` if one of the TensorFlow variables that are `read` is no weight of the network."""
    own = [variable.value for variable in network.variables]
    # On several replicas each has a copy, and the copies are read.
    known = {id(copy) for each in own for copy in (each, *getattr(each, "values", ()))}
    for other in (each for each in read if id(each) not in known):
        raise UserError(
            f"trainer/model.py reads the variable {other.name} {[*other.shape]}, which is no weight of the network: neither trained, saved nor exported",
            "weights of the network alone",
            "create it by add_weight of a layer that build_network uses, or make it a tf.constant",
        )


def check_rows(where: str, values: Any, of_half: Any) -> None:
    """Raise `UserError` if the values of rows change when other rows are not in the batch."""
    expected = np.asarray(values)[: len(of_half)]
    scale = max(1.0, float(np.abs(expected).max()))
    if expected.shape != np.shape(of_half) or np.abs(expected - of_half).max() > TOLERANCE * scale:
        raise UserError(
            f"{where} returns other values for the same rows when the batch is smaller",
            "values of a row that depend on that row alone, and not on chance",
            "leave dropout and batch statistics off there (training=False), and average over no rows",
        )


def check_labels(model: Any, outputs: Any, labels: Any) -> None:
    """Raise `UserError` if the loss stays the same with other labels."""
    own = labels.numpy()
    if model.task == "regression":
        largest = float(np.abs(own).max())
        # Smaller fractions may vanish in float32, and then matter little.
        has_fractions = np.abs(own - np.trunc(own)).max() > 1e-3 * largest
        others = np.trunc(own) if has_fractions else own + max(1.0, largest)
        part = "the fractions of the labels" if has_fractions else "the labels"
    else:
        others, part = (own + 1) % max(model.output_count, 2), "the labels"
    # Outputs that are all alike, as at the start of a network of zeros, would cost the same for each class.
    unlike = outputs + tf.range(1.0, outputs.shape[-1] + 1.0)
    losses = model.losses(unlike, labels).numpy()
    if (losses == model.losses(unlike, tf.constant(others, labels.dtype)).numpy()).all():
        raise UserError(
            f"{LOSS} ignores {part}",
            "a loss that compares the outputs with them",
            "use the argument labels, and cast it to float32, not to integers",
        )


def check_probabilities(predictions: npt.NDArray[Any]) -> None:
    totals = predictions.sum(axis=1)
    if predictions.min() < 0 or predictions.max() > 1 or np.abs(totals - 1).max() > TOLERANCE:
        raise UserError(
            f"{PREDICTIONS} returns rows such as [{', '.join(f'{value:.3g}' for value in predictions[0][:5])}]",
            "a probability from 0 to 1 for each class, with a sum of 1",
            "apply softmax, or sigmoid to both classes, to the logits in Model.activate",
        )


def check_activated_once(model: Any, outputs: Any, labels: Any, predictions: Any) -> None:
    """Raise `UserError` if the network ends in sigmoid or softmax, and loss or predictions apply it again."""
    activations = list(last_activations(model.network.outputs[0]))
    if not activations:
        return
    width = outputs.shape[-1]  # 1 for a binary label: the second of its classes
    members = tf.reshape(outputs, [len(labels), -1, width])
    classes = tf.one_hot(labels, max(width, 2))[:, None, -width:]
    perfect = tf.clip_by_value(classes + tf.zeros_like(members), 1e-4, 1 - 1e-4)
    losses = model.losses(tf.reshape(perfect, outputs.shape), labels)
    in_loss = float(tf.reduce_mean(losses)) > 0.1
    own = tf.reduce_mean(members[:, :, -1], axis=1)
    in_predictions = np.abs(predictions[:, -1] - own).max() > TOLERANCE
    if in_loss or in_predictions:
        raise UserError(
            f"the network ends in {activations[0]}, and {'the loss' if in_loss else 'Model.predictions'} applies it again",
            "logits from the network, to which loss and predictions each apply it once",
            f"remove {activations[0]} from its last layer in trainer/model.py",
        )


def last_activations(tensor: Any) -> Iterator[str]:
    """Yield sigmoid and softmax among what makes a Keras tensor, through layers that add and reshape."""
    history = tensor._keras_history
    layer = history.operation
    name = getattr(getattr(layer, "activation", layer), "__name__", type(layer).__name__.lower())
    if name in ("sigmoid", "softmax"):
        yield name
    if isinstance(layer, PASSES_ON):
        for each in layer._inbound_nodes[history.node_index].input_tensors:
            yield from last_activations(each)
