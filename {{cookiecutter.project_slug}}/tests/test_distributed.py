"""Several processes that train one model: as one process would, with one that writes."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.data.schema import Schema
from trainer.data.statistics import read_statistics
from trainer.model import Model, build_optimizer
from trainer.run.cluster import Place, place_of, require_chief
from trainer.run.errors import UserError
from trainer.settings import Settings
from trainer.training import checkpoint
from trainer.training.distribution import Replicas
from trainer.training.loop import check_agreement
from trainer.training.train_step import Learner

ROOT = Path(__file__).resolve().parents[1]
TASK = (sys.executable, "-m", "trainer.task")
# 400 rows in batches of 50 and 3 replicas: no part is as large as the others.
FLAGS = ("--batch-size", "50", "--dropout", "0", "--epochs", "3", "--learning-rate", "0.01")
LONGER = ("--batch-size", "50", "--dropout", "0.1", "--epochs", "20")


def config(cluster: object, task: object) -> dict[str, str]:
    """Return an environment with TF_CONFIG."""
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task, "environment": "cloud"})}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Place()),
        (config({}, {}), Place()),
        (config({"chief": ["a"]}, {"type": "chief", "index": 0}), Place()),
        (
            config({"chief": ["a"], "worker": ["b", "c"]}, {"type": "chief", "index": 0}),
            Place(0, 3),
        ),
        (
            config({"master": ["a"], "worker": ["b", "c"]}, {"type": "worker", "index": 1}),
            Place(2, 3, is_chief=False),
        ),
        (config({"worker": ["b", "c"]}, {"type": "worker", "index": 0}), Place(0, 2)),
        (
            config({"chief": ["a"]}, {"type": "evaluator", "index": 0}),
            Place(is_chief=False, is_evaluator=True),
        ),
    ],
)
def test_tf_config_tells_the_place(environment: dict[str, str], expected: Place) -> None:
    assert place_of(environment) == expected


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TF_CONFIG": "{"}, "TF_CONFIG cannot be read"),
        ({"TF_CONFIG": "[]"}, "TF_CONFIG cannot be read"),
        (config({"worker": ["a"]}, {"type": "worker", "index": 3}), "is none of its cluster"),
        (config({"chief": ["a"], "worker": 2}, {"type": "chief"}), "'worker' are no list"),
        (config({"chief": ["a"], "worker": "bc"}, {"type": "chief"}), "'worker' are no list"),
        (config({"chief": ["a"], "ps": ["b"]}, {"type": "chief"}), "1 parameter servers"),
    ],
)
def test_a_tf_config_that_cannot_be_right_is_refused(
    environment: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        place_of(environment)


def start(
    prepared: Path, job_dirs: Sequence[Path], flags: Sequence[str]
) -> list["subprocess.Popen[str]"]:
    """Start a replica for each of `job_dirs`, the chief first."""
    hosts = free_hosts(len(job_dirs))
    cluster = {"chief": hosts[:1], "worker": hosts[1:]}
    places = [("chief", 0), *(("worker", index) for index in range(len(hosts) - 1))]
    return [
        subprocess.Popen(
            [*TASK, "--data-dir", str(prepared), "--job-dir", str(job_dir), *flags],
            cwd=ROOT,
            env={**os.environ, **config(cluster, {"type": kind, "index": index})},
            stderr=subprocess.PIPE,
            text=True,
        )
        for job_dir, (kind, index) in zip(job_dirs, places, strict=True)
    ]


def free_hosts(count: int) -> list[str]:
    """Return addresses on this machine that nothing listens on."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    hosts = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    for listener in listeners:
        listener.close()
    return hosts


def run(prepared: Path, job_dirs: Sequence[Path], flags: Sequence[str] = FLAGS) -> None:
    """Run replicas to their end, which has to be a good one."""
    replicas = start(prepared, job_dirs, flags)
    said = [replica.communicate(timeout=120)[1] for replica in replicas]
    assert [replica.returncode for replica in replicas] == [0] * len(replicas), said


def weights(job_dir: Path) -> list[Any]:
    """Return the arrays of the last checkpoint."""
    found = checkpoint.newest(job_dir / "checkpoints", pytest.fail)
    assert found
    return found[0]


