"""The command line of `task.py`: each hyperparameter is a flag, so that tuning can set it."""

import argparse
from dataclasses import fields

from trainer.settings import Settings


def whole(text: str) -> int:
    """Return a whole number from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0")
    return int(text)


def at_least_one(text: str) -> int:
    """Return a whole number from 1."""
    number = whole(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return number


def positive(text: str) -> float:
    """Return a finite number from 0."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0")
    return number


def share(text: str) -> float:
    """Return a number from 0 to below 1."""
    number = positive(text)
    if number >= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share from 0 to below 1")
    return number


def units(text: str) -> tuple[int, ...]:
    """Return the widths of the hidden layers."""
    return tuple(at_least_one(part.strip()) for part in text.split(","))


HYPERPARAMETERS = {
    "epochs": (whole, "how often to go through the data; 0: by the number of rows"),
    "max_steps": (whole, "end after so many steps; 0: no limit"),
    "max_minutes": (positive, "end after so many minutes; 0: no limit"),
    "batch_size": (whole, "rows per step; 0: by the number of rows"),
    "learning_rate": (positive, "peak of the cosine schedule; 0: by the rows per step"),
    "hidden_units": (units, "widths of the hidden layers, such as 128,64,32"),
    "embedding_size": (at_least_one, "width of the vector of a code"),
    "ensemble": (
        at_least_one,
        "members of an ensemble that share all layers but the last; 1: none",
    ),
    "dropout": (
        share,
        "share of the hidden units that a step leaves out; by the number of rows if not given",
    ),
    "weight_decay": (positive, "of AdamW"),
    "patience": (whole, "end after so many evaluations without progress; 0: never"),
    "memory_mb": (at_least_one, "memory for rows; larger data is streamed"),
    "seed": (whole, "of weights, order and dropout"),
}


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.task",
        description="Train on prepared data, evaluate, and export a model.",
        allow_abbrev=False,
    )
    parser.add_argument("--data-dir", help="prepared data: a folder or a gs:// address")
    parser.add_argument(
        "--job-dir", help="where to write; without it, where AIP_MODEL_DIR and its like point"
    )
    for name, (kind, text) in HYPERPARAMETERS.items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=kind, default=getattr(Settings, name), help=text)
    parser.add_argument(
        "--smoke-test",
        action="store_true",
        help="train a step on made-up rows, export, reload, end",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="only warnings and errors")
    parser.add_argument("-v", "--verbose", action="store_true", help="more detail")
    return parser


def settings_of(given: argparse.Namespace) -> Settings:
    """Return the hyperparameters of a parsed command line."""
    return Settings(**{field.name: getattr(given, field.name) for field in fields(Settings)})
