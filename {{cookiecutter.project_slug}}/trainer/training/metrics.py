"""Metrics of a complete split, from sums over its rows: those of each process are added, and take the same memory for any number of rows."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.data.statistics import Label
from trainer.data.thresholds import DEFAULT
from trainer.run.errors import UserError, shown
from trainer.settings import METRICS, goal_of, own_metrics, weights_by_class

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[Any]
Weights = npt.NDArray[Any] | None  # of classes, or of rows
Sums = dict[str, Array]
SMALLEST_PROBABILITY = np.finfo(np.float64).eps  # as in scikit-learn's log_loss
# The scores of a bin, or their distances to 1 above 0.5, agree as float32 in exponent and the first bits of the fraction.
FRACTION_BITS, SMALLEST_SCORE = 13, 2.0**-32
FIRST_BIN, LAST_BIN = (127 - 32) << FRACTION_BITS, (127 - 1) << FRACTION_BITS
BINS = 2 * (LAST_BIN - FIRST_BIN + 1)
ROUNDING = 1e-12
STANDARD_ERROR = "standard_error"
MAIN_METRIC = {task: names[0] for task, names in METRICS.items()}
MEANS = ("accuracy", "log_loss", "mae", "loss")  # over rows
NEED_TWO_LABELS = ("auc", "pr_auc", "r2")
SOURCES = "metrics_of in trainer/training/metrics.py, or METRICS in trainer/features.py"


def is_better(metric: str, value: float, other: float) -> bool:
    return value > other if goal_of(metric) == "maximize" else value < other


def bins_of(scores: Array) -> npt.NDArray[np.int64]:
    """Return the bins of scores from 0 to 1, in their order, [rows].

    Two scores of one bin differ by less than an 8,192th of their distance to the nearer of 0 and 1, or that is below 2^-32.
    """
    nearest = np.maximum(np.minimum(scores, 1 - scores), SMALLEST_SCORE).astype(np.float32)
    low = (nearest.view(np.int32).astype(np.int64) >> (23 - FRACTION_BITS)) - FIRST_BIN
    return np.clip(np.where(scores > 0.5, BINS - 1 - low, low), 0, BINS - 1)


def auc(hits: Array, others: Array) -> float:
    """Return the area under the ROC curve of the rows of two classes in each bin of scores, [bins], ties counted half.

    It is off by at most half the share of pairs of rows of both classes that are in one bin.
    """
    below = np.cumsum(others) - others / 2
    return float((hits * below).sum() / (hits.sum() * others.sum()))


def pr_auc(hits: Array, others: Array) -> float:
    """Return the average precision, the area under the steps of the precision-recall curve; arguments as of `auc`."""
    hits, rows = hits[::-1], (hits + others)[::-1]
    return float(np.sum(np.cumsum(hits) / np.cumsum(rows) * hits) / hits.sum())


def sums_of(
    task: str,
    outputs: Array,
    labels: Labels,
    by_class: Weights = None,
    by_row: Weights = None,
    center: float = 0.0,
    threshold: float = DEFAULT,
) -> Sums:
    """Return sums over rows, which may be none, to add to those over others; a row counts as often as the product of its weights says.

    `outputs` are probabilities [rows, classes], or predictions [rows, 1] in the label's own unit; `labels` are class codes
    or numbers [rows], whose mean should be near to `center`.
    """
    own = np.ones(len(labels)) if by_row is None else by_row.astype(np.float64)
    weights = own if by_class is None else own * by_class[labels]
    squares, of_rows = weights**2, values_of_rows(task, outputs, labels)
    sums = {k: np.array([weights @ x, squares @ x, squares @ x**2]) for k, x in of_rows.items()}
    sums["weight"] = np.array([weights.sum(), squares.sum()])
    if task == "regression":
        offsets = labels.astype(np.float64) - center
        sums["label"] = np.array([weights @ x for x in (offsets, offsets**2, np.abs(offsets))])
        return sums
    codes, chosen, count = labels.astype(np.int64), outputs.argmax(axis=1), outputs.shape[1]
    pairs = {"rows": (codes, None), "own": (codes, own), "own_squares": (codes, own**2)}
    pairs |= {"true": (codes, weights), "predicted": (chosen, weights)}
    sums |= {k: np.bincount(*of, count).astype(np.float64) for k, of in pairs.items()}
    sums["hits"] = np.bincount(codes, weights * (chosen == codes), count)
    if task == "binary":
        cells = codes * BINS + bins_of(outputs[:, 1])
        sums["scores"] = np.bincount(cells, own, 2 * BINS).reshape(2, BINS)
        kinds = codes + 2 * (outputs[:, 1] > threshold)
        sums["kinds"] = np.array([np.bincount(kinds, by, 4) for by in (None, own)])
    return sums


def metrics_of(task: str, sums: Sums, main: str = "", by_class: Weights = None) -> dict[str, float]:
    """Return the metrics of a split from the sums over its rows.

    Those that need two labels are left out where all rows have one. `STANDARD_ERROR` is that of `main`, by default that of
    the task; several metrics have none.
    """
    main, (weight, squares) = main or MAIN_METRIC[task], sums["weight"].tolist()
    metrics = {name: float(sums[name][0]) / weight for name in MEANS if name in sums}
    if task == "regression":
        metrics["rmse"] = metrics["loss"] ** 0.5
        if has_two_labels(sums):
            metrics["r2"] = 1 - metrics["loss"] / label_variance(sums)
    else:
        metrics |= class_metrics(sums)
    if main in ("rmse", *MEANS):
        of_main = sums["loss" if main == "rmse" else main]
        unit = 2 * (metrics["rmse"] or 1.0) if main == "rmse" else 1.0
        metrics[STANDARD_ERROR] = mean_error(of_main, weight, squares) / unit
    if task == "binary" and has_two_labels(sums):
        others, hits = sums["scores"][:, sums["scores"].any(axis=0)]
        metrics["auc"] = auc(hits, others)  # whatever the classes weigh
        of_classes = (1.0, 1.0) if by_class is None else by_class.tolist()
        metrics["pr_auc"] = pr_auc(hits * of_classes[1], others * of_classes[0])
        if main == "auc":  # by as many rows of equal weights as these are worth, after Kish 1965
            negative, positive = (sums["own"] ** 2 / sums["own_squares"]).tolist()
            metrics[STANDARD_ERROR] = auc_error(metrics["auc"], positive, negative)
    return metrics


def mean_error(sums: Array, weight: float, squares: float) -> float:
    """Return the standard error of a weighted mean, from sums over rows: of w x, w^2 x and w^2 x^2, [3], of w, and of w^2."""
    total, first, second = sums.tolist()
    mean = total / weight
    return math.sqrt(max(second - 2 * mean * first + mean**2 * squares, 0.0)) / weight


def label_variance(sums: Sums) -> float:
    """Return the weighted variance of labels that are numbers, 0 if they are all alike."""
    mean, square, _ = (sums["label"] / sums["weight"][0]).tolist()
    variance = float(square - mean**2)
    return variance if variance > ROUNDING * square else 0.0


def has_two_labels(sums: Sums) -> bool:
    return label_variance(sums) > 0 if "label" in sums else sum(sums["rows"] > 0) > 1


def values_of_rows(task: str, outputs: Array, labels: npt.NDArray[Any]) -> dict[str, Array]:
    """Return the metrics of each row, float64 [rows], whose means are those of the split."""
    if task == "regression":
        errors = outputs[:, 0] - labels.astype(np.float64)
        return {"mae": np.abs(errors), "loss": errors**2}
    codes = labels.astype(np.int64)
    chosen = outputs[np.arange(len(codes)), codes]
    losses = -np.log(np.maximum(chosen, SMALLEST_PROBABILITY))
    hits = (outputs.argmax(axis=1) == codes).astype(np.float64)
    return {"accuracy": hits, "log_loss": losses, "loss": losses}


def class_metrics(sums: Sums) -> dict[str, float]:
    """Return the mean recall of the classes that the rows have, and F1: of the second of two classes, else the mean of those."""
    true, predicted, hits = (sums[name] for name in ("true", "predicted", "hits"))
    recall, f1 = hits / np.where(true, true, 1), 2 * hits / np.where(true, true + predicted, 1)
    of_classes = f1[1] if len(true) == 2 else f1[true > 0].mean()
    return {"balanced_accuracy": float(recall[true > 0].mean()), "f1": float(of_classes)}


def own_values(task: str, outputs: Array, labels: npt.NDArray[np.generic]) -> dict[str, Any]:
    """Return the metrics of the user's own, whose functions get copies of labels and predictions."""
    given = outputs[:, 0] if task == "regression" else outputs
    return {k: call(labels.copy(), given.copy()) for k, (call, _) in own_metrics().items()}


