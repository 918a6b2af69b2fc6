"""The position of this process among the replicas of a job, from TF_CONFIG. Imports no TensorFlow.

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
class ClusterPosition:
    """The index of this process among those that train, and its role."""

    index: int = 0
    count: int = 1
    is_chief: bool = True
    is_evaluator: bool = False


def cluster_position(environment: Mapping[str, str]) -> ClusterPosition:
    """Return the position of this process, the only one without TF_CONFIG; raise `UserError` if that cannot be read."""
    text = environment.get("TF_CONFIG", "")
    if not text:
        return ClusterPosition()
    cluster, task = parts_of_config(text)
    if cluster.get("ps"):
        raise UserError(
            f"TF_CONFIG names {len(cluster['ps'])} parameter servers",
            "a chief and workers: training is by all-reduce, which has no use for parameter servers",
            "remove the pool parameter_server from the scale tier in job.toml",
        )
    if task.get("type") == "evaluator":
        return ClusterPosition(is_chief=False, is_evaluator=True)
    hosts = [
        (kind, index) for kind in TRAINING_TYPES for index in range(len(cluster.get(kind, [])))
    ]
    here = (task.get("type"), task.get("index", 0))
    if here not in hosts:
        raise unreadable(f"its task {shown(task)} is not in its cluster", text)
    # Without a chief the first worker takes its role.
    return ClusterPosition(hosts.index(here), len(hosts), hosts.index(here) == 0)


def parts_of_config(text: str) -> tuple[dict[str, list[str]], dict[str, Any]]:
    try:
        config = json.loads(text)
        cluster, task = config.get("cluster") or {}, config.get("task") or {}
    except (ValueError, AttributeError) as error:
        raise unreadable(str(error), text) from error
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise unreadable("cluster and task are not objects", text)
    for kind, hosts in cluster.items():
        if not isinstance(hosts, list):
            raise unreadable(f"the addresses of {shown(kind)} are not a list", text)
    # A job of one replica may leave both out.
    return cluster or {"chief": [""]}, task or {"type": "chief", "index": 0}


def unreadable(problem: str, text: str) -> UserError:
    return UserError(
        f"TF_CONFIG cannot be read ({problem}): {shown(text)}",
        "JSON with cluster and task, as the service sets it",
        "do not set TF_CONFIG yourself; without it one replica trains",
    )
