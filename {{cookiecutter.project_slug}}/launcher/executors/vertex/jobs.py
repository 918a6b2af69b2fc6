"""The job service: create, find, read and cancel jobs; the outcomes of a study's trials.

Sources: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.customJobs and
-/projects.locations.hyperparameterTuningJobs
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launcher.executors.vertex.services import JOBS, Rest, explained, one_line
from launcher.spec.custom_job import RUN_LABEL
from launcher.spec.job_file import flag_name
from launcher.spec.study import Outcome, Parameter, Study, Value
from launcher.spec.tuning_job import trial_flags

STATE_PREFIX = "JOB_STATE_"
SUCCEEDED = "SUCCEEDED"
ENDED = (SUCCEEDED, "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED")
"""States that stay. Source: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/JobState"""
STATES = {"SUCCEEDED": "complete", "INFEASIBLE": "failed"}
"""Of trials that have ended; all others are running."""


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
    successful: int = 0
    """Rows that a batch job has predicted."""
    failed: int = 0
    """Rows that it has not: it succeeds nevertheless."""
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
    output, info = spec.get("baseOutputDirectory", {}), resource.get("outputInfo", {})
    written = info.get("gcsOutputDirectory") or info.get("bigqueryOutputTable")
    counts = resource.get("completionStats", {})
    return CloudJob(
        resource=str(resource["name"]),
        run=str(resource.get("labels", {}).get(RUN_LABEL, "")),
        state=str(resource.get("state", "UNKNOWN")).removeprefix(STATE_PREFIX),
        created=str(resource.get("createTime", "")),
        error=one_line(str(resource.get("error", {}).get("message", ""))),
        output=str(written or output.get("outputUriPrefix", "")).rstrip("/"),
        successful=int(counts.get("successfulCount", 0)),
        failed=int(counts.get("failedCount", 0)),
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


class BatchService(JobService):
    """Source: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.batchPredictionJobs"""

    collection = "batchPredictionJobs"
    command = "batch"


class TuningService(JobService):
    collection = "hyperparameterTuningJobs"
    command = "tune"


def outcomes_of(job: CloudJob, study: Study) -> list[Outcome]:
    return sorted((outcome_of(each, study) for each in job.trials), key=lambda each: each.number)


def outcome_of(trial: Mapping[str, Any], study: Study) -> Outcome:
    metrics = trial.get("finalMeasurement", {}).get("metrics", [])
    names = {flag_name(name): name for name in study.parameters}
    sent = {each["parameterId"]: each.get("value") for each in trial.get("parameters", [])}
    named = {names.get(flag, flag): value for flag, value in sent.items()}
    values = {name: typed(value, study.parameters.get(name)) for name, value in named.items()}
    state = STATES.get(str(trial.get("state")), "running")
    return Outcome(
        number=int(trial["id"]),
        state=state,
        value=measured(metrics, study.options.metric) if state == "complete" else None,
        values=values,
        flags=tuple(trial_flags(values)),
    )


def measured(metrics: list[Mapping[str, Any]], metric: str) -> float | None:
    """Return the value of a metric, None if it was not measured or is not finite."""
    values = [float(each.get("value", 0.0)) for each in metrics if each.get("metricId") == metric]
    return values[0] if values and math.isfinite(values[0]) else None


def typed(value: Any, parameter: Parameter | None) -> Value:
    """Return a value as the flag takes it: in JSON an integer may be any kind of number."""
    if parameter is None or parameter.type == "categorical":
        return str(value)
    if parameter.type == "integer":
        return int(value)
    if parameter.type == "discrete":
        return min(parameter.values, key=lambda each: abs(float(each) - float(value)))
    return float(value)
