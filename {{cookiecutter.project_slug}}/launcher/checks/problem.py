"""Findings that several files of checks make: of one place, and of one key of job.toml."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from launcher.console import UserError, shown
from launcher.spec.job_file import Argument, Job

Problem = tuple[str, str, str]
"""What is wrong, what was expected and what to do, without the place."""


def findings_at(where: str, problems: Iterable[Problem]) -> list[UserError]:
    return [UserError(f"{where}{what}", expected, fix) for what, expected, fix in problems]


def wrong(key: str, value: object, expected: str, remedy: str) -> UserError:
    return UserError(f"job.toml {key} is {shown(value)}", expected, remedy)


def values_of(
    job: Job, arguments: Sequence[str], *sections: str
) -> Iterator[tuple[str, str, Argument]]:
    """Yield each value of some sections of job.toml and of the extra `arguments`: place, name, value."""
    for section in sections:
        for name, value in getattr(job, section).items():
            yield f"job.toml [{section}] {name}", name, value
    for argument, following in pairwise([*arguments, ""]):
        flag, equals, text = argument.partition("=")
        if flag.startswith("-"):
            yield f"the argument {flag}", flag, text if equals else following
