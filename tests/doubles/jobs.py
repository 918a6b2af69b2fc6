"""A double of the job service, with the parts of the logging and build services that belong to jobs.

Not modelled, because not documented: what a job that outlives its timeout becomes, how restarts of single
replicas show, and when exactly a cancelled job's machines are gone.
"""

import datetime
import itertools
import threading
import time
from collections.abc import Iterable

from tests.doubles.batches import Batches
from tests.doubles.bigquery import BigQuery
from tests.doubles.builds import Builds
from tests.doubles.lifecycle import ENDED, Job, Runner, succeed
from tests.doubles.listing import listed
from tests.doubles.logs import list_entries
from tests.doubles.models import Models
from tests.doubles.objects import timestamp
from tests.doubles.rules import Rules, parsed
from tests.doubles.server import ApiError, Json, Request, Response, Route, json_response, routed
from tests.doubles.storage import StorageService
from tests.doubles.tuning import TuningJobs

PARENT = "(projects/[^/]+/locations/([^/]+))"
JOBS = f"/v1/{PARENT}/customJobs"
JOB = "/v1/(projects/[^/]+/locations/[^/]+/customJobs/[^/:]+)"
OPERATION = "/(?:v1|ui)/(projects/[^/]+/locations/[^/]+/operations/[^/]+)"
FIRST_ID = 4_000_000_000_000_000_001
EMPTY = "type.googleapis.com/google.protobuf.Empty"


class JobService:
    """The jobs of all projects and regions; each is run by `runner` in a thread."""

    def __init__(
        self,
        storage: StorageService,
        runner: Runner | None = None,
        pace: float = 0.05,
        today: datetime.date | None = None,
    ) -> None:
        """`pace` is the time in each state before RUNNING, in seconds; `today` decides what is past its end of availability."""
        self.storage = storage
        self.runner = runner or succeed
        self.pace = pace
        self.today = today or datetime.date.today()
        self.jobs: dict[str, Job] = {}
        """By name: projects/P/locations/R/customJobs/ID."""
        self.builds = Builds()
        self.models = Models(storage, pace)
        self.batches = Batches(self.models, pace)
        self.tuning = TuningJobs(self.runner, self.validate)
        self.bigquery = BigQuery(storage)
        self.ids = itertools.count(FIRST_ID)
        self.lock = threading.RLock()
        self.routes: list[Route] = [
            *self.models.routes,
            *self.batches.routes,
            ("POST", JOBS, self.create),
            ("GET", JOBS, self.list_jobs),
            ("GET", JOB, lambda request, name: json_response(dict(self.job(name).resource))),
            ("DELETE", JOB, self.delete),
            ("POST", JOB + ":cancel", self.cancel),
            ("GET", OPERATION, lambda request, name: json_response(done_operation(name))),
            ("POST", "/v2/entries:list", self.entries),
            *self.builds.routes,
            *self.tuning.routes,
            *self.bigquery.routes,
        ]

    def respond(self, request: Request) -> Response:
        return routed(self.routes, request)

    def job(self, name: str) -> Job:
        """Return a job by its full name; raise ApiError if there is none."""
        if name not in self.jobs:
            raise ApiError(404, f"The CustomJob {name!r} does not exist.")
        return self.jobs[name]

    def validate(self, region: str, resource: Json) -> None:
        """Raise ApiError that lists every problem of a job."""
        Rules(self.storage.catalog, region, self.storage.buckets.get, self.today).check(resource)

    def create(self, request: Request, parent: str, region: str) -> Response:
        """Validate a job, then start it."""
        resource = parsed(request.json())
        self.validate(region, resource)
        with self.lock:
            now = timestamp(time.time())
            resource["name"] = f"{parent}/customJobs/{next(self.ids)}"
            resource |= {"state": "JOB_STATE_QUEUED", "createTime": now, "updateTime": now}
            job = Job(resource, self.runner, request.fault, self.pace)
            self.jobs[resource["name"]] = job
            response = json_response(resource)
        job.start()
        return response

    def list_jobs(self, request: Request, parent: str, region: str) -> Response:
        """List the jobs of a region that match a filter, the newest first."""
        with self.lock:
            resources = {name: dict(job.resource) for name, job in self.jobs.items()}
        return json_response(listed(request, "customJobs", resources, parent))

    def cancel(self, request: Request, name: str) -> Response:
        self.job(name).request_cancel()
        return json_response({})

    def delete(self, request: Request, name: str) -> Response:
        """Delete a job that has ended."""
        job = self.job(name)
        if job.resource["state"] not in ENDED:
            raise ApiError(400, f"The CustomJob {name!r} has not ended: cancel it first.")
        with self.lock:
            del self.jobs[name]
        parent = name.rpartition("/customJobs/")[0]
        return json_response(done_operation(f"{parent}/operations/{next(self.ids)}"))

    def entries(self, request: Request) -> Response:
        with self.lock:
            jobs: Iterable[Job] = list(self.jobs.values())
        return json_response(list_entries(jobs, request.json()))

    def close(self) -> None:
        self.batches.close()
        self.models.close()
        self.tuning.close()
        for job in list(self.jobs.values()):
            job.request_cancel()
        for job in list(self.jobs.values()):
            job.close()


def done_operation(name: str) -> Json:
    """Return a long-running operation that is done: the double deletes immediately."""
    return {"name": name, "done": True, "response": {"@type": EMPTY}}
