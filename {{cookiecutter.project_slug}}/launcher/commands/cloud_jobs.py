"""The jobs that are in the cloud already: list them, cancel one, download the results of one."""

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from launcher.checks.machines import region_finding
from launcher.commands.session import Session
from launcher.console import Console, UserError
from launcher.contract import CONFIG, METRICS
from launcher.executors.vertex import storage
from launcher.executors.vertex.jobs import SUCCEEDED, CloudJob, JobService
from launcher.executors.vertex.send import Submission, submissions_in
from launcher.spec.job_file import Job

NEWEST = "latest"
RESOURCE = re.compile(r"projects/[^/]+/locations/[^/]+/\w+/\d+")
SHOWN_OF_TIME = len("2026-01-01T00:00:00")
HEADINGS = ("ID", "STATE", "CREATED (UTC)", "RUN", "METRICS")
FETCHED = ("model/", CONFIG, METRICS)
MEASURES_OF_SPEED = {"rows_per_second", "wall_seconds"}


def list_or_cancel(session: Session, kind: type[JobService]) -> int | None:
    """Run --list, --cancel or --fetch and return the exit code, None without them.

    Raises `Refused` until job.toml names a project.
    """
    session.require_ready()
    options = session.options
    if options.list:
        return list_jobs(session.job, kind, session.console)
    if options.cancel is not None:
        return cancel_job(session, options.cancel, kind)
    if options.fetch is not None:
        return fetch_job(session, options.fetch)
    return None


def list_jobs(job: Job, kind: type[JobService], console: Console) -> int:
    if finding := region_finding(job.cloud.region):
        raise finding
    service = kind(job.cloud.project, job.cloud.region)
    jobs = service.list(f'display_name="{job.cloud.name}"')
    metrics = metrics_texts(storage.storage_client(job.cloud.project), jobs, console)
    times = [each.created[:SHOWN_OF_TIME].replace("T", " ") for each in jobs]
    rows = zip(jobs, times, metrics, strict=True)
    console.table(HEADINGS, [(each.id, each.state, at, each.run, text) for each, at, text in rows])
    return 0


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
    fetch(storage.storage_client(job.project), job, folder, session.console)
    print((folder / METRICS).read_text(encoding="utf-8").rstrip())
    session.console.step("fetch", f"{session.project.shown_path(folder)}, from {job.output}")
    session.console.step("next", "nox -s predict")
    return 0


def found_job(session: Session, wanted: str, kind: type[JobService]) -> tuple[JobService, CloudJob]:
    """Return a job by its number, its run's name or "latest", and its service; raise `UserError` if there is none."""
    sent = submissions_in(session.project.submissions, session.console)
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
    if wanted == NEWEST:
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


def metrics_texts(client: Any, jobs: Sequence[CloudJob], console: Console) -> list[str]:
    """Return the metrics of each job, "" for one that has left none; warn, once, if some cannot be read."""
    refusals: list[UserError] = []

    def text_of(job: CloudJob) -> str:
        try:
            return metrics_text(client, job)
        except UserError as error:
            refusals.append(error)
            return ""

    with ThreadPoolExecutor(storage.PARALLEL_REQUESTS) as pool:
        texts = list(pool.map(text_of, jobs))
    for refusal in refusals[:1]:
        console.warning(refusal)
    return texts


def metrics_text(client: Any, job: CloudJob) -> str:
    wanted = job.output and job.state == SUCCEEDED and not job.trials
    content = storage.read_bytes(client, f"{job.output}/{METRICS}") if wanted else None
    try:
        metrics = dict(json.loads(content or b"{}"))
    except (ValueError, TypeError):
        return ""
    numbers = {n: each for n, each in metrics.items() if isinstance(each, float)}
    return ", ".join(f"{n} {numbers[n]:.4f}" for n in numbers if n not in MEASURES_OF_SPEED)


def fetch(client: Any, job: CloudJob, folder: Path, console: Console) -> None:
    """Download model, configuration and metrics of a job into a folder; raise `UserError` if it has not finished.

    The metrics come last: their presence means that a run is complete.
    """
    remote = storage.list_objects(client, job.output) if job.output else {}
    if METRICS not in remote:
        raise UserError(
            f"job {job.id} ({job.state.lower()}) has left no {METRICS} in {job.output or 'any bucket'}",
            "a job that has succeeded",
            "find one with nox -s submit -- --list",
        )
    wanted = sorted(filter(lambda name: name.startswith(FETCHED), remote), key=FETCHED[-1].__eq__)
    storage.fetch_all(remote, wanted, folder, console)
