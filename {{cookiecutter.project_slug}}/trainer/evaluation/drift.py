"""Drift: how far the columns of any rows are from those of the training rows, as Vertex AI Model Monitoring compares them.

Numbers are judged by the Jensen-Shannon divergence of their bins, categories by the L-infinity distance of their shares.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.data.statistics import MISSING_CODE, UNSEEN_CODE, Statistics, vocabulary_codes

THRESHOLD = 0.3
"""The default of Model Monitoring: https://cloud.google.com/vertex-ai/docs/model-monitoring/overview."""
NUMBERS, VALUES = "jensen_shannon", "l_infinity"

Array = npt.NDArray[Any]
Cells = Sequence[Any] | Array
Counts = tuple[Array, Array, float | None, str]  # of `compared`


def drift(
    statistics: Statistics, columns: Iterable[tuple[str, Cells]], threshold: float = THRESHOLD
) -> dict[str, Any]:
    """Return the drift of each column by name, the columns that drifted first.

    `columns` are names and cells: numbers, float64 [rows], NaN where missing, dates as days since 1970-01-01, or values of
    categories, None where missing. Free text is left out.
    """
    found = {}
    for name, cells in columns:
        if name in statistics.numeric:
            counts = of_numbers(statistics, name, np.asarray(cells, np.float32))
            found[name] = compared(*counts, threshold)
        elif name in statistics.counts:
            found[name] = compared(*of_values(statistics, name, cells), threshold)
    return {name: found[name] for name in sorted(found, key=lambda k: not found[k]["drifted"])}


def of_numbers(statistics: Statistics, name: str, numbers: Array) -> Counts:
    column, known = statistics.numeric[name], numbers[~np.isnan(numbers)]
    # Without shares, by an earlier version, all are in one bin.
    shares = np.array(column.shares or [1.0])
    training = [column.missing, *shares * (statistics.rows["train"] - column.missing)]
    bins = column.bins(known) if column.shares else np.zeros(len(known), int)
    counts = [len(numbers) - len(known), *np.bincount(bins, minlength=len(shares))]
    unseen = float(column.outside(known).sum() / len(numbers))
    return np.array(training), np.array(counts), unseen, NUMBERS


def of_values(statistics: Statistics, name: str, cells: Cells) -> Counts:
    codes, training = statistics.vocabularies.get(name, ()), np.array(statistics.counts[name])
    by_value, counts = vocabulary_codes(codes), np.zeros(len(training))
    for value, count in Counter(cells).items():
        counts[MISSING_CODE if value is None else by_value.get(value, UNSEEN_CODE)] += count
    unseen = float(counts[UNSEEN_CODE] / len(cells)) if codes else None
    return training, counts, unseen, VALUES


def compared(
    training: Array, rows: Array, unseen: float | None, main: str, threshold: float
) -> dict[str, Any]:
    """Return what evaluation.json holds of a column, from counts of missing cells, then of each bin or value.

    It has drifted if the `main` distance, or the difference of the shares missing, exceeds the threshold by more than chance:
    four deviations of a share, and for the divergence its mean of two samples of the same distribution.
    """
    spread = 1 / max(rows[1:].sum(), 1) + 1 / max(training[1:].sum(), 1)
    chance = 2 * math.sqrt(spread)
    if main == NUMBERS:
        chance += (len(rows) - 2) * spread / (8 * math.log(2))
    missing, trained = (float(each[0] / max(each.sum(), 1)) for each in (rows, training))
    of_missing = threshold + 2 * math.sqrt(1 / rows.sum() + 1 / max(training.sum(), 1))
    found = distances(training[1:], rows[1:])
    far = bool((found[main] or 0) > threshold + chance or abs(missing - trained) > of_missing)
    shares = {"missing": missing, "training_missing": trained, "unseen": unseen}
    judged = {"drifted": far, "limit": threshold + chance, "distance": found[main]}
    return {**judged, **found, **shares}


def distances(training: Array, rows: Array) -> dict[str, float | None]:
    """Return the Jensen-Shannon divergence, of base 2, and the L-infinity distance of counts of the same bins.

    None for one bin, and without a count on either side.
    """
    if len(rows) < 2 or not (training.sum() and rows.sum()):
        return {NUMBERS: None, VALUES: None}
    p, q = training / training.sum(), rows / rows.sum()
    both = (p + q) / 2
    gains = [each[each > 0] @ np.log2(each[each > 0] / both[each > 0]) for each in (p, q)]
    return {NUMBERS: float(sum(gains) / 2), VALUES: float(np.abs(p - q).max())}
