"""Metrics of a complete split, computed exactly on the host."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.data.statistics import Label
from trainer.run.errors import UserError, shown
from trainer.settings import METRICS, goal_of, own_metrics, weights_by_class

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[Any]
Weights = npt.NDArray[np.float32] | None  # of classes, or of rows
SMALLEST_PROBABILITY = 1e-7
STANDARD_ERROR = "standard_error"
MAIN_METRIC = {task: names[0] for task, names in METRICS.items()}
NEED_TWO_LABELS = ("auc", "pr_auc", "r2")
SOURCES = "metrics_of in trainer/training/metrics.py, or METRICS in trainer/features.py"


def is_better(metric: str, value: float, other: float) -> bool:
    return value > other if goal_of(metric) == "maximize" else value < other


def auc(positive: npt.NDArray[np.bool_], scores: Array, weights: Weights = None) -> float:
    """Return the area under the ROC curve of two classes, ties counted half. Shapes [rows]."""
    own = np.ones(len(scores)) if weights is None else weights.astype(np.float64)
    _, inverse = np.unique(scores, return_inverse=True)
    hits, others = (np.bincount(inverse, own * each) for each in (positive, ~positive))
    below = np.cumsum(others) - others / 2
    return float((hits * below).sum() / (hits.sum() * others.sum()))


def pr_auc(positive: npt.NDArray[np.bool_], scores: Array, weights: Array) -> float:
    """Return the average precision, the area under the steps of the precision-recall curve. Shapes [rows]."""
    _, inverse = np.unique(-scores, return_inverse=True)
    hits, rows = np.bincount(inverse, positive * weights), np.bincount(inverse, weights)
    return float(np.sum(np.cumsum(hits) / np.cumsum(rows) * hits) / hits.sum())


def metrics_of(
    task: str,
    outputs: Array,
    labels: Labels,
    main: str = "",
    by_class: Weights = None,
    by_row: Weights = None,
) -> dict[str, float]:
    """Return the metrics of a split; a row counts as often as the product of the weights of its class and its own says.

    `outputs` are probabilities [rows, classes], or predictions [rows, 1] in the label's own unit; `labels` are class
    codes or numbers [rows]. Those that need two labels are left out where all rows have one. `STANDARD_ERROR` is that of
    `main`, by default that of the task; several metrics have none, nor has the AUC of rows with weights.
    """
    main, of_rows = main or MAIN_METRIC[task], values_of_rows(task, outputs, labels)
    weights: Any = np.ones(len(labels)) if by_class is None else by_class[labels]
    weights = weights if by_row is None else weights * by_row.astype(np.float64)
    metrics = {name: float(np.average(each, weights=weights)) for name, each in of_rows.items()}
    if task == "regression":
        metrics["rmse"] = metrics["loss"] ** 0.5
        of_rows["rmse"] = of_rows["loss"] / (2 * (metrics["rmse"] or 1.0))
        numbers = labels.astype(np.float64)
        errors = numbers - np.average(numbers, weights=weights)
        if variance := float(np.average(errors**2, weights=weights)):
            metrics["r2"] = 1 - metrics["loss"] / variance
    else:
        metrics |= class_metrics(outputs, labels.astype(np.int64), weights)
    if main in of_rows:
        spread = np.std(weights * (of_rows[main] - np.average(of_rows[main], weights=weights)))
        metrics[STANDARD_ERROR] = float(spread / weights.mean()) / math.sqrt(len(labels))
    positive = labels == 1
    if task == "binary" and 0 < (count := int(positive.sum())) < len(labels):
        metrics["auc"] = auc(positive, outputs[:, 1], by_row)  # whatever the classes weigh
        metrics["pr_auc"] = pr_auc(positive, outputs[:, 1], weights)
        if main == "auc" and by_row is None:
            metrics[STANDARD_ERROR] = auc_error(metrics["auc"], count, len(labels) - count)
    return metrics


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


def class_metrics(outputs: Array, codes: npt.NDArray[np.int64], weights: Array) -> dict[str, float]:
    """Return the mean recall of the classes that the rows have, and F1: of the second of two classes, else the mean of those."""
    count, chosen = outputs.shape[1], outputs.argmax(axis=1)
    true, predicted = (np.bincount(each, weights, count) for each in (codes, chosen))
    hits = np.bincount(codes, weights * (chosen == codes), count)
    recall, f1 = hits / np.where(true, true, 1), 2 * hits / np.where(true, true + predicted, 1)
    of_classes = f1[1] if count == 2 else f1[true > 0].mean()
    return {"balanced_accuracy": float(recall[true > 0].mean()), "f1": float(of_classes)}


def own_values(task: str, outputs: Array, labels: npt.NDArray[np.generic]) -> dict[str, Any]:
    """Return the metrics of the user's own, whose functions get copies of labels and predictions."""
    given = outputs[:, 0] if task == "regression" else outputs
    return {k: call(labels.copy(), given.copy()) for k, (call, _) in own_metrics().items()}


def main_metric(metric: str, labels: npt.NDArray[np.generic]) -> str:
    """Return what judges rows with these labels: a metric, or the loss where that is undefined."""
    return "loss" if metric in NEED_TWO_LABELS and len(np.unique(labels)) < 2 else metric


def auc_error(area: float, positive: int, negative: int) -> float:
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


def baseline_of(
    task: str, label: Label, labels: Labels, by_class: Weights = None, by_row: Weights = None
) -> dict[str, float]:
    """Return the metrics of always predicting the weighted class frequencies of the training rows, or their mean."""
    if task == "regression":
        return metrics_of(task, np.full((len(labels), 1), label.mean), labels, by_row=by_row)
    counts = np.asarray(label.counts, np.float64) * (1 if by_class is None else by_class)
    outputs = np.tile(counts / counts.sum(), (len(labels), 1))
    return metrics_of(task, outputs, labels, by_class=by_class, by_row=by_row)
