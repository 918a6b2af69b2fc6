"""Two commands of one project at the same time: neither finds a missing archive or half an environment."""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from launcher.files import locked
from launcher.packaging.sdist import archive_files

from tests.bakery import SOURCES
from tests.launcher.samples import QUIET, write_files

SETUP = "from setuptools import setup; setup(name='sample', version='1', packages=['trainer'])"
BUILD = """
import sys
from pathlib import Path
from launcher.console import Console
from launcher.packaging.sdist import build_source_distribution
project = Path(sys.argv[1])
for _ in range(3):
    assert build_source_distribution(project, project / "packages", Console()).path.is_file()
"""
# Installing is slow and does nothing but leave its traces.
INSTALL = """
import sys, time
from pathlib import Path
from launcher.console import Console
from launcher.packaging import environment
from launcher.packaging.sdist import SourceDistribution
folder = Path(sys.argv[1])
def slow(name):
    def fake(*arguments):
        (folder / "log").open("a").write(name + " ")
        time.sleep(0.5)
        target = arguments[-2]
        environment.python_of(target).parent.mkdir(parents=True)
        environment.python_of(target).touch()
        (target / environment.STATE_FILE).touch()
    return fake
environment.install_requirements = slow("requirements")
environment.install_package = slow("package")
runtime = environment.Environment(folder, "runtime", "local", "runtime", "a minute")
distribution = SourceDistribution(folder / ".nox/packages/1/x.tar.gz", "x", (), frozenset(), "content")
assert environment.install(runtime, distribution, Console()).exists()
"""

# A job whose package does not exist: it fails, but only after the lock is free.
RUN = ["-m", "launcher.executors.local", "job.json", "--mount", ".", "--package", "none"]


def run_two(program: str, folder: Path) -> list[str]:
    """Run a program in two processes at the same time, without an error, and return what each one printed."""
    command = [sys.executable, "-c", program, str(folder)]
    both = [
        subprocess.Popen(command, cwd=SOURCES, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    printed = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    return printed


@pytest.mark.minute
def test_two_builds_of_one_package_do_not_disturb_each_other(tmp_path: Path) -> None:
    files = {f"trainer/m{number}.py": "" for number in range(200)}
    run_two(BUILD, write_files(tmp_path, {"setup.py": SETUP, "trainer/__init__.py": "", **files}))
    (archive,) = (tmp_path / "packages").glob("*/*.tar.gz")
    assert set(files) <= set(archive_files(archive.read_bytes()))


@pytest.mark.minute
def test_of_two_installations_one_waits_and_finds_the_environment_built(tmp_path: Path) -> None:
    printed = run_two(INSTALL, tmp_path)
    assert (tmp_path / "log").read_text() == "requirements package "
    waited = ["waiting  for another command that builds or installs" in each for each in printed]
    assert sum(waited) == 1


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    path = tmp_path / "lock"
    # Neither waits for the other, and a killed one leaves no file that stands for the lock.
    with locked(path, "another", QUIET), locked(path, "another", QUIET):
        assert not path.is_file() or not path.read_bytes()


def test_a_trial_that_a_killed_study_left_is_waited_for(tmp_path: Path) -> None:
    pool = {"containerSpec": {"imageUri": "image"}}
    (tmp_path / "job.json").write_text(json.dumps({"jobSpec": {"workerPoolSpecs": [pool]}}))
    variables = {**os.environ, "PYTHONPATH": str(SOURCES)}
    with locked(tmp_path / "job.lock", "", QUIET):
        again = subprocess.Popen(
            [sys.executable, *RUN], cwd=tmp_path, env=variables, stderr=subprocess.PIPE, text=True
        )
        assert again.stderr and "waiting  for another process that runs" in again.stderr.readline()
        time.sleep(0.5)
        assert again.poll() is None
    assert again.communicate(timeout=30) and again.returncode
