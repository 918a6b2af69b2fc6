"""Our input alone, streamed from prepared shards in shuffled batches: run inside a baked project."""

import argparse
import itertools
import json
import time
from pathlib import Path

MUCH_MEMORY_MB = 1 << 20


def peak_mb() -> float:
    """Return the largest memory of this process; that of getrusage includes the program that started it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) / 1024


def main() -> None:
    """Read all rows once, in batches, and print how long it took and how much memory."""
    from trainer import features
    from trainer.data.schema import read_schema
    from trainer.data.shards import Split, batches_of

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--memory-mb", type=int, required=True)
    parser.add_argument("--batch-size", type=int, default=1024)
    given = parser.parse_args()
    imports_mb, started = peak_mb(), time.perf_counter()
    folder, schema, rows = given.data / "train", read_schema(features), 0
    groups = Split(folder, schema, MUCH_MEMORY_MB).largest_window(given.memory_mb, processes=1)
    split = Split(folder, schema, given.memory_mb, groups)
    plan = split.plan([1])
    for number, (parts, window) in enumerate(zip(plan, split.windows(plan), strict=True)):
        sizes, count = [part.rows for part in parts], -(-window.rows // given.batch_size)
        order, cuts, _ = batches_of(sizes, range(len(sizes)), count, [1, 0, number])
        for begin, end in itertools.pairwise(cuts):
            chosen = order[begin:end]
            batch = (window.numbers[chosen], window.codes[chosen], window.labels[chosen])
            rows += len(batch[2])
    seconds = time.perf_counter() - started
    memory = {"peak_mb": peak_mb(), "input_mb": peak_mb() - imports_mb}
    print(json.dumps({"rows": rows, "seconds": seconds, **memory, "fits": split.fits}))


if __name__ == "__main__":
    main()
