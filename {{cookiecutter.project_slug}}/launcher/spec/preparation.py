"""Tables in Cloud Storage -> the CustomJob that prepares them on one machine. Pure: no files, no network, no clock."""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launcher.console import UserError
from launcher.contract import PREPARE_MODULE
from launcher.spec.catalog import Pool, google_cloud
from launcher.spec.custom_job import Run, custom_job_of, start_command
from launcher.spec.job_file import Job, Runtime

TIER, EXTRA, TABLES_LABEL = "PREPARATION", "[prepare]", "tables"
GB = 10**9


@dataclass(frozen=True)
class Machine:
    name: str
    memory_mb: int
    """What SQL may hold in memory."""
    disk_gb: int
    hours: float
    """How long it takes, if its rate grows with its vCPUs."""


def machine_for(sizes: Mapping[str, int]) -> Machine:
    """Return the smallest machine that is expected to prepare objects of these sizes, in bytes, in time, else the largest.

    The rules are those of google_cloud.json. Raises `UserError` for more than a disk holds.
    """
    rules = google_cloud()["preparation"]
    packed = {name for name in sizes if re.fullmatch(rules["packed_names"], name)}
    plain = sum(size * rules["packed_factor"] ** (name in packed) for name, size in sizes.items())
    disk_gb = rules["system_disk_gb"] + math.ceil(plain * rules["disk_factor"] / GB)
    if disk_gb > (most := rules["most_disk_gb"]):
        what = f"{sum(sizes.values()) / GB:,.0f} GB of tables need about {disk_gb:,} GB of disk"
        raise UserError(what, f"at most {most:,} GB", "run nox -s prepare -- --engine bigquery")
    vcpus = {name: int(name.rpartition("-")[2]) for name in rules["machines"]}
    hours = {name: plain / rules["bytes_per_vcpu_hour"] / vcpus[name] for name in vcpus}
    name = next((name for name in hours if hours[name] <= rules["hours"]), [*hours][-1])
    return Machine(name, vcpus[name] * rules["memory_mb_per_vcpu"], disk_gb, hours[name])


def preparing(job: Job, machine: Machine, tables: str) -> Job:
    """Return the job that prepares instead of training; with other content, of the digest `tables`, it is another one."""
    return dataclasses.replace(
        job,
        cloud=dataclasses.replace(job.cloud, scale_tier=TIER, module=PREPARE_MODULE),
        tiers={TIER: {"chief": Pool(machine.name)}},
        runtime=Runtime("stock"),
        # Those of job.toml are for the machines that train.
        scheduling=dataclasses.replace(job.scheduling, strategy="standard", reservation=""),
        labels={**job.labels, TABLES_LABEL: tables},
    )


def preparation_of(
    job: Job, run: Run, machine: Machine, flags: Sequence[str], pins: Sequence[str]
) -> dict[str, Any]:
    """Return the CustomJob of a job from `preparing`, with the flags of trainer.prepare and the versions it installs."""
    custom_job = custom_job_of(job, run)
    [pool] = custom_job["jobSpec"]["workerPoolSpecs"]
    pool["diskSpec"] = {"bootDiskType": "pd-ssd", "bootDiskSizeGb": machine.disk_gb}
    pool["containerSpec"]["command"] = start_command(PREPARE_MODULE, run.package_uri + EXTRA, pins)
    pool["containerSpec"]["args"] = ["--memory-mb", str(machine.memory_mb), *flags]
    return custom_job
