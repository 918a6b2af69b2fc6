"""The catalogue of mistakes: each with the command that catches it, how it is planted, and words of the message.

What `nox -s check` catches in a file of the project is planted in tests/test_checks.py, with its kin. The others are here:
they need data, a run, or the bucket.
"""

import random
from dataclasses import dataclass
from pathlib import Path

from tests.test_checks import JOB, LAYERS, Change, key, last, swap

MODEL, LEARNER, LOOP, FEATURES = (
    f"trainer/{name}.py" for name in ("model", "learner", "loop", "features")
)
SHORT = ("--max-steps", "60")
PAIR = (
    '[tiers.PAIR.chief]\nmachine = "n1-standard-4"\n[tiers.PAIR.worker]\nmachine = "n1-standard-4"\n'
    "replicas = 1"
)
SHORT_STUDY = ("--local", "--trials", "1", "--max-steps", "20")
TOGETHER = ("--scale-tier", "PAIR", "--epochs", "2")


@dataclass(frozen=True)
class Mistake:
    """A mistake of the catalogue that is caught by a command other than `check`, or beside it."""

    number: int
    what: str
    session: str
    arguments: tuple[str, ...]
    file: str
    change: Change
    words: str
    kin: str = ""
    """What makes it another than the first of its number."""


WHAT = {
    1: "`__init__.py` missing",
    2: "a package imported that `setup.py` does not declare",
    3: "`import model` instead of a package import",
    4: "a data file that the code opens does not travel",
    5: "another TensorFlow than the runtime's",
    6: "syntax or module newer than the runtime's Python",
    7: "no such module, or none that starts",
    8: "code runs on import",
    9: "an argument that `task.py` does not know, or of the wrong type",
    10: "a study parameter that is no flag, or has a value that its flag refuses",
    11: "the study's metric is never reported",
    12: "too many arguments or variables; a label or name that Google refuses",
    13: "a region that offers no training",
    14: "a machine or accelerator that cannot be had so",
    15: "an accelerator that has ended",
    16: "TPU, spot and flex-start in a way they are not offered",
    17: "an image past its end, or of the wrong kind",
    18: "a tier or duration that is none",
    19: "a bucket's name that Google refuses",
    20: "the bucket is missing, or not yours to read or write",
    21: "the bucket is multi-region",
    22: "the bucket lies in another region",
    23: "a path that only this machine has",
    24: "columns, label or split that do not fit the table",
    25: "the order of the file's columns has changed",
    26: "output written elsewhere than the job's output",
    27: "more than one replica writes the model",
    28: "each replica trains on all the data",
    29: "a run that cannot resume",
    30: "a loss that is not finite",
    31: "serving answers otherwise than training",
    32: "a replica dies and the others wait",
}


def local(
    number: int,
    file: str,
    change: Change,
    words: str,
    kin: str = "",
    arguments: tuple[str, ...] = SHORT,
) -> Mistake:
    """Return a mistake that `nox -s local_train` catches."""
    return Mistake(number, WHAT[number], "local_train", arguments, file, change, words, kin)


def together(number: int, file: str, change: Change, words: str, kin: str = "") -> Mistake:
    """Return one that `nox -s local_train` catches with a tier of two replicas."""
    return local(number, file, change, words, kin, TOGETHER)


def without(name: str) -> Change:
    """Return a change that removes a column from features.py."""
    return lambda text: "".join(line for line in text.splitlines(True) if f'"{name}": ' not in line)


def shuffled_columns(project: Path) -> Change:
    """Return a change that has job.toml name the census sample with its columns in another order."""
    import gzip

    rows = gzip.decompress((project / "data" / "adult.data.gz").read_bytes()).decode().splitlines()
    order = random.Random(1).sample(range(15), 15)
    lines = [[row.split(", ")[place] for place in order] for row in rows if row.count(", ") == 14]
    path = project.parent / "shuffled.csv"
    path.write_text("".join(", ".join(cells) + "\n" for cells in lines), encoding="utf-8")
    return swap("data/adult.data.gz", str(path))


ENDED = "import os\n    os._exit(9)"
WORDS = 'def words():\n    with open("trainer/words.txt") as file:\n        return file.read()'

LOCAL: tuple[Mistake, ...] = (
    local(4, LAYERS, last(WORDS), "words.txt"),
    Mistake(11, WHAT[11], "tune", SHORT_STUDY, JOB, key("metric", '"acu"'), "metric is acu, and a run reported auc"),
    local(24, FEATURES, without("age"), "has a column 'age' that trainer/features.py does not name"),
    local(24, FEATURES, swap('"age": ', '"agee": '), "did you mean 'age'?", "a column that is not there"),
    local(24, FEATURES, swap('"workclass": "categorical"', '"workclass": "numeric"'), "is not a finite number", "another type"),
    local(24, JOB, key("eval_share", "0.0"), "the eval split has no rows", "an empty split"),
    local(26, LOOP, swap("    learner.check_equal()\n", '    learner.check_equal()\n    open("weights.bin", "w").close()\n'), "wrote 'weights.bin' into its working folder"),
    local(26, MODEL, swap("export(model, schema, statistics, model_dir)", 'export(model, schema, statistics, Path("model"))'), "into its working folder", "the model itself"),
    together(27, MODEL, swap("if replicas.place.is_chief:\n        signature", "if True:\n        signature"), "is about to write the model"),
    together(28, LEARNER, swap("own = rows[count * part // parts : count * (part + 1) // parts]", "own = rows"), "the replicas trained on"),
    together(28, LEARNER, swap("(part + 1) // parts]\n        return self.step(", "parts // parts]\n        return self.step("), "the replicas trained on", "overlapping parts"),
    local(30, JOB, key("learning_rate", "1e30"), "the loss is"),
    local(31, MODEL, swap("tf.stack(numbers, axis=1) if numbers", "tf.stack(numbers[::-1], axis=1) if numbers"), "the exported model answers"),
    local(31, MODEL, swap("FIRST_VALUE_CODE + position for position", "FIRST_VALUE_CODE + 1 + position for position"), "the exported model answers", "codes that are off by one"),
    together(32, LOOP, swap("    learner.check_equal()\n", f"    if learner.replicas.place.index == 1:\n        {ENDED.replace(chr(10) + '    ', chr(10) + '        ')}\n    learner.check_equal()\n"), "worker 0 ended with exit code 9"),
)  # fmt: skip
