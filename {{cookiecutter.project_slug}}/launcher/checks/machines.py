"""Region, machines, accelerators and scheduling of a job, compared with what google_cloud.json lists.

Sources: the entries of `sources` in google_cloud.json.
"""

from collections.abc import Collection, Iterator

from launcher.checks.problem import Problem, findings_at
from launcher.console import UserError, nearest, shown
from launcher.contract import TASK_MODULE
from launcher.spec.catalog import (
    Pool,
    Tier,
    accelerator_of,
    google_cloud,
    kind_of,
    machine_table,
    training_regions,
)
from launcher.spec.job_file import Job

MOST_SUGGESTED = 12
STRATEGIES = ("standard", "spot", "flex_start")


def machine_findings(job: Job) -> list[UserError]:
    unknown_region = region_finding(job.cloud.region)
    findings = [unknown_region] if unknown_region else []
    try:
        tier = job.tier()
    except UserError as error:
        return [*findings, error]
    where, region = f"scale tier {job.cloud.scale_tier}", "" if findings else job.cloud.region
    for name, pool in tier.items():
        findings += findings_at(f"{where}, {name}: ", pool_problems(pool, region))
    findings += findings_at(f"{where}: ", shape_problems(tier, job.cloud.module))
    return [*findings, *strategy_findings(job)]


def region_finding(region: str) -> UserError | None:
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


def pool_problems(pool: Pool, region: str) -> Iterator[Problem]:
    """Yield what is wrong with the machines of one pool; a region "" is not compared."""
    if ended := ended_name(pool.accelerator):
        fact = google_cloud()["ended_accelerators"][ended]
        expected = "an accelerator that is offered"
        yield f"{ended} has ended ({fact['ended']})", expected, f"write {fact['instead']}"
        return
    yield from machine_problems(pool.machine)
    yield from accelerator_problems(pool)
    accelerator = accelerator_of(pool)
    offered = google_cloud()["accelerator_regions"].get(accelerator, [region])
    if region and region not in offered:
        what = f"{region} does not offer {accelerator} for training"
        fix = "change region (and bucket), or the scale tier"
        yield what, f"one of {', '.join(offered)}", fix
    yield from topology_problems(pool)
    if pool.replicas < 1:
        yield f"replicas is {pool.replicas}", "1 or more", "correct it, or remove the pool"


def ended_name(accelerator: str) -> str:
    """Return the accelerator that has ended and goes by this name, in gcloud's spelling or with its maker left out."""
    folded = accelerator.upper().replace("-", "_")
    names = google_cloud()["ended_accelerators"]
    return next((name for name in names if folded and name.endswith(folded)), "")


def machine_problems(machine: str) -> Iterator[Problem]:
    implied = machine_table("gpu_machines") | machine_table("tpu_machines")
    accepted = [*google_cloud()["cpu_machines"], *implied]
    if machine not in accepted:
        yield (
            f"training does not accept the machine {shown(machine)}",
            f"one of the {len(accepted)} machine types that it does",
            f"write {nearest(machine, accepted) or 'n1-standard-4, for example'}",
        )


def accelerator_problems(pool: Pool) -> Iterator[Problem]:
    name, count, implied = pool.accelerator, pool.accelerator_count, machine_table("gpu_machines")
    own, own_count = implied.get(pool.machine, (name, count))
    if (own, own_count) != (name, count):
        yield (
            f"{pool.machine} with {count} x {name or 'no accelerator'}",
            f"{own_count} x {own}, which this machine has",
            f'write accelerator = "{own}" and accelerator_count = {own_count}',
        )
    elif count and not name:
        what = f"accelerator_count is {count} without an accelerator"
        yield what, "both or neither", "name the accelerator, or remove the count"
    elif name and pool.machine not in implied:
        yield from attached_problems(pool.machine, name, count)


def attached_problems(machine: str, name: str, count: int) -> Iterator[Problem]:
    known = google_cloud()["n1_gpu_counts"] | google_cloud()["gpu_machines"]
    if name not in known:
        yield unknown_accelerator(name, known)
    elif machine not in known[name]:
        first, *_ = machines = [*known[name]]
        rest = len(machines) - MOST_SUGGESTED
        expected = f"one of {', '.join(machines[:MOST_SUGGESTED])}"
        expected += f" and {rest} more" if rest > 0 else ""
        yield f"{machine} does not take {name}", expected, f'write machine = "{first}"'
    elif count not in (counts := known[name][machine]):
        expected, fix = " or ".join(map(str, counts)), f"write accelerator_count = {counts[0]}"
        yield f"{machine} does not take {count} x {name}", f"{expected} of them", fix


