"""The flags of `task.py`: each hyperparameter is one, so that tuning can set it."""

import argparse
import contextlib
import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

from trainer import features
from trainer.data.thresholds import AIM, FORMS
from trainer.settings import LOSSES, QUALITIES, TRANSFORMS, Settings, metrics_for, weights_by_class


def invalid(text: str, expected: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"invalid value {text!r}: expected {expected}")


def integer(expected: str, allows: Callable[[int], bool], text: str) -> int:
    if not text.isdecimal() or not allows(int(text)):
        raise invalid(text, expected)
    return int(text)


def number(expected: str, allows: Callable[[float], bool], text: str) -> float:
    with contextlib.suppress(ValueError):
        if allows(float(text)):
            return float(text)
    raise invalid(text, expected)


positive_int = partial(integer, "an integer >= 1", lambda n: n >= 1)
seed = partial(integer, f"an integer >= 0 and < {1 << 32}", lambda n: n < 1 << 32)  # as NumPy takes
positive_float = partial(number, "a finite number > 0", lambda x: 0 < x < math.inf)
non_negative_float = partial(number, "a finite number >= 0", lambda x: 0 <= x < math.inf)
fraction = partial(number, "a number >= 0 and < 1", lambda x: 0 <= x < 1)


def quality(text: str) -> str:
    if text not in QUALITIES:
        raise invalid(text, ", ".join(QUALITIES))
    return text


def threshold(text: str) -> str:
    if features.TASK != "binary" or not AIM.fullmatch(text):
        raise invalid(text, f"{FORMS}, with TASK = 'binary' alone")
    return text


def metric(text: str) -> str:
    names = metrics_for(str(features.TASK))
    if text not in names:
        raise invalid(text, f"{', '.join(names)} for TASK = {features.TASK!r}")
    return text


def of_regression(choices: Sequence[str], text: str) -> str:
    if text not in choices or features.TASK != "regression":
        raise invalid(text, f"{', '.join(choices)}, with TASK = 'regression' alone")
    return text


def class_weights(text: str) -> str:
    if features.TASK != "regression":
        with contextlib.suppress(ValueError, csv.Error):
            return text if text == "balanced" or weights_by_class(text) else ""
    raise invalid(text, "balanced, or classes and numbers > 0 as in yes=5,no=1; no regression")


class OfClasses(argparse.Action):
    """A flag without a value that a regression refuses."""

    def __call__(
        self, parser: argparse.ArgumentParser, options: argparse.Namespace, *_: Any
    ) -> None:
        if features.TASK == "regression":
            raise argparse.ArgumentError(self, "expected classes: TASK is 'regression'")
        setattr(options, self.dest, True)


def layer_widths(text: str) -> tuple[int, ...]:
    return tuple(positive_int(part.strip()) for part in text.split(","))


HYPERPARAMETERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "quality": (
        quality,
        "fast, default or best: chooses the epochs and the ensemble unless they are given",
    ),
    "metric": (metric, "chooses the best evaluation, such as f1; default: auc, accuracy or rmse"),
    "loss": (partial(of_regression, LOSSES), "of a regression: squared, absolute, huber, poisson"),
    "target_transform": (
        partial(of_regression, TRANSFORMS),
        "of a regression's label: none, log; default: chosen from the labels",
    ),
    "class_weights": (class_weights, "balanced, or weights of classes, such as yes=5,no=1"),
    "epochs": (
        positive_int,
        "number of epochs; default: chosen from quality, task and the number of training rows",
    ),
    "max_steps": (positive_int, "stop after this many steps"),
    "max_minutes": (positive_float, "stop after this many minutes"),
    "batch_size": (positive_int, "batch size; default: chosen from the number of training rows"),
    "learning_rate": (
        positive_float,
        "peak of the cosine schedule; default: chosen from the batch size",
    ),
    "hidden_units": (
        layer_widths,
        "widths of the hidden layers, such as 128,64,32; default: chosen from the number of classes",
    ),
    "embedding_size": (positive_int, "width of the embedding of a code"),
    "ensemble": (
        positive_int,
        "members of an ensemble that share all layers but the last; 1: none; default: chosen from quality",
    ),
    "dropout": (fraction, "dropout rate; default: chosen from the number of training rows"),
    "weight_decay": (non_negative_float, "weight decay of AdamW"),
    "patience": (
        positive_int,
        "stop after this many evaluations without improvement; default: never",
    ),
    "threshold": (threshold, f"of the positive class, chosen at the end: {FORMS}; default: 0.5"),
    "calibrate": (bool, "fit a temperature of the probabilities on the eval split, at the end"),
    "memory_mb": (positive_int, "memory for rows in MiB; larger data is streamed"),
    "window_groups": (positive_int, "row groups shuffled together; default: what 2048 MiB hold"),
    "seed": (seed, "seed of the initial weights, the order of rows and dropout"),
}


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainer.task",
        description="Train on prepared data, evaluate, and export a model.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--data-dir", help="prepared data: a folder or a gs:// address")
    add("--job-dir", help="folder for the outputs; default: where AIP_MODEL_DIR and its like point")
    for name, (kind, text) in HYPERPARAMETERS.items():
        flag = f"--{name.replace('_', '-')}"
        how: Any = {"action": OfClasses, "nargs": 0} if kind is bool else {"type": kind}
        add(flag, default=getattr(Settings, name), help=text, **how)
    smoke = "train one step on made-up rows, export, reload, and exit"
    add("--smoke-test", action="store_true", help=smoke)
    add("-q", "--quiet", action="store_true", help="only warnings and errors")
    add("-v", "--verbose", action="store_true", help="show settings and devices")
    return parser


def settings_of(options: argparse.Namespace) -> Settings:
    return Settings(**{field.name: getattr(options, field.name) for field in fields(Settings)})
