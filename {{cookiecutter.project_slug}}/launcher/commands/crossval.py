"""`nox -s crossval`: how much a metric depends on which rows are trained on."""

import dataclasses
import json
import statistics
from pathlib import Path

from launcher.commands.local_train import new_record, run_record
from launcher.commands.prepare import run_prepare
from launcher.commands.session import Session
from launcher.console import Console, UserError
from launcher.contract import METRICS
from launcher.files import read_json, write_atomically
from launcher.runs import new_folder

PREFIX = "crossval-"
RESULT = "crossval.json"
FEWEST_FOLDS, MOST_FOLDS = 2, 100


def crossval(session: Session) -> int:
    """Train as often as there are folds, each time without one, test on that one, and report the spread.

    The folder of the results gets RESULT at last, so that without it they are not complete.
    """
    project, count, console = session.project, session.options.folds, session.console
    if not FEWEST_FOLDS <= count <= MOST_FOLDS:
        expected = f"an integer from {FEWEST_FOLDS} to {MOST_FOLDS}"
        raise UserError(f"--folds is {count}", expected, "write --folds 5, for example")
    session.check()
    folder = new_folder(project.runs, PREFIX)
    console.step("folds", f"{count}, in {project.shown_path(folder)}")
    values = []
    for number in range(1, count + 1):
        if code := run_fold(session, number, folder / str(number)):
            return code
        name, value = test_metric(folder / str(number), count)
        values.append(value)
        console.step(f"fold {number}", f"test {name} {value:.4f}")
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    result = {"metric": name, "values": values, "mean": mean, "deviation": deviation}
    write_atomically(folder / RESULT, json.dumps(result, indent=1) + "\n")
    spread = f"{mean:.4f} ± {deviation:.4f}, the standard deviation over {count} folds"
    console.step("result", f"test {name} {spread}")
    return 0


def test_metric(folder: Path, count: int) -> tuple[str, float]:
    """Return the metric that chose the weights of a fold's run, and its value; raise `UserError` if it is undefined there."""
    found = read_json(folder / METRICS)
    name = found.get("metric", "")
    if name not in found:
        what = f"fold {folder.name} of {count} has no metric {name}".rstrip()
        expected = "test rows of several classes or numbers, and a trainer that names its metric"
        raise UserError(what, expected, "take fewer --folds, or another --metric")
    return name, found[name]


def run_fold(session: Session, number: int, folder: Path) -> int:
    """Prepare and train without a fold, and test on it; return the exit code."""
    data, options = str(folder / "data"), session.options
    options = dataclasses.replace(options, data_dir=data, job_dir=str(folder), quiet=True)
    one = dataclasses.replace(session, options=options, console=Console(quiet=True))
    # As they were checked, so that an edit meanwhile is part of no fold.
    vars(one).update(job=session.job, package=session.package)
    fold = f"{number}/{session.options.folds}"
    if code := run_prepare(one, "--output", data, "--fold", fold):
        return code
    return run_record(one, new_record(one))
