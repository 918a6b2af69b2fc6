"""Region, machines, accelerators and scheduling of a job, compared with what google_cloud.json lists.

Sources: the entries of `sources` in google_cloud.json.
"""

from collections.abc import Iterable, Sequence

from launcher.console import UserError, nearest, shown
from launcher.contract import TASK_MODULE
from launcher.spec.catalog import Pool, accelerator_of, google_cloud, training_regions
from launcher.spec.job_file import Job

MOST_SUGGESTED = 12


def machine_findings(job: Job) -> list[UserError]:
    findings = [region_finding(job.cloud.region)]
    try:
        tier = job.tier()
    except UserError as error:
        return [finding for finding in (*findings, error) if finding]
    for name, pool in tier.items():
        where = f"scale tier {job.cloud.scale_tier}, {name}"
        findings += pool_findings(pool, where, "" if findings[0] else job.cloud.region)
    findings += [*shape_findings(job), *strategy_findings(job)]
    return [finding for finding in findings if finding]


def region_finding(region: str) -> UserError | None:
    """Return what is wrong with a region, if it offers no training."""
    regions = training_regions()
    if region in regions:
        return None
    # A zone, such as us-central1-a, is the likeliest mistake.
    guess = nearest(region[:-2] if region[-2:-1] == "-" else region, regions)
    return UserError(
        f"there is no training in the region {shown(region)} (job.toml [job] region, or --region)",
        f"one of the {len(regions)} regions that offer it",
        f"write {guess or 'us-central1, for example'}",
    )


def pool_findings(pool: Pool, where: str, region: str) -> list[UserError | None]:
    ended = ended_name(pool.accelerator)
    if ended:
        return [ended_finding(ended, where)]
    return [
        machine_finding(pool, where),
        count_finding(pool, where),
        accelerator_region_finding(accelerator_of(pool), where, region),
        topology_finding(pool, where),
        replicas_finding(pool, where),
    ]


def ended_name(accelerator: str) -> str:
    """Return the accelerator that has ended and goes by this name, in gcloud's spelling or with its maker left out."""
    folded = accelerator.upper().replace("-", "_")
    names = google_cloud()["ended_accelerators"]
    return next((name for name in names if folded and name.endswith(folded)), "")


def ended_finding(accelerator: str, where: str) -> UserError:
    fact = google_cloud()["ended_accelerators"][accelerator]
    return UserError(
        f"{where}: {accelerator} has ended ({fact['ended']})",
        "an accelerator that is offered",
        f"write {fact['instead']}",
    )


def machine_finding(pool: Pool, where: str) -> UserError | None:
    """Return what is wrong with a machine type, if training does not accept it."""
    facts = google_cloud()
    gpus = [machine for table in facts["gpu_machines"].values() for machine in table]
    tpus = [machine for table in facts["tpu_machines"].values() for machine in table]
    accepted = [*facts["cpu_machines"], *gpus, *tpus]
    if pool.machine in accepted:
        return None
    guess = nearest(pool.machine, accepted)
    return UserError(
        f"{where}: training does not accept the machine {shown(pool.machine)}",
        f"one of the {len(accepted)} machine types that it does",
        f"write {guess or 'n1-standard-4, for example'}",
    )


def count_finding(pool: Pool, where: str) -> UserError | None:
    facts = google_cloud()
    own = {
        name: table[pool.machine]
        for name, table in facts["gpu_machines"].items()
        if pool.machine in table
    }
    if own:
        name, count = next(iter(own.items()))
        if (pool.accelerator, pool.accelerator_count) == (name, count):
            return None
        return UserError(
            f"{where}: {pool.machine} with {pool.accelerator_count} x {pool.accelerator or 'no accelerator'}",
            f"{count} x {name}, which this machine has",
            f'write accelerator = "{name}" and accelerator_count = {count}',
        )
    if not pool.accelerator:
        return None if not pool.accelerator_count else needless_count(pool, where)
    return attached_finding(pool, where)


def needless_count(pool: Pool, where: str) -> UserError:
    return UserError(
        f"{where}: accelerator_count is {pool.accelerator_count} without an accelerator",
        "both or neither",
        "name the accelerator, or remove the count",
    )


def attached_finding(pool: Pool, where: str) -> UserError | None:
    facts = google_cloud()
    known = {**facts["n1_gpu_counts"], **facts["gpu_machines"]}
    if pool.accelerator not in known:
        return unknown_accelerator(pool.accelerator, known, where)
    machines = known[pool.accelerator]
    counts = machines.get(pool.machine)
    if counts is None:
        return UserError(
            f"{where}: {pool.machine} does not take {pool.accelerator}",
            f"one of {listed(machines)}",
            f'write machine = "{next(iter(machines))}"',
        )
    if pool.accelerator_count in counts:
        return None
    return UserError(
        f"{where}: {pool.machine} does not take {pool.accelerator_count} x {pool.accelerator}",
        f"{' or '.join(map(str, counts))} of them",
        f"write accelerator_count = {counts[0]}",
    )


def unknown_accelerator(accelerator: str, known: Iterable[str], where: str) -> UserError:
    if accelerator.upper().startswith("TPU"):
        machines = [name for table in google_cloud()["tpu_machines"].values() for name in table]
        return UserError(
            f"{where}: {accelerator} cannot be attached to a machine",
            f"a machine that has TPUs: {', '.join(machines)}",
            "take the scale tier BASIC_TPU as an example",
        )
    folded = f"NVIDIA_{accelerator}" if accelerator[:2].upper() != "NV" else accelerator
    guess = nearest(folded, known)
    return UserError(
        f"{where}: there is no accelerator {shown(accelerator)}",
        f"one of {', '.join(known)}",
        f"write {guess}" if guess else "correct the name",
    )


