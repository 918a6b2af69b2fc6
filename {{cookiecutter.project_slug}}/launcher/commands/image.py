"""`nox -s image`: build the "own image" runtime with Cloud Build, so that no Docker is needed here."""

import dataclasses
import json
import tempfile
from pathlib import Path

from launcher.checks.job_settings import ready_findings
from launcher.checks.machines import machine_findings
from launcher.commands.options import ImageOptions
from launcher.console import Console
from launcher.executors.vertex.builds import build_request, run_build
from launcher.executors.vertex.storage import storage_client, upload
from launcher.packaging.sdist import digest, packed
from launcher.project import Project, build, image_files, run_of
from launcher.spec.custom_job import image_uri
from launcher.spec.job_file import Job


def image(project: Project, options: ImageOptions, _rest: list[str], console: Console) -> int:
    job = options.job(project)
    for finding in machine_findings(job):
        raise finding
    distribution = build(project, console)
    # The image is the one that a job of kind "image" starts.
    own = dataclasses.replace(job, runtime=dataclasses.replace(job.runtime, kind="image"))
    context = image_files(project, own, distribution)
    address = image_uri(own, run_of(project, own, distribution, "image", []))
    request = build_request(job, address, digest(context))
    if options.dry_run:
        print(json.dumps(request, indent=2))
        return 0
    for finding in ready_findings(job):
        raise finding
    upload_context(job, request["source"]["storageSource"]["object"], packed(context), console)
    run_build(job, request, console)
    print(request["images"][0])
    return 0


def upload_context(job: Job, name: str, content: bytes, console: Console) -> None:
    """Put the build's context into the bucket, unless it exists: its name has the digest of its content."""
    uri = f"gs://{job.cloud.bucket}/{name}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "context.tar.gz")
        path.write_bytes(content)
        upload(storage_client(job.cloud.project), path, uri)
    console.step("upload", uri)
