"""What is exported, held against what was trained: the same rows, once raw and once prepared, must get the same answers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.errors import UserError, shown
from trainer.learner import Learner
from trainer.predict import answers
from trainer.shards import Split

EXAMPLES = "examples.jsonl"
SCORES = {"binary": "probability", "multiclass": "probabilities", "regression": "prediction"}
TOLERANCE = 1e-3


def check_serving(
    signature: Any, parameters: Mapping[str, str], learner: Learner, split: Split, data_dir: Path
) -> None:
    """Raise `UserError` if the signature answers the raw examples otherwise than the network answers the same rows.

    `prepare` takes the examples from the beginning of the last split, so they are the first rows of its shards.
    """
    path = data_dir / EXAMPLES
    if not path.is_file():
        return
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    window = split.beginning()
    trained = learner.predicted(window.numbers[: len(rows)], window.codes[: len(rows)]).numpy()
    name = SCORES[learner.model.task]
    try:
        served = np.array([answer[name] for answer in answers(signature, parameters, rows)])
    except tf.errors.OpError as error:
        raise disagreement(path, f"not at all ({shown(error.message, 120)})") from error
    difference = distance(served, trained if served.ndim > 1 else trained[:, -1])
    if not difference <= TOLERANCE:
        raise disagreement(path, f"{difference:.2g} away from the trained one")


def disagreement(path: Path, how: str) -> UserError:
    """Return the error for a model that answers in another way than the trained network."""
    return UserError(
        f"the exported model answers the rows of {path} {how}",
        f"a difference of at most {TOLERANCE}",
        "make Serving in trainer/model.py compute what training computes, or run `nox -s prepare` again",
    )


def distance(served: npt.NDArray[Any], trained: npt.NDArray[Any]) -> float:
    """Return the largest difference, as a share of the largest value if that is above 1; infinite for other shapes."""
    if served.shape != trained.shape:
        return float("inf")
    return float(np.abs(served - trained).max() / max(1.0, np.abs(trained).max()))
