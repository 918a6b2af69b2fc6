"""Everything that can be known to be wrong before money is spent: all findings at once."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from launcher.checks.arguments import Responses, argument_findings, responses
from launcher.checks.calls import call_findings, replaced_findings
from launcher.checks.dependencies import own_import_findings, shadow_warnings
from launcher.checks.entry_point import code_findings, runtime_of, tensorflow_findings
from launcher.checks.features import feature_findings, stale_findings
from launcher.checks.import_effects import import_findings
from launcher.checks.job_settings import job_findings
from launcher.checks.machines import machine_findings
from launcher.checks.names import Name, names_of
from launcher.checks.requirements import requirement_findings, requirement_warnings
from launcher.checks.secrets import file_findings, secret_findings
from launcher.checks.shipped_files import shipped_findings
from launcher.checks.source_files import data_findings, left_out_findings, syntax_findings
from launcher.checks.study import study_findings
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
    warnings: list[UserError]
    """About the package: what may fail in the cloud."""


def require_sound(
    project: Project,
    job: Job,
    distribution: SourceDistribution,
    arguments: Sequence[str],
    console: Console,
) -> list[UserError]:
    """Return why the prepared data is stale; raise `Refused` if something else would fail in the cloud."""
    found = findings(project, job, distribution, arguments, console)
    report(found.errors, project, console)
    for finding in () if console.quiet else found.warnings:
        console.warning(finding)
    return found.stale


def report(reasons: Sequence[UserError], project: Project, console: Console) -> None:
    """Raise `Refused` for findings; without any, report how much was checked."""
    if reasons:
        raise Refused(reasons)
    modules = len(python_files(project.folder))
    console.step("check", f"{modules} modules, job.toml and setup.py: nothing wrong")


def findings(
    project: Project,
    job: Job,
    distribution: SourceDistribution,
    arguments: Sequence[str],
    console: Console,
) -> Findings:
    """Return all that can be known to be wrong without the cloud, each once."""
    folder, names = project.folder, names_of(project.folder)
    lines, (tensorflow, runtime_python) = distribution.requirements, runtime_of(job)
    uninstallable = tensorflow_findings(lines, tensorflow)
    uninstallable += requirement_findings(distribution, runtime_python)
    unfit = [
        *syntax_findings(folder),
        *left_out_findings(folder, distribution.files),
        *own_import_findings(folder, names),
        *call_findings(folder),
        *replaced_findings(names, "removed"),
    ]
    reasons = [*job_only_findings(project, job, arguments), *unfit]
    reasons += [*data_findings(folder, distribution.files), *code_findings(job, folder, names)]
    reasons += shipped_findings(distribution.files, job.data, folder)
    note = folder / ".nox" / "secrets.json"
    reasons += [*file_findings(folder, distribution.files, note), *uninstallable]
    large = size_finding(distribution.path, LARGE_MB)
    warnings = [*replaced_findings(names, "outdated"), *shadow_warnings(folder, names)]
    warnings += [large] if large else []
    found, unsure, response = installed_findings(
        project, job, distribution, arguments, names, bool(unfit), bool(uninstallable), console
    )
    reasons += found
    warnings += unsure
    features = response.get("features", {})
    reasons += feature_findings(features, job, project)
    reasons += argument_findings(response.get("flags", {}), job)
    errors = list({str(reason): reason for reason in reasons}.values())
    return Findings(errors, stale_findings(features, job, project), warnings)


def installed_findings(
    project: Project,
    job: Job,
    distribution: SourceDistribution,
    arguments: Sequence[str],
    names: Sequence[Name],
    unfit: bool,
    uninstallable: bool,
    console: Console,
) -> tuple[list[UserError], list[UserError], Responses]:
    """Return what the package's environment shows: errors, warnings, and the responses of its programs."""
    try:
        # To install another TensorFlow, which is a finding already, would only take a minute.
        if uninstallable:
            python = newest(project.training)
            found = (
                import_findings(python, project.folder, distribution, names, importable=False)
                if python
                else []
            )
            return found, [], {}
        python = install(project.training, distribution, console)
        packages = site_packages(project.training.requirements(distribution))
        warnings = [*requirement_warnings(distribution.requirements, packages)]
        found = import_findings(python, project.folder, distribution, names, importable=not unfit)
        # What cannot be imported has a finding already.
        known = unfit or found
        return found, warnings, {} if known else responses(python, project, job, arguments)
    except UserError as error:
        return [error], [], {}


def job_only_findings(project: Project, job: Job, arguments: Sequence[str]) -> list[UserError]:
    return [
        *machine_findings(job),
        *job_findings(job, arguments, project.folder, datetime.date.today()),
        *secret_findings(job, arguments),
        *study_findings(job),
    ]
