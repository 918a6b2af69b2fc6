"""Faults that a test plans for the doubles, and the log of their requests."""

import re
import threading
from dataclasses import dataclass, field
from typing import Literal

STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    416: "OUT_OF_RANGE",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
}


@dataclass(frozen=True)
class Fault:
    """The fault of one request. Several fields may be set; times are seconds."""

    status: int = 0
    """Status of the response, without handling the request; 0: the request is handled."""
    message: str = ""
    retry_after: str = ""
    reset: Literal["", "before", "after"] = ""
    """Reset the connection before the request is handled, or after it, so that only the response is lost."""
    delay: float = 0
    """Delay of the response after the request is handled."""
    body_delay: float = 0
    """Delay in the middle of the response's body."""
    replay: bool = False
    """Repeat the last response to the same request, without handling the request."""
    corrupt: bool = False
    """Change one byte of an upload before it is stored, or of a download."""
    outcome: Literal["", "queued", "stockout", "preempted"] = ""
    """Outcome of the job that the request creates."""
    preempt_after: float = 0.5
    """Run time of a job before its preemption."""


NO_FAULT = Fault()
EXPIRED = Fault(status=401, message="Request had invalid authentication credentials.")
DENIED = Fault(status=403, message="The caller does not have permission.")
OVER_QUOTA = Fault(
    status=429,
    message="The following quota metrics exceed quota limits: custom_model_training_cpus",
)
UNAVAILABLE = Fault(status=503, message="The service is currently unavailable.")
STAYS_QUEUED = Fault(outcome="queued")
STOCKOUT = Fault(outcome="stockout")
PREEMPTED = Fault(outcome="preempted")
RESET_BEFORE = Fault(reset="before")
ANSWER_LOST = Fault(reset="after")
REPLAYED = Fault(replay=True)
CORRUPT = Fault(corrupt=True)


@dataclass(frozen=True)
class Exchange:
    """One request and the status of its response; 0 if the connection was reset."""

    method: str
    path: str
    """Without the query, percent-encoding undone."""
    query: str
    status: int


@dataclass
class Plan:
    """A fault, the requests that it applies to, and how many of them are left."""

    method: re.Pattern[str]
    path: re.Pattern[str]
    fault: Fault
    times: int
    skip: int


@dataclass
class Faults:
    """A queue of planned faults for both services, and the log of their requests."""

    log: list[Exchange] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def plan(self, method: str, path: str, fault: Fault, times: int = 1, skip: int = 0) -> None:
        """Inject a fault into the matching requests: `times` of them, after `skip` without it.

        `method` is a regular expression for the whole method; `path` is one that is searched for in the
        path and query, percent-encoding undone. Of several plans that match, the first is used up first.
        """
        with self.lock:
            self.plans.append(Plan(re.compile(method), re.compile(path), fault, times, skip))

    def take(self, method: str, path: str) -> Fault:
        """Return the fault planned for a request, and count it as used; `NO_FAULT` if none is."""
        with self.lock:
            for plan in self.plans:
                if plan.times > 0 and plan.method.fullmatch(method) and plan.path.search(path):
                    if plan.skip > 0:
                        plan.skip -= 1
                        return NO_FAULT
                    plan.times -= 1
                    return plan.fault
        return NO_FAULT

    def clear(self) -> None:
        """Clear the plans and the log."""
        with self.lock:
            self.plans.clear()
            self.log.clear()

    def record(self, exchange: Exchange) -> None:
        with self.lock:
            self.log.append(exchange)

    def logged(self, method: str, path: str) -> list[Exchange]:
        """Return the logged requests with this method and a path that contains the pattern `path`."""
        with self.lock:
            return [one for one in self.log if one.method == method and re.search(path, one.path)]
