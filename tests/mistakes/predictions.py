"""Mistakes in the input of predictions."""

from tests.mistakes.changes import Mistake, Plant

WHAT: dict[int, str] = {}

PLANTS: tuple[Plant, ...] = ()

RUNS: tuple[Mistake, ...] = ()
