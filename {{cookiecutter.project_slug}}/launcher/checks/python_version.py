"""The package's source, checked against the Python of the job's machines by ruff and a list of names."""

import functools
import sys
from collections.abc import Iterable
from pathlib import Path

from launcher.checks.names import Name, name_findings, prefixes
from launcher.checks.problem import Problem
from launcher.checks.source_files import ruff_messages
from launcher.console import UserError
from launcher.spec.catalog import google_cloud

FIX = "write it another way, or choose another image in job.toml [runtime]"


def version_findings(project: Path, names: Iterable[Name], python: str) -> list[UserError]:
    """Return what Python `python`, such as 3.10, does not have: the first syntax in each file, and each name."""
    minor = int(python.partition(".")[2])
    expected = f"what Python {python} has, which the job's machines run"
    messages = ruff_messages(project, "E9", minor)
    first = {file: f"{file}, line {line}: {message}" for file, line, message in reversed(messages)}
    newer = [UserError(what, expected, FIX) for what in first.values()]
    return newer + name_findings(names, functools.partial(library_problem, minor, expected))


def library_problem(minor: int, expected: str, each: Name) -> Problem | None:
    """Return what is wrong with a name of the standard library in Python 3.`minor`."""
    changes = google_cloud()["python_changes"]
    for module in prefixes(each.name):
        since, until = changes["added"].get(module, 0), changes["removed"].get(module, sys.maxsize)
        if since > minor:
            return f"{module} is new in Python 3.{since}", expected, FIX
        if until <= minor:
            return f"{module} was removed in Python 3.{until}", expected, FIX
    return None
