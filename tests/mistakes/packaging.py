"""Mistakes in what is packed, uploaded and installed."""

from tests.mistakes.changes import Mistake, Plant

WHAT: dict[int, str] = {}

PLANTS: tuple[Plant, ...] = ()

RUNS: tuple[Mistake, ...] = ()
