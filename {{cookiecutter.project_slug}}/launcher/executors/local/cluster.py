"""The replicas of a CustomJob, and the variables from which each knows its task. Pure.

Sources: https://cloud.google.com/vertex-ai/docs/training/distributed-training and
https://cloud.google.com/vertex-ai/docs/training/code-requirements
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launcher.contract import CLUSTER_VARIABLE, OUTPUT_VARIABLES, TRIAL_VARIABLE
from launcher.spec.custom_job import RUN_LABEL, variables_of

POOL_NAMES = ("workerpool0", "workerpool1", "workerpool2", "workerpool3")
TASK_TYPES = ("chief", "worker", "ps", "evaluator")
LARGEST_LOCAL_CLUSTER = 5
WORKERS_OF_A_SHRUNK_CLUSTER = 2
PROJECT_NUMBER = "123456789012"

Addresses = Mapping[int, Sequence[str]]
"""host:port of each replica by pool."""


@dataclass(frozen=True)
class Replica:
    """One process of a job: the pool it belongs to, by position, and its index there."""

    pool: int
    index: int

    @property
    def name(self) -> str:
        """Its name in messages, such as `worker 2`."""
        task = TASK_TYPES[self.pool]
        return task if task == "chief" else f"{task} {self.index}"


def pools_of(custom_job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the worker pools of a job by position; unused ones are empty."""
    return list(custom_job["jobSpec"]["workerPoolSpecs"])


def replica_count(pool: Mapping[str, Any]) -> int:
    return int(pool.get("replicaCount", 1)) if pool else 0


def replicas_of(custom_job: Mapping[str, Any]) -> list[Replica]:
    """Return every replica, the primary first."""
    return [
        Replica(position, index)
        for position, pool in enumerate(pools_of(custom_job))
        for index in range(replica_count(pool))
    ]


def shrunk(custom_job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the job with few enough replicas for one machine, in the same shape: a chief and workers."""
    if len(replicas_of(custom_job)) <= LARGEST_LOCAL_CLUSTER:
        return dict(custom_job)
    most = WORKERS_OF_A_SHRUNK_CLUSTER
    pools = [
        pool and {**pool, "replicaCount": str(min(replica_count(pool), most))}
        for pool in pools_of(custom_job)
    ]
    return {**custom_job, "jobSpec": {**custom_job["jobSpec"], "workerPoolSpecs": pools}}


def variables_for(
    custom_job: Mapping[str, Any], replica: Replica, addresses: Addresses
) -> dict[str, str]:
    """Return what the service sets for a replica, and what the job itself sets.

    TF_CONFIG is there only if the job has several replicas, and never lists an evaluator.
    """
    base = custom_job["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"].rstrip("/")
    variables = {name: f"{base}/{folder}/" for name, folder in OUTPUT_VARIABLES.items()}
    variables["CLOUD_ML_PROJECT_ID"] = PROJECT_NUMBER
    variables["CLOUD_ML_JOB_ID"] = custom_job["labels"][RUN_LABEL]
    spec = cluster_spec(custom_job, replica, addresses, POOL_NAMES)
    variables["CLUSTER_SPEC"] = json.dumps(spec)
    if sum(map(len, addresses.values())) > 1:
        spec = cluster_spec(custom_job, replica, addresses, TASK_TYPES)
        spec["cluster"].pop("evaluator", None)
        variables[CLUSTER_VARIABLE] = json.dumps(spec)
    return {**variables, **variables_of(pools_of(custom_job)[replica.pool])}


def cluster_spec(
    custom_job: Mapping[str, Any], replica: Replica, addresses: Addresses, names: Sequence[str]
) -> dict[str, Any]:
    """Return the content of CLUSTER_SPEC or TF_CONFIG, with `names` for the pools."""
    task: dict[str, Any] = {"type": names[replica.pool], "index": replica.index}
    if trial := variables_of(pools_of(custom_job)[0]).get(TRIAL_VARIABLE):
        task["trial"] = trial
    cluster = {names[pool]: list(hosts) for pool, hosts in addresses.items()}
    job = custom_job["jobSpec"]
    return {"cluster": cluster, "environment": "cloud", "task": task, "job": job}