def unknown_accelerator(name: str, known: Collection[str]) -> Problem:
    if name.upper().startswith("TPU"):
        expected = f"a machine that has TPUs: {', '.join(machine_table('tpu_machines'))}"
        fix = "take the scale tier BASIC_TPU as an example"
        return f"{name} cannot be attached to a machine", expected, fix
    guess = nearest(name if name[:2].upper() == "NV" else f"NVIDIA_{name}", known)
    fix = f"write {guess}" if guess else "correct the name"
    return f"there is no accelerator {shown(name)}", f"one of {', '.join(known)}", fix


def topology_problems(pool: Pool) -> Iterator[Problem]:
    _, shapes = machine_table("tpu_machines").get(pool.machine, ("", []))
    if pool.tpu_topology not in (shapes or [""]):
        yield (
            f"{pool.machine} with tpu_topology {shown(pool.tpu_topology)}",
            f"one of {', '.join(shapes)}" if shapes else "no topology, because it has no TPU",
            f'write tpu_topology = "{shapes[0]}"' if shapes else "remove tpu_topology",
        )


def shape_problems(tier: Tier, module: str) -> Iterator[Problem]:
    """Yield which pools cannot be together in a tier, or cannot be so large."""
    replicas = {name: pool.replicas for name, pool in tier.items()}
    if kind_of(tier) == "tpu" and (len(tier) > 1 or replicas["chief"] > 1):
        expected = "one pool of one replica, because a TPU job is a single host"
        yield "a TPU with more pools or replicas", expected, "keep the chief alone"
        return
    if replicas["chief"] > 1:
        yield f"{replicas['chief']} chiefs", "one", "put the others into worker"
    if replicas.get("evaluator", 1) > 1:
        yield f"{replicas['evaluator']} evaluators", "at most one", "write replicas = 1"
    if "parameter_server" in tier and module == TASK_MODULE:
        yield (
            "it has parameter servers",
            "a chief and workers, because the trainer works by all-reduce, which has no use for them",
            "remove the pool, and give its machines to worker",
        )


def strategy_findings(job: Job) -> list[UserError]:
    """Return what is wrong with how the job asks for its machines.

    Sources: https://cloud.google.com/vertex-ai/docs/training/schedule-jobs-dws,
    https://cloud.google.com/vertex-ai/docs/training/use-spot-vms and
    https://cloud.google.com/vertex-ai/docs/training/use-reservations
    """
    strategy, tier = job.scheduling.strategy, job.tier()
    where = f"job.toml [scheduling] strategy = {shown(strategy)}"
    if strategy not in STRATEGIES:
        guess = nearest(strategy, STRATEGIES) or "standard"
        return [UserError(where, f"one of {', '.join(STRATEGIES)}", f"write {guess}")]
    problems = [*flex_start_problems(job)] if strategy == "flex_start" else []
    if strategy == "spot" and any(map(is_tpu_pod, tier.values())):
        problems.append(("with a TPU pod", "a TPU of one host", 'write strategy = "standard"'))
    return [*findings_at(f"{where}: ", problems), *reservation_findings(job)]


def is_tpu_pod(pool: Pool) -> bool:
    return pool.tpu_topology not in ("", "1x1", "2x2") and pool.machine.endswith("-4t")


def reservation_findings(job: Job) -> list[UserError]:
    zone = job.scheduling.reservation.partition("/zones/")[2].partition("/")[0]
    if not zone or zone.startswith(f"{job.cloud.region}-"):
        return []
    expected = f"a zone of the job's region {job.cloud.region}"
    fix = "change region (and bucket), or name another reservation"
    return [UserError(f"job.toml [scheduling] reservation is in {zone}", expected, fix)]


def flex_start_problems(job: Job) -> Iterator[Problem]:
    pools, taken = job.tier().values(), google_cloud()["flex_start_accelerators"]
    if any(accelerator_of(pool) not in taken for pool in pools):
        what = f"{job.cloud.scale_tier} has none of its accelerators"
        fix = "write standard, or choose a tier with one of them"
        yield what, f"one of {', '.join(taken)}", fix
    if len({(pool.machine, pool.accelerator, pool.accelerator_count) for pool in pools}) > 1:
        yield "the pools have different machines", "the same in every pool", "make them equal"
    if job.scheduling.reservation:
        yield "with a reservation", "one of the two", 'write reservation = ""'
