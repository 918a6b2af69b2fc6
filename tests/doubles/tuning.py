"""A double of HyperparameterTuningJobs: it runs the trials of a study by the runner that runs other jobs.

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
from tests.doubles.rules import parsed, refusal
from tests.doubles.server import Answer, Json, Refusal, Request, Route, json_answer

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
        """What is looked for."""
        study: Json = self.resource["studySpec"]
        return study

    def start(self) -> None:
        """Start the thread that lives the job's life."""
        self.thread = threading.Thread(target=self.live, daemon=True)
        self.thread.start()

    def live(self) -> None:
        """Run the trials, several at once, until there are enough or too many failed."""
        self.resource["state"] = "JOB_STATE_RUNNING"
        numbers = range(1, self.resource["maxTrialCount"] + 1)
        with (
            tempfile.TemporaryDirectory() as folder,
            ThreadPoolExecutor(self.resource["parallelTrialCount"]) as pool,
        ):
            for _ in pool.map(lambda number: self.try_out(number, Path(folder)), numbers):
                pass
        self.end()

    def try_out(self, number: int, folder: Path) -> None:
        """Run one trial, unless the job is at its end."""
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
        """Return what a trial has reported."""
        return studies.measurements(metric_file, self.study["metrics"][0]["metricId"])

    def watch(
        self, trial: Json, metric_file: Path, stop: threading.Event, ended: threading.Event
    ) -> None:
        """Set `stop` when the job is cancelled, or when a trial is behind."""
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
        """Tell whether more trials failed than may."""
        states = [each["state"] for each in self.resource.get("trials", [])]
        failed, most = states.count("INFEASIBLE"), self.resource.get("maxFailedTrialCount", 0)
        return failed > most if most else states[:1] == ["INFEASIBLE"]

    def end(self) -> None:
        """Enter the state that stays."""
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

    def __init__(self, runner: Runner, judge: Callable[[str, Json], None]) -> None:
        """`judge` raises Refusal for the custom job of a trial, in a region."""
        self.runner, self.judge = runner, judge
        self.jobs: dict[str, TuningJob] = {}
        self.ids = itertools.count(FIRST_ID)
        self.routes: list[Route] = [
            ("POST", JOBS, self.create),
            ("GET", JOBS, self.list_jobs),
            ("GET", JOB, lambda request, name: json_answer(self.job(name).resource)),
            ("POST", JOB + ":cancel", self.cancel),
        ]

    def job(self, name: str) -> TuningJob:
        """Return a job by its whole name; raise Refusal if there is none."""
        if name not in self.jobs:
            raise Refusal(404, f"The HyperparameterTuningJob {name!r} does not exist.")
        return self.jobs[name]

    def create(self, request: Request, parent: str, region: str) -> Answer:
        """Judge a study and the job of its trials, then start."""
        resource = parsed(request.json(), "HyperparameterTuningJob")
        found = list(studies.study_problems(resource))
        if found:
            raise refusal(found)
        named = {key: resource.get(key, {}) for key in ("displayName", "labels")}
        self.judge(region, {**named, "jobSpec": resource["trialJobSpec"]})
        now = timestamp(time.time())
        resource["name"] = f"{parent}/hyperparameterTuningJobs/{next(self.ids)}"
        resource |= {"state": "JOB_STATE_PENDING", "createTime": now, "updateTime": now}
        job = TuningJob(resource, self.runner)
        self.jobs[resource["name"]] = job
        answer = json_answer(resource)
        job.start()
        return answer

    def list_jobs(self, request: Request, parent: str, region: str) -> Answer:
        """List the jobs of a region with a label or a name, the newest first."""
        resources = {name: job.resource for name, job in list(self.jobs.items())}
        return json_answer(listed(request, "hyperparameterTuningJobs", resources, parent))

    def cancel(self, request: Request, name: str) -> Answer:
        """Ask a job to stop."""
        job = self.job(name)
        if job.resource["state"] not in ENDED:
            job.resource["state"] = "JOB_STATE_CANCELLING"
            job.cancel.set()
        return json_answer({})

    def close(self, seconds: float = 15.0) -> None:
        """Cancel every job and wait until none runs."""
        for job in self.jobs.values():
            job.cancel.set()
        for job in self.jobs.values():
            if job.thread:
                job.thread.join(seconds)
