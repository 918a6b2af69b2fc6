"""The probe that imports a package's modules in a clean environment, and what is reported of it."""

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
from launcher.checks import import_effects, probe

from tests.bakery import SOURCES
from tests.launcher.samples import one, write_files, write_module


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


PROBE = SOURCES / "launcher" / "checks" / "probes" / "import_effects.py"
FAKE_KERAS = "class Model:\n    def fit(self, rows):\n        open('trained', 'w')\n"


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