def main_metric(metric: str, sums: Sums) -> str:
    """Return what judges the rows of `sums`: a metric, or the loss where that is undefined."""
    return "loss" if metric in NEED_TWO_LABELS and not has_two_labels(sums) else metric


def auc_error(area: float, positive: float, negative: float) -> float:
    """Return the standard error of an AUC; source: Hanley and McNeil 1982, https://doi.org/10.1148/radiology.143.1.7063747."""
    variance = area * (1 - area) + (positive - 1) * (area / (2 - area) - area**2)
    variance += (negative - 1) * (2 * area**2 / (1 + area) - area**2)
    return math.sqrt(max(variance, 0.0) / (positive * negative))


def finite(
    metrics: Mapping[str, Any], main: str, step: int, warn: Callable[[str], None]
) -> dict[str, float]:
    """Return the metrics that are finite numbers and warn of others; raise `UserError` if the `main` one is not."""
    numbers: dict[str, float] = {}
    for name, value in metrics.items():
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise UserError(
                f"the metric {name} is {shown(value)} at step {step}",
                "a number",
                f"return numbers alone from {SOURCES}",
            ) from None
        if math.isfinite(number):
            numbers[name] = number
        elif name != main:
            warn(f"the metric {name} is {number} at step {step}, and is left out")
    if main not in numbers:
        raise UserError(
            f"the metric {main} is {metrics.get(main, 'missing')} at step {step}",
            "a finite number, by which the best evaluation is chosen",
            f"correct {SOURCES}, or the predictions that it is given",
        )
    return numbers


