"""`nox -s prepare`: clean, split and encode the table that job.toml names."""

import glob
import re
from pathlib import Path
from shutil import disk_usage

from launcher.commands.session import Session
from launcher.console import Console, Refused, UserError, shown
from launcher.contract import PREPARE_MODULE
from launcher.project import NOT_PREPARED, Project, prepared_fingerprint
from launcher.spec.custom_job import data_uri
from launcher.spec.job_file import Job

# Above half of the free disk, shards and what DuckDB spills may not fit. Two cores prepare 80 MB/s: docs/performance.md.
LARGE_SHARE, LONGEST_HOURS, BYTES_PER_SECOND = 0.5, 1, 80e6


def prepare(session: Session) -> int:
    options, engine = session.options, session.options.engine
    uploads = options.upload and not options.dry_run
    if engine != "vertex" and (options.dry_run or options.again):
        flag = "--dry-run" if options.dry_run else "--again"
        given = f"with --engine {engine}" if engine else "without --engine"
        fix = f"add --engine vertex, or leave out {flag}"
        raise UserError(f"{flag} {given}", "--engine vertex, whose job it prints or sends", fix)
    if engine is None:
        advise(session)
    reused = ["--reuse"] * (uploads and engine != "bigquery")
    code = run_prepare(session, *reused, *session.arguments, engine=engine or "local")
    return code or (upload_prepared(session) if uploads else 0)


def run_prepare(session: Session, *flags: str, engine: str = "") -> int:
    """Run trainer.prepare; without an engine, data that was prepared in the cloud stays as long as it is current."""
    if engine == "vertex":
        # Imported here, so that preparing on this machine does not wait for it.
        from launcher.commands.cloud_preparation import prepare_in_cloud

        return prepare_in_cloud(session)
    project, data = session.project, session.job.data
    in_place = engine == "bigquery" or (not engine and project.is_prepared_in_place(data))
    flags = (*project.preparation_flags(data, in_place), *flags, *session.verbosity)
    if engine == "bigquery":
        session.require_ready()
        work = f"gs://{session.job.cloud.bucket}/{session.job.cloud.name}/preparation"
        where = ("--project", session.job.cloud.project, "--work", work)
        return session.run_module(
            project.querying, PREPARE_MODULE, "--engine", engine, *where, *flags
        )
    if not in_place:
        fetch_tables(project, session.job, session.console)
    return session.run_module(project.preparation, PREPARE_MODULE, *flags)


def advise(session: Session) -> None:
    """Print why another engine would be taken, if the train table is large for this machine."""
    size, free = table_bytes(session), disk_usage(session.project.folder).free
    hours = size / BYTES_PER_SECOND / 3600
    if size > LARGE_SHARE * free or hours > LONGEST_HOURS:
        here = f"{size / 1e9:,.1f} GB beside {free / 1e9:,.1f} GB of free disk, about {hours:.1f} h"
        other = "-- --engine bigquery would prepare it from the bucket or BigQuery, vertex from the bucket"
        session.console.step("prepare", f"the table is large for this machine: {here}; {other}")


def table_bytes(session: Session) -> int:
    """Return the size of the train table: of files, or of objects that would be copied here."""
    job, project = session.job, session.project
    if job.data.train.startswith("gs://") and not project.is_prepared_in_place(job.data):
        from launcher.executors.vertex.storage import storage_client, table_objects

        remote = table_objects(storage_client(job.cloud.project), job.data.train)
        return sum(each.size for each in remote.values())
    found = [Path(each) for each in glob.glob(project.table(job.data.train))]
    files = [each for path in found for each in (path, *path.rglob("*")) if each.is_file()]
    return sum(each.stat().st_size for each in files)


def fetch_tables(project: Project, job: Job, console: Console) -> None:
    """Copy the tables that lie in Cloud Storage; raise `UserError` for a variable that is not set."""
    for key, value in job.data.tables.items():
        path = project.table(value)
        unset = re.search(r"\$(\w+|{\w+})", path)
        if value.startswith("gs://"):
            from launcher.executors.vertex.storage import copy_table, storage_client

            copy_table(storage_client(job.cloud.project), value, project.copies, console)
        elif unset and not glob.glob(path, recursive=True):
            what = f"job.toml [data] {key} is {shown(value)}, and {unset[0]} is not set"
            fix = f"set it, as with: export {unset[1].strip('{}')}=…"
            raise UserError(what, "a variable of this machine", fix)


def upload_prepared(session: Session) -> int:
    # Imported here, so that --help and preparing alone do not wait for them.
    from launcher.checks.bucket import bucket_findings
    from launcher.executors.vertex.storage import not_prepared, storage_client, upload_folder

    project, job, console = session.project, session.job, session.console
    fingerprint = prepared_fingerprint(project, job)
    if fingerprint == NOT_PREPARED:
        raise not_prepared()
    session.require_ready()
    client = storage_client(job.cloud.project)
    if findings := bucket_findings(job, client, console):
        raise Refused(findings)
    folder = Path(project.absolute(job.data.prepared))
    upload_folder(client, folder, data_uri(job, fingerprint), console)
    return 0
