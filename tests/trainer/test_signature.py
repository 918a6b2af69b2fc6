"""The signature's parts: names of parameters, the hash."""

from pathlib import Path

import pytest
import tensorflow as tf
from trainer import predict
from trainer.preprocessing.farmhash import fingerprint64
from trainer.run.errors import UserError
from trainer.serving import parameter_names


def test_any_column_name_gets_a_parameter_of_its_own() -> None:
    names = [
        "class",
        "a b",
        "a.b",
        "column_2",
        "1st",
        "日本",
        "x",
        'say "hi"',
        "column_0",
        "lambda",
        "Label",
        "LABEL",
        "Column_0",
    ]
    parameters = parameter_names(names)
    assert len({value.lower() for value in parameters.values()}) == len(names)
    assert parameters["x"] == "x" and all(value.isidentifier() for value in parameters.values())


@pytest.mark.parametrize("size", [0, 1, 3, 4, 8, 16, 17, 32, 33, 64, 65, 128, 129, 300])
def test_the_hash_is_tensorflows(size: int) -> None:
    text = ("añ 日" * 100)[:size]
    assert fingerprint64(text) % 4096 == tf.strings.to_hash_bucket_fast([text], 4096).numpy()[0]


def test_predict_refuses_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no model; expected a folder with a saved_model.pb"):
        predict.main(["--model", str(tmp_path), "--input", "-"])
