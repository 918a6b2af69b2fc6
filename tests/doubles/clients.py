"""Helpers for the tests of the doubles."""

import importlib
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from tests.doubles import Doubles
from tests.doubles.examples import REGION
from tests.doubles.server import Json

ENDED = ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED")
PARENT = f"projects/penguins/locations/{REGION}"


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until a condition is true; fail after a timeout."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def anonymous() -> Any:
    """Return credentials that need no authentication."""
    return importlib.import_module("google.auth.credentials").AnonymousCredentials()


def api_error(name: str) -> type[Exception]:
    error: type[Exception] = getattr(importlib.import_module("google.api_core.exceptions"), name)
    return error


def create(service: Any, job: Json, parent: str = PARENT) -> Any:
    types = importlib.import_module("google.cloud.aiplatform_v1.types")
    json_format = importlib.import_module("google.protobuf.json_format")
    message = json_format.ParseDict(job, types.CustomJob.pb(types.CustomJob()))
    return service.create_custom_job(parent=parent, custom_job=message)


def post(url: str, body: Json) -> tuple[int, Json]:
    """Post JSON without Google's clients, and return the status and the response."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def scripted_runner(job: Json, log: Callable[[str], None], cancelled: threading.Event) -> int:
    """A runner that follows the job's variables: SLEEP seconds, then EXIT code."""
    started = job["jobSpec"]["workerPoolSpecs"][0].get("containerSpec", {})
    variables = {entry["name"]: entry["value"] for entry in started.get("env", [])}
    log(f"started with {started.get('args', [])}")
    log(json.dumps({"severity": "WARNING", "message": "structured"}))
    if cancelled.wait(float(variables.get("SLEEP", "0"))):
        log("stopped")
        return 143
    return int(variables.get("EXIT", "0"))


def ended(cloud: Doubles, name: str) -> Json:
    """Wait until a job has ended, and return it."""
    wait_until(lambda: cloud.jobs.job(name).resource["state"] in ENDED)
    return cloud.jobs.job(name).resource
