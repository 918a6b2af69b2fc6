"""`nox -s check`: everything that would fail in the cloud, all findings at once."""

from dataclasses import dataclass

from launcher.checks.findings import findings, job_only_findings, report
from launcher.checks.job_settings import ready_findings
from launcher.checks.source_files import syntax_findings
from launcher.commands.options import BUCKET, REGION, SCALE_TIER, Command, Options, flag, option
from launcher.console import Console, Refused, UserError
from launcher.contract import TASK_MODULE
from launcher.project import Project, build, job_of, prepared_fingerprint
from launcher.spec.custom_job import data_uri
from launcher.spec.job_file import Job


@dataclass(frozen=True)
class CheckOptions(Options):
    scale_tier: str | None = option(SCALE_TIER)
    region: str | None = option(REGION)
    bucket: str | None = option(BUCKET)
    cloud: bool = flag("look at the bucket too; needs credentials")


def check(project: Project, options: CheckOptions, rest: list[str], console: Console) -> int:
    try:
        job = job_of(
            project, scale_tier=options.scale_tier, region=options.region, bucket=options.bucket
        )
    except UserError as error:
        raise Refused([error, *syntax_findings(project.folder)]) from error
    try:
        distribution = build(project, console)
    except UserError as error:
        known = [*job_only_findings(project, job, rest), *syntax_findings(project.folder)]
        raise Refused([error, *known]) from error
    found = findings(project, job, distribution, rest, console)
    if options.cloud:
        found += ready_findings(job) or cloud_findings(project, job, console)
    report(found, project, console)
    for unready in ready_findings(job):
        if not console.quiet:
            console.warning(unready)
    return 0


def cloud_findings(project: Project, job: Job, console: Console) -> list[UserError]:
    from launcher.checks.bucket import bucket_findings, bucket_warnings
    from launcher.executors.vertex.storage import require_prepared, storage_client

    client = storage_client(job.cloud.project)
    found = bucket_findings(job, client)
    if found:
        return found
    for warning in bucket_warnings(job, client):
        console.warning(warning)
    try:
        require_prepared(client, data_uri(job, prepared_fingerprint(project, job)))
    except UserError as error:
        return [error]
    return []


COMMAND = Command("Find what would fail in the cloud.", CheckOptions, check, TASK_MODULE)
