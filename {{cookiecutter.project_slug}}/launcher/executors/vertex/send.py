"""Sends a job once, however often a command is interrupted and run again, and even if responses are lost.

Each step is recorded before the next, and the run's label is looked for before the job is created again.
"""

import contextlib
import dataclasses
import enum
import hashlib
import json
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.console import Console
from launcher.executors.vertex.jobs import ENDED, CloudJob, JobService
from launcher.executors.vertex.services import NoResponse, NotFound, RequestRefused
from launcher.files import write_atomically
from launcher.spec.custom_job import RUN_LABEL

DIGITS_OF_DIGEST = 32
SPECS = ("jobSpec", "trialJobSpec", "outputConfig")
"""Where a CustomJob, a HyperparameterTuningJob and a BatchPredictionJob have the address of their outputs."""
OUTPUTS = ("baseOutputDirectory", "gcsDestination", "bigqueryDestination")
MAX_CREATIONS = 4
MAX_LOOKUPS = 4
POLLS_PER_PAUSE = 5
"""The first pause before searching for a created job again is this many times shorter than a poll's."""
LONGEST_FACTOR = 8
"""The longest pause, as a multiple of the first one."""


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
    name = next(each for each in SPECS if each in custom_job)
    spec = {k: v for k, v in custom_job[name].items() if k not in OUTPUTS}
    kept = [project, region, {**custom_job, "labels": labels, name: spec}]
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:DIGITS_OF_DIGEST]


def save(folder: Path, submission: Submission) -> Submission:
    """Write a submission to its file, completely or not at all, and return it."""
    document = {**dataclasses.asdict(submission), "stage": submission.stage.name}
    write_atomically(folder / f"{submission.run}.json", json.dumps(document, indent=2) + "\n")
    return submission


def submissions_in(folder: Path, console: Console) -> list[Submission]:
    """Return the submissions that can be read, the newest first; warn of the others."""
    found = []
    for path in sorted(folder.glob("*.json"), reverse=True):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            found.append(Submission(**{**document, "stage": Stage[document["stage"]]}))
        except (OSError, ValueError, TypeError, KeyError):
            console.warning(f"{path} cannot be read, so whether its job was sent is not known")
    return found


@dataclass(frozen=True)
class Request:
    """How a job is sent."""

    service: JobService
    folder: Path
    """Where submissions are recorded."""
    fill_bucket: Callable[[], None]
    """Uploads what the job reads; called only before a job is created."""
    console: Console
    poll_seconds: float
    """How long to wait before the job's state is read again."""
    again: bool = False
    """Whether to send it although an equal job runs."""
    waits: bool = False
    """Whether to follow it to its end."""

    def record(self, submission: Submission, stage: Stage, job: CloudJob | None) -> Submission:
        state, resource = (job.state, job.resource) if job else ("", None)
        changed = dataclasses.replace(submission, stage=stage, state=state, job=resource)
        return save(self.folder, changed)


def send(
    request: Request, run: str, resource: Mapping[str, Any], record: Mapping[str, Any]
) -> tuple[Submission, CloudJob]:
    """Report and return the job of a run: that of an equal submission, or a new one."""
    project, region = request.service.project, request.service.region
    digest = digest_of(resource, project, region)
    earlier, job = earlier_job(request, digest)
    submission = earlier or Submission(run, digest, project, region, resource, record=record)
    if job is None:
        request.fill_bucket()
        submission = request.record(submission, Stage.PLANNED, None)
        job = create_once(request, submission, may_exist=earlier is not None)
    elif submission.stage >= Stage.REPORTED:
        request.console.step("job", "an equal job was sent before; --again sends another")
    submission = request.record(submission, max(submission.stage, Stage.CREATED), job)
    waits = request.waits or job.has_ended
    report(request, job, waits)
    return request.record(submission, Stage.REPORTED if waits else Stage.CONCLUDED, job), job


def earlier_job(request: Request, digest: str) -> tuple[Submission | None, CloudJob | None]:
    """Return the equal submission to resume, and its job; None for what does not exist.

    A concluded one is resumed only while its job runs, or if its outcome is wanted and was not reported yet.
    """
    known = submissions_in(request.folder, request.console)
    earlier = next((each for each in known if each.digest == digest), None)
    if earlier is None:
        return None, None
    if earlier.is_open(request.again):
        return earlier, known_job(request.service, earlier)
    job = None
    if not request.again and earlier.state not in ENDED:
        job = known_job(request.service, earlier)
    return (earlier, job) if job and (request.waits or not job.has_ended) else (None, None)


def known_job(service: JobService, submission: Submission) -> CloudJob | None:
    """Return the current job of a submission, None if it has none or the service deleted it."""
    with contextlib.suppress(NotFound):
        return service.get(submission.job) if submission.job else None
    return None


def create_once(request: Request, submission: Submission, may_exist: bool) -> CloudJob:
    """Return the one job of a submission: the service's, if it has one, else a new one.

    `may_exist` says that it may have been created before. Raises `NoResponse` if no request gets a response; if the
    service refuses, the submission is concluded.
    """
    lost: NoResponse | None = None
    for _ in range(MAX_CREATIONS):
        if (may_exist or lost) and (job := find_job(request, submission.run)):
            return job
        try:
            return request.service.create(submission.custom_job)
        except NoResponse as error:
            request.console.step("retry", "no response; checking whether the job exists")
            lost = error
        except RequestRefused:
            request.record(submission, Stage.CONCLUDED, None)
            raise
    if job := find_job(request, submission.run):
        return job
    assert lost
    raise lost


def find_job(request: Request, run: str) -> CloudJob | None:
    """Return the job of a run, None if the last of several requests does not find it.

    Several, because a request without a response may still be at work. Raises `NoResponse` if the last one has none.
    """
    for pause in pauses(request.poll_seconds / POLLS_PER_PAUSE, MAX_LOOKUPS):
        with contextlib.suppress(NoResponse):
            if job := request.service.find(run):
                return job
        time.sleep(pause)
    return request.service.find(run)


def pauses(first_seconds: float, count: int) -> list[float]:
    """Return pauses in seconds that double, each shortened at random by up to a half, so that clients do not retry together."""
    longest = [first_seconds * min(2**number, LONGEST_FACTOR) for number in range(count)]
    return [each * random.uniform(0.5, 1.0) for each in longest]


def report(request: Request, job: CloudJob, waits: bool) -> None:
    """Print where the job is and which commands follow and cancel it; its resource name goes to standard output."""
    console, command = request.console, f"nox -s {request.service.command} --"
    console.always(f"job      {job.id}, {job.state.lower()}: {job.address}")
    if not waits:
        print(job.resource)
        console.step("next", f"{command} --wait follows it")
    console.step("cancel", f"{command} --cancel {job.id}")
    console.step("outputs", job.output)
