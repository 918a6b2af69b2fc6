"""The catalogue of mistakes: each with the command that catches it, how it is planted, and words of the message.

`PLANTS` are those that `nox -s check` catches in a file of the project, each with variants; `LOCAL` are those that need data,
a run, or the bucket.
"""

import random
import re
from dataclasses import dataclass
from pathlib import Path

from tests.sessions import Change

Plant = tuple[str, str, Change, str]


def put(text: str) -> Change:
    return lambda _: text


def first(text: str) -> Change:
    """Return a change that puts a line before all others."""
    return lambda before: f"{text}\n{before}"


def last(text: str) -> Change:
    """Return a change that adds lines."""
    return lambda before: f"{before}\n{text}\n"


def key(name: str, value: str) -> Change:
    """Return a change that gives a key of job.toml another value."""
    return lambda before: re.sub(rf"(?m)^{name} = .*$", lambda _: f"{name} = {value}", before)


def under(section: str, lines: str) -> Change:
    """Return a change that adds lines to a section of job.toml."""
    return lambda before: before.replace(f"[{section}]\n", f"[{section}]\n{lines}\n")


def swap(old: str, new: str) -> Change:
    return lambda before: before.replace(old, new)


def chief(lines: str) -> Change:
    """Return a change that makes the tier CUSTOM of one chief, and takes it."""
    tier = f"[tiers.CUSTOM.chief]\n{lines}\n"
    return lambda before: key("scale_tier", '"CUSTOM"')(before.partition("[tiers.")[0] + tier)


def tier(name: str, more: Change) -> Change:
    """Return a change of the scale tier and one more."""
    return lambda before: more(key("scale_tier", f'"{name}"')(before))


JOB, SETUP, LAYERS = "job.toml", "setup.py", "trainer/training/layers.py"
IMAGES = "us-docker.pkg.dev/vertex-ai/training"
PARAMETER_SERVER = '[tiers.CUSTOM.parameter_server]\nmachine = "n1-standard-4"'
PODS = '[tiers.POD.chief]\nmachine = "ct5lp-hightpu-4t"\ntpu_topology = "4x4"'
TWO_TPUS = '[tiers.POD.chief]\nmachine = "ct5lp-hightpu-4t"\ntpu_topology = "2x2"\nreplicas = 2'
MANY = "\n".join(f'V{number} = ""' for number in range(101))

