"""Our input alone, streamed from prepared shards in shuffled batches: run inside a baked project."""

import argparse
import json
import time
from pathlib import Path

import numpy as np


def peak_mb() -> float:
    """Return the largest memory of this process; that of getrusage includes the program that started it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) / 1024


def main() -> None:
    """Read all rows once, in batches, and print how long it took and how much memory."""
    from trainer import features
    from trainer.data.schema import read_schema
    from trainer.data.shards import Split

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--memory-mb", type=int, required=True)
    parser.add_argument("--batch-size", type=int, default=1024)
    given = parser.parse_args()
    imports_mb, started = peak_mb(), time.perf_counter()
    split = Split(given.data / "train", read_schema(features), given.memory_mb)
    generator, rows = np.random.default_rng(1), 0
    for window in split.windows(split.plan([1])):
        order = generator.permutation(window.rows)
        for begin in range(0, window.rows, given.batch_size):
            chosen = order[begin : begin + given.batch_size]
            batch = (window.numbers[chosen], window.codes[chosen], window.labels[chosen])
            rows += len(batch[2])
    seconds = time.perf_counter() - started
    memory = {"peak_mb": peak_mb(), "input_mb": peak_mb() - imports_mb}
    print(json.dumps({"rows": rows, "seconds": seconds, **memory, "fits": split.fits}))


if __name__ == "__main__":
    main()
