"""Sends a job once, however often a command is interrupted and run again, and even if responses are lost.

Each step is recorded before the next, and the run's label is looked for before the job is created again.
"""

import contextlib
import dataclasses
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.console import Console
from launcher.executors.vertex import submissions
from launcher.executors.vertex.errors import NoResponse, RequestRefused
from launcher.executors.vertex.jobs import ENDED, CloudJob, JobService
from launcher.executors.vertex.storage import CODE_MISSING
from launcher.executors.vertex.submissions import Stage, Submission
from launcher.spec.custom_job import RUN_LABEL

MAX_CREATIONS = 4
MAX_LOOKUPS = 4
LONGEST_FACTOR = 8
"""The longest pause, as a multiple of the first one."""


@dataclass(frozen=True)
class Request:
    """A job that is about to be sent."""

    service: JobService
    resource: Mapping[str, Any]
    folder: Path
    """Where submissions are recorded."""
    fill_bucket: Callable[[], None]
    """Uploads what the job reads; called only before a job is created."""
    console: Console
    pause_seconds: float
    described: Mapping[str, Any] = field(default_factory=dict)
    """What is recorded of the run beside the job itself."""

    def planned(self) -> Submission:
        project, region = self.service.project, self.service.region
        digest = submissions.digest_of(self.resource, project, region)
        run = self.resource["labels"][RUN_LABEL]
        return Submission(run, digest, project, region, self.resource, record=self.described)

    def record(self, submission: Submission, stage: Stage, job: CloudJob | None) -> Submission:
        state, resource = (job.state, job.resource) if job else ("", None)
        changed = dataclasses.replace(submission, stage=stage, state=state, job=resource)
        return submissions.save(self.folder, changed)


def send(request: Request, again: bool, waits: bool) -> tuple[Submission, CloudJob]:
    """Report and return the job of the request: that of an equal submission, or a new one."""
    planned = request.planned()
    earlier, job = earlier_job(request, planned.digest, again, waits)
    submission = earlier or planned
    if job is None:
        request.fill_bucket()
        submission = request.record(submission, Stage.PLANNED, None)
        job = create_once(request, submission, may_exist=earlier is not None)
    elif submission.stage >= Stage.REPORTED:
        request.console.step("job", "an equal job was sent before; --again sends another")
    submission = request.record(submission, max(submission.stage, Stage.CREATED), job)
    waits = waits or job.has_ended
    report(request, job, waits)
    return request.record(submission, Stage.REPORTED if waits else Stage.CONCLUDED, job), job


def earlier_job(
    request: Request, digest: str, again: bool, waits: bool
) -> tuple[Submission | None, CloudJob | None]:
    """Return the equal submission to resume, and its job; None for what does not exist.

    A concluded one is resumed only while its job runs, or if its outcome is wanted and was not reported yet.
    """
    known = submissions.all_of(request.folder, request.console)
    earlier = next((each for each in known if each.digest == digest), None)
    if earlier is None:
        return None, None
    if earlier.is_open(again):
        return earlier, known_job(request.service, earlier)
    job = None if again or earlier.state in ENDED else known_job(request.service, earlier)
    return (earlier, job) if job and (waits or not job.has_ended) else (None, None)


def known_job(service: JobService, submission: Submission) -> CloudJob | None:
    """Return the current job of a submission, None if it has none or the service deleted it."""
    if submission.job is None:
        return None
    try:
        return service.get(submission.job)
    except RequestRefused as refusal:
        if refusal.code != CODE_MISSING:
            raise
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
    for pause in pauses(request.pause_seconds, MAX_LOOKUPS):
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
