"""Our training step on one replica or on several of this machine: run inside a baked project.

Started without --index, it starts each replica as the service would, with TF_CONFIG, and prints what the
first of them prints.
"""

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WARM_UP_STEPS, PASSES = 8, 3
POLL_SECONDS = 0.1


def trainer_of(given: argparse.Namespace) -> tuple[Any, Any]:
    """Return the trainer's trainer on its own network, and its part of the training split."""
    from trainer import features
    from trainer.data.schema import read_schema
    from trainer.data.shards import Split
    from trainer.data.statistics import read_statistics
    from trainer.run.cluster import cluster_position
    from trainer.settings import Settings
    from trainer.training.tensorflow_setup import start_tensorflow

    schema = read_schema(features)
    facts = read_statistics(given.data, schema)
    settings = Settings(batch_size=given.batch_size, epochs=1, ensemble=1)
    settings = settings.for_rows(facts.rows["train"], schema.task)
    replicas = start_tensorflow(settings.seed, cluster_position(os.environ))
    from trainer.model import Model, build_optimizer
    from trainer.training.train_step import Trainer

    split = Split(given.data / "train", schema, settings.memory_mb, None, replicas.position)
    with replicas.strategy.scope():
        model = Model(schema, facts, settings)
        steps = PASSES * split.rows // given.batch_size
        optimizer = build_optimizer(model.network, settings, split.rows, steps)
    return Trainer(model, optimizer, settings, replicas), split


def measure(given: argparse.Namespace) -> None:
    """Take steps, and print the seconds of one: the median over passes through the rows."""
    trainer, split = trainer_of(given)
    import tensorflow as tf
    from trainer.data.shards import Batches, batches_of

    sizes, steps = [group.rows for group in split.groups], max(1, split.rows // given.batch_size)
    tensors, seconds = trainer.tensors(split.all_rows()), []
    for number in range(PASSES + 1):
        found = batches_of(sizes, split.own(split.groups), steps, [1, number])
        batches = Batches(*map(tf.constant, found))
        if not number:
            trainer.train_steps(tensors, batches, 0, min(WARM_UP_STEPS, steps))
            continue
        started = time.perf_counter()
        trainer.train_steps(tensors, batches, 0, steps)
        seconds.append((time.perf_counter() - started) / steps)
    print(json.dumps({"step_seconds": statistics.median(seconds), "steps": steps}), flush=True)


def start_all(count: int) -> int:
    """Start the replicas and wait for them; return an exit code, that of the first one that fails."""
    import trainer

    addresses = free_addresses(count)
    children = []
    for index in range(count):
        variables = {**os.environ, "PYTHONPATH": str(Path(trainer.__file__).parent.parent)}
        if count > 1:
            variables["TF_CONFIG"] = tf_config(addresses, index)
        output = None if index == 0 else subprocess.DEVNULL
        command = [sys.executable, __file__, *sys.argv[1:], "--index", str(index)]
        children.append(subprocess.Popen(command, env=variables, stdout=output))
    return first_failure(children)


def first_failure(children: Sequence["subprocess.Popen[bytes]"]) -> int:
    """Wait until all have ended well or one has not, and end the others; return its exit code."""
    while any(child.poll() is None for child in children):
        if any(child.returncode for child in children):
            for child in children:
                child.kill()
        time.sleep(POLL_SECONDS)
    return next((child.returncode for child in children if child.returncode), 0)


def free_addresses(count: int) -> list[str]:
    """Return addresses of this machine that nothing listens on."""
    with contextlib.ExitStack() as held:
        listeners = [held.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]


def tf_config(addresses: Sequence[str], index: int) -> str:
    """Return TF_CONFIG of one replica: the first is the chief, the others are workers."""
    cluster = {"chief": addresses[:1], "worker": addresses[1:]}
    task = {"type": "worker" if index else "chief", "index": max(0, index - 1)}
    return json.dumps({"cluster": cluster, "task": task})


def main() -> None:
    """Be a replica, or start all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=8_192)
    parser.add_argument("--index", type=int, help="which replica this is")
    given = parser.parse_args()
    if given.index is None:
        sys.exit(start_all(given.replicas))
    measure(given)


if __name__ == "__main__":
    main()
