"""Files that are written completely or not at all, and locks between processes."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from launcher.console import Console

LOCK_POLL_SECONDS = 0.2


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that no reader ever finds half of it, not even after a power cut."""
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        part = Path(folder, path.name)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, an empty one if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


@contextlib.contextmanager
def locked(path: Path, holder: str, console: Console) -> Iterator[None]:
    """Hold a lock file; wait, after one line, while another process, described by `holder`, holds it.

    The system releases it when its process dies, however that dies. Where files cannot be locked, nothing is held.
    """
    # Imported here, because most commands need no lock and --help should stay fast.
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    # The fallback is a file that exists, which would outlive a killed process.
    lock = FileLock(path, fallback_to_soft=False)
    with contextlib.suppress(OSError):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            console.step("waiting", f"for {holder}")
            lock.acquire(poll_interval=LOCK_POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()
