"""Measures of predictions, from scikit-learn where it has them; docs/evaluation.md of the template defines them.

Labels are class codes, int64 [rows], or numbers, float64 [rows]. Predictions are probabilities, float64 [rows, classes],
whose second class is the positive one of two, or numbers, float64 [rows]. Weights are float64 [rows], None if rows count alike.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.data.thresholds import BINS, calibration_error, confidence, outcome
from trainer.settings import METRICS, goal_of

Array = npt.NDArray[Any]
Table = dict[str, dict[str, Any]]
Measures = dict[str, float | None]
Measure = Callable[..., Measures]  # of labels, predictions and, if there are, weights
Weights = Array | None
Columns = Mapping[str, Sequence[Any]]
RESAMPLES, LARGEST_RESAMPLE, TAILS = 200, 10_000, (0.025, 0.975)
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MOST_VALUES, QUARTERS = 12, 4
REPEATS, IMPORTANCE_ROWS = 5, 5_000
TOP_COLUMNS, MOST_POINTS, DEPENDENCE_ROWS, MOST_OUTPUTS = 6, 12, 500, 5
SEARCHED_ROWS, FEWEST_IN_SLICE, MOST_SLICES, SIGNIFICANT = 50_000, 30, 10, 0.01
TINY = np.finfo(np.float64).tiny
OWN = "model"  # the name of its threshold among others
MAIN = {task: names[0] for task, names in METRICS.items()}


def measured(
    task: str, labels: Array, predictions: Array, weights: Weights = None, threshold: float = 0.5
) -> Measures:
    """Return the measures by name; None for those of ranks and of variance where all rows have one label."""
    from sklearn import metrics

    several, by = labels.min() < labels.max(), {"sample_weight": weights}
    found: dict[str, Any] = {}
    if task == "regression":
        found["rmse"] = np.sqrt(metrics.mean_squared_error(labels, predictions, **by))
        found["mae"] = metrics.mean_absolute_error(labels, predictions, **by)
        found["r2"] = metrics.r2_score(labels, predictions, **by) if several else None
        return {name: None if value is None else float(value) for name, value in found.items()}
    if task == "binary":
        positive = predictions[:, 1]
        ranks = {"auc": metrics.roc_auc_score, "pr_auc": metrics.average_precision_score}
        found |= {k: each(labels, positive, **by) if several else None for k, each in ranks.items()}
    codes, chosen = np.arange(predictions.shape[1]), predicted(task, predictions, threshold)
    _, recall, f1, support = class_scores(labels, chosen, codes, weights)
    found["accuracy"] = metrics.accuracy_score(labels, chosen, **by)
    found["balanced_accuracy"] = recall[support > 0].mean()
    found["f1"] = f1[1] if task == "binary" else f1[support > 0].mean()
    found["log_loss"] = metrics.log_loss(labels, predictions, labels=codes, **by)
    distances = ((predictions - np.eye(len(codes))[labels]) ** 2).mean(axis=1)
    found["brier"] = np.average(distances, weights=weights) * len(codes) / 2
    found["calibration_error"] = calibration_error(*confidence(labels, predictions), weights)
    return {name: None if value is None else float(value) for name, value in found.items()}


def class_scores(labels: Array, chosen: Array, codes: Array, weights: Weights) -> Any:
    """Return precision, recall, F1 and sum of weights of each class, [classes]."""
    from sklearn.metrics import precision_recall_fscore_support as scores

    return scores(labels, chosen, labels=codes, zero_division=0, sample_weight=weights)


def predicted(task: str, predictions: Array, threshold: float) -> Array:
    """Return the codes of the predicted classes, int64 [rows]: of two, the second above the threshold."""
    above = predictions[:, 1] > threshold
    return np.asarray(above if task == "binary" else predictions.argmax(axis=1), np.int64)


def with_intervals(
    measure: Measure, labels: Array, predictions: Array, others: Table, weights: Weights = None
) -> Table:
    """Return `value`, the bootstrap's 95 % interval `low` to `high`, and the values of `others` by name, by measure.

    Of many rows a part is drawn, and the spread is scaled by the root of its share: the m out of n bootstrap.
    """
    import sklearn

    weights = np.ones(len(labels)) if weights is None else weights
    rows, drawn = len(labels), min(len(labels), LARGEST_RESAMPLE)
    generator = np.random.default_rng(0)
    parts = (generator.integers(0, rows, drawn) for _ in range(RESAMPLES))
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        samples = [measure(labels[k], predictions[k], weights[k]) for k in parts]
    found = {}
    for name, value in measure(labels, predictions, weights).items():
        low = high = None
        values = [each for sample in samples if (each := sample[name]) is not None]
        if value is not None and values:
            tails = value + (np.quantile(values, TAILS) - value) * np.sqrt(drawn / rows)
            low, high = map(float, tails)
        beside = {other: each.get(name) for other, each in others.items()}
        found[name] = {"value": value, "low": low, "high": high, **beside}
    return found


def details(
    task: str,
    labels: Array,
    predictions: Array,
    classes: Sequence[str],
    at: Mapping[str, float],
    weights: Weights = None,
) -> dict[str, Table]:
    """Return `confusion` and `by_class`, of two classes `lift` and `thresholds`, those `at` names; or `error_quantiles` of a regression."""
    from sklearn import metrics

    if task == "regression":
        errors = labels - predictions
        both = {"error": errors, "size": np.abs(errors)}
        found = {k: {n: float(np.quantile(v, k)) for n, v in both.items()} for k in QUANTILES}
        return {"error_quantiles": {str(share): each for share, each in found.items()}}
    codes, chosen = np.arange(len(classes)), predicted(task, predictions, at[OWN])
    counts = metrics.confusion_matrix(labels, chosen, labels=codes).tolist()
    scores = class_scores(labels, chosen, codes, weights)[:3]
    rows = np.bincount(labels, minlength=len(codes))
    columns = dict(zip(("precision", "recall", "f1", "rows"), (*scores, rows), strict=True))
    tables: dict[str, Table] = {
        "confusion": {
            k: dict(zip(classes, row, strict=True)) for k, row in zip(classes, counts, strict=True)
        },
        "by_class": {
            k: {n: v[code].item() for n, v in columns.items()} for code, k in enumerate(classes)
        },
    }
    if task != "binary":
        return tables
    named = {**at, **{f"{each / BINS:g}": each / BINS for each in range(1, BINS)}}
    scored = predictions[:, 1]
    rates = {name: outcome(labels, scored, each, weights) for name, each in named.items()}
    return {**tables, "thresholds": rates, "lift": lift(labels, predictions, weights)}


def lift(labels: Array, predictions: Array, weights: Weights = None) -> Table:
    """Return, of the tenth, two tenths … of the rows with the highest scores, `gain`, their share of the positives, and `lift`."""
    order = np.argsort(-predictions[:, 1], kind="stable")
    by_row = np.ones(len(labels)) if weights is None else weights[order]
    positive, total = np.cumsum(by_row * (labels[order] == 1)), np.cumsum(by_row)
    found = {}
    for tenth in range(1, BINS + 1):
        rows = max(1, round(len(labels) * tenth / BINS))
        gain = float(positive[rows - 1] / positive[-1])
        share = float(total[rows - 1] / total[-1])
        found[f"{tenth / BINS:.0%}"] = {"gain": gain, "lift": gain / share}
    return found


def slices_of(values: Sequence[Any]) -> Iterator[tuple[str, Array]]:
    """Yield the name and the mask, bool [rows], of each slice of a column: quarters of numbers, or the most frequent values, also of two numbers."""
    column = np.asarray(values, object)
    missing = np.array([value is None or value == "" for value in values], bool)
    is_number = any(isinstance(value, float) for value in values)
    if is_number and len({*column[~missing]}) != 2:
        yield from quarters(np.array(values, np.float64))
    else:
        ranked = [name for name, _ in Counter(column[~missing]).most_common()]
        for name in ranked[:MOST_VALUES]:
            yield f"{name:g}" if is_number else name, column == name
        if rest := {*ranked[MOST_VALUES:]}:
            yield f"({len(rest)} others)", np.array([value in rest for value in values], bool)
    if missing.any():
        yield "(missing)", missing


def quarters(numbers: Array) -> Iterator[tuple[str, Array]]:
    """Yield the quarters of numbers, fewer where many are equal; NaN is in none."""
    edges = np.unique(np.nanquantile(numbers, np.linspace(0, 1, QUARTERS + 1)))
    for low, high in pairwise(edges[:-1]):
        yield f"{low:g} to below {high:g}", (numbers >= low) & (numbers < high)
    low, high = edges[[-2, -1]] if len(edges) > 1 else edges[[0, 0]]
    yield f"{low:g} to {high:g}", numbers >= low


def sliced(
    measure: Measure, labels: Array, predictions: Array, values: Sequence[Any], by: Weights = None
) -> Table:
    """Return the `rows` and the measures of each slice of a column's values; rows count `by` their weights."""
    weights = np.ones(len(labels)) if by is None else by
    return {
        name: {"rows": int(m.sum()), **measure(labels[m], predictions[m], weights[m])}
        for name, m in slices_of(values)
    }


