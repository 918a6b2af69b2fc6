"""Changes of a file that plant a mistake, and the two kinds of rows of the catalogue."""

import re
from dataclasses import dataclass
from typing import Literal

from tests.sessions import Change

JOB, SETUP, LAYERS = "job.toml", "setup.py", "trainer/training/layers.py"
MODEL, LOOP, FEATURES = (f"trainer/{name}.py" for name in ("model", "training/loop", "features"))

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Plant:
    """A mistake in a file of the project that `nox -s check` reports, offline."""

    name: str
    """The number in the catalogue; after a space, how a variant differs from the first."""
    file: str
    change: Change
    part: str
    """A part of the message."""
    severity: Severity = "error"


@dataclass(frozen=True)
class Mistake:
    """A mistake that needs data or a run: the session that reports it, and its arguments."""

    name: str
    session: str
    arguments: tuple[str, ...]
    file: str
    change: Change
    part: str
    severity: Severity = "error"

    @property
    def number(self) -> int:
        return int(self.name.split()[0])


def put(text: str) -> Change:
    return lambda _: text


def first(text: str) -> Change:
    """Return a change that puts a line before all others."""
    return lambda before: f"{text}\n{before}"


def last(text: str) -> Change:
    """Return a change that adds lines."""
    return lambda before: f"{before}\n{text}\n"


def key(name: str, value: str) -> Change:
    """Return a change that gives a key of job.toml, which may be commented out, another value."""
    return lambda before: re.sub(
        rf"(?m)^(?:# )?{name} = .*$", lambda _: f"{name} = {value}", before
    )


def under(section: str, lines: str) -> Change:
    """Return a change that adds lines to a section of job.toml."""
    return lambda before: before.replace(f"[{section}]\n", f"[{section}]\n{lines}\n")


def both(first: Change, second: Change) -> Change:
    return lambda before: second(first(before))


def objective(metric: str, goal: str = "maximize") -> Change:
    """Return a change that gives the study a metric and a goal."""
    return both(key("metric", f'"{metric}"'), key("goal", f'"{goal}"'))


def swap(old: str, new: str) -> Change:
    return lambda before: before.replace(old, new)


def chief(lines: str) -> Change:
    """Return a change that makes the tier CUSTOM of one chief, and takes it."""
    tier = f"[tiers.CUSTOM.chief]\n{lines}\n"
    return lambda before: key("scale_tier", '"CUSTOM"')(before.partition("[tiers.")[0] + tier)


def tier(name: str, more: Change) -> Change:
    """Return a change of the scale tier and one more."""
    return lambda before: more(key("scale_tier", f'"{name}"')(before))


PAIR = (
    '[tiers.PAIR.chief]\nmachine = "n1-standard-4"\n[tiers.PAIR.worker]\nmachine = "n1-standard-4"\n'
    "replicas = 1"
)
SHORT = ("--max-steps", "60")
TOGETHER = ("--scale-tier", "PAIR", "--epochs", "2")


def local(name: str, file: str, change: Change, part: str, severity: Severity = "error") -> Mistake:
    """Return a mistake that `nox -s local_train` reports."""
    return Mistake(name, "local_train", SHORT, file, change, part, severity)


def together(name: str, file: str, change: Change, part: str) -> Mistake:
    """Return one that `nox -s local_train` reports with a tier of two replicas."""
    return Mistake(name, "local_train", TOGETHER, file, change, part)


def stale(name: str, file: str, change: Change, part: str) -> Mistake:
    """Return one of which `nox -s check` warns where data is prepared."""
    return Mistake(name, "check", (), file, change, part, "warning")
