"""`nox -s image`: build the "own image" runtime with Cloud Build, so that no Docker is needed here."""

import dataclasses
import json
import tempfile
from pathlib import Path

from launcher.checks.machines import machine_findings
from launcher.commands.session import Session
from launcher.console import Console, Refused
from launcher.executors.vertex.builds import build_request, run_build
from launcher.executors.vertex.storage import storage_client, upload
from launcher.packaging.sdist import digest, packed
from launcher.project import image_files, run_of
from launcher.spec.custom_job import image_uri
from launcher.spec.job_file import Job


def image(session: Session) -> int:
    project, job = session.project, session.job
    if findings := machine_findings(job):
        raise Refused(findings)
    distribution = session.package
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


def upload_context(job: Job, name: str, content: bytes, console: Console) -> None:
    """Put the build's context into the bucket, unless it exists: its name has the digest of its content."""
    uri = f"gs://{job.cloud.bucket}/{name}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "context.tar.gz")
        path.write_bytes(content)
        upload(storage_client(job.cloud.project), path, uri)
    console.step("upload", uri)
