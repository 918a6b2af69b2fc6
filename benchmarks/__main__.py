"""Measure the trainer against what people use today: `python -m benchmarks [--quick] [TARGET ...]`."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.catalogue import TARGETS
from benchmarks.measure import BenchmarkFailed
from benchmarks.report import keep, lines
from benchmarks.targets import Row
from benchmarks.workbench import Workbench

ROUNDS = 5


def main(arguments: Sequence[str]) -> int:
    """Run the targets that are named, all by default; return 1 if one is missed."""
    parser = argparse.ArgumentParser(prog="nox -s bench --", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--quick", action="store_true", help="small tables, one round, no record")
    parser.add_argument("--rounds", type=int, help="how often each program runs")
    parser.add_argument("--work", type=Path, default=Path(".bench"), help="folder for everything")
    given = parser.parse_args(arguments)
    unknown = sorted(set(given.targets) - set(TARGETS))
    if unknown:
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    bench = Workbench(
        given.work.resolve(), given.quick, given.rounds or (1 if given.quick else ROUNDS)
    )
    rows: list[Row] = []
    for name in given.targets or TARGETS:
        started = time.monotonic()
        print(f"{name}: {(TARGETS[name].__doc__ or '').splitlines()[0]}", flush=True)
        try:
            found = TARGETS[name](bench)
        except BenchmarkFailed as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        print(f"  took {time.monotonic() - started:.0f} s", flush=True)
        rows += found
        if found and not given.quick:
            keep(name, found, bench.rounds, bench.versions())
    print("\n".join(lines(rows)))
    return 0 if given.quick or all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
