"""A runner that runs accepted jobs with a baked project's local executor."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.doubles.lifecycle import Runner
from tests.doubles.server import Json

GRACE_SECONDS = 10.0
TICK_SECONDS = 0.05


def executor_runner(
    project: Path, root: Path, python: str, variables: Mapping[str, str] | None = None
) -> Runner:
    """Return a runner that starts `python -m launcher.executors.local` in a baked project.

    `root` is the folder of the storage double and becomes the job's /gcs; `variables` are added to the
    environment of the processes.
    """

    def run(job: Json, log: Callable[[str], None], cancelled: threading.Event) -> int:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "job.json")
            path.write_text(json.dumps(job, indent=1), encoding="utf-8")
            command = [python, "-m", "launcher.executors.local", str(path)]
            command += ["--mount", str(root), "--package", str(package_of(job, root))]
            return run_group(command, project, dict(variables or {}), log, cancelled)

    return run


def package_of(job: Json, root: Path) -> Path:
    """Return the package that a job installs, by pythonPackageSpec or by the command of its container."""
    pool = job["jobSpec"]["workerPoolSpecs"][0]
    if "pythonPackageSpec" in pool:
        return root / str(pool["pythonPackageSpec"]["packageUris"][0]).removeprefix("gs://")
    return root / str(pool["containerSpec"].get("command", [""])[-1]).removeprefix("/gcs/")


def run_group(
    command: list[str],
    folder: Path,
    variables: Mapping[str, str],
    log: Callable[[str], None],
    cancelled: threading.Event,
) -> int:
    """Run a command as its own process group; return its exit code, 128 + N after signal N.

    Its lines go to `log`. When `cancelled` is set, the group gets SIGTERM, and SIGKILL 10 s later. What
    the command leaves running is killed when it ends.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    watcher = threading.Thread(target=watch, args=(process, cancelled), daemon=True)
    watcher.start()
    assert process.stdout
    with process.stdout as lines:
        for line in lines:
            log(line.rstrip("\r\n"))
    watcher.join()
    code = process.wait()
    return code if code >= 0 else 128 - code


def watch(process: "subprocess.Popen[str]", cancelled: threading.Event) -> None:
    """Wait until a process ends or is cancelled, then end its whole group."""
    while process.poll() is None:
        if cancelled.wait(TICK_SECONDS):
            signal_group(process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_SECONDS)
            break
    signal_group(process, signal.SIGKILL)


def signal_group(process: "subprocess.Popen[str]", number: signal.Signals) -> None:
    """Send a signal to a process group if it exists."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
