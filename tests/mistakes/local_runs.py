"""Mistakes that show when a job or a study runs on this machine."""

from tests.mistakes.changes import (
    LAYERS,
    LOOP,
    MODEL,
    Mistake,
    Plant,
    last,
    local,
    swap,
)

SHORT_STUDY = ("--local", "--trials", "1", "--max-steps", "20")
WORDS = 'def words():\n    with open("trainer/words.txt") as file:\n        return file.read()'

WHAT = {
    4: "a data file that the code opens does not travel",
    26: "output written elsewhere than the job's output",
}

PLANTS: tuple[Plant, ...] = ()

RUNS: tuple[Mistake, ...] = (
    local("4", LAYERS, last(WORDS), "words.txt"),
    local("26", LOOP, swap("        self.trainer.check_same_weights()\n", '        self.trainer.check_same_weights()\n        open("weights.bin", "w").close()\n'), "wrote 'weights.bin' into its working folder"),
    local("26 the model itself", MODEL, swap("model, schema, statistics, model_dir, replicas", 'model, schema, statistics, Path("model"), replicas'), "training has exported no model"),
)  # fmt: skip
