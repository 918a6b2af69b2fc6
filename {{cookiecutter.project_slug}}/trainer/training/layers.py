"""Keras layers that turn numbers and codes into what a dense layer can learn from."""

from collections.abc import Sequence
from heapq import nsmallest
from itertools import combinations, takewhile
from typing import Any

import keras
import numpy as np
import tensorflow as tf

FAR_BELOW = -1e30
MEAN_SCALE = 16.0  # so that one word among many is learnt as fast as a category
WAVES, FREQUENCY = 16, 10.0  # of each number; the deviation of their frequencies, in radians
LARGEST_CROSS, MOST_CROSSES, ROWS_PER_CROSS_CODE = 2_000, 300, 10
PAIR_FACTOR = 31  # odd, and small enough for codes below 2**24 in int32


class PiecewiseLinear(keras.layers.Layer):  # type: ignore[misc]
    """Encodes each number by how far it has filled each interval between its boundaries, plus a flag for a missing one.

    Input float32 [rows, columns], NaN where missing; output float32 [rows, columns * (intervals + 1)]. See Gorishniy et
    al. 2022, "On Embeddings for Numerical Features in Tabular Deep Learning".
    """

    def __init__(self, boundaries: Sequence[Sequence[float]], **options: Any) -> None:
        super().__init__(**options)
        intervals = max(len(edges) for edges in boundaries) - 1
        self.lower = np.zeros((len(boundaries), intervals), np.float32)
        self.scale = np.zeros((len(boundaries), intervals), np.float32)
        for row, edges in enumerate(boundaries):
            widths = np.diff(np.asarray(edges, np.float32))
            self.lower[row, : len(widths)] = edges[:-1]
            self.scale[row, : len(widths)] = 1 / widths

    def call(self, numbers: Any) -> Any:
        width = self.lower.shape[0] * self.lower.shape[1]
        missing = tf.cast(tf.math.is_nan(numbers), tf.float32)
        return tf.concat([tf.reshape(self.filled(numbers), [-1, width]), missing], axis=1)

    def filled(self, numbers: Any) -> Any:
        """Return how far each interval is filled, float32 [rows, columns, intervals] from 0 to 1."""
        known = tf.where(tf.math.is_nan(numbers), FAR_BELOW, numbers)  # fills no interval
        return tf.clip_by_value((known[:, :, None] - self.lower) * self.scale, 0.0, 1.0)


class Periodic(PiecewiseLinear):
    """Encodes each number by mixtures of waves of its quantile, whose frequencies are learnt.

    Input float32 [rows, columns], NaN where missing; output float32 [rows, columns * units]. See Gorishniy et al. 2022, and
    Holzmüller et al. 2024, "Better by Default".
    """

    def __init__(self, boundaries: Sequence[Sequence[float]], units: int, **options: Any) -> None:
        super().__init__(boundaries, **options)
        self.units = units
        self.intervals = np.maximum((self.scale > 0).sum(1), 1).astype(np.float32)

    def build(self, _: Sequence[int]) -> None:
        normal, columns = keras.initializers.RandomNormal, len(self.intervals)
        self.frequencies = self.add_weight(
            shape=(columns, WAVES), initializer=normal(stddev=FREQUENCY), name="frequencies"
        )
        self.phases = self.add_weight(
            shape=(columns, WAVES),
            initializer=keras.initializers.RandomUniform(-np.pi, np.pi),
            name="phases",
        )
        self.mixtures = self.add_weight(
            shape=(columns, WAVES, self.units),
            initializer=normal(stddev=WAVES**-0.5),
            name="mixtures",
        )

    def call(self, numbers: Any) -> Any:
        quantiles = tf.reduce_sum(self.filled(numbers), 2) / self.intervals
        angles = quantiles[:, :, None] * tf.convert_to_tensor(self.frequencies)
        waves = tf.cos(angles + tf.convert_to_tensor(self.phases))
        mixed = tf.einsum("rcw,cwu->rcu", waves, tf.convert_to_tensor(self.mixtures))
        return tf.reshape(mixed, [-1, len(self.intervals) * self.units])


class Calendar(keras.layers.Layer):  # type: ignore[misc]
    """Encodes dates by the sine and cosine of their hour, weekday and month; zeros for a missing one.

    Input float32 [rows, columns], of which those from `first` are days since 1970-01-01, NaN where missing; output float32
    [rows, dates * 6].
    """

    def __init__(self, first: int, **options: Any) -> None:
        super().__init__(**options)
        self.first = first

    def call(self, numbers: Any) -> Any:
        dates = numbers[:, self.first :]
        missing = tf.math.is_nan(dates)
        known = tf.where(missing, 0.0, dates)
        day = tf.cast(tf.floor(known), tf.int32)
        hour = known - tf.floor(known)
        weekday = tf.cast(day % 7, tf.float32) / 7
        month = tf.cast(calendar(day)[1] - 1, tf.float32) / 12
        angles = 2 * np.pi * tf.stack([hour, weekday, month], axis=2)
        waves = tf.concat([tf.sin(angles), tf.cos(angles)], axis=2)
        waves = tf.where(missing[:, :, None], 0.0, waves)
        return tf.reshape(waves, [-1, dates.shape[1] * waves.shape[2]])


