"""What in prepared data makes results meaningless: a column that gives the label away, splits that differ.

The rows of a split are in the order of their hashes, so its first ones are a random sample.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pyarrow.parquet import ParquetFile

from trainer.data import files
from trainer.data.schema import Schema
from trainer.data.statistics import FIRST_VALUE_CODE, MISSING_CODE, UNSEEN_CODE, Numeric, Statistics
from trainer.run.errors import shown

SAMPLE_ROWS = 1 << 14
SAMPLE_CELLS = 1 << 21
FEWEST_ROWS = 30  # fewer differ by chance
FEWEST_ROWS_FOR_LABEL = 100
BINS = 256
# How much of the label one column explains. In real tables the best column stays below `LONE`, or is followed by one
# within `GAP`, as in the measures of flowers. A number is often close to another: income and spending, length and weight.
SURE, LONE = {"class": 0.97, "number": 0.99}, {"class": 0.75, "number": 0.95}
GAP = 0.3
EDITS = {
    "eval": 'give the column the kind "ignore" in trainer/features.py, or the table more rows',
    "test": 'correct the test table, or give a column the kind "ignore" in trainer/features.py',
}
FEWEST_ROWS_OF_CLASS = 5
CHANCE = 1e-6
LARGE_SHARE, ALL_UNSEEN, FEW_OUTSIDE = 0.3, 0.95, 0.01
LARGE_FACTOR = 20.0
# Between two distribution functions; 30 rows differ as much once in a million times.
LARGE_DISTANCE = 0.5
MOST_WARNINGS, MOST_CLASSES = 10, 4

Array = npt.NDArray[Any]


def warnings_of(
    folder: Path, schema: Schema, statistics: Statistics
) -> tuple[list[str], list[str]]:
    """Return a sentence for each column that gives the label away, and the first of all findings, with edits that change them."""
    samples = {split: sample(folder / split, schema) for split in statistics.rows}
    alone, compared = [*revealing(samples["train"], schema)], schema.numeric + schema.coded
    found = [*alone]
    for split in [*samples][1:]:
        for name in (*compared, *([schema.label] if schema.task == "regression" else [])):
            train, own, held_out = (samples[each][name] for each in ("train", split, "eval"))
            beyond = outside(own, statistics.numeric[name]) if name in schema.dates else ""
            what = beyond or difference(train, own, held_out, name in statistics.vocabularies)
            if what:
                found.append(f"in the {split} split, {shown(name)} {what}; {EDITS[split]}")
    more = len(found) - MOST_WARNINGS
    last = [f"{more} more findings like these"] * (more > 0)
    return alone[:MOST_WARNINGS], [*found[:MOST_WARNINGS], *last]


def sample(folder: Path, schema: Schema) -> dict[str, Array]:
    """Return the first rows of each column but free text: float64 numbers, NaN where missing, or int32 codes, of classes too."""
    rows = min(SAMPLE_ROWS, SAMPLE_CELLS // (len(schema.used) + 1))
    first = next(ParquetFile(min(folder.glob(files.SHARDS))).iter_batches(rows))
    arrays = (
        column.cast("float64") if column.type == "float" else column for column in first.columns
    )
    columns = {
        name: array.to_numpy(zero_copy_only=False)
        for name, array in zip(first.schema.names, arrays, strict=True)
        if name not in schema.texts
    }
    if schema.task != "regression":  # as codes of values: none is missing or unseen
        columns[schema.label] = columns[schema.label] + FIRST_VALUE_CODE
    return columns


def too_few(rows: int, classes: Mapping[str, int]) -> str:
    """Return what a split has too few of to evaluate on: rows, or rows of its rarest classes; "" if it has enough."""
    few = rows < FEWEST_ROWS
    least = 1 if few else FEWEST_ROWS_OF_CLASS
    rare = sorted((count, value) for value, count in classes.items() if count < least)
    listed = [f"{count} of {shown(value)}" for count, value in rare[:MOST_CLASSES]]
    more = ["…"] * (len(rare) > MOST_CLASSES)
    of_classes = f"few rows of some classes: {', '.join([*listed, *more])}"
    return " and ".join([f"{rows} row(s)"] * few + [of_classes] * bool(rare))


def revealing(columns: Mapping[str, Array], schema: Schema) -> Iterator[str]:
    """Yield a sentence for each column that alone gives the label: its copy, a code of it, a copy with noise."""
    labels, regression = columns[schema.label], schema.task == "regression"
    if len(labels) < FEWEST_ROWS_FOR_LABEL:
        return
    labels = ranks(labels) if regression else labels
    compared = schema.numeric + schema.coded
    found = {name: explained(groups(columns[name]), labels, regression) for name in compared}
    kind = "number" if regression else "class"
    others = sorted(share for share, _ in found.values() if share < SURE[kind])
    second = others[-2] if len(others) > 1 else 1.0
    for name, (share, what) in found.items():
        lone = share >= LONE[kind] and share - second >= GAP
        if share >= SURE[kind] or lone:
            ignored = f'{json.dumps(name, ensure_ascii=False)}: "ignore"'
            yield f"{shown(name)} alone {what}; if it is not known before the label, write {ignored} in trainer/features.py"


def ranks(values: Array) -> Array:
    """Return the mean rank of each value: whatever the scale of the values, ranks are spread evenly."""
    ordered = np.sort(values)
    return (np.searchsorted(ordered, values) + np.searchsorted(ordered, values, "right")) / 2


def groups(values: Array) -> Array:
    """Return a group number for each row: its code, or one of at most `BINS` bins of a number."""
    if values.dtype.kind == "i":
        return np.unique(values, return_inverse=True)[1]
    count = min(BINS, len(values) // 16)
    known = values[~np.isnan(values)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, count))) if known.size else known
    return np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, "right"))


def explained(keys: Array, labels: Array, regression: bool) -> tuple[float, str]:
    """Return how much of the label groups of rows explain, learnt from one half and measured on the other, and in words."""
    half, count = len(labels) // 2, int(keys.max()) + 1
    learnt, held, of_held = labels[:half], labels[half:], keys[half:]
    if regression:
        counts = np.maximum(np.bincount(keys[:half], minlength=count), 1)
        means = np.bincount(keys[:half], learnt - learnt.mean(), count) / counts + learnt.mean()
        wrong, constant = np.var(held - means[of_held]), np.var(held)
        share = 1 - wrong / constant if constant else 0.0
        return share, f"explains {share:.1%} of the label's variance"
    classes, common = int(labels.max()) + 1, np.bincount(learnt).argmax()
    cells = np.bincount(keys[:half] * classes + learnt, minlength=count * classes)
    # The most common class where classes are as many, or no row is.
    best = (cells.reshape(count, classes) + 0.5 * (np.arange(classes) == common)).argmax(axis=1)
    right, constant = np.mean(best[of_held] == held), np.mean(held == common)
    share = 1 - (1 - right) / (1 - constant) if constant < 1 else 0.0
    what = f"gives the class of {right:.1%} of the rows (the most common class: {constant:.1%})"
    return share, what


def difference(train: Array, other: Array, held_out: Array, has_vocabulary: bool) -> str:
    """Return how a column of another split differs from the training rows, "" if it does not.

    The eval split is a random part of the train table, so `held_out` has as many unseen values as are to be expected.
    """
    if min(len(train), len(other)) < FEWEST_ROWS:
        return ""
    numeric = train.dtype.kind == "f"
    known, known_other = (
        values[~np.isnan(values)] if numeric else values[values != MISSING_CODE]
        for values in (train, other)
    )
    missing, missing_other = 1 - len(known) / len(train), 1 - len(known_other) / len(other)
    large = LARGE_SHARE + 2 / len(other) ** 0.5
    if abs(missing - missing_other) > large:
        return f"is missing in {missing_other:.0%} of the rows (training: {missing:.0%})"
    if min(len(known), len(known_other)) < FEWEST_ROWS:
        return ""
    unseen = np.mean(other == UNSEEN_CODE) if has_vocabulary else 0.0
    if unseen > ALL_UNSEEN or unseen - np.mean(held_out == UNSEEN_CODE) > large:
        return f"has values that no training row has in {unseen:.0%} of the rows"
    if is_constant(known_other, known):
        return "has one value (training: several)"
    if is_constant(known, known_other):
        return "has several values (training: one)"
    return scale(known, known_other) if numeric else ""


def outside(dates: Array, column: Numeric) -> str:
    """Return how many of the days since 1970-01-01 lie outside of those of training, "" if hardly any do."""
    share = np.mean(column.outside(dates))
    if share <= FEW_OUTSIDE + 3 / len(dates):
        return ""
    return f"is outside of the dates of training, {column.dates}, in {share:.0%} of the rows"


def is_constant(values: Array, others: Array) -> bool:
    """Return whether all values are one, and not by chance, as they are not among the others."""
    first = values[0]
    return bool((values == first).all() and np.mean(others == first) ** len(values) < CHANCE)


def scale(train: Array, other: Array) -> str:
    """Return how the numbers of another split differ in size from those of the training rows, "" if they do not."""
    sizes = [np.abs(values[values != 0]) for values in (train, other)]
    enough = min(map(len, sizes)) >= FEWEST_ROWS
    factor = np.median(sizes[1]) / np.median(sizes[0]) if enough else 1.0
    points = np.quantile(train, np.linspace(0, 1, BINS))
    below = [np.searchsorted(np.sort(each), points, "right") / len(each) for each in (train, other)]
    resized = max(factor, 1 / factor) >= LARGE_FACTOR
    if not resized and np.abs(below[0] - below[1]).max() < LARGE_DISTANCE:
        return ""
    times = f"; values other than 0 are about {float(f'{factor:.2g}'):,g} times as large"
    about = f"{np.median(train):,.6g}{times if resized else ''}"
    return f"has the median {np.median(other):,.6g} (training: {about})"
