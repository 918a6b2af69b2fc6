"""The job as Google Cloud takes it: the JSON of the REST interface, or a file for gcloud. Sends nothing yet."""

import argparse
import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

from launcher import spec
from launcher.checks import require_sound
from launcher.console import Console, UserError
from launcher.project import NOT_PREPARED, Project, build, job_of, run_of

INDENT = "  "


def submit(project: Project, given: argparse.Namespace, rest: list[str], console: Console) -> int:
    """Print the job, and nothing else, on standard output. Needs no credentials and no network."""
    if not (given.dry_run or given.gcloud):
        raise UserError(
            "this version of the template prints a job, and does not send it",
            "--dry-run or --gcloud",
            "nox -s submit -- --gcloud > job.yaml, then give that file to gcloud ai custom-jobs create",
        )
    job = job_of(project, given)
    distribution = build(project, console)
    require_sound(project, job, distribution, rest, console)
    run = run_of(project, job, distribution, new_run_name(), rest)
    if run.data_uri.endswith(NOT_PREPARED):
        console.step("data", "not prepared yet: its address will end in its fingerprint")
    custom_job = spec.custom_job(job, run)
    if given.gcloud:
        print(gcloud_file(custom_job, job.cloud.project, job.cloud.region), end="")
    else:
        print(json.dumps(custom_job, indent=2))
    console.step("next", f"the package goes to {run.package_uri}, the data to {run.data_uri}")
    return 0


def new_run_name() -> str:
    """Return a name for a run, unique enough for a label: the time in UTC, and six random digits."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"


def gcloud_file(custom_job: dict[str, Any], project: str, region: str) -> str:
    """Return a file for `gcloud ai custom-jobs create --config`, with the command that takes it as a comment.

    Raises `UserError` for a job that gcloud refuses: one with an unused pool between two others.
    """
    job_spec = custom_job["jobSpec"]
    if not all(job_spec["workerPoolSpecs"]):
        raise UserError(
            "gcloud refuses a job with an unused pool before a used one",
            "pools without a gap",
            "add a worker pool, or send the JSON of --dry-run with the REST interface",
        )
    labels = ",".join(f"{key}={value}" for key, value in custom_job["labels"].items())
    command = f"gcloud ai custom-jobs create --project={project} --region={region}"
    command += f" --display-name={custom_job['displayName']} --labels={labels} --config=FILE"
    return "\n".join([f"# {command}", *yaml_lines(job_spec)]) + "\n"


def yaml_lines(value: dict[str, Any], depth: int = 0) -> Iterator[str]:
    """Yield the lines of a mapping as YAML; every scalar is quoted as in JSON, which YAML reads."""
    for key, content in value.items():
        start = f"{INDENT * depth}{key}:"
        if isinstance(content, dict):
            yield start
            yield from yaml_lines(content, depth + 1)
        elif isinstance(content, list):
            yield start
            for item in content:
                yield from yaml_item(item, depth)
        else:
            yield f"{start} {json.dumps(content)}"


def yaml_item(item: Any, depth: int) -> Iterator[str]:
    """Yield the lines of one item of a list."""
    dash = f"{INDENT * depth}- "
    if not isinstance(item, dict):
        yield f"{dash}{json.dumps(item)}"
        return
    first, *others = yaml_lines(item, depth + 1)
    yield dash + first.lstrip()
    yield from others
