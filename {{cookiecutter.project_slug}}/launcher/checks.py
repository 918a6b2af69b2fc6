"""Everything that can be known to be wrong before money is spent: all findings at once."""

import argparse
import datetime
import tempfile
from collections.abc import Sequence
from pathlib import Path

from launcher.argument_checks import argument_findings
from launcher.code_checks import code_findings, tensorflow_findings, tensorflow_of
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
from launcher.project import Project, build, job_of


def check(project: Project, given: argparse.Namespace, rest: list[str], console: Console) -> int:
    """Print every finding, one a line, and fail; or say that all is well."""
    try:
        job = job_of(project, given)
    except UserError as error:
        raise Refused([error, *syntax_findings(project.folder)]) from error
    try:
        distribution = build(project, console)
    except UserError as error:
        raise Refused([error, *job_only_findings(project, job, rest)]) from error
    report(findings(project, job, distribution, rest, console), project, console)
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
    found = [
        *job_only_findings(project, job, arguments),
        *left_out_findings(project.folder, distribution.files),
        *data_findings(project.folder, distribution.files),
        *code_findings(job, project.folder, distribution),
        *environment_findings(project, job, distribution, arguments, console),
    ]
    return list({str(finding): finding for finding in found}.values())


def job_only_findings(project: Project, job: Job, arguments: Sequence[str]) -> list[UserError]:
    """Return what is wrong with job.toml, and with the syntax of the modules."""
    return [
        *machine_findings(job),
        *job_findings(job, arguments, project.folder, datetime.date.today()),
        *syntax_findings(project.folder),
    ]


def environment_findings(
    project: Project,
    job: Job,
    distribution: SourceDistribution,
    arguments: Sequence[str],
    console: Console,
) -> list[UserError]:
    """Return what is wrong with imports and arguments in a clean environment, or with that itself."""
    folder, environment = project.folder, project.training
    # Another TensorFlow is a finding already; to install it too would only take a minute.
    mispinned = tensorflow_findings(distribution.requirements, tensorflow_of(job))
    if mispinned and not environment.python.exists():
        return []
    try:
        if not mispinned:
            ensure_environment(environment, distribution, console)
        found = imports_of(folder)
        modules = [each.module for each in found]
        absent = absent_modules(environment.python, modules, Path(tempfile.gettempdir()))
    except UserError as error:
        return [error]
    missing = import_findings(folder, found, absent, distribution.declared)
    unfit = [
        *syntax_findings(folder),
        *left_out_findings(folder, distribution.files),
        *own_import_findings(folder),
        # What acts by its source is not imported: that could train.
        *import_time_findings(folder),
    ]
    if missing or unfit or mispinned:
        return missing
    acting = imported_findings(environment, folder, distribution.content)
    return acting or argument_findings(environment.python, job, arguments)
