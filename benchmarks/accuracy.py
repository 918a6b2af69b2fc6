"""Accuracy on real tables: ours against libraries for tables, all with their own defaults, over fixed splits."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median, stdev

from benchmarks.measure import run, spread
from benchmarks.tables import SOURCES, Source, splits_of
from benchmarks.targets import Row
from benchmarks.workbench import PEERS, PREPARE, RUNTIME, Table, Workbench

OURS = "ours"
ERRORS = {"regression": "RMSE", "binary": "1 - AUC", "multiclass": "share wrong"}
QUALITIES = {OURS: "default", "ours, fast": "fast", "ours, best": "best"}
QUICK_SPLITS, QUICK_ROWS, QUICK_QUALITIES = 2, 5_000, 1
NOISE = 2.0  # standard errors of the difference

Errors = Mapping[str, Sequence[float]]  # of each program, one a split


def accuracy(bench: Workbench) -> list[Row]:
    """Error on the tables that settings are chosen by; -- --quick: two splits of those below 5,000 rows."""
    return compared(bench, "accuracy", [source for source in SOURCES if not source.closing])


def closing(bench: Workbench) -> list[Row]:
    """Error on the tables that are looked at when settings are chosen, and decide nothing."""
    return compared(bench, "closing", [source for source in SOURCES if source.closing])


def compared(bench: Workbench, target: str, sources: Sequence[Source]) -> list[Row]:
    """Return a row for each table and program; print what they come to."""
    errors: dict[str, Errors] = {}
    seconds: dict[str, list[float]] = {}
    rows = []
    for source in sources:
        tables = splits_of(bench, source)[: QUICK_SPLITS if bench.quick else None]
        if bench.quick and tables[0].rows > QUICK_ROWS:
            continue
        found = ours(bench, source, tables) | peers(bench, tables)
        errors[source.name] = {name: one["errors"] for name, one in found.items()}
        print(f"  {source.name:14s}{shown(errors[source.name])}", flush=True)
        for name, one in found.items():
            seconds.setdefault(name, []).extend(one["seconds"])
            label = f"{source.name} {name}"
            rows.append(Row(target, label, ERRORS[source.task], spread(one["errors"])))
    print("\n".join(summary(errors, seconds)), flush=True)
    return rows


def shown(errors: Errors) -> str:
    return "  ".join(f"{name} {fmean(values):.4g}" for name, values in errors.items())


def ours(
    bench: Workbench, source: Source, tables: Sequence[Table]
) -> dict[str, dict[str, list[float]]]:
    """Return the errors of each quality, and the seconds of the complete process that trains, without preparation."""
    found: dict[str, dict[str, list[float]]] = {}
    for seed, table in enumerate(tables, 1):
        data = prepared(bench, table)
        for name, quality in list(QUALITIES.items())[: QUICK_QUALITIES if bench.quick else None]:
            error, seconds = trained(
                bench, source, table, data, ("--quality", quality, "--seed", seed)
            )
            record = found.setdefault(name, {"errors": [], "seconds": []})
            record["errors"].append(error)
            record["seconds"].append(seconds)
    return found


def prepared(bench: Workbench, table: Table) -> Path:
    """Return a folder with the prepared rows of one split."""
    data = bench.folder / "outputs" / "accuracy-data"
    shutil.rmtree(data, ignore_errors=True)
    paths = ("--train", table.train, "--test", table.test, "--output", data)
    run([bench.ours(PREPARE), "-m", "trainer.prepare", *paths, "--quiet"], bench.baked(table))
    return data


def trained(
    bench: Workbench, source: Source, table: Table, data: Path, flags: Sequence[object]
) -> tuple[float, float]:
    """Return the error on the test rows of one split, and the seconds of training."""
    output = bench.folder / "outputs" / "accuracy-run"
    shutil.rmtree(output, ignore_errors=True)
    command = [bench.ours(RUNTIME), "-m", "trainer.task", "--data-dir", data, "--job-dir", output]
    sample = run([*command, "--quiet", *flags], bench.baked(table))
    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    return error_of(source.task)(metrics), sample.seconds


def error_of(task: str) -> Callable[[Mapping[str, float]], float]:
    """Return what makes an error, of which less is better, of the metrics of a run."""
    return {
        "regression": lambda metrics: metrics["rmse"],
        "binary": lambda metrics: 1 - metrics["auc"],
        "multiclass": lambda metrics: 1 - metrics["accuracy"],
    }[task]


def peers(bench: Workbench, tables: Sequence[Table]) -> dict[str, dict[str, list[float]]]:
    """Return errors and seconds of fitting of each peer; their programs share one process."""
    folder, splits = tables[0].train.parent, range(len(tables))
    script = PEERS / "defaults.py"
    found = run([bench.environment("trees"), script, folder, *splits], bench.folder).report
    return {name: dict(one) for name, one in found.items()}


def summary(errors: Mapping[str, Errors], seconds: Mapping[str, Sequence[float]]) -> list[str]:
    """Return a line for each program: score, rank, our wins and losses against it, and seconds.

    The score of a table is 1 for its best program and 0 for its worst. Wins are beyond the noise of the splits.
    """
    scores = {name: [score(table)[name] for table in errors.values()] for name in seconds}
    ranks = {name: [rank(table)[name] for table in errors.values()] for name in seconds}
    lines = [f"  {'':22s}{'score':>7s}{'rank':>7s}{'our wins':>10s}{'losses':>8s}{'seconds':>9s}"]
    for name in sorted(seconds, key=lambda one: fmean(ranks[one])):
        outcomes = [outcome(table[OURS], table[name]) for table in errors.values()]
        wins, losses = (sum(one == sign for one in outcomes) for sign in (1, -1))
        figures = f"{fmean(scores[name]):7.2f}{fmean(ranks[name]):7.2f}{wins:10d}{losses:8d}"
        lines.append(f"  {name:22s}{figures}{median(seconds[name]):9.1f}")
    return lines


def score(errors: Errors) -> dict[str, float]:
    means = {name: fmean(values) for name, values in errors.items()}
    best, worst = min(means.values()), max(means.values())
    return {name: (worst - mean) / ((worst - best) or 1) for name, mean in means.items()}


def rank(errors: Errors) -> dict[str, float]:
    """Return 1 for the least mean error; equal ones share the mean of their ranks."""
    means = {name: fmean(values) for name, values in errors.items()}
    others = list(means.values())
    return {
        name: sum(other < mean for other in others) + (others.count(mean) + 1) / 2
        for name, mean in means.items()
    }


def outcome(ours: Sequence[float], other: Sequence[float]) -> int:
    """Return 1 if our error is less beyond the noise of paired splits, -1 if it is more, else 0."""
    differences = [theirs - own for own, theirs in zip(ours, other, strict=True)]
    mean = fmean(differences)
    noise = NOISE * stdev(differences) / len(differences) ** 0.5
    return 0 if abs(mean) <= noise else (1 if mean > 0 else -1)
