"""The checks of the package's code, rule by rule."""

import ast
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from launcher.checks import (
    dependencies,
    entry_point,
    import_effects,
    probe,
    requirements,
    uses,
)
from launcher.checks import (
    source as source_checks,
)
from launcher.checks.names import Name
from launcher.checks.source import Source
from launcher.console import UserError
from launcher.packaging.sdist import SourceDistribution

from tests.bakery import SOURCES
from tests.launcher.samples import one, write_files


def write_module(folder: Path, text: str) -> Path:
    (folder / "trainer").mkdir(exist_ok=True)
    (folder / "trainer" / "__init__.py").touch()
    (folder / "trainer" / "a.py").write_text(text + "\n", encoding="utf-8")
    return folder


def test_what_is_imported_is_loaded_only_after_an_edit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit that is taken back is known from its second check on."""
    environment = tmp_path / ".nox" / "packages" / "python" / "digest"
    python, note = environment / "bin" / "python", environment / import_effects.NOTE
    request = {"modules": ["trainer.a"]}
    known = json.dumps({"request": request, "response": {"absent": []}})
    write_files(note.parent, {note.name: known})
    monkeypatch.setattr(import_effects, "newest", lambda _: python)
    monkeypatch.setattr(probe, "started", lambda *_: contextlib.nullcontext("a process"))
    write_module(tmp_path, "import tensorflow")
    os.utime(note, (0, 0))
    with import_effects.importing(Mock(), tmp_path) as imports:
        assert imports.process
        imports.response(python, python, request)
    with import_effects.importing(Mock(), tmp_path) as imports:
        assert imports.process is None


def test_what_is_always_required_is_not_absent(tmp_path: Path) -> None:
    """Where requirements cannot be installed, the environment is one with earlier requirements."""
    assert not absent_in(write_module(tmp_path, "import always_zz"))
    assert absent_in(write_module(tmp_path, "import windows_zz"))


def names_of(folder: Path) -> list[Name]:
    return Source(folder).names


def of_python(version: str, folder: Path) -> list[UserError]:
    """Return the findings about syntax and names that a version of Python does not have."""
    own = Source(folder)
    return [
        *source_checks.ruff_findings(own, version),
        *uses.version_findings(own.names, version),
    ]


PROBE = SOURCES / "launcher" / "checks" / "probes" / "import_effects.py"
FAKE_KERAS = "class Model:\n    def fit(self, rows):\n        open('trained', 'w')\n"


def absent_in(project: Path) -> list[str]:
    """Return the findings about a project's imports, with this interpreter as the clean one."""
    declared = {
        "duckdb-zz": ['duckdb-zz; extra == "x"'],
        "windows-zz": ["windows-zz; sys_platform == 'win32'"],
        "always-zz": ["always-zz>=1"],
    }
    imports = dependencies.required(names_of(project), declared)
    request = {
        "required": [dependencies.package_of(each) for each in imports],
        "packages": str(project / "packages"),
        "modules": {},
    }
    with probe.started(Path(sys.executable), "import_effects", []) as process:
        response = import_effects.asked(process, request)
    absent = [each for each in imports if dependencies.package_of(each) in response["absent"]]
    return list(map(str, dependencies.absent_findings(project, absent, declared)))


