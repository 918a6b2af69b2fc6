"""Mistakes in the training: replicas, loss, serving, resuming."""

from tests.mistakes.changes import (
    JOB,
    LOOP,
    MODEL,
    Mistake,
    Plant,
    key,
    local,
    swap,
    together,
)
from tests.sessions import Change

TASK, METRICS = "trainer/task.py", "trainer/training/metrics.py"
SHARDS = "trainer/data/shards.py"


def returned(text: str) -> Change:
    """Return a change of what metrics_of returns."""
    return swap("    return metrics\n\n\ndef mean_error", f"    return {text}\n\n\ndef mean_error")


ENDED = """\
        if self.trainer.replicas.position.index == 1:
            import os
            os._exit(9)
        self.trainer.check_same_weights()
"""

WHAT = {
    27: "more than one replica writes the model",
    28: "each replica trains on all the data",
    29: "a run that cannot resume",
    30: "a loss that is not finite",
    31: "serving predicts otherwise than training",
    32: "a replica dies and the others wait",
    60: "an exported model that another process cannot use",
    61: "a run that ends before it has finished, or without a model",
    62: "a loss of the wrong shape or type, or that mixes rows",
    63: "a weight that the loss does not depend on",
    64: "predictions that are no probabilities, or change with chance or the batch",
    66: "a result no better than a constant or a linear model",
    67: "a metric that is not a finite number",
    65: "a layer with which several replicas train otherwise than one",
}

PLANTS: tuple[Plant, ...] = ()

