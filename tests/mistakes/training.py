"""Mistakes in the training: replicas, loss, serving, resuming."""

from tests.mistakes.changes import (
    JOB,
    LOOP,
    MODEL,
    TRAIN_STEP,
    Mistake,
    Plant,
    key,
    local,
    swap,
    together,
)

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
}

PLANTS: tuple[Plant, ...] = ()

RUNS: tuple[Mistake, ...] = (
    together("27", MODEL, swap("if replicas.position.is_chief:\n        signature", "if True:\n        signature"), "is about to write the model"),
    together("28", TRAIN_STEP, swap("own = batch[size * replica // replicas : size * (replica + 1) // replicas]", "own = batch"), "the replicas trained on"),
    together("28 overlapping parts", TRAIN_STEP, swap("size * (replica + 1) // replicas]", "size]"), "the replicas trained on"),
    local("30", JOB, key("learning_rate", "1e30"), "the loss is"),
    local("31", MODEL, swap("tf.stack(numbers, axis=1) if numbers", "tf.stack(numbers[::-1], axis=1) if numbers"), "predictions of the exported model differ"),
    local("31 codes that are off by one", MODEL, swap("vocabulary_codes(vocabulary)", "vocabulary_codes(vocabulary[1:])"), "predictions of the exported model differ"),
    together("32", LOOP, swap("        self.trainer.check_same_weights()\n", ENDED), "worker 0 ended with exit code 9"),
)  # fmt: skip