def asked_about(text: str, folder: Path, used: Sequence[str] = ()) -> dict[str, Any]:
    """Return the response of the probe about a module with this text, which imports a fake Keras."""
    write_module(folder, text)
    modules = {
        f"trainer.{path.stem}": f"trainer/{path.name}" for path in folder.glob("trainer/?.py")
    }
    names = {"required": [], "used": [*used], "modules": modules}
    request = {**names, "packages": str(folder)}
    write_files(folder, {"libs/keras/__init__.py": FAKE_KERAS, "t.csv": "1,2"})
    done = subprocess.run(
        [sys.executable, str(PROBE)],
        cwd=folder,
        env={"PYTHONPATH": os.pathsep.join(map(str, (folder, folder / "libs")))},
        input=f'["keras"]\n{json.dumps(request)}\n',
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def effects_of(text: str, folder: Path) -> list[list[object]]:
    return list(asked_about(text, folder)["effects"])


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("def main():\n    open('t.csv')\nmain()", 2, "reads t.csv"),
        ("print('hello')", 1, "prints"),
        ("import keras\nkeras.Model().fit([1])", 2, "trains a model"),
        ("with open('t.csv') as file:\n    ROWS = file.read()", 1, "reads t.csv"),
        ("class A:\n    rows = open('t.csv')", 2, "reads t.csv"),
        ("def f(rows=open('t.csv')):\n    return rows", 1, "reads t.csv"),
        ("ROWS = [line for line in open('t.csv')]", 1, "reads t.csv"),
        ("try:\n    DATA = open('t.csv')\nexcept Exception:\n    DATA = None", 2, "reads t.csv"),
        ("import pathlib\npathlib.Path('out').mkdir()", 2, "writes out"),
        ("open('out', 'w')", 1, "writes out"),
        ("import os\nos.remove('t.csv')", 2, "writes t.csv"),
        ("import os\nos.system('touch out')", 2, "starts a program"),
        ("import subprocess\nsubprocess.run(['touch', 'out'])", 2, "starts a program"),
        ("import socket\nsocket.getaddrinfo('a.example', 80)", 2, "opens a network connection"),
        ("raise SystemExit", 1, "ends the process"),
        ("main()", 1, "fails with NameError: name 'main' is not defined"),
    ],
)
def test_an_import_with_effects_is_stopped(text: str, line: int, what: str, tmp_path: Path) -> None:
    assert effects_of(text, tmp_path) == [["trainer/a.py", line, what]]
    assert (tmp_path / "t.csv").exists() and not (tmp_path / "out").exists()
    assert not (tmp_path / "trained").exists()


def test_each_module_is_imported_first(tmp_path: Path) -> None:
    write_files(tmp_path, {"trainer/b.py": "import trainer.a\nB = 1\n"})
    for text in ("from trainer.b import B", "import trainer.b\nB = trainer.b.B"):
        [[file, line, what]] = effects_of(text, tmp_path)
        assert (file, line) == ("trainer/a.py", text.count("\n") + 1)
        assert "circular import" in str(what)


@pytest.mark.parametrize(
    "text",
    [
        "import re\nWORD = re.compile('a')",
        "def f():\n    return open('t.csv')",
        "READ = lambda: open('t.csv')",
        "if __name__ == '__main__':\n    main()",
        "import keras\nMODEL = keras.Model()",
        "TABLE = {}\nfor name in ('a', 'b'):\n    TABLE[name] = len(name)",
        "from pathlib import Path\nWORDS = Path(__file__).with_name('a.py').read_text()",
        "import logging\nlogging.getLogger('x').addHandler(logging.NullHandler())",
        '"""A docstring."""',
    ],
)
def test_an_import_that_only_defines(text: str, tmp_path: Path) -> None:
    assert effects_of(text, tmp_path) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import model\n", 'a.py, line 1: "import model" works only inside the folder trainer;'),
        ("from model import x\n", 'write "from trainer import model"'),
        ("\nimport absent_zz.part\n", "trainer/a.py, line 2: imports absent_zz, which a clean"),
        ("import absent_zz\n", 'add "absent-zz" to install_requires in setup.py'),
        ("def f():\n    import absent_zz\n", "trainer/a.py, line 2: imports absent_zz"),
        ("import helpers_zz\n", "imports helpers_zz, which lies beside trainer/"),
        (
            "def f():\n    import windows_zz\n",
            "which setup.py requires only if sys_platform == 'win32'",
        ),
        ("import duckdb_zz\n", "imports duckdb_zz, which only an extra in setup.py declares"),
    ],
)
def test_an_import_that_fails_in_a_clean_environment_is_found(
    tmp_path: Path, source: str, message: str
) -> None:
    files = {"trainer/a.py": source, "trainer/model.py": "", "helpers_zz/__init__.py": ""}
    [finding] = absent_in(write_files(tmp_path, files))
    assert message in finding


@pytest.mark.parametrize(
    "source",
    [
        "import json, os.path, xml.etree.ElementTree\n",
        "import trainer.model\nfrom trainer import model\nfrom . import model\n",
        "try:\n    import absent_zz\nexcept ImportError:\n    absent_zz = None\n",
        "try:\n    import json\nexcept ImportError:\n    import absent_zz\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import absent_zz\n",
        "def f():\n    import duckdb_zz\n",
        "import statistics\n",
        "def f(:\n",
    ],
)
def test_an_import_that_works_in_a_clean_environment_is_not_reported(
    tmp_path: Path, source: str
) -> None:
    files = {"trainer/a.py": source, "trainer/model.py": "", "trainer/statistics.py": ""}
    assert absent_in(write_files(tmp_path, files)) == []