def losses(task: str, labels: Array, predictions: Array) -> Array:
    """Return the loss of each row, float64 [rows]: the squared error, or -log of the probability of its class."""
    if task == "regression":
        return np.asarray((labels - predictions) ** 2)
    own = predictions[np.arange(len(labels)), labels]
    return np.asarray(-np.log(np.maximum(own, TINY)))


def expected_losses(predictions: Array) -> Array:
    """Return the loss of each row, float64 [rows], if its probabilities are true: their entropy."""
    return np.asarray(-(predictions * np.log(np.maximum(predictions, TINY))).sum(axis=1))


def worse_slices(
    task: str, labels: Array, predictions: Array, columns: Columns, weights: Weights = None
) -> Table:
    """Return the slices whose mean loss is significantly higher than that of the other rows, the highest first.

    `p` is that of Welch's statistic under a normal distribution, times the number of slices that were compared (Bonferroni).
    """
    by_row = losses(task, labels, predictions)
    by_weight = np.ones(len(labels)) if weights is None else weights
    named = ((name, *each) for name, values in columns.items() for each in slices_of(values))
    rows = ((f"{column}: {name.strip()}", mask, int(mask.sum())) for column, name, mask in named)
    compared = [
        each for each in rows if FEWEST_IN_SLICE <= each[2] <= len(labels) - FEWEST_IN_SLICE
    ]
    found = [
        (name, mask, min(1.0, higher_by_chance(by_row, by_weight, mask) * len(compared)))
        for name, mask, _ in compared
    ]
    means = {name: moments(by_row[mask], by_weight[mask])[0] for name, mask, _ in found}
    worse = sorted((e for e in found if e[2] < SIGNIFICANT), key=lambda e: -means[e[0]])
    return {
        name: {**compared_losses(task, labels, predictions, by_row, mask, by_weight), "p": p}
        for name, mask, p in worse[:MOST_SLICES]
    }


