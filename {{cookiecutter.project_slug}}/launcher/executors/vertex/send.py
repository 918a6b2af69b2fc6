"""Sends a job once, however often a command is interrupted and run again: each step is recorded before the next."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.console import Console
from launcher.executors.vertex import submissions
from launcher.executors.vertex.create import create_once
from launcher.executors.vertex.errors import RequestRefused
from launcher.executors.vertex.jobs import ENDED, CloudJob, JobService
from launcher.executors.vertex.storage import CODE_MISSING
from launcher.executors.vertex.submissions import Stage, Submission
from launcher.spec.custom_job import RUN_LABEL


@dataclass(frozen=True)
class Request:
    """A job that is about to be sent."""

    service: JobService
    resource: Mapping[str, Any]
    """A CustomJob, or a HyperparameterTuningJob."""
    folder: Path
    """Where submissions are recorded."""
    fill_bucket: Callable[[], None]
    """Uploads what the job reads; called only before a job is created."""
    console: Console
    pause_seconds: float

    def planned(self) -> Submission:
        project, region = self.service.project, self.service.region
        digest = submissions.digest_of(self.resource, project, region)
        run = self.resource["labels"][RUN_LABEL]
        return Submission(run, digest, project, region, self.resource)

    def record(self, submission: Submission, stage: Stage, job: CloudJob | None) -> Submission:
        state, resource = (job.state, job.resource) if job else ("", None)
        changed = dataclasses.replace(submission, stage=stage, state=state, job=resource)
        return submissions.save(self.folder, changed)

    def conclude(self, submission: Submission, job: CloudJob) -> None:
        """Record how the job ended, after its outcome was reported."""
        self.record(submission, Stage.CONCLUDED, job)


def send(request: Request, again: bool, waits: bool) -> tuple[Submission, CloudJob]:
    """Report and return the job of the request: that of an equal submission, or a new one."""
    planned = request.planned()
    earlier, job = earlier_job(request, planned.digest, again, waits)
    submission = earlier or planned
    if job is None:
        request.fill_bucket()
        submission = request.record(submission, Stage.PLANNED, None)
        job = create(request, submission, may_exist=earlier is not None)
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
    earlier = submissions.newest_like(request.folder, digest)
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


def create(request: Request, submission: Submission, may_exist: bool) -> CloudJob:
    """Return the one job of a submission; if the service refuses it, the submission is concluded."""
    custom_job, run = submission.custom_job, submission.run
    service, console, pause = request.service, request.console, request.pause_seconds
    try:
        return create_once(service, custom_job, run, console, pause, may_exist)
    except RequestRefused:
        request.record(submission, Stage.CONCLUDED, None)
        raise


def report(request: Request, job: CloudJob, waits: bool) -> None:
    """Print where the job is and which commands follow and cancel it; its resource name goes to standard output."""
    console, command = request.console, f"nox -s {request.service.command} --"
    console.always(f"job      {job.id}, {job.state.lower()}: {job.address}")
    if not waits:
        print(job.resource)
        console.step("next", f"{command} --wait follows it")
    console.step("cancel", f"{command} --cancel {job.id}")
    console.step("outputs", f"gcloud storage cp -r {job.output} .")
