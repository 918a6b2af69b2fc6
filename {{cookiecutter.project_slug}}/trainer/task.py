"""Entry point: arguments, duration, outputs. The model is in `model.py`."""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from trainer import features
from trainer.arguments import parser, settings_of
from trainer.data.schema import Schema, read_schema, unused_columns
from trainer.data.statistics import Statistics, read_statistics
from trainer.run.cluster import ClusterPosition, cluster_position
from trainer.run.console import Console
from trainer.run.errors import exit_code, exit_reported
from trainer.run.outputs import Outputs, check_data_dir, outputs_of, sole_run, write_json
from trainer.run.resume import check_metrics, finished_metrics, write_config
from trainer.settings import Settings, goal_of


def main(arguments: Sequence[str]) -> int:
    started = time.perf_counter()
    options = parser().parse_args(arguments)
    console = Console(quiet=options.quiet, verbose=options.verbose)
    schema = read_schema(features)
    if options.smoke_test:
        from trainer.smoke import smoke_test

        return smoke_test(schema, console)
    position = cluster_position(os.environ)
    if position.is_evaluator:
        console.line("evaluator: nothing to do, because the replicas that train evaluate too")
        return 0
    data_dir = check_data_dir(options.data_dir, os.environ)
    statistics = read_statistics(data_dir, schema)
    chosen = settings_of(options)
    classes = len(statistics.label.classes)
    settings = chosen.for_rows(statistics.rows["train"], schema.task, classes)
    described, data = settings.as_json(), statistics.fingerprint
    outputs = outputs_of(options.job_dir, os.environ)
    with sole_run(outputs, position.is_chief):
        metrics = finished_metrics(outputs, described, data, console.warning)
        if metrics is None:
            if position.is_chief:
                write_config(outputs, described, data_dir, data, os.environ)
            metrics = train(data_dir, outputs, schema, statistics, settings, position, console)
            metrics["wall_seconds"] = round(time.perf_counter() - started, 2)
            metrics |= {"metric": settings.metric, "goal": goal_of(settings.metric)}
            if position.is_chief:
                write_json(outputs.metrics, metrics)
    if position.is_chief:
        from trainer.training.summary import report

        unused = unused_columns(features, schema)
        report(metrics, outputs, statistics, schema, chosen, console, unused)
    return 0


def train(
    data_dir: Path,
    outputs: Outputs,
    schema: Schema,
    statistics: Statistics,
    settings: Settings,
    position: ClusterPosition,
    console: Console,
) -> dict[str, Any]:
    for name, value in settings.as_json().items():
        console.detail(f"setting  {name} = {value}")
    console.line("start    loading TensorFlow")
    from trainer.publish import new_model
    from trainer.training.tensorflow_setup import device_names, import_tensorflow, start_tensorflow

    import_tensorflow()
    with exit_reported(), new_model() if position.is_chief else nullcontext() as exported:
        replicas = start_tensorflow(settings.seed, position)
        console.detail(f"devices  {', '.join(device_names())}; {replicas.count} replica(s)")
        from trainer.model import train_and_evaluate
        from trainer.training.metrics import NEED_TWO_LABELS
        from trainer.training.monitor import RunMonitor

        data = statistics.fingerprint
        monitor = RunMonitor(outputs, settings, data, console, position.is_chief)
        model_dir = exported.folder if exported else outputs.model
        metrics = train_and_evaluate(
            data_dir, model_dir, schema, statistics, settings, monitor, replicas
        )
        check_metrics(metrics, "loss" if monitor.metric in NEED_TWO_LABELS else monitor.metric)
        if exported:
            exported.publish(outputs.model, data_dir, schema, monitor.trained)
        return metrics


if __name__ == "__main__":
    sys.exit(exit_code(main, sys.argv[1:]))
