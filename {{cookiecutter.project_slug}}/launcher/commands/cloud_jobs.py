"""The jobs that are in the cloud already: list them, cancel one, bring the results of one home."""

import re
from collections.abc import Sequence

from launcher.checks.machines import region_finding
from launcher.commands.session import Session
from launcher.console import Console, UserError
from launcher.contract import METRICS
from launcher.executors.vertex import outputs, submissions
from launcher.executors.vertex.jobs import CloudJob, JobService
from launcher.executors.vertex.storage import storage_client
from launcher.executors.vertex.submissions import Submission
from launcher.spec.job_file import Job

NEWEST = ("", "latest")
RESOURCE = re.compile(r"projects/[^/]+/locations/[^/]+/\w+/\d+")
SHOWN_OF_TIME = len("2026-01-01T00:00:00")
HEADINGS = ("ID", "STATE", "CREATED (UTC)", "RUN", "METRICS")


def list_or_cancel(session: Session, kind: type[JobService]) -> int | None:
    """Run --list, --cancel or --fetch and return the exit code, None without them.

    Raises `Refused` until job.toml names a project.
    """
    session.require_ready()
    options = vars(session.options)
    if options["list"]:
        return list_jobs(session.job, kind, session.console)
    if options["cancel"] is not None:
        return cancel_job(session, options["cancel"], kind)
    if options.get("fetch") is not None:
        return fetch_job(session, options["fetch"])
    return None


def list_jobs(job: Job, kind: type[JobService], console: Console) -> int:
    if finding := region_finding(job.cloud.region):
        raise finding
    service = kind(job.cloud.project, job.cloud.region)
    jobs = service.list(f'display_name="{job.cloud.name}"')
    metrics = outputs.metrics_texts(storage_client(job.cloud.project), jobs, console)
    console.table(HEADINGS, map(row, jobs, metrics))
    return 0


def row(job: CloudJob, metrics: str) -> tuple[str, ...]:
    created = job.created[:SHOWN_OF_TIME].replace("T", " ")
    return (job.id, job.state, created, job.run, metrics)


def cancel_job(session: Session, wanted: str, kind: type[JobService]) -> int:
    service, job = found_job(session, wanted, kind)
    if job.has_ended:
        session.console.always(f"job      {job.id} has ended: {job.state.lower()}")
    else:
        service.cancel(job.resource)
        session.console.always(f"job      {job.id} is being cancelled: {job.address}")
    return 0


def fetch_job(session: Session, wanted: str) -> int:
    _, job = found_job(session, wanted, JobService)
    folder = session.project.runs / (job.run or job.id)
    outputs.fetch(storage_client(job.project), job, folder, session.console)
    print((folder / METRICS).read_text(encoding="utf-8").rstrip())
    session.console.step("fetch", f"{session.project.shown_path(folder)}, from {job.output}")
    session.console.step("next", "nox -s predict")
    return 0


def found_job(session: Session, wanted: str, kind: type[JobService]) -> tuple[JobService, CloudJob]:
    """Return a job by its number, its run's name or "latest", and its service; raise `UserError` if there is none."""
    sent = submissions.all_of(session.project.submissions, session.console)
    resource = resource_of(sent, session.job, wanted, kind.collection)
    if resource:
        _, owner, _, region, _, _ = resource.split("/")
        service = kind(owner, region)
        return service, service.get(resource)
    service = kind(session.job.cloud.project, session.job.cloud.region)
    if job := service.find(wanted):
        return service, job
    expected = "the number or the run of a job"
    raise UserError(f"there is no job of the run {wanted}", expected, "find it with --list")


def resource_of(known: Sequence[Submission], job: Job, wanted: str, collection: str) -> str | None:
    """Return the resource name of a number, a run that was sent from here, or "latest"; None for another run.

    Raises `UserError` if nothing was sent from here.
    """
    sent = [each for each in known if f"/{collection}/" in (each.job or "")]
    if wanted in NEWEST:
        if not sent:
            remedy = "find it with --list, and name it"
            raise UserError("no job was sent from here", "the number of a job", remedy)
        return sent[0].job
    for each in sent:
        if wanted in (each.run, each.job, str(each.job).rpartition("/")[2]):
            return each.job
    if wanted.isdecimal():
        return f"projects/{job.cloud.project}/locations/{job.cloud.region}/{collection}/{wanted}"
    return wanted if RESOURCE.fullmatch(wanted) else None
