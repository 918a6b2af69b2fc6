"""Starting other programs so that none is left behind and none inherits what it should not."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from launcher.contract import EXIT_INTERRUPTED, GRACE_SECONDS

# What would let a program import more, or other things, than its own environment holds.
LEAKS = (
    "CONDA_PREFIX",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONUSERBASE",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "VIRTUAL_ENV",
    "__PYVENV_LAUNCHER__",
)


class Terminated(KeyboardInterrupt):
    """This process was asked to end by a signal that its children did not get."""


def end_children_on_terminate() -> None:
    """Make SIGTERM unwind the launcher like Ctrl-C, so that a running child is ended first."""
    signal.signal(signal.SIGTERM, _raise_terminated)


def _raise_terminated(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


@contextlib.contextmanager
def signals_postponed() -> Iterator[None]:
    """Let a signal that asks this process to end wait until the block is done.

    One that came between the start of a child and the note of it would leave that child behind.
    """
    asked: list[int] = []
    numbers: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)
    earlier = {
        number: signal.signal(number, lambda received, _: asked.append(received))
        for number in numbers
    }
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
        if asked:
            signal.raise_signal(asked[0])


def clean_variables(**more: str) -> dict[str, str]:
    """Return the environment variables for a child: ours without the leaks, and `more`."""
    kept = {name: value for name, value in os.environ.items() if name not in LEAKS}
    return {**kept, "PYTHONNOUSERSITE": "1", **more}


def run_visible(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> int:
    """Run a program on this terminal; return its exit code, 128 + n if signal n ended it or us."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        with signals_postponed():
            started.append(subprocess.Popen(command, cwd=folder, env=variables))
        code = started[0].wait()
    except KeyboardInterrupt as request:
        for child in started:
            # Ctrl-C reaches the whole foreground group, a SIGTERM to the launcher only the launcher.
            _end(child, knows=not isinstance(request, Terminated))
        return EXIT_INTERRUPTED
    return code if code >= 0 else 128 - code


def run_captured(
    command: Sequence[str],
    folder: Path,
    variables: Mapping[str, str],
    show: bool = False,
    given: str | None = None,
) -> tuple[int, str]:
    """Run a program; return its exit code and, unless `show` sends it to standard error, its output."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=variables,
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        stdout=sys.stderr if show else subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return done.returncode, done.stdout or ""


def _end(child: subprocess.Popen[bytes], knows: bool) -> None:
    """Give a child that `knows` of its end time to leave by itself, then insist."""
    if knows and _has_left(child):
        return
    child.terminate()
    if not _has_left(child):
        child.kill()
        child.wait()


def _has_left(child: subprocess.Popen[bytes]) -> bool:
    try:
        child.wait(GRACE_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        return False
    return True
