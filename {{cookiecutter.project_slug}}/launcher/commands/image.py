"""`nox -s image`: build the "own image" runtime with Cloud Build, so that no Docker is needed here."""

import dataclasses
import json
import tempfile
from pathlib import Path

from launcher.checks.job_settings import ready_findings
from launcher.checks.machines import machine_findings
from launcher.commands.options import ImageOptions
from launcher.console import Console, UserError
from launcher.executors.vertex.builds import build_request, run_build
from launcher.executors.vertex.storage import storage_client, upload
from launcher.packaging.sdist import SourceDistribution, archive_files, digest, packed
from launcher.project import Project, build, run_of
from launcher.spec.catalog import kind_of
from launcher.spec.custom_job import image_uri
from launcher.spec.job_file import Job

DOCKERFILES = {"cpu": "Dockerfile", "gpu": "Dockerfile.gpu", "tpu": "Dockerfile.tpu"}


def image(project: Project, options: ImageOptions, _rest: list[str], console: Console) -> int:
    job = options.job(project)
    for finding in machine_findings(job):
        raise finding
    distribution = build(project, console)
    context = build_context(project, distribution, DOCKERFILES[kind_of(job.tier())])
    request = build_request(job, built_image(project, job, distribution), digest(context))
    if options.dry_run:
        print(json.dumps(request, indent=2))
        return 0
    for finding in ready_findings(job):
        raise finding
    upload_context(job, request["source"]["storageSource"]["object"], packed(context), console)
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
    path = project.folder / dockerfile
    if not path.is_file():
        raise UserError(f"{path} is missing", "the recipe of the image", "restore it")
    return {**archive_files(distribution.path.read_bytes()), "Dockerfile": path.read_bytes()}


def upload_context(job: Job, name: str, content: bytes, console: Console) -> None:
    """Put the build's context into the bucket, unless it exists: its name has the digest of its content."""
    uri = f"gs://{job.cloud.bucket}/{name}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "context.tar.gz")
        path.write_bytes(content)
        upload(storage_client(job.cloud.project), path, uri)
    console.step("upload", uri)