def calendar(days: Any) -> tuple[Any, Any, Any]:
    """Return year, month and day of days since 1970-01-01, integers, by Hinnant 2021, "chrono-Compatible Low-Level Date Algorithms"."""
    era, of_era = (days + 719_468) // 146_097, (days + 719_468) % 146_097
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    is_next = tf.cast(month >= 10, days.dtype)  # a year begins in March
    first = (153 * month + 2) // 5
    return year + 400 * era + is_next, month + 3 - 12 * is_next, of_year - first + 1


class Crosses(keras.layers.Layer):  # type: ignore[misc]
    """Gives each pair of codes a code of its own, `left * count of right + right`, and puts it behind the codes.

    Input int32 [rows, columns]; output int32 [rows, columns + pairs]. A matrix product computes all at once: float32 is
    exact for codes below 2**24.
    """

    def __init__(
        self, pairs: Sequence[tuple[int, int]], code_counts: Sequence[int], **options: Any
    ) -> None:
        super().__init__(**options)
        crossed = np.zeros((len(code_counts), len(pairs)), np.float32)
        for pair, (left, right) in enumerate(pairs):
            crossed[left, pair] = code_counts[right]
            crossed[right, pair] = 1
        self.weights_of_codes = np.hstack([np.eye(len(code_counts), dtype=np.float32), crossed])

    def call(self, codes: Any) -> Any:
        return tf.cast(tf.matmul(tf.cast(codes, tf.float32), self.weights_of_codes), tf.int32)