def test_a_package_is_reported_once_at_its_first_place(tmp_path: Path) -> None:
    files = {"trainer/a.py": "import absent_zz\n", "trainer/b.py": "import absent_zz.x\n"}
    [finding] = absent_in(write_files(tmp_path, files))
    assert finding.startswith("trainer/a.py, line 1")


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    from trainer.nosuch import x",
        "def f():\n    from .nosuch import x",
        "import trainer.nosuch",
        "import trainer.nosuch\n\n\ndef f():\n    return trainer.nosuch.x",
    ],
)
def test_a_missing_module_of_the_package_is_reported(text: str, tmp_path: Path) -> None:
    write_module(tmp_path, text)
    assert "there is no trainer.nosuch;" in one(dependencies.own_import_findings(Source(tmp_path)))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("def f():\n    from trainer.model import bild", "line 2: there is no trainer.model.bild"),
        ("from trainer.model import bild", "write build"),
        ("def f():\n    from trainer import modle as m", "write model"),
        ("from .model import RATES", "write RATE"),
        ("def f():\n    from trainer.model import local", "trainer.model.local"),
        (
            "from trainer import model as m\n\n\ndef f():\n    return m.bild()",
            "line 5: there is no",
        ),
        ("import trainer.model\n\n\ndef f():\n    return trainer.model.RATES", "write RATE"),
    ],
)
def test_a_misspelt_name_of_the_package_is_reported(text: str, part: str, tmp_path: Path) -> None:
    write_module(tmp_path, text)
    model = "RATE = 1\n\n\ndef build():\n    local = 1\n    return local\n"
    write_files(tmp_path, {"trainer/model.py": model})
    assert part in one(dependencies.own_import_findings(Source(tmp_path)))


@pytest.mark.parametrize(
    "text",
    [
        "from ... import x",
        "def f():\n    from .. import model",
        "try:\n    pass\nfinally:\n    from ....trainer.model import x",
    ],
)
def test_an_import_beyond_the_package_is_reported(text: str, tmp_path: Path) -> None:
    write_module(tmp_path, text)
    found = one(dependencies.own_import_findings(Source(tmp_path)))
    assert "go beyond the package" in found
    assert dependencies.required(names_of(tmp_path), {}) == []


CIRCULAR = "fails with ImportError: cannot import name 'x' from partially initialized module '{}'"


def test_a_circle_is_reported_once_with_both_modules() -> None:
    three = [("trainer/a.py", "trainer.b"), ("trainer/b/__init__.py", "trainer.c")]
    effects = [(file, 1, CIRCULAR.format(module)) for file, module in three]
    finding = one(import_effects.effect_findings([*effects, ("trainer/c.py", 4, effects[0][2])]))
    assert finding.startswith("trainer/a.py, line 1: trainer.a and trainer.b import each other")


@pytest.mark.parametrize(
    ("what", "remedy"),
    [
        ("ModuleNotFoundError: No module named 'trainer.zz'", "correct the name"),
        ("ModuleNotFoundError: No module named 'zz'", "add the package that has it"),
        ("ImportError: cannot import name 'zz' from 'numpy'", "correct the name, or require"),
        ("NameError: name 'zz' is not defined", "correct that line"),
        ("ValueError: no module", "correct that line"),
    ],
)
def test_a_failed_import_has_its_own_remedy(what: str, remedy: str) -> None:
    finding = one(import_effects.effect_findings([("trainer/a.py", 3, f"fails with {what}")]))
    assert f"; {remedy}" in finding


@pytest.mark.parametrize(
    "text",
    [
        "from trainer import a\nfrom . import a\nfrom .a import a\nimport os",
        "from trainer.a import *\nfrom trainer.a import __doc__",
        "class A:\n    pass\nfor B in ():\n    with open(0) as (C, D):\n        pass\n"
        "def f():\n    from trainer.a import A, B, C, D",
        "def f():\n    global G\n    G = 1\ndef g():\n    from trainer.a import G",
        "def __getattr__(name):\n    return name\ndef f():\n    from trainer.a import x",
        "def f():\n    try:\n        from trainer.a import x\n    except ImportError:\n        pass",
    ],
)
def test_existing_names_of_the_package_are_not_reported(text: str, tmp_path: Path) -> None:
    write_module(tmp_path, text)
    assert dependencies.own_import_findings(Source(tmp_path)) == []


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


