"""The entry point: what a run is told, how long it takes, where its outputs go. The model is in `model.py`."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer import __version__, features
from trainer.arguments import parser, settings_of
from trainer.data.schema import Schema, read_schema
from trainer.data.statistics import Statistics, read_statistics
from trainer.run.cluster import Place, place_of
from trainer.run.console import Console
from trainer.run.errors import UserError, exit_code
from trainer.run.outputs import (
    Outputs,
    check_data_dir,
    git_revision,
    outputs_of,
    process_environment,
    read_json,
    sole_run,
    write_json,
)
from trainer.settings import Settings, check_unchanged


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
    place = place_of(environment)
    if place.is_evaluator:
        console.line("evaluator: nothing to do, because the replicas that train evaluate too")
        return 0
    data_dir = check_data_dir(given.data_dir, environment)
    statistics = read_statistics(data_dir, schema)
    settings = settings_of(given).for_rows(statistics.rows["train"])
    outputs = outputs_of(given.job_dir, environment)
    with sole_run(outputs, place.is_chief):
        metrics = finished(outputs, settings, statistics)
        if metrics is None:
            metrics = run(data_dir, outputs, schema, statistics, settings, place, console)
            metrics["wall_seconds"] = round(time.monotonic() - started, 2)
            if place.is_chief:
                write_json(outputs.metrics, metrics)
    if place.is_chief:
        from trainer.training.summary import report

        report(metrics, outputs, statistics, schema, console)
    return 0


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
    place: Place,
    console: Console,
) -> dict[str, Any]:
    """Record what the run is, and train; return its metrics. The chief alone writes."""
    if place.is_chief:
        record(data_dir, outputs, statistics, settings)
    console.line("start    loading TensorFlow")
    from trainer.training.tensorflow_setup import start_tensorflow

    replicas = start_tensorflow(settings.seed, place)
    from trainer.model import train_and_evaluate
    from trainer.training.monitor import RunMonitor

    told = console if place.is_chief else Console(quiet=True)
    monitor = RunMonitor(outputs, schema.task, told, writes=place.is_chief)
    return train_and_evaluate(
        data_dir, outputs.model, schema, statistics, settings, monitor, replicas
    )


def record(data_dir: Path, outputs: Outputs, statistics: Statistics, settings: Settings) -> None:
    """Write down what the run is."""
    config = {
        "settings": settings.as_json(),
        "package_version": __version__,
        "git_revision": git_revision(process_environment()),
        "data_dir": str(data_dir),
        "data_fingerprint": statistics.fingerprint,
        "python_version": sys.version.split()[0],
    }
    # First, so that another replica never takes the metrics of an earlier run for those of this one.
    outputs.metrics.unlink(missing_ok=True)
    write_json(outputs.config, config)


if __name__ == "__main__":
    sys.exit(exit_code(main, sys.argv[1:]))
