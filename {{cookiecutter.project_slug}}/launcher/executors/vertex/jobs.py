"""The job service: create, find, read and cancel jobs.

Source: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.customJobs
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launcher.executors.vertex.errors import JOBS, explained, one_line
from launcher.executors.vertex.rest import Rest
from launcher.spec.custom_job import RUN_LABEL

STATE_PREFIX = "JOB_STATE_"
SUCCEEDED = "SUCCEEDED"
ENDED = (SUCCEEDED, "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED")
"""States that stay. Source: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/JobState"""


@dataclass(frozen=True)
class CloudJob:
    resource: str
    """projects/P/locations/R/customJobs/ID."""
    run: str
    state: str
    """Without its prefix: QUEUED, RUNNING and so on."""
    created: str
    """In UTC, RFC 3339."""
    error: str
    output: str
    """Address of the folder that the job writes to."""
    trials: tuple[Mapping[str, Any], ...] = ()
    """Of a HyperparameterTuningJob, as JSON."""

    @property
    def id(self) -> str:
        return self.resource.rpartition("/")[2]

    @property
    def project(self) -> str:
        return self.resource.split("/")[1]

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    @property
    def address(self) -> str:
        """Its page in the console."""
        _, project, _, region, _, number = self.resource.split("/")
        return f"https://console.cloud.google.com/agent-platform/locations/{region}/training/{number}?project={project}"


def cloud_job(resource: Mapping[str, Any]) -> CloudJob:
    """Return what is used of the JSON of a CustomJob or a HyperparameterTuningJob."""
    spec = resource.get("jobSpec") or resource.get("trialJobSpec") or {}
    output = spec.get("baseOutputDirectory", {})
    return CloudJob(
        resource=str(resource["name"]),
        run=str(resource.get("labels", {}).get(RUN_LABEL, "")),
        state=str(resource.get("state", "UNKNOWN")).removeprefix(STATE_PREFIX),
        created=str(resource.get("createTime", "")),
        error=one_line(str(resource.get("error", {}).get("message", ""))),
        output=str(output.get("outputUriPrefix", "")).rstrip("/"),
        trials=tuple(resource.get("trials", ())),
    )


class JobService:
    """The CustomJobs of one project in one region."""

    collection = "customJobs"
    command = "submit"

    def __init__(self, project: str, region: str) -> None:
        """Raises `UserError` without the client library or credentials."""
        self.project, self.region = project, region
        self.jobs = f"v1/projects/{project}/locations/{region}/{self.collection}"
        self.rest = Rest(JOBS, project, region)

    def create(self, resource: Mapping[str, Any]) -> CloudJob:
        """Create a job once; raise `NoResponse` if it may have been created nevertheless."""
        with explained("the job is not accepted", retryable=(408,)):
            return cloud_job(self.rest.call("POST", self.jobs, json=resource))

    def get(self, resource: str) -> CloudJob:
        with explained(f"job {resource.rpartition('/')[2]}"):
            return cloud_job(self.rest.call("GET", f"v1/{resource}"))

    def find(self, run: str) -> CloudJob | None:
        return next(iter(self.list(f'labels.{RUN_LABEL}="{run}"')), None)

    def list(self, filter: str) -> Sequence[CloudJob]:
        """Return the jobs that match a filter of the service, the newest first."""
        with explained("the list of jobs"):
            found = self.rest.items(self.collection, "GET", self.jobs, {"filter": filter})
            return sorted(map(cloud_job, found), key=lambda job: job.created, reverse=True)

    def cancel(self, resource: str) -> None:
        with explained(f"job {resource.rpartition('/')[2]} is not cancelled"):
            self.rest.call("POST", f"v1/{resource}:cancel")