def moments(values: Array, weights: Array) -> tuple[float, float]:
    """Return the mean of values [rows] and the variance of that mean."""
    mean, rows = np.average(values, weights=weights), len(values)
    variance = ((weights * (values - mean)) ** 2).sum() / weights.sum() ** 2
    return float(mean), float(variance) * rows / (rows - 1)


def higher_by_chance(losses: Array, weights: Array, mask: Array) -> float:
    """Return the probability of a mean in a slice so much above that of other rows if both were alike, by Welch's statistic."""
    (inside, own), (others, other) = (moments(losses[k], weights[k]) for k in (mask, ~mask))
    z = (inside - others) / math.sqrt(own + other) if own + other else 0.0
    return math.erfc(z / math.sqrt(2)) / 2


def compared_losses(
    task: str, labels: Array, predictions: Array, by_row: Array, mask: Array, weights: Array
) -> dict[str, Any]:
    """Return rows, main measure and mean loss of a slice, the loss of the other rows and, of classes, the expected one."""
    inside, own = predictions[mask], weights[mask]
    main = measured(task, labels[mask], inside, own)[MAIN[task]]
    loss, others = (moments(by_row[k], weights[k])[0] for k in (mask, ~mask))
    means = {"loss": loss, "others": others}
    if task != "regression":
        means["expected"] = float(np.average(expected_losses(inside), weights=own))
    return {"rows": len(inside), MAIN[task]: main, **means}


def importance(
    task: str,
    labels: Array,
    columns: Sequence[str],
    predict: Callable[[Array], Array],
    weights: Weights = None,
) -> Table:
    """Return by how much the main measure gets worse when a column is shuffled: `mean` and `deviation`, the largest first.

    `predict` returns predictions for rows whose cells are given by the numbers of rows, int64 [rows, columns].
    """
    from sklearn.inspection import permutation_importance

    class Exported:
        def fit(self, *_: Any) -> None: ...

    def score(_: Any, cells: Array, truth: Array) -> float:
        value = measured(task, truth, predict(cells), own)[MAIN[task]] or 0.0
        return value if goal_of(MAIN[task]) == "maximize" else -value

    sample = np.random.default_rng(0).permutation(len(labels))[:IMPORTANCE_ROWS]
    own = None if weights is None else weights[sample]
    cells = np.tile(sample[:, None], (1, len(columns)))
    settings = {"scoring": score, "n_repeats": REPEATS, "random_state": 0}
    found = permutation_importance(Exported(), cells, labels[sample], **settings)
    pairs = zip(found.importances_mean.tolist(), found.importances_std.tolist(), strict=True)
    values = [{"mean": mean, "deviation": spread} for mean, spread in pairs]
    return {columns[each]: values[each] for each in np.argsort(-found.importances_mean)}


def most_frequent(values: Iterable[Any]) -> list[Any]:
    """Return the values in most rows, the first of them; None and NaN are left out."""
    counted = Counter(value for value in values if value is not None and value == value)
    return [value for value, _ in counted.most_common(MOST_POINTS)]
