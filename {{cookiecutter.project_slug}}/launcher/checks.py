"""Everything that can be known to be wrong before money is spent: all findings at once."""

import argparse
import datetime
import tempfile
from collections.abc import Sequence
from pathlib import Path

from launcher.argument_checks import argument_findings
from launcher.code_checks import code_findings, runtime_of, tensorflow_findings
from launcher.console import Console, Refused, UserError
from launcher.environment import ensure_environment
from launcher.import_checks import (
    import_time_findings,
    imported_findings,
    own_import_findings,
)
from launcher.imports import absent_modules, import_findings, imports_of
from launcher.job import Job
from launcher.job_checks import job_findings, ready_findings
from launcher.machine_checks import machine_findings
from launcher.package import (
    SourceDistribution,
    data_findings,
    left_out_findings,
    python_files,
    syntax_findings,
)
from launcher.project import Project, build, job_of, prepared_fingerprint
from launcher.secret_checks import secret_findings
from launcher.spec import data_uri
from launcher.study_checks import study_findings


def check(project: Project, given: argparse.Namespace, rest: list[str], console: Console) -> int:
    """Print every finding, one a line, and fail; or say that all is well."""
    try:
        job = job_of(project, given)
    except UserError as error:
        raise Refused([error, *syntax_findings(project.folder)]) from error
    try:
        distribution = build(project, console)
    except UserError as error:
        known = [*job_only_findings(project, job, rest), *syntax_findings(project.folder)]
        raise Refused([error, *known]) from error
    found = findings(project, job, distribution, rest, console)
    if given.cloud:
        found += ready_findings(job) or cloud_findings(project, job, console)
    report(found, project, console)
    for unready in ready_findings(job):
        console.step("warning", str(unready))
    return 0


def require_sound(
    project: Project,
    job: Job,
    distribution: SourceDistribution,
    arguments: Sequence[str],
    console: Console,
) -> None:
    """Raise `Refused` if something would fail in the cloud."""
    report(findings(project, job, distribution, arguments, console), project, console)


def report(found: Sequence[UserError], project: Project, console: Console) -> None:
    """Raise `Refused` for findings; without any, say how much was looked at."""
    if found:
        raise Refused(found)
    modules = len(python_files(project.folder))
    console.step("check", f"{modules} modules, job.toml and setup.py: nothing wrong")


def findings(
    project: Project,
    job: Job,
    distribution: SourceDistribution,
    arguments: Sequence[str],
    console: Console,
) -> list[UserError]:
    """Return all that can be known to be wrong without the cloud, each once."""
    folder, python = project.folder, project.training.python
    tensorflow = tensorflow_findings(distribution.requirements, runtime_of(job)[0])
    unfit = unfit_findings(folder, distribution)
    # To install another TensorFlow, which is a finding already, would only take a minute.
    uninstalled = [] if tensorflow else install_findings(project, distribution, console)
    found = [
        *job_only_findings(project, job, arguments),
        *unfit,
        *data_findings(folder, distribution.files),
        *code_findings(job, folder),
        *tensorflow,
        *uninstalled,
    ]
    if python.exists() and not uninstalled:
        missing = missing_findings(project, distribution)
        found += missing
        # What is unfit is not imported: that could train, or repeat what is said already.
        if not (unfit or tensorflow or missing):
            acting = imported_findings(project.training, folder, distribution.content)
            found += acting or argument_findings(python, job, arguments)
    return list({str(finding): finding for finding in found}.values())


def job_only_findings(project: Project, job: Job, arguments: Sequence[str]) -> list[UserError]:
    """Return what is wrong with job.toml and with the arguments after it."""
    return [
        *machine_findings(job),
        *job_findings(job, arguments, project.folder, datetime.date.today()),
        *secret_findings(job, arguments),
        *study_findings(job),
    ]


def unfit_findings(folder: Path, distribution: SourceDistribution) -> list[UserError]:
    """Return why the modules cannot be imported, or should not be."""
    return [
        *syntax_findings(folder),
        *left_out_findings(folder, distribution.files),
        *own_import_findings(folder),
        *import_time_findings(folder),
    ]


def install_findings(
    project: Project, distribution: SourceDistribution, console: Console
) -> list[UserError]:
    """Install the package in its clean environment, unless it is there; return why that fails."""
    try:
        ensure_environment(project.training, distribution, console)
    except UserError as error:
        return [error]
    return []


def missing_findings(project: Project, distribution: SourceDistribution) -> list[UserError]:
    """Return what the modules import that the clean environment does not have."""
    found = imports_of(project.folder)
    modules = [each.module for each in found]
    try:
        absent = absent_modules(project.training.python, modules, Path(tempfile.gettempdir()))
    except UserError as error:
        return [error]
    return import_findings(project.folder, found, absent, distribution.declared)


def cloud_findings(project: Project, job: Job, console: Console) -> list[UserError]:
    """Return what is wrong with the bucket and the data in it; say what may be."""
    from launcher.bucket import bucket_findings, bucket_warnings
    from launcher.storage import require_prepared, storage_client

    client = storage_client(job.cloud.project)
    found = bucket_findings(job, client)
    if found:
        return found
    for warning in bucket_warnings(job, client):
        console.always(f"warning: {warning}")
    try:
        require_prepared(client, data_uri(job, prepared_fingerprint(project, job)))
    except UserError as error:
        return [error]
    return []
