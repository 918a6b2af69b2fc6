"""The instances of a request as columns of text, and one line for each that cannot be predicted."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from trainer.data import cells
from trainer.data.schema import Schema
from trainer.run.errors import UserError, nearest, shown
from trainer.serving import checked_cell

LARGEST_EXACT = 2**53  # the services pass numbers on as doubles
MOST_SHOWN = 5
MOST_IGNORED = 100
FORM = '{"instances": [{"COLUMN": VALUE, …}, …]}'

Texts = dict[str, list[str]]
"""The cells of some rows by column of the model; "" where missing."""


class InvalidInstances(UserError):
    """Instances that cannot be predicted: the first line is shown, the numbers, from 1, are of all."""

    def __init__(self, numbers: Sequence[int], what: str, expected: str, fix: str) -> None:
        super().__init__(what, expected, fix)
        self.numbers = numbers


@dataclass(frozen=True)
class Instances:
    """How instances are read: objects of raw cells, in which a column that is absent, null or "" is missing."""

    schema: Schema
    columns: Sequence[str]
    """Those of the model."""
    ignored: set[str] = field(default_factory=set)
    """Columns of instances that were not needed, as they are shown; the first MOST_IGNORED."""

    def texts(self, body: bytes) -> Texts:
        """Return the columns of a request's instances; raise `UserError` for what is no request."""
        try:
            request = json.loads(body, parse_constant=no_constant)
        except (ValueError, RecursionError) as error:
            raise UserError(f"the body is not JSON ({error})", FORM, "correct it") from error
        instances = request.get("instances") if isinstance(request, dict) else None
        if not isinstance(instances, list) or not instances:
            raise UserError("the body has no instances", FORM, "send at least one")
        rows = [self.row(each, number) for number, each in enumerate(instances, 1)]
        return dict(zip(self.columns, map(list, zip(*rows, strict=True)), strict=True))

    def row(self, instance: Any, number: int) -> list[str]:
        if not isinstance(instance, dict):
            what = f"instance {number} is {shown(instance)}"
            raise InvalidInstances([number], what, "an object of columns", "name the columns")
        if unknown := instance.keys() - self.columns:
            self.check_unknown(instance, unknown, number)
        if not instance:
            what = f"instance {number} has no column"
            raise InvalidInstances([number], what, "at least one", "send its columns")
        values = map(instance.get, self.columns)
        return [
            value if type(value) is str and value.isascii() else self.text(value, name, number)
            for name, value in zip(self.columns, values, strict=True)
        ]

    def check_unknown(self, instance: Mapping[str, Any], names: set[str], number: int) -> None:
        """Refuse columns that may be misspelt: the instance lacks one of the model, and features.py does not list them."""
        lacking = [name for name in self.columns if name not in instance]
        unlisted = sorted(names - {*self.schema.columns, self.schema.label})
        if unlisted and lacking:
            listed = ", ".join(
                f"{shown(name)}: {nearest(name, lacking, 'unknown')}"
                for name in unlisted[:MOST_SHOWN]
            )
            raise InvalidInstances(
                [number],
                f"instance {number} lacks {', '.join(map(shown, lacking[:MOST_SHOWN]))} and has {listed}",
                "columns of the model; others only beside all of these",
                "correct the names, or send null for what is missing",
            )
        # Clients may send ever new names.
        self.ignored.update(islice(map(shown, names), MOST_IGNORED - len(self.ignored)))

    def text(self, value: Any, name: str, number: int) -> str:
        is_exact = type(value) is not int or abs(value) <= LARGEST_EXACT
        try:
            if is_exact:
                return cells.text(value, self.schema.decimal)
            expected, fix = "an integer of at most 2^53", "send it as text"
        except ValueError as error:
            expected, fix = str(error), "correct it"
        where = f"instance {number}, column {shown(name)} is {shown(value)}"
        raise InvalidInstances([number], where, expected, fix)

    def invalid(self, texts: Texts) -> InvalidInstances | None:
        """Return the error for cells that the model refuses, None if there are none."""
        found: dict[int, tuple[str, str]] = {}
        for name, column in texts.items():
            for number, text in enumerate(column, 1):
                try:
                    checked_cell(text, name, self.schema)
                except ValueError as error:
                    what = f"instance {number}, column {shown(name)} is {shown(text)}"
                    found.setdefault(number, (what, str(error)))
        numbers = sorted(found)
        return InvalidInstances(numbers, *found[numbers[0]], "correct it") if numbers else None


def no_constant(name: str) -> None:
    """Refuse what Python reads beyond JSON."""
    raise ValueError(f"{name} is no value of JSON; a missing number is null")
