"""What preparing a table would take, from three nested samples of it: `python -m trainer.plan --result FILE --train TABLE --output DIR`.

The largest sample stays in `--output`. `--result` gets sizes, seconds, and the settings that training would have on the
complete table; the flags of training follow `--`.
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from trainer import arguments as training
from trainer import features, prepare
from trainer.data import files
from trainer.data.schema import Schema, read_schema
from trainer.data.statistics import read_statistics
from trainer.preprocessing.provenance import Request, check_request
from trainer.preprocessing.sample import Sample, sample_of
from trainer.preprocessing.splits import check_split
from trainer.run.console import Console
from trainer.run.errors import exit_code
from trainer.run.outputs import write_json

SMALLER = (16, 4, 1)
"""How many times smaller than the largest each sample is."""
FEWEST_BYTES = 200_000
"""Of a smaller sample: one of a few rows may have none to evaluate on."""


def parser() -> argparse.ArgumentParser:
    parser = prepare.parser()
    parser.prog, parser.description = "python -m trainer.plan", __doc__
    text = "how much of the table is prepared, in MB before compression"
    parser.add_argument("--sample-mb", type=training.positive_float, default=64.0, help=text)
    parser.add_argument("--result", type=Path, required=True, help="the file to write, JSON")
    return parser


def main(arguments: Sequence[str]) -> int:
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser().parse_args(arguments[:cut])
    settings = training.settings_of(training.parser().parse_args(arguments[cut + 1 :]))
    schema, request = read_schema(features), prepare.request_of(options)
    check_request(request)
    check_split(request, schema)
    folder = options.result.parent / "sample"
    sample = sample_of(request.train, folder / "1", int(options.sample_mb * 1e6), schema)
    parts = [n for n in SMALLER if n == 1 or sample.written_bytes / n >= FEWEST_BYTES]
    measured = [prepared(request, sample, times, schema) for times in parts]
    # Imported here, so that --help does not wait for it.
    from trainer.data.shards import BYTES_PER_VALUE, COPIES_IN_MEMORY, READER_MB, WINDOW_MB

    statistics = read_statistics(request.output, schema)
    rows = sum(statistics.rows.values())
    train_rows = round(statistics.rows["train"] / sample.share)
    classes = len(statistics.label.classes)
    row_bytes = BYTES_PER_VALUE * (len(schema.numeric) + schema.code_width + 1)
    shards = sum(each.stat().st_size for each in request.output.rglob(files.SHARDS))
    result = {
        "table_bytes": sample.table_bytes,
        "text_bytes": round(sample.written_bytes / sample.share),
        "share": sample.share,
        "rows": round(rows / sample.share),
        "train_rows": train_rows,
        "prepared": measured,
        "shard_bytes_per_row": shards / rows,
        "array_bytes_per_row": row_bytes,
        "window_rows": (WINDOW_MB - READER_MB) * 2**20 // row_bytes // COPIES_IN_MEMORY,
        "settings": settings.for_rows(train_rows, schema.task, classes).as_json(),
    }
    write_json(options.result, result)
    return 0


def prepared(request: Request, sample: Sample, times: int, schema: Schema) -> tuple[int, float]:
    """Prepare the sample, or its beginning that is `times` smaller; return the rows and the seconds."""
    from trainer.preprocessing.pipeline import prepare as run

    part = sample.folder
    if times > 1:
        part = part.with_name(str(times))
        sample_of(sample.folder, part, sample.written_bytes // times, schema)
    started = time.perf_counter()
    run(dataclasses.replace(request, train=part, test=None), schema, Console(quiet=True))
    seconds = time.perf_counter() - started
    return sum(read_statistics(request.output, schema).rows.values()), seconds


if __name__ == "__main__":
    sys.exit(exit_code(main, sys.argv[1:]))
