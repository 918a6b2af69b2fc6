"""The package's source, checked against the Python of the job's machines. Nothing of it is run."""

import functools
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from launcher.checks.names import Name, name_findings
from launcher.checks.problem import Problem
from launcher.checks.source_files import parsed_modules
from launcher.console import UserError
from launcher.packaging.environment import find_program
from launcher.spec.catalog import google_cloud
from launcher.subprocesses import clean_variables, run_captured

RUFF = ("check", "--isolated", "--no-cache", "--quiet", "--output-format", "json", "--select", "E9")
FIX = "write it another way, or choose another image in job.toml [runtime]"


def version_findings(project: Path, names: Iterable[Name], python: str) -> list[UserError]:
    """Return what Python `python`, such as 3.10, does not have: the first syntax in each file, and each name."""
    minor = int(python.partition(".")[2])
    expected = f"what Python {python} has, which the job's machines run"
    newer = [UserError(what, expected, FIX) for what in newer_syntax(project, minor)]
    return newer + name_findings(names, functools.partial(library_problem, minor, expected))


def newer_syntax(project: Path, minor: int) -> list[str]:
    """Return place and description of the first syntax in each file that Python 3.`minor` cannot read."""
    files = [name for name, _ in parsed_modules(project)]
    command = [find_program("ruff"), *RUFF, "--target-version", f"py3{minor}", *files]
    _, output = run_captured(command, project, clean_variables())
    found: dict[str, str] = {}
    for each in json.loads(output or "[]"):
        file = Path(each["filename"]).relative_to(project.resolve()).as_posix()
        found.setdefault(file, f"{file}, line {each['location']['row']}: {each['message']}")
    return list(found.values())


def library_problem(minor: int, expected: str, each: Name) -> Problem | None:
    """Return what is wrong with a name of the standard library in Python 3.`minor`."""
    changes, parts = google_cloud()["python_changes"], each.name.split(".")
    for module in (".".join(parts[:end]) for end in range(1, len(parts) + 1)):
        since, until = changes["added"].get(module, 0), changes["removed"].get(module, sys.maxsize)
        if since > minor:
            return f"{module} is new in Python 3.{since}", expected, FIX
        if until <= minor:
            return f"{module} was removed in Python 3.{until}", expected, FIX
    return None
