"""The expressions of derived columns as TensorFlow operations, for the serving signatures."""

from collections.abc import Callable, Mapping
from functools import partial, reduce
from typing import Any, NamedTuple

import tensorflow as tf

from trainer.data.cells import LARGEST_FLOAT32
from trainer.data.expressions import BOOLEAN, NUMBER, TEXT, Node
from trainer.training.layers import calendar


class Cells(NamedTuple):
    """Float64 numbers, days since 1970-01-01, text or booleans, [rows], and which of them are not missing."""

    values: Any
    known: Any

    @property
    def column(self) -> Any:
        """The cells as float32, NaN where missing, or text, "" where missing."""
        if self.values.dtype == tf.string:
            return tf.where(self.known, self.values, "")
        return tf.where(self.known, tf.cast(self.values, tf.float32), float("nan"))


# The result is missing where an argument is.
OPERATIONS: dict[str, Callable[..., Any]] = {
    **{"+": tf.add, "-": tf.subtract, "*": tf.multiply, "/": tf.divide, "POW": tf.pow},
    **{"=": tf.equal, "<>": tf.not_equal, "!=": tf.not_equal, "NOT": tf.logical_not},
    **{"<": tf.less, "<=": tf.less_equal, ">": tf.greater, ">=": tf.greater_equal},
    **{"negative": tf.negative, "ABS": tf.abs, "LOG": tf.math.log, "SQRT": tf.sqrt},
    **{"LEAST": tf.minimum, "GREATEST": tf.maximum, "number": tf.identity},
    "ROUND": lambda numbers: tf.sign(numbers) * tf.floor(tf.abs(numbers) + 0.5),
    "LOWER": tf.strings.lower,
    "REGEXP_CONTAINS": lambda text, pattern: tf.strings.regex_full_match(
        text, tf.strings.join(["(?s:.*)(?:", pattern, ")(?s:.*)"])
    ),
    "YEAR": lambda days: calendar(tf.cast(tf.floor(days), tf.int64))[0],
    "MONTH": lambda days: calendar(tf.cast(tf.floor(days), tf.int64))[1],
    "DAY": lambda days: calendar(tf.cast(tf.floor(days), tf.int64))[2],
    "WEEKDAY": lambda days: (tf.floor(days) + 3) % 7 + 1,
    "HOUR": lambda days: tf.floor((days + 4e-10) * 24) - 24 * tf.floor(days + 4e-10),
    "DAYS_BETWEEN": lambda first, last: last - first,
    "LENGTH": lambda text: tf.strings.length(text, "UTF8_CHAR"),
    "CONCAT": lambda left, right: tf.strings.join([left, right]),
}


def chosen(condition: Cells, true: Cells, false: Cells) -> Cells:
    first = condition.values & condition.known
    return Cells(*(tf.where(first, *each) for each in zip(true, false, strict=True)))


def connected(left: Cells, right: Cells, decisive: bool) -> Cells:
    """Return AND, which False decides, or OR, which True decides, also beside a missing value."""
    decided = (left.known & (left.values == decisive)) | (right.known & (right.values == decisive))
    return Cells(decided == decisive, decided | (left.known & right.known))


OF_MISSING: dict[str, Callable[..., Cells]] = {
    "AND": partial(connected, decisive=False),
    "OR": partial(connected, decisive=True),
    "IF": chosen,
    "IS NULL": lambda cells: Cells(~cells.known, tf.ones_like(cells.known)),
    "COALESCE": lambda first, second: chosen(Cells(first.known, first.known), first, second),
}


def evaluated(tree: Node, columns: Mapping[str, Cells]) -> Cells:
    """Return what an expression gives for columns of the table; a part that reads none is a scalar."""
    if tree.function == "column":
        return columns[str(tree.value)]
    if tree.function == "literal":
        dtype = {TEXT: tf.string, BOOLEAN: tf.bool}.get(tree.type, tf.float64)
        value = tf.zeros([], dtype) if tree.value is None else tf.constant(tree.value, dtype)
        return Cells(value, tf.constant(tree.value is not None))
    arguments = [evaluated(each, columns) for each in tree.arguments]
    if tree.function in OF_MISSING:
        return OF_MISSING[tree.function](*arguments)
    values = OPERATIONS[tree.function](*(each.values for each in arguments))
    known = reduce(tf.logical_and, (each.known for each in arguments))
    if tree.type == NUMBER:
        values = tf.cast(values, tf.float64)
        known &= tf.abs(values) <= LARGEST_FLOAT32
    return Cells(values, known)
