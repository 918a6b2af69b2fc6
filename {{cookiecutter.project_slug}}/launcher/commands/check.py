"""`nox -s check`: everything that would fail in the cloud, all findings at once."""

from launcher.checks.findings import findings, job_only_findings, report
from launcher.checks.import_effects import importing
from launcher.checks.job_settings import ready_findings, table_warnings
from launcher.checks.serving import op_warnings, section_findings, serving_findings
from launcher.checks.source import syntax_findings
from launcher.commands.session import Session
from launcher.console import Refused, UserError
from launcher.project import prepared_fingerprint
from launcher.spec.custom_job import data_uri


def check(session: Session) -> int:
    project, console, rest = session.project, session.console, session.arguments
    try:
        job = session.job
    except UserError as error:
        raise Refused([error, *syntax_findings(project.folder)]) from error
    with importing(project.training, project.folder) as imports:
        try:
            distribution = session.package
        except UserError as error:
            known = [*job_only_findings(project, job, rest), *syntax_findings(project.folder)]
            raise Refused([error, *known]) from error
        found = findings(project, job, distribution, rest, imports, console)
    errors, unready = [*found.errors, *section_findings(job)], ready_findings(job)
    warnings = [*unready, *table_warnings(job.data, project), *found.stale, *found.warnings]
    if session.options.serving:
        more, newer = deployment_findings(session)
        errors, warnings = [*{str(each): each for each in errors + more}.values()], warnings + newer
    if session.options.cloud:
        prepared_uri = data_uri(job, prepared_fingerprint(project, job))
        errors += unready or [*found.stale, *cloud_findings(session, prepared_uri)]
    report(project, errors, warnings, console)
    return 0


def cloud_findings(session: Session, prepared_uri: str) -> list[UserError]:
    """Return what is wrong with the bucket and the prepared data in it; print warnings about the bucket."""
    # Imported here, because Google's client takes long.
    from launcher.checks.bucket import bucket_findings
    from launcher.executors.vertex.storage import prepared_findings, storage_client

    client = storage_client(session.job.cloud.project)
    found = bucket_findings(session.job, client, session.console)
    return found or prepared_findings(client, prepared_uri)


def deployment_findings(session: Session) -> tuple[list[UserError], list[UserError]]:
    """Return the errors and warnings of a deployment of the newest run's model, or of a batch job."""
    from launcher.commands.deploy import release_of
    from launcher.commands.predict import examples_of

    errors, warnings = serving_findings(session.job, None), list[UserError]()
    try:
        warnings = op_warnings(release_of(session)[1])
    except UserError as error:
        errors.append(error)
    try:
        examples_of(session)
    except UserError as error:
        errors.append(error)
    return errors, warnings
