"""Requirements that can be installed here and not on the machines of a job."""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from launcher.checks.problem import Problem, findings_at
from launcher.console import UserError
from launcher.packaging.sdist import EXTRA, SourceDistribution

MOST_PATCHES = 100
BUILT_HERE = re.compile(r"^Tag: .*-linux_", re.MULTILINE)
"""A tag that PyPI refuses, because such a wheel fits the machine that built it alone."""
REMEDY = "require one that PyPI has, or move its code below trainer/"


def installed_lines(requirements: Iterable[str]) -> list[str]:
    """Return the requirement lines that a job's machines install: those of no extra."""
    return [line for line in requirements if not EXTRA.findall(line)]


def requirement_findings(distribution: SourceDistribution, python: str) -> list[UserError]:
    """Return the requirements that no job can install; `python` is the version of its machines, or ""."""
    lines = installed_lines(distribution.requirements)
    expected = "requirements that the machines of a job can install"
    problems = [
        (f"setup.py requires {line}, a path on this machine", expected, REMEDY)
        for line in lines
        if "@ file:" in line
    ]
    problems += [
        (f"setup.py requires {name}, which is a part of Python", expected, "remove it")
        for name in distribution.declared
        if name.replace("-", "_") in sys.stdlib_module_names
    ]
    if python and not admits(distribution.python, python):
        what = f'setup.py has python_requires="{distribution.python}"'
        expected = f"a range with Python {python}, which the job's machines run"
        problems.append((what, expected, "widen it, or choose another image in job.toml [runtime]"))
    return findings_at("", problems)


def admits(specifier: str, version: str) -> bool:
    """Return whether some patch of a version such as 2.21 satisfies a specifier such as >=2.20,<2.22."""
    from packaging.specifiers import SpecifierSet

    parsed = SpecifierSet(specifier)
    return any(parsed.contains(f"{version}.{patch}") for patch in range(MOST_PATCHES))


def requirement_warnings(requirements: Iterable[str], packages: Path) -> list[UserError]:
    """Return warnings about requirements; `packages` is the folder that they are installed in."""
    lines = installed_lines(requirements)
    return findings_at("", [*addresses(lines), *built_here(packages)])


def addresses(lines: Iterable[str]) -> Iterator[Problem]:
    for line in (line for line in lines if "@ " in line and "@ file:" not in line):
        what = f"setup.py requires {line}, by its address"
        expected = "an address that the machines of a job can read without credentials, with git if it needs that"
        yield what, expected, REMEDY


def built_here(packages: Path) -> Iterator[Problem]:
    """Yield the distributions that were compiled on this machine; only Linux tells them apart."""
    for wheel in sorted(packages.glob("*.dist-info/WHEEL")):
        if BUILT_HERE.search(wheel.read_text(encoding="utf-8", errors="replace")):
            name = wheel.parent.name.removesuffix(".dist-info").replace("-", "==")
            what = f"{name} has no wheel for this Python and was compiled here"
            expected = "wheels, because the machines of a job may have no compiler"
            yield what, expected, "require a version that has a wheel, or use an image of your own"
