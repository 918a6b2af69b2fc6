"""The doubles as a whole: the executor that runs jobs, the command, and TensorFlow's own gs:// client.

Those of each service are in tests/doubles.
"""

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from tests.bakery import ROOT
from tests.doubles import executor, google_cloud
from tests.doubles.clients import wait_until
from tests.doubles.examples import BUCKET, REGION
from tests.launcher.replicas import wait_for_end

pytestmark = pytest.mark.minute

TENSORFLOW_PYTHON = "TENSORFLOW_PYTHON"
"""The variable that may name an interpreter with TensorFlow, if that of the tests has none."""

EXECUTOR = """
import json, os, signal, subprocess, sys, time
job = json.load(open(sys.argv[1]))
print(os.getcwd(), job["displayName"], sys.argv[2:], flush=True)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
if job["labels"]["run"] == "cancelled":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
if job["labels"]["run"] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
if job["labels"]["run"] != "quick":
    time.sleep(60)
sys.exit(7)
"""


@pytest.mark.parametrize(("run", "code"), [("quick", 7), ("cancelled", 9), ("deaf", 137)])
def test_the_executor_of_a_project_runs_jobs(
    run: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "GRACE_SECONDS", 5.0 if run == "cancelled" else 0.2)
    project = tmp_path / "project"
    package = project / "launcher" / "executors" / "local"
    package.mkdir(parents=True)
    (package / "__main__.py").write_text(EXECUTOR)
    lines: list[str] = []
    cancelled, codes = threading.Event(), list[int]()
    runner = executor.executor_runner(project, tmp_path / "root", sys.executable)
    job = {
        "displayName": "penguins",
        "labels": {"run": run},
        "jobSpec": {
            "workerPoolSpecs": [{"pythonPackageSpec": {"packageUris": ["gs://bucket/one.tar.gz"]}}]
        },
    }
    thread = threading.Thread(target=lambda: codes.append(runner(job, lines.append, cancelled)))
    thread.start()
    wait_until(lambda: len(lines) == 3)
    if run != "quick":
        cancelled.set()
    thread.join(15)
    root = tmp_path / "root"
    options = ["--mount", str(root), "--package", str(root / "bucket" / "one.tar.gz")]
    assert lines[0] == f"{project} penguins {options}"
    assert codes == [code]
    assert wait_for_end([int(lines[1])]) == []


def tensorflow_python() -> str:
    """Return an interpreter that has TensorFlow; skip the test if there is none."""
    python = os.environ.get(TENSORFLOW_PYTHON, "")
    if not python and importlib.util.find_spec("tensorflow"):
        python = sys.executable
    return python or pytest.skip("TensorFlow isn't importable")


def test_tensorflow_reads_and_writes_gs(tmp_path: Path) -> None:
    python = tensorflow_python()
    program = Path(__file__).parent / "doubles" / "tensorflow_program.py"
    with google_cloud(tmp_path / "root", certificates=tmp_path / "tls") as cloud:
        cloud.storage.create_bucket(BUCKET, REGION)
        variables = {**os.environ, **cloud.tensorflow_variables, "TF_CPP_MIN_LOG_LEVEL": "2"}
        command = [python, str(program), f"gs://{BUCKET}/tf"]
        done = subprocess.run(
            command, env=variables, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        assert (cloud.storage.root / BUCKET / "tf" / "renamed.txt").read_text() == "text"
        assert cloud.faults.logged("POST", "/upload/")


def test_what_the_command_cannot_import_is_named(tmp_path: Path) -> None:
    (tmp_path / "launcher" / "executors").mkdir(parents=True)
    (tmp_path / "launcher" / "executors" / "local.py").write_text("import no_filelock\n")
    # Without site-packages neither Google's clients nor anything else is there.
    command = [sys.executable, "-S", "-m", "tests.doubles", str(tmp_path), "--project"]
    done = subprocess.run(
        [*command, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    for part in ("google-cloud-aiplatform", "google-cloud-storage", "'no_filelock'", "-s doubles"):
        assert part in done.stderr, done.stderr


def test_the_command_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.doubles", str(tmp_path), "--bucket", BUCKET]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = [process.stdout.readline().split() for _ in range(6)]
        process_variables = dict(line[1].split("=") for line in lines if line[0] == "export")
        url = process_variables["STORAGE_EMULATOR_HOST"]
        with urllib.request.urlopen(f"{url}/storage/v1/b/{BUCKET}", timeout=10) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
