"""The folders of local runs, runs/0001 and so on, and of local studies, runs/study-0001 and so on."""

import json
import re
from pathlib import Path

from launcher.console import UserError
from launcher.contract import METRICS, SAVED_MODEL

STUDY_PREFIX = "study-"


def numbered(runs: Path, prefix: str = "") -> dict[int, Path]:
    """Return the folders below `runs` whose names are a prefix and at least four digits, by their numbers."""
    name = re.compile(prefix + r"([0-9]{4,})")
    return {
        int(match[1]): path
        for path in runs.glob(f"{prefix}*")
        if path.is_dir() and (match := name.fullmatch(path.name))
    }


def choose_job_dir(runs: Path) -> tuple[Path, bool]:
    """Return the folder of the next run, and whether that is a stopped run to resume."""
    newest = max(numbered(runs), default=0)
    folder = runs / f"{newest:04d}"
    if newest == 0 or (folder / METRICS).is_file():
        return runs / f"{newest + 1:04d}", False
    return folder, any(folder.iterdir())


def next_study(runs: Path, digest: str) -> tuple[Path, bool]:
    """Return the folder of a study, and whether that is an equal one to resume."""
    for folder in numbered(runs, STUDY_PREFIX).values():
        marker = folder / "digest"
        if marker.is_file() and marker.read_text(encoding="utf-8") == digest:
            return folder, True
    return new_study(runs), False


def new_study(runs: Path) -> Path:
    newest = max(numbered(runs, STUDY_PREFIX), default=0)
    return runs / f"{STUDY_PREFIX}{newest + 1:04d}"


def best_arguments(runs: Path, trial: str) -> dict[str, str | int | float]:
    """Return the values of a trial of the newest study, `best` or its number; raise `UserError` if there is none."""
    studies = sorted(numbered(runs, STUDY_PREFIX).items())
    finished = [path for _, path in studies if (path / "study.json").is_file()]
    if not finished:
        raise UserError(
            f"there is no study in {runs}", "a finished one", "run nox -s tune -- --local first"
        )
    path = finished[-1] / "study.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        best = document["best"]
        values = {str(each["trial"]): dict(each["values"]) for each in document["trials"]}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}: {error})",
            "a file that nox -s tune -- --local of this version has written",
            "remove that file, and run nox -s tune -- --local again",
        ) from error
    if trial == "best" and best is None:
        raise UserError(
            f"no trial of {path.parent.name} has a result",
            "a study with a best trial",
            "see why its trials failed, and run nox -s tune again",
        )
    wanted = str(best) if trial == "best" else trial
    if wanted not in values:
        raise UserError(
            f"{path.parent.name} has no trial {trial}",
            f"best, or a number from 1 to {len(values)}",
            "correct --trial",
        )
    return values[wanted]


def newest_model(runs: Path) -> Path:
    """Return the model that was written last; raise `UserError` if there is none."""
    models = list(runs.glob(f"*/model/{SAVED_MODEL}"))
    if not models:
        raise UserError(
            f"there is no trained model in {runs}",
            "a finished run",
            "run nox -s local_train first, or name a model with --model",
        )
    return max(models, key=lambda path: path.stat().st_mtime_ns).parent
