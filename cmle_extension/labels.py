"""Infers the label, its task and what is wrong with its classes, from a sample of the table. Pure functions."""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .cells import is_integer, is_missing_marker, looks_numeric
from .inference import Finding, described, described_numbers, is_numeric, near_unique, why_unused
from .refusal import refusal, shown
from .table import Column, spread

WELL_KNOWN_LABELS = (
    "label",
    "target",
    "class",
    "outcome",
    "y",
    "species",
    "survived",
    "churn",
)
MOST_CLASSES = 1000
MOST_READ = 5000  # numbers of a label; each is read slowly if it is not plain
MOST_INTEGER_CLASSES = 20
LARGEST_INTEGER_CLASS = 999  # a year or an amount is larger
MOST_RARE = 8  # if more integers are, and most of them, they count something
LARGEST_PLAIN = 1e15  # a larger number is shown with an exponent
ROWS_PER_INTEGER_CLASS = 2
MOST_NAMED = 8  # in a message
FEWEST_ROWS_OF_CLASS = 10  # at a tenth of the rows for evaluation, one of them

POSITIVE_WORDS = ("yes", "y", "true", "t", "positive", "pos", "ja", "oui", "si", "s\u00ed", "sim")
NEGATIVE_WORDS = (
    *("no", "n", "false", "f", "negative", "neg", "nein", "nee", "non", "n\u00e3o"),
    *("0", "0.0", "-1", "-1.0"),
)


@dataclass(frozen=True)
class Task:
    """The task: `name` is binary, multiclass or regression; `positive` is the positive class of a binary task."""

    name: str
    positive: str = ""


@dataclass(frozen=True)
class Label:
    """What is inferred about a label: its task, the SQL that folds variants of a class, cells to take as missing."""

    task: Task
    sql: str = ""
    missing: tuple[str, ...] = ()
    unit: str = ""
    notes: tuple[str, ...] = ()


def likely_label(names: Sequence[str], usable: Callable[[str], bool] = bool) -> str:
    """Return the first usable column with a common label name, else the last usable one."""
    by_lower_case = {name.lower(): name for name in reversed(names)}
    if "x" in by_lower_case:
        by_lower_case.pop("y", None)  # a coordinate
    known = [by_lower_case[name] for name in WELL_KNOWN_LABELS if name in by_lower_case]
    if names[-1] in known:
        known = [names[-1]]
    return next(filter(usable, [*known, *reversed(names)]), names[-1])


def why_no_label(column: Column) -> str:
    """Return why a column is not proposed as the label, "" if it may be."""
    found = described(column)
    if found.kind == "datetime":
        return "a date"
    if found.kind == "text":
        return "free text"
    if reason := why_unused(column):
        return reason
    if 2 * column.present < len(column.cells):
        return "no value in most rows"
    if not is_numeric(column) and near_unique(column):
        return found.note or "another value in nearly every row"
    if not is_numeric(column) and hardly_repeats(column):
        return f"{len(column.values)} values in {column.present:,} rows"
    return "one value" if len(column.values) < 2 else ""


def hardly_repeats(column: Column) -> bool:
    """Return whether a column has many values, and on average too few rows of each."""
    distinct = len(column.values)
    return distinct > MOST_INTEGER_CLASSES and distinct * FEWEST_ROWS_OF_CLASS > column.present


def described_label(column: Column) -> Label:
    """Return the task of a label, and how its cells are read; refuse a label that cannot be predicted."""
    numeric = is_numeric(column)
    cells = described_numbers(column) if numeric else Finding("")
    values = column.numbers if numeric else column.values
    classes, sql = folded_classes(values)
    if sql and numeric and not has_integer_classes(classes):
        classes, sql = values, ""
    task = task_of(column, classes)
    doubt = "is it what is to be predicted? If not, name another column"
    notes = [described_task(column, classes, task, cells.missing), cells.note]
    notes += [f"{reason}: {doubt}" for reason in [why_no_label(column)] if reason]
    if sql:
        notes.append(folding_note(values, classes, sql))
    if task.name != "regression":
        notes += class_notes(classes, task, len(column.cells))
    return Label(task, sql, cells.missing, cells.unit, tuple(filter(None, notes)))


