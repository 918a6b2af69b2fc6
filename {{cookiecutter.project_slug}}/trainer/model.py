"""The model, from prepared rows to the serving signature: data, network, loss, training, export."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from trainer.data.expressions import columns_read
from trainer.data.schema import Schema
from trainer.data.shards import Split
from trainer.data.statistics import (
    MISSING_CODE,
    UNSEEN_CODE,
    Label,
    Statistics,
    vocabulary_codes,
    write_statistics,
)
from trainer.data.thresholds import CONSTANT, DEFAULT, TEMPERATURE
from trainer.run.errors import UserError
from trainer.serving import SIGNATURE, STATISTICS, TYPED_SIGNATURE, name_inputs, parameter_names
from trainer.settings import Settings
from trainer.training import loop, text_cells
from trainer.training.contract import check_label_domain
from trainer.training.derived import Cells, evaluated
from trainer.training.distribution import Replicas
from trainer.training.layers import (
    Calendar,
    Crosses,
    FirstDense,
    FusedEmbedding,
    Heads,
    MemberDense,
    MemberDropout,
    Periodic,
    PiecewiseLinear,
    WideTable,
    WordMeans,
    fixed_width,
    pairs_to_cross,
)
from trainer.training.linear import linear_baseline, suits_logarithms
from trainer.training.metrics import baseline_of, class_weights
from trainer.training.monitor import RunMonitor
from trainer.training.optimizer import FusedAdamW, Treatment
from trainer.training.train_step import Trainer

WARM_UP_SHARE = 0.1
# The fewest members of an ensemble that two networks share, and the mixtures of waves of a number that the second is given.
FEWEST_MEMBERS_OF_TWO, PERIODIC_UNITS = 4, 4
MOST_BOUNDARIES = {"fast": 24, "default": 64, "best": 256}
FEW_BOUNDARIES, ROWS_PER_BOUNDARY = 24, 200
WORD_DROPOUTS = 3.0  # times the dropout of hidden units: a text has many words to learn by heart
# Each weight of the linear part is updated too rarely to learn at the network's rate.
WIDE_RATE = 3.0
LARGEST_POWER = 60.0  # of e, which float32 still holds
# With this many rows, a code that is rare in a batch is still frequent enough in a run.
ENOUGH_ROWS = 30_000


def train_and_evaluate(
    data_dir: Path,
    model_dir: Path,
    schema: Schema,
    statistics: Statistics,
    settings: Settings,
    monitor: RunMonitor,
    replicas: Replicas,
) -> dict[str, Any]:
    """Train on the prepared shards in `data_dir`, export to `model_dir` and return the final metrics.

    Every process of a job computes them; the chief alone exports. The metrics are those of the test split, if there is
    one; nothing before reads that split.
    """
    limits = (settings.memory_mb, settings.window_groups, replicas.position)
    splits = {name: Split(data_dir / name, schema, *limits) for name in statistics.rows}
    check_label_domain(splits, settings, replicas)
    settings = with_transform(settings, statistics.label, splits, replicas, monitor)
    with replicas.replica_failures_reported(), replicas.strategy.scope():
        model = Model(schema, statistics, settings)
        total_steps = loop.total_steps(splits["train"], settings)
        optimizer = build_optimizer(model.network, settings, statistics.rows["train"], total_steps)
    trainer = Trainer(model, optimizer, settings, replicas)
    run = loop.Run(trainer, splits["train"], splits["eval"], settings, monitor)
    run.resume()
    run.train()
    last = "test" if "test" in splits else "eval"
    label, by_class, calibration = statistics.label, model.class_weights, run.calibrate()
    metrics, sums = run.final_metrics(splits[last])
    linear: dict[str, float] = {}
    if replicas.position.is_chief:
        export(model, schema, statistics, model_dir, replicas.position.is_chief)
        monitor.after_export(trainer, splits[last])
        linear = linear_baseline(schema.task, label, splits["train"], splits[last], by_class)
    return {
        **metrics,
        **calibration,
        "split": last,
        "baseline": baseline_of(schema.task, label, sums, by_class),
        "linear_baseline": linear,
        **run.state.summary(),
    }


def with_transform(
    settings: Settings,
    label: Label,
    splits: Mapping[str, Split],
    replicas: Replicas,
    monitor: RunMonitor,
) -> Settings:
    """Return settings with the transform of a regression's label, unless it is given or another loss than the squared error is."""
    free = settings.target_transform is None and settings.loss == "squared"
    train, test = splits["train"], splits["eval"]
    if not (free and suits_logarithms(label, train, test)):
        return settings
    if min(replicas.gathered(train.smallest_label())) < 0:
        return settings
    monitor.line("label    widely spread: learnt as log(1 + label); --target-transform none")
    return replace(settings, target_transform="log")


