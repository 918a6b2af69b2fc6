"""What is said about the columns of a table: at the prompts, after baking and, as comments, in `features.py`."""

import dataclasses
from collections.abc import Mapping

from .features_text import format_name
from .inference import Finding, counted_cells, described, described_dates, described_numbers
from .labels import Label
from .table import Column

MOST_LINES = 20


def column_findings(columns: Mapping[str, Column], kinds: Mapping[str, str]) -> dict[str, Finding]:
    """Return what is to be known about each column that has the given kind."""
    found = {
        name: finding_of(columns[name], kind) for name, kind in kinds.items() if name in columns
    }
    return {
        name: unambiguous(columns[name], finding, found, columns) for name, finding in found.items()
    }


def finding_of(column: Column, kind: str) -> Finding:
    if kind == "numeric":
        return described_numbers(column)
    if kind == "datetime":
        return described_dates(column) or Finding(kind)
    inferred = described(column)
    if inferred.kind == kind:
        return inferred
    return Finding(kind, "chosen by the answer" if kind == "ignore" else "")


def unambiguous(
    column: Column, finding: Finding, found: Mapping[str, Finding], columns: Mapping[str, Column]
) -> Finding:
    """Return a finding without the numbers to take as missing that are numbers in another column: MISSING holds for all."""
    others = [name for name in found if found[name].kind == "numeric" and name != column.name]
    kept = [
        cell
        for cell in finding.missing
        if not any(
            cell in columns[name].numbers and cell not in found[name].missing for name in others
        )
    ]
    if len(kept) == len(finding.missing):
        return finding
    left = {cell: column.values[cell] for cell in finding.missing if cell not in kept}
    what = "a number in other columns; make it empty in the file if it means missing"
    note = counted_cells(column, left, what)
    return dataclasses.replace(finding, note=note, missing=tuple(kept))


def label_lines(name: str, label: Label) -> list[str]:
    return [f"label    {format_name(name)}: {note}" for note in label.notes]


def column_lines(found: Mapping[str, Finding]) -> list[str]:
    """Return a line for each column that is used, but not as it stands."""
    lines = [
        f"column   {format_name(name)}: {finding.kind}; {finding.note}"
        for name, finding in found.items()
        if finding.note and finding.kind != "ignore"
    ]
    more = len(lines) - MOST_LINES
    return [
        *lines[:MOST_LINES],
        *([f"column   {more} more like these: see trainer/features.py"] if more > 0 else []),
    ]


def unused_lines(found: Mapping[str, Finding]) -> list[str]:
    """Return a line for each reason why columns are not used, with their names."""
    by_reason: dict[str, list[str]] = {}
    for name, finding in found.items():
        if finding.kind == "ignore":
            by_reason.setdefault(finding.note, []).append(format_name(name))
    return [f"not used {', '.join(names)}: {reason}" for reason, names in by_reason.items()]
