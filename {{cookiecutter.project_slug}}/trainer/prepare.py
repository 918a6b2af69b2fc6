"""From a raw table to encoded shards: `python -m trainer.prepare --train FILE --output DIR`.

Cleans and casts every row, splits by a hash of the row, learns vocabularies and statistics from the training rows
alone, and writes integer codes and floats as Parquet. Rows that cannot be used are counted and kept in `rejects.csv`.
"""

import argparse
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from trainer import features
from trainer.data import files
from trainer.data.schema import Schema, read_schema
from trainer.data.statistics import Statistics, write_statistics
from trainer.preprocessing import pipeline
from trainer.preprocessing.analyze import analyze, label_statistics
from trainer.preprocessing.pipeline import Request, rejects_beside
from trainer.preprocessing.raw_table import Table, open_table
from trainer.run.console import Console, shown_path
from trainer.run.errors import UserError, exit_code
from trainer.run.locks import held
from trainer.run.outputs import read_json

FORMAT_VERSION = 2


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer.prepare", description=__doc__)
    add = parser.add_argument
    add("--train", type=Path, required=True, help="CSV, gzipped CSV or Parquet file")
    add("--test", type=Path, help="a test file of your own, evaluated once, after training")
    add("--output", type=Path, required=True, help="folder for shards and statistics")
    add("--eval-share", type=float, default=0.1, help="fraction of --train that is held out")
    rejected = "fail if a larger fraction of the rows cannot be used"
    add("--max-rejected-share", type=float, default=0.01, help=rejected)
    add("--deduplicate", action="store_true", help="keep one of each set of equal rows")
    add("--memory-mb", type=int, default=2048, help="memory in MB before SQL spills to disk")
    add("--reuse", action="store_true", help="do nothing if the output is current")
    add("-q", "--quiet", action="store_true", help="only warnings and errors")
    add("-v", "--verbose", action="store_true", help="also show the SQL")
    return parser


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    console = Console(quiet=options.quiet, verbose=options.verbose)
    request = Request(
        train=options.train.resolve(),
        test=options.test.resolve() if options.test else None,
        output=options.output.resolve(),
        eval_share=options.eval_share,
        max_rejected_share=options.max_rejected_share,
        deduplicate=options.deduplicate,
        memory_mb=options.memory_mb,
    )
    check_request(request)
    schema = read_schema(features)
    tables = [open_table(path, schema) for path in (request.train, request.test) if path]
    fingerprint = fingerprint_of(request, schema, tables)
    shown = shown_path(request.output)
    waiting = f"data     waiting for another preparation of {shown}"
    # Beside the output, which is replaced while the lock is held.
    lock = request.output.with_name(f".{request.output.name}.lock")
    with held(lock, lambda: console.line(waiting)):
        earlier = read_json(request.output / files.STATISTICS) or {}
        if options.reuse and earlier.get("fingerprint") == fingerprint:
            console.line(f"data     {shown} is current")
        else:
            prepare(request, schema, tables, fingerprint, console)
    return 0


def check_request(request: Request) -> None:
    for flag, share in (
        ("--eval-share", request.eval_share),
        ("--max-rejected-share", request.max_rejected_share),
    ):
        if not 0 <= share < 1:
            raise UserError(
                f"{flag} is {share}", "a number >= 0 and < 1", f"write {flag} 0.1, for example"
            )
    output = request.output
    if output.exists() and not output.is_dir():
        raise UserError(
            f"{output} is a file", "a folder for prepared data", "name another --output"
        )
    if output.is_dir() and any(output.iterdir()) and not (output / files.STATISTICS).is_file():
        raise UserError(
            f"{output} holds other files",
            "an empty folder, or one that an earlier run has prepared",
            "name another --output; nothing was changed",
        )


def fingerprint_of(request: Request, schema: Schema, tables: Sequence[Table]) -> str:
    """Return a digest of everything that determines the prepared data: files, columns and options."""
    facts = [
        FORMAT_VERSION,
        repr(schema),
        request.eval_share,
        request.deduplicate,
        [
            (str(table.path), table.path.stat().st_size, table.path.stat().st_mtime_ns)
            for table in tables
        ],
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def prepare(
    request: Request, schema: Schema, tables: Sequence[Table], fingerprint: str, console: Console
) -> None:
    """Write the prepared data to a folder beside `request.output`, and replace that only when it is complete."""
    started = time.monotonic()
    partial = request.output.with_name(request.output.name + ".partial")
    if partial.exists():  # left by a process that was killed
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    connection = pipeline.database(partial / "spill", request.memory_mb)
    try:
        rejected = pipeline.read_tables(connection, request, schema, tables, partial, console)
        label = label_statistics(connection, schema)
        pipeline.drop_unknown_labels(connection, label, console)
        pipeline.count_cells(connection, schema, console)
        statistics = analyze(connection, schema, label, rejected, fingerprint)
        pipeline.write_examples(connection, schema, partial / files.EXAMPLES)
        pipeline.create_codes(connection, schema, statistics)
        pipeline.encode_first(connection, schema)
        for split in statistics.rows:
            pipeline.write_shards(connection, schema, split, partial / split)
        write_statistics(statistics, partial / files.STATISTICS)
    except BaseException:
        connection.close()
        rejects = partial / files.REJECTS
        if rejects.is_file():  # so that the user can look at them
            shutil.copy(rejects, rejects_beside(request.output))
        shutil.rmtree(partial)
        raise
    connection.close()
    shutil.rmtree(partial / "spill", ignore_errors=True)
    replace(partial, request.output)
    report(statistics, request.output, time.monotonic() - started, console)


def replace(partial: Path, output: Path) -> None:
    rejects_beside(output).unlink(missing_ok=True)
    old = output.with_name(output.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if output.exists():
        output.rename(old)
    partial.rename(output)
    shutil.rmtree(old, ignore_errors=True)


def report(statistics: Statistics, output: Path, seconds: float, console: Console) -> None:
    rows = sum(statistics.rows.values())
    splits = ", ".join(f"{count:,} {split}" for split, count in statistics.rows.items())
    console.line(f"data     {splits} rows in {seconds:.1f} s ({rows / seconds:,.0f} rows/s)")
    console.line(f"data     written to {shown_path(output)}")


if __name__ == "__main__":
    sys.exit(exit_code(main, sys.argv[1:]))