RUNS: tuple[Mistake, ...] = (
    together("27", MODEL, swap("if replicas.position.is_chief:\n        export", "if True:\n        export"), "is about to write the model"),
    together("28", SHARDS, swap("return range(first, last)", "return range(len(groups))"), "the replicas trained on"),
    together("28 overlapping parts", SHARDS, swap("for number in (index, index + 1)", "for number in (0, index + 1)"), "the replicas trained on"),
    local("30", JOB, key("learning_rate", "1e30"), "the loss is"),
    local("31", MODEL, swap("map(order.index, schema.numeric)", "map(order.index, schema.numeric[::-1])"), "predictions of the exported model differ"),
    local("31 codes that are off by one", MODEL, swap("vocabulary_codes(vocabulary)", "vocabulary_codes(vocabulary[1:])"), "predictions of the exported model differ"),
    together("32", LOOP, swap("        self.trainer.check_same_weights()\n", ENDED), "worker 0 ended with exit code 9"),
    local("60", MODEL, swap('return {"probability": predictions[:, 1],', 'score = tf.py_function(lambda x: x, [predictions[:, 1]], tf.float32)\n        return {"probability": score,'), "it calls EagerPyFunc"),
    local("60 NumPy", MODEL, swap("code = tf.argmax(predictions, axis=1)", 'import numpy as np\n        code = tf.numpy_function(lambda x: np.argmax(x, axis=1), [predictions], tf.int64)'), "it calls PyFunc"),
    local("60 log-odds", MODEL, swap('{"probability": predictions[:, 1],', '{"probability": tf.math.log(predictions[:, 1] / predictions[:, 0]),'), "expected numbers from 0 to 1"),
    local("60 not a number", MODEL, swap('{"probability": predictions[:, 1],', '{"probability": predictions[:, 1] * float("nan"),'), "predicts nan; expected finite numbers"),
    local("60 another name", MODEL, swap('{"probability": predictions[:, 1],', '{"score": predictions[:, 1],'), "expected the output 'probability'"),
    local("61", MODEL, swap("        export(model,", "        import sys\n        sys.exit(0)\n        export(model,"), "ends the process with sys.exit(0)"),
    local("61 exit code", MODEL, swap("        export(model,", "        raise SystemExit(3)\n        export(model,"), "ends the process with sys.exit(3)"),
    local("61 out of memory", MODEL, swap("        export(model,", "        import os\n        os.kill(os.getpid(), 9)\n        export(model,"), "training was killed by signal 9"),
    local("61 os._exit", LOOP, swap("        self.trainer.use_best()\n", "        self.trainer.use_best()\n        import os\n        os._exit(0)\n"), "exit code 0 before it had finished"),
    local("61 no export", MODEL, swap("        export(model, schema, statistics, model_dir, replicas.position.is_chief)\n", ""), "training has exported no model"),
    local("61 returns", TASK, swap("    with sole_run(outputs, position.is_chief):\n", "    return 0\n    with sole_run(outputs, position.is_chief):\n"), "exit code 0 before it had finished"),
    local("61 no metrics", MODEL, swap("    return {\n        **metrics,\n", "    _ = {\n        **metrics,\n"), "train_and_evaluate in trainer/model.py returns None; expected a dict"),
    local("61 other metrics", MODEL, swap("    return {\n        **metrics,\n", "    return metrics\n    _ = {\n        **metrics,\n"), "expected a dict of numbers, text, lists and dicts with auc, baseline"),
    local("62", MODEL, swap("own = self.member_losses(flat, tf.repeat(labels, self.members))", "own = tf.square(tf.sigmoid(flat) - tf.cast(tf.repeat(labels, self.members), tf.float32))"), "returns float32 [32768]; expected float32 [64]"),
    local("62 the mean", MODEL, swap("self.members]), axis=1)\n\n", "self.members]))\n\n"), "returns float32 []; expected float32 [64]"),
    local("62 float64", MODEL, swap("return weights * tf.reduce_mean(tf.reshape(own, [-1, self.members]), axis=1)\n\n", "return tf.cast(tf.reduce_mean(tf.reshape(own, [-1, self.members]), axis=1), tf.float64)\n\n"), "returns float64 [64]"),
    local("62 weights of the batch", MODEL, swap("self.members]), axis=1)\n\n", "self.members]), axis=1) / tf.reduce_sum(tf.cast(1 + labels, tf.float32))\n\n"), "other values for the same rows"),
    local("62 no labels", MODEL, swap("tf.cast(labels, tf.float32), outputs[:, 0]\n", "tf.cast(outputs[:, 0] > 0, tf.float32), outputs[:, 0]\n"), "ignores the labels"),
    local("63", MODEL, swap("return weights * tf.reduce_mean(tf.reshape(own, [-1, self.members]), axis=1)\n\n", "import numpy as np\n        return np.abs(tf.reduce_mean(tf.reshape(own, [-1, self.members]), axis=1))\n\n"), "does not depend on the weights"),
    local("63 a layer beside", MODEL, swap("keras.layers.Add()([scores, *wide])", "keras.layers.Add()([scores, keras.ops.stop_gradient(keras.layers.Dense(outputs)(hidden)), *wide])"), "which would never be trained"),
    local("63 rounded", MODEL, swap("keras.layers.Add()([scores, *wide])", "keras.layers.Add()([keras.ops.round(scores), *wide])"), "which would never be trained"),
    local("63 a variable of its own", MODEL, swap("        self.network = build_network(", "        self.scale, own = tf.Variable(1.0, name='scale'), self.member_losses\n        self.member_losses = lambda *given: self.scale * own(*given)\n        self.network = build_network("), "reads the variable scale:0 [], which is no weight"),
    local("64", MODEL, swap("return tf.concat([tf.sigmoid(-outputs), tf.sigmoid(outputs)], axis=1)", "return tf.concat([-outputs, outputs], axis=1)"), "expected a probability from 0 to 1"),
    local("64 softmax twice", MODEL, swap('kernel_initializer="zeros")(encoded)\n', 'kernel_initializer="zeros")(encoded)\n        )\n        wide.append(\n            keras.layers.Dense(outputs, activation="sigmoid")(encoded)\n'), "applies it again"),
    local("64 dropout on", MODEL, swap("training=False", "training=True"), "other values for the same rows"),
    local("64 of the batch", MODEL, swap("own = self.activate(tf.reshape(outputs,", "own = self.activate(tf.reshape(outputs - tf.reduce_mean(outputs),"), "other values for the same rows"),
    together("65", MODEL, swap("hidden = dropout(settings.dropout)(hidden)", "hidden = keras.layers.BatchNormalization()(hidden)"), "use LayerNormalization"),
    local("66", MODEL, swap("        hidden = dropout(", "        hidden = 0.0 * hidden\n        hidden = dropout("), "of a linear model", "warning"),
    local("66 a rate too low", JOB, key("learning_rate", "1e-9"), "which predicting the same for every row gives", "warning"),
    local("66 overconfident", MODEL, swap("tf.sigmoid(-outputs), tf.sigmoid(outputs)", "tf.sigmoid(-90 * outputs), tf.sigmoid(90 * outputs)"), "test loss", "warning"),
    local("67", METRICS, returned('{**metrics, "auc": float("nan")}'), "the metric auc is nan at step"),
    local("67 text", METRICS, returned('{**metrics, "threshold": "half"}'), "the metric threshold is 'half' at step"),
    local("67 missing", METRICS, returned('{"roc_auc": metrics.pop("auc", 0.0), **metrics}'), "the metric auc is missing at step"),
    local("67 another metric", METRICS, returned('{"lift": float("inf"), **metrics}'), "the metric lift is inf at step", "warning"),
)  # fmt: skip
