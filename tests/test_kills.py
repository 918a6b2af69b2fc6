"""Killed at any moment and started again, a preparation and a run end as uninterrupted ones do.

A few moments each here; `nox -s drills` runs the full numbers.
"""

import contextlib
import hashlib
import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.doubles.server import Json
from tests.drill import SEED, many
from tests.sessions import nox, python_of, ran, session_command

pytestmark = pytest.mark.full

# Saves several times a second, so that most kills interrupt a save or follow one.
TASK = """
import sys
from trainer import task
from trainer.run import errors
from trainer.training import monitor

monitor.FIRST_SAVE_INTERVAL_SECONDS = 0.1
monitor.SAVE_SHARE = 1.0
sys.exit(errors.exit_code(task.main, sys.argv[1:]))
"""
# As a full disk: no file can grow beyond what the smallest ones take.
FULL_DISK = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))"
FLAGS = ("--epochs", "6", "--hidden-units", "32,16", "-q")
KILLS_IN_A_ROW = 3
LONGEST_SECONDS = 300.0


@pytest.fixture(scope="module", autouse=True)
def own_package(lived_in: Path) -> None:
    """Use the project's own package: other projects may have used its environments meanwhile."""
    ran(lived_in, "local_train", "--max-steps", "1", "--job-dir", "runs/again")


def prepare(lived_in: Path, output: Path) -> list[str]:
    """Return the command that prepares the census sample."""
    data = [f"--{part}" for part in ("train", "test")]
    files = [str(lived_in / "data" / f"adult.{name}.gz") for name in ("data", "test")]
    paths = [word for pair in zip(data, files, strict=True) for word in pair]
    return [
        python_of(lived_in, "preparation"),
        "-m",
        "trainer.prepare",
        *paths,
        "--output",
        str(output),
        "-q",
    ]


def train(lived_in: Path, job_dir: Path) -> list[str]:
    """Return the command of a run of one process."""
    data = str(lived_in / "data" / "prepared")
    return [
        python_of(lived_in, "runtime"),
        "-c",
        TASK,
        "--data-dir",
        data,
        "--job-dir",
        str(job_dir),
        *FLAGS,
    ]


def ended(command: Sequence[str], folder: Path) -> float:
    """Run a command that must succeed; return the seconds that it took."""
    started = time.monotonic()
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "Traceback" not in done.stderr
    return time.monotonic() - started


def killed(command: Sequence[str], folder: Path, seconds: float) -> bool:
    """Run a command and kill it after a while, unless it has succeeded before; return whether it was killed."""
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    said = process.communicate()[1]
    assert process.returncode in (0, -9), said[-4000:]
    return process.returncode == -9


