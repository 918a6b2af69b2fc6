"""A linear model of the same columns, solved in one pass over at most 100,000 rows: a bar for the network."""

from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.data.shards import Split, Window
from trainer.data.statistics import Label
from trainer.training.metrics import Array, Weights, metrics_of, sums_of

MOST_ROWS, FEWEST_ROWS = 100_000, 10_000
MOST_PRODUCTS = 2_000_000_000
PRIOR_ROWS = 20.0
MOST_NOISE = 0.2  # of the variance of the logarithms of a label


def linear_baseline(
    task: str, label: Label, train: Split, test: Split, by_class: Weights = None
) -> dict[str, float]:
    """Return the metrics of a ridge regression, without free text, on a test split; none for very many columns or classes.

    A code counts as the mean label of its training rows, drawn to the overall mean as if 20 more rows had that. Takes some
    milliseconds: a sum per column and one small system of equations per class.
    """
    classes = [1] if task == "binary" else range(len(label.classes))
    if not (windows := samples(train, test, max(len(classes), 1))):
        return {}
    shown, tested = windows
    targets = [shown.labels == each for each in classes] or [shown.labels]
    outputs = np.stack([predicted(shown, tested, target) for target in targets], axis=1)
    if task != "regression":
        likely = np.clip(outputs, 1e-6, 1 - 1e-6)
        outputs = np.hstack([1 - likely, likely]) if task == "binary" else likely
    sums = sums_of(task, outputs, tested.labels, by_class, tested.weights, label.mean)
    return metrics_of(task, sums, by_class=by_class)


def suits_logarithms(label: Label, train: Split, test: Split) -> bool:
    """Return whether labels, if they are >= 0, are widely spread, and a ridge regression of log(1 + label) explains most of it on a test split.

    Where much of the label is noise, logarithms are a poor choice: they lead to the median, which is then far below the mean.
    """
    if label.deviation < label.mean:
        return False
    if not (windows := samples(train, test, 1)):
        return False
    logs, tested = (np.log1p(np.maximum(window.labels, 0)) for window in windows)
    return bool(np.var(predicted(*windows, logs) - tested) < MOST_NOISE * np.var(tested))


def samples(train: Split, test: Split, equations: int) -> tuple[Window, Window] | None:
    """Return first rows, few enough for that number of systems of equations; None for very many columns."""
    shown, tested = train.first_rows(MOST_ROWS), test.first_rows(MOST_ROWS)
    coded = len(train.schema.coded)
    columns = max(shown.numbers.shape[1] + coded, 1)
    most = MOST_PRODUCTS // (columns**2 * equations)
    if most < FEWEST_ROWS:
        return None
    return first(min(most, MOST_ROWS), coded, shown), first(min(most, MOST_ROWS), coded, tested)


def first(rows: int, coded: int, window: Window) -> Window:
    weights = None if window.weights is None else window.weights[:rows]
    return Window(window.numbers[:rows], window.codes[:rows, :coded], window.labels[:rows], weights)


def predicted(train: Window, test: Window, labels: npt.NDArray[Any]) -> Array:
    """Return the predictions for the rows of `test`, [rows], of a regression of some labels of `train`."""
    target = labels.astype(np.float64)
    by_row = np.ones(len(target)) if train.weights is None else train.weights.astype(np.float64)
    mean = np.average(target, weights=by_row)
    own_errors = by_row * (target - mean)
    means = [
        np.bincount(codes, own_errors) / (np.bincount(codes, by_row) + PRIOR_ROWS)
        for codes in train.codes.T
    ]
    known = np.nan_to_num(train.numbers, posinf=0, neginf=0).astype(np.float64)
    center, scale = known.mean(axis=0), known.std(axis=0) + 1e-12

    def features(window: Window) -> Array:
        numbers = (np.nan_to_num(window.numbers, posinf=0, neginf=0) - center) / scale
        coded = [
            table[np.minimum(codes, len(table) - 1)]
            for table, codes in zip(means, window.codes.T, strict=True)
        ]
        return np.column_stack([numbers, *coded])

    own = features(train)
    products = (own.T * by_row) @ own + np.eye(own.shape[1])
    return np.asarray(features(test) @ np.linalg.solve(products, own.T @ own_errors) + mean)
