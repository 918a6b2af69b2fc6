"""Following a job to its end: its state, its log, its outcome and its outputs."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from launcher.console import Console, UserError
from launcher.contract import EXIT_FAILED, EXIT_INTERRUPTED, METRICS
from launcher.executors.vertex import storage
from launcher.executors.vertex.errors import NoResponse, one_line
from launcher.executors.vertex.jobs import SUCCEEDED, CloudJob, JobService
from launcher.executors.vertex.logs import JobLog
from launcher.executors.vertex.tuning_jobs import TrialLog

MAX_SILENCE_SECONDS = 1800.0
"""How long the job service may keep silent, as while a laptop sleeps, before following is given up."""
Log = JobLog | TrialLog
"""What is shown while a job runs."""
Report = Callable[[CloudJob, Console], int]
"""Reports how a job ended, and returns the exit code."""


@dataclass
class Follower:
    service: JobService
    log: Log
    console: Console
    poll_seconds: float
    has_warned: bool = False


def follow(
    follower: Follower, job: CloudJob, report: Report, conclude: Callable[[CloudJob], object]
) -> int:
    """Follow a job until it ends, and return the exit code of `report`: 0 if it succeeded, 130 after Ctrl-C.

    `conclude` is called once the outcome was reported. Raises `NoResponse` after `MAX_SILENCE_SECONDS` of silence.
    """
    console, command = follower.console, follower.service.command
    try:
        with console.status("job") as show:
            ended = poll(follower, job, show)
    except KeyboardInterrupt:
        console.always(
            f"stopped following: job {job.id} continues; nox -s {command} -- --wait follows it again,"
            f" nox -s {command} -- --cancel {job.id} ends it"
        )
        return EXIT_INTERRUPTED
    code = report(ended, console)
    conclude(ended)
    return code


def poll(follower: Follower, job: CloudJob, show: Callable[[str], None]) -> CloudJob:
    silent_since, is_silent, shown_state = time.monotonic(), False, ""
    while True:
        show_log(follower)
        if job.state != shown_state:
            shown_state = job.state
            follower.console.step("job", shown_state.lower())
        if job.has_ended:
            # The last lines, which say why, reach the log later than the state does.
            time.sleep(follower.poll_seconds)
            show_log(follower)
            return job
        show(shown_state.lower())
        time.sleep(follower.poll_seconds)
        try:
            job = follower.service.get(job.resource)
            silent_since, is_silent = time.monotonic(), False
        except NoResponse as error:
            show(str(error))
            if not is_silent:
                follower.console.warning(
                    "the job service does not respond; the job is still followed"
                )
            is_silent = True
            if time.monotonic() - silent_since > MAX_SILENCE_SECONDS:
                raise


def show_log(follower: Follower) -> None:
    try:
        for line in follower.log.new_lines():
            if not follower.console.quiet:
                follower.console.always(f"  {line}")
    except Exception as error:  # whatever is wrong with the log, the job is still followed
        if not follower.has_warned:
            follower.has_warned = True
            follower.console.warning(
                f"the job's log cannot be read ({one_line(str(error))}); expected {follower.log.role};"
                " the job continues, and is still followed"
            )


def report_outcome(job: CloudJob, console: Console) -> int:
    if job.state != SUCCEEDED:
        return report_failure(job, console)
    console.step("model", f"{job.output}/model")
    show_metrics(job, console)
    console.step("fetch", f"nox -s submit -- --fetch {job.run}")
    return 0


def report_failure(job: CloudJob, console: Console) -> int:
    reason = f": {job.error}" if job.error else ""
    console.error(f"job {job.id} {job.state.lower()}{reason}; its log is at {job.address}")
    return EXIT_FAILED


def show_metrics(job: CloudJob, console: Console) -> None:
    """Print the job's metrics on standard output. The exit code does not depend on them."""
    uri = f"{job.output}/{METRICS}"
    try:
        content = storage.read_bytes(storage.storage_client(job.project), uri)
    except UserError as error:
        console.warning(error)
        return
    if content is None:
        console.warning(f"the job left no {uri}")
    else:
        print(content.decode(errors="replace").rstrip())
