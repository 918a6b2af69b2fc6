"""Two replicas on one machine against one process, at the same global batch size; from their step, a simulation of many machines."""

from dataclasses import dataclass

import numpy as np

from benchmarks.measure import alternate, run, spread
from benchmarks.targets import Row, inside, reported
from benchmarks.workbench import RUNTIME, SCRIPTS, Workbench

MOST_OVERHEAD = 0.25
BATCH_SIZE = 8_192
# A terabyte of CSV in shards, and what reading a row costs beside its transfer: P3, 2.2 million rows per second.
TERABYTE_ROWS, SHARD_BYTES_PER_ROW, GROUP_ROWS = 9_000_000_000, 11, 1 << 14
INPUT_SECONDS_PER_ROW, GRADIENT_BYTES = 1 / 2_200_000, 177_000
# Assumed, not measured: a bucket for each machine, 10 Gbit/s between machines, the mean delay of a step or a read by chance.
BUCKET_BYTES_PER_SECOND, NETWORK_BYTES_PER_SECOND, HOP_SECONDS, DELAY = 100e6, 1.25e9, 50e-6, 0.1
WINDOWS = 10


@dataclass(frozen=True)
class Epoch:
    """A simulated epoch: `waiting` is the share of its time in which a window is not there yet."""

    hours: float
    waiting: float
    terabytes_read: float


def all_reduce_seconds(replicas: int) -> float:
    """Return the seconds of a ring, in which each replica sends twice nearly the whole of the gradients in small parts."""
    hops = 2 * (replicas - 1)
    return hops * (HOP_SECONDS + GRADIENT_BYTES / replicas / NETWORK_BYTES_PER_SECOND)


def owned(groups: int, replicas: int, read_all: bool = False) -> np.ndarray:
    """Return how many row groups of a window each replica reads."""
    ends = -(-groups * np.arange(replicas + 1) // replicas)
    return np.full(replicas, groups) if read_all else np.diff(ends)


def epoch(
    replicas: int, row_seconds: float, batch_size: int, groups: int, read_all: bool = False
) -> Epoch:
    """Simulate some windows of `groups` row groups, the next one read while one is trained on, and scale them to a terabyte."""
    random, rows = np.random.default_rng(1), groups * GROUP_ROWS
    row_read = SHARD_BYTES_PER_ROW / BUCKET_BYTES_PER_SECOND + INPUT_SECONDS_PER_ROW
    reading = owned(groups, replicas, read_all) * GROUP_ROWS * row_read
    computing = owned(groups, replicas) / groups * batch_size * row_seconds
    size, ended, waited = (-(-rows // batch_size), replicas), 0.0, 0.0
    for _ in range(WINDOWS):
        # Each began to read this one when the one before began.
        training = (computing * (1 + random.exponential(DELAY, size))).max(axis=1)
        seconds = training.sum() + size[0] * all_reduce_seconds(replicas)
        late = (reading * (1 + random.exponential(DELAY, replicas))).max() - seconds
        waited += max(late, 0.0)
        ended += seconds + max(late, 0.0)
    reads = replicas if read_all else 1
    shards = TERABYTE_ROWS * SHARD_BYTES_PER_ROW / 1e12
    hours = ended / WINDOWS * TERABYTE_ROWS / rows / 3600
    return Epoch(hours, waited / ended, shards * reads)


def simulated(row_seconds: float) -> list[Row]:
    """Return the hours of an epoch on a terabyte, with 4 row groups of a window per replica."""
    found = []
    for replicas, batch_size, read_all in (
        *((1, 8_192, False), (10, 8_192, False), (100, 8_192, False)),
        *((100, 65_536, False), (100, 65_536, True)),
    ):
        one = epoch(replicas, row_seconds, batch_size, max(4 * replicas, 107), read_all)
        how = f"batch {batch_size:,}{', each reads all' if read_all else ''}"
        name = f"simulated: {replicas} machines, {how}, {one.waiting:.0%} waiting, {one.terabytes_read:.1f} TB read"
        found.append(Row("P7", name, "h/epoch", spread([one.hours])))
    return found


def p7(bench: Workbench) -> list[Row]:
    """The step of two local replicas against that of one process, global batch size 8,192."""
    size = (200_000, 16_000) if bench.quick else (1_000_000, 200_000)
    table = bench.table(*size)
    script = [bench.ours(RUNTIME), SCRIPTS / "ours" / "replicas.py", "--data"]
    project = bench.baked(table)
    command = inside([*script, bench.prepared(table)], project)
    samples = alternate(
        {
            "one process": lambda: run([*command, "--replicas", 1], project),
            "two replicas": lambda: run([*command, "--replicas", 2], project),
        },
        bench.rounds,
    )
    one, two = (reported(taken, "step_seconds") for taken in samples.values())
    ratio = one.median / two.median
    return [
        Row("P7", "one process", "s/step", one),
        Row("P7", "two replicas", "s/step", two, ratio, 1 / (1 + MOST_OVERHEAD)),
        *simulated(one.median / BATCH_SIZE),
    ]