def task_of(label: Column, folded: Counter[str] | None = None) -> Task:
    """Return the task for a label with these `folded` classes, if they are; refuse a label that cannot be predicted."""
    numeric = is_numeric(label)
    values = folded or (label.numbers if numeric else label.values)
    distinct = len(values)
    if label.reason:
        what = f"the column {shown(label.name)} cannot be predicted: {label.reason}"
        raise refusal("label", what, "text or numbers", "name another column")
    if distinct < 2:
        raise refusal(
            "label",
            f"the column {shown(label.name)} has {distinct} different value"
            f"{'' if distinct else 's'} in the {len(label.cells)} rows read",
            "at least two",
            "name another column, or shuffle the rows if they are sorted by it",
        )
    if distinct == 2:
        return Task("binary", positive_class(values))
    if numeric:
        return Task("multiclass" if has_integer_classes(values) else "regression")
    if distinct > MOST_CLASSES or near_unique(label):
        raise too_many_classes(label)
    return Task("multiclass")


def has_integer_classes(values: Mapping[str, int]) -> bool:
    """Return whether numbers look like class codes: few small integers that repeat, and no counts of rare events."""
    rows, rare = sum(values.values()), sum(map(is_rare, values.values()))
    return (
        len(values) <= MOST_INTEGER_CLASSES
        and not (rare > MOST_RARE and 2 * rare > len(values) <= rows / FEWEST_ROWS_OF_CLASS)
        and len(values) * ROWS_PER_INTEGER_CLASS <= rows
        and all(
            is_integer(value) and abs(float(value)) <= LARGEST_INTEGER_CLASS for value in values
        )
    )


def is_rare(rows: int) -> bool:
    return rows < FEWEST_ROWS_OF_CLASS


def too_many_classes(label: Column) -> Exception:
    text = next(value for value in label.values if not looks_numeric(value))
    return refusal(
        "label",
        f"the column {shown(label.name)} has {len(label.values)} different values in"
        f" {label.present} rows, not all of them numbers, such as {shown(text)}",
        f"at most {MOST_CLASSES} classes that repeat, or numbers only",
        "name another column, or clean this one",
    )


# Variants of a class: what folds them in Python, and in BigQuery's SQL.
FOLDS: tuple[tuple[Callable[[str], str], str], ...] = (
    (str.lower, "LOWER({})"),
    (
        lambda text: re.sub(r"(\S)[\s_-]+", r"\1 ", text),
        "REGEXP_REPLACE({}, r'(\\S)[\\s_-]+', r'\\1 ')",
    ),
    (lambda text: text.rstrip(".!"), "RTRIM({}, '.!')"),
    (
        lambda text: re.sub(r"^(-?[0-9]+)\.0*$", r"\1", text),
        "REGEXP_REPLACE({}, r'^(-?[0-9]+)\\.0*$', r'\\1')",
    ),
)


def folded_classes(values: Mapping[str, int]) -> tuple[Counter[str], str]:
    """Return the number of rows of each class when its variants are folded, and the SQL over `label` that does so.

    Variants differ in case, blanks, a final dot or `.0`, or are several words for yes and no. Where two classes
    remain beside a missing marker, that is no class. The SQL is "" if nothing is folded.
    """
    classes, sql = Counter(values), "label"
    for fold, template in FOLDS:
        merged = regrouped(classes, fold)
        if len(merged) < len(classes):
            classes, sql = merged, template.format(sql)
    rest = Counter({each: count for each, count in classes.items() if not is_missing_marker(each)})
    few = len(rest) == 2 < len(classes) or are_yes_and_no(rest)
    if few and is_beside(classes - rest, rest):
        for marker in classes - rest:
            sql = f"NULLIF({sql}, {literal(marker)})"
        classes = rest
    if len(classes) > 2 and are_yes_and_no(classes):
        yes = [each for each in classes if is_positive(each) or each == "1"]
        listed = ", ".join(map(literal, yes))
        others = ", ".join(literal(each) for each in classes if each not in yes)
        sql = f"CASE WHEN {sql} IN ({listed}) THEN 'yes' WHEN {sql} IN ({others}) THEN 'no' END"
        classes = regrouped(classes, lambda each: "yes" if each in yes else "no")
    return classes, "" if sql == "label" else sql


def is_beside(markers: Iterable[str], classes: Iterable[str]) -> bool:
    """Return whether markers of missing values beside two classes can be no third one, as `none` may be."""
    names = any(each.isalpha() and each.lower() not in ("na", "nan", "null") for each in markers)
    return are_yes_and_no(classes) or not (names or "+" in classes)


def regrouped(classes: Mapping[str, int], fold: Callable[[str], str]) -> Counter[str]:
    merged: Counter[str] = Counter()
    for value, count in classes.items():
        merged[fold(value)] += count
    return merged


def are_yes_and_no(classes: Iterable[str]) -> bool:
    """Return whether all classes are words for yes or for no, and both occur."""
    yes = {is_positive(each) or each == "1" for each in classes if is_yes_or_no(each)}
    return yes == {True, False} and all(map(is_yes_or_no, classes))