class Model:
    """The network, its loss, and its predictions."""

    def __init__(self, schema: Schema, statistics: Statistics, settings: Settings) -> None:
        self.task = schema.task
        self.columns, self.weighted = schema.numeric, statistics.weight is not None
        self.loss, self.in_logs = settings.loss, settings.target_transform == "log"
        self.class_weights = class_weights(settings.class_weights, statistics.label)
        self.center, self.scale = label_scale(statistics.label, settings)
        self.label_mean = statistics.label.mean
        self.output_count = 1 if schema.task == "regression" else len(statistics.label.classes)
        self.threshold, self.temperature = DEFAULT, 1.0
        self.members = settings.ensemble
        self.network = build_network(schema, statistics, settings)

    def losses(self, outputs: Any, labels: Any) -> Any:
        """Return the weighted loss of each row, float32 [rows]; of an ensemble, the mean of its members' losses."""
        weights = 1.0 if self.class_weights is None else tf.gather(self.class_weights, labels)
        if self.members == 1:
            return weights * self.member_losses(outputs, labels)
        flat = tf.reshape(outputs, [-1, outputs.shape[-1]])
        own = self.member_losses(flat, tf.repeat(labels, self.members))
        return weights * tf.reduce_mean(tf.reshape(own, [-1, self.members]), axis=1)

    def member_losses(self, outputs: Any, labels: Any) -> Any:
        """Return cross-entropies, or losses of errors in standard deviations of the label: float32 [rows]."""
        if self.task == "regression":
            return self.number_losses(outputs[:, 0], labels)
        if self.task == "binary":
            return tf.nn.sigmoid_cross_entropy_with_logits(
                tf.cast(labels, tf.float32), outputs[:, 0]
            )
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs)

    def number_losses(self, outputs: Any, labels: Any) -> Any:
        """Return the losses of a regression, float32 [rows]. Huber's grows linearly from one standard deviation on."""
        if self.loss == "poisson":
            return tf.exp(tf.minimum(outputs, LARGEST_POWER)) - labels / self.scale * outputs
        labels = tf.math.log1p(labels) if self.in_logs else labels
        errors = outputs - (labels - self.center) / self.scale
        if self.loss == "absolute":
            return tf.abs(errors)
        if self.loss == "huber":
            return tf.where(tf.abs(errors) < 1, tf.square(errors), 2 * tf.abs(errors) - 1)
        return tf.square(errors)

    def predictions(self, numbers: Any, codes: Any) -> Any:
        """Return probabilities [rows, classes], or predictions [rows, 1] in the label's own unit."""
        outputs = self.network([numbers, codes], training=False)
        if self.members == 1:
            return self.calibrated(self.activate(outputs))
        own = self.activate(tf.reshape(outputs, [-1, outputs.shape[-1]]))
        members = tf.reshape(own, [-1, self.members, self.output_count])
        return self.calibrated(tf.reduce_mean(members, axis=1))

    def calibrated(self, predictions: Any) -> Any:
        """Return probabilities, of an ensemble the mean of its members', at the temperature of the model."""
        if self.temperature == 1.0:
            return predictions
        temperature = tf.constant(self.temperature, tf.float32, name=TEMPERATURE)
        return tf.nn.softmax(tf.math.log(predictions) / temperature)

    def activate(self, outputs: Any) -> Any:
        """Return the predictions of outputs of the network, [rows, outputs]."""
        if self.task == "regression":
            if self.loss == "poisson":
                return tf.exp(tf.minimum(outputs, LARGEST_POWER)) * self.scale
            numbers = outputs * self.scale + self.center
            return tf.math.expm1(tf.minimum(numbers, LARGEST_POWER)) if self.in_logs else numbers
        if self.task == "multiclass":
            return tf.nn.softmax(outputs)
        return tf.concat([tf.sigmoid(-outputs), tf.sigmoid(outputs)], axis=1)


