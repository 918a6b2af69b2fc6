"""What a job has left in the bucket: its metrics as text, and its model, which is brought to this machine."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from launcher.console import Console, UserError
from launcher.contract import CONFIG, METRICS
from launcher.executors.vertex import storage
from launcher.executors.vertex.jobs import SUCCEEDED, CloudJob

FETCHED = ("model/", CONFIG, METRICS)
MEASURES_OF_SPEED = {"rows_per_second", "wall_seconds"}


def metrics_texts(client: Any, jobs: Sequence[CloudJob], console: Console) -> list[str]:
    """Return the metrics of each job, "" for one that has left none; warn, once, if some cannot be read."""
    refusals: list[UserError] = []

    def text_of(job: CloudJob) -> str:
        try:
            return metrics_text(client, job)
        except UserError as error:
            refusals.append(error)
            return ""

    with ThreadPoolExecutor(storage.PARALLEL_REQUESTS) as pool:
        texts = list(pool.map(text_of, jobs))
    for refusal in refusals[:1]:
        console.warning(refusal)
    return texts


def metrics_text(client: Any, job: CloudJob) -> str:
    wanted = job.output and job.state == SUCCEEDED and not job.trials
    content = storage.read_bytes(client, f"{job.output}/{METRICS}") if wanted else None
    try:
        metrics = dict(json.loads(content or b"{}"))
    except (ValueError, TypeError):
        return ""
    numbers = {n: each for n, each in metrics.items() if isinstance(each, float)}
    return ", ".join(f"{n} {numbers[n]:.4f}" for n in numbers if n not in MEASURES_OF_SPEED)


def fetch(client: Any, job: CloudJob, folder: Path, console: Console) -> None:
    """Download model, configuration and metrics of a job into a folder; raise `UserError` if it has not finished.

    The metrics come last: their presence means that a run is complete.
    """
    remote = storage.list_objects(client, job.output) if job.output else {}
    if METRICS not in remote:
        raise UserError(
            f"job {job.id} ({job.state.lower()}) has left no {METRICS} in {job.output or 'any bucket'}",
            "a job that has succeeded",
            "find one with nox -s submit -- --list",
        )
    wanted = [name for name in remote if name.startswith(FETCHED) and ".." not in name.split("/")]
    wanted = [name for name in wanted if not name.endswith("/")]
    with console.transfer("fetch", sum(remote[name].size for name in wanted)) as advance:
        for name in sorted(wanted, key=FETCHED[-1].__eq__):
            storage.download(remote[name], folder / name)
            advance(remote[name].size)
