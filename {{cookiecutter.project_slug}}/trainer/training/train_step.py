"""The model with its optimizer as compiled graphs: many training steps per call, prediction, evaluation."""

import math
import zlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.data.shards import Batches, Split, Window
from trainer.run.cluster import ClusterPosition
from trainer.run.errors import UserError
from trainer.settings import Settings, own_metrics
from trainer.training.distribution import Replicas
from trainer.training.metrics import MAIN_METRIC, Sums, Weights, metrics_of, own_values, sums_of
from trainer.training.tensorflow_setup import cores

EVALUATION_ROWS = 8_192
FEWEST_ROWS_PER_PART = 64
MOST_PREDICTIONS = 1 << 22  # that are at hand at once: of two million rows of two classes
SEED_STATE = "seed_generator_state"  # the name that Keras gives it


def part_count(batch_size: int) -> int:
    """Return into how many parts a batch is cut: one per core, if each part then has rows enough to be worth it."""
    if tf.config.list_physical_devices("GPU"):
        return 1
    return max(1, min(cores(), batch_size // FEWEST_ROWS_PER_PART))


def stateful_layers(network: Any) -> list[Any]:
    """Return the layers that keep what training computes beside gradients, such as BatchNormalization."""
    return [
        layer
        for layer in network._flatten_layers(include_self=False, recursive=True)
        if layer.trainable
        and not isinstance(layer, keras.layers.Normalization)
        and any(one.name != SEED_STATE for one in layer._non_trainable_variables)
    ]


def input_specs(model: Any) -> tuple[Any, ...]:
    """Return the types of numbers [rows, numeric], codes [rows, coded], labels [rows] and, if the model has them, weights [rows]."""
    numbers, codes = (tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.network.inputs)
    labels = tf.float32 if model.task == "regression" else tf.int32
    weights = [tf.TensorSpec([None], tf.float32)] * model.weighted
    return numbers, codes, tf.TensorSpec([None], labels), *weights


class Trainer:
    """Trains, predicts and evaluates; each graph is traced once.

    `train_steps` runs `steps_graph`, a loop of `train_step`, which runs `train_step_on_replica` on each replica. There
    `update` applies the sum of the `gradients` of each part of the rows, one part per core.
    """

    def __init__(
        self, model: Any, optimizer: Any, settings: Settings, replicas: Replicas | None = None
    ) -> None:
        self.model = model
        self.metric = settings.metric or MAIN_METRIC[model.task]
        self.optimizer = optimizer
        self.replicas = replicas or Replicas(ClusterPosition())
        self.parts = part_count(settings.batch_size // self.replicas.count)
        if stateful_layers(model.network):  # their statistics are those of the batch
            self.parts = 1
        self.best: list[npt.NDArray[Any]] = []
        self._loaded: tuple[Window, tuple[Any, ...]] | None = None
        tensors = input_specs(model)
        number = tf.TensorSpec([], tf.int64)
        # With signatures, because any other number of rows would have the graph traced again.
        self.steps_graph = tf.function(
            self._train_steps,
            [tensors, Batches(*[tf.TensorSpec([None], tf.int64)] * 3), number, number],
            autograph=False,
        )
        self.gradients = tf.function(
            self._gradients, [tensors, tf.TensorSpec([], tf.float32)], autograph=False
        )
        self.trace_predictions()
        self.vary_dropout()

    def trace_predictions(self) -> None:
        """Have `predict` and `predict_part` traced again, with the temperature that the model has now."""
        given = input_specs(self.model)[:2]
        self.predict = tf.function(self._predict, given, autograph=False)
        self.predict_part = tf.function(self.model.predictions, given, autograph=False)

    @property
    def variables(self) -> list[Any]:
        """Everything that a checkpoint must hold: weights, random states, optimizer."""
        return [*self.model.network.variables, *self.optimizer.variables]

    @property
    def weights(self) -> list[Any]:
        """The variables of the network but the random states, which differ among replicas."""
        return [one for one in self.model.network.variables if one.name != SEED_STATE]

    def arrays(self) -> list[npt.NDArray[Any]]:
        """Return the values of `variables`, then the best weights so far, if any were kept."""
        return [*(variable.numpy() for variable in self.variables), *self.best]

    def restore(self, arrays: Sequence[npt.NDArray[Any]]) -> None:
        """Set the variables; raise `UserError` if the arrays are of another network."""
        variables = self.variables
        own = arrays[: len(variables)]
        if [tuple(variable.shape) for variable in variables] != [array.shape for array in own]:
            raise UserError(
                "the checkpoint holds another network than trainer/model.py builds now",
                "variables of the same shapes",
                "name another --job-dir; nothing was changed",
            )
        for variable, array in zip(variables, own, strict=True):
            variable.assign(array)
        self.best = list(arrays[len(variables) :])
        self.vary_dropout()

    def vary_dropout(self) -> None:
        """Give each replica random states of its own for dropout: all start with those of the first."""
        if self.replicas.count > 1:
            tf.function(self.replicas.strategy.run)(self._add_index_to_seeds)

    def _add_index_to_seeds(self) -> None:
        for variable in self.model.network.variables:
            if variable.name == SEED_STATE:
                variable.assign_add(tf.cast([self.replicas.index(), 0], variable.dtype))

    def check_same_weights(self) -> None:
        checksum = 0
        for variable in self.model.network.trainable_variables:
            checksum = zlib.crc32(variable.numpy().tobytes(), checksum)
        if len(set(self.replicas.gathered(checksum))) > 1:
            raise UserError(
                "the replicas end with different weights",
                "the same weights on each, since all add up the same gradients",
                "give all replicas the same machine type, package and data, and name another --job-dir",
            )

    def keep_best(self) -> None:
        self.best = [variable.numpy() for variable in self.weights]

    def use_best(self) -> None:
        """Set the weights to the best that were kept, if any."""
        for variable, array in zip(self.weights, self.best, strict=False):
            variable.assign(array)

    def tensors(self, window: Window) -> tuple[Any, ...]:
        """Return numbers, codes, labels and weights, if there are, of the window as tensors, converted once."""
        if self._loaded is None or self._loaded[0] is not window:
            arrays = (window.numbers, window.codes, window.labels, window.weights)
            self._loaded = (window, tuple(tf.constant(a) for a in arrays if a is not None))
        return self._loaded[1]

    def train_steps(
        self, tensors: tuple[Any, ...], batches: Batches, first: int, last: int
    ) -> tuple[float, int]:
        """Take the steps `first` to `last` on the `tensors` of a window, one per batch; return the last loss and the number of the next step."""
        bounds = [tf.constant(number, tf.int64) for number in (first, last)]
        with self.replicas.replica_failures_reported():
            loss, reached, trained = self.steps_graph(tensors, batches, *bounds)
            rows = int(np.sum(batches.sizes[first : int(reached)]))
            self.check_row_counts(int(trained), rows)
            return sum(self.replicas.gathered(float(loss))), int(reached)

    def check_row_counts(self, trained: int, rows: int) -> None:
        """Raise `UserError` unless the rows that each replica has `trained` on add up to the `rows` of the batches."""
        total = sum(self.replicas.gathered(trained))
        if total != rows:
            raise UserError(
                f"the replicas trained on {total:,.0f} rows of batches that hold {rows:,}",
                "each row on one replica",
                "let Split.own in trainer/data/shards.py, and train_step_on_replica, give each replica a part of its own",
            )

    def _train_steps(self, tensors: Any, batches: Any, first: Any, last: Any) -> Any:
        """Return this process's part in the last loss, the number of the next step, and the rows trained on here.

        A loss that is not finite ends the loop early, unless there are other replicas, which cannot know.
        """
        order, cuts, sizes = batches

        def take(_: Any, step: Any, trained: Any) -> tuple[Any, Any, Any]:
            loss, count = self.train_step(tensors, order[cuts[step] : cuts[step + 1]], sizes[step])
            return loss, step + 1, trained + count

        def is_next(loss: Any, step: Any, _: Any) -> Any:
            return (step < last) & (self.replicas.count > 1 or tf.math.is_finite(loss))

        return tf.while_loop(is_next, take, (tf.constant(0.0), first, tf.constant(0, tf.int64)))

    def train_step(self, tensors: Any, batch: Any, size: Any) -> Any:
        """Take one step on the rows `batch`, int64 [own rows], of a batch of `size` rows, each replica on its part.

        Returns the loss and the number of rows, as far as this process has a part in them.
        """
        strategy = self.replicas.strategy
        results = strategy.run(self.train_step_on_replica, (tensors, batch, size))
        losses, counts = map(strategy.experimental_local_results, results)
        return tf.add_n(losses), tf.add_n(counts)

    def train_step_on_replica(self, tensors: Any, batch: Any, size: Any) -> Any:
        """Take this replica's part in a step: the replicas of a process share the rows that it has."""
        replicas = self.replicas.count // self.replicas.position.count
        if replicas > 1:
            rows, replica = tf.size(batch, tf.int64), self.replicas.index() % replicas
            batch = batch[rows * replica // replicas : rows * (replica + 1) // replicas]
        return self.update(tensors, batch, size)

    def update(self, tensors: Any, rows: Any, batch_size: Any) -> Any:
        """Update the weights by the gradients of some `rows`, int64, of a batch; the optimizer adds those of all replicas.

        Returns the part of these rows in the loss of the batch, and their number.
        """
        count = tf.size(rows, tf.int64)
        losses, gradients = [], []
        for part in range(self.parts):
            chosen = rows[count * part // self.parts : count * (part + 1) // self.parts]
            batch = tuple(tf.gather(tensor, chosen) for tensor in tensors)
            loss, gradient = self.gradients(batch, tf.cast(batch_size, tf.float32))
            losses.append(loss)
            gradients.append([tf.convert_to_tensor(tensor) for tensor in gradient])
        totals = [tf.add_n(tensors) for tensors in zip(*gradients, strict=True)]
        self.optimizer.apply(totals, self.model.network.trainable_variables)
        return tf.add_n(losses), count

    def _gradients(self, tensors: Any, batch_size: Any) -> tuple[Any, Any]:
        """Return the loss of some rows, as their part in the mean over the batch, and its gradients."""
        numbers, codes, labels, *weights = tensors
        with tf.GradientTape() as tape:
            outputs = self.model.network([numbers, codes], training=True)
            losses = self.model.losses(outputs, labels)
            loss = tf.reduce_sum(math.prod(weights, start=losses)) / batch_size
        return loss, tape.gradient(loss, self.model.network.trainable_variables)

    def _predict(self, numbers: Any, codes: Any) -> Any:
        """Return the model's predictions, a part of the rows per core."""
        rows = tf.shape(numbers)[0]
        cuts = [rows * part // self.parts for part in range(self.parts + 1)]
        parts = [slice(cuts[part], cuts[part + 1]) for part in range(self.parts)]
        return tf.concat([self.predict_part(numbers[part], codes[part]) for part in parts], 0)

    def evaluate(self, split: Split) -> tuple[dict[str, float], Sums]:
        """Return the metrics of a split and the sums that they are made of. The processes share the rows, and all get the same."""
        model, sums = self.model, self.sums(split)
        metrics = metrics_of(model.task, sums, self.metric, model.class_weights)
        if own_metrics():
            metrics |= own_values(model.task, *self.predicted(split)[:2])
        return metrics, sums

    def sums(self, split: Split) -> Sums:
        """Return the sums over all rows of a split, from the windows of each process."""
        model, total = self.model, Sums()
        by_class, center, threshold = model.class_weights, model.label_mean, model.threshold
        for window in split.windows(split.plan()):
            outputs, labels = self.predict_window(window), window.labels
            sums = sums_of(model.task, outputs, labels, by_class, window.weights, center, threshold)
            total = {name: each + total.get(name, 0.0) for name, each in sums.items()}
        return {name: self.replicas.summed(each) for name, each in total.items()}

    def predicted(self, split: Split) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any], Weights]:
        """Return predictions, float64 [rows, outputs], labels and weights [rows], of the first rows of a split, to each process the same."""
        outputs = self.model.output_count
        found = np.zeros((min(split.rows, MOST_PREDICTIONS // outputs + 1), outputs + 2))
        plan = [groups for groups in split.plan() if groups[0].begin < len(found)]
        kind = np.float32 if self.model.task == "regression" else np.int32
        for groups, window in zip(plan, split.windows(plan), strict=True):
            if own := split.own(groups):
                part = found[groups[own.start].begin :][: window.rows]
                part[:, :outputs] = self.predict_window(window)[: len(part)]
                part[:, outputs] = window.labels[: len(part)]
                part[:, -1] = 0.0 if window.weights is None else window.weights[: len(part)]
        found = self.replicas.summed(found)
        weights = found[:, -1].astype(np.float32) if split.weighted else None
        return found[:, :outputs], found[:, outputs].astype(kind), weights

    def predict_window(self, window: Window) -> npt.NDArray[np.float64]:
        """Return the predictions for the rows of a window, float64 [rows, outputs]."""
        begins = range(0, max(window.rows, 1), EVALUATION_ROWS)
        cuts = [slice(begin, begin + EVALUATION_ROWS) for begin in begins]
        parts = [self.predict(window.numbers[cut], window.codes[cut]).numpy() for cut in cuts]
        return np.concatenate(parts).astype(np.float64)
