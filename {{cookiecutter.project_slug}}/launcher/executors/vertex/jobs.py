"""The job service: create, find, read and cancel jobs by its generated client.

The client takes a second to import, so it is imported where it is needed. Always REST, because gRPC reaches no
address that is not Google's: https://googleapis.dev/python/google-auth/latest/reference/google.auth.credentials.html
"""

import importlib
import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from launcher.console import UserError
from launcher.executors.vertex.errors import explained, one_line
from launcher.spec.custom_job import RUN_LABEL

ENDPOINT_VARIABLE = "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM"
CLIENT = "google.cloud.aiplatform_v1"
"""Imported in less than half the time of the SDK's own classes, and sends a job as it is."""
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
REQUEST_SECONDS = 60.0
"""How long to wait for a response: the client's default has no limit."""
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
    message = "CustomJob"
    methods = "custom_job"
    """How the client's methods name these jobs: create_custom_job and so on."""
    command = "submit"

    def __init__(self, project: str, region: str) -> None:
        """Read the credentials, without a request. Raises `UserError` without the client library or credentials."""
        self.project, self.region = project, region
        self.parent = f"projects/{project}/locations/{region}"
        override = os.environ.get(ENDPOINT_VARIABLE, "").rstrip("/")
        self.credentials = credentials(override, project)
        self.client = load(CLIENT).JobServiceClient(
            credentials=self.credentials,
            transport="rest",
            client_options={"api_endpoint": override or f"{region}-aiplatform.googleapis.com"},
        )

    def call(self, verb: str, **fields: Any) -> Any:
        """Call the client's method for these jobs: `create`, `get`, `list` or `cancel`."""
        plural = "s" if verb == "list" else ""
        return getattr(self.client, f"{verb}_{self.methods}{plural}")(
            timeout=REQUEST_SECONDS, **fields
        )

    def create(self, resource: Mapping[str, Any]) -> CloudJob:
        """Create a job once; raise `NoResponse` if it may have been created nevertheless."""
        fields = {"parent": self.parent, self.methods: parse(resource, self.message)}
        with explained("the job is not accepted", retryable=(408,)):
            return read_message(self.call("create", **fields))

    def get(self, resource: str) -> CloudJob:
        with explained(f"job {resource.rpartition('/')[2]}"):
            return read_message(self.call("get", name=resource))

    def find(self, run: str) -> CloudJob | None:
        return next(iter(self.list(f'labels.{RUN_LABEL}="{run}"')), None)

    def list(self, filter: str) -> Sequence[CloudJob]:
        """Return the jobs that match a filter of the service, the newest first."""
        request = {"parent": self.parent, "filter": filter}
        with explained("the list of jobs"):
            jobs = [read_message(job) for job in self.call("list", request=request)]
        return sorted(jobs, key=lambda job: job.created, reverse=True)

    def cancel(self, resource: str) -> None:
        with explained(f"job {resource.rpartition('/')[2]} is not cancelled"):
            self.call("cancel", name=resource)


def parse(resource: Mapping[str, Any], message: str) -> Any:
    """Return REST JSON as the client's message of that name."""
    from google.cloud.aiplatform_v1 import types
    from google.protobuf import json_format

    parsed = getattr(types, message)()
    json_format.ParseDict(dict(resource), type(parsed).pb(parsed))
    return parsed


def read_message(message: Any) -> CloudJob:
    from google.protobuf import json_format

    return cloud_job(json_format.MessageToDict(type(message).pb(message)))


def load(module: str) -> Any:
    """Import a library of Google's without its warnings: they hide what matters, which is raised.

    Raises `UserError` if it is missing.
    """
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"the SDK of Google Cloud is not installed ({error})",
            "google-cloud-aiplatform and google-cloud-storage in the launcher's environment",
            "start with nox -s submit, which installs them",
        ) from error


def credentials(endpoint: str, project: str) -> Any:
    """Return Application Default Credentials, none for a double on this machine; raise `UserError` if there are none."""
    import google.auth
    from google.auth.credentials import AnonymousCredentials
    from google.oauth2.credentials import Credentials

    if is_loopback(endpoint):
        return AnonymousCredentials()
    with explained("the credentials"):
        default, _ = google.auth.default(scopes=SCOPES)
    # A person's credentials need a project that is charged for the requests.
    if isinstance(default, Credentials) and not default.quota_project_id:
        return default.with_quota_project(project)
    return default


def is_loopback(endpoint: str) -> bool:
    """Return whether an address is a double's: plain HTTP, on this machine."""
    url = urlsplit(endpoint)
    return url.scheme == "http" and url.hostname in ("127.0.0.1", "localhost", "::1")
