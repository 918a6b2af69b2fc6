"""`nox -s submit`: check, build, upload, create, follow; and what else is done with jobs in the cloud."""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

from launcher.checks.bucket import bucket_findings, bucket_warnings
from launcher.checks.findings import require_sound
from launcher.commands.cloud_jobs import CloudJobOptions, list_or_cancel
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
from launcher.executors.vertex.jobs import CloudJob, JobService, load_client
from launcher.executors.vertex.send import Request, send
from launcher.executors.vertex.submissions import Submission
from launcher.packaging.sdist import SourceDistribution
from launcher.project import NOT_PREPARED, Project, build, job_of, run_of
from launcher.spec.custom_job import Run, custom_job_of
from launcher.spec.gcloud_file import gcloud_file
from launcher.spec.job_file import Job

POLLS_PER_PAUSE = 5
"""The first pause before searching for a created job again is this many times shorter than a poll's."""


@dataclasses.dataclass(frozen=True)
class SubmitOptions(CloudJobOptions):
    scale_tier: str | None = option(SCALE_TIER)
    region: str | None = option(REGION)
    bucket: str | None = option(BUCKET)
    dry_run: bool = flag(DRY_RUN)
    gcloud: bool = flag("print the job as a file for gcloud instead")
    trial: str | None = option(TRIAL)


def submit(project: Project, options: SubmitOptions, rest: list[str], console: Console) -> int:
    job = job_of(
        project,
        scale_tier=options.scale_tier,
        region=options.region,
        bucket=options.bucket,
        trial=options.trial,
    )
    if options.dry_run or options.gcloud:
        return show(project, job, rest, options.gcloud, console)
    code = list_or_cancel(project, job, options, JobService, console)
    if code is not None:
        return code
    request, submission, sent = deliver(
        project, job, options, rest, JobService, custom_job_of, console
    )
    if not options.wait and not sent.has_ended:
        return 0
    conclude = functools.partial(request.conclude, submission)
    follower = follow.job_follower(request.service, sent, console, options.poll_seconds)
    return follow.follow(follower, sent, follow.report_outcome, conclude)


def deliver(
    project: Project,
    job: Job,
    options: CloudJobOptions,
    rest: list[str],
    kind: type[JobService],
    resource_of: Callable[[Job, Run], Mapping[str, Any]],
    console: Console,
) -> tuple[Request, Submission, CloudJob]:
    """Check, build, upload and create, while no other command of this project does."""
    load_client()
    folder = submissions.folder_of(project)
    with submissions.lock_submissions(folder, console):
        distribution, run = ready(project, job, rest, console)
        request = Request(
            service=kind(job.cloud.project, job.cloud.region),
            resource=resource_of(job, run),
            folder=folder,
            fill_bucket=functools.partial(fill_bucket, job, run, distribution, console),
            console=console,
            pause_seconds=options.poll_seconds / POLLS_PER_PAUSE,
        )
        return request, *send(request, options.again, options.wait)


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


def fill_bucket(job: Job, run: Run, distribution: SourceDistribution, console: Console) -> None:
    client = storage.storage_client(job.cloud.project)
    if findings := bucket_findings(job, client):
        raise Refused(findings)
    for warning in bucket_warnings(job, client):
        console.warning(warning)
    storage.require_prepared(client, run.data_uri)
    storage.upload_package(client, distribution, run.package_uri, console)


COMMAND = Command("Send the job to Google Cloud.", SubmitOptions, submit, TASK_MODULE)
