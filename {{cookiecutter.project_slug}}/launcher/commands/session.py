"""What the steps of a command share."""

from dataclasses import dataclass

from launcher.console import Console, UserError
from launcher.packaging.sdist import SourceDistribution
from launcher.project import Project, build
from launcher.spec.job_file import Job


@dataclass(frozen=True)
class Session:
    """A command that works on a job."""

    project: Project
    job: Job
    arguments: list[str]
    """For the trainer, from the command line."""
    console: Console

    def build(self) -> SourceDistribution:
        """Build the package; raise `Refused` or `UserError` unless it passes the checks."""
        return self.build_for_cloud()[0]

    def build_for_cloud(self) -> tuple[SourceDistribution, list[UserError]]:
        """Build and check the package; return why the prepared data is stale, too."""
        # Imported here, so that --help does not wait for the checks.
        from launcher.checks.findings import require_sound

        built = build(self.project, self.console)
        return built, require_sound(self.project, self.job, built, self.arguments, self.console)
