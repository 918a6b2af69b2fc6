"""Answers about the table: its path, the label and the features, with defaults inferred from the data.

A `data_path` of "" is the included census sample, here as in the templates.
"""

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from . import adult
from .cells import MISSING, is_missing_marker
from .data_file import PROMPT, check_local, check_size, named_files
from .features_text import format_features, parse_features
from .findings import column_findings, column_lines, label_lines, unused_lines
from .inference import Finding, described, described_dates, odd_share_is_small
from .interview import show_while_asking
from .labels import Label, Task, described_label, likely_label, why_no_label
from .quoting import packed, parsed, quoted
from .reading import partitions
from .recorded import answers_without_table, recorded_path
from .refusal import advice, refusal, shown, spelt_as
from .table import Column, read_table
from .text import checked_text

KINDS = ("numeric", "datetime", "categorical", "hashed", "text", "ignore")
# Preparation counts and reports a few invalid cells.
MOST_NOT_NUMBERS_SHARE = 0.01


def checked_data_path(value: object) -> str:
    """Return the absolute path of a readable table, or "" for the sample."""
    answer = checked_text(value, PROMPT)
    if not answer:
        return ""
    recorded = recorded_path(answer)
    meant = recorded or meant_path(answer)
    if not recorded:  # what was valid once stays so
        check_local(meant)
        check_size(os.path.abspath(meant))
    path = checked_text(os.path.abspath(meant), PROMPT, "full path")
    if not answers_without_table(path):
        show_while_asking(read_table(path).notes)
    return path


def meant_path(answer: str) -> str:
    """Return a path as a shell would read it: without quotes and escapes, with `~` and `$HOME` expanded."""
    if os.path.exists(answer):
        return answer
    try:
        words = shlex.split(answer.replace("\\", "\\\\") if os.sep == "\\" else answer)
    except ValueError:  # one quote alone
        words = []
    return os.path.expanduser(os.path.expandvars(words[0] if len(words) == 1 else answer))


def column_names(data_path: str) -> Sequence[str]:
    """Return the names of all columns in file order."""
    return tuple(read_table(data_path).columns) if data_path else adult.HEADER


def inferred_label(data_path: str) -> str:
    """Return a column that can be predicted: never row numbers, identifiers, a date or a constant, if there is another."""
    if not data_path:
        return adult.LABEL
    columns = label_candidates(data_path)
    label = proposed_label(columns)
    show_while_asking(passed_over_lines(label, columns))
    return label


def label_candidates(data_path: str) -> Mapping[str, Column]:
    """Return all columns, the keys of folders first: of the others, the last one is the likeliest label."""
    columns, (root, files) = read_table(data_path).columns, named_files(data_path)
    keys = partitions(files[0].relative_to(root))
    return {name: columns[name] for name in sorted(columns, key=lambda name: name not in keys)}


def proposed_label(columns: Mapping[str, Column]) -> str:
    return likely_label(list(columns), lambda name: not why_no_label(columns[name]))


def passed_over_lines(label: str, columns: Mapping[str, Column]) -> list[str]:
    """Return why the last column is not the label, if it is no label and another one was proposed for it."""
    last = list(columns)[-1]
    reason = "" if label == last else why_no_label(columns[last])
    is_proposed = bool(reason) and label == proposed_label(columns)
    return [f"label    {shown(last)} is not proposed: {reason}"] if is_proposed else []


def checked_label(value: object, data_path: str) -> str:
    """Return the name of a column that can be predicted."""
    label = checked_text(value, "label")
    if answers_without_table(data_path).get("label") == label:
        return label
    names = column_names(data_path)
    if label not in names:
        raise refusal(
            "label",
            f"the table has no column {shown(label)}",
            "the name of a column, as the table spells it",
            advice(label, names, f"write {shown(names[-1])}, its last column, for example"),
        )
    found = label_of(label, data_path)
    show_while_asking(label_lines(label, found))
    return label


def label_of(label: str, data_path: str) -> Label:
    """Return what is inferred about the label; refuse a column that cannot be predicted."""
    if data_path:
        return described_label(read_table(data_path).columns[label])
    if label != adult.LABEL:
        raise refusal(
            "label",
            f"the label of the census sample cannot be {shown(label)}",
            adult.LABEL,
            "write income, or set data_path to your own table",
        )
    return Label(Task("binary", adult.POSITIVE), adult.LABEL_SQL)


def inferred_features(data_path: str, label: str) -> str:
    """Return every column but the label with its inferred kind, as one line."""
    kinds = inferred_kinds(data_path, label)
    if data_path:
        found = column_findings(read_table(data_path).columns, kinds)
        notes = read_table(data_path).notes
        show_while_asking([*notes, *column_lines(found), *unused_lines(found)])
    return format_features(kinds.items())


def inferred_kinds(data_path: str, label: str) -> dict[str, str]:
    """Return the inferred kind of every column but the label, in file order."""
    if not data_path:
        return dict(adult.KINDS)
    columns = read_table(data_path).columns.values()
    return {column.name: described(column).kind for column in columns if column.name != label}


def checked_features(value: object, data_path: str, label: str) -> str:
    """Return the complete description of the table as JSON text, for the filter `parsed`.

    Columns that are not listed keep their inferred kind. Refuses text outside the grammar, and unknown kinds and columns.
    """
    features = checked_text(value, "features")
    recorded = answers_without_table(data_path)
    if (recorded.get("label"), recorded.get("features")) == (label, features):
        return recorded["__table"]
    given = checked_kinds(parse_features(features))
    check_columns(given, column_names(data_path), label)
    inferred = inferred_kinds(data_path, label)
    kinds = given if len(given) == len(inferred) else inferred | given
    check_usable(kinds, read_table(data_path).columns if data_path else {})
    if data_path:
        check_numbers(kinds, read_table(data_path).columns)
        check_dates(kinds, read_table(data_path).columns)
    return packed(description(data_path, label, kinds))


