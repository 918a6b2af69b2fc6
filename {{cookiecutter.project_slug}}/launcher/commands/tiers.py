"""What a region offers: the scale tiers, their machines, and how they may be scheduled."""

from launcher.checks.machines import region_finding
from launcher.commands.session import Session
from launcher.spec.catalog import Pool, Tier, accelerator_of, google_cloud

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
    console.table(HEADINGS, [row_of(name, named[name]) for name in here])
    if elsewhere:
        print(f"\nnot in {region}:")
        console.table((), [(name, regions_text(named[name])) for name in elsewhere])
    return 0


def parted(named: dict[str, Tier], region: str) -> tuple[list[str], list[str]]:
    offered = {name: regions_of(tier) for name, tier in named.items()}
    here = [name for name, regions in offered.items() if regions is None or region in regions]
    return here, [name for name in named if name not in here]


def regions_of(tier: Tier) -> set[str] | None:
    """Return the regions that have every accelerator of a tier; None for CPU machines, which are everywhere."""
    tables = google_cloud()["accelerator_regions"]
    names = [name for pool in tier.values() if (name := accelerator_of(pool))]
    needed = [set(tables.get(name, ())) for name in names]
    return set.intersection(*needed) if needed else None


def regions_text(tier: Tier) -> str:
    return ", ".join(sorted(regions_of(tier) or ())) or "offered nowhere: see nox -s check"


def row_of(name: str, tier: Tier) -> tuple[str, ...]:
    pools = ", ".join(pool_text(pool_name, pool) for pool_name, pool in tier.items())
    return name, pools, scheduling_text(tier), quota_text(tier)


def pool_text(name: str, pool: Pool) -> str:
    return f"{pool.replicas} {name} {machine_text(pool)}"


def machine_text(pool: Pool) -> str:
    accelerator = f" + {pool.accelerator_count} x {pool.accelerator}" if pool.accelerator else ""
    topology = f" {pool.tpu_topology}" if pool.tpu_topology else ""
    return f"{pool.machine}{accelerator}{topology}"


def scheduling_text(tier: Tier) -> str:
    """Return the strategies that a tier takes; reserved machines are a choice of their own.

    Source: https://cloud.google.com/vertex-ai/docs/training/use-reservations
    """
    taken = google_cloud()["flex_start_accelerators"]
    machines = {(pool.machine, pool.accelerator_count) for pool in tier.values()}
    flex = len(machines) == 1 and all(accelerator_of(pool) in taken for pool in tier.values())
    several = any(pool.tpu_topology not in ("", "1x1", "2x2", "2x4") for pool in tier.values())
    strategies = ["standard", *(() if several else ("spot",)), *(("flex_start",) if flex else ())]
    return ", ".join([*strategies, "reservation"])


def quota_text(tier: Tier) -> str:
    """Return the default quota of a tier whose machines a new project has none of, "" for the others."""
    scarce = google_cloud()["zero_quota_accelerators"]
    none = any(accelerator_of(pool) in scarce for pool in tier.values())
    return "0: ask for more" if none else ""
