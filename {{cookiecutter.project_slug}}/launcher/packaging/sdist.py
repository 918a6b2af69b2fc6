"""The source distribution: built like the one that is uploaded, then compared with the package's folder."""

import ast
import email
import gzip
import hashlib
import io
import os
import re
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from launcher.console import Console, UserError
from launcher.files import locked, write_atomically
from launcher.subprocesses import clean_variables, run_captured

PACKAGE = "trainer"
LARGE_MB, MOST_MB = 50, 500
"""Of the archive: what is reported, and what is refused."""
KEPT_SECONDS = 30 * 24 * 3600.0
"""How long packages and environments are kept after their last use: longer than any run takes."""
EXTRA = re.compile(r"""extra\s*==\s*["']([\w.-]+)["']""")
UNPARSED = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What Python raises for a file that it cannot parse, the last two for expressions that are nested too deeply."""
INVALID = re.compile(r"requirement specifiers; (.*)\n\s*(\S.*)\n\s*[~^]+")
"""What setuptools writes about a requirement that it cannot parse."""


@dataclass(frozen=True)
class SourceDistribution:
    """A built source distribution: its name, its requirement lines, and what it holds."""

    path: Path
    name: str
    requirements: tuple[str, ...]
    files: frozenset[str]
    content: str
    """A digest of the files' names and bytes; equal builds have equal ones."""
    python: str = ""
    """Its python_requires."""

    def requirements_of(self, extra: str) -> tuple[str, ...]:
        """Return the requirement lines that an installation with `extra` takes into account."""
        lines = (each for each in self.requirements if extra in (EXTRA.findall(each) or [extra]))
        return tuple(sorted(lines))

    @property
    def declared(self) -> dict[str, list[str]]:
        """The requirement lines, those of extras included, by the normalised name of the distribution."""
        # Imported where it is needed: it takes longer than the rest of --help.
        from packaging.requirements import Requirement
        from packaging.utils import canonicalize_name

        lines: dict[str, list[str]] = {}
        for line in self.requirements:
            lines.setdefault(canonicalize_name(Requirement(line).name), []).append(line)
        return lines


def build_source_distribution(
    project: Path, packages: Path, console: Console
) -> SourceDistribution:
    """Build `project` and return what was built, `stored` in `packages`; raise `UserError` if that fails."""
    if not (project / PACKAGE).is_dir():
        raise without_package(project)
    setup = project / "setup.py"
    if not setup.is_file():
        raise UserError(f"{setup} is missing", "the file that makes the package", "restore it")
    if finding := syntax_finding(setup, setup.name):
        raise finding
    with tempfile.TemporaryDirectory() as folder:
        with building(packages, console):
            archive = run_sdist(project, Path(folder), console)
        distribution = stored(archive, packages, console)
    console.step("package", f"{archive.name}, {len(distribution.files)} files")
    return distribution


def without_package(folder: Path) -> UserError:
    """Return the error for a project whose package was renamed or moved."""
    found = [*folder.glob("[!.]*/features.py"), *folder.glob("[!.]*/*/features.py")]
    names = [path.parent.relative_to(folder).as_posix() for path in found]
    return UserError(
        f"there is no folder {PACKAGE}/",
        f"the package in {PACKAGE}/, because its modules and the launcher import it by that name",
        f"rename {names[0]}/ to {PACKAGE}/" if names else "restore it",
    )


def building(packages: Path, console: Console) -> AbstractContextManager[None]:
    """Hold the lock of all that is built and installed; setuptools works in the project's folder meanwhile."""
    return locked(packages / "lock", "another command that builds or installs", console)


def run_sdist(project: Path, folder: Path, console: Console) -> Path:
    """Run `setup.py sdist` into an empty folder and return the archive; raise `UserError` if it fails."""
    # A fresh egg-info: setuptools would take over files that an earlier build listed.
    command = [sys.executable, "setup.py", "egg_info", "--egg-base", str(folder)]
    command += ["sdist", "--formats", "gztar", "--dist-dir", str(folder)]
    code, output = run_captured(command, project, clean_variables(), show=console.verbose)
    archives = list(folder.glob("*.tar.gz"))
    if invalid := INVALID.search(output):
        raise UserError(
            f"setup.py requires {invalid[2]!r} ({invalid[1].lower()})",
            'requirements such as "numpy>=1.26"',
            "correct it in setup.py; a missing comma joins two",
        )
    if code or len(archives) != 1:
        raise UserError(
            f"setup.py cannot be built ({error_line(output)})",
            "a setup.py that makes a source distribution",
            "correct setup.py; -v shows the build's output",
        )
    if finding := size_finding(archives[0], MOST_MB):
        raise finding
    return archives[0]


