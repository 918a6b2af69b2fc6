"""Trains the network of step.c on encoded arrays and reports rows per second.

python benchmarks/kernel/kernel.py --arrays FILE.npz --epochs 3 --build DIR
python benchmarks/kernel/kernel.py --check --build DIR

FILE.npz holds numbers (float32 [n, 6], standardised), codes (int32 [n, 8]), labels (int32 [n])
and counts (int32 [8], how many codes each column has). The last line printed is JSON.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import reference

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = Mapping[str, Array]

COLUMNS, NUMBERS, WIDTH = 8, 6, 8
SHAPES = ((COLUMNS * WIDTH + NUMBERS, 128), (128, 64), (64, 32), (32, 1))
PAD = 16
INPUT_ROWS = 72
# Neither flag changes a result: they let the compiler vectorise sqrtf and comparisons.
FLAGS = ("-fno-math-errno", "-fno-trapping-math")
POINTERS = ("numbers", "codes", "labels", "counts", "order", "params", "mean", "square")


class Job(ctypes.Structure):
    """The struct job of step.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in POINTERS),
        ("seed", ctypes.c_uint64),
        ("step", ctypes.c_int64),
        ("rows", ctypes.c_int32),
        ("batch", ctypes.c_int32),
        ("threads", ctypes.c_int32),
        ("rate", ctypes.c_float),
    )


def build(folder: Path) -> ctypes.CDLL:
    """Compile step.c into the folder, every time: -march=native is valid for one machine only."""
    folder.mkdir(parents=True, exist_ok=True)
    source, library = Path(__file__).with_name("step.c"), folder.resolve() / "step.so"
    link = ["-shared", "-fPIC", "-pthread", "-o", str(library), str(source), "-lm"]
    common = ["-std=gnu11", "-O3", "-march=native", "-Wall", "-Wextra"]
    subprocess.run(["cc", *common, *FLAGS, *link], check=True)
    loaded = ctypes.CDLL(str(library))
    loaded.parameters.restype = ctypes.c_int64
    loaded.train_epoch.restype = ctypes.c_double
    return loaded


def aligned(size: int) -> Array:
    """Zeros that start on a cache line."""
    raw = np.zeros(size + PAD, np.float32)
    start = -raw.ctypes.data % 64 // 4
    return raw[start : start + size]


def views(params: Array, counts: Array) -> dict[str, Array]:
    """The weights, biases and the table, as views into the flat parameters of step.c."""
    found, start = {}, 0
    for layer, (inputs, outputs) in enumerate(SHAPES, 1):
        stride = outputs + PAD if outputs > 1 else 1
        rows = INPUT_ROWS if layer == 1 else inputs
        weights = params[start : start + rows * stride].reshape(rows, stride)
        start += rows * stride
        found[f"w{layer}"] = weights[:inputs, :outputs]
        found[f"b{layer}"] = params[start : start + outputs]
        start += max(stride, PAD)
    size = int(counts.sum()) * WIDTH
    found["table"] = params[start : start + size].reshape(-1, WIDTH)
    return found


def checked(arrays: Arrays) -> dict[str, Array]:
    """The arrays as step.c reads them; rejects values that would make it read out of bounds."""
    kinds = {"numbers": np.float32, "codes": np.int32, "labels": np.int32, "counts": np.int32}
    found = {name: np.ascontiguousarray(arrays[name], kind) for name, kind in kinds.items()}
    rows = len(found["labels"])
    shapes = ((rows, NUMBERS), (rows, COLUMNS), (rows,), (COLUMNS,))
    if rows < 1 or tuple(array.shape for array in found.values()) != shapes:
        raise SystemExit(f"the arrays need the shapes {shapes}")
    if (found["codes"] < 0).any() or (found["codes"] >= found["counts"]).any():
        raise SystemExit("a code lies outside the count of its column")
    return found


class Kernel:
    """One network with its optimizer, in the memory that step.c works on."""

    def __init__(self, library: ctypes.CDLL, counts: Array, rate: float, seed: int) -> None:
        """Start as Keras does: Glorot uniform weights, zero biases, a table within 0.05."""
        self.library, self.rate, self.seed, self.step = library, rate, seed, 0
        self.counts = np.ascontiguousarray(counts, np.int32)
        size = library.parameters(ctypes.byref(Job(counts=self.counts.ctypes.data)))
        self.params, self.mean, self.square = (aligned(size) for _ in range(3))
        draw = np.random.default_rng(seed)
        for name, view in views(self.params, self.counts).items():
            if not name.startswith("b"):
                limit = 0.05 if name == "table" else np.sqrt(6 / sum(view.shape))
                view[:] = draw.uniform(-limit, limit, view.shape)

    def job(self, arrays: Arrays, order: Array, batch: int = 1, threads: int = 1) -> Job:
        """The job of step.c; the arrays must outlive it."""
        held = {**arrays, "order": order, **vars(self)}
        pointers = {name: held[name].ctypes.data for name in POINTERS}
        state = {"seed": self.seed, "step": self.step, "rate": self.rate}
        return Job(**pointers, **state, rows=len(order), batch=batch, threads=threads)

    def epoch(self, arrays: Arrays, order: Array, batch: int, threads: int) -> float:
        """One pass over the rows, which are shuffled in order; returns the mean loss."""
        job = self.job(arrays, order, batch, threads)
        loss = self.library.train_epoch(ctypes.byref(job))
        self.seed, self.step = job.seed, job.step
        return float(loss)

    def predict(self, arrays: Arrays) -> Array:
        """The logit of every row."""
        order = np.arange(len(arrays["labels"]), dtype=np.int32)
        logits = np.empty(len(order), np.float32)
        job = self.job(arrays, order)
        self.library.predict(ctypes.byref(job), ctypes.c_void_p(logits.ctypes.data))
        return logits


