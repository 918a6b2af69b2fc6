"""The local executor: runs a CustomJob as processes on this machine, by the service's own rules of success.

`python -m launcher.local JOB.json --mount DIR --environment DIR` runs one from a file, its package taken from the
bucket's mount.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher import replicas
from launcher.cluster import Addresses, Replica, pools_of, replicas_of, variables_for
from launcher.console import Console, Refused, UserError, shown
from launcher.environment import ensure_environment
from launcher.package import read_source_distribution
from launcher.processes import (
    EXIT_INTERRUPTED,
    end_children_on_terminate,
    run_visible,
    signals_postponed,
)
from launcher.project import Project
from launcher.spec import arguments_of, module_of

EXIT_USER_ERROR = 2
EXIT_FAILED = 1
PARENT_POLL_SECONDS = 0.5
DEFAULT_MODULE = "trainer.task"
KEPT_VARIABLES = (
    "COLORTERM",
    "COLUMNS",
    "CUDA_VISIBLE_DEVICES",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "NO_COLOR",
    "PATH",
    "PYTHONDONTWRITEBYTECODE",
    "SYSTEMROOT",
    "TEMP",
    "TERM",
    "TMP",
    "TMPDIR",
    "TZ",
)
"""What a process cannot do without, or what only decides how its output looks."""


@dataclass(frozen=True)
class Conditions:
    """What the replicas of a job are started with."""

    custom_job: Mapping[str, Any]
    python: Path
    """The interpreter of the environment that holds the package."""
    mount: Path
    """The folder that holds the buckets, as /gcs does in the cloud."""
    folder: Path
    """Where each replica gets an empty working folder of its own."""


def run_custom_job(
    custom_job: Mapping[str, Any],
    python: Path,
    mount: Path,
    console: Console,
    preempt_seconds: float = 0.0,
) -> int:
    """Run every replica of the job to its end; return the exit code of the primary.

    Raises `UserError` if a replica leaves something in its working folder, which a cloud job would lose. After
    `preempt_seconds`, unless that is 0, a replica is killed and the job started again, as the service would.
    """
    with tempfile.TemporaryDirectory(prefix="replicas-") as name:
        conditions = Conditions(custom_job, python, mount, Path(name))
        members = replicas_of(custom_job)
        if len(members) == 1 and not preempt_seconds:
            code = run_visible(*start_of(members[0], free_addresses(members), conditions))
        else:
            code = run_cluster(members, conditions, console, preempt_seconds)
        if code == 0:
            check_left_behind(conditions.folder)
    return code


def run_cluster(
    members: Sequence[Replica], conditions: Conditions, console: Console, preempt_seconds: float
) -> int:
    """Run several replicas until the primary ends or another fails; return the job's exit code."""
    started: list[replicas.Process] = []
    try:
        start_all(members, conditions, started)
        if preempt_seconds and replicas.wait(started, preempt_seconds) is None:
            preempt(started, preempt_seconds, console)
            start_all(members, conditions, started)
        ended = replicas.wait(started)
    finally:
        with signals_postponed():
            replicas.end_all(started)
    return verdict(ended or started[0], started, console)


def start_all(
    members: Sequence[Replica], conditions: Conditions, started: list[replicas.Process]
) -> None:
    """Start every replica, the primary first, and put them in the place of those in `started`."""
    started.clear()
    addresses = free_addresses(members)
    prefixes = replicas.prefixes([member.name for member in members])
    for member, prefix in zip(members, prefixes, strict=True):
        command, folder, variables = start_of(member, addresses, conditions)
        with signals_postponed():
            started.append(replicas.start(member.name, command, folder, variables, prefix))


def preempt(started: Sequence[replicas.Process], seconds: float, console: Console) -> None:
    """Kill the last replica without notice and end the others, because none can go on without it.

    The service does so if the job asks with restart_job_on_worker_restart, as job.toml does.
    """
    console.always(f"preempt  {started[-1].name} is killed after {seconds:g} s; all start again")
    replicas.kill(started[-1])
    replicas.end_all(started)


