"""The logs of jobs, as the logging service lists them.

Source: https://cloud.google.com/logging/docs/reference/v2/rest/v2/entries/list
"""

import json
import operator
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from tests.doubles.lifecycle import Job, Line
from tests.doubles.objects import timestamp
from tests.doubles.server import ApiError, Json

CLAUSE = re.compile(r'([\w.-]+)\s*(>=|<=|!=|=|>|<|:)\s*("?)([^"]*)\3')
COMPARISONS = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
SEVERITIES = (
    "DEFAULT",
    "DEBUG",
    "INFO",
    "NOTICE",
    "WARNING",
    "ERROR",
    "CRITICAL",
    "ALERT",
    "EMERGENCY",
)


def clauses(text: str) -> list[tuple[str, str, str]]:
    """Return the clauses of a filter, joined by AND: name, comparison, value; raise ApiError for others."""
    found = []
    for part in filter(None, re.split(r"\s+AND\s+|\n+", text.strip())):
        match = CLAUSE.fullmatch(part.strip())
        if not match:
            raise ApiError(400, f"Unparseable filter: {part!r}")
        found.append((match[1], match[2], match[4]))
    return found


def list_entries(jobs: Iterable[Job], body: Json) -> Json:
    """Return one page of the entries that a body asks for, with the token of the next page."""
    if not body.get("resourceNames"):
        raise ApiError(400, "Missing required field: resourceNames")
    required = clauses(body.get("filter", ""))
    entries = [entry(job, n, line) for job in jobs for n, line in enumerate(list(job.lines))]
    entries = [one for one in entries if all(fits(one, *clause) for clause in required)]
    order = body.get("orderBy", "timestamp asc")
    entries.sort(key=lambda one: (moment(one["timestamp"]), one["insertId"]))
    if order.endswith(" desc"):
        entries.reverse()
    first, size = int(body.get("pageToken") or 0), int(body.get("pageSize") or 50)
    page: Json = {"entries": entries[first : first + size]}
    if first + size < len(entries):
        page["nextPageToken"] = str(first + size)
    return page


def entry(job: Job, number: int, line: Line) -> Json:
    """Return one line as an entry; a line that is JSON with a severity and a message is structured."""
    labels = {"job_id": job.id, "task_name": "workerpool0-0"}
    content: Json = {"severity": "INFO", "textPayload": line.text}
    if structured := structured_line(line.text):
        content = {"severity": structured.pop("severity"), "jsonPayload": structured}
    return {
        "insertId": f"{job.id}-{number:08}",
        "timestamp": timestamp(line.microseconds / 1e6),
        "resource": {"type": "ml_job", "labels": labels},
        **content,
    }


def structured_line(text: str) -> Json:
    """Return the fields of a structured line, none for any other."""
    if not text.startswith("{"):
        return {}
    try:
        fields = json.loads(text)
    except ValueError:
        return {}
    good = {"severity", "message"} <= fields.keys() and fields["severity"] in SEVERITIES
    return dict(fields) if good else {}


def fits(one: Json, name: str, comparison: str, value: str) -> bool:
    """Return whether an entry matches a clause; raise ApiError for an unknown field."""
    if name == "timestamp":
        return compared(moment(one["timestamp"]), comparison, moment(value))
    if name == "severity" and value in SEVERITIES:
        return compared(SEVERITIES.index(one["severity"]), comparison, SEVERITIES.index(value))
    known = {"resource.type": one["resource"]["type"], "insertId": one["insertId"]}
    known |= {f"resource.labels.{key}": text for key, text in one["resource"]["labels"].items()}
    if name not in known:
        raise ApiError(400, f"The double can't filter logs by {name!r}")
    return compared(known[name], comparison, value)


def compared(actual: Any, comparison: str, value: Any) -> bool:
    """Compare two values of one type; a colon asks whether one contains the other."""
    if comparison == ":":
        return str(value) in str(actual)
    return bool(COMPARISONS[comparison](actual, value))


def moment(text: str) -> float:
    """Return the seconds since 1970 of a time in the form of RFC 3339; raise ApiError for other forms."""
    try:
        return datetime.fromisoformat(
            re.sub(r"(\.\d{6})\d*", r"\1", text).replace("Z", "+00:00")
        ).timestamp()
    except ValueError as error:
        raise ApiError(400, f"Invalid timestamp {text!r}") from error
