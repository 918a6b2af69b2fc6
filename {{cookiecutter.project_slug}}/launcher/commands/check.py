"""`nox -s check`: everything that would fail in the cloud, all findings at once."""

from typing import Any

from launcher.checks.findings import findings, job_only_findings, report
from launcher.checks.job_settings import ready_findings, table_warnings
from launcher.checks.source import syntax_findings
from launcher.commands.session import Session
from launcher.console import Console, Refused, UserError
from launcher.project import prepared_fingerprint
from launcher.spec.custom_job import data_uri
from launcher.spec.job_file import Job


def check(session: Session) -> int:
    project, console, rest = session.project, session.console, session.arguments
    needs_cloud = session.options.cloud
    try:
        job = session.job
    except UserError as error:
        raise Refused([error, *syntax_findings(project.folder)]) from error
    try:
        distribution = session.package
    except UserError as error:
        known = [*job_only_findings(project, job, rest), *syntax_findings(project.folder)]
        raise Refused([error, *known]) from error
    found, unready = findings(project, job, distribution, rest, console), ready_findings(job)
    errors, warnings = (
        found.errors,
        [*unready, *table_warnings(job.data, project.folder), *found.stale, *found.warnings],
    )
    if needs_cloud and not unready:
        from launcher.executors.vertex.storage import storage_client

        prepared_uri = data_uri(job, prepared_fingerprint(project, job))
        errors += found.stale + cloud_findings(
            job, prepared_uri, storage_client(job.cloud.project), console
        )
    report(errors + (unready if needs_cloud else []), project, console)
    for finding in () if console.quiet else warnings:
        console.warning(finding)
    return 0


def cloud_findings(job: Job, prepared_uri: str, client: Any, console: Console) -> list[UserError]:
    """Return what is wrong with the bucket and the prepared data in it; print warnings about the bucket."""
    from launcher.checks.bucket import bucket_findings
    from launcher.executors.vertex.storage import require_prepared

    if found := bucket_findings(job, client, console):
        return found
    try:
        require_prepared(client, prepared_uri)
    except UserError as error:
        return [error]
    return []
