"""The lines that a job wrote, from Cloud Logging.

Source: https://cloud.google.com/logging/docs/reference/v2/rest/v2/entries/list
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any

from launcher.executors.vertex.errors import LOGGING
from launcher.executors.vertex.jobs import CloudJob, JobService
from launcher.executors.vertex.rest import Rest

PAGE_LINES = 1000
MAXIMUM_LINES = 20_000
TIMEOUT_SECONDS = 10.0
LATE = timedelta(seconds=60)
"""Lines arrive out of order, so each look starts that long before the newest line."""
MICROSECOND_CHARACTERS = len("2026-01-01T00:00:00.000000")


@dataclass
class JobLog:
    """The log of one job, read from where the last look ended."""

    rest: Rest
    job: CloudJob
    since: datetime
    """Nothing before it is asked for."""
    seen: set[str] = field(default_factory=set)

    def new_lines(self) -> Iterator[str]:
        """Yield the new lines; raises what the client raises if the service does not return them."""
        for entry in list(islice(self.entries(), MAXIMUM_LINES)):
            if entry["insertId"] not in self.seen:
                self.seen.add(entry["insertId"])
                self.since = max(self.since, moment(entry["timestamp"]) - LATE)
                yield line_of(entry)

    def entries(self) -> Iterator[Mapping[str, Any]]:
        since = self.since.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        job = f'resource.type="ml_job" AND resource.labels.job_id="{self.job.id}"'
        request = {
            "resourceNames": [f"projects/{self.job.project}"],
            "filter": f'{job} AND timestamp>="{since}"',
            "orderBy": "timestamp asc",
            "pageSize": PAGE_LINES,
        }
        return self.rest.items("entries", "POST", "v2/entries:list", request)


def job_log(_service: JobService, job: CloudJob) -> JobLog:
    rest = Rest(LOGGING, job.project, seconds=TIMEOUT_SECONDS)
    return JobLog(rest, job, moment(job.created))


def line_of(entry: Mapping[str, Any]) -> str:
    """Return an entry as one line, its replica first if it has one that is not the primary."""
    structured = entry.get("jsonPayload", {})
    text = str(entry.get("textPayload", structured.get("message", structured)))
    replica = entry.get("resource", {}).get("labels", {}).get("task_name", "workerpool0-0")
    prefix = "" if replica == "workerpool0-0" else f"{replica}: "
    return prefix + text.rstrip()


def moment(text: str) -> datetime:
    """Return a time in UTC from RFC 3339, whose nanoseconds Python's own parser does not take."""
    whole = text.rstrip("Z")[:MICROSECOND_CHARACTERS]
    digits = whole if "." not in whole else whole.ljust(MICROSECOND_CHARACTERS, "0")
    return datetime.fromisoformat(digits).replace(tzinfo=timezone.utc)
