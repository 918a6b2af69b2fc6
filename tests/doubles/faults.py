"""Faults that a test plans for the doubles, and the log of what they were asked."""

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
    """What goes wrong with one request. Several fields may be set; times are seconds."""

    status: int = 0
    """Answered instead of handling the request; 0: the request is handled."""
    message: str = ""
    retry_after: str = ""
    reset: Literal["", "before", "after"] = ""
    """The connection is reset before the request is handled, or after, so that only its answer is lost."""
    delay: float = 0
    """Pause before the answer, after the request was handled."""
    body_delay: float = 0
    """Pause in the middle of the answer's body."""
    replay: bool = False
    """The last answer to the same request is given again, and the request is not handled."""
    corrupt: bool = False
    """One byte of an upload is changed before it is stored, or of a download while it is sent."""
    outcome: Literal["", "queued", "stockout", "preempted"] = ""
    """What becomes of the job that the request creates."""
    preempt_after: float = 0.5
    """How long a job that will be preempted runs first."""


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
    """One request as it was answered; the status is 0 if the connection was reset instead."""

    method: str
    path: str
    """Without the query, percent-encoding undone."""
    query: str
    status: int


@dataclass
class Plan:
    """A fault, the requests it meets, and for how many more of them."""

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
        """Let the requests that match go wrong: `times` of them, after `skip` that go well.

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
        """Forget the plans and the log."""
        with self.lock:
            self.plans.clear()
            self.log.clear()

    def record(self, exchange: Exchange) -> None:
        """Add a request to the log."""
        with self.lock:
            self.log.append(exchange)

    def asked(self, method: str, path: str) -> list[Exchange]:
        """Return the logged requests whose method is `method` and whose path contains the pattern `path`."""
        with self.lock:
            return [one for one in self.log if one.method == method and re.search(path, one.path)]
