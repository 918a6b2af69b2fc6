"""Several processes train one model as one process would; one of them writes."""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recorder import config, regrouped
from trainer import features
from trainer.data.schema import Schema, read_schema
from trainer.data.shards import Split, row_groups
from trainer.data.statistics import Statistics
from trainer.model import Model, build_optimizer, export
from trainer.run.cluster import ClusterPosition
from trainer.run.errors import UserError
from trainer.settings import Settings, metrics_for
from trainer.training import checkpoint
from trainer.training.distribution import Replicas
from trainer.training.loop import check_same_step
from trainer.training.train_step import Trainer

ROOT = Path(__file__).resolve().parents[1]
TASK = (sys.executable, "-m", "trainer.task")
# 400 rows in groups of 24, windows of 7 groups, batches of 50 and 3 replicas: no part is as large as the others.
FLAGS = (
    *("--quality", "fast", "--batch-size", "50", "--dropout", "0", "--epochs", "3"),
    *("--learning-rate", "0.01", "--window-groups", "7"),
)
LONGER = ("--quality", "fast", "--batch-size", "50", "--dropout", "0.1", "--epochs", "40")


def start(
    prepared: Path,
    job_dirs: Sequence[Path],
    flags: Sequence[str],
    command: Sequence[str] = TASK,
    hosts: Sequence[str] = (),
) -> list["subprocess.Popen[str]"]:
    """Start a replica for each of `job_dirs`, the chief first."""
    hosts = hosts or free_hosts(len(job_dirs))
    cluster = {"chief": hosts[:1], "worker": hosts[1:]}
    positions = [("chief", 0), *(("worker", index) for index in range(len(hosts) - 1))]
    return [
        subprocess.Popen(
            [*command, "--data-dir", str(prepared), "--job-dir", str(job_dir), *flags],
            cwd=ROOT,
            env={**os.environ, **config(cluster, {"type": kind, "index": index})},
            stderr=subprocess.PIPE,
            text=True,
        )
        for job_dir, (kind, index) in zip(job_dirs, positions, strict=True)
    ]


def free_hosts(count: int) -> list[str]:
    """Return addresses on this machine that nothing listens on, of ports that no connection is given meanwhile."""
    ports = filter(is_free, random.SystemRandom().sample(range(20_000, 32_768), 1_000))
    return [f"127.0.0.1:{port}" for port in islice(ports, count)]


def is_free(port: int) -> bool:
    with suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return True
    return False


def run(prepared: Path, job_dirs: Sequence[Path], flags: Sequence[str] = FLAGS) -> None:
    """Run replicas until they end, without an error."""
    succeed(start(prepared, job_dirs, flags), timeout_seconds=120)


def succeed(replicas: Sequence["subprocess.Popen[str]"], timeout_seconds: float) -> None:
    """Wait until all replicas have ended with 0; the first that does not ends the others, which would wait for it."""
    deadline = time.monotonic() + timeout_seconds
    codes: list[int | None] = [None]
    while None in codes and not any(codes) and time.monotonic() < deadline:
        time.sleep(0.1)
        codes = [replica.poll() for replica in replicas]
    for replica in replicas:
        replica.kill()
    printed = [replica.communicate()[1] for replica in replicas]
    assert codes == [0] * len(replicas), printed


def weights(job_dir: Path) -> list[Any]:
    """Return the arrays of the newest checkpoint."""
    found = checkpoint.newest(job_dir / "checkpoints", pytest.fail)
    assert found
    return found[0]


