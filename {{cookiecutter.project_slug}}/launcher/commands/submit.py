"""`nox -s submit`: check, build, upload, create, follow; and what else is done with jobs in the cloud."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from launcher.checks.bucket import bucket_findings, bucket_warnings
from launcher.checks.findings import require_sound
from launcher.commands.cloud_jobs import CloudJobOptions, answered
from launcher.commands.options import (
    BUCKET,
    DRY_RUN,
    REGION,
    SCALE_TIER,
    TRIAL,
    Command,
    flag,
    option,
)
from launcher.console import Console, Refused
from launcher.contract import TASK_MODULE
from launcher.executors.vertex import follow, storage, submissions
from launcher.executors.vertex.create import the_job
from launcher.executors.vertex.errors import Refusal
from launcher.executors.vertex.jobs import ENDED, CloudJob, JobService, load_client
from launcher.executors.vertex.submissions import Submission
from launcher.packaging.sdist import SourceDistribution
from launcher.project import NOT_PREPARED, Project, build, job_of, run_of
from launcher.spec.custom_job import Run, custom_job_of
from launcher.spec.gcloud_file import gcloud_file
from launcher.spec.job_file import Job

POLLS_PER_PAUSE = 5
"""The first pause before looking for a job again is so many times shorter than that between two states."""


@dataclasses.dataclass(frozen=True)
class SubmitOptions(CloudJobOptions):
    """The options of `nox -s submit`."""

    scale_tier: str | None = option(SCALE_TIER)
    region: str | None = option(REGION)
    bucket: str | None = option(BUCKET)
    dry_run: bool = flag(DRY_RUN)
    gcloud: bool = flag("print the job as a file for gcloud instead")
    trial: str | None = option(TRIAL)


@dataclasses.dataclass(frozen=True)
class Sending:
    """What is about to be sent, and where to."""

    project: Project
    job: Job
    distribution: SourceDistribution
    run: Run
    console: Console
    service: JobService
    resource: Mapping[str, Any]
    """A CustomJob, or a HyperparameterTuningJob."""
    pause_seconds: float

    @property
    def folder(self) -> Path:
        """Where submissions are kept."""
        return submissions.folder_of(self.project)

    def planned(self) -> Submission:
        """Return what is written down before the job is created."""
        cloud = self.job.cloud
        digest = submissions.digest_of(self.resource, cloud.project, cloud.region)
        return Submission(self.run.name, digest, cloud.project, cloud.region, self.resource)


def submit(project: Project, options: SubmitOptions, rest: list[str], console: Console) -> int:
    """Send the job to Google Cloud, or do with jobs there what an option says; return the exit code."""
    job = job_of(
        project,
        scale_tier=options.scale_tier,
        region=options.region,
        bucket=options.bucket,
        trial=options.trial,
    )
    if options.dry_run or options.gcloud:
        return show(project, job, rest, options.gcloud, console)
    code = answered(project, job, options, JobService, console)
    if code is not None:
        return code
    sending, submission, cloud_job = deliver(
        project, job, options, rest, JobService, custom_job_of, console
    )
    if options.wait or cloud_job.has_ended:
        return follow_job(sending, submission, cloud_job, options.poll_seconds)
    return 0


def deliver(
    project: Project,
    job: Job,
    options: CloudJobOptions,
    rest: list[str],
    kind: type[JobService],
    resource_of: Callable[[Job, Run], Mapping[str, Any]],
    console: Console,
) -> tuple[Sending, Submission, CloudJob]:
    """Check, build, upload and create, while no other command of this project does."""
    load_client()
    with submissions.only_one(submissions.folder_of(project), console):
        distribution, run = ready(project, job, rest, console)
        service = kind(job.cloud.project, job.cloud.region)
        pause = options.poll_seconds / POLLS_PER_PAUSE
        resource = resource_of(job, run)
        sending = Sending(project, job, distribution, run, console, service, resource, pause)
        return sending, *send(sending, options.again, options.wait)


def ready(
    project: Project, job: Job, arguments: list[str], console: Console
) -> tuple[SourceDistribution, Run]:
    """Return the package and the run that are sent; raise `Refused` or `UserError` if they should not be."""
    distribution = build(project, console)
    require_sound(project, job, distribution, arguments, console)
    run = run_of(project, job, distribution, submissions.new_run_name(), arguments)
    if run.data_uri.endswith(NOT_PREPARED):
        raise storage.not_prepared()
    return distribution, run


def show(
    project: Project, job: Job, arguments: list[str], for_gcloud: bool, console: Console
) -> int:
    """Print the job, and nothing else, on standard output. Needs no credentials and no network."""
    distribution = build(project, console)
    require_sound(project, job, distribution, arguments, console)
    run = run_of(project, job, distribution, submissions.new_run_name(), arguments)
    if run.data_uri.endswith(NOT_PREPARED):
        console.step("data", "not prepared yet: its address will end in its fingerprint")
    custom_job = custom_job_of(job, run)
    if for_gcloud:
        print(gcloud_file(custom_job, job.cloud.project, job.cloud.region), end="")
    else:
        print(json.dumps(custom_job, indent=2))
    console.step("next", f"the package goes to {run.package_uri}, the data to {run.data_uri}")
    return 0


def send(sending: Sending, again: bool, waits: bool) -> tuple[Submission, CloudJob]:
    """Return the one job of what is sent, which was there already or is new, after telling the user of it."""
    planned = sending.planned()
    earlier = submissions.newest_like(sending.folder, planned.digest)
    adopted = earlier if submissions.is_open(earlier, again) else None
    cloud_job = known_job(sending.service, adopted)
    if adopted is None and earlier and not again:
        cloud_job = untold_job(sending.service, earlier, waits)
        adopted = earlier if cloud_job else None
    submission = adopted or planned
    if cloud_job is None:
        fill_bucket(sending)
        submission = submissions.save(sending.folder, dataclasses.replace(submission, job=None))
        cloud_job = create(sending, submission, may_exist=adopted is not None)
    elif submission.told:
        sending.console.step("job", "an equal job was sent before; --again sends another")
    submission = submissions.save(
        sending.folder,
        dataclasses.replace(submission, job=cloud_job.resource, state=cloud_job.state),
    )
    waits = waits or cloud_job.has_ended
    tell(cloud_job, sending, waits)
    told = dataclasses.replace(submission, told=True, concluded=not waits)
    return submissions.save(sending.folder, told), cloud_job


def known_job(service: JobService, submission: Submission | None) -> CloudJob | None:
    """Return the job of a submission as it is now, None if it has none, or none any more."""
    if submission is None or submission.job is None:
        return None
    try:
        return service.get(submission.job)
    except Refusal as refusal:
        if refusal.code != storage.CODE_MISSING:
            raise
    return None


def untold_job(service: JobService, earlier: Submission, waits: bool) -> CloudJob | None:
    """Return the job of an earlier submission if it has not ended, or if its verdict is wanted but not known yet."""
    job = known_job(service, earlier) if earlier.state not in ENDED else None
    return job if job and (waits or not job.has_ended) else None


def fill_bucket(sending: Sending) -> None:
    """See that the bucket can be used and has the data, and upload the package."""
    job = sending.job
    client = storage.storage_client(job.cloud.project)
    if findings := bucket_findings(job, client):
        raise Refused(findings)
    for warning in bucket_warnings(job, client):
        sending.console.always(f"warning: {warning}")
    storage.require_prepared(client, sending.run.data_uri)
    storage.upload_package(client, sending.distribution, sending.run.package_uri, sending.console)


def create(sending: Sending, submission: Submission, may_exist: bool) -> CloudJob:
    """Return the one job of a submission; a refusal by the service concludes it."""
    try:
        return the_job(
            sending.service,
            submission.custom_job,
            submission.run,
            sending.console,
            sending.pause_seconds,
            may_exist,
        )
    except Refusal:
        submissions.save(sending.folder, dataclasses.replace(submission, concluded=True))
        raise


def tell(job: CloudJob, sending: Sending, waits: bool) -> None:
    """Say where the job is and what can be done with it; its resource name goes to standard output."""
    console, command = sending.console, f"nox -s {sending.service.command} --"
    console.always(f"job      {job.id}, {job.state.lower()}: {job.address}")
    if not waits:
        print(job.resource)
        console.step("next", f"{command} --wait follows it")
    console.step("cancel", f"{command} --cancel {job.id}")
    console.step("outputs", f"gcloud storage cp -r {job.output} .")


def follow_job(sending: Sending, submission: Submission, job: CloudJob, poll_seconds: float) -> int:
    """Follow the job to its verdict, which concludes the submission; return the exit code."""
    note = noter(sending, submission)
    return follow.follow(sending.service, job, sending.console, note, poll_seconds)


def noter(sending: Sending, submission: Submission) -> Callable[[CloudJob], None]:
    """Return what writes down that a submission is concluded."""

    def note(ended: CloudJob) -> None:
        """Write down how the job ended."""
        concluded = dataclasses.replace(submission, state=ended.state, concluded=True)
        submissions.save(sending.folder, concluded)

    return note


COMMAND = Command("Send the job to Google Cloud.", SubmitOptions, submit, TASK_MODULE)
