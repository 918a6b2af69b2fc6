"""Every fault at every request of a submit: the job once, or none and one error line, and then the job.

A sample of those that pass by themselves here, chosen by a seed; `nox -s drills` takes all, many of which last until the retries end.
"""

import itertools
import json
import random
from dataclasses import dataclass

import pytest

from tests.doubles import faults
from tests.doubles.faults import Fault
from tests.drill import SEED, WHOLE, many
from tests.submitting import METRICS, World

pytestmark = pytest.mark.full

ONCE, LASTING = 1, 1_000


@dataclass(frozen=True)
class Operation:
    """One kind of request of a submit: its method and its path."""

    name: str
    method: str
    path: str


@dataclass(frozen=True)
class Case:
    """A fault of an operation, and for how many requests it lasts."""

    operation: Operation
    fault_name: str
    fault: Fault
    times: int

    def __str__(self) -> str:
        lasting = "once" if self.times == ONCE else "lasting"
        return f"{self.operation.name}, {self.fault_name}, {lasting}".replace(" ", "-")


CREATE = Operation("create the job", "POST", "/customJobs$")
UPLOAD = Operation("upload", "POST|PUT", "/upload/")
OPERATIONS = (
    Operation("look at the bucket", "GET", "/storage/v1/b/"),
    UPLOAD,
    CREATE,
    Operation("find the job", "GET", "/customJobs[?].*labels.run"),
    Operation("follow the job", "GET", "/customJobs/[0-9]"),
    Operation("read the log", "POST", "entries:list"),
    Operation("read the metrics", "GET", "metrics.json"),
)
FAULTS = {
    "busy": Fault(status=429, message="Too many requests.", retry_after="1"),
    "server error": Fault(status=500, message="Internal error."),
    "unavailable": faults.UNAVAILABLE,
    "reset before": faults.RESET_BEFORE,
    "answer lost": faults.ANSWER_LOST,
    "slow answer": Fault(delay=2.0),
    "slow body": Fault(body_delay=2.0),
    "expired": faults.EXPIRED,
    "denied": faults.DENIED,
}
OF_CREATION = {
    "over quota": faults.OVER_QUOTA,
    "stock-out": faults.STOCKOUT,
    "invalid": Fault(status=400, message="No such field."),
}


def all_cases() -> list[Case]:
    """Return every fault of every operation, once and lasting; slow answers are only slow, so once is enough."""
    everywhere = [
        Case(operation, name, fault, times)
        for operation, (name, fault), times in itertools.product(
            OPERATIONS, FAULTS.items(), (ONCE, LASTING)
        )
        if times == ONCE or not name.startswith("slow")
    ]
    creation = [Case(CREATE, name, fault, ONCE) for name, fault in OF_CREATION.items()]
    return [*everywhere, *creation, Case(UPLOAD, "wrong checksum", faults.CORRUPT, ONCE)]


CASES = all_cases() if WHOLE else [case for case in all_cases() if case.times == ONCE]


@pytest.mark.parametrize("case", random.Random(SEED).sample(CASES, many(4, len(CASES))), ids=str)
def test_a_fault_creates_no_second_job_and_leaves_nothing_behind(ready: World, case: Case) -> None:
    ready.cloud.faults.plan(case.operation.method, case.operation.path, case.fault, case.times)
    done = ready.tried("submit", "--wait", timeout_seconds=600.0)
    assert len(ready.jobs) <= 1
    if done.returncode:
        reported = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(reported) == 1, done.stderr
        assert "; expected " in reported[0] or "stock" in reported[0].lower(), reported
    ready.cloud.faults.clear()
    again = ready.tried("submit", "--wait", timeout_seconds=600.0)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == METRICS
    succeeded = [job for job in ready.jobs if job["state"] == "JOB_STATE_SUCCEEDED"]
    concluded_before = done.returncode == 0 or case.fault_name == "stock-out"
    assert len(succeeded) == 1 + (done.returncode == 0), done.stderr
    assert len(ready.jobs) <= 1 + concluded_before
    assert len(ready.packages) == 1
    assert all(sent["stage"] == "CONCLUDED" for sent in ready.submissions)
