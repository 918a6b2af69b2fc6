"""A job that the double accepts, and one that violates each rule."""

import copy
from typing import Any

from tests.doubles.server import Json

BUCKET = "trained-models"
REGION = "us-central1"
GOOGLES = "us-docker.pkg.dev/vertex-ai/training/"


def make_job(**changes: Any) -> Json:
    """Return a valid job as REST JSON, with changes by path: `jobSpec__x__0=value`."""
    base = {"outputUriPrefix": f"gs://{BUCKET}/x"}
    spec = {"workerPoolSpecs": [pool()], "baseOutputDirectory": base}
    job: Json = {"displayName": "penguins", "labels": {"run": "r1"}, "jobSpec": spec}
    for path, value in changes.items():
        *parents, last = (int(part) if part.isdecimal() else part for part in path.split("__"))
        target: Any = job
        for part in parents:
            target = target[part] if isinstance(part, int) else target.setdefault(part, {})
        target[last] = copy.deepcopy(value)
    return job


def pool(machine: Json | None = None, replicas: int = 1, **started: Any) -> Json:
    program = {"imageUri": "tensorflow/tensorflow:2.21.0", "args": ["--steps", "2"], **started}
    spec = machine or {"machineType": "n1-standard-4"}
    return {"machineSpec": spec, "replicaCount": str(replicas), "containerSpec": program}


def env(**values: str) -> list[Json]:
    return [{"name": name, "value": value} for name, value in values.items()]


def gpu(machine: str, accelerator: str, count: int) -> Json:
    return {"machineType": machine, "acceleratorType": accelerator, "acceleratorCount": count}


def package(image: str, **changes: Any) -> Json:
    spec: Json = {"executorImageUri": GOOGLES + image, "pythonModule": "trainer.task"}
    spec["packageUris"] = [f"gs://{BUCKET}/p.tar.gz"]
    machine = {"machineType": "n1-standard-4"}
    return {"machineSpec": machine, "replicaCount": "1", "pythonPackageSpec": {**spec, **changes}}


def reserved(
    zone: str = f"{REGION}-a", key: str = "compute.googleapis.com/reservation-name"
) -> Json:
    affinity: Json = {"reservationAffinityType": "SPECIFIC_RESERVATION", "key": key}
    affinity["values"] = [f"projects/p/zones/{zone}/reservations/r"]
    return {**A100, "reservationAffinity": affinity}


def flex(machine: Json, *others: Json, timeout: str = "600s") -> Json:
    """Return the changes for a job that waits for the Dynamic Workload Scheduler."""
    scheduling = {"strategy": "FLEX_START", "timeout": timeout}
    pools = [pool(one) for one in (machine, *others)]
    return {"jobSpec__scheduling": scheduling, "jobSpec__workerPoolSpecs": pools}


CPU = {"machineType": "n1-standard-4"}
A100 = gpu("a2-highgpu-1g", "NVIDIA_TESLA_A100", 1)
L4 = gpu("g2-standard-4", "NVIDIA_L4", 1)
T4 = gpu("n1-standard-4", "NVIDIA_TESLA_T4", 1)
TPU = {"machineType": "ct5lp-hightpu-4t", "tpuTopology": "2x2"}
POOLS = "jobSpec__workerPoolSpecs"
POOL = f"{POOLS}__0"
MACHINE = f"{POOL}__machineSpec"
OUTPUT = "jobSpec__baseOutputDirectory__outputUriPrefix"

ACCEPTED: dict[str, Json] = {
    "chief and parameter servers": {POOLS: [pool(), {}, pool(replicas=3)]},
    "T4": {MACHINE: T4},
    "A100": {MACHINE: A100},
    "TPU": {MACHINE: TPU},
    "spot": {MACHINE: T4, "jobSpec__scheduling__strategy": "SPOT"},
    "spot TPU": {MACHINE: TPU, "jobSpec__scheduling__strategy": "SPOT"},
    "flex start": flex(L4, L4),
    "reservation": {MACHINE: reserved()},
    "executor image": {POOL: package("tf-cpu.2-99.py399:latest")},
    "output in another region": {OUTPUT: "gs://far-away/x/"},
}

