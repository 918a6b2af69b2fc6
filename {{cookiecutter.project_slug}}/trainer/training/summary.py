"""The summary that ends a run."""

from collections.abc import Mapping
from typing import Any

from trainer.data.schema import Schema
from trainer.data.statistics import Statistics
from trainer.run.console import Console, duration
from trainer.run.outputs import Outputs
from trainer.training.metrics import MAIN_METRIC


def report(
    metrics: Mapping[str, Any],
    outputs: Outputs,
    statistics: Statistics,
    schema: Schema,
    console: Console,
) -> None:
    name = MAIN_METRIC[schema.task]
    rows = ", ".join(f"{count:,} {split}" for split, count in statistics.rows.items())
    inputs = f"{len(schema.numeric)} numeric, {len(schema.coded)} text columns"
    always = "the mean of the training rows" if name == "rmse" else "the most common class"
    baseline = f"{metrics['baseline'][name]:.4f} for {always}"
    console.line("")
    console.table(
        [
            ("data", f"{rows} rows"),
            ("inputs", inputs),
            (
                "steps",
                f"{metrics['steps']:,} in {metrics['epochs']} epochs, {metrics['rows_per_second']:,.0f} rows/s",
            ),
            (f"{metrics['split']} {name}", f"{metrics[name]:.4f}  ({baseline})"),
            ("time", duration(metrics["wall_seconds"])),
            ("model", str(outputs.model.resolve())),
            ("next", "nox -s predict"),
        ]
    )
