"""What a run is, in `config.json`, and whether another may resume it in the same job folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer import __version__
from trainer.data.statistics import Statistics
from trainer.run.console import Console
from trainer.run.errors import UserError, shown
from trainer.run.identity import check_identity, foreign, identity_of
from trainer.run.outputs import Outputs, git_revision, read_json, write_json
from trainer.settings import Settings

REPORTED = {"baseline", "epochs", "rows_per_second", "split", "steps"}
MAY_CHANGE = ("epochs", "max_steps", "max_minutes", "patience")


def finished_metrics(
    outputs: Outputs, settings: Settings, statistics: Statistics, console: Console
) -> dict[str, Any] | None:
    """Return the metrics of a run that has finished in these outputs, None if it is to start or to resume.

    Raises `UserError` if the outputs belong to a run with other hyperparameters, data or code; warns of other versions.
    """
    earlier = read_json(outputs.config)
    if earlier is None:
        if any(outputs.checkpoints.glob("*.checkpoint")):
            raise UserError(
                f"{outputs.job_dir} holds checkpoints, and no {outputs.config.name} that says which run they are of",
                "the complete folder of one run",
                "restore that file, or name another --job-dir; nothing was changed",
            )
        return None
    had, identity = earlier.get("settings"), earlier.get("identity")
    if not isinstance(had, dict) or not isinstance(identity, dict):
        raise foreign(outputs.config)
    check_unchanged(settings, had, outputs.job_dir)
    now = identity_of(statistics.fingerprint)
    check_identity(identity, now, outputs.job_dir, console.warning)
    metrics = read_json(outputs.metrics) if had == settings.as_json() else None
    if metrics is not None and not metrics.keys() >= {*REPORTED, "wall_seconds"}:
        raise foreign(outputs.metrics)
    return metrics


def check_unchanged(settings: Settings, earlier: Mapping[str, Any], job_dir: Path) -> None:
    changed = [
        f"--{name.replace('_', '-')} {earlier[name]} (now {value})"
        for name, value in settings.as_json().items()
        if name not in MAY_CHANGE and name in earlier and earlier[name] != value
    ]
    if changed:
        raise UserError(
            f"{job_dir} holds a run with {', '.join(changed)}",
            "the same hyperparameters, so that the run can resume",
            "name another --job-dir; nothing was changed",
        )


def write_config(
    outputs: Outputs,
    settings: Settings,
    data_dir: Path,
    statistics: Statistics,
    environment: Mapping[str, str],
) -> None:
    """Write what the run is; the metrics of a shorter run, if it continues one, go."""
    # First, so that no other replica takes the metrics of the earlier run for those of this one.
    outputs.metrics.unlink(missing_ok=True)
    config = {
        "settings": settings.as_json(),
        "package_version": __version__,
        "git_revision": git_revision(environment),
        "data_dir": str(data_dir),
        "identity": identity_of(statistics.fingerprint),
    }
    write_json(outputs.config, config)


def check_metrics(metrics: Any, main: str) -> None:
    """Raise `UserError` unless what `train_and_evaluate` has returned can be reported, and written as JSON."""
    needed, found = {main, *REPORTED}, shown(metrics)
    try:
        json.dumps(metrics)
        if isinstance(metrics, dict) and metrics.keys() >= needed:
            return
    except (TypeError, ValueError) as error:
        found += f" ({error})"
    raise UserError(
        f"train_and_evaluate in trainer/model.py returns {found}",
        f"a dict of numbers, text, lists and dicts with {', '.join(sorted(needed))}",
        "return the metrics as the template's train_and_evaluate does",
    )
