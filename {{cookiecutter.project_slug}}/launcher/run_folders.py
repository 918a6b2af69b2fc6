"""The folders of local runs, runs/0001 and so on, and of local studies, runs/study-0001 and so on."""

import contextlib
import json
import re
from pathlib import Path

from launcher.console import UserError
from launcher.contract import CONFIG, METRICS, SAVED_MODEL

RECORD = Path("record", "run.json")
"""In a job folder; what the run is, written before it starts."""
STUDY_PREFIX = "study-"
MODEL = Path("model", SAVED_MODEL)


def numbered(runs: Path, prefix: str = "") -> dict[int, Path]:
    """Return the folders below `runs` whose names are a prefix and at least four digits, by their numbers."""
    name = re.compile(prefix + r"([0-9]{4,})")
    return {
        int(match[1]): path
        for path in runs.glob(f"{prefix}*")
        if path.is_dir() and (match := name.fullmatch(path.name))
    }


def new_folder(runs: Path, prefix: str = "") -> Path:
    """Make and return the next folder, which no other command gets, even if both start at the same time."""
    number = max(numbered(runs, prefix), default=0)
    while True:
        number += 1
        folder = runs / f"{prefix}{number:04d}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder


def stopped_run(runs: Path) -> Path | None:
    """Return the newest run if it has not finished; it may be running still."""
    folders = numbered(runs)
    if not folders:
        return None
    newest = folders[max(folders)]
    # Without one of these it is a folder that another command has just made.
    has_begun = any((newest / name).is_file() for name in (RECORD, CONFIG))
    return newest if has_begun and not (newest / METRICS).is_file() else None


def run_folder(run: str, runs: str) -> str:
    """Return the folder of a run, which may be named by its number."""
    return f"{runs}/{int(run):04d}" if run.isdecimal() else run


def next_study(runs: Path, digest: str) -> tuple[Path, bool]:
    """Return the folder of a study, and whether that is an equal one to resume."""
    for folder in numbered(runs, STUDY_PREFIX).values():
        marker = folder / "digest"
        if marker.is_file() and marker.read_text(encoding="utf-8") == digest:
            return folder, True
    folder = new_folder(runs, STUDY_PREFIX)
    (folder / "digest").write_text(digest, encoding="utf-8")
    return folder, False


def best_arguments(runs: Path, trial: str) -> dict[str, str | int | float]:
    """Return the values of a trial of the newest study, `best` or its number; raise `UserError` if there is none."""
    studies = numbered(runs, STUDY_PREFIX)
    finished = [number for number in studies if (studies[number] / "study.json").is_file()]
    if not finished:
        remedy = "run nox -s tune -- --local first"
        raise UserError(f"there is no study in {runs}", "a finished one", remedy)
    path = studies[max(finished)] / "study.json"
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
        expected = f"best, or a number from 1 to {len(values)}"
        raise UserError(f"{path.parent.name} has no trial {trial}", expected, "correct --trial")
    return values[wanted]


def newest_model(runs: Path) -> Path:
    """Return the model of the run that finished last; raise `UserError` if there is none."""
    finished = [path for path in runs.glob(f"*/{METRICS}") if (path.parent / MODEL).is_file()]
    if not finished:
        raise UserError(
            f"no run in {runs} has finished with a model",
            "a finished run",
            "run nox -s local_train first, or name a model with --model",
        )
    return (max(finished, key=lambda path: path.stat().st_mtime_ns).parent / MODEL).parent