def metrics(job_dir: Path) -> dict[str, Any]:
    """Return the final metrics."""
    return dict(json.loads((job_dir / "metrics.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def grouped(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data of enough row groups for each replica to have some."""
    return regrouped(prepared, tmp_path_factory.mktemp("grouped") / "data", 24)


@pytest.fixture(scope="module")
def alone(grouped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The job folder of a run of one process."""
    folder = tmp_path_factory.mktemp("alone")
    command = [*TASK, "--data-dir", str(grouped), "-q"]
    subprocess.run([*command, "--job-dir", str(folder), *FLAGS], cwd=ROOT, check=True)
    return folder


def test_three_replicas_end_where_one_does_and_one_of_them_writes(
    grouped: Path, alone: Path, tmp_path: Path
) -> None:
    chief, *others = (tmp_path / name for name in ("chief", "worker-0", "worker-1"))
    run(grouped, [chief, *others])
    assert not [path for path in others if path.exists()]
    for array, expected in zip(weights(chief), weights(alone), strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-3, atol=1e-4)
    got, wanted = metrics(chief), metrics(alone)
    names = {*metrics_for(read_schema(features).task), "loss", "standard_error"} & wanted.keys()
    assert len(names) > 3
    assert {name: got[name] for name in names} == pytest.approx(
        {name: wanted[name] for name in names}, rel=1e-3, abs=1e-3
    )
    assert (got["steps"], got["epochs"]) == (wanted["steps"], wanted["epochs"])
    assert (chief / "model" / "saved_model.pb").is_file()


@pytest.mark.skipif(features.TASK == "regression", reason="it has no classes")
def test_weights_of_classes_count_alike_on_one_replica_and_on_two(
    grouped: Path, alone: Path, tmp_path: Path
) -> None:
    flags = [*FLAGS, "--class-weights", "balanced"]
    run(grouped, [tmp_path / "one"], flags)
    run(grouped, [tmp_path / "two"] * 2, flags)
    for array, expected in zip(weights(tmp_path / "two"), weights(tmp_path / "one"), strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-3, atol=1e-4)
    one, two = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    names = [*metrics_for(str(features.TASK)), "loss"]
    assert [two[name] for name in names] == pytest.approx([one[name] for name in names], rel=1e-3)
    assert one["loss"] != pytest.approx(metrics(alone)["loss"], rel=1e-3)


def weighted(prepared: Path, folder: Path) -> Path:
    """Return a copy of prepared data whose rows have weights."""
    shutil.copytree(prepared, folder)
    for shard in folder.glob("*/*.parquet"):
        rows = pq.read_table(shard)
        weights = pa.array(0.25 + np.arange(rows.num_rows) % 4 / 2, pa.float32())
        rows = rows.add_column(rows.num_columns - 1, "weight", weights)
        pq.write_table(rows, shard, row_group_size=24)
    statistics = folder / "statistics.json"
    document = json.loads(statistics.read_text(encoding="utf-8"))
    document["weight"] = {"column": "weight", "mean": 1.0}
    statistics.write_text(json.dumps(document), encoding="utf-8")
    return folder


def test_weights_of_rows_count_alike_on_one_replica_and_on_two(
    grouped: Path, alone: Path, tmp_path: Path
) -> None:
    data = weighted(grouped, tmp_path / "data")
    run(data, [tmp_path / "one"])
    run(data, [tmp_path / "two"] * 2)
    for array, expected in zip(weights(tmp_path / "two"), weights(tmp_path / "one"), strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-3, atol=1e-4)
    one, two = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    names = [*metrics_for(str(features.TASK)), "loss"]
    assert [two[name] for name in names] == pytest.approx([one[name] for name in names], rel=1e-3)
    assert one["loss"] != pytest.approx(metrics(alone)["loss"], rel=1e-3)
    if found := one.get("threshold"):
        true, missed = found["true_positives"], found["false_negatives"]
        assert found["recall"] != pytest.approx(true / (true + missed), rel=1e-4)


def test_a_signal_to_one_replica_stops_both_and_they_resume_to_the_same_end(
    grouped: Path, tmp_path: Path
) -> None:
    complete, stopped = tmp_path / "complete", tmp_path / "stopped"
    run(grouped, [complete, complete], LONGER)
    replicas = start(grouped, [stopped, stopped], LONGER)
    wait_for(replicas[0], "eval")
    replicas[1].terminate()
    printed = [replica.communicate(timeout=60)[1] for replica in replicas]
    assert [replica.returncode for replica in replicas] == [143, 143], printed
    assert not (stopped / "metrics.json").is_file()
    others = shutil.copytree(stopped, tmp_path / "others")
    run(grouped, [stopped, stopped], LONGER)
    for array, expected in zip(weights(stopped), weights(complete), strict=True):
        np.testing.assert_array_equal(array, expected)
    run(grouped, [others] * 3, LONGER)  # dropout is drawn otherwise
    assert metrics(others)["steps"] == metrics(complete)["steps"]


def wait_for(replica: "subprocess.Popen[str]", start: str) -> None:
    """Wait until a replica prints a line that begins with `start`."""
    assert replica.stderr is not None
    assert any(line.startswith(start) for line in replica.stderr)


def test_a_failed_replica_ends_the_others_with_one_line(grouped: Path, tmp_path: Path) -> None:
    job_dirs = [tmp_path / "job"] * 2
    chief, worker = start(grouped, job_dirs, [*FLAGS, "--epochs", "1000"])
    try:
        wait_for(chief, "eval")
        worker.kill()
        lines = chief.communicate(timeout=60)[1].splitlines()
        assert chief.returncode == 2, lines
        # TensorFlow's logging writes the last of these before its first message of any level.
        expected = ("eval", "train", "WARNING: All log messages before absl::")
        wrong = [line for line in lines if not line.startswith(expected)]
        assert len(wrong) == 1 and wrong[0].startswith("error: a replica failed"), lines
    finally:
        chief.kill()
        worker.communicate()


def test_a_replica_whose_port_is_taken_names_it_as_the_reason(
    grouped: Path, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hosts = [*free_hosts(1), f"127.0.0.1:{listener.getsockname()[1]}"]
        replicas = start(grouped, [tmp_path / "job"] * 2, FLAGS, hosts=hosts)
        with pytest.raises(AssertionError, match="error: replica 1 cannot listen at its address"):
            succeed(replicas, timeout_seconds=60)
    assert replicas[1].returncode == 2


PRINTING = """
import sys, warnings
import tensorflow as tf
from trainer import task
from trainer.model import Model
losses = Model.losses
def shown(model, outputs, labels):
    tf.print("printed")
    warnings.warn("a warning")
    return losses(model, outputs, labels)
Model.losses = shown
sys.exit(task.main(sys.argv[1:]))
"""


def test_each_replica_shows_what_the_model_prints(prepared: Path, tmp_path: Path) -> None:
    command = (sys.executable, "-c", PRINTING)
    flags = [*FLAGS, "--max-steps", "2"]
    # The only row group is that of the chief.
    for replica in start(prepared, [tmp_path / "job"] * 2, flags, command):
        printed = replica.communicate(timeout=120)[1]
        assert replica.returncode == 0, printed
        assert printed.count("printed\n") >= 2 and "UserWarning: a warning" in printed


# `nox -s tests -- full` of the template starts 8, on a larger table.
COUNT = int(os.environ.get("REPLICAS", "2"))
ROW_GROUP_ROWS, TIMES, MEMORY_MB, BATCH_SIZE = (256, 60, 1, 512) if COUNT < 8 else (8_192, 12_000, 64, 16_384)  # fmt: skip
COUNTING = """
import os, sys
from trainer import model, task
from trainer.data import shards
tables = shards.tables
def counted(groups):
    with open(os.path.join(os.environ["READS"], str(os.getpid())), "a") as file:
        for group in groups:
            print(group.path.parent.name, group.begin, group.rows, file=file)
    return tables(groups)
shards.tables = counted
model.linear_baseline = lambda *given: {}  # which reads the first rows on the chief
sys.exit(task.main(sys.argv[1:]))
"""


def test_replicas_read_a_table_beyond_the_memory_of_one_once_an_epoch(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = regrouped(prepared, tmp_path / "data", ROW_GROUP_ROWS, TIMES)
    schema, names = read_schema(features), ("train", "eval")
    limits = (data / "train", schema, MEMORY_MB, 1)
    most = Split(*limits, ClusterPosition(0, COUNT)).largest_window(MEMORY_MB, COUNT)
    groups = {name: row_groups(data / name) for name in names}
    assert most == COUNT * Split(*limits).largest_window(MEMORY_MB, 1) < len(groups["train"])
    flags = ["--quality", "fast", "--hidden-units", "8", "--dropout", "0", "--epochs", "2"]
    flags += ["--batch-size", str(BATCH_SIZE), "--window-groups", str(most)]
    (tmp_path / "reads").mkdir()
    monkeypatch.setenv("READS", str(tmp_path / "reads"))
    one, several = tmp_path / "one", tmp_path / "several"
    limited = [*flags, "--memory-mb", str(MEMORY_MB)]
    replicas = start(data, [several] * COUNT, limited, (sys.executable, "-c", COUNTING))
    succeed(replicas, timeout_seconds=1_200)
    reads = [path.read_text("utf-8").splitlines() for path in (tmp_path / "reads").iterdir()]
    assert len(reads) == COUNT
    counts = Counter(chain(*reads))
    for name in names:
        found = [counts[f"{name} {each.begin} {each.rows}"] for each in groups[name]]
        # The eval split is read by two evaluations, and once for the threshold.
        times = 2 if name == "train" else 2 + (schema.task == "binary")
        assert found == [times] * len(found) if len(found) > most else {*found} == {1}, name
    in_train = [sum(line.startswith("train ") for line in lines) for lines in reads]
    assert max(in_train) <= 2 * (len(groups["train"]) / COUNT + len(groups["train"]) / most + 1)
    run(data, [one], flags)
    # Four hundred steps of the larger run add up what float32 rounds: a few weights were 3e-4 apart.
    tolerance = 1e-4 if COUNT < 8 else 2e-3
    for array, expected in zip(weights(several), weights(one), strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-3, atol=tolerance)
    assert metrics(several)["loss"] == pytest.approx(metrics(one)["loss"], rel=1e-4)


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
    """Two processes with different values."""

    def gathered(self, value: float) -> list[float]:
        return [value, value + 1]


def test_only_the_chief_may_write_the_model(
    schema: Schema, statistics: Statistics, tmp_path: Path
) -> None:
    model = Model(
        schema, statistics, Settings(hidden_units=(4,), ensemble=1).for_rows(100, schema.task)
    )
    with pytest.raises(UserError, match="not the chief is about to write.*; .*chief alone"):
        export(model, schema, statistics, tmp_path, is_chief=False)
    assert not list(tmp_path.iterdir())


def test_rows_that_are_trained_on_twice_are_reported(
    schema: Schema, statistics: Statistics
) -> None:
    settings = Settings(hidden_units=(4,), ensemble=1).for_rows(
        statistics.rows["train"], schema.task
    )
    model = Model(schema, statistics, settings)
    trainer = Trainer(model, build_optimizer(model.network, settings, 1_000, 1), settings)
    trainer.replicas = TwoAlike(ClusterPosition())
    trainer.check_row_counts(32, 64)
    with pytest.raises(UserError, match="trained on 128 rows of batches that hold 64; expected"):
        trainer.check_row_counts(64, 64)


class TwoAlike(Replicas):
    """Two processes with the same value."""

    count = 2

    def gathered(self, value: float) -> list[float]:
        return [value, value]


def test_replicas_that_disagree_are_reported(schema: Schema, statistics: Statistics) -> None:
    settings = Settings(hidden_units=(4,), ensemble=1).for_rows(
        statistics.rows["train"], schema.task
    )
    model = Model(schema, statistics, settings)
    optimizer = build_optimizer(model.network, settings, 1_000, 1)
    trainer = Trainer(model, optimizer, settings, Disagreeing(ClusterPosition()))
    with pytest.raises(UserError, match="end with different weights"):
        trainer.check_same_weights()
    with pytest.raises(UserError, match="resume from the steps 7, 8"):
        check_same_step(trainer, 7)