def class_weights(text: str | None, label: Label) -> Weights:
    """Return the weights that --class-weights gives to the classes, float32 [classes], whose mean over the training rows is 1."""
    if text is None:
        return None
    given, counts = {} if text == "balanced" else weights_by_class(text), np.array(label.counts)
    for name in given.keys() - {*label.classes}:
        expected = f"classes of the training rows: {', '.join(map(shown, label.classes[:12]))}"
        raise UserError(f"--class-weights names {shown(name)}", expected, "correct the name")
    weights = np.array([given.get(name, 1.0) for name in label.classes]) if given else 1 / counts
    return np.asarray(weights * counts.sum() / (weights @ counts), np.float32)


def baseline_of(task: str, label: Label, sums: Sums, by_class: Weights = None) -> dict[str, float]:
    """Return the metrics of always predicting the weighted class frequencies of the training rows, or their mean, for the rows of `sums`."""
    if task == "regression":  # the offsets of the labels are from that mean
        _, square, absolute = sums["label"]
        own = {**sums, "loss": np.array([square, 0, 0]), "mae": np.array([absolute, 0, 0])}
    else:  # the rows of a class are as one that has their weight
        counts = np.asarray(label.counts, np.float64) * (1 if by_class is None else by_class)
        (codes,) = sums["rows"].nonzero()
        outputs = np.tile(counts / counts.sum(), (len(codes), 1))
        own = sums_of(task, outputs, codes, by_class, sums["own"][codes])
    found = metrics_of(task, own, by_class=by_class)
    return {name: value for name, value in found.items() if name != STANDARD_ERROR}
