"""Names of libraries and calls in the package's code that Python, a library or the package does not have."""

import ast
from pathlib import Path

import pytest
from launcher.checks import source as source_checks
from launcher.checks import uses
from launcher.checks.source import Source
from launcher.console import UserError

from tests.launcher.samples import one, write_files, write_module


def of_python(version: str, folder: Path) -> list[UserError]:
    """Return the findings about syntax and names that a version of Python does not have."""
    own = Source(folder)
    return [
        *source_checks.ruff_findings(own, version),
        *uses.version_findings(own.names, version),
    ]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("try:\n    pass\nexcept* ValueError:\n    pass", "Cannot use `except*` on Python 3.10"),
        ("import tomllib", "tomllib is new in Python 3.11"),
        ("from datetime import UTC", "datetime.UTC is new"),
        ("import datetime as dt\nNOW = dt.UTC", "datetime.UTC is new"),
        ("if __name__ == '__main__':\n    import tomllib", "tomllib is new"),
        ("def f():\n    from typing import Self", "typing.Self is new"),
    ],
)
def test_what_python_3_10_lacks_is_reported(text: str, part: str, tmp_path: Path) -> None:
    write_module(tmp_path, text)
    try:
        ast.parse(text)
    except SyntaxError:
        pytest.skip("this Python does not have it either")
    assert part in one(of_python("3.10", tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import tomllib\nexcept ImportError:\n    tomllib = None",
        "import sys\nif sys.version_info >= (3, 11):\n    import tomllib",
        "with (open('a') as a, open('b') as b):\n    pass",
        "x = f\"{'a'}\"",
        "match 1:\n    case 1:\n        pass",
        "import itertools\nPAIRS = itertools.pairwise",
    ],
)
def test_what_python_3_10_has_is_not_reported(text: str, tmp_path: Path) -> None:
    write_module(tmp_path, text)
    assert of_python("3.10", tmp_path) == []


def test_a_module_that_python_removed_is_reported(tmp_path: Path) -> None:
    write_module(tmp_path, "def f():\n    import imp")
    assert "removed in Python 3.12" in one(of_python("3.12", tmp_path))
    assert of_python("3.11", tmp_path) == []


def test_a_name_that_a_library_lacks_is_reported_at_its_first_place(tmp_path: Path) -> None:
    write_module(tmp_path, "import numpy as np\nX = np.array\ndef f():\n    return np.arrray.x")
    found = one(uses.lacking_findings(Source(tmp_path).names, {"numpy.arrray": "array"}))
    assert (
        found.startswith("trainer/a.py, line 4: uses numpy.arrray, which")
        and "write array" in found
    )


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (
            "import tensorflow as tf\nX = tf.estimator.Estimator",
            "tensorflow.estimator, which is removed",
        ),
        ("from tensorflow import estimator", "tensorflow.estimator, which"),
        ("from tensorflow.estimator import LinearClassifier as L", "tensorflow.estimator, which"),
        ("from tensorflow.keras.optimizers import legacy", "keras.optimizers.legacy, which"),
        (
            "from tensorflow import keras as k\ndef f():\n    return k.optimizers.legacy.Adam()",
            "write",
        ),
        ("import keras\nX = keras.wrappers.scikit_learn.KerasClassifier", "SKLearnClassifier"),
        (
            "import tensorflow as tf\ndef f(x):\n    return tf.contrib.layers.f(x)",
            "tensorflow.contrib",
        ),
        ("import tensorflow.contrib.slim as slim", "tensorflow.contrib"),
    ],
)
def test_a_removed_name_is_reported_with_what_replaced_it(
    text: str, part: str, tmp_path: Path
) -> None:
    write_module(tmp_path, text)
    assert part in one(uses.replaced_findings(Source(tmp_path).names, "removed"))


@pytest.mark.parametrize(
    "text",
    [
        "import tensorflow as tf\ndef f(tf):\n    return tf.estimator",
        "import os, tensorflow as tf\nif os.name == 'nt':\n    X = tf.estimator",
        "import tensorflow as tf\nif hasattr(tf, 'estimator'):\n    X = tf.estimator",
        "from trainer import estimator",
        "X = 'tf.estimator'",
    ],
)
def test_names_that_only_look_removed_are_not_reported(text: str, tmp_path: Path) -> None:
    write_module(tmp_path, text)
    assert uses.replaced_findings(Source(tmp_path).names, "removed") == []


CALLED = """
class Model:
    def __init__(self, schema, *, rate=1):
        pass

def build(rows, steps, /, rate=0.1, *, seed):
    pass

def anything(*rows, **named):
    pass

def bound(first, second):
    pass

bound = functools.partial(bound, 1)
"""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "def f():\n    from trainer.model import build\n    build(1, seed=2)",
            "without its parameter steps",
        ),
        ("from trainer import model\nmodel.build(1, 2)", "without its parameter seed"),
        ("from .model import build as b\nb(1, 2, 3, 4, seed=1)", "with 4 positional arguments"),
        (
            "import trainer.model as m\nm.build(1, 2, seeds=1, seed=2)",
            "with an unknown parameter seeds",
        ),
        ("from trainer.model import Model\nModel(rate=1)", "without its parameter schema"),
        ("from trainer.model import Model\nModel(1, 2)", "with 2 positional arguments"),
        ("def own(a):\n    pass\nown()", "without its parameter a"),
        (
            "from trainer.model import build\nbuild(1, 2, seed=3)\nbuild(1, *rest)\nbuild(1, **named)",
            "",
        ),
        ("from trainer.model import anything, Model\nanything(1, x=2)\nModel(schema=1)", ""),
        ("from trainer.model import build\ndef f(build):\n    build()", ""),
        ("import functools\n@functools.cache\ndef own(a):\n    pass\nown()", ""),
        ("def own(a):\n    pass\nclass A:\n    def own(self):\n        self.own()", ""),
        ("class A:\n    def __init__(self, /, a):\n        pass\nA(a=1)", ""),
        (
            "class A:\n    def __init__(self, b, /, a):\n        pass\nA(a=1)",
            "without its parameter b",
        ),
        ("from trainer.model import bound\nbound(1)", ""),
    ],
)
def test_a_call_that_does_not_fit_is_reported(text: str, problem: str, tmp_path: Path) -> None:
    write_module(tmp_path, text)
    write_files(tmp_path, {"trainer/model.py": CALLED})
    found = [*uses.call_findings(Source(tmp_path))]
    assert problem in one(found) if problem else found == []
