"""The summary that ends a run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trainer.data.schema import Schema
from trainer.data.statistics import Statistics
from trainer.data.thresholds import in_words
from trainer.run.console import Console, duration, measure
from trainer.run.outputs import Outputs
from trainer.settings import Settings, goal_of
from trainer.training.metrics import MAIN_METRIC, STANDARD_ERROR, is_better

NEARLY_ALL = 0.99
CALIBRATED = "temperature {temperature:.3f}: eval log loss {before[log_loss]:.4f} to {after[log_loss]:.4f}, calibration error {before[calibration_error]:.4f} to {after[calibration_error]:.4f}"
ADVICE = "look at the label, the columns and the learning rate, or train for longer"
MEMBER_COST, BEST_COST = 0.42, 2.0
"""What each further member adds to a step, and how much longer one with two networks and more boundaries takes: CPU seconds of 8 and
16 members of default width on the census."""


def report(
    metrics: Mapping[str, Any],
    outputs: Outputs,
    statistics: Statistics,
    schema: Schema,
    chosen: Settings,
    console: Console,
    unused: Mapping[str, Sequence[str]],
) -> None:
    main, split = chosen.metric or MAIN_METRIC[schema.task], metrics["split"]
    name = main if main in metrics else "loss"
    rows = ", ".join(f"{count:,} {split}" for split, count in statistics.rows.items())
    inputs = f"{len(schema.numeric)} numeric, {len(schema.textual)} text columns"
    threshold, fitted = metrics.get("threshold"), metrics.get("calibration")
    in_epochs = f" in {metrics['epochs']} epochs" * (metrics["epochs"] > 0)
    steps = f"{metrics['steps']:,}{in_epochs}, {metrics['rows_per_second']:,.0f} rows/s"
    error = f" ± {measure(metrics[STANDARD_ERROR])}" if STANDARD_ERROR in metrics else ""
    console.line("")
    console.table(
        [
            ("data", f"{rows} rows"),
            ("inputs", inputs),
            *([("weights", statistics.weight["column"])] if statistics.weight else []),
            *(("not used", f"{', '.join(names)}: {why}") for why, names in unused.items()),
            ("steps", steps),
            ("quality", quality_line(chosen, metrics, statistics.rows["train"], schema.task)),
            (f"{split} {name}", f"{measure(metrics[name])}{error}"),
            *(("baselines", each) for each in baselines(metrics, name, schema.task)),
            *([("threshold", in_words(threshold))] if threshold else []),
            *([("calibration", CALIBRATED.format(**fitted))] if fitted else []),
            ("time", duration(metrics["wall_seconds"])),
            ("model", str(outputs.model.resolve())),
            ("next", "nox -s predict"),
        ]
    )
    if name != main:
        console.warning(f"{split} {main} is undefined: all rows of the split have one label")
    found = one_class(threshold, statistics.rows.get(split, 0))
    about_run = (*no_better(metrics, name), *overfitting(metrics, name), *found)
    for text in (*statistics.revealing, *about_run):
        console.warning(text)


def baselines(metrics: Mapping[str, Any], name: str, task: str) -> Iterator[str]:
    """Yield what the constant and the linear model reach in a metric, if they have it."""
    always = "the mean of the training rows" if task == "regression" else "the most common class"
    linear = metrics.get("linear_baseline") or {}
    of_both = ((metrics["baseline"], always), (linear, "a linear model"))
    if texts := [f"{measure(each[name])} for {what}" for each, what in of_both if name in each]:
        yield ", ".join(texts)


def quality_line(chosen: Settings, metrics: Mapping[str, Any], rows: int, task: str) -> str:
    """Return the quality of a run, how long training took, and about how long it would take with the next quality."""
    if not metrics["rows_per_second"]:
        return chosen.quality
    now, better = chosen.for_rows(rows, task), chosen.better()
    seconds = metrics["steps"] * now.batch_size / metrics["rows_per_second"]
    line = f"{chosen.quality}, {duration(seconds)} of training"
    if not better or chosen.max_steps or chosen.max_minutes:
        return line
    then = better.for_rows(rows, task)
    factor = then.epochs * cost(then) / (now.epochs * cost(now))
    return f"{line}; about {duration(seconds * factor)} with --quality {better.quality}"


def cost(settings: Settings) -> float:
    """Return the time of a step, as a multiple of that of one member."""
    cost = 1 + MEMBER_COST * (settings.ensemble - 1)
    return cost * BEST_COST if settings.quality == "best" else cost


def no_better(metrics: Mapping[str, Any], name: str) -> Iterator[str]:
    """Yield a sentence if the result is no better than a constant prediction or, if it is, than a linear model."""
    constant, linear = metrics["baseline"], metrics.get("linear_baseline") or {}
    names = (name,) if "rmse" in metrics else (name, "loss")  # which is that of --loss squared
    for metric in (each for each in names if each in metrics and each in constant):
        if not is_better(metric, metrics[metric], constant[metric]):
            shown = f"{metrics['split']} {metric} {measure(metrics[metric])} is no better than {measure(constant[metric])}"
            yield f"{shown}, which predicting the same for every row gives; {ADVICE}"
            return
    # Equal results are no reason for a warning: both may be perfect, or a small split has few values.
    if name in linear and is_better(name, linear[name], metrics[name]):
        yield f"{metrics['split']} {name} {measure(metrics[name])} is no better than {measure(linear[name])} of a linear model; {ADVICE}"


def overfitting(metrics: Mapping[str, Any], name: str) -> Iterator[str]:
    """Yield a sentence if the last evaluation is worse than the best by more than its standard error."""
    history: Any = [e for e in metrics.get("history", ()) if {name, STANDARD_ERROR} <= e.keys()]
    choose: Any = max if goal_of(name) == "maximize" else min
    best = choose(history, key=lambda e: e[name], default=None)
    if best and abs(history[-1][name] - best[name]) > best[STANDARD_ERROR]:
        yield f"overfitting: eval {name} went from {measure(best[name])} after epoch {best['epoch']} to {measure(history[-1][name])} (earlier weights are exported); try --patience 3 or a higher --dropout"


def one_class(threshold: Mapping[str, Any] | None, rows: int) -> Iterator[str]:
    """Yield a sentence if nearly all predictions at a threshold are of a class that fewer of the rows are of."""
    if not threshold:
        return
    predicted = threshold["predicted_positive"]
    true = (threshold["true_positives"] + threshold["false_negatives"]) / rows
    for name, share, own in (("positive", predicted, true), ("negative", 1 - predicted, 1 - true)):
        if share >= NEARLY_ALL > own:
            text = f"{share:.1%} of the predictions are {name}, but {own:.1%} of the rows"
            yield f"{text}; try another threshold: nox -s evaluate -- --threshold f1"
