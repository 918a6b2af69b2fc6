"""The files of the source distribution: those that it lacks, and those that must not travel with the package."""

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path, PurePosixPath

from launcher.checks.source import Source
from launcher.console import UserError, shown
from launcher.packaging.sdist import PACKAGE, package_files, python_files
from launcher.spec.job_file import Data

FILE_NAME = re.compile(r"[\w .*-]*\.\w+|[\w-]+")
STAYS = {"launcher", "tests", "runs", "data", "venv", "job.toml", "noxfile.py", "requirements.lock"}
KEY = re.compile(
    r"id_(rsa|dsa|ecdsa|ed25519)|.*\.(pem|key|p12|pfx|jks|keystore|kdbx)"
    r"|.*(credential|service[-_]?account|client[-_]?secret).*\.(json|ya?ml|toml|ini|txt)",
    re.IGNORECASE,
)


def left_out_findings(project: Path, shipped: frozenset[str]) -> Iterator[UserError]:
    """Yield the modules that are not among the `shipped` files; those of a folder, or that lack the same `__init__.py`, once."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name in python_files(project):
        if name not in shipped:
            init = missing_init(project, name)
            groups.setdefault((init, "" if init else name.rpartition("/")[0]), []).append(name)
    for (init, _), names in groups.items():
        what = f"{first_of(names)} is not in the source distribution"
        fix = 'write packages=find_packages(include=["trainer", "trainer.*"]) in setup.py'
        fix = f"{fix}, and remove what excludes it from MANIFEST.in"
        fix = f"create {init}, an empty file" if init else fix
        yield UserError(what, "every module below trainer/ to travel to the cloud", fix)


def first_of(names: Sequence[str]) -> str:
    return f"{names[0]} (and {len(names) - 1} more)" if names[1:] else names[0]


def missing_init(project: Path, name: str) -> str:
    """Return the topmost `__init__.py` that a module lacks on its way from trainer/, or ""."""
    inits = [folder / "__init__.py" for folder in Path(name).parents][-2::-1]
    return next((path.as_posix() for path in inits if not (project / path).is_file()), "")


def data_findings(source: Source, shipped: frozenset[str]) -> list[UserError]:
    """Return the data files that a module names otherwise than they are named, or that are not `shipped`."""
    findings: dict[tuple[str, bool], UserError] = {}
    data = [each for each in package_files(source.project) if not each.endswith((".py", ".pyc"))]
    split = [(user, text, re.split(r"[/\\]", text)[-1]) for user, text in source.texts()]
    named = [each for each in split if FILE_NAME.fullmatch(each[2])]
    for (user, text, last), file in product(named, data):
        name, inside = Path(file).name, file.partition("/")[2]
        if not fnmatch.fnmatchcase(name.casefold(), last.casefold()):
            continue
        if "*" not in last and (last != name or "\\" in text):
            what = f"{user} names {shown(text)}, which only Windows or macOS take for {file}"
            expected = "the file's name, letter by letter, and / between folders"
            misnamed = UserError(what, expected, f"write {shown(inside)}, or rename the file")
            findings.setdefault((file, True), misnamed)
        elif file not in shipped:
            what = f"{file} is named in {user} but is not in the source distribution"
            package_data = {PACKAGE: [inside]}
            fix = f"add package_data={package_data} to setup() in setup.py"
            unshipped = UserError(what, "every file that the code opens to travel with it", fix)
            findings.setdefault((file, False), unshipped)
    return list(findings.values())


def shipped_findings(files: Iterable[str], data: Data, project: Path) -> Iterator[UserError]:
    """Yield a finding for each reason why files of the source distribution should not be in it."""
    tables = [project / path for path in (data.train, data.test, data.prepared) if path]
    found: dict[str, list[str]] = {}
    for name in sorted(files):
        if reason := reason_against(PurePosixPath(name), tables, project):
            found.setdefault(reason, []).append(name)
    for reason, names in found.items():
        what = f"the source distribution holds {first_of(names)}, {reason}"
        fix = "remove it from setup.py or MANIFEST.in, or keep it outside trainer/"
        yield UserError(what, "trainer/ and setup.py, with the files that they read", fix)


def reason_against(name: PurePosixPath, tables: Iterable[Path], project: Path) -> str:
    """Return why a file should not travel, "" if it may."""
    if KEY.fullmatch(name.name):
        return "which looks like a key"
    if any(part.startswith(".") for part in name.parts):
        return "which is hidden"
    if any((project / name).is_relative_to(table) for table in tables):
        return "which a job reads from the bucket"
    return "which stays on this machine" if stays(name) else ""


def stays(name: str | PurePosixPath) -> bool:
    """Return whether a file belongs to this machine, by the folder that it is in."""
    return PurePosixPath(name).parts[0] in STAYS