REFUSED: dict[str, tuple[Json, str]] = {
    "no pools": ({POOLS: []}, "Between 1 and 4 worker pools"),
    "five pools": ({POOLS: [pool()] * 5}, "Between 1 and 4 worker pools"),
    "two chiefs": ({POOLS: [pool(replicas=2)]}, "exactly 1 replica"),
    "empty first pool": ({POOLS: [{}, pool()]}, "exactly 1 replica"),
    "no replicas": ({POOLS: [pool(), pool(replicas=0)]}, "at least 1"),
    "no program": ({POOL: {"machineSpec": CPU, "replicaCount": "1"}}, "must be set"),
    "no image": ({POOLS: [pool(imageUri="")]}, "image_uri"),
    "no machine": ({MACHINE: {}}, "machine_type"),
    "bad machine": ({MACHINE: {"machineType": "n1-highcpu-8"}}, "is not supported"),
    "count alone": ({MACHINE: {**CPU, "acceleratorCount": 1}}, "accelerator_type is not"),
    "bad count": ({MACHINE: {**T4, "acceleratorCount": 3}}, "valid counts"),
    "no count": ({MACHINE: {**T4, "acceleratorCount": 0}}, "valid counts"),
    "GPU without N1": ({MACHINE: {**T4, "machineType": "e2-standard-4"}}, "does not support"),
    "count not built in": ({MACHINE: {**A100, "acceleratorCount": 2}}, "valid counts"),
    "GPU not stated": ({MACHINE: {"machineType": "a2-highgpu-1g"}}, "to be specified"),
    "K80": ({MACHINE: gpu("n1-standard-4", "NVIDIA_TESLA_K80", 1)}, "no longer supported"),
    "GB200 unreserved": ({MACHINE: gpu("a4x-highgpu-4g", "NVIDIA_GB200", 4)}, "reservation"),
    "TPU beside N1": ({MACHINE: gpu("n1-standard-4", "TPU_V2", 8)}, "can't be asked for"),
    "topology": ({MACHINE: {**TPU, "tpuTopology": "3x3"}}, "Valid topologies"),
    "TPU with a count": ({MACHINE: {**TPU, "acceleratorCount": 4}}, "implies its accelerator"),
    "topology of a CPU": ({MACHINE: {**CPU, "tpuTopology": "2x2"}}, "has no TPU"),
    "TPU and CPU": ({POOLS: [pool(TPU), pool()]}, "one worker pool with one replica"),
    "spot pod": (
        {MACHINE: {**TPU, "tpuTopology": "4x4"}, "jobSpec__scheduling__strategy": "SPOT"},
        "TPU Pods",
    ),
    "flex start with T4": (flex(T4), "only for jobs with L4"),
    "flex start for long": (flex(L4, timeout="604801s"), "at most 7 days"),
    "flex start reserved": (flex(reserved()), "does not go with a reservation"),
    "flex start mixed": (flex(L4, A100), "same machines"),
    "wait without flex start": (
        {"jobSpec__scheduling": {"maxWaitDuration": "60s"}},
        "only for FLEX_START",
    ),
    "no time": ({"jobSpec__scheduling": {"timeout": "0s"}}, "must be positive"),
    "reservation elsewhere": ({MACHINE: reserved("us-east1-b")}, "with Z in us-central1"),
    "reservation by another key": ({MACHINE: reserved(key="name")}, "must be 'compute"),
    "key without reservation": (
        {MACHINE: {**CPU, "reservationAffinity": {"key": "name"}}},
        "only for SPECIFIC_RESERVATION",
    ),
    "reserved and persistent": (
        {MACHINE: reserved(), "jobSpec__persistentResourceId": "r"},
        "does not go with it",
    ),
    "disk type": ({f"{POOL}__diskSpec": {"bootDiskType": "floppy"}}, "disk type"),
    "disk size": ({f"{POOL}__diskSpec": {"bootDiskSizeGb": 10}}, "100 and 64000"),
    "no name": ({"displayName": ""}, "display name"),
    "long name": ({"displayName": "x" * 129}, "display name"),
    "capital in a label": ({"labels": {"Run": "x"}}, "Invalid label"),
    "dot in a label": ({"labels": {"run": "a.b"}}, "Invalid label"),
    "long label": ({"labels": {"run": "x" * 65}}, "Invalid label"),
    "many labels": ({"labels": {f"l{n}": "x" for n in range(65)}}, "No more than 64"),
    "many variables": (
        {POOLS: [pool(env=env(**{f"V{n}": "" for n in range(101)}))]},
        "at most 100",
    ),
    "long arguments": ({POOLS: [pool(args=["x" * 50_001])] * 2}, "100002 characters"),
    "no address": ({OUTPUT: "/gcs/x"}, "must begin with gs://"),
    "no bucket": ({OUTPUT: "gs://nobodys/x"}, "does not exist"),
    "multi-region": ({OUTPUT: "gs://everywhere"}, "must be regional"),
    "dual-region": ({OUTPUT: "gs://two-places/"}, "must be regional"),
    "ended image": ({POOL: package("tf-cpu.2-17.py310:latest")}, "since 2026-07-11"),
    "image of another tag": ({POOL: package("tf-cpu.2-17.py310:v1")}, "Image URI"),
    "no module": ({POOL: package("x", pythonModule="")}, "python_module"),
    "no package": ({POOL: package("x", packageUris=[])}, "Between 1 and 100 packages"),
    "no bucket of a package": (
        {POOL: package("x", packageUris=["gs://nobodys/p"])},
        "does not exist",
    ),
}
"""Changes to `make_job()`, and a part of the message."""
