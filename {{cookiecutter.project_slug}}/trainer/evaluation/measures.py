"""Measures of predictions, from scikit-learn where it has them; docs/evaluation.md of the template defines them."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.data.thresholds import BINS, DEFAULT, calibration_error, confidence, outcome
from trainer.settings import METRICS, goal_of

Array = npt.NDArray[Any]
Table = dict[str, dict[str, Any]]
Measures = dict[str, float | None]
RESAMPLES, LARGEST_RESAMPLE, TAILS = 200, 10_000, (0.025, 0.975)
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MOST_VALUES, QUARTERS = 12, 4
REPEATS, IMPORTANCE_ROWS = 5, 5_000
TOP_COLUMNS, MOST_POINTS, DEPENDENCE_ROWS, MOST_OUTPUTS = 6, 12, 500, 5
SEARCHED_ROWS, FEWEST_IN_SLICE, MOST_SLICES, SIGNIFICANT = 50_000, 30, 10, 0.01
TINY = np.finfo(np.float64).tiny
OWN = "model"  # the name of its threshold among others
MAIN = {task: names[0] for task, names in METRICS.items()}


@dataclass(frozen=True)
class Scored:
    """Rows of a task with labels and predictions."""

    task: str
    labels: Array
    """Class codes, int64 [rows], or numbers, float64 [rows]."""
    predictions: Array
    """Probabilities, float64 [rows, classes], whose second class is the positive one of two, or numbers, float64 [rows]."""
    weights: Array
    """float64 [rows]."""

    def __getitem__(self, rows: Any) -> "Scored":
        """Return some of the rows: those of a mask, a slice, or numbers of rows."""
        parts = (self.labels[rows], self.predictions[rows], self.weights[rows])
        return Scored(self.task, *parts)

    def __len__(self) -> int:
        return len(self.labels)


def measured(scored: Scored, threshold: float = DEFAULT) -> Measures:
    """Return the measures by name; None for those of ranks and of variance where all rows have one label."""
    of_numbers = scored.task == "regression"
    found = number_measures(scored) if of_numbers else class_measures(scored, threshold)
    return {name: None if value is None else float(value) for name, value in found.items()}


def number_measures(scored: Scored) -> dict[str, Any]:
    from sklearn import metrics

    rows, by = (scored.labels, scored.predictions), {"sample_weight": scored.weights}
    return {
        "rmse": np.sqrt(metrics.mean_squared_error(*rows, **by)),
        "mae": metrics.mean_absolute_error(*rows, **by),
        "r2": metrics.r2_score(*rows, **by) if np.ptp(scored.labels) else None,
    }


def class_measures(scored: Scored, threshold: float) -> dict[str, Any]:
    from sklearn import metrics

    labels, predictions, by = scored.labels, scored.predictions, {"sample_weight": scored.weights}
    found: dict[str, Any] = {}
    if scored.task == "binary":
        ranks = {"auc": metrics.roc_auc_score, "pr_auc": metrics.average_precision_score}
        several, positive = np.ptp(labels), predictions[:, 1]
        found |= {k: each(labels, positive, **by) if several else None for k, each in ranks.items()}
    codes, chosen = np.arange(predictions.shape[1]), predicted(scored, threshold)
    _, recall, f1, support = class_scores(scored, chosen)
    found["accuracy"] = metrics.accuracy_score(labels, chosen, **by)
    found["balanced_accuracy"] = recall[support > 0].mean()
    found["f1"] = f1[1] if scored.task == "binary" else f1[support > 0].mean()
    found["log_loss"] = metrics.log_loss(labels, predictions, labels=codes, **by)
    distances = ((predictions - np.eye(len(codes))[labels]) ** 2).mean(axis=1)
    found["brier"] = np.average(distances, weights=scored.weights) * len(codes) / 2
    hits = confidence(labels, predictions)
    return {**found, "calibration_error": calibration_error(*hits, scored.weights)}


def class_scores(scored: Scored, chosen: Array) -> Any:
    """Return precision, recall, F1 and sum of weights of each class, [classes], if the classes `chosen` are predicted."""
    from sklearn.metrics import precision_recall_fscore_support as scores

    codes, by = np.arange(scored.predictions.shape[1]), scored.weights
    return scores(scored.labels, chosen, labels=codes, zero_division=0, sample_weight=by)


def predicted(scored: Scored, threshold: float) -> Array:
    """Return the codes of the predicted classes, int64 [rows]: of two, the second above the threshold."""
    if scored.task == "binary":
        return np.asarray(scored.predictions[:, 1] > threshold, np.int64)
    return np.asarray(scored.predictions.argmax(axis=1), np.int64)


def with_intervals(scored: Scored, others: Table, threshold: float = DEFAULT) -> Table:
    """Return `value`, the bootstrap's 95 % interval `low` to `high`, and the values of `others` by name, by measure.

    Of many rows a part is drawn, and the spread is scaled by the root of its share: the m out of n bootstrap.
    """
    import sklearn

    rows, drawn = len(scored), min(len(scored), LARGEST_RESAMPLE)
    generator = np.random.default_rng(0)
    parts = (generator.integers(0, rows, drawn) for _ in range(RESAMPLES))
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        samples = [measured(scored[part], threshold) for part in parts]
    found = {}
    for name, value in measured(scored, threshold).items():
        low = high = None
        values = [each for sample in samples if (each := sample[name]) is not None]
        if value is not None and values:
            tails = value + (np.quantile(values, TAILS) - value) * np.sqrt(drawn / rows)
            low, high = map(float, tails)
        beside = {other: each.get(name) for other, each in others.items()}
        found[name] = {"value": value, "low": low, "high": high, **beside}
    return found


def details(scored: Scored, classes: Sequence[str], at: Mapping[str, float]) -> dict[str, Table]:
    """Return `confusion` and `by_class`, of two classes `lift` and `thresholds`, those `at` names; or `error_quantiles` of a regression."""
    from sklearn import metrics

    labels, predictions = scored.labels, scored.predictions
    if scored.task == "regression":
        errors = labels - predictions
        both = {"error": errors, "size": np.abs(errors)}
        found = {k: {n: float(np.quantile(v, k)) for n, v in both.items()} for k in QUANTILES}
        return {"error_quantiles": {str(share): each for share, each in found.items()}}
    codes, chosen = np.arange(len(classes)), predicted(scored, at[OWN])
    counts = metrics.confusion_matrix(labels, chosen, labels=codes).tolist()
    rows = np.bincount(labels, minlength=len(codes))
    values = (*class_scores(scored, chosen)[:3], rows)
    columns = dict(zip(("precision", "recall", "f1", "rows"), values, strict=True))
    tables: dict[str, Table] = {
        "confusion": {
            k: dict(zip(classes, row, strict=True)) for k, row in zip(classes, counts, strict=True)
        },
        "by_class": {
            k: {n: v[code].item() for n, v in columns.items()} for code, k in enumerate(classes)
        },
    }
    if scored.task != "binary":
        return tables
    named = {**at, **{f"{each / BINS:g}": each / BINS for each in range(1, BINS)}}
    scores, weights = predictions[:, 1], scored.weights
    rates = {name: outcome(labels, scores, each, weights) for name, each in named.items()}
    return {**tables, "thresholds": rates, "lift": lift(scored)}


def lift(scored: Scored) -> Table:
    """Return, of the tenth, two tenths … of the rows with the highest scores, `gain`, their share of the positives, and `lift`."""
    ranked = scored[np.argsort(-scored.predictions[:, 1], kind="stable")]
    positive, total = np.cumsum(ranked.weights * (ranked.labels == 1)), np.cumsum(ranked.weights)
    found = {}
    for tenth in range(1, BINS + 1):
        rows = max(1, round(len(scored) * tenth / BINS))
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


def sliced(scored: Scored, values: Sequence[Any], threshold: float = DEFAULT) -> Table:
    """Return the `rows` and the measures of each slice of a column's values."""
    return {
        name: {"rows": int(mask.sum()), **measured(scored[mask], threshold)}
        for name, mask in slices_of(values)
    }


