"""The jobs that are in the cloud already: list them, cancel one."""

from launcher.checks.job_settings import ready_findings
from launcher.checks.machines import region_finding
from launcher.commands.options import CloudJobOptions
from launcher.commands.session import Session
from launcher.console import Console, Refused, UserError
from launcher.executors.vertex import submissions
from launcher.executors.vertex.jobs import CloudJob, JobService
from launcher.project import Project
from launcher.spec.job_file import Job

NEWEST = ("", "latest")
SHOWN_OF_TIME = len("2026-01-01T00:00:00")
HEADINGS = ("ID", "STATE", "CREATED (UTC)", "RUN")


def list_or_cancel(
    session: Session, options: CloudJobOptions, kind: type[JobService]
) -> int | None:
    """Run --list or --cancel and return the exit code, None without them.

    Raises `Refused` until job.toml names a project.
    """
    if unready := ready_findings(session.job):
        raise Refused(unready)
    if options.list:
        return list_jobs(session.job, kind, session.console)
    if options.cancel is not None:
        return cancel_job(session, options.cancel, kind)
    return None


def list_jobs(job: Job, kind: type[JobService], console: Console) -> int:
    if finding := region_finding(job.cloud.region):
        raise finding
    service = kind(job.cloud.project, job.cloud.region)
    jobs = service.list(f'display_name="{job.cloud.name}"')
    console.table(HEADINGS, map(row, jobs))
    return 0


def row(job: CloudJob) -> tuple[str, ...]:
    created = job.created[:SHOWN_OF_TIME].replace("T", " ")
    return (job.id, job.state, created, job.run)


def cancel_job(session: Session, wanted: str, kind: type[JobService]) -> int:
    resource = resource_of(session.project, session.job, wanted, kind.collection)
    _, owner, _, region, _, number = resource.split("/")
    service = kind(owner, region)
    job = service.get(resource)
    if job.has_ended:
        session.console.always(f"job      {number} has ended: {job.state.lower()}")
    else:
        service.cancel(resource)
        session.console.always(f"job      {number} is being cancelled: {job.address}")
    return 0


def resource_of(project: Project, job: Job, wanted: str, collection: str) -> str:
    """Return the resource name of a number, "" or latest; raise `UserError` if nothing was sent from here."""
    names = [each.job or "" for each in submissions.all_of(project.submissions)]
    sent = [name for name in names if f"/{collection}/" in name]
    if wanted in NEWEST:
        if not sent:
            raise UserError(
                "no job was sent from here",
                "the number of a job",
                "find it with --list, then --cancel NUMBER",
            )
        return sent[0]
    parent = f"projects/{job.cloud.project}/locations/{job.cloud.region}"
    named = (name for name in sent if name.rpartition("/")[2] == wanted)
    return next(named, wanted if "/" in wanted else f"{parent}/{collection}/{wanted}")