PLANTS: list[Plant] = [
    ("1", "trainer/sub/x.py", put(""), "create trainer/sub/__init__.py"),
    ("1 package", "trainer/a/b/x.py", put(""), "create trainer/a/__init__.py"),
    ("2", LAYERS, first("import pandas"), 'add "pandas" to install_requires'),
    ("2 lazy", LAYERS, last("def f():\n    import sklearn"), 'add "scikit-learn"'),
    ("2 extra", LAYERS, first("import duckdb"), "import it inside the function"),
    ("3", LAYERS, first("import model"), 'write "from trainer import model"'),
    ("3 from", LAYERS, first("from model import x"), 'write "from trainer import model"'),
    ("5", SETUP, swap("==2.21.*", "==2.15.*"), "the job's machines have TensorFlow 2.21"),
    ("5 range", SETUP, swap("==2.21.*", ">=2.10,<2.19"), "TensorFlow 2.21"),
    ("5 required", SETUP, swap('"numpy>=1.26"', '"numpy", "tensorflow"'), 'EXTRAS["local"]'),
    ("7", JOB, key("module", '"trainer.tusk"'), "write trainer.task"),
    ("7 path", JOB, key("module", '"trainer/task.py"'), "write trainer.task"),
    ("7 no entry", JOB, key("module", '"trainer.training.layers"'), "does nothing when it is started"),
    ("8", LAYERS, last("print('hello')"), "prints when the module is imported"),
    ("8 trains", LAYERS, last("import keras\nkeras.Model().fit([1])"), "trains a model when"),
    ("8 reads", LAYERS, last("with open('t.csv') as file:\n    ROWS = file.read()"), "reads t.csv when"),
    ("8-hidden", LAYERS, last("def rows():\n    return open('/x.csv').read()\nROWS = rows()"), "reads /x.csv"),
    ("8 network", LAYERS, last("import socket\nHOST = socket.getaddrinfo('a.example', 80)"), "network"),
    ("8 program", LAYERS, last("import subprocess\nX = subprocess.Popen(['ls'])"), "starts a program"),
    ("8 fails", LAYERS, last("X = UNDEFINED"), "fails with NameError"),
    ("8 ends", LAYERS, last("import sys\nX = sys.exit(0)"), "ends the process"),
    ("9", JOB, key("epochs", "3\nepoch_count = 3"), "trainer.task has no flag --epoch-count"),
    ("9 spelling", JOB, swap("learning_rate =", "learning_rat3 ="), "write learning_rate"),
    ("9 type", JOB, key("learning_rate", '"fast"'), "expected a finite number >= 0"),
    ("9 whole", JOB, key("epochs", "1.5"), "expected an integer >= "),
    ("9 false", JOB, key("epochs", "3\nshufle = false"), "has no flag --shufle"),
    ("10", JOB, swap("parameters.learning_rate]", "parameters.learning_rat3]"), "write learning_rate"),
    ("10 value", JOB, swap('["64,32", ', '["64;32", '), "expected an integer >= "),
    ("10 bound", JOB, swap("max = 0.5", "max = 1.5"), "expected a number >= 0 and < 1"),
    ("10 scale", JOB, swap("min = 0.0005", "min = 0.0"), "values above 0 for a logarithm"),
    ("10 type", JOB, swap('type = "categorical"', 'type = "category"'), "one of double, integer"),
    ("10 condition", JOB, swap("max = 0.5", "max = 0.5\nwhen = { ensembel = [1] }"), "another parameter of the study"),
    ("12", JOB, under("arguments", f'hidden_units = "{"8," * 60_000}8"'), "at most 100,000"),
    ("12 entries", JOB, under("environment", MANY), "101 entries"),
    ("12 label", JOB, under("labels", 'Team = "a"'), "lower-case letters"),
    ("12 name", JOB, key("name", f'"{"n" * 129}"'), "at most 128"),
    ("13", JOB, key("region", '"us-centrall"'), "write us-central1"),
    ("13 zone", JOB, key("region", '"us-central1-a"'), "write us-central1"),
    ("13 accelerator", JOB, tier("L4", key("region", '"asia-east1"')), "asia-south1"),
    ("14", JOB, chief('machine = "n1-highcpu-8"'), "does not accept the machine"),
    ("14 count", JOB, chief('machine = "n1-standard-8"\naccelerator = "NVIDIA_TESLA_T4"\naccelerator_count = 3'), "1 or 2 or 4"),
    ("14 family", JOB, chief('machine = "e2-standard-8"\naccelerator = "NVIDIA_TESLA_T4"\naccelerator_count = 1'), "n1-standard-4"),
    ("15", JOB, chief('machine = "n1-standard-8"\naccelerator = "NVIDIA_TESLA_K80"\naccelerator_count = 1'), "write NVIDIA_TESLA_T4"),
    ("15 spelling", JOB, chief('machine = "n1-standard-8"\naccelerator = "nvidia-tesla-p100"\naccelerator_count = 1'), "write NVIDIA_TESLA_V100"),
    ("16", JOB, tier("POD", last(TWO_TPUS)), "one pool of one replica"),
    ("16 spot", JOB, tier("POD", lambda before: key("strategy", '"spot"')(before) + PODS), "a TPU of one host"),
    ("16 flex", JOB, key("strategy", '"flex_start"'), "none of its accelerators"),
    ("16 servers", JOB, tier("CUSTOM", last(PARAMETER_SERVER)), "all-reduce"),
    ("16 reserved", JOB, key("reservation", '"mine"'), "projects/PROJECT/zones"),
    ("17", JOB, key("kind", '"stok"'), "write stock"),
    ("17 tpu", JOB, tier("BASIC_TPU", key("kind", '"stock"')), "an image of your own"),
    ("18", JOB, key("timeout", '"1 week"'), "an integer with s, m, h or d"),
    ("18 zero", JOB, key("timeout", '"0h"'), "more than 0"),
    ("18 long", JOB, key("timeout", '"8d"'), "at most 7d"),
    ("18 tier", JOB, key("scale_tier", '"BASIK"'), "write BASIC"),
    ("19", JOB, key("bucket", '"goog-data"'), "start with goog"),
    ("19 word", JOB, key("bucket", '"my-google-data"'), "without the word google"),
    ("19 address", JOB, key("bucket", '"192.168.5.4"'), "IP address"),
    ("19 capitals", JOB, key("bucket", '"My-Data"'), "lower-case"),
    ("19 scheme", JOB, key("bucket", '"gs://my-data"'), "without gs://"),
    ("19 length", JOB, key("bucket", f'"{"b" * 64}"'), "3 to 63"),
    ("23", JOB, under("environment", 'TABLE = "/home/me/t.csv"'), "a gs:// address"),
    ("23 relative", JOB, under("environment", 'TABLE = "data/adult.data.gz"'), "a gs:// address"),
]  # fmt: skip

NEWER = [
    ("6", "import tomllib", "tomllib is new in Python 3.11"),
    ("6 name", "from datetime import UTC", "datetime.UTC is new"),
    ("6 attribute", "import enum\nclass A(enum.StrEnum):\n    B = 'b'", "enum.StrEnum is new"),
    ("6 syntax", "def f():\n    try:\n        g()\n    except* ValueError:\n        h()", "syntax"),
]

MODEL, TRAIN_STEP, LOOP, FEATURES = (
    f"trainer/{name}.py" for name in ("model", "training/train_step", "training/loop", "features")
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
    """How it differs from the first of its number."""


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
    31: "serving predicts otherwise than training",
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
    local(26, LOOP, swap("    trainer.check_same_weights()\n", '    trainer.check_same_weights()\n    open("weights.bin", "w").close()\n'), "wrote 'weights.bin' into its working folder"),
    local(26, MODEL, swap("model, schema, statistics, model_dir, replicas", 'model, schema, statistics, Path("model"), replicas'), "into its working folder", "the model itself"),
    together(27, MODEL, swap("if replicas.position.is_chief:\n        signature", "if True:\n        signature"), "is about to write the model"),
    together(28, TRAIN_STEP, swap("own = batch[size * replica // replicas : size * (replica + 1) // replicas]", "own = batch"), "the replicas trained on"),
    together(28, TRAIN_STEP, swap("size * (replica + 1) // replicas]", "size]"), "the replicas trained on", "overlapping parts"),
    local(30, JOB, key("learning_rate", "1e30"), "the loss is"),
    local(31, MODEL, swap("tf.stack(numbers, axis=1) if numbers", "tf.stack(numbers[::-1], axis=1) if numbers"), "predictions of the exported model differ"),
    local(31, MODEL, swap("vocabulary_codes(vocabulary)", "vocabulary_codes(vocabulary[1:])"), "predictions of the exported model differ", "codes that are off by one"),
    together(32, LOOP, swap("    trainer.check_same_weights()\n", f"    if trainer.replicas.position.index == 1:\n        {ENDED.replace(chr(10) + '    ', chr(10) + '        ')}\n    trainer.check_same_weights()\n"), "worker 0 ended with exit code 9"),
)  # fmt: skip
