"""The job service, by way of its SDK: create, find, look at and cancel jobs.

The SDK takes two seconds to import, so it is imported where it is needed. Always REST, because gRPC reaches no
address that is not Google's: https://googleapis.dev/python/google-auth/latest/reference/google.auth.credentials.html
"""

import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from launcher.console import UserError
from launcher.executors.vertex.errors import explained, no_credentials, one_line
from launcher.spec.custom_job import RUN_LABEL

ENDPOINT_VARIABLE = "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
CREATE_SECONDS = 60.0
"""How long an answer to a new job is waited for: the SDK would wait for ever."""
STATE_PREFIX = "JOB_STATE_"
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED")
"""States that stay. Source: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/JobState"""


@dataclass(frozen=True)
class CloudJob:
    """What the service knows about a job."""

    resource: str
    """projects/P/locations/R/customJobs/ID."""
    name: str
    run: str
    state: str
    """Without its prefix: QUEUED, RUNNING and so on."""
    created: str
    """In UTC, RFC 3339."""
    error: str
    output: str
    """Address of the folder that the job writes to."""
    trials: tuple[Mapping[str, Any], ...] = ()
    """Of a HyperparameterTuningJob, as the service answers them."""

    @property
    def id(self) -> str:
        """The number that the service gave the job."""
        return self.resource.rpartition("/")[2]

    @property
    def has_ended(self) -> bool:
        """Whether the state stays."""
        return self.state in ENDED

    @property
    def address(self) -> str:
        """Its page in the console."""
        _, project, _, region, _, number = self.resource.split("/")
        return f"https://console.cloud.google.com/agent-platform/locations/{region}/training/{number}?project={project}"


def cloud_job(resource: Mapping[str, Any]) -> CloudJob:
    """Return what is used of a CustomJob, or of a HyperparameterTuningJob, as the service answers it."""
    spec = resource.get("jobSpec") or resource.get("trialJobSpec") or {}
    output = spec.get("baseOutputDirectory", {})
    return CloudJob(
        resource=str(resource["name"]),
        name=str(resource["displayName"]),
        run=str(resource.get("labels", {}).get(RUN_LABEL, "")),
        state=str(resource.get("state", "UNKNOWN")).removeprefix(STATE_PREFIX),
        created=str(resource.get("createTime", "")),
        error=one_line(str(resource.get("error", {}).get("message", ""))),
        output=str(output.get("outputUriPrefix", "")).rstrip("/"),
        trials=tuple(resource.get("trials", ())),
    )