def digests(folder: Path) -> dict[str, str]:
    """Return a digest of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def outcome(job_dir: Path) -> Mapping[str, Any]:
    """Return all of a finished run that must not depend on how often it was killed."""
    metrics: Json = json.loads((job_dir / "metrics.json").read_text(encoding="utf-8"))
    newest = max((job_dir / "checkpoints").glob("*.checkpoint"))
    payload = newest.read_bytes().partition(b"\n")[2]
    variables = job_dir / "model" / "variables" / "variables.data-00000-of-00001"
    timed = {"wall_seconds", "rows_per_second"}
    return {
        **{key: value for key, value in metrics.items() if key not in timed},
        "checkpoint": newest.name,
        "rows trained on": state_of(payload)["rows"],
        "weights": hashlib.sha256(variables.read_bytes()).hexdigest(),
    }


def state_of(payload: bytes) -> Json:
    import io

    with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
        state: Json = json.loads(archive["state"].tobytes())
    return state


def test_a_killed_preparation_is_complete_when_run_again(lived_in: Path, tmp_path: Path) -> None:
    choose, output = random.Random(SEED), tmp_path / "output"
    ended(prepare(lived_in, tmp_path / "whole"), tmp_path)
    seconds = ended(prepare(lived_in, tmp_path / "whole"), tmp_path)
    kills = 0
    while kills < many(2, 10):
        shutil.rmtree(output, ignore_errors=True)
        kills += killed(prepare(lived_in, output), tmp_path, choose.uniform(0.0, 1.1 * seconds))
        assert not output.exists() or digests(output) == digests(tmp_path / "whole")
        ended(prepare(lived_in, output), tmp_path)
        assert digests(output) == digests(tmp_path / "whole")
        records = [f".{name}.source.json" for name in ("output", "whole")]
        assert sorted(path.name for path in tmp_path.iterdir()) == [*records, "output", "whole"]


def test_a_killed_run_ends_with_the_same_bits(lived_in: Path, tmp_path: Path) -> None:
    choose = random.Random(SEED)
    seconds = ended(train(lived_in, tmp_path / "whole"), tmp_path)
    expected = outcome(tmp_path / "whole")
    kills, job_dir = 0, tmp_path / "killed"
    while kills < many(3, 30):
        for _ in range(KILLS_IN_A_ROW):
            # Nothing is written before TensorFlow is imported.
            moment = choose.uniform(0.4 * seconds, 1.05 * seconds)
            kills += killed(train(lived_in, job_dir), tmp_path, moment)
        ended(train(lived_in, job_dir), tmp_path)
        assert outcome(job_dir) == expected
        shutil.rmtree(job_dir)


def test_a_full_disk_ends_the_run_with_one_line_and_it_resumes(
    lived_in: Path, tmp_path: Path
) -> None:
    ended(train(lived_in, tmp_path / "whole"), tmp_path)
    python, flag, program, *rest = train(lived_in, tmp_path / "full")
    done = subprocess.run(
        [python, flag, FULL_DISK + program, *rest], capture_output=True, text=True, check=False
    )
    said = done.stderr
    assert done.returncode == 2 and "Traceback" not in said, said[-4000:]
    assert "cannot be saved" in said
    assert len([line for line in said.splitlines() if line.startswith("error: ")]) == 1, said
    ended(train(lived_in, tmp_path / "full"), tmp_path)
    assert outcome(tmp_path / "full") == outcome(tmp_path / "whole")


def test_a_job_resumes_after_a_killed_replica_and_ends_alike(
    lived_in: Path,
) -> None:
    choose = random.Random(SEED)
    length = ("--scale-tier", "PAIR", "--epochs", "4", "--job-dir")
    started = time.monotonic()
    ran(lived_in, "local_train", *length, "runs/pair")
    seconds = time.monotonic() - started
    expected = outcome(lived_in / "runs" / "pair")
    run, kills, wanted = "runs/killed-pair", 0, many(1, 10)
    for _ in range(3 * wanted):
        if kills == wanted:
            break
        code = killed_pair(lived_in, [*length, run], choose.random(), 0.9 * seconds)
        kills += code != 0
        done = nox(lived_in, "local_train", *length, run)
        assert done.returncode == 0, done.stderr[-4000:]
        assert outcome(lived_in / run) == expected
        shutil.rmtree(lived_in / run)
    assert kills == wanted


def killed_pair(lived_in: Path, arguments: Sequence[str], share: float, seconds: float) -> int:
    """Train, and kill one of the replicas within `seconds`; return the exit code, 0 if the job had ended by then.

    `share` is the moment: 0 is when both replicas run, 1 is the last.
    """
    process = subprocess.Popen(
        session_command(lived_in, "local_train", *arguments),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + seconds
    wait_for_both(arguments[-1], process)
    time.sleep(share * max(0.0, until - time.monotonic()))
    victims = replicas_of(arguments[-1])
    if victims:
        with contextlib.suppress(ProcessLookupError):  # it may have ended just now
            os.kill(victims[round(share * 100) % len(victims)], 9)
    code = process.wait(60)
    assert code == 0 or victims
    return code


def wait_for_both(run: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until both replicas of a job run."""
    until = time.monotonic() + LONGEST_SECONDS
    while len(replicas_of(run)) < 2 and time.monotonic() < until:
        assert process.poll() is None
        time.sleep(0.1)


def replicas_of(run: str) -> list[int]:
    """Return the process ids of the replicas whose mount of Cloud Storage has a link to the folder of this run."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().decode().split("\0")
            variables = (path / "environ").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        mounts = [each.partition("=")[2] for each in variables if each.startswith("GCS_ROOT=")]
        links = [link for mount in mounts for link in Path(mount).rglob("*") if link.is_symlink()]
        if "trainer.task" in words and Path(run).name in [link.resolve().name for link in links]:
            found.append(int(path.name))
    return found
