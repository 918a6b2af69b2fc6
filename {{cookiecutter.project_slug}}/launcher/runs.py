"""The folders of local runs: runs/0001, runs/0002 and so on."""

import re
from pathlib import Path

from launcher.console import UserError

RUN_NAME = re.compile(r"[0-9]{4,}")


def choose_job_dir(runs: Path) -> tuple[Path, bool]:
    """Return the folder of the next run, and whether that is a stopped run to go on with."""
    newest = max((int(path.name) for path in run_folders(runs)), default=0)
    folder = run_folder(runs, newest)
    if newest == 0 or (folder / "metrics.json").is_file():
        return run_folder(runs, newest + 1), False
    return folder, any(folder.iterdir())


def run_folders(runs: Path) -> list[Path]:
    """Return the numbered folders below `runs`."""
    if not runs.is_dir():
        return []
    return [path for path in runs.iterdir() if path.is_dir() and RUN_NAME.fullmatch(path.name)]


def run_folder(runs: Path, number: int) -> Path:
    """Return the folder of the run with that number."""
    return runs / f"{number:04d}"


def newest_model(runs: Path) -> Path:
    """Return the model that was written last; raise `UserError` if there is none."""
    models = list(runs.glob("*/model/saved_model.pb"))
    if not models:
        raise UserError(
            f"there is no trained model in {runs}",
            "a run that has come to its end",
            "run nox -s local_train first, or name a model with --model",
        )
    return max(models, key=lambda path: path.stat().st_mtime_ns).parent
