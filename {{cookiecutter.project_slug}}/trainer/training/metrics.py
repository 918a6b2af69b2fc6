"""Metrics of a complete split, computed exactly on the host."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.data.statistics import Label
from trainer.run.errors import UserError, shown

Array = npt.NDArray[np.float64]
SMALLEST_PROBABILITY = 1e-7
STANDARD_ERROR = "standard_error"
MAIN_METRIC = {"binary": "auc", "multiclass": "accuracy", "regression": "rmse"}
HIGHER_IS_BETTER = {"auc": True, "accuracy": True, "rmse": False, "loss": False}


def is_better(metric: str, value: float, other: float) -> bool:
    return value > other if HIGHER_IS_BETTER[metric] else value < other


def auc(positive: npt.NDArray[np.bool_], scores: Array) -> float:
    """Return the area under the ROC curve of two classes, ties counted half. Shapes [rows]."""
    count = int(positive.sum())
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    ranks = mean_ranks[inverse][positive].sum()
    return float((ranks - count * (count + 1) / 2) / (count * (len(positive) - count)))


def metrics_of(task: str, outputs: Array, labels: npt.NDArray[np.generic]) -> dict[str, float]:
    """Return the metrics of a split.

    `outputs` are probabilities [rows, classes], or predictions [rows, 1] in the label's own unit; `labels` are class
    codes or numbers [rows]. AUC is undefined, and left out, where the rows are of one class. `STANDARD_ERROR` is that of the
    main metric.
    """
    rows = len(labels)
    if task == "regression":
        errors = outputs[:, 0] - labels.astype(np.float64)
        squared = float(np.mean(errors**2))
        metrics = {"rmse": squared**0.5, "mae": float(np.mean(np.abs(errors))), "loss": squared}
        error = float(np.std(errors**2)) / (2 * metrics["rmse"] * rows**0.5) if squared else 0.0
        return {**metrics, STANDARD_ERROR: error}
    codes = labels.astype(np.int64)
    chosen = outputs[np.arange(len(codes)), codes]
    metrics = {
        "accuracy": float(np.mean(outputs.argmax(axis=1) == codes)),
        "loss": float(-np.mean(np.log(np.maximum(chosen, SMALLEST_PROBABILITY)))),
    }
    if task == "multiclass":
        variance = metrics["accuracy"] * (1 - metrics["accuracy"])
        return {**metrics, STANDARD_ERROR: math.sqrt(variance / rows)}
    if main_metric(task, labels) != "auc":
        return metrics
    area, positive = auc(codes == 1, outputs[:, 1]), int(np.sum(codes == 1))
    metrics[STANDARD_ERROR] = auc_error(area, positive, rows - positive)
    return {"auc": area, **metrics}


def main_metric(task: str, labels: npt.NDArray[np.generic]) -> str:
    """Return the metric that judges rows with these labels: the loss where AUC is undefined."""
    undefined = task == "binary" and len(np.unique(labels)) < 2
    return "loss" if undefined else MAIN_METRIC[task]


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
                "return numbers alone from metrics_of in trainer/training/metrics.py",
            ) from None
        if math.isfinite(number):
            numbers[name] = number
        elif name != main:
            warn(f"the metric {name} is {number} at step {step}, and is left out")
    if main not in numbers:
        raise UserError(
            f"the metric {main} is {metrics.get(main, 'missing')} at step {step}",
            "a finite number, by which the best evaluation is chosen",
            "correct metrics_of in trainer/training/metrics.py, or the predictions that it is given",
        )
    return numbers


def baseline_of(task: str, label: Label, labels: npt.NDArray[np.generic]) -> dict[str, float]:
    """Return the metrics of always predicting the class frequencies of the training rows, or their mean."""
    if task == "regression":
        return metrics_of(task, np.full((len(labels), 1), label.mean), labels)
    shares = np.asarray(label.counts, np.float64) / sum(label.counts)
    return metrics_of(task, np.tile(shares, (len(labels), 1)), labels)
