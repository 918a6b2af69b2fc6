"""The training loop, its monitor and its checkpoints: limits, interruptions, faults."""

import errno
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from recorder import Recorder, batches, splits_of
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from trainer import task
from trainer.data.schema import Schema
from trainer.data.shards import Split
from trainer.data.statistics import Statistics
from trainer.model import (
    MOST_CROSSES,
    Model,
    boundaries_of,
    build_optimizer,
    pairs_to_cross,
    treatments,
)
from trainer.run.errors import UserError
from trainer.run.locks import held
from trainer.run.outputs import outputs_of
from trainer.settings import Settings
from trainer.training import checkpoint
from trainer.training.layers import Heads, MemberDense, MemberDropout
from trainer.training.loop import Run, total_steps
from trainer.training.metrics import MAIN_METRIC
from trainer.training.monitor import save_interval
from trainer.training.optimizer import Treatment
from trainer.training.tensorflow_setup import start_tensorflow
from trainer.training.train_step import Trainer

SETTINGS = Settings(
    epochs=3,
    batch_size=64,
    learning_rate=3e-3,
    hidden_units=(16, 8),
    ensemble=1,
    dropout=0.1,
    seed=3,
)


def trained(
    prepared: Path, schema: Schema, statistics: Statistics, settings: Settings, monitor: Recorder
) -> list[npt.NDArray[Any]]:
    """Train as a process of its own does, with the seed's own initial weights, and return the final arrays."""
    start_tensorflow(settings.seed)
    train_split, eval_split = splits_of(prepared, schema, settings)
    model = Model(schema, statistics, settings)
    optimizer = build_optimizer(
        model.network, settings, train_split.rows, total_steps(train_split, settings)
    )
    trainer = Trainer(model, optimizer, settings)
    run = Run(trainer, train_split, eval_split, settings, monitor)
    run.resume()
    run.train()
    return trainer.arrays()


