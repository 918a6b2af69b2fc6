"""What an evaluation must have measured, for the tests of several modules."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sklearn
import tensorflow as tf
from recorder import metrics_of_rows
from trainer.data.schema import Schema
from trainer.data.shards import Split
from trainer.model import Model
from trainer.training.metrics import MAIN_METRIC


def check_parity(found: dict[str, Any], model: Model, folder: Path, schema: Schema) -> None:
    """Check the rows and the main measure against the network's on a prepared split."""
    window = Split(folder, schema, memory_mb=64).all_rows()
    outputs = model.predictions(tf.constant(window.numbers), tf.constant(window.codes)).numpy()
    expected = metrics_of_rows(schema.task, outputs.astype(np.float64), window.labels)
    if schema.task == "binary":
        # The scores of a model that was not trained may be too near to each other for bins.
        expected["auc"] = sklearn.roc_auc_score(window.labels, outputs[:, 1])
    assert found["rows"] == len(window.labels)
    name = MAIN_METRIC[schema.task]
    assert found["metric"] == name
    assert found["metrics"][name]["value"] == pytest.approx(expected[name], rel=1e-4)
