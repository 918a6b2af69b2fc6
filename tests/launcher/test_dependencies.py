"""What the package imports: packages of a clean environment, and modules and names of its own."""

import sys
from pathlib import Path

import pytest
from launcher.checks import dependencies, import_effects, probe
from launcher.checks.source import Source

from tests.launcher.samples import one, write_files, write_module


def test_what_is_always_required_is_not_absent(tmp_path: Path) -> None:
    """Where requirements cannot be installed, the environment is one with earlier requirements."""
    assert not absent_in(write_module(tmp_path, "import always_zz"))
    assert absent_in(write_module(tmp_path, "import windows_zz"))


def absent_in(project: Path) -> list[str]:
    """Return the findings about a project's imports, with this interpreter as the clean one."""
    declared = {
        "duckdb-zz": ['duckdb-zz; extra == "x"'],
        "windows-zz": ["windows-zz; sys_platform == 'win32'"],
        "always-zz": ["always-zz>=1"],
    }
    imports = dependencies.required(Source(project).names, declared)
    request = {
        "required": [dependencies.package_of(each) for each in imports],
        "packages": str(project / "packages"),
        "modules": {},
    }
    with probe.started(Path(sys.executable), "import_effects", []) as process:
        response = import_effects.asked(process, request)
    absent = [each for each in imports if dependencies.package_of(each) in response["absent"]]
    return list(map(str, dependencies.absent_findings(project, absent, declared)))


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
    assert dependencies.required(Source(tmp_path).names, {}) == []


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
