"""What would fail after a model is uploaded: machines, replicas and shares of [serving] in job.toml.

Sources: the entry `serving` of google_cloud.json.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from launcher.checks.job_settings import bucket_findings, label_findings, name_findings
from launcher.checks.machines import region_finding
from launcher.checks.problem import Problem, findings_at
from launcher.console import UserError, shown
from launcher.contract import SAVED_MODEL
from launcher.spec.catalog import google_cloud
from launcher.spec.job_file import Job


def serving_findings(job: Job, traffic: int | None) -> list[UserError]:
    """Return what is wrong with a deployment; `traffic` is that of the command line."""
    found = [*name_findings(job), *bucket_findings(job.cloud.bucket), *label_findings(job.labels)]
    if unknown := region_finding(job.cloud.region):
        found.append(unknown)
    reserved = tuple(google_cloud()["serving"]["reserved_labels"])
    for key in (key for key in job.labels if key.startswith(reserved)):
        expected = f"a label of a model, which begins with none of {', '.join(reserved)}"
        found.append(UserError(f"job.toml [labels] has {shown(key)}", expected, "rename it"))
    return [*found, *section_findings(job, traffic)]


def section_findings(job: Job, traffic: int | None = None) -> list[UserError]:
    """Return what is wrong with [serving] alone."""
    share = job.serving.traffic if traffic is None else traffic
    return findings_at("job.toml [serving]: ", problems(job, share))


def op_warnings(model: Path) -> list[UserError]:
    """Return which ops of a SavedModel the newest prebuilt image does not have, by the bytes of `NodeDef.op`."""
    content, facts = (model / SAVED_MODEL).read_bytes(), google_cloud()["newer_ops"]
    newer = [op for op in facts["ops"] if b"\x12%c%s" % (len(op), op.encode()) in content]
    what = f"{model} needs {', '.join(newer)}, which TensorFlow {facts['than']} does not have"
    fix = "deploy it with the image of Dockerfile.serving alone; BigQuery ML may refuse it, too"
    return [UserError(what, "older ops, for a server of that version", fix)] if newer else []


def problems(job: Job, traffic: int) -> Iterator[Problem]:
    facts, asked, region = google_cloud()["serving"], job.serving, job.cloud.region
    if not re.fullmatch(facts["machines"], asked.machine):
        expected = f"a machine for predictions ({facts['families']})"
        yield f"machine is {shown(asked.machine)}", expected, 'write machine = "e2-standard-4"'
    if region in facts["regions_without_n1"] and asked.machine.startswith("n1-"):
        what = f"{region} has no N1 machines for predictions without a GPU"
        yield what, "an E2 or N2 machine", 'write machine = "e2-standard-4"'
    if asked.min_replicas < 1:
        fix = "write min_replicas = 1, or predict in batches: scaling to zero is a preview"
        yield f"min_replicas is {asked.min_replicas}", "at least 1", fix
    if asked.max_replicas < asked.min_replicas:
        what = f"max_replicas is {asked.max_replicas}, min_replicas {asked.min_replicas}"
        yield what, "at least as many", "raise max_replicas"
    for name in ("batch_replicas", "batch_size"):
        if (value := getattr(asked, name)) < 1:
            yield f"{name} is {value}", "at least 1", f"write {name} = 1, or remove the line"
    if not 1 <= traffic <= 100:
        yield f"traffic is {traffic}", "1 to 100 percent", "correct it, or --traffic"
    own = f"{region}-docker.pkg.dev/"
    if asked.image and not asked.image.startswith(own):
        expected, fix = f"an image in the job's region, {own}…", 'copy it there, or write ""'
        yield f"image is {shown(asked.image)}", expected, fix