def start_of(
    member: Replica, addresses: Addresses, conditions: Conditions
) -> tuple[list[str], Path, dict[str, str]]:
    """Return the command of a replica, its working folder and its environment."""
    pool = pools_of(conditions.custom_job)[member.pool]
    folder = conditions.folder / member.name.replace(" ", "-")
    folder.mkdir(exist_ok=True)
    variables = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    variables |= variables_for(conditions.custom_job, member, addresses)
    variables["GCS_ROOT"] = str(conditions.mount)
    # Without these, packages of the user or of the working folder could be imported.
    variables |= {"PYTHONNOUSERSITE": "1", "PYTHONSAFEPATH": "1"}
    command = [str(conditions.python), "-m", module_of(pool) or DEFAULT_MODULE]
    return [*command, *arguments_of(pool)], folder, variables


def free_addresses(members: Sequence[Replica]) -> dict[int, list[str]]:
    """Return an address on this machine that nothing listens on for each replica, by pool."""
    addresses: dict[int, list[str]] = {}
    with contextlib.ExitStack() as held:
        for member in members:
            listener = held.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            addresses.setdefault(member.pool, []).append(f"127.0.0.1:{port}")
    return addresses


def verdict(
    ended: replicas.Process, all_of_them: Sequence[replicas.Process], console: Console
) -> int:
    """Say how each replica ended; return the primary's exit code, or failure if another failed before it."""
    if ended.code:
        lines = "\n".join(f"  {line}" for line in ended.last_lines) or "  (nothing)"
        console.always(
            f"error: {ended.name} ended with exit code {ended.code}, so the job was stopped; its last lines:\n{lines}"
        )
    codes = ", ".join(f"{process.name} {process.code}" for process in all_of_them)
    if len(all_of_them) > 1:
        console.step("ended", f"exit codes: {codes}")
    return (ended.code or 0) if ended is all_of_them[0] else EXIT_FAILED


def check_left_behind(folder: Path) -> None:
    """Raise `UserError` if a replica wrote into its working folder."""
    written = sorted(path for path in folder.glob("*/*"))
    if written:
        raise UserError(
            f"training wrote {shown(written[0].name)} into its working folder",
            "all outputs below the folder that --job-dir or AIP_MODEL_DIR names, because a cloud job loses the others",
            "write to a path below that folder",
        )


def package_path(custom_job: Mapping[str, Any], mount: Path) -> Path | None:
    """Return the package that the job installs, in the bucket's mount; None if its image holds it."""
    pool = pools_of(custom_job)[0]
    if "pythonPackageSpec" in pool:
        return mount / str(pool["pythonPackageSpec"]["packageUris"][0]).removeprefix("gs://")
    command = pool["containerSpec"].get("command", [])
    return mount / str(command[3]).removeprefix("/gcs/") if module_of(pool) else None


def end_without(parent: int) -> None:
    """End this process, and with it the job, as soon as its parent is gone: a killed parent cannot do it."""

    def look() -> None:
        """Wait until the parent is another."""
        while os.getppid() == parent:
            time.sleep(PARENT_POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=look, daemon=True).start()


def main(arguments: Sequence[str]) -> int:
    """Run the CustomJob of a file; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m launcher.local", allow_abbrev=False)
    parser.add_argument("job", type=Path, help="a CustomJob as JSON")
    parser.add_argument("--mount", type=Path, required=True, help="the folder of the buckets")
    parser.add_argument("--environment", type=Path, required=True, help="where to install")
    parser.add_argument("--parent", type=int, help="the process without which the job ends")
    given = parser.parse_args(arguments)
    end_children_on_terminate()
    if given.parent:
        end_without(given.parent)
    console = Console()
    environment = dataclasses.replace(Project(Path.cwd()).training, folder=given.environment)
    try:
        custom_job = json.loads(given.job.read_text(encoding="utf-8"))
        package = package_path(custom_job, given.mount)
        if package:
            ensure_environment(environment, read_source_distribution(package), console)
        return run_custom_job(custom_job, environment.python, given.mount.absolute(), console)
    except UserError as error:
        console.always(f"error: {error}")
    except Refused as refused:
        console.always(str(refused))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return EXIT_USER_ERROR


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
