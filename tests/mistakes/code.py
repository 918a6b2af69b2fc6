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
    40: "a circular import, or one beyond the package",
    41: "a misspelt name of the package, also inside a function",
    42: "a requirement that cannot be installed",
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
    Plant("8 fails", LAYERS, last("X = 1 // 0"), "fails with ZeroDivisionError"),
    Plant("8 ends", LAYERS, last("import sys\nX = sys.exit(0)"), "ends the process"),
    Plant("40", "trainer/run/errors.py", first("from trainer.run.console import Console"), "import each other"),
    Plant("40 three", "trainer/data/schema.py", first("from trainer.data.shards import Shards"), "import each other"),
    Plant("40 beyond", LAYERS, last("def f():\n    from ... import features"), "go beyond the package"),
    Plant("40 beyond top", "trainer/model.py", first("from ..launcher import project"), "go beyond the package"),
    Plant("41", LAYERS, last("def f():\n    from trainer.model import bild_optimizer"), "write build_optimizer"),
    Plant("41 module", LAYERS, last("def f():\n    from trainer.training import optimizr"), "write optimizer"),
    Plant("41 alias", LAYERS, last("def f():\n    import trainer.data.shard as s"), "trainer.data.shard, which"),
    Plant("41 relative", LAYERS, last("def f():\n    from ..data.schema import Schem"), "write Schema"),
    Plant("41 undefined", LAYERS, last("def f(rows):\n    return rosw"), "Undefined name `rosw`"),
    Plant("41 eager", LAYERS, last("X = UNDEFINED"), "Undefined name `UNDEFINED`"),
    Plant("42 version", SETUP, swap('"numpy>=1.26"', '"numpy>=99"'), "a version of numpy that https://pypi.org"),
    Plant("42", SETUP, swap('"numpy>=1.26"', '"numpy>=1.26", "tensorlow"'), "write tensorflow"),
    Plant("42 conflict", SETUP, swap('"numpy>=1.26"', '"numpy<1.26", "numpy>=1.26"'), "numpy<1.26 and numpy>=1.26"),
    Plant("42 keras", SETUP, swap('"numpy>=1.26"', '"numpy>=1.26", "keras<3"'), "depends on keras>="),
    Plant("42 wheel", SETUP, swap('"numpy>=1.26"', '"numpy>=1.26", "torch==1.0.0"'), "a version of torch with a wheel"),
    Plant("42 platform", SETUP, swap('"numpy>=1.26"', '"numpy>=1.26", "pywin32"'), "remove pywin32"),
)  # fmt: skip

NEWER = [
    ("6", "import tomllib", "tomllib is new in Python 3.11"),
    ("6 name", "from datetime import UTC", "datetime.UTC is new"),
    ("6 attribute", "import enum\nclass A(enum.StrEnum):\n    B = 'b'", "enum.StrEnum is new"),
    (
        "6 syntax",
        "def f():\n    try:\n        pass\n    except* ValueError:\n        pass",
        "syntax",
    ),
]

RUNS: tuple[Mistake, ...] = ()
