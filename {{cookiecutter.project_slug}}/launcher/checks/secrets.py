"""Secrets in job.toml, in arguments and in the package: everybody who may see a job or read its bucket can read them."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from launcher.checks.problem import values_of
from launcher.console import UserError
from launcher.files import read_json, write_atomically
from launcher.spec.job_file import Job

TABLE = read_json(Path(__file__).with_name("secrets.json"))
"""The patterns of names and values."""
NAMES, HARMLESS = (re.compile(TABLE[key], re.IGNORECASE) for key in ("names", "harmless"))
VALUES = re.compile("|".join(TABLE["values"].values()))
ALLOWED = "pragma: allowlist secret"
"""The comment by which detect-secrets, too, knows a line that holds none."""
MOST_BYTES = 1_000_000
"""A larger file is data, which would take seconds."""


def secret_findings(job: Job, arguments: Sequence[str]) -> Iterator[UserError]:
    """Yield each value of the job that looks like a secret; its text is never shown."""
    fix = "keep it in Secret Manager, give its name (projects/PROJECT/secrets/NAME/versions/latest) instead,"
    fix += " and let the code read it"
    expected = "none in a job, which everybody who may see it can read"
    for where, name, value in values_of(job, arguments, "environment", "arguments", "labels"):
        is_named = NAMES.search(name.strip("-").replace("-", "_"))
        if VALUES.search(str(value)) or (is_named and not HARMLESS.fullmatch(str(value))):
            yield UserError(f"{where} looks like a secret", expected, fix)


def file_findings(project: Path, files: Iterable[str], note: Path) -> Iterator[UserError]:
    """Yield the lines of the package's text files that look like a secret; the texts are never shown.

    The note keeps the lines for each content, because looking at all takes a second.
    """
    known, found = read_json(note), dict[str, list[int]]()
    expected = "none in the package, which everybody who may read the bucket can read"
    fix = f"let the code read it from Secret Manager, or, if it is none, end the line with # {ALLOWED}"
    for name in sorted(files):
        path = project / name
        content = path.read_bytes() if path.is_file() else b""
        if len(content) > MOST_BYTES:
            continue
        digest = hashlib.sha256(f"{path.suffix}\0".encode() + content).hexdigest()
        found[digest] = known[digest] if digest in known else secret_lines(path, content)
        for line in found[digest]:
            yield UserError(f"{name}, line {line} looks like a secret", expected, fix)
    if found.keys() != known.keys():
        write_atomically(note, json.dumps(found))


def secret_lines(path: Path, content: bytes) -> list[int]:
    # Imported here: that takes a quarter of a second.
    from detect_secrets.core.scan import scan_file
    from detect_secrets.settings import default_settings

    with default_settings() as settings:
        settings.disable_plugins(*TABLE["detectors_left_out"])
        lines = {each.line_number for each in scan_file(str(path))}
    texts = enumerate(content.decode(errors="replace").splitlines(), 1)
    lines |= {at for at, text in texts if VALUES.search(text) and ALLOWED not in text}
    return sorted(lines)
