"""The local executor: runs a CustomJob as processes on this machine, by the service's own rules of success."""

import contextlib
import itertools
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.console import Console, Refused, UserError, coloured
from launcher.contract import EXIT_FAILED, METRICS, MOUNT_VARIABLE, SAVED_MODEL, TASK_MODULE
from launcher.executors.local.cluster import (
    Addresses,
    Replica,
    pools_of,
    replicas_of,
    variables_for,
)
from launcher.executors.local.used_paths import path_findings
from launcher.spec.custom_job import arguments_of, program_of
from launcher.subprocesses import (
    POLL_SECONDS,
    Process,
    end,
    relay,
    run_visible,
    signals_postponed,
    start,
)

KEPT_VARIABLES = (
    *("COLORTERM", "COLUMNS", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "NO_COLOR", "PATH"),
    *("PYTHONDONTWRITEBYTECODE", "SYSTEMROOT", "TERM"),
)
"""What a process needs, and what only changes how its output looks."""
HOMES, TEMPORARY = ("HOME", "USERPROFILE"), ("TMPDIR", "TEMP", "TMP")
START_MODULE = Path(__file__).with_name("start_module.py")
HYPERTUNE = "/tmp/hypertune"
COLOURS = ("cyan", "yellow", "magenta", "green", "blue", "red")


@dataclass(frozen=True)
class Conditions:
    """What the replicas of a job are started with."""

    custom_job: Mapping[str, Any]
    python: Path
    """The interpreter of the environment that holds the package."""
    mount: Path
    """The folder that holds the buckets, as /gcs does in the cloud."""
    folder: Path
    """Where each replica gets an empty working folder, home and folder for temporary files."""


def run_custom_job(
    custom_job: Mapping[str, Any],
    python: Path,
    mount: Path,
    console: Console,
    preempt_seconds: float = 0.0,
) -> int:
    """Run every replica of the job to its end; return the exit code of the primary.

    Raises `Refused` or `UserError` if a replica used a path that only this machine has, or ended too early. After
    `preempt_seconds`, unless that is 0, a replica is killed and the job started again, as the service would.
    """
    with tempfile.TemporaryDirectory(prefix="replicas-") as name:
        conditions = Conditions(custom_job, python, mount, Path(name))
        members = replicas_of(custom_job)
        if len(members) == 1 and not preempt_seconds:
            started = start_of(members[0], free_addresses(members), conditions)
            code = run_visible(*started, stdin=subprocess.DEVNULL)
        else:
            code = run_cluster(members, conditions, console, preempt_seconds)
        found = path_findings(conditions.folder, failed=code != 0)
        if found and not code:
            raise Refused(found)
        console.error(Refused(found))
        if not code:
            check_finished(custom_job, mount)
    return code


def run_cluster(
    members: Sequence[Replica], conditions: Conditions, console: Console, preempt_seconds: float
) -> int:
    """Run replicas until the primary ends or another fails; return the job's exit code."""
    started: list[Process] = []
    try:
        start_all(members, conditions, started)
        if preempt_seconds and wait_for_outcome(started, preempt_seconds) is None:
            preempt(started, preempt_seconds, console)
            start_all(members, conditions, started)
        ended = wait_for_outcome(started)
    finally:
        end(started)
    return exit_code_of_job(ended or started[0], started, console)


def start_all(members: Sequence[Replica], conditions: Conditions, started: list[Process]) -> None:
    """Start every replica, the primary first, in place of those in `started`."""
    started.clear()
    addresses = free_addresses(members)
    prefixes = line_prefixes([member.name for member in members])
    for member, prefix in zip(members, prefixes, strict=True):
        command, folder, variables = start_of(member, addresses, conditions)
        with signals_postponed():
            started.append(start(member.name, command, folder, variables, subprocess.PIPE))
            relay(started[-1], prefix)


def preempt(started: Sequence[Process], seconds: float, console: Console) -> None:
    """Kill the last replica without notice and end the others, because none can continue without it.

    The service does so if the job asks with restart_job_on_worker_restart, as job.toml does.
    """
    console.always(
        f"preempt  {started[-1].name} is killed after {seconds:g} s; all replicas restart"
    )
    started[-1].kill()
    end(started)


