"""The two ends of a batch job: rows of a table as instances with keys, and its results joined to the rows by key.

`python -m trainer.batch --input FILE --instances FILE` and `… --input FILE --results FOLDER --output FILE`.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from trainer.data.raw_rows import Batch
from trainer.predict import Predictor, check_output, write_rows
from trainer.run.console import Console
from trainer.run.errors import UserError, exit_code

KEY = "key"
RESULTS = "prediction.results*"


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer.batch", description=__doc__)
    add = parser.add_argument
    add("--input", type=Path, required=True, help="rows, as predict reads them")
    end = parser.add_mutually_exclusive_group(required=True).add_argument
    end("--instances", type=Path, help="where to write instances")
    end("--results", type=Path, help="folder with the results of a batch job")
    add("--output", type=Path, help="where to write predictions: .jsonl, .csv or .parquet")
    add("--keep", action="append", default=[], metavar="COLUMNS", help="to copy, by commas")
    add("--max-failed-share", type=float, default=0.0, help="of the rows; 0 by default")
    return parser


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    # Both steps check all, because the job that is paid for lies between them.
    check_output(options.output, options.input)
    if not 0 <= (share := options.max_failed_share) <= 1:
        raise UserError(f"--max-failed-share is {share}", "a share from 0 to 1", "correct it")
    keep = [*chain(*csv.reader(options.keep, skipinitialspace=True))]
    given = (keep, options.output.suffix != ".jsonl", Console())
    if options.instances:
        write_rows(Keyed(*given).predicted(options.input), options.instances)
        return 0
    joined = Joined(results_in(options.results), *given)
    # One table, because all predictions of some rows may be missing; complete before anything is written.
    table = pa.concat_tables(joined.predicted(options.input), promote_options="default")
    joined.check_failures(options.max_failed_share)
    write_rows(iter([table]), options.output)
    joined.report()
    return 0


class Keyed(Predictor):
    """Rows as instances of text, each with its number, from 0, as its key."""

    workers = 1
    first = 0

    def predicted(self, path: Path) -> Iterator[pa.Table]:
        for batch in self.reading.batches(path):
            self.first = self.rows
            self.check(batch)
            yield self.table(batch)

    def table(self, batch: Batch) -> pa.Table:
        columns: dict[str, Any] = {KEY: list(range(self.first, self.rows))}
        for name in self.parameters:
            rows, texts = batch.texts(name)
            columns[name] = pa.array(texts, pa.string()).take(pa.array(rows))
        return pa.table(columns)


class Joined(Keyed):
    """The predictions of the rows, null where the job has none."""

    def __init__(self, results: dict[int, dict[str, Any]], *given: Any) -> None:
        super().__init__(*given)
        self.results = results
        self.names = sorted(next(iter(results.values()))) if results else []
        self.failed = 0

    def table(self, batch: Batch) -> pa.Table:
        found = [self.results.get(key, {}) for key in range(self.first, self.rows)]
        self.failed += sum(not each for each in found)
        outputs = {name: pa.array([each.get(name) for each in found]) for name in self.names}
        return pa.table(self.kept(batch) | outputs)

    def check_failures(self, allowed: float) -> None:
        """Raise `UserError` if more than the allowed share of the rows has no prediction; warn of the others."""
        what = f"{self.failed:,} of {self.rows:,} rows have no prediction"
        if self.failed > allowed * self.rows:
            fix = "see prediction.errors_stats in the job's output, or allow more with --max-failed-share"
            raise UserError(what, f"at most {allowed:.2%}", fix)
        if self.failed:
            self.console.warning(what)


def results_in(folder: Path) -> dict[int, dict[str, Any]]:
    """Return the predictions of a batch job by key; their order in the files means nothing."""
    found = {}
    for path in sorted(folder.rglob(RESULTS)):
        # Not splitlines: a label may hold what it takes for an end of line.
        with path.open(encoding="utf-8", newline="\n") as file:
            for result in map(json.loads, file):
                found[int(result[KEY])] = result["prediction"]
    return found


if __name__ == "__main__":
    sys.exit(exit_code(main, sys.argv[1:]))
