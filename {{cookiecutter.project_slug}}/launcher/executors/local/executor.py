"""The local executor: runs a CustomJob as processes on this machine, by the service's own rules of success."""

import contextlib
import itertools
import json
import os
import random
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from typing import Any

from launcher.console import Console, Refused, UserError, coloured, shown
from launcher.contract import EXIT_FAILED, EXITS, METRICS, MOUNT_VARIABLE, SAVED_MODEL, TASK_MODULE
from launcher.executors.local.cluster import Replica, pools_of, replicas_of, variables_for
from launcher.packaging.environment import site_packages
from launcher.spec.custom_job import arguments_of, module_of
from launcher.subprocesses import Process, end, relay, run_visible, send, signals_postponed

KEPT_VARIABLES = (
    *("COLORTERM", "COLUMNS", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "NO_COLOR", "PATH"),
    *("PYTHONDONTWRITEBYTECODE", "SYSTEMROOT", "TERM"),
)
"""What a process needs, and what only changes how its output looks."""
HOMES, TEMPORARY = ("HOME", "USERPROFILE"), ("TMPDIR", "TEMP", "TMP")
START_MODULE = Path(__file__).with_name("start_module.py")
USED_PATHS = Path(__file__).with_name("used_paths.json")
"""What is reported of each kind of use that start_module.py records."""
HYPERTUNE = "/tmp/hypertune"
REPLICA_PORTS, MOST_PORTS = range(20_000, 32_768), 100
"""Ports that no system gives to connections: a replica needs seconds of its start until it listens on its own."""
COLOURS = ("cyan", "yellow", "magenta", "green", "blue", "red")
POLL_SECONDS = 0.1
MOST_PATHS = 5


@dataclass(frozen=True)
class LocalJob:
    """A CustomJob, what its replicas are started with, and their processes, the primary first."""

    custom_job: Mapping[str, Any]
    python: Path
    """The interpreter of the environment that holds the package."""
    mount: Path
    """The folder that holds the buckets, as /gcs does in the cloud."""
    folder: Path
    """Where each replica gets an empty working folder, home and folder for temporary files."""
    console: Console
    started: list[Process] = field(default_factory=list)

    @property
    def output(self) -> str:
        return str(self.custom_job["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"])

    def local(self, address: str) -> Path:
        return self.mount / address.removeprefix("gs://")


@contextlib.contextmanager
def waiting_replica(custom_job: Mapping[str, Any], python: Path) -> Iterator[Process]:
    """Yield a process, named by its interpreter, that loads TensorFlow and waits for a job to run alone; end it at last."""
    with tempfile.TemporaryDirectory(prefix="replicas-") as name:
        job = LocalJob(custom_job, python, Path(name), Path(name), Console())
        command, folder, variables = start_of(job, replicas_of(custom_job)[0], {})
        with Process(str(python), command[:2], folder, variables, None, PIPE, False) as process:
            yield process


def run_custom_job(
    custom_job: Mapping[str, Any],
    python: Path,
    mount: Path,
    console: Console,
    preempt_seconds: float = 0.0,
    waiting: Process | None = None,
) -> int:
    """Run every replica of the job, the only one by the process that waits, to its end; return the exit code of the primary.

    Raises `Refused` or `UserError` if a replica used a path that only this machine has, or ended too early. After
    `preempt_seconds`, unless that is 0, a replica is killed and the job started again, as the service would.
    """
    # A process that waits has its folders, which `waiting_replica` removes.
    given = contextlib.nullcontext(str(waiting.folder.parent.parent)) if waiting else None
    with given or tempfile.TemporaryDirectory(prefix="replicas-") as name:
        job = LocalJob(custom_job, python, mount, Path(name), console)
        code = run_replicas(job, preempt_seconds, waiting)
        found = Refused(path_findings(job.folder, failed=code != 0))
        if code:
            console.error(found)
        elif found.findings:
            raise found
        else:
            check_finished(job)
        return code


