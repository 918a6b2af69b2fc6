"""What a run is of: its data, the code of its model, and the versions that computed it. Each checkpoint keeps it."""

import functools
import hashlib
import importlib.metadata
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trainer.run.errors import UserError

PACKAGE = Path(__file__).resolve().parents[1]
# Code that cannot change what is trained, below the package.
BESIDE_THE_MODEL = (
    *("arguments.py", "predict.py", "prepare.py", "publish.py", "resume.py", "smoke.py", "task.py"),
    *("preprocessing/", "run/"),
)
DISTRIBUTIONS = {"keras": "keras", "tensorflow": "tensorflow", "tensorflow-cpu": "tensorflow"}


@functools.cache  # of the code as it was imported, whatever happens to the files meanwhile
def identity_of(data: str) -> dict[str, Any]:
    """Return the fingerprint of the data, a digest of each source file of the model, and versions, all JSON-able."""
    versions = {"python": platform.python_version()}
    for distribution, name in DISTRIBUTIONS.items():
        try:
            versions[name] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"data": data, "code": code_digests(PACKAGE), "versions": versions}


def code_digests(package: Path) -> dict[str, str]:
    """Return a digest of each file below `package` that the model may consist of; line ends do not count."""
    names = {path.relative_to(package).as_posix(): path for path in sorted(package.rglob("*.py"))}
    return {
        f"{package.name}/{name}": hashlib.sha256(
            path.read_bytes().replace(b"\r\n", b"\n")
        ).hexdigest()[:16]
        for name, path in names.items()
        if not name.startswith(BESIDE_THE_MODEL)
    }


def check_identity(
    earlier: Mapping[str, Any], now: Mapping[str, Any], where: Path, warn: Callable[[str], None]
) -> None:
    """Raise `UserError` if what `where` holds is of other data or code; warn if only versions differ."""
    if set(earlier) != set(now):
        raise foreign(where)
    if earlier["data"] != now["data"]:
        raise UserError(
            f"{where} holds a run on other data",
            "the prepared data that the run began with",
            "name another --job-dir; nothing was changed",
        )
    if changed := changes(earlier["code"], now["code"]):
        raise UserError(
            f"{where} holds a run of other code ({', '.join(changed)})",
            "the code that the run began with",
            "undo the change, or name another --job-dir; nothing was changed",
        )
    for name in changes(earlier["versions"], now["versions"]):
        was, is_now = (each["versions"].get(name, "none") for each in (earlier, now))
        warn(f"{where} holds a run with {name} {was} (now {is_now}); results may differ a little")


def foreign(path: Path) -> UserError:
    return UserError(
        f"{path} was not written by a run of this version",
        "the outputs of one run",
        "name another --job-dir; nothing was changed",
    )


def changes(earlier: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the keys with another value, or in one of both alone."""
    return sorted(name for name in {*earlier, *now} if earlier.get(name) != now.get(name))
