"""What Google Cloud offers, from google_cloud.json: the tables of regions, machines, tiers and images."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POOL_NAMES = ("chief", "worker", "parameter_server", "evaluator")
"""The worker pools of a job by position.

Source: https://cloud.google.com/vertex-ai/docs/training/distributed-training
"""


@dataclass(frozen=True)
class Pool:
    """The replicas of one worker pool and the machine of each."""

    machine: str
    replicas: int = 1
    accelerator: str = ""
    accelerator_count: int = 0
    tpu_topology: str = ""


Tier = Mapping[str, Pool]
"""Pools by name, in the order of `POOL_NAMES`."""


@functools.lru_cache(maxsize=1)
def google_cloud() -> Mapping[str, Any]:
    """Return the tables of google_cloud.json; `sources` has the address and date of each."""
    path = Path(__file__).with_name("google_cloud.json")
    facts: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return facts


def offered_tiers() -> dict[str, Tier]:
    """Return the tiers of google_cloud.json; CUSTOM has no pools there."""
    return {
        name: {pool: Pool(**values) for pool, values in tier["pools"].items()}
        for name, tier in google_cloud()["tiers"].items()
    }


def training_regions() -> list[str]:
    return [*google_cloud()["regions"], *google_cloud()["regions_of_gcloud"]]


def machine_table(name: str) -> dict[str, tuple[str, Any]]:
    """Return, by machine, the accelerator that it implies, and its GPUs' count or its TPU's topologies."""
    tables = google_cloud()[name].items()
    return {machine: (each, value) for each, table in tables for machine, value in table.items()}


def accelerator_of(pool: Pool) -> str:
    """Return the accelerator of a pool, a TPU by its machine; "" if it has none."""
    return machine_table("tpu_machines").get(pool.machine, (pool.accelerator,))[0]


def kind_of(tier: Tier) -> str:
    """Return `tpu`, `gpu` or `cpu`: what the package's machines compute with."""
    accelerators = [accelerator_of(pool) for pool in tier.values()]
    if any(name.startswith("TPU") for name in accelerators):
        return "tpu"
    return "gpu" if any(accelerators) else "cpu"
