"""The study of job.toml: what hyperparameter tuning looks for, and among which values.

Source of the vocabulary: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/StudySpec
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from launcher.console import UserError, shown
from launcher.spec.catalog import google_cloud
from launcher.spec.toml_file import MOST, check_names, one_of, section, subtable

RANGES = ("double", "integer")
"""The types of parameters that have a least and a greatest value; others have a list."""

Value = str | int | float


@dataclass(frozen=True)
class Parameter:
    """A flag of the trainer and the values it may take: a range for double and integer, else a list."""

    type: str
    low: float = 0.0
    high: float = 0.0
    values: tuple[Value, ...] = ()
    scale: str = "linear"
    parent: str = ""
    """The parameter that this one depends on; "" if it is part of every trial."""
    parent_values: tuple[Value, ...] = ()
    """Those values of the parent with which this one is part of a trial."""

    def samples(self) -> tuple[Value, ...]:
        if self.type == "integer":
            return whole(self.low), whole(self.high)
        return (self.low, self.high) if self.type == "double" else self.values


@dataclass(frozen=True)
class Options:
    """The keys of a study beside its parameters; without a metric it has the trainer's, with its goal."""

    trials: int
    metric: str = ""
    goal: str = ""
    algorithm: str = "bayesian"
    parallel_trials: int = 1
    failed_trials: int = 0
    """The study stops after this many failed trials; 0: only if the first one fails."""
    measurement: str = "best"
    """Which of a trial's measurements counts. Stated, because the service's default is another than its SDK's."""
    early_stopping: str = "none"


@dataclass(frozen=True)
class Study:
    """The section [study] of job.toml."""

    options: Options
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def in_order(self) -> list[str]:
        """Return the parameters' names, each behind the one it depends on."""
        ordered: list[str] = []
        for name in self.parameters:
            ordered += [each for each in reversed(list(self.lineage(name))) if each not in ordered]
        return ordered

    def lineage(self, name: str) -> Iterator[str]:
        seen: set[str] = set()
        while name in self.parameters and name not in seen:
            seen.add(name)
            yield name
            name = self.parameters[name].parent


def whole(number: float) -> int | float:
    return int(number) if number == int(number) else number


def read_study(table: Mapping[str, Any], file: str) -> Study | None:
    """Return the study of job.toml, None if it has none; raise `UserError` if it is invalid."""
    if "study" not in table:
        return None
    values, where = dict(subtable(table, "study", file)), f"{file} [study]"
    parameters = subtable(values, "parameters", where)
    values.pop("parameters", None)
    options = section({"study": values}, "study", Options, file)
    for key, choices in google_cloud()["study"]["choices"].items():
        if key != "goal" or options.metric or options.goal:
            one_of(f"{where} {key}", getattr(options, key), choices)
    return Study(options, {name: read_parameter(parameters, name, file) for name in parameters})


def read_parameter(parameters: Mapping[str, Any], name: str, file: str) -> Parameter:
    """Return one parameter; raise `UserError` for the first thing that is wrong with how it is written."""
    where = f"{file} [study.parameters.{name}]"
    keys = subtable(parameters, name, where)
    check_names(keys, ("type", "min", "max", "values", "scale", "when"), ("type",), where, "key")
    facts = google_cloud()["study"]
    kind = one_of(f"{where} type", keys["type"], facts["types"])
    wanted = ("min", "max") if kind in RANGES else ("values",)
    expected = f"{' and '.join(wanted)} for it"
    for key in ("min", "max", "values"):
        if (key in wanted) != (key in keys):
            state, fix = ("missing", "add") if key in wanted else ("given", "remove")
            what = f"{where}: {key} is {state} for the type {kind}"
            raise UserError(what, expected, f"{fix} {key}")
    scale = one_of(f"{where} scale", keys.get("scale", "linear"), facts["scales"])
    parent, parent_values = read_condition(keys.get("when", {}), where)
    low, high = (number(keys.get(key, 0), f"{where} {key}") for key in ("min", "max"))
    values = values_of(keys.get("values", []), f"{where} values")
    return Parameter(kind, low, high, values, scale, parent, parent_values)


def read_condition(when: object, where: str) -> tuple[str, tuple[Value, ...]]:
    """Return which parameter another one depends on, and with which of its values it is there."""
    if when == {}:
        return "", ()
    if not isinstance(when, dict) or len(when) != 1 or [] in when.values():
        expected = "one parameter and a list of its values"
        fix = "write when = { ensemble = [4, 8] }, for example"
        raise UserError(f"{where} when is {shown(when)}", expected, fix)
    [(parent, values)] = when.items()
    return str(parent), values_of(values, f"{where} when")


def values_of(value: object, where: str) -> tuple[Value, ...]:
    if isinstance(value, list) and all(type(each) is str or is_number(each) for each in value):
        return tuple(value)
    raise UserError(f"{where} is {shown(value)}", "a list of texts or finite numbers", "correct it")


def number(value: Any, where: str) -> float:
    if is_number(value):
        return float(value)
    raise UserError(f"{where} is {shown(value)}", "a finite number", "correct the value")


def is_number(value: Any) -> bool:
    return abs(value) <= MOST if type(value) is int else type(value) is float and isfinite(value)


@dataclass(frozen=True)
class Outcome:
    """A trial as it stands: running, complete, stopped or failed."""

    number: int
    """From 1, as the service counts."""
    state: str
    value: float | None
    values: dict[str, Value]
    flags: tuple[str, ...]
