"""A servable Keras model of raw strings: a StringLookup and an Embedding for each category.

Layers: https://www.tensorflow.org/tutorials/structured_data/preprocessing_layers
Export: https://keras.io/api/models/model_saving_apis/export/

It is for measuring how long an export, a load and a prediction take, so it trains for a few steps only.
"""

from __future__ import annotations

import table

# isort: split
import time
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

BATCH_ROWS = 256
EMBEDDING_SIZE = 8


def encode_category(name: str, values: pd.Series) -> tuple[Any, Any]:
    """Return the input of a category and its embedding."""
    raw = keras.Input((1,), name=name, dtype="string")
    lookup = keras.layers.StringLookup(vocabulary=values.cat.categories.to_numpy(dtype=object))
    embedding = keras.layers.Embedding(lookup.vocabulary_size(), EMBEDDING_SIZE)
    return raw, keras.layers.Flatten()(embedding(lookup(raw)))


def encode_numbers(schema: table.Schema, frame: pd.DataFrame) -> tuple[dict[str, Any], Any]:
    """Return the inputs of the numeric columns and their standardised values."""
    inputs = {name: keras.Input((1,), name=name, dtype="float32") for name in schema.numeric}
    normalization = keras.layers.Normalization()
    normalization.adapt(frame[list(schema.numeric)].to_numpy(dtype=np.float32))
    columns = list(inputs.values())
    return inputs, normalization(
        keras.layers.Concatenate()(columns) if len(columns) > 1 else columns[0]
    )


def create_model(schema: table.Schema, frame: pd.DataFrame) -> Any:
    """Return the compiled network."""
    inputs, parts = {}, []
    for name in schema.categorical:
        inputs[name], embedded = encode_category(name, frame[name])
        parts.append(embedded)
    if schema.numeric:
        numbers, normalized = encode_numbers(schema, frame)
        inputs.update(numbers)
        parts.append(normalized)
    hidden = keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    for units in table.HIDDEN_UNITS:
        hidden = keras.layers.Dense(units, activation="relu")(hidden)
    activation = "sigmoid" if schema.binary else None
    model = keras.Model(inputs, keras.layers.Dense(1, activation=activation)(hidden))
    model.compile(optimizer="adam", loss="binary_crossentropy" if schema.binary else "mse")
    return model


def first_batches(schema: table.Schema, frame: pd.DataFrame, steps: int) -> tf.data.Dataset:
    """Return the first rows of the training file in batches, repeated."""
    head = frame.head(steps * BATCH_ROWS)
    columns = {
        name: head[name].to_numpy(dtype="float32" if name in schema.numeric else object)[:, None]
        for name in schema.columns
    }
    labels = table.encode_labels(schema, head[schema.label])
    return tf.data.Dataset.from_tensor_slices((columns, labels)).batch(BATCH_ROWS).repeat()


def main() -> None:
    parser = table.parser(__doc__, "schema", "train", "output")
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    schema = table.read_schema(options.schema)
    frame = table.read_frame(schema, options.train)
    model = create_model(schema, frame)
    batches = first_batches(schema, frame, options.steps)
    model.fit(batches, steps_per_epoch=options.steps, verbose=0)
    started = time.perf_counter()
    model.export(options.output, verbose=False)
    table.report(export_seconds=time.perf_counter() - started)


if __name__ == "__main__":
    main()