def losses(scored: Scored) -> Array:
    """Return the loss of each row, float64 [rows]: the squared error, or -log of the probability of its class."""
    if scored.task == "regression":
        return np.asarray((scored.labels - scored.predictions) ** 2)
    own = scored.predictions[np.arange(len(scored)), scored.labels]
    return np.asarray(-np.log(np.maximum(own, TINY)))


def expected_losses(predictions: Array) -> Array:
    """Return the loss of each row, float64 [rows], if its probabilities are true: their entropy."""
    return np.asarray(-(predictions * np.log(np.maximum(predictions, TINY))).sum(axis=1))


def worse_slices(scored: Scored, columns: Mapping[str, Sequence[Any]]) -> Table:
    """Return the slices whose mean loss is significantly higher than that of the other rows, the highest first.

    `p` is that of Welch's statistic under a normal distribution, times the number of slices that were compared (Bonferroni).
    """
    by_row, weights = losses(scored), scored.weights
    named = ((name, *each) for name, values in columns.items() for each in slices_of(values))
    rows = ((f"{column}: {name.strip()}", mask, int(mask.sum())) for column, name, mask in named)
    compared = [
        each for each in rows if FEWEST_IN_SLICE <= each[2] <= len(scored) - FEWEST_IN_SLICE
    ]
    found = [
        (name, mask, min(1.0, higher_by_chance(by_row, weights, mask) * len(compared)))
        for name, mask, _ in compared
    ]
    means = {name: moments(by_row[mask], weights[mask])[0] for name, mask, _ in found}
    worse = sorted((e for e in found if e[2] < SIGNIFICANT), key=lambda e: -means[e[0]])
    return {
        name: {**compared_losses(scored, by_row, mask), "p": p}
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


def compared_losses(scored: Scored, by_row: Array, mask: Array) -> dict[str, Any]:
    """Return rows, main measure and mean loss of a slice, the loss of the other rows and, of classes, the expected one."""
    inside, main = scored[mask], MAIN[scored.task]
    loss, others = (moments(by_row[k], scored.weights[k])[0] for k in (mask, ~mask))
    found = {"rows": len(inside), main: measured(inside)[main], "loss": loss, "others": others}
    if scored.task != "regression":
        expected = expected_losses(inside.predictions)
        found["expected"] = float(np.average(expected, weights=inside.weights))
    return found


def importance(scored: Scored, columns: Sequence[str], predict: Callable[[Array], Array]) -> Table:
    """Return by how much the main measure gets worse when a column is shuffled: `mean` and `deviation`, the largest first.

    `predict` returns predictions for rows whose cells are given by the numbers of rows, int64 [rows, columns].
    """
    from sklearn.inspection import permutation_importance

    class Exported:
        def fit(self, *_: Any) -> None: ...

    def score(_: Any, cells: Array, _labels: Array) -> float:
        value = measured(replace(part, predictions=predict(cells)))[main] or 0.0
        return value if goal_of(main) == "maximize" else -value

    sample = np.random.default_rng(0).permutation(len(scored))[:IMPORTANCE_ROWS]
    part, main = scored[sample], MAIN[scored.task]
    cells = np.tile(sample[:, None], (1, len(columns)))
    settings = {"scoring": score, "n_repeats": REPEATS, "random_state": 0}
    found = permutation_importance(Exported(), cells, part.labels, **settings)
    pairs = zip(found.importances_mean.tolist(), found.importances_std.tolist(), strict=True)
    values = [{"mean": mean, "deviation": spread} for mean, spread in pairs]
    return {columns[each]: values[each] for each in np.argsort(-found.importances_mean)}


def most_frequent(values: Iterable[Any]) -> list[Any]:
    """Return the values in most rows, the first of them; None and NaN are left out."""
    counted = Counter(value for value in values if value is not None and value == value)
    return [value for value, _ in counted.most_common(MOST_POINTS)]
