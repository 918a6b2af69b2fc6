"""The entry point: what a run is told, how long it takes, where its outputs go. The model is in `model.py`."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from trainer import __version__, features
from trainer.errors import UserError, exit_code
from trainer.outputs import (
    Outputs,
    check_data_dir,
    git_revision,
    make_job_dir,
    outputs_of,
    process_environment,
    read_json,
    write_json,
)
from trainer.progress import Console
from trainer.schema import Schema, read_schema
from trainer.settings import Settings, check_unchanged
from trainer.statistics import Statistics, read_statistics


def parser() -> argparse.ArgumentParser:
    """Return the command line; each hyperparameter is a flag, so that tuning can set it."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.task", description=__doc__, allow_abbrev=False
    )
    add = parser.add_argument
    add("--data-dir", help="prepared data: a folder or a gs:// address")
    add("--job-dir", help="where to write; without it, where AIP_MODEL_DIR and its like point")
    add("--epochs", type=whole, default=Settings.epochs, help="0: by the number of rows")
    add("--max-steps", type=whole, default=Settings.max_steps, help="0: no limit")
    add("--max-minutes", type=positive, default=Settings.max_minutes, help="0: no limit")
    add("--batch-size", type=whole, default=Settings.batch_size, help="0: by the number of rows")
    add(
        "--learning-rate",
        type=positive,
        default=Settings.learning_rate,
        help="peak of the cosine schedule",
    )
    add(
        "--hidden-units",
        type=units,
        default=Settings.hidden_units,
        help="widths of the hidden layers: 128,64,32",
    )
    add(
        "--embedding-size",
        type=whole,
        default=Settings.embedding_size,
        help="width of a code's vector",
    )
    add(
        "--dropout",
        type=share,
        default=Settings.dropout,
        help="share of hidden units dropped in a step",
    )
    add("--weight-decay", type=positive, default=Settings.weight_decay, help="of AdamW")
    add(
        "--patience",
        type=whole,
        default=Settings.patience,
        help="evaluations without progress; 0: never stop early",
    )
    add(
        "--memory-mb",
        type=whole,
        default=Settings.memory_mb,
        help="memory for rows; larger data is streamed",
    )
    add("--seed", type=whole, default=Settings.seed, help="of weights, order and dropout")
    add(
        "--smoke-test",
        action="store_true",
        help="train a step on made-up rows, export, reload, and end",
    )
    add("-q", "--quiet", action="store_true", help="only warnings and errors")
    add("-v", "--verbose", action="store_true", help="more detail")
    return parser


def whole(text: str) -> int:
    """Return a whole number from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0")
    return int(text)


def positive(text: str) -> float:
    """Return a finite number from 0."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0")
    return number


def share(text: str) -> float:
    """Return a number from 0 to below 1."""
    number = positive(text)
    if number >= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share from 0 to below 1")
    return number


def units(text: str) -> tuple[int, ...]:
    """Return the widths of the hidden layers."""
    widths = tuple(whole(part.strip()) for part in text.split(","))
    if 0 in widths:
        raise argparse.ArgumentTypeError(f"{text!r} has a layer without units")
    return widths


def main(arguments: Sequence[str]) -> int:
    """Train, evaluate and export; return the exit code."""
    started = time.monotonic()
    given = parser().parse_args(arguments)
    console = Console(quiet=given.quiet, verbose=given.verbose)
    schema = read_schema(features)
    if given.smoke_test:
        from trainer.smoke import smoke_test

        return smoke_test(schema, console)
    environment = process_environment()
    data_dir = check_data_dir(given.data_dir, environment)
    statistics = read_statistics(data_dir, schema)
    settings = settings_of(given).for_rows(statistics.rows["train"])
    outputs = outputs_of(given.job_dir, environment)
    metrics = finished(outputs, settings, statistics)
    if metrics is None:
        metrics = run(data_dir, outputs, schema, statistics, settings, console)
        metrics["wall_seconds"] = round(time.monotonic() - started, 2)
        write_json(outputs.metrics, metrics)
    from trainer.metrics_table import report

    report(metrics, outputs, statistics, schema, console)
    return 0


def settings_of(given: argparse.Namespace) -> Settings:
    """Return the hyperparameters of the command line."""
    return Settings(**{field.name: getattr(given, field.name) for field in fields(Settings)})


def finished(outputs: Outputs, settings: Settings, statistics: Statistics) -> dict[str, Any] | None:
    """Return the metrics of a run that has ended in these outputs, None if it is still to do or to go on.

    Raises `UserError` if the outputs belong to a run with other hyperparameters or other data.
    """
    earlier = read_json(outputs.config)
    if earlier is None:
        return None
    check_unchanged(settings, earlier["settings"], outputs.job_dir)
    if earlier["data_fingerprint"] != statistics.fingerprint:
        raise UserError(
            f"{outputs.job_dir} holds a run on other data",
            "the prepared data that the run began with",
            "name another --job-dir; nothing was changed",
        )
    return read_json(outputs.metrics) if earlier["settings"] == settings.as_json() else None


def run(
    data_dir: Path,
    outputs: Outputs,
    schema: Schema,
    statistics: Statistics,
    settings: Settings,
    console: Console,
) -> dict[str, Any]:
    """Record what the run is, and train; return its metrics."""
    make_job_dir(outputs)
    config = {
        "settings": settings.as_json(),
        "package_version": __version__,
        "git_revision": git_revision(process_environment()),
        "data_dir": str(data_dir),
        "data_fingerprint": statistics.fingerprint,
        "python_version": sys.version.split()[0],
    }
    write_json(outputs.config, config)
    outputs.metrics.unlink(missing_ok=True)
    console.line("start    loading TensorFlow")
    from trainer.start import start_tensorflow

    start_tensorflow(settings.seed)
    from trainer.model import train_and_evaluate
    from trainer.monitor import RunMonitor

    monitor = RunMonitor(outputs, schema.task, console)
    return train_and_evaluate(data_dir, outputs.model, schema, statistics, settings, monitor)


if __name__ == "__main__":
    sys.exit(exit_code(main, sys.argv[1:]))
