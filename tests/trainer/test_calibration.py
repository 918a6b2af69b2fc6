"""Calibration: a temperature fitted on the eval split alone, which the exported model and every result have."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from trainer import arguments, features, task
from trainer.data import thresholds
from trainer.data.schema import Schema
from trainer.data.shards import Split
from trainer.data.statistics import Label, Statistics
from trainer.data.thresholds import (
    TEMPERATURE,
    calibration_error,
    confidence,
    fitted_temperature,
    quality_of,
)
from trainer.model import Model
from trainer.serving import read_saved_model
from trainer.settings import Settings

CLASSES = features.TASK != "regression"


def softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def drawn(count: int, rows: int = 20_000) -> tuple[Any, Any]:
    """Return true logits, [rows, classes], and classes that are drawn from their probabilities."""
    random = np.random.default_rng(6)
    logits = random.normal(scale=1.5, size=(rows, count))
    draws = random.uniform(size=(rows, 1))
    return logits, (softmax(logits).cumsum(axis=1) < draws).sum(axis=1)


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_temperature_is_what_makes_probabilities_true(count: int, factor: float) -> None:
    logits, labels = drawn(count)
    probabilities = softmax(factor * logits)
    found = fitted_temperature(probabilities, labels, None)
    assert found == pytest.approx(factor, rel=0.05)
    before = quality_of(probabilities, labels, None)
    after = quality_of(softmax(factor * logits / found), labels, None)
    assert after["log_loss"] <= before["log_loss"] and after["calibration_error"] < 0.015
    hits = confidence(labels, probabilities)
    assert before["calibration_error"] == calibration_error(*hits)
    assert (before["calibration_error"] > 0.05) == (factor != 1.0)


def test_the_temperature_counts_a_row_as_often_as_its_weight() -> None:
    logits, labels = drawn(2, 600)
    weights = np.where(np.arange(600) < 200, 5, 1)
    often = np.repeat(np.arange(600), weights)
    probabilities = softmax(logits * np.where(np.arange(600) < 200, 4.0, 1.0)[:, None])
    found = fitted_temperature(probabilities, labels, weights)
    assert found == pytest.approx(fitted_temperature(probabilities[often], labels[often], None))
    assert found > fitted_temperature(probabilities, labels, None) * 1.1


@pytest.mark.parametrize("sure", [0.0, 1.0])
def test_certain_probabilities_have_a_finite_temperature(sure: float) -> None:
    probabilities = np.array([[1 - sure, sure], [sure, 1 - sure]] * 30)
    for labels in (np.arange(60) % 2, 1 - np.arange(60) % 2, np.arange(60) // 2 % 2):
        found = fitted_temperature(probabilities, labels, None)
        assert 0.13 < found < 7.4


def test_rows_without_an_error_have_no_temperature() -> None:
    random = np.random.default_rng(2)
    sure = random.uniform(0.6, 0.9, 40)
    probabilities, labels = np.stack([1 - sure, sure], axis=1), np.ones(40, int)
    assert fitted_temperature(probabilities, labels, None) == 1.0
    assert fitted_temperature(probabilities, 1 - labels, None) == 1.0
    assert fitted_temperature(probabilities, labels - (np.arange(40) == 3), None) < 1.0


@pytest.mark.parametrize("members", [1, 4])
@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_a_model_has_the_temperature_of_the_logarithm_of_its_mean_probabilities(
    members: int, kind: str, schema: Schema, statistics: Statistics
) -> None:
    count = 2 if kind == "binary" else 3
    label = Label(tuple("abc"[:count]), (5,) * count, 0.0, 1.0)
    settings = Settings(ensemble=members, hidden_units=(8,)).for_rows(100, kind)
    model = Model(replace(schema, task=kind), replace(statistics, label=label), settings)
    for variable in model.network.trainable_variables:
        variable.assign(tf.random.stateless_normal(variable.shape, [1, 2], stddev=0.3))
    numbers = tf.random.stateless_normal([20, len(schema.numeric)], [3, 4])
    rows = (numbers, tf.zeros([20, schema.code_width], tf.int32))
    before = model.predictions(*rows).numpy()
    model.temperature = 2.5
    after = model.predictions(*rows).numpy()
    np.testing.assert_allclose(after, softmax(np.log(before) / 2.5), rtol=1e-4)
    assert np.abs(after - before).max() > 0.01
    extreme = model.calibrated(tf.constant([[0.0, 1.0], [1.0, 0.0]])).numpy()
    assert extreme.tolist() == [[0, 1], [1, 0]]


def run(prepared: Path, job_dir: Path, *flags: str) -> dict[str, Any]:
    arguments = ["--data-dir", str(prepared), "--job-dir", str(job_dir), "--quality", "fast"]
    more = ["--hidden-units", "16", "--epochs", "4", "--learning-rate", "0.02", "--dropout", "0"]
    assert task.main([*arguments, *more, *flags]) == 0
    found: dict[str, Any] = json.loads((job_dir / "metrics.json").read_text(encoding="utf-8"))
    return found


def temperatures(model: Path) -> list[float]:
    """Return the constants that divide the logits of an exported model."""
    functions = read_saved_model(model).meta_graphs[0].graph_def.library.function
    nodes = [node for function in functions for node in function.node_def]
    return [node.attr["value"].tensor.float_val[0] for node in nodes if node.name == TEMPERATURE]


@pytest.mark.skipif(not CLASSES, reason="a regression has no probabilities")
def test_a_calibrated_run_exports_and_reports_the_probabilities_that_it_fitted_on_the_eval_split(
    prepared: Path,
    tmp_path: Path,
    schema: Schema,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = []

    def fitting(probabilities: Any, labels: Any, weights: Any) -> float:
        given.append(labels)
        return 1.7

    monkeypatch.setattr(thresholds, "fitted_temperature", fitting)
    plain, calibrated = (
        run(prepared, tmp_path / name, *flags)
        for name, flags in (("a", ()), ("b", ("--calibrate",)))
    )
    assert "calibration" not in plain
    found, printed = calibrated["calibration"], capsys.readouterr().err
    (labels,) = given
    assert np.array_equal(labels, Split(prepared / "eval", schema, 64).all_rows().labels)
    assert f"temperature {found['temperature']:.3f}: eval log loss" in printed
    assert found["temperature"] == 1.7 and found["after"] != found["before"]
    assert calibrated["split"] == "test" and calibrated["log_loss"] != plain["log_loss"]
    assert calibrated["accuracy"] == pytest.approx(plain["accuracy"])
    # That the exported model predicts as the trained one does is checked in every run.
    assert temperatures(tmp_path / "a" / "model") == []
    for_each_signature = [found["temperature"]] * 2
    assert temperatures(tmp_path / "b" / "model") == pytest.approx(for_each_signature)


@pytest.mark.skipif(not CLASSES, reason="a regression has no probabilities")
def test_a_split_without_errors_is_reported(
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(thresholds, "fitted_temperature", lambda *_: 1.0)
    assert run(prepared, tmp_path, "--calibrate")["calibration"]["temperature"] == 1.0
    assert "warning: the eval split has too few errors: no temp" in capsys.readouterr().err


def test_a_regression_has_nothing_to_calibrate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(features, "TASK", "regression")
    with pytest.raises(SystemExit):
        arguments.parser().parse_args(["--calibrate"])
    message = "argument --calibrate: expected classes: TASK is 'regression'"
    assert message in capsys.readouterr().err