def run_replicas(job: LocalJob, preempt_seconds: float, waiting: Process | None) -> int:
    """Run replicas until the primary ends or another fails; return the job's exit code."""
    members = replicas_of(job.custom_job)
    if len(members) == 1 and not preempt_seconds:
        alone = start_of(job, members[0], free_addresses(members))
        if waiting:
            send(waiting, [alone[0][2:], alone[2], str(site_packages(job.python.parent.parent))])
        code = run_visible(lambda: waiting or Process("chief", *alone, own_session=False))
        report_sudden_end(code, job.console)
        return code
    try:
        start_all(job)
        if preempt_seconds and wait_for_outcome(job, preempt_seconds) is None:
            preempt(job, preempt_seconds)
            start_all(job)
        ended = wait_for_outcome(job)
    finally:
        end(job.started)
    return exit_code_of_job(job, ended or job.started[0])


def start_all(job: LocalJob) -> None:
    """Start every replica in place of those that were started."""
    job.started.clear()
    members = replicas_of(job.custom_job)
    addresses = free_addresses(members)
    width = max(len(member.name) for member in members)
    for member, colour in zip(members, itertools.cycle(COLOURS), strict=False):
        # What stands before the lines of a replica, unless there is one only.
        prefix = coloured(f"{member.name:<{width}} | ", colour) if len(members) > 1 else ""
        with signals_postponed():
            process = Process(member.name, *start_of(job, member, addresses), PIPE)
            job.started.append(process)
            relay(process, prefix)


def start_of(
    job: LocalJob, member: Replica, addresses: Mapping[int, Sequence[str]]
) -> tuple[list[str], Path, dict[str, str]]:
    """Return the command, the working folder and the variables of a replica."""
    own = job.folder / member.name.replace(" ", "-")
    folder, home, temporary = (own / name for name in ("work", "home", "tmp"))
    for path in (folder, home, temporary):
        path.mkdir(parents=True, exist_ok=True)
    variables = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    variables |= dict.fromkeys(HOMES, str(home)) | dict.fromkeys(TEMPORARY, str(temporary))
    variables |= variables_for(job.custom_job, member, addresses)
    variables[MOUNT_VARIABLE] = str(job.mount)
    # Without these, packages of the user or of the working folder could be imported.
    variables |= {"PYTHONNOUSERSITE": "1", "PYTHONSAFEPATH": "1", "PYTHONFAULTHANDLER": "1"}
    pool = pools_of(job.custom_job)[member.pool]
    roots = json.dumps([str(own), HYPERTUNE, *data_folders(job)])
    command = [str(job.python), str(START_MODULE), str(own / "paths"), roots]
    command += [module_of(pool) or TASK_MODULE, *arguments_of(pool)]
    return command, folder, variables


def free_addresses(members: Sequence[Replica]) -> dict[int, list[str]]:
    """Return an address on this machine that nothing listens on for each replica, by pool."""
    addresses: dict[int, list[str]] = {}
    with contextlib.ExitStack() as listeners:
        for member in members:
            port = listeners.enter_context(free_listener()).getsockname()[1]
            addresses.setdefault(member.pool, []).append(f"127.0.0.1:{port}")
    return addresses


def free_listener() -> socket.socket:
    """Return a listener on a free port of `REPLICA_PORTS`, or on any free port if these are taken."""
    for port in random.SystemRandom().sample(REPLICA_PORTS, MOST_PORTS):
        with contextlib.suppress(OSError):
            return socket.create_server(("127.0.0.1", port))
    return socket.create_server(("127.0.0.1", 0))


def data_folders(job: LocalJob) -> list[str]:
    """Return the buckets' mount, and the folders of this machine that stand for addresses of the job in it."""
    words = [job.output, *arguments_of(pools_of(job.custom_job)[0])]
    links = [job.local(word).resolve() for word in words if word.startswith("gs://")]
    return [str(folder) for folder in (job.mount, *links)]