def accelerator_region_finding(accelerator: str, where: str, region: str) -> UserError | None:
    offered = google_cloud()["accelerator_regions"].get(accelerator)
    if offered is None or region in offered or not region:
        return None
    return UserError(
        f"{where}: {region} does not offer {accelerator} for training",
        f"one of {listed(offered, len(offered))}",
        "change region (and bucket), or the scale tier",
    )


def topology_finding(pool: Pool, where: str) -> UserError | None:
    tables = google_cloud()["tpu_machines"].values()
    shapes: list[str] = next((table[pool.machine] for table in tables if pool.machine in table), [])
    if pool.tpu_topology in (shapes or [""]):
        return None
    return UserError(
        f"{where}: {pool.machine} with tpu_topology {shown(pool.tpu_topology)}",
        f"one of {', '.join(shapes)}" if shapes else "no topology, because it has no TPU",
        f'write tpu_topology = "{shapes[0]}"' if shapes else "remove tpu_topology",
    )


def replicas_finding(pool: Pool, where: str) -> UserError | None:
    if pool.replicas >= 1:
        return None
    return UserError(
        f"{where}: replicas is {pool.replicas}", "1 or more", "correct it, or remove the pool"
    )


def shape_findings(job: Job) -> list[UserError | None]:
    tier = job.tier()
    where = f"scale tier {job.cloud.scale_tier}"
    tpu = any(accelerator_of(pool).startswith("TPU") for pool in tier.values())
    if tpu and (len(tier) > 1 or tier["chief"].replicas > 1):
        expected = "one pool of one replica, because a TPU job is a single host"
        return [
            UserError(
                f"{where}: a TPU with more pools or replicas", expected, "keep the chief alone"
            )
        ]
    findings: list[UserError | None] = []
    if tier["chief"].replicas > 1:
        findings.append(
            UserError(
                f"{where}: {tier['chief'].replicas} chiefs", "one", "put the others into worker"
            )
        )
    if "evaluator" in tier and tier["evaluator"].replicas > 1:
        findings.append(
            UserError(
                f"{where}: {tier['evaluator'].replicas} evaluators",
                "at most one",
                "write replicas = 1",
            )
        )
    if "parameter_server" in tier and job.cloud.module == TASK_MODULE:
        findings.append(
            UserError(
                f"{where}: it has parameter servers",
                "a chief and workers, because the trainer works by all-reduce, which has no use for them",
                "remove the pool, and give its machines to worker",
            )
        )
    return findings


def strategy_findings(job: Job) -> list[UserError | None]:
    """Return what is wrong with how the job asks for its machines.

    Sources: https://cloud.google.com/vertex-ai/docs/training/schedule-jobs-dws,
    https://cloud.google.com/vertex-ai/docs/training/use-spot-vms and
    https://cloud.google.com/vertex-ai/docs/training/use-reservations
    """
    asked, tier = job.scheduling, job.tier()
    where = f"job.toml [scheduling] strategy = {shown(asked.strategy)}"
    strategies = ("standard", "spot", "flex_start")
    if asked.strategy not in strategies:
        guess = nearest(asked.strategy, strategies) or "standard"
        return [UserError(where, f"one of {', '.join(strategies)}", f"write {guess}")]
    if asked.strategy == "spot":
        return [reservation_zone_finding(job), spot_finding(tier.values(), where)]
    flex = flex_findings(job, where) if asked.strategy == "flex_start" else []
    return [*flex, reservation_zone_finding(job)]


def spot_finding(pools: Iterable[Pool], where: str) -> UserError | None:
    if not any(
        pool.tpu_topology not in ("", "1x1", "2x2") and pool.machine.endswith("-4t")
        for pool in pools
    ):
        return None
    return UserError(f"{where}: with a TPU pod", "a TPU of one host", 'write strategy = "standard"')


def reservation_zone_finding(job: Job) -> UserError | None:
    reservation, region = job.scheduling.reservation, job.cloud.region
    zone = reservation.partition("/zones/")[2].partition("/")[0]
    if not zone or zone.startswith(f"{region}-"):
        return None
    return UserError(
        f"job.toml [scheduling] reservation is in {zone}",
        f"a zone of the job's region {region}",
        "change region (and bucket), or name another reservation",
    )


def flex_findings(job: Job, where: str) -> list[UserError | None]:
    pools = list(job.tier().values())
    taken = google_cloud()["flex_start_accelerators"]
    findings: list[UserError | None] = []
    if any(accelerator_of(pool) not in taken for pool in pools):
        other = "write standard, or choose a tier with one of them"
        findings.append(
            UserError(
                f"{where}: {job.cloud.scale_tier} has none of its accelerators",
                f"one of {', '.join(taken)}",
                other,
            )
        )
    machines = {(pool.machine, pool.accelerator, pool.accelerator_count) for pool in pools}
    if len(machines) > 1:
        findings.append(
            UserError(
                f"{where}: the pools have different machines",
                "the same in every pool",
                "make them equal",
            )
        )
    if job.scheduling.reservation:
        findings.append(
            UserError(f"{where}: with a reservation", "one of the two", 'write reservation = ""')
        )
    return findings


def listed(names: Iterable[str], most: int = MOST_SUGGESTED) -> str:
    """Return names for a message, not more than it can bear."""
    all_of_them: Sequence[str] = list(names)
    rest = f" and {len(all_of_them) - most} more" if len(all_of_them) > most else ""
    return ", ".join(all_of_them[:most]) + rest
