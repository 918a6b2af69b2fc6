"""From a raw table to encoded shards: `python -m trainer.prepare --train FILE --output DIR`.

Cleans and casts every row, splits by a hash of the row or by a column, learns vocabularies and statistics from the training rows
alone, and writes integer codes and floats as Parquet. Rows that cannot be used are counted and kept in `rejects.csv`.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from trainer import features
from trainer.data import files
from trainer.data.schema import read_schema
from trainer.data.statistics import prepared_fingerprint
from trainer.data.table_files import TABLES, NoTable
from trainer.preprocessing import provenance
from trainer.preprocessing.provenance import Address, Request, check_request
from trainer.preprocessing.splits import check_split
from trainer.run.console import Console, shown_path
from trainer.run.errors import UserError, exit_code
from trainer.run.locks import held
from trainer.run.outputs import local_path, outputs_of


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer.prepare", description=__doc__)
    add = parser.add_argument
    add("--train", type=table, required=True, help=TABLES)
    add("--test", type=table, help="a test file of your own, evaluated once, after training")
    add("--output", type=table, required=True, help="folder for shards; in a job, one of gs://…")
    add("--eval-share", type=float, default=0.1, help="fraction of --train that is held out")
    split = "random, stratified, time:COLUMN, group:COLUMN or column:COLUMN"
    add("--split", default="random", help=f"how --train is split: {split}")
    add("--weight", default="", metavar="COLUMN", help="column with the weights of rows")
    add("--fold", type=fold, metavar="K/N", help="test on part K of N of --train, not on --test")
    rejected = "fail if a larger fraction of the rows cannot be used"
    add("--max-rejected-share", type=float, default=0.01, help=rejected)
    by_default = "by default 128, 64 for each core and 1 for two columns"
    add("--deduplicate", action="store_true", help="keep one of each set of equal rows")
    add(
        "--memory-mb",
        type=int,
        default=0,
        help=f"memory in MB before SQL spills to disk; {by_default}",
    )
    engines = "what runs the SQL; vertex: this machine, of a job, that reads gs:// by its mount"
    add("--engine", choices=("local", "bigquery", "vertex"), default="local", help=engines)
    add("--project", default="", help="the Google Cloud project that BigQuery bills")
    add("--work", default="", metavar="gs://BUCKET/FOLDER", help="where BigQuery writes files")
    add("--most-gb", type=int, default=100, help="refuse queries that would bill more, in all")
    add("--reuse", action="store_true", help="do nothing if the output is current")
    add("-q", "--quiet", action="store_true", help="only warnings and errors")
    add("-v", "--verbose", action="store_true", help="also show the SQL")
    return parser


def table(text: str) -> Path:
    return cast(Path, Address(text)) if "://" in text else Path(text).resolve()


def fold(text: str) -> tuple[int, int]:
    """Return the number of a fold, from 1, and the number of folds."""
    found = re.fullmatch(r"([0-9]{1,3})/([0-9]{1,3})", text)
    number, count = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= count or count < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no fold such as 2/5")
    return number, count


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    console = Console(quiet=options.quiet, verbose=options.verbose)
    request = request_of(options)
    check_request(request)
    schema = read_schema(features)
    check_split(request, schema)
    shown = shown_path(request.output)
    waiting = f"data     waiting for another preparation of {shown}"
    with held(request.lock, lambda: console.line(waiting)):
        if options.reuse and not provenance.stale_reasons(request, schema):
            console.line(f"data     {shown} is current")
            for finding in provenance.recorded_findings(request):
                console.warning(finding)
            return 0
        # Imported here, so that --help and `stale_reasons` do not wait for NumPy.
        from trainer.preprocessing.pipeline import prepare

        try:
            prepare(request, schema, console)
        except NoTable as error:
            raise UserError(str(error), TABLES, error.remedy) from error
        if request.job_dir:
            copy_to_bucket(request.output, local_path(str(options.output), os.environ), console)
    return 0


def copy_to_bucket(source: Path, folder: Path, console: Console) -> None:
    """Move prepared data to a folder named by its fingerprint; its statistics come last, so with them all is there."""
    fingerprint = prepared_fingerprint(source) or ""
    target = folder / fingerprint[:16]
    if prepared_fingerprint(target) != fingerprint:
        paths = [each for each in source.rglob("*") if each.is_file()]
        for path in sorted(paths, key=lambda path: (path.name == files.STATISTICS, path)):
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    shutil.rmtree(source)
    console.line(f"data     copied to {target}")


def stale_reasons(arguments: Sequence[str]) -> list[str]:
    """Return why the data prepared with these arguments is not current: plain sentences, none if it is.

    Raises `UserError` for an invalid features.py, and for a split or a weight that its columns do not allow.
    """
    request, schema = request_of(parser().parse_args(arguments)), read_schema(features)
    check_split(request, schema)
    return provenance.stale_reasons(request, schema)


def request_of(options: argparse.Namespace) -> Request:
    output, job_dir = options.output, None
    if isinstance(output, Address):  # first to a disk, because a bucket has no renames
        job_dir = outputs_of(None, os.environ).job_dir
        job_dir.mkdir(parents=True, exist_ok=True)
        output = Path(tempfile.gettempdir(), job_dir.name)
    given = {name: each for name, each in vars(options).items() if name in Request.__annotations__}
    test = None if options.fold else options.test
    return Request(**{**given, "test": test, "output": output.resolve(), "job_dir": job_dir})


if __name__ == "__main__":
    sys.exit(exit_code(main, sys.argv[1:]))
