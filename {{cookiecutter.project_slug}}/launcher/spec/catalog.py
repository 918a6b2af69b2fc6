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
    """Return every region that offers training."""
    return [*google_cloud()["regions"], *google_cloud()["regions_of_gcloud"]]


def accelerator_of(pool: Pool) -> str:
    """Return the accelerator of a pool, a TPU by its machine; "" if it has none."""
    tpus = google_cloud()["tpu_machines"]
    return next((name for name in tpus if pool.machine in tpus[name]), pool.accelerator)


def kind_of(tier: Tier) -> str:
    """Return `tpu`, `gpu` or `cpu`: what the package's machines compute with."""
    accelerators = [accelerator_of(pool) for pool in tier.values()]
    if any(name.startswith("TPU") for name in accelerators):
        return "tpu"
    return "gpu" if any(accelerators) else "cpu"
