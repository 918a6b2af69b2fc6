"""The job as a file for `gcloud ai custom-jobs create --config`.

Source: https://cloud.google.com/sdk/gcloud/reference/ai/custom-jobs/create
"""

import json
from collections.abc import Iterator
from typing import Any

from launcher.console import UserError

INDENT = "  "


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