def test_an_undefined_name_is_reported(tmp_path: Path) -> None:
    write_module(tmp_path, "import os\n\n\ndef f(rows):\n    return len(rosw) + len(rosw), os")
    found = one(source_checks.ruff_findings(Source(tmp_path), ""))
    assert found.startswith("trainer/a.py, line 5: Undefined name `rosw`; expected a defined name")


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


@pytest.mark.parametrize(
    ("module", "text", "part"),
    [
        ("trainer.tusk", "", "there is no such module"),
        ("trainer/a.py", "if __name__ == '__main__':\n    f()", "write trainer.a"),
        ("trainer.a:main", "def main():\n    pass", "write trainer.task"),
        ("trainer", "", "there is no such module"),
        ("trainer.a", "def main():\n    pass", "does nothing when it is started"),
        ("trainer.a", "TEXT = '''\nif __name__ == 0: 1\n'''", "does nothing when it is started"),
    ],
)
def test_a_module_that_cannot_be_started_is_reported(
    module: str, text: str, part: str, tmp_path: Path
) -> None:
    write_module(tmp_path, text)
    assert part in one(entry_point.entry_findings(module, Source(tmp_path)))


def test_modules_that_can_be_started_are_not_reported(tmp_path: Path) -> None:
    write_module(tmp_path, "if '__main__' == __name__:\n    main()")
    (tmp_path / "trainer" / "__main__.py").touch()
    for module in ("trainer.a", "trainer"):
        assert entry_point.entry_findings(module, Source(tmp_path)) == []


def test_a_path_of_a_home_folder_in_the_code_is_reported(tmp_path: Path) -> None:
    write_module(tmp_path, "def f():\n    return open('/home/me/t.csv')")
    assert "a path on this machine" in one(source_checks.home_findings(Source(tmp_path)))
    write_module(tmp_path, "TABLE = r'C:\\data\\t.csv'")
    assert "a path on this machine" in one(source_checks.home_findings(Source(tmp_path)))
    write_module(tmp_path, "TABLE = '~/data/t.csv'")
    assert "a path on this machine" in one(source_checks.home_findings(Source(tmp_path)))
    harmless = r"t:\d+", "a:b", "~/.cache", "~/.config/app/key.json", "~/tensorflow_datasets", "~/"
    write_module(tmp_path, f"TEXTS = {harmless!r}")
    assert source_checks.home_findings(Source(tmp_path)) == []


@pytest.mark.parametrize(
    "requirement",
    ["==2.15.*", "==2.15.1", "<2.21", "~=2.20.0", ">=2.22", ">=2.10,<2.16", "!=2.21.*", "~=3.0"],
)
def test_another_tensorflow_than_that_of_the_image_is_reported(requirement: str) -> None:
    line = f'tensorflow-cpu{requirement}; extra == "local"'
    assert "have TensorFlow 2.21" in one(requirements.tensorflow_findings([line], "2.21"))


def test_the_tensorflow_of_the_image_is_not_reported() -> None:
    for requirement in ("==2.21.*", "==2.21.0", ">=2.20", "~=2.20", ">=2.21,<2.22", "", "!=2.20.*"):
        line = f'tensorflow{requirement}; extra == "local"'
        assert requirements.tensorflow_findings([line], "2.21") == []
    other = [
        'tensorflow; extra == "local"',
        'tensorflow-text==2.15; extra == "text"',
        'tensorflow==2.15; extra == "old"',
    ]
    assert requirements.tensorflow_findings(other, "2.21") == []


def test_a_missing_tensorflow_is_reported() -> None:
    for lines in ([], ["numpy"], ['tensorflow==2.21.*; extra == "locall"']):
        assert 'in EXTRAS["local"]' in one(requirements.tensorflow_findings(lines, "2.21"))


