"""Cloud Build: the request that builds an image, and following it to its end.

Source: https://cloud.google.com/build/docs/api/reference/rest/v1/projects.builds
"""

import time
from collections.abc import Mapping
from typing import Any

from launcher.console import Console, UserError
from launcher.executors.vertex.errors import BUILDS, explained
from launcher.executors.vertex.rest import Rest
from launcher.spec.custom_job import folder_uri
from launcher.spec.job_file import Job

LONGEST_BUILD = "3600s"
POLL_SECONDS = 5.0
UNFINISHED = ("STATUS_UNKNOWN", "PENDING", "QUEUED", "WORKING")


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