class JobService:
    """The jobs of one project in one region."""

    collection = "customJobs"
    command = "submit"
    """The session of nox that sends these jobs."""

    def __init__(self, project: str, region: str) -> None:
        """Read the credentials; nothing is asked yet. Raises `UserError` without SDK or credentials."""
        self.sdk = load_sdk()
        self.parent = f"projects/{project}/locations/{region}"
        override = os.environ.get(ENDPOINT_VARIABLE, "").rstrip("/")
        self.endpoint = override or f"{region}-aiplatform.googleapis.com"
        self.credentials = credentials(override, project)
        try:
            self.sdk.init(
                project=project,
                location=region,
                credentials=self.credentials,
                api_endpoint=self.endpoint,
                api_transport="rest",
            )
        except ValueError as error:
            raise UserError(
                f"the SDK does not know the region {region}",
                "one of its own list",
                "choose another region, or use nox -s submit -- --gcloud",
            ) from error

    @property
    def kind(self) -> Any:
        """The SDK's class of these jobs."""
        return self.sdk.CustomJob

    def create(self, custom_job: Mapping[str, Any]) -> CloudJob:
        """Create a job once; raise `Unanswered` if it may have been created all the same."""
        parsed = parse(custom_job, "CustomJob")
        scheduling = parsed.job_spec.scheduling
        wait = int(scheduling.max_wait_duration.total_seconds())
        with explained("the job is not accepted", patient_with=(408,)):
            job = self.sdk.CustomJob(
                display_name=parsed.display_name,
                worker_pool_specs=list(parsed.job_spec.worker_pool_specs),
                base_output_dir=parsed.job_spec.base_output_directory.output_uri_prefix,
                staging_bucket=parsed.job_spec.base_output_directory.output_uri_prefix,
                labels=dict(parsed.labels),
            )
            job.submit(
                service_account=parsed.job_spec.service_account or None,
                timeout=int(scheduling.timeout.total_seconds()),
                restart_job_on_worker_restart=scheduling.restart_job_on_worker_restart,
                disable_retries=scheduling.disable_retries,
                scheduling_strategy=scheduling.strategy,
                max_wait_duration=wait if "max_wait_duration" in scheduling else None,
                create_request_timeout=CREATE_SECONDS,
            )
        return cloud_job(job.to_dict())

    def get(self, resource: str) -> CloudJob:
        """Return a job by its resource name or its number."""
        name = resource if "/" in resource else f"{self.parent}/{self.collection}/{resource}"
        with explained(f"job {name.rpartition('/')[2]}"):
            return cloud_job(self.kind.get(name).to_dict())

    def find(self, run: str) -> CloudJob | None:
        """Return the job with the label of a run, if there is one."""
        return next(iter(self.list(f'labels.{RUN_LABEL}="{run}"')), None)

    def list(self, filter: str) -> Sequence[CloudJob]:
        """Return the jobs that fit, the newest first."""
        with explained("the list of jobs"):
            found = [cloud_job(job.to_dict()) for job in self.kind.list(filter=filter)]
        return sorted(found, key=lambda job: job.created, reverse=True)

    def cancel(self, resource: str) -> None:
        """Ask a job to stop."""
        with explained(f"job {resource.rpartition('/')[2]} is not cancelled"):
            self.kind.get(resource).cancel()


def parse(resource: Mapping[str, Any], kind: str) -> Any:
    """Return a resource as the SDK's own type of that name; raise `UserError` if it is none."""
    from google.cloud.aiplatform_v1 import types
    from google.protobuf import json_format

    sdk_type = getattr(types, kind)
    parsed = sdk_type()
    try:
        json_format.ParseDict(dict(resource), sdk_type.pb(parsed))
    except json_format.ParseError as error:
        raise UserError(
            f"the SDK does not take the job ({one_line(str(error))})",
            "fields that the SDK knows",
            "update google-cloud-aiplatform in the launcher's environment",
        ) from error
    return parsed


def load_sdk() -> Any:
    """Import the SDK, and keep its chatter off the terminal; raise `UserError` if it is missing."""
    quieten()
    try:
        from google.cloud import aiplatform
    except ImportError as error:
        raise not_installed(error) from error
    return aiplatform


def not_installed(error: ImportError) -> UserError:
    """Return the error for a library of Google's that is missing."""
    return UserError(
        f"the SDK of Google Cloud is not installed ({error})",
        "google-cloud-aiplatform and google-cloud-storage in the launcher's environment",
        "start with nox -s submit, which installs them",
    )


def quieten() -> None:
    """Let no warning of Google's libraries through: what matters they raise, and the rest hides it."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)


def credentials(endpoint: str, project: str) -> Any:
    """Return Application Default Credentials, none for a double on this machine; raise `UserError` without any."""
    import google.auth
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2.credentials import Credentials

    if is_loopback(endpoint):
        return AnonymousCredentials()
    try:
        found, _ = google.auth.default(scopes=SCOPES)
    except GoogleAuthError as error:
        raise no_credentials(error) from error
    # A person's credentials need a project that answers for their requests.
    if isinstance(found, Credentials) and not found.quota_project_id:
        return found.with_quota_project(project)
    return found


def is_loopback(endpoint: str) -> bool:
    """Tell whether an address is a double's: plain HTTP, on this machine."""
    url = urlsplit(endpoint)
    return url.scheme == "http" and url.hostname in ("127.0.0.1", "localhost", "::1")
