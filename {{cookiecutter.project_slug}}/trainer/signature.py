"""The names of the serving signature's inputs: the columns' own, whatever characters they hold.

TensorFlow names inputs by Python parameters, so that a column called `class` or two called `a b` and `a.b` cannot be
exported as they are. The graph therefore uses parameter names, and the signature that servers read maps the columns'
names to them.
"""

import keyword
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

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
