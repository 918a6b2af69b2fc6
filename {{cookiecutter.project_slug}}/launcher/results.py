"""What the runs below runs/ have achieved, and which of those on the same data is the best."""

import json
import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from launcher.console import UserError
from launcher.contract import CONFIG, EVALUATION, METRICS, ROW_LOSSES
from launcher.files import read_json
from launcher.runs import MODEL, RECORD, numbered, read
from launcher.spec.study import Study

NOT_SHOWN = {"data-dir", "quiet", "verbose", "q", "v"}
LOSS = ("loss", "minimize")


@dataclass(frozen=True)
class Result:
    """One run: what it was, and what it has reached; None and "" for what is not known, as of a run that was stopped."""

    run: int
    started: str
    """When, as an ISO date and time with the offset of this machine's zone."""
    metric: str
    eval: float | None
    """The best of the metric on the eval split, which chose the exported weights."""
    test: float | None
    flags: dict[str, str]
    """Those that the run was given; the others had their defaults."""
    data: str
    """The digest of the prepared data. Runs on other data are not comparable."""
    code: str
    """The digest of the source files that the model may consist of."""
    seconds: float | None
    best: bool = False


def results_of(runs: Path, study: Study | None) -> list[Result]:
    """Return the runs by their numbers, each with the metric that chose the newest; of equal ones the first is best."""
    folders = sorted(numbered(runs).items())
    metric, goal = objective_of([path for _, path in folders], study)
    found = [
        result(number, folder, metric, goal)
        for number, folder in folders
        if (folder / CONFIG).is_file() or (folder / RECORD).is_file()
    ]
    best = {best_of(group, goal) for group in grouped(found)}
    return [replace(each, best=each.run in best) for each in found]


def objective_of(folders: Sequence[Path], study: Study | None) -> tuple[str, str]:
    """Return the metric that chose the newest finished run, and its goal; earlier versions leave it to the study."""
    for metrics in (read_json(folder / METRICS) for folder in reversed(folders)):
        if {"metric", "goal"} <= metrics.keys():
            return metrics["metric"], metrics["goal"]
    return (study.options.metric, study.options.goal) if study and study.options.metric else LOSS


def result(number: int, folder: Path, metric: str, goal: str) -> Result:
    metrics, config = read_json(folder / METRICS), read_json(folder / CONFIG)
    identity, record = config.get("identity", {}), read(folder)
    began = (folder / (RECORD if (folder / RECORD).is_file() else CONFIG)).stat().st_mtime
    test = metrics.get(metric) if metrics.get("split") == "test" else None
    evaluations = [each[metric] for each in metrics.get("history", ()) if metric in each]
    return Result(
        run=number,
        started=datetime.fromtimestamp(began).astimezone().isoformat(timespec="seconds"),
        metric=metric,
        eval=(max if goal == "maximize" else min)(evaluations, default=None),
        test=test,
        flags={k: v for k, v in record.flags.items() if k not in NOT_SHOWN} if record else {},
        data=identity.get("data") or (record.data_id if record else ""),
        code=digest_of(identity.get("code", {})),
        seconds=metrics.get("wall_seconds"),
    )


def digest_of(files: Mapping[str, Any]) -> str:
    return sha256(json.dumps(files, sort_keys=True).encode()).hexdigest() if files else ""


def grouped(results: list[Result]) -> list[list[Result]]:
    """Return the runs by their data; those on the data of the newest run come first."""
    groups: dict[str, list[Result]] = {}
    for each in reversed(results):
        groups.setdefault(each.data, []).insert(0, each)
    return [*groups.values()]


def best_of(group: list[Result], goal: str) -> int | None:
    """Return the number of the run that is the best on the eval split, None if none has finished."""
    sign = 1.0 if goal == "maximize" else -1.0
    finished = [(sign * each.eval, -each.run) for each in group if each.eval is not None]
    return -max(finished)[1] if finished else None


def chosen_model(runs: Path, run: str, study: Study | None) -> Path:
    """Return the model of a run: its number, or `best` of those on the data of the newest; raise `UserError` if there is none."""
    results = results_of(runs, study)
    folders = {str(each.run): runs / f"{each.run:04d}" / MODEL for each in results}
    models = {run: path.parent for run, path in folders.items() if path.is_file()}
    best = [str(each.run) for each in results if each.best and each.data == results[-1].data]
    named = best[0] if run == "best" and best else run.lstrip("0")
    if named not in models:
        expected = f"best, or one of the runs {', '.join(models) or '(none)'}"
        raise UserError(f"there is no run {run} with a model", expected, "see nox -s runs")
    return models[named]


@dataclass(frozen=True)
class Comparison:
    """The evaluations of two runs on the same rows."""

    values: dict[str, tuple[float | None, float | None]]
    """By measure."""
    rows: int
    difference: float
    """The mean over the rows of the loss of the second minus that of the first."""
    error: float
    """Its standard error: the rows are paired, so that how hard they are plays no part."""


def compared(first: Path, second: Path) -> Comparison:
    """Compare two runs by their evaluations; raise `UserError` if one has none, or they are of other rows."""
    documents = [evaluation(folder) for folder in (first, second)]
    if documents[0]["source"]["rows_id"] != documents[1]["source"]["rows_id"]:
        texts = " and ".join(each["source"]["text"].partition(":")[0] for each in documents)
        what = f"{first.name} and {second.name} were evaluated on other rows ({texts})"
        fix = "run nox -s evaluate for both, with the same --input if their data differs"
        raise UserError(what, "evaluations of the same rows", fix)
    one, other = ({k: v["value"] for k, v in each["metrics"].items()} for each in documents)
    values = {name: (one.get(name), other.get(name)) for name in one | other}
    losses = (array("f", (folder / ROW_LOSSES).read_bytes()) for folder in (first, second))
    differences = [after - before for before, after in zip(*losses, strict=True)]
    rows = len(differences)
    error = stdev(differences) / math.sqrt(rows) if rows > 1 else math.inf
    return Comparison(values, rows, fmean(differences), error)


def evaluation(folder: Path) -> dict[str, Any]:
    found = read_json(folder / EVALUATION)
    if "rows_id" not in found.get("source", {}) or not (folder / ROW_LOSSES).is_file():
        fix = f"run nox -s evaluate -- --run {folder.name} first"
        raise UserError(f"{folder} has no evaluation", "one of this version", fix)
    return found
