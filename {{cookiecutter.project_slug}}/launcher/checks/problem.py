"""Findings that several files of checks make: of one place, and of one key of job.toml."""

from collections.abc import Iterable, Iterator

from launcher.console import UserError, shown
from launcher.spec.job_file import Argument, Job

Problem = tuple[str, str, str]
"""What is wrong, what was expected and what to do, without the place."""


def findings_at(where: str, problems: Iterable[Problem]) -> list[UserError]:
    return [UserError(f"{where}{what}", expected, fix) for what, expected, fix in problems]


def wrong(key: str, value: object, expected: str, remedy: str) -> UserError:
    return UserError(f"job.toml {key} is {shown(value)}", expected, remedy)


def values_of(job: Job, *sections: str) -> Iterator[tuple[str, str, Argument]]:
    """Yield where each value of some sections of job.toml stands, its key, and the value."""
    for section in sections:
        for name, value in getattr(job, section).items():
            yield f"job.toml [{section}] {name}", name, value
