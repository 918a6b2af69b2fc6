"""The summary that ends a run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trainer.data.schema import Schema
from trainer.data.statistics import Statistics
from trainer.run.console import Console, duration
from trainer.run.outputs import Outputs
from trainer.settings import Settings
from trainer.training.metrics import MAIN_METRIC, STANDARD_ERROR, is_better

MEMBER_COST = 0.35
"""What each further member adds to a step: measured on the census, 8 and 16 members of default width, two cores."""


def report(
    metrics: Mapping[str, Any],
    outputs: Outputs,
    statistics: Statistics,
    schema: Schema,
    chosen: Settings,
    console: Console,
    unused: Mapping[str, Sequence[str]],
) -> None:
    name = MAIN_METRIC[schema.task] if MAIN_METRIC[schema.task] in metrics else "loss"
    rows = ", ".join(f"{count:,} {split}" for split, count in statistics.rows.items())
    inputs = f"{len(schema.numeric)} numeric, {len(schema.textual)} text columns"
    always = "the mean of the training rows" if name == "rmse" else "the most common class"
    baseline = f"{metrics['baseline'][name]:.4f} for {always}"
    error = f" ± {metrics[STANDARD_ERROR]:.4f}" if STANDARD_ERROR in metrics else ""
    console.line("")
    console.table(
        [
            ("data", f"{rows} rows"),
            ("inputs", inputs),
            *(("not used", f"{', '.join(names)}: {why}") for why, names in unused.items()),
            (
                "steps",
                f"{metrics['steps']:,} in {metrics['epochs']} epochs, {metrics['rows_per_second']:,.0f} rows/s",
            ),
            ("quality", quality_line(chosen, metrics, statistics.rows["train"], schema.task)),
            (f"{metrics['split']} {name}", f"{metrics[name]:.4f}{error}  ({baseline})"),
            ("time", duration(metrics["wall_seconds"])),
            ("model", str(outputs.model.resolve())),
            ("next", "nox -s predict"),
        ]
    )
    if name != MAIN_METRIC[schema.task]:
        console.warning(
            f"{metrics['split']} {MAIN_METRIC[schema.task]} is undefined: all rows of the split have one class"
        )
    for text in no_better(metrics, name):
        console.warning(
            f"{text}; look at the label, the columns and the learning rate, or train for longer"
        )


def quality_line(chosen: Settings, metrics: Mapping[str, Any], rows: int, task: str) -> str:
    """Return the quality of a run, and about how long training would take with the next one."""
    better = chosen.better()
    if not better or not metrics["rows_per_second"]:
        return chosen.quality
    seconds = metrics["epochs"] * rows / metrics["rows_per_second"]
    now, then = chosen.for_rows(rows, task), better.for_rows(rows, task)
    factor = then.epochs * cost(then.ensemble) / (now.epochs * cost(now.ensemble))
    return f"{chosen.quality}; about {duration(seconds * factor)} of training with --quality {better.quality}"


def cost(members: int) -> float:
    """Return the time of a step of an ensemble, as a multiple of one member's."""
    return 1 + MEMBER_COST * (members - 1)


def no_better(metrics: Mapping[str, Any], name: str) -> Iterator[str]:
    """Yield a sentence if the result is no better than a constant prediction or, if it is, than a linear model."""
    constant, linear = metrics["baseline"], metrics.get("linear_baseline") or {}
    for metric in (name, "loss"):
        if metric in metrics and not is_better(metric, metrics[metric], constant[metric]):
            shown = f"{metrics['split']} {metric} {metrics[metric]:.4f} is no better than {constant[metric]:.4f}"
            yield f"{shown}, which predicting the same for every row gives"
            return
    # Equal results are no reason for a warning: both may be perfect, or a small split has few values.
    if name in linear and is_better(name, linear[name], metrics[name]):
        yield f"{metrics['split']} {name} {metrics[name]:.4f} is no better than {linear[name]:.4f} of a linear model"
