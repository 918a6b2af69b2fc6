"""Builds the "own image" runtime with Cloud Build, so that no Docker is needed here."""

import argparse
import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launcher.checks.job_settings import ready_findings
from launcher.checks.machines import machine_findings
from launcher.console import Console, UserError
from launcher.packaging.sdist import SourceDistribution, archive_files, digest, packed
from launcher.project import Project, build, job_of, run_of
from launcher.spec.catalog import kind_of
from launcher.spec.custom_job import folder_uri, image_uri
from launcher.spec.job_file import Job

DOCKERFILES = {"cpu": "Dockerfile", "gpu": "Dockerfile.gpu", "tpu": "Dockerfile.tpu"}
ENDPOINT = "https://cloudbuild.googleapis.com"
ENDPOINT_VARIABLE = "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBUILD"
LONGEST_BUILD = "3600s"
POLL_SECONDS = 5.0
ANSWER_SECONDS = 60.0
UNFINISHED = ("STATUS_UNKNOWN", "PENDING", "QUEUED", "WORKING")


def image(project: Project, given: argparse.Namespace, _rest: list[str], console: Console) -> int:
    """Build the image of the job's tier; with --dry-run, print the request alone. The image's address is printed."""
    job = job_of(project, given)
    for finding in machine_findings(job):
        raise finding
    distribution = build(project, console)
    context = build_context(project, distribution, DOCKERFILES[kind_of(job.tier())])
    request = build_request(job, built_image(project, job, distribution), digest(context))
    if given.dry_run:
        print(json.dumps(request, indent=2))
        return 0
    for finding in ready_findings(job):
        raise finding
    send(job, request["source"]["storageSource"]["object"], packed(context), console)
    run_build(job, request, console)
    print(request["images"][0])
    return 0


def built_image(project: Project, job: Job, distribution: SourceDistribution) -> str:
    """Return the address of the image that is built, which a job of kind "image" starts."""
    own = dataclasses.replace(job, runtime=dataclasses.replace(job.runtime, kind="image"))
    return image_uri(own, run_of(project, own, distribution, "image", []))


def build_context(
    project: Project, distribution: SourceDistribution, dockerfile: str
) -> dict[str, bytes]:
    """Return the files that the build sees: those of the source distribution, and the Dockerfile."""
    path = project.folder / dockerfile
    if not path.is_file():
        raise UserError(f"{path} is missing", "the recipe of the image", "restore it")
    return {**archive_files(distribution.path), "Dockerfile": path.read_bytes()}


def build_request(job: Job, address: str, content: str) -> dict[str, Any]:
    """Return the Build, as the JSON of the REST interface, whose context lies in the job's bucket.

    Source: https://cloud.google.com/build/docs/api/reference/rest/v1/projects.builds
    """
    folder = folder_uri(job).removeprefix(f"gs://{job.cloud.bucket}/")
    source = {"bucket": job.cloud.bucket, "object": f"{folder}/images/{content[:16]}.tar.gz"}
    step = {
        "name": "gcr.io/cloud-builders/docker",
        "args": ["build", "--tag", address, "--file", "Dockerfile", "."],
    }
    return {
        "source": {"storageSource": source},
        "steps": [step],
        "images": [address],
        "timeout": LONGEST_BUILD,
        "options": {"logging": "CLOUD_LOGGING_ONLY"},
    }


def send(job: Job, name: str, content: bytes, console: Console) -> None:
    """Put the build's context into the bucket, unless it is there: its name tells its content."""
    from launcher.executors.vertex.storage import storage_client, upload

    uri = f"gs://{job.cloud.bucket}/{name}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "context.tar.gz")
        path.write_bytes(content)
        upload(storage_client(job.cloud.project), path, uri)
    console.step("upload", uri)


def run_build(job: Job, request: Mapping[str, Any], console: Console) -> None:
    """Start the build and wait for its end; raise `UserError` unless it succeeds."""
    started = call(job, "POST", "builds", request)
    found = started["metadata"]["build"]
    console.step("build", f"{found['id']}, log: {found.get('logUrl', 'in Cloud Logging')}")
    while found.get("status", UNFINISHED[0]) in UNFINISHED:
        time.sleep(POLL_SECONDS)
        found = call(job, "GET", f"builds/{found['id']}")
    if found["status"] != "SUCCESS":
        raise UserError(
            f"the build ended as {found['status']} ({found.get('statusDetail', 'no detail')})",
            f"an image in the Artifact Registry repository training in {job.cloud.region}",
            f"read the log, {found.get('logUrl', 'in Cloud Logging')}; the repository is made by: "
            f"gcloud artifacts repositories create training --repository-format=docker "
            f"--location={job.cloud.region} --project={job.cloud.project}",
        )


def call(job: Job, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the answer to one request; raise `UserError` if it is refused or does not come."""
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import AuthorizedSession

    from launcher.executors.vertex.jobs import credentials

    endpoint = os.environ.get(ENDPOINT_VARIABLE, ENDPOINT).rstrip("/")
    address = f"{endpoint}/v1/projects/{job.cloud.project}/locations/{job.cloud.region}/{path}"
    session = AuthorizedSession(credentials(endpoint, job.cloud.project))
    try:
        answer = session.request(method, address, json=body, timeout=ANSWER_SECONDS)
    except (OSError, GoogleAuthError) as error:
        raise UserError(
            f"Cloud Build cannot be reached ({error})",
            f"an answer from {address}",
            "check the network and the credentials, then run it again",
        ) from error
    if answer.ok:
        return dict(answer.json())
    raise UserError(
        f"Cloud Build refused the request ({answer.status_code}: {reason_of(answer)})",
        "the service cloudbuild.googleapis.com turned on, and the right to build (roles/cloudbuild.builds.editor)",
        "run gcloud services enable cloudbuild.googleapis.com, or ask for the role",
    )


def reason_of(answer: Any) -> str:
    """Return why a request was refused, in one line."""
    try:
        text = str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        text = str(answer.text)
    return " ".join(text.split())[:300]
