"""What a region offers: the scale tiers, their machines, and how they may be scheduled."""

import dataclasses

from launcher.checks.machines import STRATEGIES, region_finding, strategy_findings
from launcher.commands.session import Session
from launcher.spec.catalog import Pool, Tier, accelerator_of, google_cloud
from launcher.spec.job_file import Job, Scheduling

HEADINGS = ("tier", "machines", "scheduling", "default quota")


def tiers(session: Session) -> int:
    job, console = session.job, session.console
    region = job.cloud.region
    if finding := region_finding(region):
        raise finding
    date = google_cloud()["sources"]["regions"]["date"]
    console.step("region", f"{region}; as of {date}")
    named = {name: tier for name, tier in job.tiers.items() if tier}
    here, elsewhere = parted(named, region)
    console.table(
        HEADINGS,
        [(n, machines_text(t), scheduling_text(job, n), quota_text(t)) for n, t in here.items()],
    )
    if elsewhere:
        print(f"\nnot in {region}:")
        nowhere = "offered nowhere: see nox -s check"
        console.table((), [(n, ", ".join(sorted(r)) or nowhere) for n, r in elsewhere.items()])
    return 0


def parted(named: dict[str, Tier], region: str) -> tuple[dict[str, Tier], dict[str, set[str]]]:
    """Return the tiers that a region offers, and the regions that offer each of the others."""
    offered = {name: regions_of(tier) for name, tier in named.items()}
    elsewhere = {n: each for n, each in offered.items() if each is not None and region not in each}
    return {name: tier for name, tier in named.items() if name not in elsewhere}, elsewhere


def regions_of(tier: Tier) -> set[str] | None:
    """Return the regions that have every accelerator of a tier; None for CPU machines, which are everywhere."""
    tables = google_cloud()["accelerator_regions"]
    names = [name for pool in tier.values() if (name := accelerator_of(pool))]
    needed = [set(tables.get(name, ())) for name in names]
    return set.intersection(*needed) if needed else None


def machines_text(tier: Tier) -> str:
    return ", ".join(f"{pool.replicas} {name} {machine_text(pool)}" for name, pool in tier.items())


def machine_text(pool: Pool) -> str:
    accelerator = f" + {pool.accelerator_count} x {pool.accelerator}" if pool.accelerator else ""
    topology = f" {pool.tpu_topology}" if pool.tpu_topology else ""
    return f"{pool.machine}{accelerator}{topology}"


def scheduling_text(job: Job, name: str) -> str:
    """Return the strategies with which the checks accept a tier; reserved machines are a choice of their own.

    Source: https://cloud.google.com/vertex-ai/docs/training/use-reservations
    """
    cloud = dataclasses.replace(job.cloud, scale_tier=name)
    jobs = [
        dataclasses.replace(job, cloud=cloud, scheduling=Scheduling(each)) for each in STRATEGIES
    ]
    accepted = [each.scheduling.strategy for each in jobs if not strategy_findings(each)]
    return ", ".join([*accepted, "reservation"])


def quota_text(tier: Tier) -> str:
    """Return the default quota of a tier whose machines a new project has none of, "" for the others."""
    scarce = google_cloud()["zero_quota_accelerators"]
    none = any(accelerator_of(pool) in scarce for pool in tier.values())
    return "0: ask for more" if none else ""