def size_finding(archive: Path, limit_mb: int) -> UserError | None:
    """Return a finding that names the largest files of an archive that is above a limit."""
    if archive.stat().st_size <= limit_mb * 1e6:
        return None
    with tarfile.open(archive) as file:
        largest = sorted(file.getmembers(), key=lambda each: -each.size)[:3]
    names = (f"{each.name.partition('/')[2]} ({each.size / 1e6:,.0f} MB)" for each in largest)
    return UserError(
        f"the package has {archive.stat().st_size / 1e6:,.0f} MB; its largest files: {', '.join(names)}",
        f"at most {limit_mb} MB, because each replica of each job downloads it",
        "keep data in the bucket and name its address with a flag, or exclude the files in MANIFEST.in",
    )


def stored(archive: Path, packages: Path, console: Console) -> SourceDistribution:
    """Return the distribution of an archive, in the folder that has the digest of its files: it never changes there.

    So whatever was started with it, a trial or an upload, keeps it while other code is built.
    """
    files = archive_files(archive.read_bytes())
    content, metadata = digest(files), email.message_from_bytes(files["PKG-INFO"])
    path = packages / content[:16] / archive.name
    with building(packages, console):
        if not path.is_file():
            prune(packages.iterdir())
            top = archive.name.removesuffix(".tar.gz")
            write_atomically(path, packed({f"{top}/{name}": files[name] for name in files}))
        os.utime(path.parent)
    requirements = tuple(metadata.get_all("Requires-Dist", []))
    name, python = metadata["Name"], metadata["Requires-Python"] or ""
    return SourceDistribution(path, name, requirements, frozenset(files), content, python)


def prune(folders: Iterable[Path]) -> None:
    """Remove folders whose last use, the time of their last change, is so long ago that nothing runs from them."""
    for folder in folders:
        if folder.is_dir() and time.time() - folder.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def packed(files: Mapping[str, bytes]) -> bytes:
    """Return files as a gzipped tar archive; with one version of zlib, equal files make equal bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(files[name]), 0o644
            archive.addfile(member, io.BytesIO(files[name]))
    return gzip.compress(buffer.getvalue(), mtime=0)


def error_line(output: str) -> str:
    """Return the line of a program's output that most likely has the cause."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    candidates = [line for line in lines if "error" in line.lower()] or lines or ["no output"]
    return candidates[-1]


def archive_files(archive: bytes) -> dict[str, bytes]:
    """Return the bytes of each file in an archive, named without the archive's top folder."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {
            member.name.partition("/")[2]: file.read()
            for member in opened.getmembers()
            if (file := opened.extractfile(member))
        }


def digest(files: Mapping[str, bytes]) -> str:
    hasher = hashlib.sha256()
    for name in sorted(files):
        hasher.update(f"{name}\0{len(files[name])}\0".encode())
        hasher.update(files[name])
    return hasher.hexdigest()


def package_files(project: Path) -> list[str]:
    """Return the files below trainer/, relative to the project, without caches and hidden files."""
    paths = (path.relative_to(project) for path in (project / PACKAGE).rglob("*") if path.is_file())
    return sorted(
        path.as_posix()
        for path in paths
        if not any(part == "__pycache__" or part.startswith(".") for part in path.parts)
    )


def python_files(project: Path) -> list[str]:
    return [name for name in package_files(project) if name.endswith(".py")]


def syntax_finding(path: Path, name: str) -> UserError | None:
    try:
        ast.parse(path.read_bytes())
    except UNPARSED as error:
        line = getattr(error, "lineno", None) or 1
        reason = getattr(error, "msg", "") or str(error) or "it is nested too deeply"
        return UserError(
            f"{name}, line {line}: {reason}",
            f"syntax of Python {sys.version_info.major}.{sys.version_info.minor}",
            "correct that line",
        )
    return None
