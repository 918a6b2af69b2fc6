"""What the steps of a command share."""

from dataclasses import dataclass

from launcher.console import Console
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
        # Imported here, so that --help does not wait for the checks.
        from launcher.checks.findings import require_sound

        distribution = build(self.project, self.console)
        require_sound(self.project, self.job, distribution, self.arguments, self.console)
        return distribution