def description(data_path: str, label: str, kinds: Mapping[str, str]) -> dict[str, Any]:
    """Return what the templates need to know of the table, whose columns have these kinds."""
    found = label_of(label, data_path)
    findings = {name: Finding(kind) for name, kind in kinds.items()}
    notes: list[str] = []
    if data_path:
        table = read_table(data_path)
        findings = column_findings(table.columns, kinds)
        notes = [
            *table.notes,
            *passed_over_lines(label, label_candidates(data_path)),
            *label_lines(label, found),
        ]
        notes += [*column_lines(findings), *unused_lines(findings)]
    options = reader_options(data_path)
    missing = [*options["missing"], *found.missing]
    missing += [cell for finding in findings.values() for cell in finding.missing]
    units = {label: found.unit} | {name: finding.unit for name, finding in findings.items()}
    return {
        "label": label,
        "task": found.task.name,
        "positive": found.task.positive,
        "label_sql": found.sql,
        **options,
        "missing": list(dict.fromkeys(missing)),
        # As a literal: the filter of projects from before units takes no dictionary.
        "units": quoted({name: unit for name, unit in units.items() if unit}),
        "day_first": [name for name, finding in findings.items() if finding.day_first],
        "columns": [
            {"name": name, "kind": finding.kind, "note": finding.note}
            for name, finding in findings.items()
        ],
        "notes": notes,
    }


def listed_features(table: str) -> str:
    """Return the columns and kinds of the result of `checked_features`, as one line."""
    columns = parsed(table)["columns"]
    return format_features((column["name"], column["kind"]) for column in columns)


def reader_options(data_path: str) -> dict[str, Any]:
    """Return separator, comment character, header and missing values."""
    if not data_path:
        return {
            "delimiter": adult.DELIMITER,
            "encoding": "utf-8",
            "decimal": ".",
            "comment": adult.COMMENT,
            "header": adult.HEADER,
            "missing": adult.MISSING,
        }
    table = read_table(data_path)
    return {
        "delimiter": table.delimiter,
        "encoding": table.encoding,
        "decimal": table.decimal,
        "comment": table.comment,
        "header": table.header,
        "missing": MISSING,
    }


def checked_kinds(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the kind of each column; refuse an unknown kind and a column named twice."""
    kinds: dict[str, str] = {}
    for name, given in pairs:
        kind = spelt_as(given, KINDS)
        if kind not in KINDS:
            raise refusal(
                "features",
                f"the kind of column {shown(name)} is {shown(kind)}",
                f"one of {', '.join(KINDS)}",
                advice(kind, KINDS, "write ignore to leave the column out"),
            )
        if name in kinds:
            problem = f"the column {shown(name)} is listed twice"
            raise refusal("features", problem, "each column once", "remove one of the two")
        kinds[name] = kind
    return kinds


def check_columns(kinds: Mapping[str, str], names: Sequence[str], label: str) -> None:
    """Refuse columns that the table lacks, and the label."""
    for name in kinds:
        if name == label:
            problem = f"the label {shown(name)} is listed"
            raise refusal(
                "features", problem, "every column but the label", "remove it from the list"
            )
        if name not in names:
            raise refusal(
                "features",
                f"the table has no column {shown(name)}",
                "the columns of the table, as it spells them",
                advice(name, names, "remove it from the list"),
            )


def check_usable(kinds: Mapping[str, str], columns: Mapping[str, Column]) -> None:
    """Refuse a table without inputs, and a column name that cannot be served."""
    if set(kinds.values()) <= {"ignore"}:
        reasons = unused_lines(column_findings(columns, kinds))
        why = "; ".join(line.removeprefix("not used ") for line in reasons)
        raise refusal(
            "features",
            f"every column is ignored ({why})",
            "at least one numeric, datetime, categorical, hashed or text column",
            "change the kind of a column that is informative about the label",
        )
    if kinds.get("self", "ignore") != "ignore":
        raise refusal(
            "features",
            "a column is named 'self', which TensorFlow cannot serve",
            "another name",
            "rename it in the file, or write self:ignore",
        )


def check_numbers(kinds: Mapping[str, str], columns: Mapping[str, Column]) -> None:
    """Refuse a numeric column whose cells are not numbers."""
    for name in [name for name, kind in kinds.items() if kind == "numeric"]:
        column = columns[name]
        invalid = {
            value: count
            for value, count in column.values.items()
            if not column.is_cast(value) and not is_missing_marker(value)
        }
        if sum(invalid.values()) > MOST_NOT_NUMBERS_SHARE * column.present and not (
            odd_share_is_small(column)
        ):
            raise refusal(
                "features",
                f"{shown(name)} is numeric, but contains {shown(next(iter(invalid)))}",
                "numbers",
                f"write {format_features([(name, 'categorical')])}, or clean the column",
            )


def check_dates(kinds: Mapping[str, str], columns: Mapping[str, Column]) -> None:
    """Refuse a datetime column whose cells are not dates."""
    for name in [name for name, kind in kinds.items() if kind == "datetime"]:
        if not described_dates(columns[name]):
            raise refusal(
                "features",
                f"{shown(name)} is datetime, but contains {shown(next(iter(columns[name].values), ''))}",
                "dates, such as 2024-01-31, 31.01.2024 12:30 or 31 Jan 2024",
                f"write {format_features([(name, 'categorical')])}, or clean the column",
            )
