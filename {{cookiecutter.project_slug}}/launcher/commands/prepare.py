"""`nox -s prepare`: clean, split and encode the table that job.toml names."""

from pathlib import Path

from launcher.commands.session import Session
from launcher.console import Refused
from launcher.contract import PREPARE_MODULE
from launcher.project import NOT_PREPARED, prepared_fingerprint
from launcher.spec.custom_job import data_uri


def prepare(session: Session) -> int:
    uploads = session.options.upload
    code = run_prepare(session, *["--reuse"] * uploads, *session.arguments)
    return code or (upload_prepared(session) if uploads else 0)


def run_prepare(session: Session, *flags: str) -> int:
    project = session.project
    flags = (*project.preparation_flags(session.job.data), *flags, *session.verbosity)
    return session.run_module(project.preparation, PREPARE_MODULE, *flags)


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