def label_scale(label: Label, settings: Settings) -> tuple[float, float]:
    """Return what the network's output 0 stands for, and its unit; of logarithms, those of a log-normal label."""
    if settings.loss == "poisson":
        return 0.0, label.mean or 1.0
    if settings.target_transform != "log":
        return label.mean, label.deviation
    variance = math.log1p((label.deviation / (1 + label.mean)) ** 2)
    return math.log1p(label.mean) - variance / 2, math.sqrt(variance) or 1.0


def build_network(schema: Schema, statistics: Statistics, settings: Settings) -> Any:
    """Return the wide-and-deep network as a Keras model.

    Inputs: numbers float32 [rows, numeric] (NaN where missing) and codes int32 [rows, codes]. Output float32 [rows,
    outputs], or [rows, members, outputs] of an ensemble: logits, or the label in standard deviations from its mean.
    """
    outputs = len(statistics.label.classes) if schema.task == "multiclass" else 1
    numbers = keras.Input((len(schema.numeric),), name="numbers")
    codes = keras.Input((schema.code_width,), dtype="int32", name="codes")
    counts, coded = statistics.code_counts(), len(schema.coded)
    deep, wide = [], []
    if schema.numeric:
        encoded = PiecewiseLinear(boundaries_of(statistics, settings))(numbers)
        deep.append(encoded)
        wide.append(
            keras.layers.Dense(outputs, use_bias=False, kernel_initializer="zeros")(encoded)
        )
    if schema.dates:
        waves = Calendar(len(schema.numeric) - len(schema.dates))(numbers)
        deep.append(waves)
        wide.append(keras.layers.Dense(outputs, use_bias=False, kernel_initializer="zeros")(waves))
    if schema.coded:
        known = codes[:, :coded] if schema.texts else codes
        embedded = FusedEmbedding(counts[:coded], settings.embedding_size, deviation=0.1)(known)
        deep.append(keras.layers.Flatten()(embedded))
        wide.append(wide_part(known, counts[:coded], statistics.rows["train"], outputs))
    if schema.texts:
        dropout = min(WORD_DROPOUTS * settings.dropout, 0.5)
        means = WordMeans(counts[coded:], schema.text_words, settings.embedding_size, dropout)
        deep.append(means(codes[:, coded:]))
    if has_two_networks(schema, settings):
        waves = Periodic(boundaries_of(statistics, settings), PERIODIC_UNITS)(numbers)
        hidden = two_networks(concatenated(deep), concatenated([*deep, waves]), settings)
    else:
        hidden = hidden_layers(concatenated(deep), settings)
    if settings.ensemble > 1:
        wide = [keras.layers.Reshape((1, outputs))(part) for part in wide]
        scores = Heads(outputs)(hidden)
    else:
        scores = keras.layers.Dense(outputs)(hidden)
    return keras.Model([numbers, codes], keras.layers.Add()([scores, *wide]))


def concatenated(parts: Sequence[Any]) -> Any:
    return keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]


def has_two_networks(schema: Schema, settings: Settings) -> bool:
    """Return whether quality `best` has a second network; of two classes both would learn the same."""
    if schema.task == "binary" or not schema.numeric:
        return False
    return settings.quality == "best" and settings.ensemble >= FEWEST_MEMBERS_OF_TWO


