"""The job as a file for `gcloud ai custom-jobs create --config`.

Source: https://cloud.google.com/sdk/gcloud/reference/ai/custom-jobs/create
"""

import json
from typing import Any

from launcher.console import UserError


def gcloud_file(custom_job: dict[str, Any], project: str, region: str) -> str:
    """Return a file for `gcloud ai custom-jobs create --config`, with the command that takes it as a comment.

    Raises `UserError` for a job that gcloud refuses: one with an unused pool between two others.
    """
    job_spec = custom_job["jobSpec"]
    if not all(job_spec["workerPoolSpecs"]):
        what = "gcloud refuses a job with an unused pool before a used one"
        fix = "add a worker pool, or send the JSON of --dry-run with the REST interface"
        raise UserError(what, "pools without a gap", fix)
    labels = ",".join(f"{key}={value}" for key, value in custom_job["labels"].items())
    command = f"gcloud ai custom-jobs create --project={project} --region={region}"
    command += f" --display-name={custom_job['displayName']} --labels={labels} --config=FILE"
    # JSON is YAML, which gcloud reads.
    return f"# {command}\n{json.dumps(job_spec, indent=2)}"
