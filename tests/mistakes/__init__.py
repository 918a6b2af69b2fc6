"""The catalogue of mistakes, a file for each place where users make them.

`WHAT` gives each number its title. `PLANTS` are the mistakes in a file of the project that `nox -s check` reports, with variants;
`RUNS` those that need data or a run.
"""

from tests.mistakes import code, data, job, local_runs, packaging, predictions, training
from tests.mistakes.changes import Mistake, Plant

FILES = (code, job, packaging, data, local_runs, training, predictions)

WHAT: dict[int, str] = {number: what for file in FILES for number, what in file.WHAT.items()}
PLANTS: tuple[Plant, ...] = tuple(plant for file in FILES for plant in file.PLANTS)
RUNS: tuple[Mistake, ...] = tuple(mistake for file in FILES for mistake in file.RUNS)
