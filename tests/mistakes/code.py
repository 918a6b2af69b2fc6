"""Mistakes in the package: imports, requirements, entry point."""

from tests.mistakes.changes import (
    JOB,
    LAYERS,
    SETUP,
    Mistake,
    Plant,
    first,
    key,
    last,
    put,
    swap,
)

WHAT = {
    1: "`__init__.py` missing",
    2: "a package imported that `setup.py` does not declare",
    3: "`import model` instead of a package import",
    5: "another TensorFlow than the runtime's",
    6: "syntax or module newer than the runtime's Python",
    7: "no such module, or none that starts",
    8: "code runs on import",
}

PLANTS: tuple[Plant, ...] = (
    Plant("1", "trainer/sub/x.py", put(""), "create trainer/sub/__init__.py"),
    Plant("1 package", "trainer/a/b/x.py", put(""), "create trainer/a/__init__.py"),
    Plant("2", LAYERS, first("import pandas"), 'add "pandas" to install_requires'),
    Plant("2 lazy", LAYERS, last("def f():\n    import sklearn"), 'add "scikit-learn"'),
    Plant("2 extra", LAYERS, first("import duckdb"), "import it inside the function"),
    Plant("3", LAYERS, first("import model"), 'write "from trainer import model"'),
    Plant("3 from", LAYERS, first("from model import x"), 'write "from trainer import model"'),
    Plant("5", SETUP, swap("==2.21.*", "==2.15.*"), "the job's machines have TensorFlow 2.21"),
    Plant("5 range", SETUP, swap("==2.21.*", ">=2.10,<2.19"), "TensorFlow 2.21"),
    Plant("5 required", SETUP, swap('"numpy>=1.26"', '"numpy", "tensorflow"'), 'EXTRAS["local"]'),
    Plant("7", JOB, key("module", '"trainer.tusk"'), "write trainer.task"),
    Plant("7 path", JOB, key("module", '"trainer/task.py"'), "write trainer.task"),
    Plant("7 no entry", JOB, key("module", '"trainer.training.layers"'), "does nothing when it is started"),
    Plant("8", LAYERS, last("print('hello')"), "prints when the module is imported"),
    Plant("8 trains", LAYERS, last("import keras\nkeras.Model().fit([1])"), "trains a model when"),
    Plant("8 reads", LAYERS, last("with open('t.csv') as file:\n    ROWS = file.read()"), "reads t.csv when"),
    Plant("8-hidden", LAYERS, last("def rows():\n    return open('/x.csv').read()\nROWS = rows()"), "reads /x.csv"),
    Plant("8 network", LAYERS, last("import socket\nHOST = socket.getaddrinfo('a.example', 80)"), "network"),
    Plant("8 program", LAYERS, last("import subprocess\nX = subprocess.Popen(['ls'])"), "starts a program"),
    Plant("8 fails", LAYERS, last("X = UNDEFINED"), "fails with NameError"),
    Plant("8 ends", LAYERS, last("import sys\nX = sys.exit(0)"), "ends the process"),
)  # fmt: skip

NEWER = [
    ("6", "import tomllib", "tomllib is new in Python 3.11"),
    ("6 name", "from datetime import UTC", "datetime.UTC is new"),
    ("6 attribute", "import enum\nclass A(enum.StrEnum):\n    B = 'b'", "enum.StrEnum is new"),
    ("6 syntax", "def f():\n    try:\n        g()\n    except* ValueError:\n        h()", "syntax"),
]

RUNS: tuple[Mistake, ...] = ()
