"""One job for each run, whatever becomes of the answers: look for the run's label before creating it again."""

import random
import time
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from launcher.console import Console
from launcher.executors.vertex.errors import Unanswered
from launcher.executors.vertex.jobs import CloudJob

CREATIONS = 4
LOOKS = 4
LONGEST_FACTOR = 8
"""A pause is at most so many times the first one."""


class Service(Protocol):
    """What is asked of the job service."""

    def create(self, custom_job: Mapping[str, Any]) -> CloudJob:
        """Create a job."""

    def find(self, run: str) -> CloudJob | None:
        """Return the job with the label of a run."""


def create_once(
    service: Service,
    custom_job: Mapping[str, Any],
    run: str,
    console: Console,
    pause_seconds: float,
    may_exist: bool,
) -> CloudJob:
    """Return the one job of a run: the service's, if it has one, else a new one.

    `may_exist` says that it may have been created before. Pauses grow from `pause_seconds`. Raises `Unanswered`
    if the service does not answer to the end, and `Refusal` if it refuses.
    """
    lost: Unanswered | None = None
    for _ in range(CREATIONS):
        if may_exist and (found := look(service, run, pause_seconds)):
            return found
        try:
            return service.create(custom_job)
        except Unanswered as error:
            console.step("retry", "no answer; looking whether the job is there")
            lost, may_exist = error, True
    found = look(service, run, pause_seconds)
    if found is None and lost:
        raise lost
    assert found
    return found


def look(service: Service, run: str, pause_seconds: float) -> CloudJob | None:
    """Return the job of a run, None if it is still not there at the last of several looks.

    Several, because a request that lost its answer may be at work yet. Raises `Unanswered` if the last is.
    """
    lost: Unanswered | None = None
    for pause in (0.0, *pauses(pause_seconds, LOOKS)):
        time.sleep(pause)
        try:
            found, lost = service.find(run), None
        except Unanswered as error:
            found, lost = None, error
        if found:
            return found
    if lost:
        raise lost
    return None


def pauses(first_seconds: float, count: int) -> Iterator[float]:
    """Yield pauses in seconds that double, each off by up to a half so that many clients do not come at once."""
    for number in range(count):
        longest = first_seconds * min(2**number, LONGEST_FACTOR)
        yield longest * random.uniform(0.5, 1.0)
