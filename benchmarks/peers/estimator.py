"""Google's cloudml-template: a canned wide-and-deep Estimator on feature columns.

Recipe: https://github.com/GoogleCloudPlatform/cloudml-samples/tree/main/cloudml-template
API: https://www.tensorflow.org/versions/r2.15/api_docs/python/tf/estimator/DNNLinearCombinedClassifier

As there: batches of 200, Ftrl and Adagrad at 0.1, embeddings as wide as the root of their vocabulary,
crosses of 10,000 buckets embedded in 10 numbers, categories and crosses on the linear side too, numbers
standardised by statistics known before training, an export that takes raw features.
Where its versions differ, or TensorFlow documents something better, the faster or better one is taken:
CSV lines are parsed a batch at a time and in parallel, 10,000 lines are shuffled instead of 401, and
checkpoint, summaries and evaluation come once, at the end. The template leaves it to the user where the
statistics come from; here pandas reads them in chunks.
"""

from __future__ import annotations

import table  # its clock starts before TensorFlow is imported

# isort: split
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

BATCH_ROWS = 200
SHUFFLED_ROWS = 10_000
CHUNK_ROWS = 100_000
LEARNING_RATE = 0.1
LONGEST_VOCABULARY = 1_000
HASHED_DIMENSION = 5
CROSS_BUCKETS = 10_000
CROSS_DIMENSION = 10
SEED = 19831006


@dataclass
class Statistics:
    """The statistics of the training file in the template's metadata."""

    rows: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    squares: dict[str, float] = field(default_factory=dict)
    values: dict[str, set[str]] = field(default_factory=dict)

    def add(self, schema: table.Schema, chunk: pd.DataFrame) -> None:
        """Add one chunk of the file."""
        self.rows += len(chunk)
        for name in schema.numeric:
            numbers = chunk[name].to_numpy(dtype=np.float64)
            self.sums[name] = self.sums.get(name, 0.0) + float(numbers.sum())
            self.squares[name] = self.squares.get(name, 0.0) + float(numbers @ numbers)
        for name in text_columns(schema):
            self.values.setdefault(name, set()).update(chunk[name].cat.categories)

    def normalizer(self, name: str) -> Callable[[tf.Tensor], tf.Tensor]:
        """Return the function that standardises a numeric column."""
        mean = self.sums[name] / self.rows
        deviation = math.sqrt(max(self.squares[name] / self.rows - mean * mean, 0.0)) or 1.0
        return lambda values: (values - mean) / deviation


def text_columns(schema: table.Schema) -> tuple[str, ...]:
    """Return the columns that hold strings, the label of a binary task among them."""
    return schema.categorical + ((schema.label,) if schema.binary else ())


def read_statistics(schema: table.Schema, path: Path) -> Statistics:
    """Read the training file once, in chunks, for its statistics."""
    types = dict.fromkeys(text_columns(schema), "category")
    used = [*schema.numeric, *types]
    chunks = pd.read_csv(
        path, usecols=used, dtype=types, keep_default_na=False, chunksize=CHUNK_ROWS
    )
    statistics = Statistics()
    for chunk in chunks:
        statistics.add(schema, chunk)
    return statistics