def wait_for_outcome(job: LocalJob, seconds: float = float("inf")) -> Process | None:
    """Wait for the primary to end, or for another replica to fail; return it, None after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for process in job.started:
            code = process.code
            if code is not None and (code or process is job.started[0]):
                return process
        time.sleep(POLL_SECONDS)
    return None


def preempt(job: LocalJob, seconds: float) -> None:
    """Kill the last replica without notice and end the others, because none can continue without it.

    The service does so if the job asks with restart_job_on_worker_restart, as job.toml does.
    """
    victim = job.started[-1]
    job.console.always(
        f"preempt  {victim.name} is killed after {seconds:g} s; all replicas restart"
    )
    victim.kill_session()
    end(job.started)


def exit_code_of_job(job: LocalJob, ended: Process) -> int:
    """Report how each replica ended; return the primary's exit code, or failure if another failed before it."""
    if ended.code:
        lines = "\n".join(f"  {line}" for line in ended.last_lines) or "  (nothing)"
        job.console.always(
            f"error: {ended.name} ended with exit code {ended.code}, so the job was stopped; its last lines:\n{lines}"
        )
    if len(job.started) > 1:
        codes = ", ".join(f"{process.name} {process.code}" for process in job.started)
        job.console.step("ended", f"exit codes: {codes}")
    return (ended.code or 0) if ended is job.started[0] else EXIT_FAILED


def report_sudden_end(code: int, console: Console) -> None:
    """Report an exit code that the trainer, which reports its own errors, does not have."""
    if code in EXITS:
        return
    how = f"was killed by signal {code - 128}" if code > 128 else f"ended with exit code {code}"
    remedy = "look for os._exit, or a library that ends the process"
    if code == 128 + signal.SIGKILL:
        remedy = "if the machine ran out of memory, lower memory_mb or batch_size"
    console.error(UserError(f"training {how}", "a run that ends with its metrics", remedy))


def path_findings(folder: Path, failed: bool) -> list[UserError]:
    """Return what the replicas of a job that has ended used that only this machine has.

    Of a failed job it is what they looked for in HOME, which may be why.
    """
    reports = json.loads(USED_PATHS.read_text(encoding="utf-8"))
    used: dict[str, set[str]] = {how: set() for how in reports}
    for record in folder.glob("*/paths"):
        for how, path in map(json.loads, record.read_text("utf-8").splitlines()):
            used[how].add(path)
    left = {f"{shown(path.name)} into its working folder" for path in folder.glob("*/work/*")}
    used["writes"] = left.union(filter(os.path.exists, used["writes"]))
    # Libraries look for settings of theirs in hidden folders.
    used["misses"] = {path for path in used["misses"] if not path.startswith("~/.")}
    found = []
    for how in ["misses"] if failed else ["writes", "reads"]:
        what, expected, remedy = reports[how]
        found += [UserError(what.format(path), expected, remedy) for path in sorted(used[how])]
    return found[:MOST_PATHS]


def check_finished(job: LocalJob) -> None:
    """Raise `UserError` for a run without metrics or a model: a process can end with exit code 0 before it has finished."""
    if module_of(pools_of(job.custom_job)[0]) != TASK_MODULE:
        return
    for name in (METRICS, f"model/{SAVED_MODEL}"):
        if not (job.local(job.output) / name).is_file():
            raise UserError(
                f"training ended with exit code 0 before it had finished: there is no {name}",
                "a run that writes its model and, last, its metrics",
                "look for os._exit, or a return that is too early, in trainer/task.py or what it calls",
            )


@contextlib.contextmanager
def mounted(links: Mapping[str, Path]) -> Iterator[Path]:
    """Yield a folder that stands for the mount of Cloud Storage, with links to local folders at gs:// addresses."""
    with tempfile.TemporaryDirectory(prefix="gcs-") as name:
        for address, folder in links.items():
            link = Path(name) / address.removeprefix("gs://")
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(folder, target_is_directory=True)
        yield Path(name)
