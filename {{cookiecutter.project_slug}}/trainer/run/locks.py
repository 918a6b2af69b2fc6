"""Locks on folders. They end with the process that holds them, however it ends."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def held(folder: Path, busy: Callable[[], None]) -> Iterator[None]:
    """Make `folder` and hold it, so that no other process does; if one does, call `busy`, which may raise, and wait.

    Windows and file systems without locks, such as Cloud Storage FUSE, hold nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if os.name == "nt":
        yield
        return
    descriptor = lock(folder, busy)
    try:
        yield
    finally:
        os.close(descriptor)


def lock(folder: Path, busy: Callable[[], None]) -> int:
    """Return a descriptor of the folder, locked."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            if not acquired(descriptor, wait=False):
                busy()
                acquired(descriptor, wait=True)
            # Who held it may have put the folder elsewhere.
            if folder.is_dir() and os.path.samestat(folder.stat(), os.fstat(descriptor)):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def acquired(descriptor: int, wait: bool) -> bool:
    """Lock an open folder; return False if another process has it. Without locks there is none to have it."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
