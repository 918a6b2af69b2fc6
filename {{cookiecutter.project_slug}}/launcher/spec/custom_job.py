"""job.toml and a built package -> the CustomJob that both executors run. Pure: no files, no network, no clock.

The fields are those of the REST resource:
https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.customJobs
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launcher.console import UserError
from launcher.contract import MOUNT, REVISION_VARIABLE
from launcher.spec.catalog import POOL_NAMES, Pool, google_cloud, kind_of
from launcher.spec.job_file import Job, argument_flags, duration_seconds

RUN_LABEL = "run"
START = (
    'python -m pip install --no-cache-dir --disable-pip-version-check "$0"{pins}'
    ' && exec python -m {module} "$@"'
)
"""The package is installed from the bucket's mount, $0, when the machine starts; the flags follow it, so that
hyperparameter tuning can append its own."""
STARTED = re.compile(re.escape(START).replace(r"\{pins\}", ".*").replace(r"\{module\}", "(.+)"))


@dataclass(frozen=True)
class Run:
    """What one run of a job has beside job.toml. Addresses begin with gs://."""

    name: str
    """Lower-case letters, digits and hyphens; the folder of the outputs and the value of the run's label."""
    package_uri: str
    image_content: str
    """The digest of what an image of the project's own is built from, package and Dockerfile; "" if none is started."""
    data_uri: str
    arguments: tuple[str, ...] = ()
    """Flags that come after those of job.toml."""
    revision: str = ""


def custom_job_of(job: Job, run: Run) -> dict[str, Any]:
    """Return the CustomJob, as the JSON of the REST interface, that trains `job` as the run `run`."""
    spec = {
        "workerPoolSpecs": worker_pools(job, run),
        "scheduling": scheduling(job),
        "baseOutputDirectory": {"outputUriPrefix": output_uri(job, run.name)},
        "serviceAccount": job.cloud.service_account,
    }
    labels = {**job.labels, RUN_LABEL: run.name}
    return {"displayName": job.cloud.name, "labels": labels, "jobSpec": given(spec)}


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value}


def folder_uri(job: Job) -> str:
    """Return the folder in the bucket that holds all that belongs to the project."""
    return f"gs://{job.cloud.bucket}/{job.cloud.name}"


def output_uri(job: Job, run: str) -> str:
    """Return the folder that a run writes to; the service derives AIP_MODEL_DIR and its like from it."""
    return f"{folder_uri(job)}/jobs/{run}"


def package_uri(job: Job, file_name: str, content: str) -> str:
    """Return where a package lies in the bucket: its content is in the address, so nothing is overwritten."""
    return f"{folder_uri(job)}/packages/{content[:16]}/{file_name}"


def data_uri(job: Job, fingerprint: str) -> str:
    return f"{folder_uri(job)}/data/{fingerprint[:16]}"


def worker_pools(job: Job, run: Run) -> list[dict[str, Any]]:
    """Return the pools by position; one that is not used, between two that are, is an empty object."""
    tier, started = job.tier(), program(job, run)
    pools: list[dict[str, Any]] = [
        {
            "machineSpec": machine(tier[name], job.scheduling.reservation),
            "replicaCount": str(tier[name].replicas),
            **started,
        }
        if name in tier
        else {}
        for name in POOL_NAMES
    ]
    while not pools[-1]:
        pools.pop()
    return pools


def machine(pool: Pool, reservation: str) -> dict[str, Any]:
    """Return the machine of each replica. A TPU follows from the machine's type, a GPU is named beside it."""
    affinity = {
        "reservationAffinityType": "SPECIFIC_RESERVATION",
        "key": "compute.googleapis.com/reservation-name",
        "values": [reservation],
    }
    spec = {
        "machineType": pool.machine,
        "acceleratorType": pool.accelerator,
        "acceleratorCount": pool.accelerator_count,
        "tpuTopology": pool.tpu_topology,
        "reservationAffinity": affinity if reservation else {},
    }
    return given(spec)


