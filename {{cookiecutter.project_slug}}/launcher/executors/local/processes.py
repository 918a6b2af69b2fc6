"""The processes of a job's replicas: started together, read line by line, watched, and none left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from launcher.contract import GRACE_SECONDS

LAST_LINES = 12
POLL_SECONDS = 0.1
COLOURS = (36, 33, 35, 32, 34, 31)


@dataclass
class Process:
    """A running replica: its name, its child process, and the last lines that it wrote."""

    name: str
    child: "subprocess.Popen[str]"
    reader: threading.Thread
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))

    @property
    def code(self) -> int | None:
        """The exit code, 128 + n if signal n ended it; None while it runs."""
        code = self.child.poll()
        return code if code is None or code >= 0 else 128 - code


def start(
    name: str, command: Sequence[str], folder: Path, variables: Mapping[str, str], prefix: str
) -> Process:
    """Start a replica in a session of its own, so that a signal for the launcher does not reach it by itself."""
    child = subprocess.Popen(
        command,
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    process = Process(name, child, threading.Thread())
    process.reader = threading.Thread(target=relay, args=(process, prefix), daemon=True)
    process.reader.start()
    return process


def relay(process: Process, prefix: str) -> None:
    """Show each line of a replica behind its name, and keep the last ones."""
    assert process.child.stdout is not None
    for line in process.child.stdout:
        text = line.rstrip("\n")
        process.last_lines.append(text)
        print(f"{prefix}{text}", file=sys.stderr, flush=True)


def prefixes(names: Sequence[str]) -> list[str]:
    """Return what stands before the lines of each replica, coloured on a terminal; nothing if there is one only."""
    if len(names) == 1:
        return [""]
    width = max(map(len, names))
    plain = [f"{name:<{width}} | " for name in names]
    if not sys.stderr.isatty() or "NO_COLOR" in os.environ:
        return plain
    return [
        f"\x1b[{COLOURS[number % len(COLOURS)]}m{text}\x1b[0m" for number, text in enumerate(plain)
    ]


def wait(processes: Sequence[Process], seconds: float = float("inf")) -> Process | None:
    """Wait for the first replica, the primary, to end, or for another to fail; return it, None after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for process in processes:
            code = process.code
            if code is not None and (code or process is processes[0]):
                return process
        time.sleep(POLL_SECONDS)
    return None


def end_all(processes: Sequence[Process]) -> None:
    """Ask every replica that still runs to end, and insist after a while. Returns when none is left."""
    for process in processes:
        signal_group(process, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    for process in processes:
        left = max(0.0, deadline - time.monotonic())
        try:
            process.child.wait(left)
        except subprocess.TimeoutExpired:
            signal_group(process, signal.SIGKILL)
            process.child.wait()
        process.reader.join(POLL_SECONDS)


def kill(process: Process) -> None:
    """End a replica without notice, as a preemption may."""
    signal_group(process, signal.SIGKILL)
    process.child.wait()


def signal_group(process: Process, number: int) -> None:
    """Send a signal to a replica and all that it started, unless it has ended."""
    if process.child.poll() is not None:
        return
    if os.name == "nt":
        process.child.terminate()
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.child.pid, number)
