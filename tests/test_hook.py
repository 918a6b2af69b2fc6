"""The hook that tries a new project: which command it runs, and how each outcome ends."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bakery import ROOT, SOURCES

HOOK = (ROOT / "hooks" / "post_gen_project.py").read_text(encoding="utf-8")
PLACEHOLDER = "{{cookiecutter.__smoke_test | quoted}}"
NOTES = "{{(cookiecutter.__table | parsed).notes | default([]) | quoted}}"
# Stands for trainer/task.py, nox and uvx: prints how it was started.
FAKE = """#!{python}
import os, pathlib, sys
print(os.path.basename(sys.argv[0]), *sys.argv[1:])
if "BUILDS" in os.environ:
    pathlib.Path(".nox/runtime-0").mkdir(parents=True)
    pathlib.Path(".nox/runtime-0/launcher.json").touch()
sys.exit(int(os.environ.get("CODE", "0")))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A new project, beside empty folders of programs and of modules."""
    for folder in ("project/trainer", "programs", "modules"):
        (tmp_path / folder).mkdir(parents=True)
    project = tmp_path / "project"
    (project / "trainer" / "__init__.py").touch()
    write_fake(project / "trainer" / "task.py")
    (project / "setup.py").write_bytes((SOURCES / "setup.py").read_bytes())
    return project


def write_fake(path: Path) -> None:
    path.write_text(FAKE.format(python=sys.executable), encoding="utf-8")
    path.chmod(0o755)


def install_tensorflow(project: Path, version: str) -> None:
    """Put stubs of what training needs where the hook's interpreter looks."""
    modules = project.parent / "modules"
    for name in ("numpy", "pyarrow", "tensorboard"):
        (modules / f"{name}.py").touch()
    metadata = modules / f"tensorflow-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: tensorflow\nVersion: {version}\n")


def run_hook(
    project: Path, smoke_test: str = "auto", stderr: int = subprocess.PIPE, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the hook with no packages but the stubs, and no programs but the fakes."""
    assert PLACEHOLDER in HOOK and NOTES in HOOK
    path = project.parent / "hook.py"
    path.write_text(
        HOOK.replace(PLACEHOLDER, repr(smoke_test)).replace(NOTES, "['not used id: row numbers']"),
        encoding="utf-8",
    )
    folders = {
        "PATH": str(project.parent / "programs"),
        "PYTHONPATH": str(project.parent / "modules"),
    }
    return subprocess.run(
        [
            sys.executable,
            "-S",
            str(path),
        ],  # this interpreter's own packages, nox among them, left out
        cwd=project,
        env={**folders, "PYTHONDONTWRITEBYTECODE": "1", **variables},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        check=False,
    )


def test_a_skipped_smoke_test_runs_nothing(project: Path) -> None:
    write_fake(project.parent / "programs" / "nox")
    done = run_hook(project, smoke_test="skip")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(f"not used id: row numbers\nnext     cd {project}\n")


@pytest.mark.parametrize("code", [0, 1])
def test_an_interpreter_with_tensorflow_runs_the_smoke_test_itself(
    project: Path, code: int
) -> None:
    install_tensorflow(project, "2.21.3")
    write_fake(project.parent / "programs" / "nox")
    done = run_hook(project, CODE=str(code))
    assert (done.returncode, done.stdout) == (code, "task.py --smoke-test\n")


def test_a_package_that_does_not_import_fails(project: Path) -> None:
    install_tensorflow(project, "2.21.3")
    (project / "trainer" / "task.py").write_text("import a_missing_module\n", encoding="utf-8")
    done = run_hook(project)
    assert done.returncode == 1 and "a_missing_module" in done.stderr


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("programs/nox", "nox -s smoke"),
        ("programs/uvx", "uvx --from nox[uv] nox -s smoke"),
        ("modules/nox.py", "nox.py -s smoke"),
    ],
)
@pytest.mark.parametrize("tensorflow", ["", "2.15.0"], ids=["no TensorFlow", "another"])
def test_nox_runs_the_smoke_test_elsewhere(
    project: Path, program: str, command: str, tensorflow: str
) -> None:
    if tensorflow:
        install_tensorflow(project, tensorflow)
    write_fake(project.parent / program)
    done = run_hook(project)
    assert (done.returncode, done.stdout) == (0, f"{command}\n")
    first, *steps = done.stderr.splitlines()
    assert first.startswith("smoke    building the training environment")
    assert [step.split()[0] for step in steps] == ["not", "next", "nox", "the"]


def test_without_nox_the_project_stays_with_a_warning(project: Path) -> None:
    done = run_hook(project)
    assert done.returncode == 0 and done.stdout == ""
    assert done.stderr.startswith("warning: neither TensorFlow nor nox is installed")
    assert "nox -s smoke" in done.stderr


def test_an_environment_that_cannot_be_built_is_a_warning(project: Path) -> None:
    write_fake(project.parent / "programs" / "nox")
    done = run_hook(project, CODE="1")
    assert done.returncode == 0
    assert "warning: the training environment could not be built" in done.stderr
    assert "next     cd " in done.stderr


def test_a_smoke_test_that_fails_in_its_environment_fails_the_hook(project: Path) -> None:
    write_fake(project.parent / "programs" / "nox")
    done = run_hook(project, CODE="1", BUILDS="yes")
    assert done.returncode == 1 and "next " not in done.stderr


def test_an_update_of_a_project_runs_and_shows_nothing(project: Path) -> None:
    write_fake(project.parent / "programs" / "nox")
    done = run_hook(project, smoke_test="update")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("start", "folder"), [(".", "project"), ("programs", ""), ("..", "/project")]
)
def test_the_next_steps_begin_where_the_user_is(project: Path, start: str, folder: str) -> None:
    done = run_hook(project, smoke_test="skip", PWD=str((project.parent / start).resolve()))
    shown = done.stderr.splitlines()[1].removeprefix("next     cd ")
    assert shown.endswith(folder) and (project.parent / start / shown).resolve() == project
    assert "pip install" in done.stderr  # no nox here


@pytest.mark.parametrize("code", [0, 1])
def test_on_a_terminal_the_smoke_test_is_one_line_unless_it_fails(project: Path, code: int) -> None:
    write_fake(project.parent / "programs" / "nox")
    terminal, end = pty.openpty()
    done = run_hook(project, CODE=str(code), BUILDS="yes", stderr=end)
    os.close(end)
    shown = os.read(terminal, 65_536).decode()
    os.close(terminal)
    assert done.returncode == code
    kept = re.sub(r"\r\x1b\[2K[^\r\n]*(?=\r\x1b)", "", shown)
    assert ("nox -s smoke" in kept) == bool(code) and ("next " in kept) != bool(code)


@pytest.mark.minute
@pytest.mark.parametrize(("code", "left"), [("0", ["census-income"]), ("1", [])])
def test_the_engine_keeps_a_project_only_if_its_hook_passes(
    project: Path, tmp_path: Path, code: str, left: list[str]
) -> None:
    write_fake(project.parent / "modules" / "nox.py")
    (tmp_path / "output").mkdir()
    command = [sys.executable, "-m", "cookiecutter", str(ROOT), "--no-input", "--default-config"]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "output")],
        env={"PYTHONPATH": str(tmp_path / "modules"), "CODE": code, "BUILDS": "yes"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == int(code), done.stderr
    assert [path.name for path in (tmp_path / "output").iterdir()] == left
