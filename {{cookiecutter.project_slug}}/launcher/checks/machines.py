"""Region, machines, accelerators and scheduling of a job, compared with what google_cloud.json lists.

Sources: the entries of `sources` in google_cloud.json.
"""

from collections.abc import Collection, Iterator, Mapping

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

MOST_SUGGESTED = 8
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
        expected, fix = "an accelerator that is offered", f"write {fact['instead']}"
        yield f"{ended} has ended ({fact['ended']})", expected, fix
        return
    gpus, tpus = machine_table("gpu_machines"), machine_table("tpu_machines")
    accepted = [*google_cloud()["cpu_machines"], *gpus, *tpus]
    if pool.machine not in accepted:
        what = f"training does not accept the machine {shown(pool.machine)}"
        expected = f"one of the {len(accepted)} machine types that it does"
        guess = nearest(pool.machine, accepted) or "n1-standard-4, for example"
        yield what, expected, f"write {guess}"
    yield from accelerator_problems(pool, gpus)
    accelerator = accelerator_of(pool)
    offered = google_cloud()["accelerator_regions"].get(accelerator, [region])
    if region and region not in offered:
        what = f"{region} does not offer {accelerator} for training"
        yield what, f"one of {', '.join(offered)}", "change region (and bucket), or the scale tier"
    _, shapes = tpus.get(pool.machine, ("", []))
    if pool.tpu_topology not in (shapes or [""]):
        expected = f"one of {', '.join(shapes)}" if shapes else "no topology: it has no TPU"
        fix = f'write tpu_topology = "{shapes[0]}"' if shapes else "remove tpu_topology"
        yield f"{pool.machine} with tpu_topology {shown(pool.tpu_topology)}", expected, fix
    if pool.replicas < 1:
        yield f"replicas is {pool.replicas}", "1 or more", "correct it, or remove the pool"


def ended_name(accelerator: str) -> str:
    """Return the accelerator that has ended and goes by this name, in gcloud's spelling or with its maker left out."""
    folded = accelerator.upper().replace("-", "_")
    names = google_cloud()["ended_accelerators"]
    return next((name for name in names if folded and name.endswith(folded)), "")


def accelerator_problems(pool: Pool, implied: Mapping[str, tuple[str, int]]) -> Iterator[Problem]:
    machine, name, count = pool.machine, pool.accelerator, pool.accelerator_count
    own = implied.get(machine, (name, count))
    known = google_cloud()["n1_gpu_counts"] | google_cloud()["gpu_machines"]
    if own != (name, count):
        what = f"{machine} with {count} x {name or 'no accelerator'}"
        expected = f"{own[1]} x {own[0]}, which this machine has"
        yield what, expected, f'write accelerator = "{own[0]}" and accelerator_count = {own[1]}'
    elif machine in implied or not (name or count):
        return
    elif not name:
        what = f"accelerator_count is {count} without an accelerator"
        yield what, "both or neither", "name the accelerator, or remove the count"
    elif name not in known:
        yield unknown_accelerator(name, known)
    elif machine not in known[name]:
        first, *_ = machines = [*known[name]]
        expected = f"one of {len(machines)}, such as {', '.join(machines[:MOST_SUGGESTED])}"
        yield f"{machine} does not take {name}", expected, f'write machine = "{first}"'
    elif count not in (counts := known[name][machine]):
        expected, fix = " or ".join(map(str, counts)), f"write accelerator_count = {counts[0]}"
        yield f"{machine} does not take {count} x {name}", f"{expected} of them", fix


def unknown_accelerator(name: str, known: Collection[str]) -> Problem:
    if name.upper().startswith("TPU"):
        what = f"{name} cannot be attached to a machine"
        expected = f"a machine that has TPUs: {', '.join(machine_table('tpu_machines'))}"
        return what, expected, "take the scale tier BASIC_TPU as an example"
    guess = nearest(name if name[:2].upper() == "NV" else f"NVIDIA_{name}", known)
    what = f"there is no accelerator {shown(name)}"
    return what, f"one of {', '.join(known)}", f"write {guess}" if guess else "correct the name"


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
        what = "it has parameter servers"
        expected = "a chief and workers, because the trainer works by all-reduce, which has no use for them"
        yield what, expected, "remove the pool, and give its machines to worker"


def strategy_findings(job: Job) -> list[UserError]:
    """Return what is wrong with how the job asks for its machines.

    Sources: https://cloud.google.com/vertex-ai/docs/training/schedule-jobs-dws,
    https://cloud.google.com/vertex-ai/docs/training/use-spot-vms and
    https://cloud.google.com/vertex-ai/docs/training/use-reservations
    """
    strategy = job.scheduling.strategy
    where = f"job.toml [scheduling] strategy = {shown(strategy)}"
    if strategy not in STRATEGIES:
        guess = nearest(strategy, STRATEGIES) or "standard"
        return [UserError(where, f"one of {', '.join(STRATEGIES)}", f"write {guess}")]
    findings = findings_at(f"{where}: ", strategy_problems(job))
    zone = job.scheduling.reservation.partition("/zones/")[2].partition("/")[0]
    if zone and not zone.startswith(f"{job.cloud.region}-"):
        what, expected = f"job.toml [scheduling] reservation is in {zone}", job.cloud.region
        fix = "change region (and bucket), or name another reservation"
        findings.append(UserError(what, f"a zone of the job's region {expected}", fix))
    return findings


def strategy_problems(job: Job) -> Iterator[Problem]:
    pools, taken = job.tier().values(), google_cloud()["flex_start_accelerators"]
    strategy = job.scheduling.strategy
    large = [pool for pool in pools if pool.tpu_topology not in ("", "1x1", "2x2")]
    if strategy == "spot" and any(pool.machine.endswith("-4t") for pool in large):
        yield "with a TPU pod", "a TPU of one host", 'write strategy = "standard"'
    if strategy != "flex_start":
        return
    if any(accelerator_of(pool) not in taken for pool in pools):
        what = f"{job.cloud.scale_tier} has none of its accelerators"
        expected = f"one of {', '.join(taken)}"
        yield what, expected, "write standard, or choose a tier with one of them"
    if len({(pool.machine, pool.accelerator, pool.accelerator_count) for pool in pools}) > 1:
        yield "the pools have different machines", "the same in every pool", "make them equal"
    if job.scheduling.reservation:
        yield "with a reservation", "one of the two", 'write reservation = ""'
