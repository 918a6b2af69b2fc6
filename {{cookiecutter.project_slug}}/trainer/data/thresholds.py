"""What is done with probabilities: the threshold of two classes, the errors that follow from it, and calibration.

A row is predicted positive if its score, the probability, is above the threshold. Labels are 1 for positive and 0; both
are arrays [rows], as are weights: None stands for rows that count alike.
"""

import math
import re
from typing import Any

from trainer.run.errors import UserError, shown

DEFAULT = 0.5
CONSTANT = "label.threshold"  # in the exported graph; for the dot, no input is called so
TEMPERATURE = "probability.temperature"  # a constant there, too
COMMON_AIMS = ("f1", "balanced", "precision=0.9", "recall=0.8")
FORMS = f"{', '.join(COMMON_AIMS)}, cost=FP:1,FN:5 or a number from 0 to 1"
COUNTS = ("true_positives", "false_positives", "false_negatives")
BINS, TINY, PRECISION = 10, 1e-300, 1e-4
ROUNDING = 1e-12  # of sums of weights
SHARE, COST = r"(0|0?\.[0-9]+|1|1\.0+)", r"((?=[0-9.]*[1-9])[0-9]{0,9}\.?[0-9]{1,9})"
AIM = re.compile(rf"(f1|balanced)|(precision|recall)={SHARE}|(cost)=FP:{COST},FN:{COST}|(){SHARE}")


def parsed_aim(aim: str) -> tuple[str, list[float]]:
    """Return the name of an aim, "" for a plain number, and its numbers."""
    found = AIM.fullmatch(aim)
    if not found:
        raise UserError(f"--threshold is {shown(aim)}", FORMS, "choose one of them")
    name, *numbers = (each for each in found.groups() if each is not None)
    return name, [*map(float, numbers)]


def chosen_threshold(aim: str, labels: Any, scores: Any, weights: Any = None) -> float:
    """Return the threshold between scores that is best for an aim, the highest of equal ones; raise `UserError` if none is."""
    import numpy as np  # here, so that `--help` does not wait for it

    name, numbers = parsed_aim(aim)
    if not name:
        return numbers[0]
    positive, some = labels == 1, scores > 0  # no threshold is below a score of 0
    negative, first, last = ~positive, (numbers or [0])[0], (numbers or [0])[-1]
    values, place = np.unique(-scores[some], return_inverse=True)
    by_row = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
    rows = [by_row * each for each in (positive, negative)]
    counts = (np.bincount(place, each[some], len(values)) for each in rows)
    true, false = (np.append(0, each.cumsum()) for each in counts)
    positives, negatives = (each.sum() or 1 for each in rows)
    above = true + false
    precision, recall = true / np.where(above, above, 1), true / positives
    least = first * (1 - ROUNDING)
    worth = {
        "f1": 2 * true / (true + false + positives),
        "balanced": true * negatives - false * positives,
        "precision": np.where(precision >= least, recall, -np.inf),
        "recall": np.where(recall >= least, precision, -np.inf),
        "cost": -(first * false + last * (positives - true)),
    }[name]
    if positive.all() or negative.all() or worth.max() == -np.inf:
        what = f"no threshold gives {aim} on the eval split, where precision reaches {precision.max():.4g}"
        raise UserError(what, "rows of two classes, and an aim in reach", "name another aim")
    falling = -np.append(values, 0.0)
    return float(np.append(1.0, (falling[:-1] + falling[1:]) / 2)[worth.argmax()])


def outcome(labels: Any, scores: Any, threshold: float, weights: Any = None) -> dict[str, Any]:
    """Return the rates by weight, and how many rows are errors, at a threshold; a rate is None where it is 0 / 0."""
    above, positive = scores > threshold, labels == 1
    kinds = (above & positive, above & ~positive, positive & ~above)
    rows = dict(zip(COUNTS, (int(each.sum()) for each in kinds), strict=True))
    true, false, missed = (
        rows.values() if weights is None else (float(weights[k].sum()) for k in kinds)
    )
    return {
        "threshold": threshold,
        "precision": true / (true + false) if true + false else None,
        "recall": true / (true + missed) if true + missed else None,
        "f1": 2 * true / (2 * true + false + missed) if true + false + missed else None,
        "predicted_positive": int(above.sum()) / len(labels),
        **rows,
    }


def confidence(labels: Any, probabilities: Any) -> tuple[Any, Any]:
    """Return whether rows are of a class, bool [rows], and its probability: the second of two, else the most probable one."""
    if probabilities.shape[1] == 2:
        return labels == 1, probabilities[:, 1]
    return labels == probabilities.argmax(axis=1), probabilities.max(axis=1)


def calibration_error(hits: Any, probabilities: Any, weights: Any = None) -> float:
    """Return the expected calibration error: |mean probability - share of hits| of ten equal bins, weighted by their rows."""
    import numpy as np

    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    by_row = np.ones(len(hits)) if weights is None else weights
    return float(np.abs(np.bincount(bins, by_row * (probabilities - hits))).sum() / by_row.sum())


def quality_of(probabilities: Any, labels: Any, weights: Any) -> dict[str, float]:
    """Return log loss and expected calibration error of probabilities [rows, classes]."""
    import numpy as np

    own = np.maximum(probabilities[range(len(labels)), labels], TINY)
    error = calibration_error(*confidence(labels, probabilities), weights)
    return {
        "log_loss": -float(np.average(np.log(own), weights=weights)),
        "calibration_error": error,
    }


def fitted_temperature(probabilities: Any, labels: Any, weights: Any) -> float:
    """Return the temperature, within a factor of e^2, whose softmax(log(probabilities) / temperature) has the least log loss, 1 if none has."""
    low, high = -2.0, 2.0
    while high - low > PRECISION:  # the loss has one minimum
        logs = (low + (high - low) / 3, high - (high - low) / 3)
        powers = [probabilities ** math.exp(-each) for each in logs]
        scaled = [each / each.sum(axis=1, keepdims=True) for each in powers]
        left, right = (quality_of(each, labels, weights)["log_loss"] for each in scaled)
        low, high = (low, logs[1]) if left < right else (logs[0], high)
    # At the end of the range there is none, as where no row is wrong.
    return math.exp(low) if abs(low) < 2 - 2 * PRECISION else 1.0


def in_words(found: dict[str, Any]) -> str:
    true, positives = found["true_positives"], found["true_positives"] + found["false_negatives"]
    errors = f"{true:,} of {positives:,} positives found, {found['false_positives']:,} false alarms"
    return f"at {found['threshold']:.4g}: {errors}"
