"""One job for each run, even if responses are lost: the run's label is looked for before the job is created again."""

import random
import time
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from launcher.console import Console
from launcher.executors.vertex.errors import NoResponse
from launcher.executors.vertex.jobs import CloudJob

MAX_CREATIONS = 4
MAX_LOOKUPS = 4
LONGEST_FACTOR = 8
"""The longest pause, as a multiple of the first one."""


class Service(Protocol):
    """What creating a job needs of the job service."""

    def create(self, custom_job: Mapping[str, Any]) -> CloudJob: ...

    def find(self, run: str) -> CloudJob | None: ...


def create_once(
    service: Service,
    custom_job: Mapping[str, Any],
    run: str,
    console: Console,
    pause_seconds: float,
    may_exist: bool,
) -> CloudJob:
    """Return the one job of a run: the service's, if it has one, else a new one.

    `may_exist` says that it may have been created before. Pauses grow from `pause_seconds`. Raises `NoResponse`
    if no request gets a response, and `RequestRefused` if the service refuses.
    """
    no_response: NoResponse | None = None
    for _ in range(MAX_CREATIONS):
        if may_exist and (job := find_job(service, run, pause_seconds)):
            return job
        try:
            return service.create(custom_job)
        except NoResponse as error:
            console.step("retry", "no response; checking whether the job exists")
            no_response, may_exist = error, True
    job = find_job(service, run, pause_seconds)
    if job is None and no_response:
        raise no_response
    assert job
    return job


def find_job(service: Service, run: str, pause_seconds: float) -> CloudJob | None:
    """Return the job of a run, None if the last of several requests does not find it.

    Several, because a request without a response may still be at work. Raises `NoResponse` if the last one has none.
    """
    no_response: NoResponse | None = None
    for pause in (0.0, *pauses(pause_seconds, MAX_LOOKUPS)):
        time.sleep(pause)
        try:
            if job := service.find(run):
                return job
            no_response = None
        except NoResponse as error:
            no_response = error
    if no_response:
        raise no_response
    return None


def pauses(first_seconds: float, count: int) -> Iterator[float]:
    """Yield pauses in seconds that double, each shortened at random by up to a half, so that clients do not retry together."""
    for number in range(count):
        longest = first_seconds * min(2**number, LONGEST_FACTOR)
        yield longest * random.uniform(0.5, 1.0)