def test_a_tensorflow_that_would_replace_that_of_the_image_is_reported() -> None:
    for name in ("tensorflow==2.21.0", "Tensorflow_CPU>=2", "tf-nightly"):
        assert 'EXTRAS["local"]' in one(requirements.tensorflow_findings([name], "2.21"))


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        ("keras.Modl", {"keras.Modl": "Model"}),
        ("keras.contrib.layers.X", {"keras.contrib": ""}),
        ("keras.Model.nosuch", {}),
        ("keras.__version__", {}),
        ("notloaded.x", {}),
        ("os.startfile", {}),
        ("signal.SIGNONE", {}),
        ("asyncio.unix_events.X", {}),
    ],
)
def test_a_name_that_a_loaded_library_lacks_is_found(
    name: str, lacking: dict[str, str], tmp_path: Path
) -> None:
    response = asked_about("print('not reached')", tmp_path, [name])
    assert response["lacking"] == lacking
    assert bool(response["effects"]) != bool(lacking)


def test_a_name_that_a_library_lacks_is_reported_at_its_first_place(tmp_path: Path) -> None:
    write_module(tmp_path, "import numpy as np\nX = np.array\ndef f():\n    return np.arrray.x")
    found = one(uses.lacking_findings(names_of(tmp_path), {"numpy.arrray": "array"}))
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
    assert part in one(uses.replaced_findings(names_of(tmp_path), "removed"))


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
    assert uses.replaced_findings(names_of(tmp_path), "removed") == []


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


def distribution_of(*lines: str, python: str = "") -> SourceDistribution:
    required = (*lines, 'tensorflow; extra == "local"')
    return SourceDistribution(Path("x.tar.gz"), "x", required, frozenset(), "", python)


def test_requirements_by_path_or_address_are_reported(tmp_path: Path) -> None:
    lines = (
        "numpy>=1.26",
        "foo @ file:///home/me/foo",
        "bar @ git+https://example.com/bar",
        'baz @ file:///tmp/baz ; extra == "local"',
    )
    found = [*requirements.requirement_findings(distribution_of(*lines), "", "3.11")]
    assert "foo @ file:///home/me/foo, a path" in one(found)
    assert "by its address" in one(
        [*requirements.requirement_warnings(distribution_of(*lines), tmp_path)]
    )


@pytest.mark.parametrize(
    "line", ["pathlib", "JSON>=1", "argparse; python_version < '3'", "concurrent"]
)
def test_a_part_of_python_is_no_requirement(line: str) -> None:
    found = [*requirements.requirement_findings(distribution_of(line), "", "")]
    assert "which is a part of Python" in one(found)


@pytest.mark.parametrize(
    ("requires", "python", "fits"),
    [
        (">=3.10", "3.11", True),
        (">=3.12", "3.11", False),
        ("<3.11", "3.11", False),
        ("", "3.11", True),
        (">=3.14", "", True),
    ],
)
def test_python_requires_must_admit_the_python_of_the_job(
    requires: str, python: str, fits: bool
) -> None:
    found = [*requirements.requirement_findings(distribution_of(python=requires), "", python)]
    assert found == [] if fits else "python_requires" in one(found)


def test_a_distribution_that_was_compiled_here_is_reported(tmp_path: Path) -> None:
    for name, tag in (("numpy-2.0", "manylinux_2_17_x86_64"), ("uwsgi-2.0.21", "linux_x86_64")):
        write_files(
            tmp_path, {f"{name}.dist-info/WHEEL": f"Wheel-Version: 1.0\nTag: cp311-cp311-{tag}\n"}
        )
    assert "uwsgi==2.0.21 has no wheel" in one(
        [*requirements.requirement_warnings(distribution_of(), tmp_path)]
    )


def test_a_module_beside_a_folder_of_its_name_is_reported(tmp_path: Path) -> None:
    write_module(tmp_path, "from trainer.model import A, B")
    write_files(tmp_path, {"trainer/model.py": "A = 1", "trainer/model/__init__.py": "B = 1"})
    found = one(dependencies.own_import_findings(Source(tmp_path)))
    assert "trainer/model.py is never imported, because trainer/model/__init__.py exists" in found


def test_a_module_that_hides_an_imported_one_is_reported(tmp_path: Path) -> None:
    write_module(tmp_path, "import tensorflow as tf\nimport json\nimport numpy")
    write_files(
        tmp_path, {"tensorflow.py": "", "json/x.py": "", "numpy/notes.txt": "", "keras.py": ""}
    )
    found = dependencies.shadow_warnings(Source(tmp_path))
    assert [str(each).split()[0] for each in found] == ["json", "tensorflow"]