def parse_batch(schema: table.Schema, path: Path) -> Callable[[tf.Tensor], Any]:
    """Return the function that turns lines into features and labels."""
    names = table.header(path)
    used = [index for index, name in enumerate(names) if name in (*schema.columns, schema.label)]
    text = text_columns(schema)
    defaults = [[""] if names[index] in text else [0.0] for index in used]

    def parse(lines: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        columns = tf.io.decode_csv(lines, record_defaults=defaults, select_cols=used)
        features = dict(zip((names[index] for index in used), columns, strict=True))
        return features, features.pop(schema.label)

    return parse


def input_function(
    schema: table.Schema, path: Path, training: bool
) -> Callable[[], tf.data.Dataset]:
    """Return the function that reads a file: endlessly and shuffled to train, once to evaluate."""

    def read() -> tf.data.Dataset:
        lines = tf.data.TextLineDataset(str(path)).skip(1)
        if training:
            lines = lines.shuffle(SHUFFLED_ROWS).repeat()
        batches = lines.batch(BATCH_ROWS)
        parsed = batches.map(parse_batch(schema, path), num_parallel_calls=tf.data.AUTOTUNE)
        return parsed.prefetch(tf.data.AUTOTUNE)

    return read


def categorical_column(name: str, values: set[str]) -> tuple[Any, int]:
    """Return a categorical column and its embedding dimension."""
    if len(values) > LONGEST_VOCABULARY:
        column = tf.feature_column.categorical_column_with_hash_bucket(name, 2 * len(values))
        return column, HASHED_DIMENSION
    column = tf.feature_column.categorical_column_with_vocabulary_list(name, sorted(values))
    return column, math.ceil(math.sqrt(len(values)))


def feature_columns(schema: table.Schema, statistics: Statistics) -> tuple[list[Any], list[Any]]:
    """Return the columns of the linear and of the deep part."""
    pairs = [categorical_column(name, statistics.values[name]) for name in schema.categorical]
    for cross in schema.crosses:
        crossed = tf.feature_column.crossed_column(list(cross), hash_bucket_size=CROSS_BUCKETS)
        pairs.append((crossed, CROSS_DIMENSION))
    numbers = [
        tf.feature_column.numeric_column(name, normalizer_fn=statistics.normalizer(name))
        for name in schema.numeric
    ]
    embedded = [tf.feature_column.embedding_column(*pair) for pair in pairs]
    return [column for column, _ in pairs], numbers + embedded


def create_estimator(
    schema: table.Schema, statistics: Statistics, model_dir: Path, steps: int
) -> Any:
    """Create the canned estimator for the task."""
    linear, deep = feature_columns(schema, statistics)
    config = tf.estimator.RunConfig(
        model_dir=str(model_dir),
        tf_random_seed=SEED,
        save_checkpoints_steps=steps,
        save_summary_steps=steps,
        log_step_count_steps=1_000,
    )
    common = {
        "linear_feature_columns": linear,
        "linear_optimizer": tf.keras.optimizers.legacy.Ftrl(LEARNING_RATE),
        "dnn_feature_columns": deep,
        "dnn_optimizer": tf.keras.optimizers.legacy.Adagrad(LEARNING_RATE),
        "dnn_hidden_units": list(table.HIDDEN_UNITS),
        "config": config,
    }
    if not schema.binary:
        return tf.estimator.DNNLinearCombinedRegressor(**common)
    # The second of the two classes is the one whose probability is predicted.
    classes = sorted(statistics.values[schema.label], key=lambda label: label == schema.positive)
    return tf.estimator.DNNLinearCombinedClassifier(label_vocabulary=classes, **common)


class TrainingClock(tf.estimator.SessionRunHook):
    """Records when the last training step ended, because evaluation and export follow immediately."""

    def __init__(self) -> None:
        self.seconds_at_end = 0.0

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.seconds_at_end = table.seconds_since_start()


def serving_inputs(schema: table.Schema) -> Callable[[], Any]:
    """Return the template's JSON serving function: one placeholder for each raw feature."""

    def receive() -> Any:
        inputs = {
            name: tf.compat.v1.placeholder(
                tf.float32 if name in schema.numeric else tf.string, [None], name=f"input_{index}"
            )
            for index, name in enumerate(schema.columns)
        }
        features = {name: tf.expand_dims(values, -1) for name, values in inputs.items()}
        return tf.estimator.export.ServingInputReceiver(features, inputs)

    return receive


def train(options: Any, schema: table.Schema, statistics: Statistics) -> tuple[Any, float]:
    """Train, evaluate and export; return the estimator and the end time of training."""
    steps = math.ceil(statistics.rows * options.epochs / BATCH_ROWS)
    estimator = create_estimator(schema, statistics, options.output / "checkpoints", steps)
    clock = TrainingClock()
    tf.estimator.train_and_evaluate(
        estimator,
        tf.estimator.TrainSpec(input_function(schema, options.train, True), steps, hooks=[clock]),
        # One step: the exact metric below replaces the template's complete evaluation.
        tf.estimator.EvalSpec(
            input_function(schema, options.test, False),
            steps=1,
            exporters=[tf.estimator.FinalExporter("estimate", serving_inputs(schema))],
            start_delay_secs=0,
            throttle_secs=0,
        ),
    )
    return estimator, clock.seconds_at_end


def predictions(schema: table.Schema, estimator: Any, path: Path) -> np.ndarray:
    """Predict the test file, a batch at a time."""
    key = "logistic" if schema.binary else "predictions"
    batches: Iterator[dict[str, np.ndarray]] = estimator.predict(
        input_function(schema, path, False), predict_keys=[key], yield_single_examples=False
    )
    return np.concatenate([batch[key].ravel() for batch in batches])


def main() -> None:
    import_seconds = table.seconds_since_start()
    options = table.parser(__doc__).parse_args()
    schema = table.read_schema(options.schema)
    started = table.seconds_since_start()
    statistics = read_statistics(schema, options.train)
    estimator, ended = train(options, schema, statistics)
    predicted = predictions(schema, estimator, options.test)
    table.report(
        rows=statistics.rows,
        epochs=options.epochs,
        metric=table.metric(schema, table.read_labels(schema, options.test), predicted),
        import_seconds=import_seconds,
        train_seconds=ended - started,
    )


if __name__ == "__main__":
    main()
