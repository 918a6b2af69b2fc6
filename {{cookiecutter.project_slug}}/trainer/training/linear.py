"""A linear model of the same columns, solved in one pass over at most 100,000 rows: a bar for the network."""

import numpy as np
import numpy.typing as npt

from trainer.data.shards import Split, Window
from trainer.data.statistics import Label
from trainer.training.metrics import Array, metrics_of

MOST_ROWS, MOST_VALUES, MOST_COLUMNS = 100_000, 20_000_000, 300
PRIOR_ROWS = 20.0


def linear_baseline(task: str, label: Label, train: Split, test: Split) -> dict[str, float]:
    """Return the metrics of a ridge regression on a test split; none for tables of very many columns.

    A code counts as the mean label of its training rows, drawn to the overall mean as if 20 more rows had that. Takes some
    milliseconds: a sum per column and one small system of equations per class.
    """
    window, tested = train.first_rows(), test.first_rows()
    columns = window.numbers.shape[1] + window.codes.shape[1]
    if columns > MOST_COLUMNS:
        return {}
    rows = min(window.rows, MOST_ROWS, MOST_VALUES // columns)
    shown = Window(window.numbers[:rows], window.codes[:rows], window.labels[:rows])
    targets = targets_of(task, label, shown.labels)
    scores = np.stack([predicted(shown, tested, target) for target in targets], axis=1)
    if task == "regression":
        outputs = scores * label.deviation + label.mean
    else:
        likely = np.clip(scores, 1e-6, 1 - 1e-6)
        outputs = np.hstack([1 - likely, likely]) if task == "binary" else likely
    return metrics_of(task, outputs, tested.labels)


def targets_of(task: str, label: Label, labels: npt.NDArray[np.generic]) -> list[Array]:
    """Return what is predicted, [rows] each: the label in standard deviations, or whether a row is of a class."""
    if task == "regression":
        return [(labels.astype(np.float64) - label.mean) / label.deviation]
    classes = (1,) if task == "binary" else range(len(label.classes))
    return [(labels.astype(np.int64) == each).astype(np.float64) for each in classes]


def predicted(train: Window, test: Window, target: Array) -> Array:
    """Return the predictions for the rows of `test`, [rows], of a regression on those of `train`."""
    mean = target.mean()
    encoded = [
        (np.bincount(codes, target - mean) / (np.bincount(codes) + PRIOR_ROWS), position)
        for position, codes in enumerate(train.codes.T)
    ]
    known = np.nan_to_num(train.numbers, posinf=0, neginf=0).astype(np.float64)
    center, scale = known.mean(axis=0), known.std(axis=0) + 1e-12

    def features(window: Window) -> Array:
        numbers = (np.nan_to_num(window.numbers, posinf=0, neginf=0) - center) / scale
        means = [
            table[np.minimum(window.codes[:, position], len(table) - 1)]
            for table, position in encoded
        ]
        return np.column_stack([numbers, *means])

    own = features(train)
    weights = np.linalg.solve(own.T @ own + np.eye(own.shape[1]), own.T @ (target - mean))
    return np.asarray(features(test) @ weights + mean)
