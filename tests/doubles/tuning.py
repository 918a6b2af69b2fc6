"""A double of HyperparameterTuningJobs: it runs trials with the runner of other jobs.

Not modelled, because not documented: how the service chooses values, and when it decides that too many trials failed
if no number is given.
"""

import itertools
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.doubles import studies
from tests.doubles.lifecycle import ENDED, Runner
from tests.doubles.listing import listed
from tests.doubles.objects import timestamp
from tests.doubles.rules import invalid_argument, parsed
from tests.doubles.server import ApiError, Json, Request, Response, Route, json_response

PARENT = "(projects/[^/]+/locations/([^/]+))"
JOBS = f"/v1/{PARENT}/hyperparameterTuningJobs"
JOB = "/v1/(projects/[^/]+/locations/[^/]+/hyperparameterTuningJobs/[^/:]+)"
FIRST_ID = 7_000_000_000_000_000_001
TICK_SECONDS = 0.05
CODE_INVALID, CODE_CANCELLED = 3, 1


@dataclass
class TuningJob:
    """A tuning job and its thread. `resource` is what clients see."""

    resource: Json
    runner: Runner
    cancel: threading.Event = field(default_factory=threading.Event)
    lock: threading.RLock = field(default_factory=threading.RLock)
    thread: threading.Thread | None = None
    lines: list[str] = field(default_factory=list)

    @property
    def study(self) -> Json:
        """The study of the job."""
        study: Json = self.resource["studySpec"]
        return study

    def start(self) -> None:
        self.thread = threading.Thread(target=self.live, daemon=True)
        self.thread.start()

    def live(self) -> None:
        """Run the trials in parallel, until there are enough or too many failed."""
        self.resource["state"] = "JOB_STATE_RUNNING"
        numbers = range(1, self.resource["maxTrialCount"] + 1)
        with (
            tempfile.TemporaryDirectory() as folder,
            ThreadPoolExecutor(self.resource["parallelTrialCount"]) as pool,
        ):
            for _ in pool.map(lambda number: self.run_trial(number, Path(folder)), numbers):
                pass
        self.end()

    def run_trial(self, number: int, folder: Path) -> None:
        """Run one trial unless the job has ended."""
        parameters = studies.chosen(self.study, number)
        if self.cancel.is_set() or self.too_many_failed() or not parameters:
            return
        trial: Json = {"id": str(number), "state": "ACTIVE", "parameters": parameters}
        with self.lock:
            self.resource.setdefault("trials", []).append(trial)
        metric_file = folder / f"{number}.metrics"
        stop, ended = threading.Event(), threading.Event()
        watcher = threading.Thread(target=self.watch, args=(trial, metric_file, stop, ended))
        watcher.start()
        code = self.runner(
            studies.trial_job(self.resource, trial, metric_file), self.lines.append, stop
        )
        ended.set()
        watcher.join()
        measured = self.measured(metric_file)
        counted = studies.final(self.study, measured)
        with self.lock:
            stopped = stop.is_set() and not self.cancel.is_set()
            if counted and (code == 0 or stopped):
                trial |= {
                    "state": "SUCCEEDED",
                    "finalMeasurement": counted,
                    "measurements": measured,
                }
            else:
                trial |= {"state": "INFEASIBLE", "infeasibleReason": f"exit code {code}"}

    def measured(self, metric_file: Path) -> list[Json]:
        return studies.measurements(metric_file, self.study["metrics"][0]["metricId"])

    def watch(
        self, trial: Json, metric_file: Path, stop: threading.Event, ended: threading.Event
    ) -> None:
        """Set `stop` when the job is cancelled or the trial is stopped early."""
        while not ended.wait(TICK_SECONDS):
            others = [
                each["measurements"]
                for each in self.resource["trials"]
                if each["state"] == "SUCCEEDED"
            ]
            if self.cancel.is_set() or studies.is_behind(
                self.study, self.measured(metric_file), others
            ):
                trial["state"] = "STOPPING"
                stop.set()
                return

    def too_many_failed(self) -> bool:
        """Return whether the limit of failed trials is exceeded."""
        states = [each["state"] for each in self.resource.get("trials", [])]
        failed, most = states.count("INFEASIBLE"), self.resource.get("maxFailedTrialCount", 0)
        return failed > most if most else states[:1] == ["INFEASIBLE"]

    def end(self) -> None:
        """Enter the final state."""
        self.resource["endTime"] = timestamp(time.time())
        if self.cancel.is_set():
            error = {"code": CODE_CANCELLED, "message": "CANCELED"}
            self.resource |= {"state": "JOB_STATE_CANCELLED", "error": error}
        elif self.too_many_failed():
            error = {"code": CODE_INVALID, "message": "Too many trials failed."}
            self.resource |= {"state": "JOB_STATE_FAILED", "error": error}
        else:
            self.resource["state"] = "JOB_STATE_SUCCEEDED"


class TuningJobs:
    """The tuning jobs of all projects and regions."""

    def __init__(self, runner: Runner, validate: Callable[[str, Json], None]) -> None:
        """`validate` raises ApiError for the custom job of a trial, in a region."""
        self.runner, self.validate = runner, validate
        self.jobs: dict[str, TuningJob] = {}
        self.ids = itertools.count(FIRST_ID)
        self.routes: list[Route] = [
            ("POST", JOBS, self.create),
            ("GET", JOBS, self.list_jobs),
            ("GET", JOB, lambda request, name: json_response(self.job(name).resource)),
            ("POST", JOB + ":cancel", self.cancel),
        ]

    def job(self, name: str) -> TuningJob:
        """Return a job by its full name; raise ApiError if there is none."""
        if name not in self.jobs:
            raise ApiError(404, f"The HyperparameterTuningJob {name!r} does not exist.")
        return self.jobs[name]

    def create(self, request: Request, parent: str, region: str) -> Response:
        """Validate a study and the job of its trials, then start."""
        resource = parsed(request.json(), "HyperparameterTuningJob")
        found = list(studies.study_problems(resource))
        if found:
            raise invalid_argument(found)
        named = {key: resource.get(key, {}) for key in ("displayName", "labels")}
        self.validate(region, {**named, "jobSpec": resource["trialJobSpec"]})
        now = timestamp(time.time())
        resource["name"] = f"{parent}/hyperparameterTuningJobs/{next(self.ids)}"
        resource |= {"state": "JOB_STATE_PENDING", "createTime": now, "updateTime": now}
        job = TuningJob(resource, self.runner)
        self.jobs[resource["name"]] = job
        response = json_response(resource)
        job.start()
        return response

    def list_jobs(self, request: Request, parent: str, region: str) -> Response:
        """List the jobs of a region by label or name, the newest first."""
        resources = {name: job.resource for name, job in list(self.jobs.items())}
        return json_response(listed(request, "hyperparameterTuningJobs", resources, parent))

    def cancel(self, request: Request, name: str) -> Response:
        job = self.job(name)
        if job.resource["state"] not in ENDED:
            job.resource["state"] = "JOB_STATE_CANCELLING"
            job.cancel.set()
        return json_response({})

    def close(self, seconds: float = 15.0) -> None:
        for job in self.jobs.values():
            job.cancel.set()
        for job in self.jobs.values():
            if job.thread:
                job.thread.join(seconds)
