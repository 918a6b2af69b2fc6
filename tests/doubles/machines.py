"""Which machines, accelerators and topologies can be combined, by google_cloud.json."""

import datetime
import re
from collections.abc import Iterator

from tests.doubles.server import Json

Problems = Iterator[tuple[str, str]]


def machine_problems(machine: Json, region: str, catalog: Json, today: datetime.date) -> Problems:
    """Yield the problems of a machine in a region: pairs of a field and a message."""
    kind = machine.get("machineType", "")
    if tpu_of(kind, catalog):
        yield from tpu_problems(machine, region, catalog)
    elif not kind:
        yield "machine_spec.machine_type", "Required field is not set"
    elif kind not in known_machines(catalog):
        yield "machine_spec.machine_type", f"Machine type {kind} is not supported"
    else:
        yield from accelerator_problems(machine, region, catalog, today)


def known_machines(catalog: Json) -> set[str]:
    """Return every machine without a TPU."""
    built_in = {kind for machines in catalog["gpu_machines"].values() for kind in machines}
    return built_in | set(catalog["cpu_machines"])


def accelerator_problems(
    machine: Json, region: str, catalog: Json, today: datetime.date
) -> Problems:
    """Yield the problems of the GPUs of a machine that exists, or of their absence."""
    kind, gpu = machine["machineType"], machine.get("acceleratorType", "")
    count = machine.get("acceleratorCount", 0)
    where = "machine_spec.accelerator_type"
    ended = catalog["ended_accelerators"].get(gpu)
    if ended and ended["ended"] < today.isoformat():
        yield where, f"Accelerator {gpu} is no longer supported since {ended['ended']}"
    elif gpu:
        yield from gpu_problems(kind, gpu, count, region, catalog)
    elif count:
        yield where, "accelerator_count is set, accelerator_type is not"
    elif any(kind in machines for machines in catalog["gpu_machines"].values()):
        yield where, f"Machine type {kind} requires its accelerator to be specified"
    if machine.get("tpuTopology"):
        yield "machine_spec.tpu_topology", f"Machine type {kind} has no TPU"
    affinity = machine.get("reservationAffinity", {}).get("reservationAffinityType")
    if gpu == "NVIDIA_GB200" and affinity != "SPECIFIC_RESERVATION":
        yield "machine_spec.reservation_affinity", f"{gpu} requires a shared reservation"


def gpu_problems(kind: str, gpu: str, count: int, region: str, catalog: Json) -> Problems:
    """Yield the problems of a GPU: its region, its machine, its count."""
    where = "machine_spec.accelerator_type"
    regions = catalog["accelerator_regions"].get(gpu)
    if regions is None or gpu in catalog["tpu_machines"]:
        yield where, f"Accelerator {gpu} can't be asked for as accelerator_type"
        return
    if region not in regions:
        yield where, f"Accelerator {gpu} is not available for training in region {region}"
    counts = catalog["n1_gpu_counts"].get(gpu, {}).get(kind, [])
    built_in = catalog["gpu_machines"].get(gpu, {}).get(kind)
    counts = counts if built_in is None else [built_in]
    if not counts:
        yield where, f"Machine type {kind} does not support accelerator {gpu}"
    elif count not in counts:
        text = f"{count} of {gpu} do not go with {kind}; valid counts: {counts}"
        yield "machine_spec.accelerator_count", text


def tpu_of(kind: str, catalog: Json) -> str:
    """Return the TPU of a machine, "" if it has none."""
    return next((tpu for tpu, machines in catalog["tpu_machines"].items() if kind in machines), "")


def tpu_problems(machine: Json, region: str, catalog: Json) -> Problems:
    """Yield the problems of a TPU machine: it implies its accelerator, and needs a topology."""
    kind = machine["machineType"]
    tpu = tpu_of(kind, catalog)
    if machine.get("acceleratorType") or machine.get("acceleratorCount"):
        yield "machine_spec.accelerator_type", f"Machine type {kind} implies its accelerator"
    if region not in catalog["accelerator_regions"][tpu]:
        text = f"Machine type {kind} is not available for training in region {region}"
        yield "machine_spec.machine_type", text
    topologies = catalog["tpu_machines"][tpu][kind]
    if machine.get("tpuTopology") not in topologies:
        yield "machine_spec.tpu_topology", f"Valid topologies of {kind}: {', '.join(topologies)}"


def tpu_chips(kind: str) -> int:
    """Return the number of chips of a TPU host such as ct5lp-hightpu-4t; 0 for other machines."""
    match = re.fullmatch(r"(?:ct\w+-(?:hightpu|standard)|tpu\w+-standard)-(\d+)t", kind)
    return int(match[1]) if match else 0
