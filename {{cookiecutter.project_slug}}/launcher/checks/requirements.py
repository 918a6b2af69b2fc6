"""Requirements that can be installed here and not on the machines of a job."""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from launcher.checks.problem import Problem, findings_at
from launcher.console import UserError
from launcher.packaging.environment import find_program
from launcher.packaging.sdist import EXTRA, SourceDistribution
from launcher.subprocesses import clean_variables, run_captured

MOST_PATCHES = 100
PUBLIC_INDEX = "https://pypi.org/simple"
INDEX_SETTING = re.compile(r"UV_(\w*INDEX\w*|FIND_LINKS)")
BUILT_HERE = re.compile(r"^Tag: .*-linux_", re.MULTILINE)
"""A tag that PyPI refuses, because such a wheel fits the machine that built it alone."""
ORIGIN = re.compile(r"^([\w.-]+)==.*\n\s+# from (\S+)$", re.MULTILINE)
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
    return findings_at("", [*addresses(lines), *built_here(packages), *private(lines)])


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


def private(lines: Iterable[str]) -> Iterator[Problem]:
    """Yield the distributions that uv finds elsewhere than on PyPI, because a setting of this machine says so."""
    settings = [*filter(INDEX_SETTING.fullmatch, sorted(os.environ)), *map(str, configurations())]
    if not settings:
        return
    options = ("--quiet", "--emit-index-annotation", "--no-annotate", "--no-header")
    command = [find_program("uv"), "pip", "compile", "-", *options]
    _, output = run_captured(command, Path.cwd(), clean_variables(), given="\n".join(lines))
    elsewhere = [pair for pair in ORIGIN.findall(output) if not pair[1].startswith(PUBLIC_INDEX)]
    if elsewhere:
        name, origin = elsewhere[0]
        more = f" and {len(elsewhere) - 1} more" if elsewhere[1:] else ""
        what = f"{name}{more} was found at {origin}, which only {' or '.join(settings)} names"
        yield (
            what,
            "requirements that PyPI has, because a job's machines have no such setting",
            REMEDY,
        )


def configurations() -> list[Path]:
    """Return the configuration files of uv that name an index."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    files = (home / "uv" / "uv.toml", Path("/etc/uv/uv.toml"))
    return [
        file
        for file in files
        if file.is_file() and re.search("index|find-links", file.read_text(encoding="utf-8"))
    ]
