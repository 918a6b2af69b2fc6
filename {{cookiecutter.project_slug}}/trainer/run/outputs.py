"""Where a run writes: the job folder or the folders that Vertex AI sets, and the files in them."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.run.errors import UserError, shown
from trainer.run.locks import held

BUCKET_MOUNT = "/gcs"
SAVED_MODEL = "saved_model.pb"  # in the folder of the model
METRICS, CONFIG = "metrics.json", "config.json"
EVALUATION, ROW_LOSSES = "evaluation/evaluation.json", "evaluation/row_losses.bin"
TUNING_METRIC_FILE = "/tmp/hypertune/output.metrics"
TUNING_RECORDS_KEPT = 100


@dataclass(frozen=True)
class Outputs:
    job_dir: Path
    model: Path
    checkpoints: Path
    logs: Path

    @property
    def metrics(self) -> Path:
        """The final metrics as JSON; written last, so that its presence means that the run has finished."""
        return self.job_dir / METRICS

    @property
    def lock(self) -> Path:
        """The file that a run holds, so that no other writes to the same folder."""
        return self.job_dir / ".lock"

    @property
    def config(self) -> Path:
        """Every argument, the versions and the data of the run as JSON."""
        return self.job_dir / CONFIG


def local_path(address: str, environment: Mapping[str, str]) -> Path:
    """Return where `address` is read and written: `gs://bucket/x` lies below the mount of Cloud Storage.

    Links are followed, so that messages name the folders that the user has and not the mount of a local run.

    Source: https://cloud.google.com/vertex-ai/docs/training/cloud-storage-file-system
    """
    if not address.startswith("gs://"):
        return Path(address)
    return (
        Path(environment.get("GCS_ROOT", BUCKET_MOUNT)) / address.removeprefix("gs://")
    ).resolve()


def outputs_of(job_dir: str | None, environment: Mapping[str, str]) -> Outputs:
    """Return the outputs below `--job-dir`, or where the variables of Vertex AI point.

    Source: https://cloud.google.com/vertex-ai/docs/training/code-requirements
    """
    if job_dir:
        base = local_path(job_dir, environment)
        return Outputs(base, base / "model", base / "checkpoints", base / "logs")
    if not environment.get("AIP_MODEL_DIR"):
        raise UserError(
            "neither --job-dir nor AIP_MODEL_DIR says where to write",
            "a folder or a gs:// address for the model, checkpoints and logs",
            "give --job-dir, or set baseOutputDirectory in the job",
        )
    model = local_path(environment["AIP_MODEL_DIR"].rstrip("/"), environment)

    def folder(variable: str, name: str) -> Path:
        address = environment.get(variable, "").rstrip("/")
        return local_path(address, environment) if address else model.parent / name

    checkpoints = folder("AIP_CHECKPOINT_DIR", "checkpoints")
    return Outputs(model.parent, model, checkpoints, folder("AIP_TENSORBOARD_LOG_DIR", "logs"))


@contextlib.contextmanager
def sole_run(outputs: Outputs, writes: bool) -> Iterator[None]:
    """Hold the job folder if this process `writes` to it; raise `UserError` if another run does."""
    if not writes:
        yield
        return
    try:
        outputs.job_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the job folder {outputs.job_dir} cannot be created ({error.strerror})",
            "a folder that this process can write to",
            "name another --job-dir",
        ) from error

    def refuse() -> None:
        raise UserError(
            f"another run is writing to {outputs.job_dir}",
            "a job folder for each run",
            "wait until that run has ended, or name another --job-dir",
        )

    with held(outputs.lock, refuse):
        yield


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file, empty if it holds none, None if there is no file or it is incomplete."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    except UnicodeDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as JSON, atomically."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def git_revision(environment: Mapping[str, str]) -> str | None:
    """Return the revision that the launcher recorded, or that of the working folder, if there is one."""
    if environment.get("GIT_REVISION"):
        return environment["GIT_REVISION"]
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def report_to_tuning(metric: str, value: float, step: int, environment: Mapping[str, str]) -> None:
    """Report the metric to hyperparameter tuning, in the format of cloudml-hypertune; outside a trial do nothing.

    Source: https://github.com/GoogleCloudPlatform/cloudml-hypertune
    """
    if "CLOUD_ML_TRIAL_ID" not in environment and "CLOUD_ML_HP_METRIC_FILE" not in environment:
        return
    path = Path(environment.get("CLOUD_ML_HP_METRIC_FILE", TUNING_METRIC_FILE))
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "checkpoint_path": "",
        "global_step": str(step),
        "timestamp": time.time(),
        "trial": environment.get("CLOUD_ML_TRIAL_ID", "0"),
        metric: str(value),
    }
    earlier = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    lines = [*earlier, json.dumps(record, sort_keys=True)][-TUNING_RECORDS_KEPT:]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def check_data_dir(address: str | None, environment: Mapping[str, str]) -> Path:
    expected = "the folder that `python -m trainer.prepare` has written"
    if not address:
        fix = "give --data-dir data/prepared, for example"
        raise UserError("--data-dir is not given", expected, fix)
    folder = local_path(address, environment)
    if not folder.is_dir():
        what = f"--data-dir {shown(address)}: there is no folder {folder}"
        raise UserError(what, expected, "run `nox -s prepare`, or correct the address")
    return folder
