"""Following a job to its end: its state, its log, its outcome and its outputs."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from launcher.console import Console, UserError
from launcher.contract import EXIT_FAILED, METRICS
from launcher.executors.vertex import storage
from launcher.executors.vertex.errors import JOBS, LOGGING, NoResponse, one_line
from launcher.executors.vertex.jobs import SUCCEEDED, CloudJob, JobService
from launcher.executors.vertex.logs import JobLog
from launcher.executors.vertex.tuning_jobs import TrialLog

MAX_SILENCE_SECONDS = 1800.0
"""How long the job service may keep silent, as while a laptop sleeps, before following is given up."""
Log = JobLog | TrialLog
"""What is shown while a job runs."""


@dataclass
class Follower:
    service: JobService
    log: Log
    console: Console
    poll_seconds: float
    has_warned: bool = False


def follow(follower: Follower, job: CloudJob) -> CloudJob | None:
    """Follow a job and return it when it has ended, None after Ctrl-C.

    Raises `NoResponse` after `MAX_SILENCE_SECONDS` of silence.
    """
    console, command = follower.console, f"nox -s {follower.service.command} --"
    try:
        with console.status("job") as show:
            return poll(follower, job, show)
    except KeyboardInterrupt:
        console.always(
            f"stopped following: job {job.id} continues; {command} --wait follows it again,"
            f" {command} --cancel {job.id} ends it"
        )
        return None


def poll(follower: Follower, job: CloudJob, show: Callable[[str], None]) -> CloudJob:
    silent_since, shown_state = 0.0, ""
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
            job, silent_since = follower.service.get(job.resource), 0.0
        except NoResponse as error:
            show(str(error))
            if not silent_since:
                silent_since = time.monotonic()
                text = "the job service does not respond; the job is still followed"
                follower.console.warning(text)
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
            role = (LOGGING if isinstance(follower.log, JobLog) else JOBS)["role"]
            follower.console.warning(
                f"the job's log cannot be read ({one_line(str(error))}); expected {role};"
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
