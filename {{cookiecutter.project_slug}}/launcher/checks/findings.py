"""Everything that can be known to be wrong before money is spent: all findings at once."""

import datetime
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import filterfalse
from typing import Any

from launcher.checks.dependencies import own_import_findings, shadow_warnings
from launcher.checks.entry_point import argument_findings, entry_findings, responses
from launcher.checks.features import feature_findings, stale_findings
from launcher.checks.import_effects import Imports
from launcher.checks.job_settings import job_findings
from launcher.checks.machines import machine_findings
from launcher.checks.requirements import requirement_findings, requirement_warnings, runtime_of
from launcher.checks.secrets import file_findings, secret_findings
from launcher.checks.shipped_files import data_findings, left_out_findings, shipped_findings, stays
from launcher.checks.source import Source, home_findings, ruff_findings, syntax_findings
from launcher.checks.study import study_findings
from launcher.checks.uses import call_findings, replaced_findings, version_findings
from launcher.console import Console, Refused, UserError
from launcher.packaging.environment import install, newest, site_packages
from launcher.packaging.sdist import LARGE_MB, SourceDistribution, python_files, size_finding
from launcher.project import Project
from launcher.spec.job_file import Job


@dataclass(frozen=True)
class Findings:
    errors: list[UserError]
    """What would fail in the cloud."""
    stale: list[UserError]
    """Why the prepared data is not what would be prepared now."""
    objective: dict[str, Any]
    """The trainer's metric and its goal, which a study has by default; {} of a module that is not the template's."""
    warnings: list[UserError]
    """About the package: what may fail in the cloud."""


def report(
    project: Project, errors: Sequence[UserError], warnings: Sequence[UserError], console: Console
) -> None:
    """Raise `Refused` for errors; without any, report how much was checked, and the warnings."""
    if errors:
        raise Refused(errors)
    modules = len(python_files(project.folder))
    console.step("check", f"{modules} modules, job.toml and setup.py: nothing wrong")
    for warning in () if console.quiet else warnings:
        console.warning(warning)


def findings(
    project: Project,
    job: Job,
    distribution: SourceDistribution,
    arguments: Sequence[str],
    imports: Imports,
    console: Console,
) -> Findings:
    """Return all that can be known to be wrong without the cloud, each once."""
    source, training = imports.source, project.training
    uninstallable = [*requirement_findings(distribution, *runtime_of(job))]
    features, flags = dict[str, Any](), dict[str, Any]()
    # To install another TensorFlow, which is a finding already, would only take a minute.
    ready = (newest, training) if uninstallable else (install, training, distribution, console)
    requirements, found = training.requirements(distribution), list[UserError]()
    with ThreadPoolExecutor() as pool:
        installing = pool.submit(*ready)
        unfit = [*code_findings(source, job, distribution), *uninstallable]
        checking = pool.submit(package_findings, source, job, distribution)
        try:
            if python := installing.result():
                found = imports.findings(python, requirements, distribution, not unfit)
            # What cannot be imported has a finding already.
            if python and not unfit + found:
                features, flags = responses(python, project, job, arguments)
        except UserError as error:
            found = [error]
        errors = [*job_only_findings(project, job, arguments), *unfit, *checking.result(), *found]
    errors += [*feature_findings(features, job, project, arguments), *argument_findings(flags, job)]
    once = list({str(error): error for error in errors}.values())
    stale = [*stale_findings(features, job, project)]
    objective: dict[str, Any] = {k: features[k] for k in ("metric", "goal") if k in features}
    return Findings(once, stale, objective, package_warnings(project, source, distribution))


def job_only_findings(project: Project, job: Job, arguments: Sequence[str]) -> list[UserError]:
    return [
        *machine_findings(job),
        *job_findings(job, arguments, project.folder, datetime.date.today()),
        *secret_findings(job, arguments),
        *study_findings(job),
    ]


def code_findings(source: Source, job: Job, distribution: SourceDistribution) -> list[UserError]:
    """Return what keeps modules from being imported, or fails when they are used."""
    return [
        *syntax_findings(source.project),
        *left_out_findings(source.project, distribution.files),
        *own_import_findings(source),
        *ruff_findings(source, runtime_of(job)[1]),
        *call_findings(source),
        *replaced_findings(source.names, "removed"),
    ]


def package_findings(source: Source, job: Job, distribution: SourceDistribution) -> list[UserError]:
    """Return what is wrong with the rest of the package: its entry point, its files, and what these name."""
    python, note = runtime_of(job)[1], source.project / ".nox" / "secrets.json"
    return [
        *data_findings(source, distribution.files),
        *entry_findings(job.cloud.module, source),
        *home_findings(source),
        *(version_findings(source.names, python) if python else []),
        *shipped_findings(distribution.files, job.data, source.project),
        *file_findings(source.project, filterfalse(stays, distribution.files), note),
    ]


def package_warnings(
    project: Project, source: Source, distribution: SourceDistribution
) -> list[UserError]:
    large = size_finding(distribution.path, LARGE_MB)
    packages = site_packages(project.training.requirements(distribution))
    return [
        *replaced_findings(source.names, "outdated"),
        *shadow_warnings(source),
        *([large] if large else []),
        *requirement_warnings(distribution, packages),
    ]
