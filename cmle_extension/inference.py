"""Infers each column's kind, the label and the task from a sample of the table. Pure functions."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from .cells import is_integer, is_number
from .refusal import refusal, shown
from .table import Column

WELL_KNOWN_LABELS = (
    "label",
    "target",
    "class",
    "outcome",
    "y",
    "income",
    "species",
    "survived",
    "churn",
)
IDENTIFIER_NAME = re.compile(r"(?i:(?:.*[_ .-])?(?:id|index))|.*[a-z](?:Id|ID)")

NEAR_UNIQUE_SHARE = 0.9
MOST_CATEGORIES = 1000
FEW_CATEGORIES = 20  # categorical even in a table with few rows
CATEGORY_SHARE = 0.2

MOST_CLASSES = 1000
MOST_INTEGER_CLASSES = 20
LARGEST_INTEGER_CLASS = 999  # a year or an amount is larger
ROWS_PER_INTEGER_CLASS = 2

POSITIVE_WORDS = ("yes", "y", "true", "t", "positive", "pos")
NEGATIVE_WORDS = ("no", "n", "false", "f", "negative", "neg", "0", "0.0", "-1", "-1.0")


@dataclass(frozen=True)
class Task:
    """The task: `name` is binary, multiclass or regression; `positive` is the positive class of a binary task."""

    name: str
    positive: str = ""


def kind_of(column: Column) -> str:
    """Return numeric, categorical, hashed or ignore."""
    if not column.values or is_constant(column) or is_identifier(column):
        return "ignore"
    if is_numeric(column) and len(column.values) > 1 and not IDENTIFIER_NAME.fullmatch(column.name):
        return "numeric"
    return kind_of_text(column)


def is_numeric(column: Column) -> bool:
    return all(map(is_number, column.values))


def is_constant(column: Column) -> bool:
    """Return whether every cell has the same value; a column with one value and missing cells is not constant."""
    return len(column.values) == 1 and column.present == len(column.cells)


def is_identifier(column: Column) -> bool:
    """Return whether the column identifies the rows, and so does not generalise to new ones."""
    if not is_numeric(column):
        return near_unique(column)
    if len(column.values) < len(column.cells) or not all(map(is_integer, column.values)):
        return False
    return bool(IDENTIFIER_NAME.fullmatch(column.name)) or is_row_number(column)


def near_unique(column: Column) -> bool:
    """Return whether at least 90 % of the present values are distinct."""
    return len(column.values) >= NEAR_UNIQUE_SHARE * column.present


def is_row_number(column: Column) -> bool:
    """Return whether integers increase, or decrease, by one from row to row."""
    numbers = [float(cell) for cell in column.cells]
    starts = set(column.starts)
    steps = {numbers[row] - numbers[row - 1] for row in range(1, len(numbers)) if row not in starts}
    return steps in ({1.0}, {-1.0})


def kind_of_text(column: Column) -> str:
    """Return categorical for few values, hashed for many."""
    distinct = len(column.values)
    few = distinct <= max(FEW_CATEGORIES, CATEGORY_SHARE * column.present)
    return "categorical" if few and distinct <= MOST_CATEGORIES else "hashed"


def likely_label(names: Sequence[str]) -> str:
    """Return the column with a common label name, else the last one."""
    by_lower_case = {name.lower(): name for name in reversed(names)}
    if "x" in by_lower_case:
        by_lower_case.pop("y", None)  # a coordinate
    known = [by_lower_case[name] for name in WELL_KNOWN_LABELS if name in by_lower_case]
    return known[0] if known else names[-1]


def task_of(label: Column) -> Task:
    """Return the task for a label; refuse a label that cannot be predicted."""
    distinct = len(label.values)
    if distinct < 2:
        raise refusal(
            "label",
            f"the column {shown(label.name)} has {distinct} different value"
            f"{'' if distinct else 's'} in the {len(label.cells)} rows read",
            "at least two",
            "name another column, or shuffle the rows if they are sorted by it",
        )
    if distinct == 2:
        return Task("binary", positive_class(label.values))
    if is_numeric(label):
        return Task("multiclass" if has_integer_classes(label) else "regression")
    if distinct > MOST_CLASSES or near_unique(label):
        raise too_many_classes(label)
    return Task("multiclass")


def has_integer_classes(label: Column) -> bool:
    """Return whether numbers look like class codes: few small integers that repeat."""
    values = label.values
    return (
        len(values) <= MOST_INTEGER_CLASSES
        and len(values) * ROWS_PER_INTEGER_CLASS <= label.present
        and all(
            is_integer(value) and abs(float(value)) <= LARGEST_INTEGER_CLASS for value in values
        )
    )


def too_many_classes(label: Column) -> Exception:
    text = next(value for value in label.values if not is_number(value))
    return refusal(
        "label",
        f"the column {shown(label.name)} has {len(label.values)} different values in"
        f" {label.present} rows, not all of them numbers, such as {shown(text)}",
        f"at most {MOST_CLASSES} classes that repeat, or numbers only",
        "name another column, or clean this one",
    )


def positive_class(values: Counter[str]) -> str:
    """Return the positive of two classes: by name (no/yes, <50K/>50K), else the rarer one."""
    first, second = sorted(values)
    for negative, positive in ((first, second), (second, first)):
        if is_negative(negative) and not is_negative(positive):
            return positive
    for positive, negative in ((first, second), (second, first)):
        if is_positive(positive) and not is_positive(negative):
            return positive
    return first if values[first] < values[second] else second


def is_negative(value: str) -> bool:
    return value.lower() in NEGATIVE_WORDS or value.startswith("<")


def is_positive(value: str) -> bool:
    return value.lower() in POSITIVE_WORDS or value.startswith(">")
