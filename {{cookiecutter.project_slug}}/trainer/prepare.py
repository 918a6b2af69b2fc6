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
from trainer.preprocessing import analyze, pipeline
from trainer.preprocessing.pipeline import Request, rejects_beside, shown_path
from trainer.preprocessing.raw_table import Table, open_table
from trainer.run.console import Console
from trainer.run.errors import UserError, exit_code
from trainer.run.locks import held

FORMAT_VERSION = 2


def parser() -> argparse.ArgumentParser:
    """Return the command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m trainer.prepare", description=__doc__)
    parser.add_argument(
        "--train", type=Path, required=True, help="CSV, gzipped CSV or Parquet file"
    )
    parser.add_argument(
        "--test", type=Path, help="a ready test file, looked at once, after training"
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for shards and statistics"
    )
    parser.add_argument("--eval-share", type=float, default=0.1, help="rows held out from --train")
    parser.add_argument(
        "--max-rejected-share", type=float, default=0.01, help="more unusable rows than this fail"
    )
    parser.add_argument(
        "--deduplicate", action="store_true", help="keep one of each set of equal rows"
    )
    parser.add_argument(
        "--memory-mb", type=int, default=2048, help="memory for SQL before it spills to disk"
    )
    parser.add_argument("--reuse", action="store_true", help="do nothing if the output is current")
    parser.add_argument("-q", "--quiet", action="store_true", help="only warnings and errors")
    parser.add_argument("-v", "--verbose", action="store_true", help="also show the SQL")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Prepare the data; return the exit code."""
    given = parser().parse_args(arguments)
    console = Console(quiet=given.quiet, verbose=given.verbose)
    request = Request(
        train=given.train.resolve(),
        test=given.test.resolve() if given.test else None,
        output=given.output.resolve(),
        eval_share=given.eval_share,
        max_rejected_share=given.max_rejected_share,
        deduplicate=given.deduplicate,
        memory_mb=given.memory_mb,
    )
    check_request(request)
    schema = read_schema(features)
    tables = [open_table(path, schema) for path in (request.train, request.test) if path]
    fingerprint = fingerprint_of(request, schema, tables)
    current = f"data     {shown_path(request.output)} is current"
    if given.reuse and is_current(request.output, fingerprint):
        console.line(current)
        return 0
    partial = request.output.with_name(request.output.name + ".partial")
    waiting = f"data     waiting for another preparation of {shown_path(request.output)}"
    with held(partial, lambda: console.line(waiting)):
        if given.reuse and is_current(request.output, fingerprint):
            partial.rmdir()
            console.line(current)
            return 0
        clear(partial)
        prepare(request, schema, tables, fingerprint, partial, console)
    return 0


def check_request(request: Request) -> None:
    """Raise `UserError` for shares out of range or an output folder that is not ours to replace."""
    for flag, share in (
        ("--eval-share", request.eval_share),
        ("--max-rejected-share", request.max_rejected_share),
    ):
        if not 0 <= share < 1:
            raise UserError(
                f"{flag} is {share}", "a share from 0 to below 1", f"write {flag} 0.1, for example"
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
    """Return a digest of everything that decides the prepared data: files, columns and options."""
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


def is_current(output: Path, fingerprint: str) -> bool:
    """Tell whether `output` was prepared from just these files, columns and options."""
    path = output / files.STATISTICS
    if not path.is_file():
        return False
    return bool(json.loads(path.read_text(encoding="utf-8")).get("fingerprint") == fingerprint)


def clear(folder: Path) -> None:
    """Remove what an earlier run that was ended has left in a folder, but not the folder, which is held."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def prepare(
    request: Request,
    schema: Schema,
    tables: Sequence[Table],
    fingerprint: str,
    partial: Path,
    console: Console,
) -> None:
    """Write the prepared data to `partial`, beside `request.output`, and put it there only when it is complete."""
    started = time.monotonic()
    connection = pipeline.database(partial / "spill", request.memory_mb)
    try:
        rejected = pipeline.read_tables(connection, request, schema, tables, partial, console)
        label = analyze.label_statistics(connection, schema)
        pipeline.drop_unknown_labels(connection, label, console)
        pipeline.count_cells(connection, schema, console)
        statistics = analyze.learn(connection, schema, label, rejected, fingerprint)
        pipeline.write_examples(connection, schema, partial / files.EXAMPLES)
        pipeline.write_codes(connection, schema, statistics)
        pipeline.encode_first(connection, schema)
        for split in statistics.rows:
            pipeline.write_shards(connection, schema, split, partial / split)
        write_statistics(statistics, partial / files.STATISTICS)
    except BaseException:
        connection.close()
        keep_rejects(partial, request.output)
        shutil.rmtree(partial)
        raise
    connection.close()
    shutil.rmtree(partial / "spill", ignore_errors=True)
    replace(partial, request.output)
    report(statistics, request.output, time.monotonic() - started, console)


def keep_rejects(partial: Path, output: Path) -> None:
    """Keep the rejects of a failed run, so that the user can look at them."""
    rejects = partial / files.REJECTS
    if rejects.is_file():
        shutil.copy(rejects, rejects_beside(output))


def replace(partial: Path, output: Path) -> None:
    """Put the complete folder `partial` in the place of `output`."""
    rejects_beside(output).unlink(missing_ok=True)
    old = output.with_name(output.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if output.exists():
        output.rename(old)
    partial.rename(output)
    shutil.rmtree(old, ignore_errors=True)


def report(statistics: Statistics, output: Path, seconds: float, console: Console) -> None:
    """Say what was prepared."""
    rows = sum(statistics.rows.values())
    splits = ", ".join(f"{count:,} {split}" for split, count in statistics.rows.items())
    console.line(f"data     {splits} rows in {seconds:.1f} s ({rows / seconds:,.0f} rows/s)")
    console.line(f"data     written to {shown_path(output)}")


if __name__ == "__main__":
    sys.exit(exit_code(main, sys.argv[1:]))
