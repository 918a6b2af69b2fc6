"""The model with its optimizer, as compiled graphs that take many steps per call."""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.data.shards import Split, Window
from trainer.run.cluster import Place
from trainer.run.errors import UserError
from trainer.settings import Settings
from trainer.training.distribution import Replicas
from trainer.training.metrics import metrics_of
from trainer.training.tensorflow_setup import cores

EVALUATION_ROWS = 8_192
LEAST_ROWS_PER_PART = 64
ROUNDING = 1e-4  # what replicas tell each other is rounded to float32
SEED_STATE = "seed_generator_state"  # the name that Keras gives it


def parts_of(batch_size: int) -> int:
    """Return into how many parts a batch is cut: one per core, if that leaves each part rows enough to be worth it."""
    if tf.config.list_physical_devices("GPU"):
        return 1
    return max(1, min(cores(), batch_size // LEAST_ROWS_PER_PART))


def input_specs(model: Any) -> tuple[Any, Any, Any]:
    """Return the types of numbers [rows, numeric], codes [rows, coded] and labels [rows], for any number of rows."""
    numbers, codes = (tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.network.inputs)
    labels = tf.float32 if model.task == "regression" else tf.int32
    return numbers, codes, tf.TensorSpec([None], labels)


class Learner:
    """Steps and predictions of a model, compiled once."""

    def __init__(
        self, model: Any, optimizer: Any, settings: Settings, replicas: Replicas | None = None
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.replicas = replicas or Replicas(Place())
        self.parts = parts_of(settings.batch_size // self.replicas.count)
        self.best: list[npt.NDArray[Any]] = []
        self._loaded: tuple[Window, tuple[Any, Any, Any]] | None = None
        numbers, codes, labels = input_specs(model)
        number = tf.TensorSpec([], tf.int64)
        # With signatures, because any other number of rows would have the graph traced again.
        self.steps = tf.function(
            self._steps,
            [numbers, codes, labels, tf.TensorSpec([None], tf.int64), number, number, number],
        )
        self.gradient = tf.function(
            self._gradient,
            [numbers, codes, labels, tf.TensorSpec([], tf.float32)],
            autograph=False,
        )
        self.predicted = tf.function(self._predicted, [numbers, codes], autograph=False)
        self.part_predicted = tf.function(model.predictions, [numbers, codes], autograph=False)
        self.vary_dropout()

    @property
    def variables(self) -> list[Any]:
        """Everything that a checkpoint must hold: weights, random states, optimizer."""
        return [*self.model.network.variables, *self.optimizer.variables]

    @property
    def weights(self) -> list[Any]:
        """What the network has learnt: its variables but the random states, which differ among replicas."""
        return [one for one in self.model.network.variables if one.name != SEED_STATE]

    def arrays(self) -> list[npt.NDArray[Any]]:
        """Return the values of the variables, then those of the best network so far, if they were kept."""
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
        """Let each replica leave out other units: all have been given the seeds of the first."""
        if self.replicas.count > 1:
            self._vary_dropout()

    @tf.function  # type: ignore[untyped-decorator]
    def _vary_dropout(self) -> None:
        self.replicas.strategy.run(self._add_index_to_seeds)

    def _add_index_to_seeds(self) -> None:
        for variable in self.model.network.variables:
            if variable.name == SEED_STATE:
                variable.assign_add(tf.cast([self.replicas.index(), 0], variable.dtype))

    def check_equal(self) -> None:
        """Raise `UserError` if the weights of a process have drifted away from those of another."""
        checksum = 0
        for variable in self.model.network.trainable_variables:
            checksum = zlib.crc32(variable.numpy().tobytes(), checksum)
        # What float32 holds exactly.
        if len(set(self.replicas.gathered(checksum % 2**24))) > 1:
            raise UserError(
                "the replicas end with different weights",
                "the same weights on each, since all add up the same gradients",
                "give all replicas the same machine type, package and data, and name another --job-dir",
            )

    def keep_best(self) -> None:
        """Keep the present weights as the best so far."""
        self.best = [variable.numpy() for variable in self.weights]

    def use_best(self) -> None:
        """Set the weights to the best that were kept, if any."""
        for variable, array in zip(self.weights, self.best, strict=False):
            variable.assign(array)

    def tensors(self, window: Window) -> tuple[Any, Any, Any]:
        """Return numbers, codes and labels of the window as tensors, converted once."""
        if self._loaded is None or self._loaded[0] is not window:
            arrays = (window.numbers, window.codes, window.labels)
            self._loaded = (
                window,
                (tf.constant(arrays[0]), tf.constant(arrays[1]), tf.constant(arrays[2])),
            )
        return self._loaded[1]

    def take_steps(
        self, tensors: tuple[Any, Any, Any], order: Any, first: int, last: int, steps: int
    ) -> tuple[float, int]:
        """Take the steps `first` to `last` on a window; return the last loss and the number of the next step."""
        bounds = [tf.constant(number, tf.int64) for number in (first, last, steps)]
        with self.replicas.loss_told():
            loss, reached, trained = self.steps(*tensors, order, *bounds)
            batches = len(order) * int(reached) // steps - len(order) * first // steps
            self.check_shared(int(trained), batches)
            return sum(self.replicas.gathered(float(loss))), int(reached)

    def check_shared(self, trained: int, batches: int) -> None:
        """Raise `UserError` unless the rows that each replica has `trained` on add up to those of the batches."""
        if self.replicas.count == 1:
            return
        total = sum(self.replicas.gathered(trained))
        if abs(total - batches) > batches * ROUNDING:
            raise UserError(
                f"the replicas trained on {total:,.0f} rows of batches that hold {batches:,}",
                "each row on one replica",
                "let step_on_part in trainer/training/train_step.py give each replica a part of its own",
            )

    def _steps(
        self, numbers: Any, codes: Any, labels: Any, order: Any, first: Any, last: Any, steps: Any
    ) -> Any:
        """Take the steps `first` to `last` of the `steps` that cut `order`, int64 [rows], into equal batches.

        Returns the loss of the last step taken, as far as this process has a part in it, the number of the next one, and
        how many rows this process trained on. A loss that is not finite ends it early, unless there are other replicas, which cannot know.
        """
        rows = tf.size(order, tf.int64)
        loss, step, trained = tf.constant(0.0), first, tf.constant(0, tf.int64)
        while step < last and (self.replicas.count > 1 or tf.math.is_finite(loss)):
            batch = order[rows * step // steps : rows * (step + 1) // steps]
            loss, taken = self.step_everywhere(numbers, codes, labels, batch)
            trained += taken
            step += 1
        return loss, step, trained

    # Nothing from here on branches on tensors, and to convert it takes time.
    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def step_everywhere(self, numbers: Any, codes: Any, labels: Any, rows: Any) -> Any:
        """Take one step on the rows of these numbers, int64 [batch], each replica on its part.

        Returns the loss and the number of rows, as far as this process has a part in them.
        """
        count = tf.size(rows, tf.int64)
        if self.replicas.count == 1:
            return self.step(numbers, codes, labels, rows, count)
        strategy = self.replicas.strategy
        results = strategy.run(self.step_on_part, (numbers, codes, labels, rows, count))
        losses, counts = map(strategy.experimental_local_results, results)
        return tf.add_n(losses), tf.add_n(counts)

    def step_on_part(self, numbers: Any, codes: Any, labels: Any, rows: Any, count: Any) -> Any:
        """Take this replica's part in a step: no row is another's, and none is left out."""
        part, parts = self.replicas.index(), self.replicas.count
        own = rows[count * part // parts : count * (part + 1) // parts]
        return self.step(numbers, codes, labels, own, count)

    def step(self, numbers: Any, codes: Any, labels: Any, rows: Any, batch_rows: Any) -> Any:
        """Take one step on the rows of these numbers, int64, of a batch of `batch_rows`.

        Returns their part of its loss, and how many they are. The optimizer adds up the gradients of all replicas.
        """
        count = tf.size(rows, tf.int64)
        losses, gradients = [], []
        for part in range(self.parts):
            chosen = rows[count * part // self.parts : count * (part + 1) // self.parts]
            batch = (
                tf.gather(numbers, chosen),
                tf.gather(codes, chosen),
                tf.gather(labels, chosen),
            )
            loss, gradient = self.gradient(*batch, tf.cast(batch_rows, tf.float32))
            losses.append(loss)
            gradients.append([tf.convert_to_tensor(tensor) for tensor in gradient])
        totals = [tf.add_n(tensors) for tensors in zip(*gradients, strict=True)]
        self.optimizer.apply(totals, self.model.network.trainable_variables)
        return tf.add_n(losses), count

    def _gradient(self, numbers: Any, codes: Any, labels: Any, rows: Any) -> tuple[Any, Any]:
        """Return the loss of a part of a batch, as its share of the mean over `rows`, and its gradient."""
        with tf.GradientTape() as tape:
            outputs = self.model.network([numbers, codes], training=True)
            loss = tf.reduce_sum(self.model.losses(outputs, labels)) / rows
        return loss, tape.gradient(loss, self.model.network.trainable_variables)

    def _predicted(self, numbers: Any, codes: Any) -> Any:
        """Return the model's predictions, a part of the rows per core."""
        rows = tf.shape(numbers)[0]
        cuts = [rows * part // self.parts for part in range(self.parts + 1)]
        parts = [slice(cuts[part], cuts[part + 1]) for part in range(self.parts)]
        return tf.concat([self.part_predicted(numbers[part], codes[part]) for part in parts], 0)

    def evaluate(self, split: Split) -> tuple[dict[str, float], npt.NDArray[Any]]:
        """Return the metrics of a split, and its labels [rows]. The processes share the rows, and all get the same."""
        outputs, labels = [], []
        for window in split.windows(split.plan([0])):
            outputs.append(self.window_predictions(window))
            labels.append(window.labels)
        all_labels = np.concatenate(labels)
        return metrics_of(
            self.model.task, np.concatenate(outputs).astype(np.float64), all_labels
        ), all_labels

    def window_predictions(self, window: Window) -> npt.NDArray[np.float32]:
        """Return the predictions for a window, float32 [rows, outputs], each row computed by one process."""
        place = self.replicas.place
        first, last = (
            window.rows * number // place.count for number in (place.index, place.index + 1)
        )
        begins = range(first, last, EVALUATION_ROWS)
        cuts = [slice(begin, min(begin + EVALUATION_ROWS, last)) for begin in begins]
        own = [self.predicted(window.numbers[cut], window.codes[cut]).numpy() for cut in cuts]
        if place.count == 1:
            return np.concatenate(own)
        predictions = np.zeros((window.rows, self.model.output_count), np.float32)
        predictions[first:last] = np.concatenate(own) if own else 0.0
        return self.replicas.summed(predictions.reshape(-1)).reshape(predictions.shape)
