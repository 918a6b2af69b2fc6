"""What a run is, in `config.json` and its checkpoints, and whether another may resume it in the same job folder."""

import functools
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trainer import __version__
from trainer.run.errors import UserError, shown
from trainer.run.outputs import CONFIG, Outputs, git_revision, read_json, write_json

PACKAGE = Path(__file__).resolve().parents[1]
# Code that cannot change what is trained, below the package.
BESIDE_THE_MODEL = (
    *("arguments.py", "batch.py", "endpoint.py", "evaluate.py", "monitor.py", "plan.py"),
    *("predict.py", "prepare.py", "publish.py", "serve.py", "smoke.py", "task.py"),
    *("evaluation/", "preprocessing/", "run/", "server/"),
)
REPORTED = {"baseline", "epochs", "rows_per_second", "split", "steps"}
OTHER_FOLDER = "name another --job-dir; nothing was changed"
MAY_CHANGE = ("epochs", "max_steps", "max_minutes", "patience", "memory_mb")


@functools.cache  # of the code as it was imported, whatever happens to the files meanwhile
def identity_of(data: str) -> dict[str, Any]:
    """Return the fingerprint of the data, a digest of each source file of the model, and versions, all JSON-able."""
    versions = {"python": platform.python_version()}
    for name in ("keras", "tensorflow", "tensorflow-cpu"):
        for found in importlib.metadata.distributions(name=name):
            versions[name.removesuffix("-cpu")] = found.version
    return {"data": data, "code": code_digests(PACKAGE), "versions": versions}


def code_digests(package: Path) -> dict[str, str]:
    """Return a digest of each file below `package` that the model may consist of; line ends do not count."""
    names = {path.relative_to(package).as_posix(): path for path in sorted(package.rglob("*.py"))}
    return {
        f"{package.name}/{name}": hashlib.sha256(
            path.read_bytes().replace(b"\r\n", b"\n")
        ).hexdigest()[:16]
        for name, path in names.items()
        if not name.startswith(BESIDE_THE_MODEL)
    }


def write_config(
    outputs: Outputs,
    settings: Mapping[str, Any],
    data_dir: Path,
    fingerprint: str,
    environment: Mapping[str, str],
) -> None:
    """Write what the run is; the metrics of a shorter run, if it continues one, go."""
    # First, so that no other replica takes the metrics of the earlier run for those of this one.
    outputs.metrics.unlink(missing_ok=True)
    config = {
        "settings": settings,
        "package_version": __version__,
        "git_revision": git_revision(environment),
        "data_dir": str(data_dir),
        "identity": identity_of(fingerprint),
    }
    write_json(outputs.config, config)


def finished_metrics(
    outputs: Outputs, settings: Mapping[str, Any], fingerprint: str, warn: Callable[[str], None]
) -> dict[str, Any] | None:
    """Return the metrics of a run that has finished in these outputs, None if it is to start or to resume.

    Raises `UserError` if the outputs belong to a run with other hyperparameters, data or code; warns of other versions.
    """
    earlier = read_json(outputs.config)
    if earlier is None:
        if any(outputs.checkpoints.glob("*.checkpoint")):
            what = f"{outputs.job_dir} holds checkpoints, and no {CONFIG} that says which run they are of"
            fix = f"restore that file, or {OTHER_FOLDER}"
            raise UserError(what, "the complete folder of one run", fix)
        return None
    had, identity = earlier.get("settings"), earlier.get("identity")
    if not isinstance(had, dict) or not isinstance(identity, dict):
        raise foreign(outputs.config)
    check_settings(settings, had, outputs.job_dir)
    check_identity(identity, identity_of(fingerprint), outputs.job_dir, warn)
    metrics = read_json(outputs.metrics) if had == settings else None
    if metrics is not None and not metrics.keys() >= {*REPORTED, "wall_seconds"}:
        raise foreign(outputs.metrics)
    return metrics


def check_settings(settings: Mapping[str, Any], earlier: Mapping[str, Any], job_dir: Path) -> None:
    changed = [
        f"--{name.replace('_', '-')} {earlier[name]} (now {value})"
        for name, value in settings.items()
        if name not in MAY_CHANGE and name in earlier and earlier[name] != value
    ]
    if changed:
        what = f"{job_dir} holds a run with {', '.join(changed)}"
        expected = "the same hyperparameters, so that the run can resume"
        raise UserError(what, expected, OTHER_FOLDER)


def check_identity(
    earlier: Mapping[str, Any], now: Mapping[str, Any], where: Path, warn: Callable[[str], None]
) -> None:
    """Raise `UserError` if what `where` holds is of other data or code; warn if only versions differ."""
    if set(earlier) != set(now):
        raise foreign(where)
    if earlier["data"] != now["data"]:
        what = f"{where} holds a run on other data"
        raise UserError(what, "the prepared data that the run began with", OTHER_FOLDER)
    if changed := changes(earlier["code"], now["code"]):
        what = f"{where} holds a run of other code ({', '.join(changed)})"
        fix = f"undo the change, or {OTHER_FOLDER}"
        raise UserError(what, "the code that the run began with", fix)
    for name in changes(earlier["versions"], now["versions"]):
        was, is_now = (each["versions"].get(name, "none") for each in (earlier, now))
        warn(f"{where} holds a run with {name} {was} (now {is_now}); results may differ a little")


def changes(earlier: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the keys with another value, or in one of both alone."""
    return sorted(name for name in {*earlier, *now} if earlier.get(name) != now.get(name))


def foreign(path: Path) -> UserError:
    what = f"{path} was not written by a run of this version"
    return UserError(what, "the outputs of one run", OTHER_FOLDER)


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
