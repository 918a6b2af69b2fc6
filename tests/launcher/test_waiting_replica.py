"""A replica that loads TensorFlow while its job is checked: it runs as a new one does, and never outlives its launcher."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from launcher.console import Refused
from launcher.executors.local.executor import (
    HOMES,
    START_MODULE,
    TEMPORARY,
    run_custom_job,
    waiting_replica,
)
from launcher.packaging.environment import site_packages

from tests.bakery import SOURCES
from tests.launcher.replicas import CONSOLE, SLEEP, job_of, run, wait_for_end


def dump(name: str) -> str:
    """Return code that writes what a process is given to a file of the buckets."""
    return f"import json, os, sys; json.dump([dict(os.environ), os.getcwd(), sys.path, sys.stdin.read()], open(os.environ['GCS_ROOT'] + '/{name}', 'w'))"


def test_a_waiting_replica_runs_as_a_new_one_does(tmp_path: Path) -> None:
    job, python = job_of(dump("new"), 1), Path(sys.executable)
    assert run(job, tmp_path) == 0
    job, package = job_of(dump("waiting"), 1), tmp_path / "package" / "bin" / "python"
    with waiting_replica(job, python) as waiting:
        assert run_custom_job(job, package, tmp_path, CONSOLE, waiting=waiting) == 0
        assert waiting.code == 0
    new, waited = (json.loads((tmp_path / name).read_text()) for name in ("new", "waiting"))
    before, requirements = (str(site_packages(each.parent.parent)) for each in (package, python))
    assert waited[2].index(before) == waited[2].index(requirements) - 1
    waited[2].remove(before)
    assert new[0].keys() == waited[0].keys() - {"TF_CPP_MIN_LOG_LEVEL"}
    differing = {name for name, value in new[0].items() if waited[0][name] != value}
    assert differing == {"CLUSTER_SPEC", *HOMES, *TEMPORARY}
    assert new[2:] == waited[2:] == [new[2], ""]
    assert Path(waited[1]).name == Path(new[1]).name == "work" and waited[1] != new[1]


def test_a_waiting_replica_ends_without_a_job_and_says_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for seconds in (0.0, 1.0):
        given = (job_of("", 1), Path(sys.executable))
        with contextlib.suppress(Refused), waiting_replica(*given) as waiting:
            time.sleep(seconds)
            raise Refused([])
        assert waiting.code and not waiting.folder.exists()
    assert capfd.readouterr() == ("", "")


def test_a_waiting_replica_ends_with_its_launcher(tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from launcher.executors.local.executor import waiting_replica
with waiting_replica({job_of("", 1)}, Path(sys.executable)) as waiting:
    print(waiting.pid, flush=True)
    {SLEEP}
"""
    command = [sys.executable, "-B", "-c", code]
    with subprocess.Popen(command, cwd=SOURCES, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout
        waiting = int(launcher.stdout.readline())
        os.kill(waiting, 0)
        launcher.kill()
    assert not wait_for_end([waiting])


def test_a_waiting_replica_ends_when_nobody_can_start_it() -> None:
    replica = subprocess.Popen([sys.executable, "-B", str(START_MODULE)], stdin=subprocess.PIPE)
    replica.communicate(timeout=60)
    assert replica.returncode == 0
