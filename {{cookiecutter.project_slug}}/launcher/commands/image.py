"""`nox -s image`: build the "own image" runtime with Cloud Build, so that no Docker is needed here.

Source: https://cloud.google.com/build/docs/api/reference/rest/v1/projects.builds
"""

import dataclasses
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launcher.checks.machines import machine_findings
from launcher.commands.session import Session
from launcher.console import Console, Refused, UserError
from launcher.executors.vertex.services import BUILDS, Rest, explained
from launcher.executors.vertex.storage import storage_client, upload
from launcher.packaging.sdist import SourceDistribution, digest, packed
from launcher.project import SERVING_DOCKERFILE, Project, image_files, run_of
from launcher.spec.custom_job import folder_uri, image_uri, own_image_uri
from launcher.spec.job_file import Job

LONGEST_BUILD = "3600s"
POLL_SECONDS = 5.0
UNFINISHED = ("STATUS_UNKNOWN", "PENDING", "QUEUED", "WORKING")


def image(session: Session) -> int:
    project, job = session.project, session.job
    if findings := machine_findings(job):
        raise Refused(findings)
    distribution = session.package
    if session.options.serving:
        context = image_files(project, job, distribution, SERVING_DOCKERFILE)
        address = serving_image(project, job, distribution)
    else:
        # The image is the one that a job of kind "image" starts.
        own = dataclasses.replace(job, runtime=dataclasses.replace(job.runtime, kind="image"))
        context = image_files(project, own, distribution)
        address = image_uri(own, run_of(project, own, distribution, "image", []))
    request = build_request(job, address, digest(context))
    if session.options.dry_run:
        print(json.dumps(request, indent=2))
        return 0
    session.require_ready()
    name = request["source"]["storageSource"]["object"]
    upload_context(job, name, packed(context), session.console)
    run_build(job, request, session.console)
    print(request["images"][0])
    return 0


def serving_image(project: Project, job: Job, distribution: SourceDistribution) -> str:
    """Return the address of the image that `nox -s image -- --serving` builds."""
    content = digest(image_files(project, job, distribution, SERVING_DOCKERFILE))
    return own_image_uri(job, "serving", content)


def upload_context(job: Job, name: str, content: bytes, console: Console) -> None:
    """Put the build's context into the bucket, unless it exists: its name has the digest of its content."""
    uri = f"gs://{job.cloud.bucket}/{name}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "context.tar.gz")
        path.write_bytes(content)
        upload(storage_client(job.cloud.project), path, uri)
    console.step("upload", uri)


def build_request(job: Job, address: str, content: str) -> dict[str, Any]:
    """Return the Build, as the JSON of the REST interface, whose context lies in the job's bucket."""
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


def run_build(job: Job, request: Mapping[str, Any], console: Console) -> None:
    rest = Rest(BUILDS, job.cloud.project)
    builds = f"v1/projects/{job.cloud.project}/locations/{job.cloud.region}/builds"
    with explained("Cloud Build", BUILDS):
        build = rest.call("POST", builds, json=request)["metadata"]["build"]
    log = build.get("logUrl", "in Cloud Logging")
    console.step("build", f"{build['id']}, log: {log}")
    while build.get("status", UNFINISHED[0]) in UNFINISHED:
        time.sleep(POLL_SECONDS)
        with explained("Cloud Build", BUILDS):
            build = rest.call("GET", f"{builds}/{build['id']}")
    if build["status"] != "SUCCESS":
        raise UserError(
            f"the build ended as {build['status']} ({build.get('statusDetail', 'no detail')})",
            f"an image in the Artifact Registry repository training in {job.cloud.region}",
            f"read the log, {log}; the repository is made by: "
            f"gcloud artifacts repositories create training --repository-format=docker "
            f"--location={job.cloud.region} --project={job.cloud.project}",
        )