def pairs_to_cross(counts: Sequence[int], rows: int) -> list[tuple[int, int]]:
    """Return the pairs of coded columns with few enough combinations to be learnt from `rows` rows, in order.

    Those of the fewest combinations, if there are too many: thousands of columns have millions of pairs.
    """
    limit = min(LARGEST_CROSS, rows // ROWS_PER_CROSS_CODE)
    sized = ((counts[a] * counts[b], (a, b)) for a, b in combinations(range(len(counts)), 2))
    few = nsmallest(MOST_CROSSES, (each for each in sized if each[0] <= limit))
    return sorted(pair for _, pair in few)


class FusedEmbedding(keras.layers.Layer):  # type: ignore[misc]
    """One table for all coded columns: one lookup instead of one per column.

    Input int32 [rows, columns]; output float32 [rows, columns, width].
    """

    def __init__(
        self, code_counts: Sequence[int], width: int, deviation: float, **options: Any
    ) -> None:
        super().__init__(**options)
        self.offsets = np.cumsum([0, *code_counts[:-1]]).astype(np.int32)
        self.table = self.add_weight(
            shape=(sum(code_counts), width),
            initializer=keras.initializers.RandomNormal(stddev=deviation) if deviation else "zeros",
            name="table",
        )

    def call(self, codes: Any) -> Any:
        return tf.gather(tf.convert_to_tensor(self.table), codes + self.offsets)


class WideTable(FusedEmbedding):
    """The weights of the linear part, one per code and output, which start at zero."""

    def __init__(self, code_counts: Sequence[int], outputs: int, **options: Any) -> None:
        super().__init__(code_counts, outputs, deviation=0.0, **options)


class WordMeans(FusedEmbedding):
    """Embeds each text as the mean of the vectors of its words and of the pairs of adjacent words; zeros for a text without words.

    Input int32 [rows, texts * words], 0 where a text has no more words; output float32 [rows, texts * width]. A pair has the
    code that a linear hash makes of the codes of its words, in the same table.
    """

    def __init__(
        self, code_counts: Sequence[int], words: int, width: int, dropout: float, **options: Any
    ) -> None:
        super().__init__(code_counts, width, deviation=0.01, **options)
        self.dropout = keras.layers.Dropout(dropout)
        self.shape = (len(code_counts), words)
        self.buckets = np.array(code_counts, np.int32)[:, None] - 1
        self.offsets = self.offsets[:, None]

    def call(self, codes: Any, training: bool | None = None) -> Any:
        words = tf.reshape(codes, [-1, *self.shape])
        first, second = words[:, :, :-1], words[:, :, 1:]
        pairs = 1 + (PAIR_FACTOR * first + second) % self.buckets
        found = tf.concat([words, tf.where(second > 0, pairs, 0)], 2)
        known = tf.cast(found > 0, tf.float32)[..., None]
        kept = self.dropout(known, training=training)  # no word decides alone
        total = tf.reduce_sum(super().call(found) * kept, 2)
        means = MEAN_SCALE * total / tf.maximum(tf.reduce_sum(known, 2), 1.0)
        return tf.reshape(means, [-1, self.shape[0] * means.shape[2]])


class FirstDense(keras.layers.Layer):  # type: ignore[misc]
    """The first dense layer. The first `fixed` of its inputs come from no layer that learns, so their gradient is not computed.

    Input float32 [rows, width]; output float32 [rows, units].
    """

    def __init__(self, units: int, fixed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.units, self.fixed = units, fixed

    def build(self, shape: Sequence[int]) -> None:
        self.kernel = self.add_weight(
            shape=(shape[-1], self.units), initializer="he_normal", name="kernel"
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, values: Any, training: bool | None = None) -> Any:
        kernel = tf.convert_to_tensor(self.kernel)
        return tf.nn.bias_add(self.multiplied(values, kernel, training), self.bias)

    def multiplied(self, values: Any, kernel: Any, training: bool | None) -> Any:
        return product(values, kernel, self.fixed) if training else tf.matmul(values, kernel)


def fixed_width(values: Any) -> int:
    """Return how many of the first columns of a Keras tensor [rows, width] come from no layer that learns.

    If other layers than `Concatenate` make it, and one of them learns, these are none.
    """
    maker = values._keras_history.operation
    parts = maker.input if isinstance(maker, keras.layers.Concatenate) else [values]
    return sum(part.shape[1] for part in takewhile(is_fixed, parts))


def is_fixed(part: Any) -> bool:
    return not keras.Model(keras.utils.get_source_inputs(part), part).trainable_variables


def product(values: Any, kernel: Any, fixed: int) -> Any:
    """Return the matrix product of values, [rows, width], and a kernel; the gradient of the first `fixed` columns is 0.

    That of all is a third of the layer's work, and the encoded numbers are most of its inputs.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def multiply(values: Any, kernel: Any) -> Any:
        def gradients(upstream: Any) -> tuple[Any, Any]:
            of_learned = tf.matmul(upstream, kernel[fixed:], transpose_b=True)
            of_values = tf.pad(of_learned, [[0, 0], [fixed, 0]])
            return of_values, tf.matmul(values, upstream, transpose_a=True)

        return tf.matmul(values, kernel), gradients

    return multiply(values, kernel)


class MemberDense(FirstDense):
    """A dense layer that all members of an ensemble share, each on inputs scaled by weights of its own.

    Input float32 [rows, width]; output float32 [rows, members, units]. The members share all layers that follow, but
    the last, and still learn different functions. See Gorishniy et al. 2024, "TabM: Advancing Tabular Deep Learning with
    Parameter-Efficient Ensembling".
    """

    def __init__(self, members: int, units: int, fixed: int = 0, **options: Any) -> None:
        super().__init__(units, fixed, **options)
        self.members = members

    def build(self, shape: Sequence[int]) -> None:
        """Make the weights: scales are signs at random, so that the members differ from the start."""
        scales = (shape[-1], self.members)
        self.scale = self.add_weight(shape=scales, initializer=random_signs, name="scale")
        super().build(shape)

    def call(self, values: Any, training: bool | None = None) -> Any:
        scale, kernel = tf.convert_to_tensor(self.scale), tf.convert_to_tensor(self.kernel)
        # To scale the kernel is the same, and less than to scale each row for each member.
        kernels = scale[:, :, None] * kernel[:, None, :]
        hidden = self.multiplied(values, tf.reshape(kernels, [kernel.shape[0], -1]), training)
        return tf.nn.bias_add(tf.reshape(hidden, [-1, self.members, self.units]), self.bias)


class MemberDropout(keras.layers.Dropout):  # type: ignore[misc]
    """Drops the same units of a row for all members: to draw for each takes a third of a step, and gains nothing.

    Input and output float32 [rows, members, units].
    """

    def call(self, values: Any, training: bool | None = None) -> Any:
        if not training or not self.rate:
            return values
        return values * super().call(tf.ones_like(values[:, :1]), training=True)


def random_signs(shape: Sequence[int], dtype: Any = None) -> Any:
    return keras.ops.sign(keras.random.normal(shape, dtype=dtype))


class Heads(keras.layers.Layer):  # type: ignore[misc]
    """A dense layer of its own for each member. Input float32 [rows, members, width]; output [rows, members, outputs]."""

    def __init__(self, outputs: int, **options: Any) -> None:
        super().__init__(**options)
        self.outputs_per_member = outputs

    def build(self, shape: Sequence[int]) -> None:
        _, members, width = shape
        kernel, bias = (members, width, self.outputs_per_member), (members, self.outputs_per_member)
        self.kernel = self.add_weight(shape=kernel, initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=bias, initializer="zeros", name="bias")

    def call(self, hidden: Any) -> Any:
        kernel, bias = tf.convert_to_tensor(self.kernel), tf.convert_to_tensor(self.bias)
        members, width, outputs = kernel.shape
        # One product with zeros between the members is faster than one for each, which needs other orders of the axes.
        diagonal = tf.eye(members)[:, None, :, None] * kernel[:, :, None, :]
        flat = tf.reshape(hidden, [-1, members * width])
        scores = tf.matmul(flat, tf.reshape(diagonal, [members * width, -1]))
        return tf.reshape(scores, [-1, members, outputs]) + bias
