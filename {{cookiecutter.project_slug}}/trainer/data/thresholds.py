"""The threshold of two classes: the aims that it can be chosen for, and the errors that follow from it.

A row is predicted positive if its score, the probability, is above the threshold. Labels are 1 for positive and 0; both
are arrays [rows], as are weights: None stands for rows that count alike.
"""

import re
from typing import Any

from trainer.run.errors import UserError, shown

DEFAULT = 0.5
CONSTANT = "label.threshold"  # in the exported graph; for the dot, no input is called so
COMMON_AIMS = ("f1", "balanced", "precision=0.9", "recall=0.8")
FORMS = f"{', '.join(COMMON_AIMS)}, cost=FP:1,FN:5 or a number from 0 to 1"
COUNTS = ("true_positives", "false_positives", "false_negatives")
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


def in_words(found: dict[str, Any]) -> str:
    true, positives = found["true_positives"], found["true_positives"] + found["false_negatives"]
    errors = f"{true:,} of {positives:,} positives found, {found['false_positives']:,} false alarms"
    return f"at {found['threshold']:.4g}: {errors}"