def is_yes_or_no(value: str) -> bool:
    return value.lower() in (*POSITIVE_WORDS, *NEGATIVE_WORDS, "1")


def literal(text: str) -> str:
    """Return text as a literal of BigQuery's SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def folding_note(values: Mapping[str, int], classes: Mapping[str, int], sql: str) -> str:
    """Return the line on variants of classes that LABEL_SQL folds, those that it changes first."""
    named = listed_texts(sorted(values, key=lambda value: value in classes))
    folded = listed_texts(sorted(classes, key=lambda each: each in values))
    return (
        f"{named} are read as {folded}, by LABEL_SQL = {json.dumps(sql, ensure_ascii=False)};"
        ' write LABEL_SQL = "" and another TASK in trainer/features.py to keep them apart'
    )


def listed_texts(values: Iterable[str]) -> str:
    """Return the first texts for a message."""
    texts = list(values)
    more = f" and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
    return ", ".join(map(shown, texts[:MOST_NAMED])) + more


def class_notes(classes: Mapping[str, int], task: Task, rows: int) -> Iterator[str]:
    """Yield a line for each missing marker among the classes, and one for classes with few rows."""
    for marker in filter(is_missing_marker, classes if len(classes) > 2 else ()):
        fold = json.dumps(f"NULLIF(label, {literal(marker)})", ensure_ascii=False)
        yield (
            f"{shown(marker)} ({classes[marker]:,} of {rows:,} rows) counts as a class;"
            f" if it means that the label is missing, write LABEL_SQL = {fold} in trainer/features.py"
        )
    rare = {each: count for each, count in classes.items() if is_rare(count)}
    if rare and rows >= 2 * FEWEST_ROWS_OF_CLASS:
        yield rare_note(rare, classes, task)


def described_task(
    column: Column, classes: Mapping[str, int], task: Task, missing: Collection[str]
) -> str:
    """Return the task, with the edit that changes it where another one is as likely."""
    if task.name == "binary":
        other = next(each for each in classes if each != task.positive)
        return f"binary, the probability of {shown(task.positive)} (and not {shown(other)})"
    if task.name == "multiclass":
        edit = '; to predict a number, write TASK = "regression" in trainer/features.py'
        return f"multiclass, {len(classes)} classes{edit if is_numeric(column) else ''}"
    known = [value for value in column.numbers if value not in missing]
    numbers = [column.number(value) for value in spread(known, MOST_READ)]
    distinct = len(column.numbers)
    repeated = distinct * ROWS_PER_INTEGER_CLASS <= column.present and distinct <= MOST_CLASSES
    are_codes = distinct <= MOST_INTEGER_CLASSES or all(map(is_integer, column.numbers))
    edit = '; to predict classes, write TASK = "multiclass" in trainer/features.py'
    edit = edit if repeated and are_codes else ""
    return f"regression, numbers from {plain(min(numbers))} to {plain(max(numbers))}{edit}"


def plain(number: float) -> str:
    return f"{number:,.0f}" if 1e6 <= abs(number) < LARGEST_PLAIN else f"{number:,.6g}"


def rare_note(rare: Mapping[str, int], classes: Mapping[str, int], task: Task) -> str:
    """Return the line on classes that have too few rows to be learnt and evaluated."""
    named = ", ".join(f"{shown(each)}: {count}" for each, count in [*rare.items()][:MOST_NAMED])
    more = f" and {len(rare) - MOST_NAMED} more" if len(rare) > MOST_NAMED else ""
    note = (
        f"{len(rare)} of {len(classes)} classes {'has' if len(rare) == 1 else 'have'} fewer than {FEWEST_ROWS_OF_CLASS} of the rows read"
        f" ({named}{more}), too few to learn and to evaluate"
    )
    if task.name == "binary" or len(rare) in (1, len(classes)):
        return f"{note}; collect more rows, or set a larger eval_share in job.toml"
    common = [each for each in classes if each not in rare]
    if min(len(rare), len(common)) > MOST_NAMED:
        return f"{note}; make one class of them by LABEL_SQL in trainer/features.py"
    few, are_in = (rare, "IN") if len(rare) <= MOST_NAMED else (common, "NOT IN")
    sql = f"IF(label {are_in} ({', '.join(map(literal, few))}), 'other', label)"
    fold = json.dumps(sql, ensure_ascii=False)
    return f"{note}; LABEL_SQL = {fold} in trainer/features.py makes one class of them"


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
