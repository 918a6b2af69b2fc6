"""Compare the trainer with widely used alternatives: `python -m benchmarks [--quick] [TARGET ...]`."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy import PROGRAMS, QUICK_PROGRAMS
from benchmarks.catalogue import TARGETS
from benchmarks.measure import BenchmarkFailed
from benchmarks.report import keep, lines
from benchmarks.targets import Row
from benchmarks.workbench import Workbench

ROUNDS = 5


def main(arguments: Sequence[str]) -> int:
    """Run the named targets, all by default; return 1 if one is missed."""
    parser = argparse.ArgumentParser(prog="nox -s bench --", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument(
        "--quick", action="store_true", help="small tables, one round, results not saved"
    )
    parser.add_argument("--rounds", type=int, help="number of runs of each program")
    parser.add_argument(
        "--programs",
        nargs="+",
        choices=PROGRAMS,
        help=f"of accuracy and closing: qualities of ours, and groups of peers; with --quick {' '.join(QUICK_PROGRAMS)} by default",
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=Path(".bench"),
        help="folder for environments, tables and outputs",
    )
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.targets) - set(TARGETS))
    if unknown:
        parser.error(f"unknown target {', '.join(unknown)}; expected one of {', '.join(TARGETS)}")
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    programs = options.programs or (QUICK_PROGRAMS if options.quick else PROGRAMS)
    bench = Workbench(options.work.resolve(), options.quick, rounds, tuple(programs))
    rows: list[Row] = []
    for name in options.targets or TARGETS:
        started = time.monotonic()
        print(f"{name}: {(TARGETS[name].__doc__ or '').splitlines()[0]}", flush=True)
        try:
            found = TARGETS[name](bench)
        except BenchmarkFailed as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        print(f"  took {time.monotonic() - started:.0f} s", flush=True)
        rows += found
        if found and not options.quick:
            keep(name, found, bench.rounds, bench.versions())
    print("\n".join(lines(rows)))
    return 0 if options.quick or all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
