"""The network of step.c in numpy and double precision, as a reference for the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = Mapping[str, Array]


def gradients(params: Arrays, rows: Arrays) -> tuple[float, dict[str, Array]]:
    """The mean cross-entropy of the rows, and its gradient for each parameter."""
    slots = rows["codes"] + np.cumsum(rows["counts"]) - rows["counts"]
    embedded = params["table"][slots].reshape(len(slots), -1)
    layers = [np.concatenate([embedded, rows["numbers"]], axis=1)]
    for layer in (1, 2, 3):
        layers.append(np.maximum(layers[-1] @ params[f"w{layer}"] + params[f"b{layer}"], 0))
    logits = (layers[-1] @ params["w4"] + params["b4"])[:, 0]
    labels = rows["labels"]
    loss = np.mean(np.logaddexp(0, logits) - logits * labels)
    delta = ((1 / (1 + np.exp(-logits)) - labels) / len(labels))[:, None]
    found = {}
    for layer in (4, 3, 2, 1):
        inputs = layers[layer - 1]
        found[f"w{layer}"], found[f"b{layer}"] = inputs.T @ delta, delta.sum(axis=0)
        delta = delta @ params[f"w{layer}"].T * (inputs > 0 if layer > 1 else 1)
    found["table"] = np.zeros_like(params["table"])
    width = params["table"].shape[1]
    np.add.at(found["table"], slots, delta[:, : embedded.shape[1]].reshape(*slots.shape, width))
    return float(loss), found


def difference(params: Arrays, rows: Arrays, seed: int = 0) -> float:
    """How far the gradients are from central differences, at a few entries of each parameter."""
    draw, worst, small = np.random.default_rng(seed), 0.0, 1e-6
    found = gradients(params, rows)[1]
    for name, values in params.items():
        for place in draw.integers(0, values.size, 5):
            entry, losses = np.unravel_index(place, values.shape), []
            for step in (small, -small):
                moved = {**params, name: values.copy()}
                moved[name][entry] += step
                losses.append(gradients(moved, rows)[0])
            slope = (losses[0] - losses[1]) / (2 * small)
            worst = max(worst, abs(slope - found[name][entry]) / np.abs(found[name]).max())
    return float(worst)


def train(params: Arrays, rows: Arrays, order: Array, batch: int, rate: float) -> dict[str, Array]:
    """The parameters after one pass over the rows in this order, by Adam as Keras writes it."""
    params = dict(params)
    mean = {name: np.zeros_like(values) for name, values in params.items()}
    square = {name: np.zeros_like(values) for name, values in params.items()}
    for step, start in enumerate(range(0, len(order), batch), 1):
        found = gradients(params, take(rows, order[start : start + batch]))[1]
        pace = rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        for name, gradient in found.items():
            mean[name] += (gradient - mean[name]) * (1 - 0.9)
            square[name] += (gradient**2 - square[name]) * (1 - 0.999)
            params[name] = params[name] - pace * mean[name] / (np.sqrt(square[name]) + 1e-7)
    return params


def take(rows: Arrays, places: Array | slice) -> dict[str, Array]:
    return {name: a if name == "counts" else a[places] for name, a in rows.items()}


def synthetic(rows: int, seed: int = 0) -> dict[str, Array]:
    """Rows whose labels can be learnt: an effect of each number and of each code, plus noise."""
    draw = np.random.default_rng(seed)
    counts = np.array([2, 3, 5, 10, 20, 50, 100, 300], np.int32)
    numbers = draw.standard_normal((rows, 6)).astype(np.float32)
    codes = draw.integers(0, counts, (rows, len(counts)), np.int32)
    effects = [draw.standard_normal(count) for count in counts]
    logits = numbers @ draw.standard_normal(6) + numbers[:, 0] * numbers[:, 1]
    logits += sum(effect[column] for effect, column in zip(effects, codes.T, strict=True))
    labels = (draw.random(rows) < 1 / (1 + np.exp(-logits))).astype(np.int32)
    return {"numbers": numbers, "codes": codes, "labels": labels, "counts": counts}
