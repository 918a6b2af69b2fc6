"""TensorFlow's "Load CSV data": make_csv_dataset, preprocessing layers and a Keras model.

Reading, caching: https://www.tensorflow.org/tutorials/load_data/csv
Layers: https://www.tensorflow.org/tutorials/structured_data/preprocessing_layers
In the dataset or in the model: https://keras.io/guides/preprocessing_layers/

As there: pandas finds the vocabularies and the layers are adapted to what it read, the layers run in
`Dataset.map` while training and inside the exported model, what is parsed and encoded once is cached in
memory and its batches are shuffled after the cache, unless the file is too large for that. Few values
become a one-hot vector, many an embedding as wide as the root of their number.
"""

from __future__ import annotations

import table  # its clock starts before TensorFlow is imported

# isort: split
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

BATCH_ROWS = 256
SHUFFLED_BATCHES = 1_000
# A larger file is parsed and encoded in every epoch; its rows are shuffled by make_csv_dataset then.
MOST_BYTES_CACHED = 2 << 30
LONGEST_ONE_HOT = 64
LONGEST_EMBEDDING = 32
STEPS_PER_EXECUTION = 16


def read_csv(schema: table.Schema, path: Path, training: bool) -> tf.data.Dataset:
    """Read a file once, in batches: shuffled with labels to train, in order without to predict."""
    names = table.header(path)
    text = schema.categorical + ((schema.label,) if schema.binary else ())
    used = [*schema.columns, *([schema.label] if training else [])]
    selected = [name for name in names if name in used]
    return tf.data.experimental.make_csv_dataset(
        str(path),
        BATCH_ROWS,
        select_columns=selected,
        column_defaults=["" if name in text else 0.0 for name in selected],
        label_name=schema.label if training else None,
        num_epochs=1,
        shuffle=training,
        num_parallel_reads=tf.data.AUTOTUNE,
    )


def create_inputs(schema: table.Schema) -> dict[str, Any]:
    """Return the raw features as Keras inputs."""
    return {
        name: keras.Input((1,), name=name, dtype="float32" if name in schema.numeric else "string")
        for name in schema.columns
    }


def create_preprocessing(schema: table.Schema, frame: pd.DataFrame) -> tuple[Any, dict[str, int]]:
    """Return the model that encodes raw features, and the vocabulary size of each category."""
    inputs = create_inputs(schema)
    encoded, sizes = {}, {}
    if schema.numeric:
        normalization = keras.layers.Normalization()
        normalization.adapt(frame[list(schema.numeric)].to_numpy(dtype=np.float32))
        numbers = [inputs[name] for name in schema.numeric]
        joined = keras.layers.Concatenate()(numbers) if len(numbers) > 1 else numbers[0]
        encoded["numbers"] = normalization(joined)
    for name in schema.categorical:
        vocabulary = frame[name].cat.categories.to_numpy(dtype=object)
        lookup = keras.layers.StringLookup(vocabulary=vocabulary)
        encoded[name] = lookup(inputs[name])
        sizes[name] = lookup.vocabulary_size()
    return keras.Model(inputs, encoded), sizes


def represent(codes: Any, size: int) -> Any:
    """Encode the codes of a category as numbers."""
    if size <= LONGEST_ONE_HOT:
        return keras.layers.CategoryEncoding(num_tokens=size, output_mode="one_hot")(codes)
    width = min(int(math.sqrt(size)), LONGEST_EMBEDDING)
    return keras.layers.Flatten()(keras.layers.Embedding(size, width)(codes))


def create_model(schema: table.Schema, preprocessing: Any, sizes: dict[str, int]) -> Any:
    """Return the compiled network, which takes encoded features."""
    inputs = {
        name: keras.Input(output.shape[1:], name=name, dtype=output.dtype)
        for name, output in preprocessing.output.items()
    }
    parts = [represent(inputs[name], size) for name, size in sizes.items()]
    parts += [inputs["numbers"]] if schema.numeric else []
    hidden = keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    for units in table.HIDDEN_UNITS:
        hidden = keras.layers.Dense(units, activation="relu")(hidden)
    activation = "sigmoid" if schema.binary else None
    model = keras.Model(inputs, keras.layers.Dense(1, activation=activation)(hidden))
    model.compile(
        optimizer="adam",
        loss="binary_crossentropy" if schema.binary else "mse",
        steps_per_execution=STEPS_PER_EXECUTION,
    )
    return model


def as_columns(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Return a batch as the plain dict of columns that Keras matches with its inputs by name."""
    return {name: tf.expand_dims(values, -1) for name, values in features.items()}


def training_dataset(schema: table.Schema, path: Path, preprocessing: Any) -> tf.data.Dataset:
    """Return encoded batches with labels, cached if they fit into memory."""

    def encode(features: dict[str, tf.Tensor], label: tf.Tensor) -> tuple[Any, tf.Tensor]:
        target = tf.cast(label == schema.positive, tf.float32) if schema.binary else label
        return preprocessing(as_columns(features)), target

    dataset = read_csv(schema, path, training=True)
    dataset = dataset.map(encode, num_parallel_calls=tf.data.AUTOTUNE)
    if path.stat().st_size <= MOST_BYTES_CACHED:
        dataset = dataset.cache().shuffle(SHUFFLED_BATCHES)
    return dataset.prefetch(tf.data.AUTOTUNE)


def main() -> None:
    import_seconds = table.seconds_since_start()
    options = table.parser(__doc__).parse_args()
    schema = table.read_schema(options.schema)
    started = table.seconds_since_start()
    frame = table.read_frame(schema, options.train)
    rows = len(frame)
    preprocessing, sizes = create_preprocessing(schema, frame)
    del frame
    model = create_model(schema, preprocessing, sizes)
    dataset = training_dataset(schema, options.train, preprocessing)
    model.fit(dataset, epochs=options.epochs, verbose=2)
    train_seconds = table.seconds_since_start() - started
    inputs = create_inputs(schema)
    end_to_end = keras.Model(inputs, model(preprocessing(inputs)))
    end_to_end.export(options.output, verbose=False)
    test = read_csv(schema, options.test, training=False).map(as_columns)
    predicted = end_to_end.predict(test, verbose=0)
    table.report(
        rows=rows,
        epochs=options.epochs,
        metric=table.metric(schema, table.read_labels(schema, options.test), predicted),
        import_seconds=import_seconds,
        train_seconds=train_seconds,
    )


if __name__ == "__main__":
    main()
