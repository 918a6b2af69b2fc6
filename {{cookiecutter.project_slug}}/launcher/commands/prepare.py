"""`nox -s prepare`: clean, split and encode the table that job.toml names."""

import glob
import re
from pathlib import Path

from launcher.commands.session import Session
from launcher.console import Console, Refused, UserError, shown
from launcher.contract import PREPARE_MODULE
from launcher.project import NOT_PREPARED, Project, prepared_fingerprint
from launcher.spec.custom_job import data_uri
from launcher.spec.job_file import Job


def prepare(session: Session) -> int:
    uploads = session.options.upload
    code = run_prepare(session, *["--reuse"] * uploads, *session.arguments)
    return code or (upload_prepared(session) if uploads else 0)


def run_prepare(session: Session, *flags: str) -> int:
    project = session.project
    fetch_tables(project, session.job, session.console)
    flags = (*project.preparation_flags(session.job.data), *flags, *session.verbosity)
    return session.run_module(project.preparation, PREPARE_MODULE, *flags)


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
