"""Weights of classes: their values, in the loss and in every metric, and names that are no classes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from recorder import metrics_of_rows
from sklearn import metrics as sklearn
from trainer import arguments, features
from trainer.data.schema import Schema
from trainer.data.shards import Split
from trainer.data.statistics import Label, Statistics
from trainer.model import Model, build_optimizer
from trainer.run.errors import UserError
from trainer.settings import Settings
from trainer.training.metrics import baseline_of, class_weights, sums_of
from trainer.training.train_step import Trainer

LABEL = Label(("no", "yes", "a, b"), (60, 30, 10), 0.0, 1.0)


@pytest.mark.parametrize(
    ("text", "ratios"),
    [
        ("balanced", (1, 2, 6)),
        ("yes=5,no=1", (1, 5, 1)),
        ("yes=0.5", (2, 1, 2)),
        ('no=2, "a, b"=3', (2, 1, 3)),
    ],
)
def test_the_weights_of_classes_are_one_on_average(text: str, ratios: tuple[float, ...]) -> None:
    weights = class_weights(text, LABEL)
    assert weights is not None and weights.dtype == np.float32
    assert weights @ LABEL.counts / sum(LABEL.counts) == pytest.approx(1.0)
    assert weights / weights[0] == pytest.approx(np.array(ratios) / ratios[0])
    assert class_weights(None, LABEL) is None


def test_a_weight_of_no_class_is_reported() -> None:
    with pytest.raises(
        UserError, match="names 'yess'; expected classes of the training rows: 'no'"
    ):
        class_weights("yess=5", LABEL)


@pytest.mark.parametrize(
    "text",
    [
        *("", "even", "yes", "yes=", "yes=0", "yes=-1", "yes=nan", "yes=inf", "=5"),
        *("a=1,a=2", "a=1\nb=2"),
    ],
)
def test_weights_that_are_none_are_refused(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(features, "TASK", "binary")
    with pytest.raises(SystemExit, match="2"):
        arguments.parser().parse_args([f"--class-weights={text}"])
    assert "expected balanced, or classes and numbers > 0" in capsys.readouterr().err
    for valid in ("balanced", "yes=5,no=1"):
        assert arguments.parser().parse_args(["--class-weights", valid]).class_weights == valid


def test_a_regression_has_no_classes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(features, "TASK", "regression")
    with pytest.raises(SystemExit, match="2"):
        arguments.parser().parse_args(["--class-weights", "balanced"])
    assert "no regression" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_a_weighted_metric_is_what_scikit_learn_computes(kind: str) -> None:
    random, count = np.random.default_rng(4), 2 if kind == "binary" else 3
    outputs = random.integers(1, 6, (300, count)).astype(np.float64)
    outputs /= outputs.sum(axis=1, keepdims=True)
    labels, by_class = random.integers(0, count, 300), np.array([0.4, 1.6, 3.0], np.float32)[:count]
    found = metrics_of_rows(kind, outputs, labels, "", by_class)
    weights, chosen = by_class[labels], outputs.argmax(axis=1)
    rows: dict[str, Any] = {"sample_weight": weights}
    average = "binary" if kind == "binary" else "macro"
    expected = {
        "accuracy": sklearn.accuracy_score(labels, chosen, **rows),
        "balanced_accuracy": sklearn.balanced_accuracy_score(labels, chosen, **rows),
        "f1": sklearn.f1_score(labels, chosen, average=average, **rows),
        "log_loss": sklearn.log_loss(labels, outputs, **rows),
    }
    if kind == "binary":
        expected["auc"] = sklearn.roc_auc_score(labels, outputs[:, 1], **rows)
        expected["pr_auc"] = sklearn.average_precision_score(labels, outputs[:, 1], **rows)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    assert found["accuracy"] != pytest.approx(metrics_of_rows(kind, outputs, labels)["accuracy"])


def test_the_standard_error_knows_the_weights() -> None:
    random = np.random.default_rng(4)
    outputs, labels = random.dirichlet([1, 1, 1], 400), random.integers(0, 3, 400)
    by_class = np.array([0.2, 1.0, 5.0], np.float32)
    drawn = [random.integers(0, 400, 400) for _ in range(300)]
    spread = np.std(
        [
            metrics_of_rows("multiclass", outputs[rows], labels[rows], "", by_class)["accuracy"]
            for rows in drawn
        ]
    )
    found = metrics_of_rows("multiclass", outputs, labels, "", by_class)["standard_error"]
    assert found == pytest.approx(spread, rel=0.2)


@pytest.mark.parametrize("members", [1, 3])
def test_a_weight_counts_a_row_as_often(
    members: int, schema: Schema, statistics: Statistics
) -> None:
    settings = Settings(ensemble=members, hidden_units=(8,), class_weights="yes=5").for_rows(
        100, "multiclass"
    )
    own, facts = replace(schema, task="multiclass"), replace(statistics, label=LABEL)
    model = Model(own, facts, settings)
    plain = Model(own, facts, replace(settings, class_weights=None))
    random = np.random.default_rng(1)
    outputs = random.normal(size=(50, 3) if members == 1 else (50, members, 3)).astype(np.float32)
    labels = random.integers(0, 3, 50).astype(np.int32)
    often = np.repeat(np.arange(50), np.where(labels == 1, 5, 1))
    once = tf.reduce_sum(plain.losses(tf.gather(outputs, often), tf.gather(labels, often)))
    # The weights are 2.2 times as large as those that make their mean 1.
    weighted = tf.reduce_sum(model.losses(tf.constant(outputs), tf.constant(labels)))
    assert float(weighted) * 2.2 == pytest.approx(float(once), rel=1e-5)


@pytest.mark.skipif(features.TASK == "regression", reason="it has no classes")
def test_an_evaluation_is_weighted(prepared: Path, schema: Schema, statistics: Statistics) -> None:
    own, count = schema, 2 if schema.task == "binary" else 3
    label = Label(tuple("abc"[:count]), (90, 10, 5)[:count], 0.0, 1.0)
    settings = Settings(hidden_units=(8,), ensemble=1, class_weights="balanced")
    settings = settings.for_rows(100, own.task)
    model = Model(own, replace(statistics, label=label), settings)
    trainer = Trainer(model, build_optimizer(model.network, settings, 100, 1), settings)
    found, _ = trainer.evaluate(Split(prepared / "eval", schema, 64))
    window = Split(prepared / "eval", schema, 64).all_rows()
    outputs = trainer.predict(window.numbers, window.codes).numpy().astype(np.float64)
    codes = window.labels
    assert found == metrics_of_rows(own.task, outputs, codes, "", model.class_weights)
    assert found["loss"] != pytest.approx(metrics_of_rows(own.task, outputs, codes)["loss"])


def test_the_constant_prediction_is_that_of_weighted_rows() -> None:
    labels, outputs = np.array([0, 0, 1, 2]), np.full((4, 3), 1 / 3)
    weights = class_weights("balanced", LABEL)
    plain, sums = (sums_of("multiclass", outputs, labels, each) for each in (None, weights))
    assert baseline_of("multiclass", LABEL, plain)["accuracy"] == 0.5
    found = baseline_of("multiclass", LABEL, sums, weights)
    assert found["loss"] == pytest.approx(np.log(3))
