"""Keras's "Structured data classification with FeatureSpace".

Recipe: https://keras.io/examples/structured_data/structured_data_classification_with_feature_space/
API: https://keras.io/api/utils/feature_space/

As there: pandas reads the file, every row is shuffled, the FeatureSpace runs in `Dataset.map` with
parallel calls and prefetch while training, and inside the end-to-end model that is exported. It is
adapted on one batch of all rows instead of on the training batches: each column takes a pass of its own.
"""

from __future__ import annotations

import table  # its clock starts before TensorFlow is imported

# isort: split
from typing import Any

import keras
import pandas as pd
import tensorflow as tf
from keras.utils import FeatureSpace

BATCH_ROWS = 256
# All categories become one-hot vectors; what is rarer than the first thousand shares one place.
LONGEST_VOCABULARY = 1_000
CROSSING_DIMENSION = 256
STEPS_PER_EXECUTION = 16


def create_feature_space(schema: table.Schema) -> FeatureSpace:
    """Describe every feature and cross."""
    numbers = {name: FeatureSpace.float_normalized() for name in schema.numeric}
    categories = {
        name: FeatureSpace.string_categorical(max_tokens=LONGEST_VOCABULARY)
        for name in schema.categorical
    }
    crosses = [
        FeatureSpace.cross(feature_names=cross, crossing_dim=CROSSING_DIMENSION)
        for cross in schema.crosses
    ]
    return FeatureSpace(features=numbers | categories, crosses=crosses, output_mode="concat")


def as_columns(schema: table.Schema, frame: pd.DataFrame) -> dict[str, Any]:
    """Return the features as the dict of arrays that a dataset is made of."""
    return {name: frame[name].to_numpy() for name in schema.columns}


def create_models(schema: table.Schema, space: FeatureSpace) -> tuple[Any, Any]:
    """Return the compiled training model and the inference model, which share their layers."""
    encoded = space.get_encoded_features()
    hidden = encoded
    for units in table.HIDDEN_UNITS:
        hidden = keras.layers.Dense(units, activation="relu")(hidden)
    activation = "sigmoid" if schema.binary else None
    output = keras.layers.Dense(1, activation=activation)(hidden)
    training = keras.Model(encoded, output)
    training.compile(
        optimizer="adam",
        loss="binary_crossentropy" if schema.binary else "mse",
        steps_per_execution=STEPS_PER_EXECUTION,
    )
    return training, keras.Model(space.get_inputs(), output)


def train(options: Any, schema: table.Schema, frame: pd.DataFrame) -> Any:
    """Adapt, train, and return the end-to-end model."""
    columns = as_columns(schema, frame)
    labels = table.encode_labels(schema, frame[schema.label])
    space = create_feature_space(schema)
    space.adapt(tf.data.Dataset.from_tensors(columns))
    dataset = (
        tf.data.Dataset.from_tensor_slices((columns, labels))
        .shuffle(len(frame))
        .batch(BATCH_ROWS)
        .map(lambda x, y: (space(x), y), num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )
    training, inference = create_models(schema, space)
    training.fit(dataset, epochs=options.epochs, verbose=2)
    return inference


def main() -> None:
    import_seconds = table.seconds_since_start()
    options = table.parser(__doc__).parse_args()
    schema = table.read_schema(options.schema)
    started = table.seconds_since_start()
    frame = table.read_frame(schema, options.train, strings="object")
    model = train(options, schema, frame)
    train_seconds = table.seconds_since_start() - started
    model.export(options.output, verbose=False)
    test = table.read_frame(schema, options.test, strings="object")
    batches = tf.data.Dataset.from_tensor_slices(as_columns(schema, test)).batch(BATCH_ROWS)
    labels = table.encode_labels(schema, test[schema.label])
    table.report(
        rows=len(frame),
        epochs=options.epochs,
        metric=table.metric(schema, labels, model.predict(batches, verbose=0)),
        import_seconds=import_seconds,
        train_seconds=train_seconds,
    )


if __name__ == "__main__":
    main()