def auc(labels: Array, scores: Array) -> float:
    """The ROC AUC; ties count half."""
    _, place, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[place]
    ones = int(labels.sum())
    above = ranks[labels == 1].sum() - ones * (ones + 1) / 2
    return float(above / (ones * (len(labels) - ones)))


def doubles(kernel: Kernel) -> dict[str, Array]:
    """A copy of the parameters in double precision, by name."""
    found = views(kernel.params, kernel.counts)
    return {name: view.astype(np.float64) for name, view in found.items()}


def compare(library: ctypes.CDLL, rows: Arrays, batch: int, threads: int) -> dict[str, float]:
    """The largest distances from numpy: of the first gradient, and of an epoch's parameters."""
    kernel = Kernel(library, rows["counts"], 1e-3, 1)
    for name, view in views(kernel.params, kernel.counts).items():
        # A bias of zero would hide one that is never read.
        if name.startswith("b"):
            view[:] = np.linspace(-0.1, 0.1, len(view)) if len(view) > 1 else 0.1
    before, order = doubles(kernel), np.arange(len(rows["labels"]), dtype=np.int32)
    first = reference.take(rows, slice(batch))
    loss, expected = reference.gradients(before, first)
    single = Kernel(library, rows["counts"], 1e-3, 1)
    single.params[:] = kernel.params
    got = single.epoch(first, order[:batch].copy(), batch, threads)
    # Adam's mean starts at zero, so one step leaves a tenth of the gradient there.
    gradients = {name: view / 0.1 for name, view in views(single.mean, kernel.counts).items()}
    kernel.epoch(rows, order, batch, threads)
    after = reference.train(before, rows, order, batch, kernel.rate)
    return {
        "loss": abs(got - loss),
        "gradient": max(
            float(np.abs(gradients[name] - expected[name]).max() / np.abs(expected[name]).max())
            for name in expected
        ),
        "parameters": max(
            float(np.abs(view - after[name]).max()) for name, view in doubles(kernel).items()
        ),
        "numpy": reference.difference(before, first),
    }


def check(library: ctypes.CDLL, threads: int) -> dict[str, float]:
    """Compare the kernel with numpy and check that it learns; raise AssertionError otherwise."""
    rows = reference.synthetic(24_000)
    found: dict[str, float] = {}
    # 700 and 300 leave micro-batches and a last batch that are not full.
    for count, batch, team in ((700, 300, 1), (700, 300, threads), (5000, 1024, threads)):
        some = checked(reference.take(rows, slice(count)))
        for name, distance in compare(library, some, batch, team).items():
            assert distance < 1e-4, f"{name} is {distance} from numpy at batch {batch} on {team}"
            found[name] = max(distance, found.get(name, 0))
    train, held = reference.take(rows, slice(20_000)), reference.take(rows, slice(20_000, None))
    kernel, order = Kernel(library, rows["counts"], 3e-3, 1), np.arange(20_000, dtype=np.int32)
    losses = [kernel.epoch(train, order, 256, threads) for _ in range(4)]
    assert sorted(order) == list(range(20_000)), "the shuffle lost rows"
    assert losses == sorted(losses, reverse=True), f"the loss does not fall: {losses}"
    score = auc(held["labels"], kernel.predict(checked(held)))
    assert score > 0.85, f"an AUC of {score} on rows that can be learned"
    return {**found, "first_loss": losses[0], "last_loss": losses[-1], "auc": score}


def measure(options: argparse.Namespace, arrays: Arrays) -> dict[str, float]:
    """Train for the requested epochs; the speed is that of the fastest one, its shuffle included."""
    kernel = Kernel(build(options.build), arrays["counts"], options.rate, options.seed)
    order = np.arange(len(arrays["labels"]), dtype=np.int32)
    losses, speeds = [], []
    for epoch in range(options.epochs):
        start = time.perf_counter()
        losses.append(kernel.epoch(arrays, order, options.batch_size, options.threads))
        speeds.append(len(order) / (time.perf_counter() - start))
        print(f"epoch {epoch + 1}: loss {losses[-1]:.4f}, {speeds[-1]:,.0f} rows/s", flush=True)
    held = checked(np.load(options.holdout)) if options.holdout else arrays
    return {
        "rows_per_second": max(speeds),
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "auc": auc(held["labels"], kernel.predict(held)),
    }


def main() -> None:
    """Parse the command line, then measure or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arrays", type=Path, help="the rows to train on, as .npz")
    parser.add_argument("--holdout", type=Path, help="rows for the AUC; else those of --arrays")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rate", type=float, default=1e-3, help="the learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build", type=Path, required=True, help="where the library goes")
    parser.add_argument("--check", action="store_true", help="compare it with numpy instead")
    options = parser.parse_args()
    if min(options.epochs, options.batch_size, options.threads) < 1:
        parser.error("epochs, batch size and threads must be at least 1")
    if options.check:
        print(json.dumps(check(build(options.build), options.threads)))
    elif options.arrays:
        print(json.dumps(measure(options, checked(np.load(options.arrays)))))
    else:
        parser.error("give --arrays or --check")


if __name__ == "__main__":
    main()
