"""What the steps of a command share."""

import dataclasses
import functools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.commands.options import Options, flag_of
from launcher.console import Console, Refused, UserError
from launcher.packaging.environment import Environment, install
from launcher.packaging.sdist import SourceDistribution, build_source_distribution
from launcher.project import Project, run_of
from launcher.runs import best_arguments
from launcher.spec.custom_job import Run
from launcher.spec.job_file import Argument, Job, flag_name, read_job
from launcher.subprocesses import Process, clean_variables, run_visible

REPLACING = ("scale_tier", "region", "bucket")
"""The options that replace values of [job] in job.toml."""


@dataclass(frozen=True)
class Session:
    """One command in a project."""

    project: Project
    options: Options
    arguments: list[str]
    """The others of the command line, for the trainer."""
    console: Console
    flags: Mapping[str, Argument] | None = None
    """What the job has instead of [arguments] in job.toml."""

    @functools.cached_property
    def job(self) -> Job:
        """job.toml with the values that the options replace, and those of a trial of the newest study."""
        job, given = read_job(self.project.folder / "job.toml"), vars(self.options)
        cloud = {name: given[name] for name in REPLACING if given[name]}
        if trial := self.options.trial:
            values = best_arguments(self.project.runs, trial)
            varied = set(map(flag_name, values))
            kept = {name: v for name, v in job.arguments.items() if flag_name(name) not in varied}
            job = dataclasses.replace(job, arguments={**kept, **values})
        if self.flags is not None:
            job = dataclasses.replace(job, arguments=self.flags)
        return dataclasses.replace(job, cloud=dataclasses.replace(job.cloud, **cloud))

    @functools.cached_property
    def package(self) -> SourceDistribution:
        project = self.project
        return build_source_distribution(project.folder, project.packages, self.console)

    @property
    def verbosity(self) -> list[str]:
        """The flags that make the trainer as quiet or as verbose as the launcher."""
        return ["-q"] * self.options.quiet + ["-v"] * self.options.verbose

    def check(self) -> list[UserError]:
        """Return why the prepared data is stale; raise `Refused` or `UserError` for what else would fail."""
        return [*self.found.stale]

    @functools.cached_property
    def found(self) -> Any:
        """The `Findings` of a package without errors; raises `Refused` or `UserError` for those."""
        # Imported here, so that --help does not wait for the checks.
        from launcher.checks.findings import findings, report
        from launcher.checks.import_effects import importing

        project, console = self.project, self.console
        with importing(project.training, project.folder) as imports:
            found = findings(project, self.job, self.package, self.arguments, imports, console)
        report(project, found.errors, found.warnings, console)
        return found

    def require_ready(self) -> None:
        """Raise `Refused` until job.toml names a project and a bucket of one's own."""
        from launcher.checks.job_settings import ready_findings

        if findings := ready_findings(self.job):
            raise Refused(findings)

    def refuse_beside(self, option: str, others: Sequence[str], expected: str) -> None:
        """Raise `UserError` if an option is given, and one of the others, too."""
        given = vars(self.options)
        for name in (name for name in others if given[option] and given[name]):
            flag, beside = flag_of(name), flag_of(option)
            raise UserError(f"{flag} beside {beside}", expected, f"leave out {beside}, or {flag}")

    def run_named(self, name: str, *flags: str) -> Run:
        """Return a run of the package, whose arguments end in `flags`."""
        return run_of(self.project, self.job, self.package, name, [*self.arguments, *flags])

    def run_module(
        self, environment: Environment, module: str, *arguments: str, folder: Path | None = None
    ) -> int:
        """Install the package and run one of its modules in a folder, by default the project's; return the exit code."""
        command = self.command(environment, module, *arguments)
        given = (folder or self.project.folder, clean_variables(PYTHONSAFEPATH="1"), None, None)
        return run_visible(lambda: Process(command[0], command, *given, own_session=False))

    def command(self, environment: Environment, module: str, *arguments: str) -> list[str]:
        """Install the package; return what runs one of its modules."""
        python = str(install(environment, self.package, self.console))
        # A start in the project's folder would import trainer/ from there: Python 3.10 knows only the option against it.
        isolated = ["-I"] if sys.version_info < (3, 11) else []
        return [python, *isolated, "-m", module, *arguments]
