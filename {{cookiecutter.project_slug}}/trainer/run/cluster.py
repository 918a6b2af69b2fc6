"""The place of this process among the replicas of a job, as TF_CONFIG tells it. Imports no TensorFlow.

Source: https://cloud.google.com/vertex-ai/docs/training/distributed-training
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainer.run.errors import UserError, shown

CHIEF_TYPES = ("chief", "master")
TRAINING_TYPES = (*CHIEF_TYPES, "worker")


@dataclass(frozen=True)
class Place:
    """Which of the processes that train this one is."""

    index: int = 0
    count: int = 1
    is_chief: bool = True
    is_evaluator: bool = False


def place_of(environment: Mapping[str, str]) -> Place:
    """Return the place of this process; without TF_CONFIG it is alone. Raises `UserError` if it cannot be read."""
    text = environment.get("TF_CONFIG", "")
    if not text:
        return Place()
    cluster, task = parts_of_config(text)
    if cluster.get("ps"):
        raise UserError(
            f"TF_CONFIG names {len(cluster['ps'])} parameter servers",
            "a chief and workers: training is by all-reduce, which has no use for parameter servers",
            "remove the pool parameter_server from the scale tier in job.toml",
        )
    if task.get("type") == "evaluator":
        return Place(is_chief=False, is_evaluator=True)
    hosts = [
        (kind, index) for kind in TRAINING_TYPES for index in range(len(cluster.get(kind, [])))
    ]
    here = (task.get("type"), task.get("index", 0))
    if here not in hosts:
        raise unreadable(f"its task {shown(task)} is none of its cluster", text)
    # Without a chief the first worker is it.
    return Place(hosts.index(here), len(hosts), hosts.index(here) == 0)


def require_chief(environment: Mapping[str, str]) -> None:
    """Raise `UserError` unless this process is the chief: what all replicas write to the same outputs is spoilt."""
    place = place_of(environment)
    if not place.is_chief:
        raise UserError(
            f"replica {place.index} of {place.count}, which is not the chief, is about to write the model",
            "the chief alone to write, because all replicas have the same outputs",
            "export where `replicas.place.is_chief` holds, as in trainer/model.py",
        )


def parts_of_config(text: str) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Return cluster and task of TF_CONFIG."""
    try:
        config = json.loads(text)
        cluster, task = config.get("cluster") or {}, config.get("task") or {}
    except (ValueError, AttributeError) as error:
        raise unreadable(str(error), text) from error
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise unreadable("cluster and task are no objects", text)
    for kind, hosts in cluster.items():
        if not isinstance(hosts, list):
            raise unreadable(f"the addresses of {shown(kind)} are no list", text)
    # A job of one replica may say so, or say nothing.
    return cluster or {"chief": [""]}, task or {"type": "chief", "index": 0}


def unreadable(problem: str, text: str) -> UserError:
    """Return the error for a TF_CONFIG that cannot be read."""
    return UserError(
        f"TF_CONFIG cannot be read ({problem}): {shown(text)}",
        "JSON with cluster and task, as the service sets it",
        "do not set TF_CONFIG yourself; without it one replica trains",
    )
