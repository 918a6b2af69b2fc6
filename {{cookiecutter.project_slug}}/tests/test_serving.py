"""Serving: the exported model predicts from raw cells what training predicts from prepared shards."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from conftest import Row

from trainer.data.schema import Schema
from trainer.data.shards import Split
from trainer.data.statistics import Statistics
from trainer.model import Model, export
from trainer.serving import SCORES, input_parameters
from trainer.settings import Settings

TOLERANCE = 1e-5


@pytest.fixture(scope="module", params=[1, 3])
def exported(
    schema: Schema,
    statistics: Statistics,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> tuple[Model, Path]:
    """A model with random weights, none of them zero, and its export; then an ensemble of three."""
    settings = Settings(hidden_units=(8,), ensemble=request.param)
    model = Model(schema, statistics, settings.for_rows(100, schema.task))
    for variable in model.network.trainable_variables:
        variable.assign(tf.random.stateless_normal(variable.shape, [1, 2], stddev=0.3))
    folder = tmp_path_factory.mktemp("model")
    export(model, schema, statistics, folder, is_chief=True)
    return model, folder


def served(folder: Path, schema: Schema, batches: Sequence[list[Row]]) -> npt.NDArray[np.float32]:
    """Return the scores of the exported signature for the raw rows of each batch, concatenated."""
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    parameters = input_parameters(folder)
    scores = []
    for batch in batches:
        inputs = {
            parameter: tf.constant([row[name] for row in batch])
            for name, parameter in parameters.items()
        }
        outputs = signature(**inputs)
        scores.append(outputs[SCORES[schema.task]].numpy())
    return np.concatenate(scores)


# A batch without an unseen value takes another branch of the graph than one with it.
@pytest.mark.parametrize("batch_size", [1, 60])
def test_serving_on_raw_cells_equals_training_on_shards(
    exported: tuple[Model, Path],
    prepared: Path,
    schema: Schema,
    held_out_rows: list[Row],
    batch_size: int,
) -> None:
    model, folder = exported
    window = Split(prepared / "test", schema, memory_mb=64).all_rows()
    expected = model.predictions(tf.constant(window.numbers), tf.constant(window.codes)).numpy()
    starts = range(0, len(held_out_rows), batch_size)
    batches = [held_out_rows[start : start + batch_size] for start in starts]
    found = served(folder, schema, batches)
    if schema.task != "multiclass":
        expected = expected[:, -1]
    scale = max(1.0, float(np.abs(expected).max()))
    assert np.ptp(expected) > 0.01
    # Shards are in the order of the rows' keys, so the values are compared in their own.
    difference = np.sort(found, axis=0) - np.sort(expected, axis=0)
    assert np.abs(difference).max() / scale < TOLERANCE


def test_the_signature_has_the_columns_own_names(
    exported: tuple[Model, Path], schema: Schema
) -> None:
    assert set(input_parameters(exported[1])) == set(schema.raw.used)