def metrics(job_dir: Path) -> dict[str, Any]:
    """Return the final metrics."""
    return dict(json.loads((job_dir / "metrics.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def alone(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The job folder of a run of one process."""
    folder = tmp_path_factory.mktemp("alone")
    command = [*TASK, "--data-dir", str(prepared), "-q"]
    subprocess.run([*command, "--job-dir", str(folder), *FLAGS], cwd=ROOT, check=True)
    return folder


def test_three_replicas_end_where_one_does_and_one_of_them_writes(
    prepared: Path, alone: Path, tmp_path: Path
) -> None:
    chief, *others = (tmp_path / name for name in ("chief", "worker-0", "worker-1"))
    run(prepared, [chief, *others])
    assert not [path for path in others if path.exists()]
    for array, expected in zip(weights(chief), weights(alone), strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-3, atol=1e-4)
    got, wanted = metrics(chief), metrics(alone)
    assert got["loss"] == pytest.approx(wanted["loss"], rel=1e-3)
    assert (got["steps"], got["epochs"]) == (wanted["steps"], wanted["epochs"])
    assert (chief / "model" / "saved_model.pb").is_file()


def test_a_signal_to_one_replica_stops_both_and_they_go_on_to_the_same_end(
    prepared: Path, tmp_path: Path
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    run(prepared, [whole, whole], LONGER)
    replicas = start(prepared, [stopped, stopped], LONGER)
    wait_for(replicas[0], "eval")
    replicas[1].terminate()
    said = [replica.communicate(timeout=60)[1] for replica in replicas]
    assert [replica.returncode for replica in replicas] == [143, 143], said
    assert not (stopped / "metrics.json").is_file()
    run(prepared, [stopped, stopped], LONGER)
    for array, expected in zip(weights(stopped), weights(whole), strict=True):
        np.testing.assert_array_equal(array, expected)


def wait_for(replica: "subprocess.Popen[str]", word: str) -> None:
    """Wait until a replica says a line that begins with `word`."""
    assert replica.stderr is not None
    assert any(line.startswith(word) for line in replica.stderr)


def test_a_lost_replica_ends_the_others_with_one_line(prepared: Path, tmp_path: Path) -> None:
    job_dirs = [tmp_path / "job"] * 2
    chief, worker = start(prepared, job_dirs, [*FLAGS, "--epochs", "1000"])
    try:
        wait_for(chief, "eval")
        worker.kill()
        lines = chief.communicate(timeout=60)[1].splitlines()
        assert chief.returncode == 2, lines
        wrong = [line for line in lines if not line.startswith(("eval", "train"))]
        assert len(wrong) == 1 and wrong[0].startswith("error: the replicas can no longer"), lines
    finally:
        chief.kill()
        worker.communicate()


def test_two_devices_end_where_one_does_and_draw_their_own_dropout(prepared: Path) -> None:
    program = Path(__file__).with_name("two_devices.py")
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, str(program), str(prepared)],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["difference"] < 1e-4
    first, second = found["seeds"]
    assert first != second


class Disagreeing(Replicas):
    """Two processes, of which the other always has another value."""

    def gathered(self, value: float) -> list[float]:
        return [value, value + 1]


def test_only_the_chief_may_write_the_model() -> None:
    cluster = {"chief": ["a:1"], "worker": ["b:1"]}
    require_chief({})
    require_chief(config(cluster, {"type": "chief", "index": 0}))
    with pytest.raises(UserError, match=r"replica 1 of 2.* is about to write.*; .*chief alone"):
        require_chief(config(cluster, {"type": "worker", "index": 0}))


def test_rows_that_are_trained_on_twice_are_told(schema: Schema, prepared: Path) -> None:
    statistics = read_statistics(prepared, schema)
    settings = Settings(hidden_units=(4,)).for_rows(statistics.rows["train"])
    model = Model(schema, statistics, settings)
    learner = Learner(model, build_optimizer(model.network, settings, 1_000, 1), settings)
    learner.replicas = TwoAlike(Place())
    learner.check_shared(32, 64)
    with pytest.raises(UserError, match="trained on 128 rows of batches that hold 64; expected"):
        learner.check_shared(64, 64)


class TwoAlike(Replicas):
    """Two processes that always have the same value."""

    count = 2

    def gathered(self, value: float) -> list[float]:
        return [value, value]


def test_replicas_that_disagree_are_told(schema: Schema, prepared: Path) -> None:
    statistics = read_statistics(prepared, schema)
    settings = Settings(hidden_units=(4,)).for_rows(statistics.rows["train"])
    model = Model(schema, statistics, settings)
    optimizer = build_optimizer(model.network, settings, 1_000, 1)
    learner = Learner(model, optimizer, settings, Disagreeing(Place()))
    with pytest.raises(UserError, match="end with different weights"):
        learner.check_equal()
    with pytest.raises(UserError, match="go on from the steps 7, 8"):
        check_agreement(learner, 7)
