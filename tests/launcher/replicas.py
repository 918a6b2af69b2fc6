"""Jobs whose replicas run some code, and processes that have to start and to end."""

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Any

from launcher.console import Console
from launcher.executors.local.executor import run_custom_job
from launcher.spec.custom_job import RUN_LABEL, start_command

CONSOLE = Console()
SLEEP = "import time; time.sleep(60)"


def job_of(code: str, *counts: int) -> dict[str, Any]:
    """Return a CustomJob whose replicas run `code`: one pool for each of `counts`, empty for 0.

    The module timeit runs the code that it is given, in an environment that holds no package of ours.
    """
    program = {
        "imageUri": "image",
        "command": start_command("timeit", "gs://b/package.tar.gz"),
        "args": ["-n", "1", "-r", "1", code],
        "env": [{"name": "OWN", "value": "yes"}],
    }
    pools = [{"replicaCount": str(n), "containerSpec": program} if n else {} for n in counts]
    return {
        "labels": {RUN_LABEL: "run-1"},
        "jobSpec": {
            "workerPoolSpecs": pools,
            "baseOutputDirectory": {"outputUriPrefix": "gs://b/n/jobs/run-1"},
        },
    }


def run(job: dict[str, Any], mount: Path, preempt_seconds: float = 0.0) -> int:
    return run_custom_job(job, Path(sys.executable), mount, CONSOLE, preempt_seconds)


def wait_for_files(folder: Path, count: int) -> list[int]:
    """Return the process ids that replicas have written as names of files."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        names = [path.name for path in folder.iterdir()]
        if len(names) == count:
            return [int(name) for name in names]
        time.sleep(0.05)
    raise AssertionError(f"{count} replicas did not start")


def wait_for_end(running: list[int]) -> list[int]:
    """Return the processes that still run after ten seconds."""
    deadline = time.monotonic() + 10
    while running and time.monotonic() < deadline:
        time.sleep(0.05)
        running = [pid for pid in running if alive(pid)]
    return running


def alive(pid: int) -> bool:
    """Return whether a process runs; one that is dead but was not waited for does not."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    if sys.platform == "linux":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
