"""The serving signature: the names of its inputs, calling it, and its parity with training.

TensorFlow names inputs by Python parameters, so that a column called `class` or two called `a b` and `a.b` cannot be
exported as they are. The graph therefore uses parameter names, and the signature that servers read maps the columns'
names to them.
"""

import keyword
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.data import cells, files
from trainer.data.schema import Schema
from trainer.data.thresholds import CONSTANT
from trainer.run.errors import UserError
from trainer.run.outputs import SAVED_MODEL

SIGNATURE = "serving_default"
"""It takes text for every column, which can be missing in every transport."""
TYPED_SIGNATURE = "typed"
"""It takes numbers as float32, NaN where missing, and text for the other columns."""
EARLIER_SIGNATURE = "text"  # of models that were exported when `serving_default` took numbers
STATISTICS = f"assets.extra/{files.STATISTICS}"  # TensorFlow's folder for files of others
SCORES = {"binary": "probability", "multiclass": "probabilities", "regression": "prediction"}


def parameter_names(columns: Sequence[str]) -> dict[str, str]:
    """Return a parameter name for each column: its own where Python and TensorFlow allow it, else `column_<number>`.

    TensorFlow does not distinguish names by case.
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
    """Rename the inputs of the exported signatures from the parameters to the columns."""
    saved = read_saved_model(model_dir)
    for signature in (SIGNATURE, TYPED_SIGNATURE):
        inputs = saved.meta_graphs[0].signature_def[signature].inputs
        tensors = {
            column: inputs[parameter].SerializeToString()
            for column, parameter in parameters.items()
        }
        inputs.clear()
        for column, tensor in tensors.items():
            inputs[column].ParseFromString(tensor)
    (model_dir / SAVED_MODEL).write_bytes(saved.SerializeToString(deterministic=True))


def input_parameters(model_dir: Path) -> dict[str, str]:
    """Return the parameter of each input of an exported model, by the column's name."""
    inputs = read_saved_model(model_dir).meta_graphs[0].signature_def[SIGNATURE].inputs
    return {
        column: tensor.name.removeprefix(f"{SIGNATURE}_").split(":")[0]
        for column, tensor in sorted(inputs.items())  # each process writes another order
    }


def text_signature(model_dir: Path) -> Any:
    """Return the loaded signature that takes text for every column; raise `UserError` if the model has none."""
    import tensorflow as tf

    signatures = tf.saved_model.load(str(model_dir)).signatures
    signature = signatures.get(EARLIER_SIGNATURE) or signatures[SIGNATURE]
    types = signature.structured_input_signature[1].values()
    if all(each.dtype == tf.string for each in types):
        return signature
    raise UserError(
        f"{model_dir} has no signature that takes text for every column",
        "a model that this version of the project has trained",
        "run `nox -s local_train` again",
    )


def threshold_of(model_dir: Path) -> float | None:
    """Return the probability above which an exported model predicts the positive class, None if it has no threshold."""
    found = thresholds_in(read_saved_model(model_dir))
    return float(found[0][0]) if found else None


def write_threshold(model_dir: Path, threshold: float) -> None:
    """Replace the threshold of an exported model, and nothing else; its file is replaced when it is complete."""
    saved = read_saved_model(model_dir)
    for values in thresholds_in(saved):
        values[:] = [threshold]
    partial = model_dir / f"{SAVED_MODEL}.partial"
    partial.write_bytes(saved.SerializeToString(deterministic=True))
    partial.replace(model_dir / SAVED_MODEL)


def thresholds_in(saved: Any) -> list[Any]:
    """Return the values, one each, of the constants of a SavedModel that hold its threshold: one for each signature."""
    functions = saved.meta_graphs[0].graph_def.library.function
    nodes = (node for function in functions for node in function.node_def)
    return [node.attr["value"].tensor.double_val for node in nodes if node.name == CONSTANT]


def read_saved_model(model_dir: Path) -> Any:
    from tensorflow.core.protobuf import saved_model_pb2

    return saved_model_pb2.SavedModel.FromString((model_dir / SAVED_MODEL).read_bytes())


def checked_cell(value: Any, name: str, schema: Schema) -> str:
    """Return a raw value of a column as `serving_default` takes it, "" if it is missing.

    Raises `ValueError`, whose message is what was expected, for one that the signature refuses.
    """
    text = cells.text(value, schema.decimal)
    if name in schema.textual or cells.stripped(text) in schema.markers:
        return text
    if name in schema.dates:
        if cells.days(text, name in schema.day_first) is None:
            raise ValueError("a date such as 2024-12-31, or an empty cell or null if it is missing")
    elif cells.number(text, schema.decimal, schema.units.get(name, "")) is None:
        raise ValueError("a number, or an empty cell or null if it is missing")
    return text


def json_value(value: Any) -> Any:
    """Return an output of the model, bytes or a NumPy value, as JSON takes it."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.tolist()