def runtime_kind(job: Job) -> str:
    """Return `stock`, `executor` or `image`; `auto` is a stock image, except for TPUs, which have none."""
    if job.runtime.kind != "auto":
        return job.runtime.kind
    return "image" if kind_of(job.tier()) == "tpu" else "stock"


def program(job: Job, run: Run) -> dict[str, Any]:
    """Return what a machine starts, as the runtime of job.toml asks."""
    flags = ["--data-dir", run.data_uri, *argument_flags(job.arguments), *run.arguments]
    variables = {**job.environment, **given({REVISION_VARIABLE: run.revision})}
    env = [{"name": name, "value": value} for name, value in variables.items()]
    started = {"args": flags, **given({"env": env})}
    if runtime_kind(job) == "executor":
        package = {"packageUris": [run.package_uri], "pythonModule": job.cloud.module}
        return {"pythonPackageSpec": {"executorImageUri": job.runtime.image, **package, **started}}
    image: dict[str, Any] = {"imageUri": image_uri(job, run)}
    if runtime_kind(job) == "stock":
        image["command"] = start_command(job.cloud.module, run.package_uri)
    return {"containerSpec": {**image, **started}}


def starts_own_image(job: Job) -> bool:
    return runtime_kind(job) == "image" and not job.runtime.image


def image_uri(job: Job, run: Run) -> str:
    """Return the image that a container starts: the named one, the public one, or the one `nox -s image` builds."""
    if job.runtime.image:
        return job.runtime.image
    kind = kind_of(job.tier())
    if runtime_kind(job) == "stock":
        return str(google_cloud()["stock_images"][kind]["image"])
    return own_image_uri(job, kind, run.image_content)


def own_image_uri(job: Job, kind: str, content: str) -> str:
    """Return where an image of one's own lies: its content is in the address."""
    registry = f"{job.cloud.region}-docker.pkg.dev/{job.cloud.project.replace(':', '/')}"
    return f"{registry}/training/{job.cloud.name}-{kind}:{content[:16]}"


def scheduling(job: Job) -> dict[str, Any]:
    asked = job.scheduling
    waits = asked.strategy == "flex_start"
    spec = {
        "timeout": f"{duration_seconds(asked.timeout)}s",
        "strategy": asked.strategy.upper(),
        "maxWaitDuration": f"{duration_seconds(asked.max_wait)}s" if waits else "",
        "restartJobOnWorkerRestart": asked.restart_job_on_worker_restart,
        "disableRetries": asked.disable_retries,
    }
    return given(spec)


def start_command(module: str, package_uri: str, pins: Sequence[str] = ()) -> list[str]:
    """Return what a stock image starts: a shell that installs the package, with versions such as a==1, and runs the module."""
    mounted = MOUNT + package_uri.removeprefix("gs:/")
    start = START.format(module=module, pins="".join(f" {pin}" for pin in pins))
    return ["/bin/sh", "-c", start, mounted]


def module_of(pool: Mapping[str, Any]) -> str:
    """Return the module that a pool starts, "" if its image alone decides."""
    if "pythonPackageSpec" in pool:
        return str(pool["pythonPackageSpec"]["pythonModule"])
    command = pool["containerSpec"].get("command", [])
    match = STARTED.fullmatch(command[2]) if len(command) == 4 else None
    return match[1] if match else ""


def arguments_of(pool: Mapping[str, Any]) -> list[str]:
    started = pool.get("pythonPackageSpec") or pool["containerSpec"]
    return list(started.get("args", []))


def variables_of(pool: Mapping[str, Any]) -> dict[str, str]:
    started = pool.get("pythonPackageSpec") or pool["containerSpec"]
    return {entry["name"]: entry.get("value", "") for entry in started.get("env", [])}


def gcloud_file(custom_job: dict[str, Any], project: str, region: str) -> str:
    """Return a file for `gcloud ai custom-jobs create --config`, with the command that takes it as a comment.

    Raises `UserError` for a job that gcloud refuses: one with an unused pool between two others.
    Source: https://cloud.google.com/sdk/gcloud/reference/ai/custom-jobs/create
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