def line_prefixes(names: Sequence[str]) -> list[str]:
    """Return what stands before the lines of each replica, coloured on a terminal; nothing if there is one only."""
    if len(names) == 1:
        return [""]
    width = max(map(len, names))
    return [
        coloured(f"{name:<{width}} | ", colour)
        for name, colour in zip(names, itertools.cycle(COLOURS), strict=False)
    ]


def wait_for_outcome(processes: Sequence[Process], seconds: float = float("inf")) -> Process | None:
    """Wait for the first replica, the primary, to end, or for another to fail; return it, None after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for process in processes:
            code = process.code
            if code is not None and (code or process is processes[0]):
                return process
        time.sleep(POLL_SECONDS)
    return None


def start_of(
    member: Replica, addresses: Addresses, conditions: Conditions
) -> tuple[list[str], Path, dict[str, str]]:
    pool = pools_of(conditions.custom_job)[member.pool]
    own = conditions.folder / member.name.replace(" ", "-")
    folder, home, temporary = (own / name for name in ("work", "home", "tmp"))
    for path in (folder, home, temporary):
        path.mkdir(parents=True, exist_ok=True)
    variables = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    variables |= dict.fromkeys(HOMES, str(home)) | dict.fromkeys(TEMPORARY, str(temporary))
    variables |= variables_for(conditions.custom_job, member, addresses)
    variables[MOUNT_VARIABLE] = str(conditions.mount)
    # Without these, packages of the user or of the working folder could be imported.
    variables |= {"PYTHONNOUSERSITE": "1", "PYTHONSAFEPATH": "1"}
    module, _ = program_of(pool)
    roots = json.dumps([str(own), HYPERTUNE, *data_folders(conditions)])
    command = [str(conditions.python), str(START_MODULE), str(own / "paths"), roots]
    return [*command, module or TASK_MODULE, *arguments_of(pool)], folder, variables


def free_addresses(members: Sequence[Replica]) -> dict[int, list[str]]:
    """Return an address on this machine that nothing listens on for each replica, by pool."""
    addresses: dict[int, list[str]] = {}
    with contextlib.ExitStack() as listeners:
        for member in members:
            listener = listeners.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = listener.getsockname()[1]
            addresses.setdefault(member.pool, []).append(f"127.0.0.1:{port}")
    return addresses


def exit_code_of_job(ended: Process, processes: Sequence[Process], console: Console) -> int:
    """Report how each replica ended; return the primary's exit code, or failure if another failed before it."""
    if ended.code:
        lines = "\n".join(f"  {line}" for line in ended.last_lines) or "  (nothing)"
        console.always(
            f"error: {ended.name} ended with exit code {ended.code}, so the job was stopped; its last lines:\n{lines}"
        )
    if len(processes) > 1:
        codes = ", ".join(f"{process.name} {process.code}" for process in processes)
        console.step("ended", f"exit codes: {codes}")
    return (ended.code or 0) if ended is processes[0] else EXIT_FAILED


def data_folders(conditions: Conditions) -> list[str]:
    """Return the buckets' mount, and the folders of this machine that stand for addresses of the job in it."""
    spec = conditions.custom_job["jobSpec"]
    addresses = [
        spec["baseOutputDirectory"]["outputUriPrefix"],
        *arguments_of(pools_of(conditions.custom_job)[0]),
    ]
    links = [conditions.mount / each[5:] for each in addresses if each.startswith("gs://")]
    return [str(conditions.mount), *(str(link.resolve()) for link in links)]


def check_finished(custom_job: Mapping[str, Any], mount: Path) -> None:
    """Raise `UserError` for a run without metrics or a model: a process can end with exit code 0 before it has finished."""
    module, _ = program_of(pools_of(custom_job)[0])
    if module != TASK_MODULE:
        return
    output = custom_job["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"].removeprefix("gs://")
    for name in (METRICS, f"model/{SAVED_MODEL}"):
        if not (mount / output / name).is_file():
            raise UserError(
                f"training ended with exit code 0 before it had finished: there is no {name}",
                "a run that writes its model and, last, its metrics",
                "look for os._exit, or a return that is too early, in trainer/task.py or what it calls",
            )
