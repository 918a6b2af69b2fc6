"""Records of what is sent, written before it is sent, so that nothing is sent twice."""

import dataclasses
import enum
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.console import Console
from launcher.files import write_atomically
from launcher.spec.custom_job import RUN_LABEL

DIGITS_OF_DIGEST = 32


class Stage(enum.IntEnum):
    """How far a submission has come. Each stage is written to its file before the next one begins."""

    PLANNED = 0
    """The job may have been created, but no response says so."""
    CREATED = 1
    """The job's resource name is known."""
    REPORTED = 2
    """The user was shown the job."""
    CONCLUDED = 3
    """The command has ended: it reported the job's outcome or the refusal, or was not asked to wait."""


@dataclass(frozen=True)
class Submission:
    """One run that was sent, or was about to be."""

    run: str
    digest: str
    """Equal for jobs that differ in nothing but the run's name."""
    project: str
    region: str
    custom_job: Mapping[str, Any]
    """What was sent: a CustomJob, or a HyperparameterTuningJob."""
    job: str | None = None
    """The resource name that the service gave it; None while no response is known."""
    state: str = ""
    """The job's last known state; "" before the first response."""
    stage: Stage = Stage.PLANNED
    record: Mapping[str, Any] = field(default_factory=dict)
    """The typed command, digests of package and data, uncommitted files, and the versions that were checked with."""

    def is_open(self, again: bool) -> bool:
        """Return whether a command for an equal job resumes this one; with `again`, only one that was never reported."""
        return self.stage < (Stage.REPORTED if again else Stage.CONCLUDED)


def new_run_name() -> str:
    """Return a name for a run, unique enough for a label: the time in UTC, and six random digits."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"


def digest_of(custom_job: Mapping[str, Any], project: str, region: str) -> str:
    """Return the digest of a job without its run's name and the address of its outputs."""
    labels = {key: value for key, value in custom_job["labels"].items() if key != RUN_LABEL}
    name = "jobSpec" if "jobSpec" in custom_job else "trialJobSpec"
    spec = {k: v for k, v in custom_job[name].items() if k != "baseOutputDirectory"}
    kept = [project, region, {**custom_job, "labels": labels, name: spec}]
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:DIGITS_OF_DIGEST]


def save(folder: Path, submission: Submission) -> Submission:
    """Write a submission to its file, completely or not at all, and return it."""
    document = {**dataclasses.asdict(submission), "stage": submission.stage.name}
    write_atomically(folder / f"{submission.run}.json", json.dumps(document, indent=2) + "\n")
    return submission


def all_of(folder: Path, console: Console) -> list[Submission]:
    """Return the submissions that can be read, the newest first; warn of the others."""
    found = []
    for path in sorted(folder.glob("*.json"), reverse=True):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            found.append(Submission(**{**document, "stage": Stage[document["stage"]]}))
        except (OSError, ValueError, TypeError, KeyError):
            console.warning(f"{path} cannot be read, so whether its job was sent is not known")
    return found
