"""What must not travel with the package: the launcher, tables, outputs, hidden files and keys."""

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from launcher.console import UserError
from launcher.spec.job_file import Data

STAYS = {"launcher", "tests", "runs", "data", "venv", "job.toml", "noxfile.py", "requirements.lock"}
KEY = re.compile(
    r"id_(rsa|dsa|ecdsa|ed25519)|.*\.(pem|key|p12|pfx|jks|keystore|kdbx)"
    r"|.*(credential|service[-_]?account|client[-_]?secret).*\.(json|ya?ml|toml|ini|txt)",
    re.IGNORECASE,
)


def shipped_findings(files: Iterable[str], data: Data, project: Path) -> list[UserError]:
    """Return a finding for each reason why files of the source distribution should not be in it."""
    tables = [project / path for path in (data.train, data.test, data.prepared) if path]
    found: dict[str, list[str]] = {}
    for name in sorted(files):
        if reason := reason_against(PurePosixPath(name), tables, project):
            found.setdefault(reason, []).append(name)
    return [finding_of(reason, names) for reason, names in found.items()]


def reason_against(name: PurePosixPath, tables: Iterable[Path], project: Path) -> str:
    """Return why a file should not travel, "" if it may."""
    if KEY.fullmatch(name.name):
        return "which looks like a key"
    if any(part.startswith(".") for part in name.parts):
        return "which is hidden"
    if any((project / name).is_relative_to(table) for table in tables):
        return "which a job reads from the bucket"
    return "which stays on this machine" if name.parts[0] in STAYS else ""


def finding_of(reason: str, names: list[str]) -> UserError:
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    return UserError(
        f"the source distribution holds {names[0]}{more}, {reason}",
        "trainer/ and setup.py, with the files that they read",
        "remove it from setup.py or MANIFEST.in, or keep it outside trainer/",
    )
