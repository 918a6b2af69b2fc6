"""Following a job to its end: its state, its log, its outcome and its outputs.

Source of the log: https://cloud.google.com/logging/docs/reference/v2/rest/v2/entries/list
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from launcher.console import Console, UserError
from launcher.contract import EXIT_FAILED, EXIT_INTERRUPTED, METRICS
from launcher.executors.vertex import storage
from launcher.executors.vertex.jobs import SUCCEEDED, CloudJob, JobService, outcomes_of
from launcher.executors.vertex.send import Request, Stage, send
from launcher.executors.vertex.services import JOBS, LOGGING, NoResponse, Rest, one_line
from launcher.files import locked
from launcher.spec.study import Study

PAGE_LINES = 1000
MAXIMUM_LINES = 20_000
TIMEOUT_SECONDS = 10.0
LATE = timedelta(seconds=60)
"""Lines arrive out of order, so each look starts that long before the newest line."""
MAX_SILENCE_SECONDS = 1800.0
"""How long the job service may keep silent, as while a laptop sleeps, before following is given up."""

LogOf = Callable[[JobService, CloudJob], "Log"]
Report = Callable[[CloudJob, Console], int]


@dataclass
class Log:
    """What is shown while a job runs."""

    lines: Callable[[], Iterable[tuple[str, str]]]
    """Returns lines, each with what tells it from others; raises what the client raises without a response."""
    role: str = JOBS["role"]
    """What reading it needs."""
    seen: set[str] = field(default_factory=set)
    has_warned: bool = False
    """Whether the user knows that it cannot be read."""

    def show(self, console: Console) -> None:
        """Print the lines that no earlier look has found; warn, once, if they cannot be read."""
        try:
            for name, line in self.lines():
                if name not in self.seen and not console.quiet:
                    console.always(f"  {line}")
                self.seen.add(name)
        except Exception as error:  # whatever is wrong with the log, the job is still followed
            if not self.has_warned:
                console.warning(
                    f"the job's log cannot be read ({one_line(str(error))}); expected {self.role};"
                    " the job continues, and is still followed"
                )
            self.has_warned = True


def job_log(_service: JobService, job: CloudJob) -> Log:
    """Return the log of one job, read from where the last look ended."""
    rest, since = Rest(LOGGING, job.project, seconds=TIMEOUT_SECONDS), moment(job.created)

    def lines() -> Iterator[tuple[str, str]]:
        from google.api_core.datetime_helpers import to_rfc3339

        nonlocal since
        named = f'resource.type="ml_job" AND resource.labels.job_id="{job.id}"'
        request = {
            "resourceNames": [f"projects/{job.project}"],
            "filter": f'{named} AND timestamp>="{to_rfc3339(since)}"',
            "orderBy": "timestamp asc",
            "pageSize": PAGE_LINES,
        }
        entries = rest.items("entries", "POST", "v2/entries:list", request)
        for entry in list(islice(entries, MAXIMUM_LINES)):
            since = max(since, moment(entry["timestamp"]) - LATE)
            yield entry["insertId"], line_of(entry)

    return Log(lines, LOGGING["role"])


def line_of(entry: Mapping[str, Any]) -> str:
    """Return an entry as one line, its replica first if it has one that is not the primary."""
    structured = entry.get("jsonPayload", {})
    text = str(entry.get("textPayload", structured.get("message", structured)))
    replica = entry.get("resource", {}).get("labels", {}).get("task_name", "workerpool0-0")
    prefix = "" if replica == "workerpool0-0" else f"{replica}: "
    return prefix + text.rstrip()


def moment(text: str) -> datetime:
    """Return a time in UTC from RFC 3339, whose nanoseconds Python's own parser does not take."""
    from google.api_core.datetime_helpers import from_rfc3339

    read: datetime = from_rfc3339(text)
    return read


def trial_log(service: JobService, job: CloudJob, study: Study) -> Log:
    """Return a line for each trial that has begun or ended."""

    def lines() -> Iterator[tuple[str, str]]:
        for each in outcomes_of(service.get(job.resource), study):
            value = "" if each.value is None else f", {study.options.metric} {each.value:.4f}"
            line = f"trial {each.number:>3} {each.state}{value}  {' '.join(each.flags)}"
            yield line, line

    return Log(lines)


def send_and_follow(
    request: Request,
    run: str,
    resource: Mapping[str, Any],
    record: Mapping[str, Any],
    log_of: LogOf,
    report: Report,
) -> int:
    """Send a job once and, if the command waits for it, follow it and report how it ended; return the exit code."""
    with locked(request.folder / "lock", "another command that sends a job", request.console):
        submission, job = send(request, run, resource, record)
    if not request.waits and not job.has_ended:
        return 0
    ended = follow(request, log_of(request.service, job), job)
    if ended is None:
        return EXIT_INTERRUPTED
    code = report(ended, request.console)
    request.record(submission, Stage.CONCLUDED, ended)
    return code


def follow(request: Request, log: Log, job: CloudJob) -> CloudJob | None:
    """Return a job when it has ended, None after Ctrl-C; raise `NoResponse` after `MAX_SILENCE_SECONDS` of silence."""
    console = request.console
    try:
        with console.status("job") as show:
            return poll(request, log, job, show)
    except KeyboardInterrupt:
        console.always(
            f"stopped following: job {job.id} continues; the same command follows it again,"
            f" nox -s {request.service.command} -- --cancel {job.id} ends it"
        )
        return None


def poll(request: Request, log: Log, job: CloudJob, show: Callable[[str], None]) -> CloudJob:
    console, silent_since, shown_state = request.console, 0.0, ""
    while True:
        log.show(console)
        if job.state != shown_state:
            shown_state = job.state
            console.step("job", shown_state.lower())
        if job.has_ended:
            # The last lines, which say why, reach the log later than the state does.
            time.sleep(request.poll_seconds)
            log.show(console)
            return job
        show(shown_state.lower())
        time.sleep(request.poll_seconds)
        try:
            job, silent_since = request.service.get(job.resource), 0.0
        except NoResponse as error:
            show(str(error))
            if not silent_since:
                silent_since = time.monotonic()
                console.warning("the job service does not respond; the job is still followed")
            if time.monotonic() - silent_since > MAX_SILENCE_SECONDS:
                raise


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
