"""Child processes: none is left running, and none inherits what it should not."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

from launcher.contract import EXIT_INTERRUPTED, GRACE_SECONDS, PARENT_VARIABLE

# What would let a program import more, or other things, than its own environment holds.
LEAKS = (
    *("CONDA_PREFIX", "PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONUSERBASE"),
    *("UV_PYTHON", "UV_SYSTEM_PYTHON", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__", PARENT_VARIABLE),
)
LAST_LINES = 12
POLL_SECONDS = 0.1
# Windows has one way to end a process.
SIGKILL = getattr(signal, "SIGKILL", signal.SIGTERM)
PARENT_POLL_SECONDS = 0.5
PR_SET_PDEATHSIG = 1
"""Source: https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html"""


class Terminated(KeyboardInterrupt):
    """This process was asked to end by a signal that its children did not get."""


def end_children_on_terminate() -> None:
    """Make SIGTERM unwind the launcher like Ctrl-C, so that a running child is ended first."""
    signal.signal(signal.SIGTERM, _raise_terminated)


def _raise_terminated(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def end_without_parent() -> None:
    """End this process, as SIGTERM does, soon after the parent that PARENT_VARIABLE names: a killed one cannot end it.

    On Windows a process keeps the number of a parent that is gone, so there it runs on.
    """
    parent = int(os.environ.get(PARENT_VARIABLE, "0"))

    def wait_and_end() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    if parent and os.name != "nt":
        threading.Thread(target=wait_and_end, daemon=True).start()


def killed_with_parent() -> Callable[[], None] | None:
    """Return what a child calls before its program starts, so that Linux kills it with this process; None elsewhere.

    It takes no lock, which another thread could hold while the child is made.
    """
    if sys.platform != "linux":
        return None
    import ctypes

    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, SIGKILL)
        if os.getppid() != parent:  # it was gone before the call
            os._exit(EXIT_INTERRUPTED)

    return tie


@contextlib.contextmanager
def signals_postponed() -> Iterator[None]:
    """Let a signal that asks this process to end wait until the block is done.

    One that came between the start of a child and the note of it would leave that child behind.
    """
    asked: list[int] = []
    earlier = {
        number: signal.signal(number, lambda received, _: asked.append(received))
        for number in (signal.SIGINT, signal.SIGTERM)
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


class Process(subprocess.Popen[bytes]):
    """A program whose output goes to this terminal, to a file, or, with `subprocess.PIPE`, to `relay`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        variables: Mapping[str, str],
        output: BinaryIO | int | None = None,
        stdin: int | None = subprocess.DEVNULL,
        own_session: bool = True,
    ) -> None:
        """Start it; a signal to the launcher's group does not reach one that has a session of its own."""
        self.name, self.folder, self.own_session = name, folder, own_session
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self.reader: threading.Thread | None = None
        super().__init__(
            command,
            cwd=folder,
            env=variables,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT if output is not None else None,
            start_new_session=own_session,
            preexec_fn=killed_with_parent(),
        )

    @property
    def code(self) -> int | None:
        """The exit code, 128 + n if signal n ended it; None while it runs."""
        code = self.poll()
        return code if code is None or code >= 0 else 128 - code

    def kill_session(self) -> None:
        """End it, and what it started in its session, without notice."""
        if not self.own_session or os.name == "nt":
            self.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, SIGKILL)
        self.wait()

    def __exit__(self, *error: Any) -> None:
        self.kill_session()
        super().__exit__(*error)


def send(process: Process, *lines: object) -> None:
    """Give a program values, each a line of JSON on its standard input."""
    assert process.stdin
    with contextlib.suppress(BrokenPipeError):  # its output or exit code says why it has ended
        process.stdin.writelines(f"{json.dumps(line)}\n".encode() for line in lines)
        process.stdin.flush()


def relay(process: Process, prefix: str) -> None:
    """Print each line of a process behind a prefix on standard error, and keep the last ones."""

    def read() -> None:
        assert process.stdout is not None
        for line in io.TextIOWrapper(process.stdout, "utf-8", "replace"):
            text = line.rstrip("\n")
            process.last_lines.append(text)
            print(f"{prefix}{text}", file=sys.stderr, flush=True)

    process.reader = threading.Thread(target=read, daemon=True)
    process.reader.start()


def end(
    processes: Sequence[Process], grace_seconds: float = GRACE_SECONDS, informed: bool = False
) -> None:
    """End processes: SIGTERM, and SIGKILL after the grace period; returns when none is left.

    Those that are `informed`, because Ctrl-C reaches the whole foreground group, get that time before SIGTERM too.
    A signal to this process waits meanwhile.
    """
    with signals_postponed():
        running = [process for process in processes if process.code is None]
        if informed:
            wait_for(running, grace_seconds)
        for process in running:
            process.terminate()
        wait_for(running, grace_seconds)
        for process in running:
            process.kill_session()  # with all that it started
        for process in processes:
            if process.reader:
                process.reader.join(POLL_SECONDS)


def wait_for(processes: Sequence[Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))


def run_visible(start: Callable[[], Process]) -> int:
    """Run a program on this terminal; return its exit code, 128 + n if signal n ended it or us."""
    started: list[Process] = []
    try:
        with signals_postponed():
            started.append(start())
        started[0].wait()
    except KeyboardInterrupt as request:
        # A SIGTERM to the launcher reaches only the launcher.
        end(started, informed=not isinstance(request, Terminated))
        return EXIT_INTERRUPTED
    return started[0].code or 0


def run_captured(
    command: Sequence[str], folder: Path, variables: Mapping[str, str], show: bool = False
) -> tuple[int, str]:
    """Run a program; return its exit code and, unless `show` sends it to standard error, its output."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr if show else subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
        preexec_fn=killed_with_parent(),
    )
    return done.returncode, done.stdout or ""
