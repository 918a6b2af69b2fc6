"""One custom job from QUEUED to its end, run in a thread."""

import contextlib
import copy
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.doubles.faults import Fault
from tests.doubles.objects import timestamp
from tests.doubles.server import Json

Runner = Callable[[Json, Callable[[str], None], threading.Event], int]
"""Runs a CustomJob: gets the job, a function that logs one line, and an event that is set when the job is
to stop; returns the exit code of the primary replica."""

ENDED = ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED")
CODE_CANCELLED, CODE_INVALID, CODE_EXHAUSTED, CODE_INTERNAL = 1, 3, 8, 13
"""Of google.rpc.Code."""
TICK_SECONDS = 0.02


@dataclass(frozen=True)
class Line:
    """One line that a job wrote, and when, in microseconds since 1970."""

    microseconds: int
    text: str


@dataclass
class Job:
    """A job and its thread. `resource` is what clients see."""

    resource: Json
    runner: Runner
    fault: Fault
    pace: float
    """Seconds in each state before RUNNING."""
    lines: list[Line] = field(default_factory=list)
    attempts: int = 0
    """How often the runner was started."""
    cancel: threading.Event = field(default_factory=threading.Event)
    """Set when the client, or the end of the double, stops the job."""
    thread: threading.Thread | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def id(self) -> str:
        """The last part of the job's name."""
        return str(self.resource["name"].rpartition("/")[2])

    def start(self) -> None:
        self.thread = threading.Thread(target=self.live, daemon=True)
        self.thread.start()

    def move(self, state: str, **fields: object) -> None:
        """Enter a state and set other fields; a cancelled job can only end."""
        with self.lock:
            name = f"JOB_STATE_{state}"
            if self.cancel.is_set() and name not in ENDED:
                return
            self.resource |= {**fields, "updateTime": timestamp(time.time()), "state": name}

    def log(self, text: str) -> None:
        """Store a line of the job's output, at least a microsecond after the one before."""
        with self.lock:
            earliest = self.lines[-1].microseconds + 1 if self.lines else 0
            self.lines.append(Line(max(time.time_ns() // 1000, earliest), text))

    def request_cancel(self) -> None:
        """Stop the job unless it has ended."""
        with self.lock:
            if self.resource["state"] not in ENDED:
                self.move("CANCELLING")
                self.cancel.set()

    def live(self) -> None:
        """Pass through the states before RUNNING, run, end."""
        if self.cancel.wait(None if self.fault.outcome == "queued" else self.pace):
            return self.end_cancelled()
        self.move("PENDING")
        if self.cancel.wait(self.pace):
            return self.end_cancelled()
        if self.fault.outcome == "stockout":
            return self.end_stockout()
        self.move("RUNNING", startTime=timestamp(time.time()))
        code, preempted = self.attempt(self.fault.outcome == "preempted")
        if preempted and not self.cancel.is_set():
            if self.resource["jobSpec"].get("scheduling", {}).get("disableRetries"):
                return self.end_stockout()
            self.move("PENDING")
            if not self.cancel.wait(self.pace):
                self.move("RUNNING")
                code, _ = self.attempt(False)
        self.end(code)

    def attempt(self, preempt: bool) -> tuple[int, bool]:
        """Run the job once; return its exit code, and whether its machine was preempted."""
        stop, ended = threading.Event(), threading.Event()
        watcher = threading.Thread(target=self.watch, args=(preempt, stop, ended), daemon=True)
        watcher.start()
        self.attempts += 1
        try:
            code = self.runner(copy.deepcopy(self.resource), self.log, stop)
        except Exception as error:
            self.log(f"The double's runner failed: {error!r}")
            code = CODE_INTERNAL
        finally:
            ended.set()
            watcher.join()
        return code, stop.is_set() and not self.cancel.is_set()

    def watch(self, preempt: bool, stop: threading.Event, ended: threading.Event) -> None:
        """Set `stop` when the job is cancelled or its machine is preempted."""
        began = time.monotonic()
        while not ended.wait(TICK_SECONDS):
            over = preempt and time.monotonic() - began >= self.fault.preempt_after
            if over or self.cancel.is_set():
                stop.set()
                return

    def end(self, code: int) -> None:
        """End with the state of the primary replica's exit code."""
        message = (
            f"The replica workerpool0-0 exited with a non-zero status of {code}. "
            "To find out more about why your job exited please check the logs."
        )
        now = timestamp(time.time())
        with self.lock:
            if self.cancel.is_set():
                self.end_cancelled()
            elif code == 0:
                self.move("SUCCEEDED", endTime=now)
            else:
                self.move("FAILED", endTime=now, error={"code": CODE_INVALID, "message": message})

    def end_cancelled(self) -> None:
        error = {"code": CODE_CANCELLED, "message": "CANCELED"}
        self.move("CANCELLED", endTime=timestamp(time.time()), error=error)

    def end_stockout(self) -> None:
        message = "Resources are insufficient in the region (STOCKOUT). Please try another region."
        error = {"code": CODE_EXHAUSTED, "message": message}
        self.move("FAILED", endTime=timestamp(time.time()), error=error)

    def close(self, seconds: float = 15.0) -> None:
        self.request_cancel()
        with contextlib.suppress(RuntimeError):
            if self.thread:
                self.thread.join(seconds)


def succeed(job: Json, log: Callable[[str], None], cancelled: threading.Event) -> int:
    """A runner that does nothing, successfully."""
    log(f"{job['displayName']} ran")
    return 0
