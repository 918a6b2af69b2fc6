"""Locks that end with the process that holds them, however it ends."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def held(path: Path, when_busy: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file `path`; if another process does, call `when_busy`, which may raise `UserError`, and wait.

    Where the file cannot be locked, as on file systems without locks, nothing is held. It is removed afterwards.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(
        path, fallback_to_soft=False
    )  # a file that exists would outlive a killed process
    with contextlib.suppress(OSError):
        try:
            lock.acquire(blocking=False)
        except Timeout:
            when_busy()
            lock.acquire()
    try:
        yield
    finally:
        # Before the release: a process that waits for a removed file notices, and locks a new one.
        with contextlib.suppress(OSError):  # Windows removes it only afterwards, by itself
            path.unlink()
        lock.release()
