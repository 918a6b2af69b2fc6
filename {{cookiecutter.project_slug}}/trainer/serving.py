"""The names of the serving signature's inputs: the columns' own, whatever characters they hold.

TensorFlow names inputs by Python parameters, so that a column called `class` or two called `a b` and `a.b` cannot be
exported as they are. The graph therefore uses parameter names, and the signature that servers read maps the columns'
names to them.
"""

import itertools
import json
import keyword
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.data import files
from trainer.data.shards import Split
from trainer.run.errors import UserError, shown
from trainer.training.train_step import Learner

INPUT_PREFIX = "serving_default_"


def parameter_names(columns: Sequence[str]) -> dict[str, str]:
    """Return a parameter name for each column: its own where Python and TensorFlow allow it, else `column_<number>`.

    TensorFlow takes names that differ in case alone for the same.
    """
    counts = Counter(name.lower() for name in columns)
    plain = {
        name
        for name in columns
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name)
        and not keyword.iskeyword(name)
        and counts[name.lower()] == 1
    }
    taken = {name.lower() for name in plain}
    names = {}
    for number, name in enumerate(columns):
        parameter = name if name in plain else f"column_{number}"
        while parameter in taken and parameter != name:
            parameter += "_"
        taken.add(parameter.lower())
        names[name] = parameter
    return names


def name_inputs(model_dir: Path, parameters: Mapping[str, str]) -> None:
    """Give the inputs of the exported signature the columns' names instead of the parameters'."""
    from tensorflow.core.protobuf import saved_model_pb2

    path = model_dir / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    inputs = saved.meta_graphs[0].signature_def["serving_default"].inputs
    tensors = {
        column: inputs[parameter].SerializeToString() for column, parameter in parameters.items()
    }
    inputs.clear()
    for column, tensor in tensors.items():
        inputs[column].ParseFromString(tensor)
    path.write_bytes(saved.SerializeToString(deterministic=True))


def input_parameters(model_dir: Path) -> dict[str, str]:
    """Return the parameter of each input of an exported model, by the column's name."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((model_dir / "saved_model.pb").read_bytes())
    inputs = saved.meta_graphs[0].signature_def["serving_default"].inputs
    return {
        column: tensor.name.removeprefix(INPUT_PREFIX).split(":")[0]
        for column, tensor in inputs.items()
    }


BATCH_ROWS = 1_024

SCORES = {"binary": "probability", "multiclass": "probabilities", "regression": "prediction"}

TOLERANCE = 1e-3


def answers(
    signature: Any, parameters: Mapping[str, str], rows: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield the answer of a model's signature to each row."""
    import tensorflow as tf

    types = {name: spec.dtype for name, spec in signature.structured_input_signature[1].items()}
    pending = iter(rows)
    while batch := list(itertools.islice(pending, BATCH_ROWS)):
        columns = {
            parameter: tf.constant(
                [cell(row.get(column), column, types[parameter] == tf.string) for row in batch],
                types[parameter],
            )
            for column, parameter in parameters.items()
        }
        outputs = {name: tensor.numpy() for name, tensor in signature(**columns).items()}
        for index in range(len(batch)):
            yield {name: plain(values[index]) for name, values in sorted(outputs.items())}


def cell(value: Any, column: str, is_text: bool) -> str | float:
    """Return a JSON value as the signature takes it: text, or a number; missing is "" or NaN."""
    if is_text:
        if isinstance(value, bool):
            return str(value).lower()
        return "" if value is None else str(value)
    try:
        return float("nan") if value is None or value == "" else float(value)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"column {shown(column)} is {shown(value)}",
            "a number, or null if it is missing",
            "correct the value",
        ) from error


def plain(value: Any) -> Any:
    """Return an output of the model as a JSON value."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.tolist()


def check_serving(
    signature: Any, parameters: Mapping[str, str], learner: Learner, split: Split, data_dir: Path
) -> None:
    """Raise `UserError` if the signature answers the raw examples otherwise than the network answers the same rows.

    `prepare` takes the examples from the beginning of the last split, so they are the first rows of its shards.
    """
    path = data_dir / files.EXAMPLES
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