@pytest.mark.parametrize("stop_after", [1, 5, 11])
def test_a_run_that_was_stopped_ends_with_the_same_weights(
    prepared: Path,
    schema: Schema,
    statistics: Statistics,
    stop_after: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trainer.training.loop.FIRST_CALL_STEPS", 1)
    monkeypatch.setattr("trainer.training.loop.MOST_CALL_STEPS", 1)
    complete = Recorder()
    expected = trained(prepared, schema, statistics, SETTINGS, complete)
    stopped = Recorder(stop_after)
    with pytest.raises(SystemExit):
        trained(prepared, schema, statistics, SETTINGS, stopped)
    resumed_arrays = trained(prepared, schema, statistics, SETTINGS, stopped)
    assert all(
        np.array_equal(one, other) for one, other in zip(expected, resumed_arrays, strict=True)
    )
    assert stopped.state.history == complete.state.history
    assert sum(stopped.rows) == sum(complete.rows) == SETTINGS.epochs * statistics.rows["train"]


def test_the_number_of_steps_per_call_changes_nothing(
    prepared: Path, schema: Schema, statistics: Statistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = trained(prepared, schema, statistics, SETTINGS, Recorder())
    monkeypatch.setattr("trainer.training.loop.FIRST_CALL_STEPS", 2)
    arrays = trained(prepared, schema, statistics, SETTINGS, Recorder())
    assert all(np.array_equal(one, other) for one, other in zip(expected, arrays, strict=True))


def test_steps_end_the_run_in_the_middle_of_an_epoch(
    prepared: Path, schema: Schema, statistics: Statistics
) -> None:
    monitor = Recorder()
    trained(prepared, schema, statistics, replace(SETTINGS, max_steps=7), monitor)
    assert monitor.state.step == monitor.total_steps == 7


@pytest.mark.parametrize(
    ("quality", "train_rows", "count"),
    [("fast", 50_000, 24), ("default", 50_000, 60), ("default", 8_000, 40), ("best", 900, 24)],
)
def test_a_fast_run_and_one_of_few_rows_have_fewer_boundaries_with_the_same_ends(
    schema: Schema, statistics: Statistics, quality: str, train_rows: int, count: int
) -> None:
    edges = tuple(float(number) for number in range(60))
    columns = {name: replace(each, boundaries=edges) for name, each in statistics.numeric.items()}
    first, *others = columns
    columns[first] = replace(columns[first], boundaries=edges[:2])
    statistics = replace(statistics, numeric=columns, rows={"train": train_rows, "eval": 1})
    few, *many = boundaries_of(statistics, replace(SETTINGS, quality=quality))
    assert few == (0.0, 1.0) and len(many) == len(others) > 0
    assert all(len(set(each)) == count and (each[0], each[-1]) == (0.0, 59.0) for each in many)


def test_an_ensemble_predicts_the_mean_of_members_that_differ(
    prepared: Path, schema: Schema, statistics: Statistics
) -> None:
    model = Model(schema, statistics, replace(SETTINGS, ensemble=3))
    window = Split(prepared / "eval", schema, SETTINGS.memory_mb).all_rows()
    outputs = model.network([window.numbers, window.codes])
    members = [model.activate(outputs[:, member]) for member in range(3)]
    assert not np.allclose(members[0], members[1])
    assert np.allclose(
        model.predictions(window.numbers, window.codes), np.mean(members, axis=0), atol=1e-6
    )
    own = [model.member_losses(outputs[:, member], window.labels) for member in range(3)]
    assert np.allclose(model.losses(outputs, window.labels), np.mean(own, axis=0), atol=1e-6)


def test_the_layers_of_an_ensemble_keep_its_members_apart() -> None:
    """What each computes at once is what the members would compute one by one."""
    rows = np.random.default_rng(2).normal(size=(50, 7)).astype(np.float32)
    first, heads = MemberDense(3, 5), Heads(2)
    hidden = first(rows)
    scores = heads(hidden).numpy()
    kernel, bias = heads.kernel.numpy(), heads.bias.numpy()
    assert hidden.shape == (50, 3, 5) and scores.shape == (50, 3, 2)
    for member in range(3):
        scaled = rows * first.scale.numpy()[:, member]
        expected = scaled @ first.kernel.numpy() + first.bias.numpy()
        np.testing.assert_allclose(hidden[:, member], expected, atol=1e-5)
        np.testing.assert_allclose(
            scores[:, member], expected @ kernel[member] + bias[member], atol=1e-5
        )


def test_dropout_leaves_out_the_same_units_for_all_members() -> None:
    dropout, ones = MemberDropout(0.25), np.ones((200, 4, 30), np.float32)
    np.testing.assert_array_equal(dropout(ones, training=False), ones)
    kept = dropout(ones, training=True).numpy()
    assert (kept == kept[:, :1]).all() and np.unique(kept).tolist() == pytest.approx([0, 4 / 3])
    assert (kept == 0).mean() == pytest.approx(0.25, abs=0.03)
    assert not (kept[0] == kept[1]).all()


def test_an_ensemble_learns(prepared: Path, schema: Schema, statistics: Statistics) -> None:
    settings = replace(SETTINGS, ensemble=4, learning_rate=0.01)
    split, _ = splits_of(prepared, schema, settings)
    model = Model(schema, statistics, settings)
    trainer = Trainer(model, build_optimizer(model.network, settings, split.rows, 60), settings)
    before, *_ = trainer.evaluate(split)
    for _ in range(6):
        trainer.train_steps(trainer.tensors(split.all_rows()), batches(split.rows, 10), 0, 10)
    assert trainer.evaluate(split)[0]["loss"] < before["loss"]


def test_the_linear_part_moves_faster_and_by_evidence(
    schema: Schema, statistics: Statistics
) -> None:
    network = Model(schema, statistics, SETTINGS).network
    found = treatments(network, SETTINGS, rows=300)
    wide = [one for one in found if one.rate_factor > 1]
    assert len(wide) == bool(schema.coded)
    assert all(one.epsilon == 1 / SETTINGS.batch_size and not one.decay for one in wide)
    decayed = [one for one in found if one.decay]
    dense = [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)]
    assert decayed == [Treatment(decay=SETTINGS.weight_decay)] * len(dense)


@pytest.mark.parametrize("ensemble", [1, 3])
def test_a_layer_may_have_any_name(schema: Schema, statistics: Statistics, ensemble: int) -> None:
    settings = replace(SETTINGS, ensemble=ensemble)
    network = Model(schema, statistics, settings).network
    renamed = Model(schema, statistics, settings).network
    for number, layer in enumerate(renamed.layers):
        layer.name = f"layer_{number}"
        for variable in layer.variables:
            variable._path = f"{layer.name}/{variable.name}"
    assert treatments(renamed, settings, 300) == treatments(network, settings, 300)


def test_minutes_end_the_run(prepared: Path, schema: Schema, statistics: Statistics) -> None:
    monitor = Recorder()
    trained(
        prepared, schema, statistics, replace(SETTINGS, epochs=10_000, max_minutes=0.01), monitor
    )
    assert 0 < monitor.state.epoch < 10_000


def test_patience_ends_the_run(prepared: Path, schema: Schema, statistics: Statistics) -> None:
    monitor = Recorder()
    settings = replace(SETTINGS, epochs=20, patience=2, learning_rate=1.0)
    trained(prepared, schema, statistics, settings, monitor)
    name = MAIN_METRIC[schema.task]
    values = [entry[name] for entry in monitor.state.history]
    best = min(values) if schema.task == "regression" else max(values)
    assert values.index(best) == len(values) - 1 - monitor.state.stale_evaluations


@pytest.mark.parametrize(
    ("train_rows", "error", "kept"), [(1_999, 0.0, 0), (1_999, 0.5, 1), (2_000, 0.5, 0)]
)
def test_a_run_ends_with_the_weights_of_its_best_evaluation_or_of_one_that_is_as_good(
    prepared: Path,
    schema: Schema,
    statistics: Statistics,
    train_rows: int,
    error: float,
    kept: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Model(schema, statistics, SETTINGS)
    trainer = Trainer(model, build_optimizer(model.network, SETTINGS, 1_000, 10), SETTINGS)
    values = (1.0, 1.4, 1.6) if schema.task == "regression" else (1.6, 1.2, 1.0)
    name, two_labels = MAIN_METRIC[schema.task], {"rows": np.ones(2)}
    found = iter([({name: value, "standard_error": error}, two_labels) for value in values])
    monkeypatch.setattr(trainer, "evaluate", lambda split: next(found))
    train_split, eval_split = splits_of(prepared, schema, SETTINGS)
    monkeypatch.setattr(train_split, "rows", train_rows)
    run, weights = Run(trainer, train_split, eval_split, SETTINGS, Recorder()), []
    for _ in values:
        weights.append([variable.numpy() for variable in trainer.weights])
        run.evaluate()
        for variable in trainer.weights:
            variable.assign(variable + 1)
    trainer.use_best()
    ended = [variable.numpy() for variable in trainer.weights]
    assert all(np.array_equal(one, other) for one, other in zip(weights[kept], ended, strict=True))


def test_a_loss_that_is_not_finite_stops_the_run(
    prepared: Path, schema: Schema, statistics: Statistics
) -> None:
    with pytest.raises(
        UserError, match=r"the loss is (nan|inf) at step \d+.*a finite loss; lower --learning-rate"
    ):
        settings = replace(SETTINGS, learning_rate=1e30, epochs=10)
        trained(prepared, schema, statistics, settings, Recorder())


def run_task(prepared: Path, job_dir: Path, *options: str) -> int:
    """Run the entry point for two short epochs."""
    arguments = ["--data-dir", str(prepared), "--job-dir", str(job_dir), "--epochs", "2", "-q"]
    return task.main([*arguments, "--quality", "fast", "--hidden-units", "8", *options])


def test_tensorboard_gets_the_curves_and_the_settings(prepared: Path, tmp_path: Path) -> None:
    assert (
        run_task(prepared, tmp_path / "job", "--batch-size", "100", "--learning-rate", "0.01") == 0
    )
    values: dict[str, list[float]] = {}
    settings: dict[str, Any] = {}
    (path,) = (tmp_path / "job" / "logs").glob("*tfevents*")
    for event in tf.compat.v1.train.summary_iterator(str(path)):
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "hparams":
                content = HParamsPluginData.FromString(value.metadata.plugin_data.content)
                held = content.session_start_info.hparams
                settings |= {name: held[name] for name in held}
            else:
                values.setdefault(value.tag, []).append(float(tf.make_ndarray(value.tensor)))
    assert settings["learning_rate"].number_value == 0.01
    assert settings["hidden_units"].string_value == "[8]"
    metrics = json.loads((tmp_path / "job" / "metrics.json").read_text(encoding="utf-8"))
    assert {f"eval/{name}" for name in metrics["history"][-1]} - {"eval/step", "eval/epoch"} <= {
        *values
    }
    names = {"loss", "learning_rate", "rows_per_second"}
    assert {name for name in values if "train/" in name} == {f"train/{name}" for name in names}
    assert all(np.isfinite(each).all() for each in values.values())
    rates = values["train/learning_rate"]
    assert 0 <= rates[-1] < 1e-3 and max(rates) <= 0.01  # it decays to zero
    assert values["train/rows_per_second"][-1] == pytest.approx(
        metrics["rows_per_second"], rel=1e-3
    )


def test_a_finished_run_is_not_trained_again_but_can_be_continued(
    prepared: Path, tmp_path: Path
) -> None:
    steps = []
    for options in ([], [], ["--epochs", "3", "--memory-mb", "64"]):
        assert run_task(prepared, tmp_path / "job", *options) == 0
        metrics = json.loads((tmp_path / "job" / "metrics.json").read_text(encoding="utf-8"))
        steps.append((metrics["steps"], len(metrics["history"])))
    assert steps[0] == steps[1] and steps[2][1] == 3 and steps[2][0] == steps[0][0] * 3 // 2


def test_each_evaluation_of_a_trial_is_reported_to_tuning(
    prepared: Path, schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = tmp_path / "tuning" / "output.metrics"
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(reports))
    monkeypatch.setenv("CLOUD_ML_TRIAL_ID", "4")
    assert run_task(prepared, tmp_path / "job") == 0
    metrics = json.loads((tmp_path / "job" / "metrics.json").read_text(encoding="utf-8"))
    lines = reports.read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(metrics["history"]) == 2
    name, record = MAIN_METRIC[schema.task], json.loads(lines[-1])
    assert record["trial"] == "4"
    assert float(record[name]) == pytest.approx(metrics["history"][-1][name])


def test_verbose_shows_settings_and_devices(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_task(prepared, tmp_path / "job", "--verbose") == 0
    shown = capsys.readouterr().err
    assert "setting  epochs = 2\n" in shown
    assert re.search(r"^devices  CPU:0.*; 1 replica", shown, re.MULTILINE)


def test_a_run_says_once_what_it_is_and_how_long_it_will_take(
    prepared: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trainer.training.loop.FIRST_CALL_STEPS", 1)
    arguments = ["--data-dir", str(prepared), "--job-dir", str(tmp_path / "job"), "--epochs", "2"]
    assert task.main([*arguments, "--ensemble", "3", "--hidden-units", "8"]) == 0
    shown = capsys.readouterr().err
    line = r"^quality  default: 3 members, [\d,]+ steps in 2 epochs; about \d+ s$"
    assert len(re.findall(line, shown, re.MULTILINE)) == 1
    assert shown.count("quality  default:") == 1


def test_other_hyperparameters_in_the_same_job_dir_are_refused(
    prepared: Path, tmp_path: Path
) -> None:
    assert run_task(prepared, tmp_path / "job") == 0
    with pytest.raises(
        UserError, match=r"--dropout 0.1 \(now 0.5\).*name another --job-dir; nothing was changed"
    ):
        run_task(prepared, tmp_path / "job", "--dropout", "0.5")


@pytest.mark.parametrize(
    "content", [b"{}", b"[1]", b'{"settings": {}}', b'{"settings": 7}', '{"ä": 1}'.encode("utf-16")]
)
def test_a_config_of_another_program_is_refused(
    prepared: Path, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(
        UserError, match="config.json was not written by a run of this version.*; name another"
    ):
        run_task(prepared, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize("content", ["{}", "[1]", '{"auc": 0.9, "steps": 3}'])
def test_metrics_of_another_program_are_refused(
    prepared: Path, tmp_path: Path, content: str
) -> None:
    assert run_task(prepared, tmp_path) == 0
    (tmp_path / "metrics.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"metrics.json was not written by a run of this version"):
        run_task(prepared, tmp_path)


def test_a_job_dir_that_another_run_writes_to_is_refused(prepared: Path, tmp_path: Path) -> None:
    def refuse() -> None:
        raise AssertionError("no other run holds it")

    message = (
        "another run is writing to .*; expected a job folder for each run; .* another --job-dir"
    )
    job_dir = tmp_path / "job"
    lock = outputs_of(str(job_dir), {}).lock
    with held(lock, refuse), pytest.raises(UserError, match=message):
        run_task(prepared, job_dir)
    assert not list(job_dir.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_a_full_disk_for_checkpoints_is_a_warning(
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert run_task(prepared, tmp_path / "job") == 0
    assert "cannot be saved ([Errno 28] No space left on device)" in capsys.readouterr().err
    assert not list((tmp_path / "job" / "checkpoints").iterdir())
    assert (tmp_path / "job" / "model" / "saved_model.pb").is_file()


@pytest.mark.parametrize(("cost", "interval"), [(0.01, 10.0), (1.0, 50.0), (60.0, 600.0)])
def test_a_slow_disk_gets_fewer_checkpoints(cost: float, interval: float) -> None:
    assert save_interval(cost) == pytest.approx(interval)


def test_a_checkpoint_that_cannot_be_read_is_skipped(tmp_path: Path) -> None:
    warnings: list[str] = []
    checkpoint.save(tmp_path, 1, [np.ones(3)], {"step": 1})
    (tmp_path / "step-0000000002.checkpoint").mkdir()  # reading it raises an OSError
    found = checkpoint.newest(tmp_path, warnings.append)
    assert found is not None and found[1] == {"step": 1} and len(warnings) == 1


def test_checkpoints_that_are_all_corrupted_are_an_error(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, [np.ones(3)], {"step": 1}).write_bytes(b"cut short")
    with pytest.raises(UserError, match="none of the 1 checkpoints in .* can be read; expected"):
        checkpoint.newest(tmp_path, lambda _: None)


@pytest.mark.parametrize(
    "corrupt",
    [
        lambda content: content[:-9],
        lambda content: content[:9] + b"x" + content[10:],
        lambda _: b"",
    ],
)
def test_a_corrupted_checkpoint_is_skipped(
    tmp_path: Path, corrupt: Callable[[bytes], bytes]
) -> None:
    warnings: list[str] = []
    for step in (1, 2, 3):
        newest = checkpoint.save(tmp_path, step, [np.full(3, step)], {"step": step})
    newest.write_bytes(corrupt(newest.read_bytes()))
    found = checkpoint.newest(tmp_path, warnings.append)
    assert found is not None and found[1] == {"step": 2} and found[0][0].tolist() == [2, 2, 2]
    assert len(warnings) == 1 and "corrupted" in warnings[0]


def test_pairs_of_columns_are_bounded_and_those_of_the_fewest_combinations() -> None:
    assert pairs_to_cross([3, 2, 90], 10_000) == [(0, 1), (0, 2), (1, 2)]
    assert pairs_to_cross([3, 2, 90], 100) == [(0, 1)]
    few = [2] * 10
    pairs = pairs_to_cross([*few, *[30] * 100], 1_000_000)
    assert len(pairs) == MOST_CROSSES
    assert {(a, b) for a in range(10) for b in range(a + 1, 10)} < set(pairs)