def two_networks(inputs: Any, more_inputs: Any, settings: Settings) -> Any:
    """Return the last hidden layers, [rows, members, units], of two networks that share an ensemble: they differ more than its members do."""
    half = settings.ensemble // 2
    sizes = (settings.ensemble - half, half)
    networks = [
        hidden_layers(each, replace(settings, ensemble=members))
        for each, members in zip((inputs, more_inputs), sizes, strict=True)
    ]
    return keras.layers.Concatenate(axis=1)(networks)


def boundaries_of(statistics: Statistics, settings: Settings) -> list[tuple[float, ...]]:
    """Return the boundaries of each numeric column, evenly chosen ones where the quality, or the rows, ask for fewer."""
    of_rows = max(FEW_BOUNDARIES, statistics.rows["train"] // ROWS_PER_BOUNDARY)
    most = min(of_rows, MOST_BOUNDARIES[settings.quality])
    columns = [column.boundaries for column in statistics.numeric.values()]
    return [
        tuple(edges[each * (len(edges) - 1) // (count - 1)] for each in range(count))
        for edges, count in ((edges, min(len(edges), most)) for edges in columns)
    ]


def hidden_layers(hidden: Any, settings: Settings) -> Any:
    """Return the last hidden layer on float32 [rows, width]: [rows, units], or [rows, members, units] of an ensemble."""
    is_ensemble = settings.ensemble > 1
    dropout = MemberDropout if is_ensemble else keras.layers.Dropout
    for number, units in enumerate(settings.hidden_units):
        if number > 0:
            dense = keras.layers.Dense(units, kernel_initializer="he_normal")
        elif is_ensemble:
            dense = MemberDense(settings.ensemble, units, fixed_width(hidden))
        else:
            dense = FirstDense(units, fixed_width(hidden))
        hidden = keras.layers.ReLU()(dense(hidden))
        hidden = dropout(settings.dropout)(hidden)
    return hidden


def wide_part(codes: Any, counts: Sequence[int], rows: int, outputs: int) -> Any:
    """Return the linear part: a weight per code, and per pair of codes where rows suffice to learn it."""
    pairs = pairs_to_cross(counts, rows)
    all_counts = [*counts, *(counts[left] * counts[right] for left, right in pairs)]
    weights = WideTable(all_counts, outputs)(Crosses(pairs, counts)(codes))
    return keras.ops.sum(weights, axis=1)


def build_optimizer(network: Any, settings: Settings, rows: int, total_steps: int) -> Any:
    """Return AdamW under a cosine schedule with warm-up; the weights of tables and biases do not decay."""
    warm_up = max(1, round(WARM_UP_SHARE * total_steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        max(1, total_steps - warm_up),
        warmup_target=settings.learning_rate,
        warmup_steps=warm_up,
    )
    optimizer = FusedAdamW(schedule, treatments(network, settings, rows))
    optimizer.build(network.trainable_variables)
    return optimizer


def treatments(network: Any, settings: Settings, rows: int) -> list[Treatment]:
    """Return how each trainable variable is updated, in their order, by the layer that owns it.

    The kernel of a layer decays, and the linear part moves faster but with more evidence.
    """
    wide = Treatment(WIDE_RATE, epsilon=min(1.0, ENOUGH_ROWS / rows) / settings.batch_size)
    kernel = Treatment(decay=settings.weight_decay)
    special = {}
    for layer in network._flatten_layers():  # those inside other layers too
        if isinstance(layer, WideTable):
            special[id(layer.table)] = wide
        elif getattr(layer, "kernel", None) is not None:
            special[id(layer.kernel)] = kernel
    return [special.get(id(variable), Treatment()) for variable in network.trainable_variables]


class Serving(tf.Module):  # type: ignore[misc]
    """The model on raw columns: text and numbers as in the table, each of shape [rows]."""

    def __init__(self, model: Model, schema: Schema, statistics: Statistics) -> None:
        super().__init__()
        self.model = model
        self.schema = schema
        self.classes = tf.constant(statistics.label.classes, tf.string)
        self.parameters = parameter_names((*schema.raw.used, *schema.expressions))
        self.hashed = statistics.hashed
        self.tables = {
            self.parameters[name]: code_table(statistics.vocabularies.get(name, ()), schema)
            for name in schema.coded
        }
        # A SavedModel holds what it finds on this object. Keras's own objects would be exported beside the variables that the
        # graph reads, which servers then cannot restore.
        self.weights = [variable.value for variable in model.network.variables]

    def inputs(self, signature: str) -> dict[str, Any]:
        """Return the type of each input by parameter name, shape [rows]: string, or that of numbers in `typed`.

        Numbers are float32, or float64 where an expression reads them, so that it computes as preparation does.
        """
        read, raw = columns_read(self.schema.expressions), self.schema.raw
        numeric = raw.of_kind("numeric") if signature == TYPED_SIGNATURE else ()
        types = {name: tf.float64 if name in read else tf.float32 for name in numeric}
        return {
            self.parameters[name]: tf.TensorSpec(
                [None], types.get(name, tf.string), self.parameters[name]
            )
            for name in raw.used
        }

    def encoded(self, columns: dict[str, Any]) -> tuple[Any, Any]:
        """Return numbers, float32 [rows, numeric], and codes, int32 [rows, codes], of raw columns."""
        rows = tf.shape(next(iter(columns.values())))[0]
        columns = columns | self.derived(columns)
        codes = self.codes(columns) if self.schema.coded else tf.zeros([rows, 0], tf.int32)
        return (
            self.numbers(columns) if self.schema.numeric else tf.zeros([rows, 0]),
            tf.concat([codes, *(self.words(columns, name) for name in self.schema.texts)], 1),
        )

    def derived(self, columns: dict[str, Any]) -> dict[str, Any]:
        """Return the derived columns, [rows], by parameter name."""
        trees, names = self.schema.expressions, self.parameters
        cells = {name: self.cells(name, columns) for name in columns_read(trees)}
        return {names[name]: evaluated(tree, cells).column for name, tree in trees.items()}

    def cells(self, name: str, columns: dict[str, Any]) -> Cells:
        """Return the cells of a column of the table as an expression reads them."""
        given = columns[self.parameters[name]]
        if name in self.schema.raw.textual:
            held = text_cells.value(given)
            return Cells(held, ~text_cells.is_missing(held, self.schema.markers))
        numbers = text_cells.read(given, name, self.schema, tf.float64)
        return Cells(numbers, ~tf.math.is_nan(numbers))

    def numbers(self, columns: dict[str, Any]) -> Any:
        """Return the numbers, float32 [rows, numeric], of columns of numbers or text: what `prepare` wrote for the same cells."""
        schema, parameters = self.schema, self.parameters
        # Thousands of columns then need few operations.
        alike: dict[tuple[Any, ...], list[str]] = {}
        for name in schema.numeric:
            how = (name in schema.day_first, name in schema.derived)
            key = (schema.columns[name], schema.units.get(name), *how)
            alike.setdefault((columns[parameters[name]].dtype, *key), []).append(name)
        read = []
        for names in alike.values():
            cells = tf.stack([columns[parameters[name]] for name in names], axis=1)
            read.append(text_cells.read(cells, names[0], schema))
        order = [name for names in alike.values() for name in names]
        return tf.gather(tf.concat(read, 1), [*map(order.index, schema.numeric)], axis=1)

    def codes(self, columns: dict[str, Any]) -> Any:
        """Return the codes, int32 [rows, coded], of the columns' text: what `prepare` wrote for the same text."""
        texts = tf.stack([columns[self.parameters[name]] for name in self.schema.coded], axis=1)
        codes = self.codes_of(texts)
        # An unseen cell may be another form of a value, which a hash never shows; to read all as values costs too much.
        unsure = (codes == UNSEEN_CODE) | [name in self.hashed for name in self.schema.coded]
        cells, rows = tf.where(unsure), tf.where(tf.reduce_any(unsure, axis=1))
        values = text_cells.value(tf.gather_nd(texts, cells))
        texts = tf.gather_nd(tf.tensor_scatter_nd_update(texts, cells, values), rows)
        return tf.tensor_scatter_nd_update(codes, rows, self.codes_of(texts))

    def codes_of(self, texts: Any) -> Any:
        """Return the codes, int32 [rows, coded], of text that is the value of its cell."""
        columns = tf.unstack(texts, axis=1)
        codes = [self.code(*each) for each in zip(self.schema.coded, columns, strict=True)]
        return tf.stack(codes, axis=1)

    def code(self, name: str, text: Any) -> Any:
        """Return the codes, int32 [rows], of one column's text."""
        codes = self.tables[self.parameters[name]].lookup(text)
        if name not in self.hashed:
            return codes
        buckets = tf.cast(tf.strings.to_hash_bucket_fast(text, self.hashed[name]), tf.int32)
        return tf.where(codes == MISSING_CODE, codes, 1 + buckets)

    def words(self, columns: dict[str, Any], name: str) -> Any:
        """Return the codes, int32 [rows, words], of one column of free text."""
        text = columns[self.parameters[name]]
        words = text_cells.words(text, self.schema.markers, self.schema.text_words)
        buckets = tf.strings.to_hash_bucket_fast(words, self.hashed[name])
        return tf.where(words == "", 0, 1 + tf.cast(buckets, tf.int32))

    def predict(self, **columns: Any) -> dict[str, Any]:
        """Return `probability` of the positive class, `probabilities` or `prediction`, and the `label` of a class."""
        predictions = self.model.predictions(*self.encoded(columns))
        if self.schema.task == "regression":
            return {"prediction": predictions[:, 0]}
        code = tf.argmax(predictions, axis=1)
        if self.schema.task == "multiclass":
            return {"probabilities": predictions, "label": tf.gather(self.classes, code)}
        threshold = tf.constant(self.model.threshold, tf.float64, name=CONSTANT)
        above = tf.cast(tf.cast(predictions[:, 1], tf.float64) > threshold, tf.int64)
        # At 0.5 the more probable class, although two rounded probabilities may not add up to 1.
        code = tf.where(threshold == DEFAULT, code, above)
        return {"probability": predictions[:, 1], "label": tf.gather(self.classes, code)}


def code_table(vocabulary: Sequence[str], schema: Schema) -> Any:
    """Return the lookup from text to code: missing markers, then the vocabulary, and anything else is unseen."""
    codes = vocabulary_codes(vocabulary) | dict.fromkeys(schema.markers, MISSING_CODE)
    entries = tf.lookup.KeyValueTensorInitializer(
        list(codes), list(codes.values()), tf.string, tf.int32
    )
    return tf.lookup.StaticHashTable(entries, default_value=UNSEEN_CODE)


def export(
    model: Model, schema: Schema, statistics: Statistics, model_dir: Path, is_chief: bool
) -> None:
    """Write the SavedModel with the signatures `serving_default` and `typed` on the raw columns, under their own names.

    The statistics of the training rows go with it, so that `predict` can compare other rows with them.
    Raises `UserError` on a replica that is not the chief: all replicas have the same outputs.
    """
    if not is_chief:
        raise UserError(
            "a replica that is not the chief is about to write the model",
            "the chief alone to write, because all replicas have the same outputs",
            "export where `replicas.position.is_chief` holds, as in trainer/model.py",
        )
    serving = Serving(model, schema, statistics)
    predict = tf.function(serving.predict, autograph=False)
    signatures = {
        name: predict.get_concrete_function(**serving.inputs(name))
        for name in (SIGNATURE, TYPED_SIGNATURE)
    }
    tf.saved_model.save(serving, str(model_dir), signatures=signatures)
    name_inputs(model_dir, {name: serving.parameters[name] for name in schema.raw.used})
    write_statistics(statistics, model_dir / STATISTICS)
