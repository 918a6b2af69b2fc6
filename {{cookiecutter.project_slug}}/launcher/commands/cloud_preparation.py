"""`nox -s prepare -- --engine vertex`: the same preparation as a CustomJob of one machine, whose result comes here."""

import dataclasses
import functools
import json
import shlex
import shutil
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from launcher import runs
from launcher.checks.bucket import bucket_findings, existing, misplaced_finding
from launcher.commands.session import Session
from launcher.commands.submit import cost_of
from launcher.console import Console, Refused, UserError, shown
from launcher.contract import PREPARED_WITH, SOURCE, STATISTICS
from launcher.executors.vertex import storage
from launcher.executors.vertex.follow import job_log, report_failure, send_and_follow
from launcher.executors.vertex.jobs import SUCCEEDED, CloudJob, JobService
from launcher.executors.vertex.send import Request, new_run_name
from launcher.files import locked, write_atomically
from launcher.packaging.environment import install
from launcher.spec.custom_job import Run, data_uri, folder_uri
from launcher.spec.job_file import Job
from launcher.spec.preparation import GB, machine_for, preparation_of, preparing


def prepare_in_cloud(session: Session) -> int:
    """Prepare the tables of job.toml in a job, or print that job; return the exit code."""
    flags, session = session.arguments, dataclasses.replace(session, arguments=[])  # not training's
    check_tables(session)
    session.require_ready()
    cloud, console, options = session.job.cloud, session.console, session.options
    client = storage.storage_client(cloud.project)
    if findings := place_findings(session.job, client, console):
        raise Refused(findings)
    session.check()
    run = session.run_named(new_run_name())
    resource = job_of(session, run, client, flags)
    if options.dry_run:
        print(json.dumps(resource, indent=2))
        return 0
    service, folder = JobService(cloud.project, cloud.region), session.project.runs / "preparations"
    package = (client, session.package, run.package_uri, console)
    fill = functools.partial(storage.upload_package, *package)
    request = Request(service, folder, fill, console, options.poll_seconds, options.again, True)
    record = {"command": runs.typed_command(), "package": session.package.content}
    report = functools.partial(fetch_prepared, session, client)
    return send_and_follow(request, run.name, resource, record, job_log, report)


def check_tables(session: Session) -> None:
    """Raise `UserError` for a table that no machine of a job can read, or a folder that must not be replaced."""
    project, job = session.project, session.job
    for key, value in job.data.tables.items():
        what, expected = f"job.toml [data] {key} is {shown(value)}", "a gs:// address"
        if value.startswith("bq://"):
            raise UserError(what, expected, "run nox -s prepare -- --engine bigquery")
        if not value.startswith("gs://"):
            uri, path = f"{folder_uri(job)}/tables", project.table(value)
            copy = f"gcloud storage cp --recursive {shlex.quote(path)} {uri}/"
            fix = f'upload it: {copy}, then write {key} = "{uri}/{Path(path).name}"'
            raise UserError(what, expected, fix)
    folder = Path(project.absolute(job.data.prepared))
    if folder.exists() and any(folder.iterdir()) and not (folder / STATISTICS).is_file():
        what, fix = f"{project.shown_path(folder)} holds other files", "write another prepared"
        raise UserError(what, "prepared data, or an empty folder", fix)


def place_findings(job: Job, client: Any, console: Console) -> list[UserError]:
    """Return why the job cannot use its bucket or one with a table: all have to be in its region."""
    findings = bucket_findings(job, client, console, elsewhere=False)
    fix = f"copy the table to gs://{job.cloud.bucket}, or write the region of the table and a bucket there"
    for name in {uri.split("/")[2] for uri in job.data.tables.values()} - {job.cloud.bucket}:
        owner = dataclasses.replace(job, cloud=dataclasses.replace(job.cloud, bucket=name))
        bucket = existing(owner, client)
        if bucket and (found := misplaced_finding(owner, bucket, fix)):
            findings.append(found)
    return findings


def job_of(session: Session, run: Run, client: Any, more: Sequence[str]) -> dict[str, Any]:
    """Return the CustomJob for the tables as they are; report its machine, and what that costs."""
    project, job, console = session.project, session.job, session.console
    found = [storage.table_objects(client, uri).values() for uri in job.data.tables.values()]
    objects = {f"gs://{each.bucket.name}/{each.name}": each for part in found for each in part}
    states = "\n".join(sorted(f"{uri} {each.generation}" for uri, each in objects.items()))
    sizes = {uri: each.size for uri, each in objects.items()}
    machine = machine_for(sizes)
    prepared = preparing(job, machine, sha256(states.encode()).hexdigest()[:16])
    size = f"{sum(sizes.values()) / GB:,.3f} GB in {len(sizes)} files; a disk of {machine.disk_gb:,} GB"
    console.step("data", f"{size}, about {machine.hours:.1f} h if speed grows with the vCPUs")
    for label, text in cost_of(prepared, 1).items():
        console.step(label, text)
    install(project.preparation, session.package, console)
    versions = runs.versions_of(project.preparation.requirements(session.package))
    pins = [f"{name}=={versions[name]}" for name in PREPARED_WITH]
    data = dataclasses.replace(job.data, prepared=f"{folder_uri(job)}/data")
    flags = ["--engine", "vertex", *project.preparation_flags(data, in_place=True)]
    return preparation_of(prepared, run, machine, [*flags, *more], pins)


def fetch_prepared(session: Session, client: Any, job: CloudJob, console: Console) -> int:
    """Download what a job has prepared, or report why it failed; return the exit code."""
    if job.state != SUCCEEDED:
        return report_failure(job, console)
    record = storage.read_bytes(client, f"{job.output}/{SOURCE}")
    if record is None:
        raise storage.not_prepared(f"job {job.id} has left no {SOURCE} in {job.output}")
    uri = data_uri(session.job, str(json.loads(record)["fingerprint"]))
    folder = Path(session.project.absolute(session.job.data.prepared))
    partial, old = (folder.with_name(f"{folder.name}.{end}") for end in ("partial", "old"))
    with locked(folder.with_name(f".{folder.name}.lock"), "another preparation", console):
        for left in (partial, old):
            shutil.rmtree(left, ignore_errors=True)
        if findings := storage.prepared_findings(client, uri):
            raise Refused(findings)
        remote = storage.list_objects(client, uri)
        storage.fetch_all(remote, remote, partial, console)
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
        write_atomically(folder.with_name(f".{folder.name}.source.json"), record)
        shutil.rmtree(old, ignore_errors=True)
    console.step("data", f"{session.project.shown_path(folder)}, from {uri}")
    return 0
