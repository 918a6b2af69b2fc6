"""The job folder of a run: what it gets, what is printed beside it, and the folders that are refused."""

import errno
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from trainer import task
from trainer.data.schema import Schema
from trainer.run.errors import UserError
from trainer.run.locks import held
from trainer.run.outputs import outputs_of
from trainer.training.metrics import MAIN_METRIC


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
