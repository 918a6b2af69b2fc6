"""Weights of rows: a row counts as often as its weight says, in prepared data, the loss, every metric and the threshold."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from declared_tables import declare
from recorder import metrics_of_rows
from sklearn import metrics as sklearn
from trainer import evaluate, features, monitor, prepare
from trainer.data.schema import Schema, read_schema
from trainer.data.shards import Split, Window
from trainer.data.statistics import Statistics, read_statistics
from trainer.data.thresholds import chosen_threshold, outcome
from trainer.evaluation import measures
from trainer.model import Model, build_optimizer, export
from trainer.run.errors import UserError
from trainer.settings import Settings
from trainer.training import linear
from trainer.training.metrics import STANDARD_ERROR, class_weights
from trainer.training.train_step import Trainer

COLUMNS = {"size": "numeric", "plan": "categorical", "w": "ignore"}
RANDOM = np.random.default_rng(8)


def table(folder: Path, rows: list[str], name: str = "t.csv") -> Path:
    (folder / name).write_text("\n".join(["size,plan,w,y", *rows, ""]), encoding="utf-8")
    return folder / name


def rows_of(weights: list[str]) -> list[str]:
    """Return a row for each weight, all different; of three rows one is labelled yes."""
    labels = ("yes", "no", "no")
    return [f"{n},{'ab'[n % 2]},{w},{labels[n % 3]}" for n, w in enumerate(weights)]


def prepared(path: Path, *options: str) -> Path:
    output = path.parent / "output"
    assert prepare.main(["--train", str(path), "--output", str(output), *options]) == 0
    return output


def test_the_weights_of_prepared_rows_are_one_on_average(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(monkeypatch, COLUMNS)
    weights = [("1", "2.5", "0", "1,000", "1e1")[n % 5].replace(",", "") for n in range(300)]
    folder = prepared(table(tmp_path, rows_of(weights)), "--weight", "w")
    printed = capsys.readouterr().err
    assert "t.csv: 60 row(s) have the weight 0 and are left out" in printed
    assert "rows weighted by w, 1 to 1,000; it is no feature" in printed
    schema = read_schema(features)
    statistics = read_statistics(folder, schema)
    assert sum(statistics.rows.values()) == 240 and statistics.weight is not None
    assert statistics.weight["column"] == "w" and "w" not in schema.used
    split = Split(folder / "train", schema, 64)
    window = split.all_rows()
    assert window.weights is not None and window.weights.dtype == np.float32
    assert window.weights.mean() == pytest.approx(1.0)
    own = np.array([float(w) for w in weights])[window.numbers[:, 0].astype(int)]
    assert window.weights * statistics.weight["mean"] == pytest.approx(own, rel=1e-5)
    counts = np.bincount(window.labels, window.weights)
    assert statistics.label.counts == pytest.approx(counts, rel=1e-5)
    # So their product with the weights of classes is one on average, too.
    by_class = class_weights("balanced", statistics.label)
    assert by_class is not None
    assert (by_class[window.labels] * window.weights).mean() == pytest.approx(1.0)


def test_a_weighted_number_has_a_weighted_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, COLUMNS, TASK="regression", POSITIVE="")
    cells = [f"{n},a,{1 + n % 7},{n * n % 50}" for n in range(300)]
    folder = prepared(table(tmp_path, cells), "--weight", "w", "-q")
    schema = read_schema(features)
    window, label = (
        Split(folder / "train", schema, 64).all_rows(),
        read_statistics(folder, schema).label,
    )
    assert window.weights is not None
    mean = np.average(window.labels, weights=window.weights)
    spread = np.average((window.labels - mean) ** 2, weights=window.weights) ** 0.5
    assert (label.mean, label.deviation) == pytest.approx((mean, spread), rel=1e-5)


@pytest.mark.parametrize("weight", ["-1", "", "nan", "inf", "1e39", "many", "-0.001", "?"])
def test_a_row_whose_weight_is_none_is_rejected(
    weight: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, COLUMNS)
    folder = prepared(table(tmp_path, rows_of([*["2"] * 200, weight])), "--weight", "w", "-q")
    rejects = (folder / "rejects.csv").read_text(encoding="utf-8").splitlines()
    assert [f"w: {weight} is not a finite number >= 0" in each for each in rejects] == [True]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "size",
            "is 'size'; expected a column of the kind \"ignore\" in .*, as it is no feature; correct",
        ),
        ("W", "is 'W'; .*; did you mean 'w'"),
        ("y", "is 'y'; expected"),
    ],
)
def test_a_weight_that_is_a_feature_or_no_column_is_refused(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, COLUMNS)
    with pytest.raises(UserError, match=message):
        prepared(table(tmp_path, rows_of(["1"] * 50)), "--weight", name)


def test_equal_rows_of_other_weights_are_not_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, COLUMNS)
    cells = [f"{n},a,{w},{'yes' if n % 2 else 'no'}" for n in range(50) for w in ("-1", "1", "3")]
    path = table(tmp_path, cells)
    flags = ["--deduplicate", "--max-rejected-share", "0.5", "-q"]
    folder = prepared(path, "--weight", "w", *flags)
    assert sum(read_statistics(folder, read_schema(features)).rows.values()) == 100


def test_unweighted_data_keeps_its_bytes_and_another_weight_makes_it_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, COLUMNS)
    path = table(tmp_path, rows_of(["1", "2"] * 50))
    folder = prepared(path, "-q")
    document = json.loads((folder / "statistics.json").read_text(encoding="utf-8"))
    assert "weight" not in document and all(type(n) is int for n in document["label"]["counts"])
    assert Split(folder / "train", read_schema(features), 64).all_rows().weights is None
    own = ["--train", str(path), "--output", str(folder)]
    assert prepare.stale_reasons(own) == []
    assert prepare.stale_reasons([*own, "--weight=w"]) == ["made with --weight absent, now 'w'"]
    first = document["fingerprint"]
    prepared(path, "--weight", "w", "-q")
    assert prepare.stale_reasons(own) == ["made with --weight 'w', now absent"]
    assert read_statistics(folder, read_schema(features)).fingerprint != first


def repeated(kind: str) -> tuple[Any, Any, Any, Any]:
    """Return predictions, labels and whole weights of rows, and which rows there are if each is repeated as often."""
    classes = {"binary": 2, "multiclass": 3}.get(kind, 1)
    outputs = RANDOM.integers(1, 6, (300, classes)).astype(np.float64)
    weights = RANDOM.integers(1, 5, 300)
    rows = np.repeat(np.arange(300), weights)
    if kind == "regression":
        return outputs, RANDOM.normal(size=300), weights, rows
    return (
        outputs / outputs.sum(axis=1, keepdims=True),
        RANDOM.integers(0, classes, 300),
        weights,
        rows,
    )


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_every_metric_counts_a_row_as_often(kind: str) -> None:
    outputs, labels, weights, often = repeated(kind)
    by_class = None if kind == "regression" else np.array([0.4, 1.6, 3.0], np.float32)
    found = metrics_of_rows(kind, outputs, labels, "", by_class, weights.astype(np.float32) / 3)
    expected = metrics_of_rows(kind, outputs[often], labels[often], "", by_class)
    assert found.pop(STANDARD_ERROR, None) != expected.pop(STANDARD_ERROR)
    assert found == pytest.approx(expected, rel=1e-6)
    plain = metrics_of_rows(kind, outputs, labels, "", by_class)
    assert not any(found[name] == pytest.approx(plain[name]) for name in found)


def test_the_auc_of_weighted_rows_is_that_of_scikit_learn() -> None:
    outputs, labels, weights, _ = repeated("binary")
    found = metrics_of_rows("binary", outputs, labels, "", None, weights.astype(np.float32))
    expected = sklearn.roc_auc_score(labels, outputs[:, 1], sample_weight=weights)
    assert found["auc"] == pytest.approx(expected)
    alike = metrics_of_rows("binary", outputs, labels, "", None, np.full(len(labels), 0.5))
    assert alike == pytest.approx(metrics_of_rows("binary", outputs, labels))


def test_the_standard_error_of_a_weighted_auc_is_that_of_other_samples() -> None:
    random, found = np.random.default_rng(4), []
    for _ in range(300):
        labels = random.integers(0, 2, 500)
        likely = 1 / (1 + np.exp(-labels - random.normal(size=500)))
        outputs, by_row = np.stack([1 - likely, likely], axis=1), random.exponential(size=500)
        found.append(metrics_of_rows("binary", outputs, labels, "", None, by_row))
    spread = np.std([each["auc"] for each in found])
    assert np.mean([each[STANDARD_ERROR] for each in found]) == pytest.approx(spread, rel=0.15)


@pytest.mark.parametrize("aim", ["f1", "balanced", "precision=0.6", "recall=1", "cost=FP:1,FN:2"])
def test_a_threshold_is_that_of_repeated_rows(aim: str) -> None:
    random = np.random.default_rng(5)
    labels, weights = random.integers(0, 2, 300), random.integers(1, 5, 300)
    scores = np.clip(0.3 * labels + random.integers(0, 8, 300) / 10, 0, 1)
    weights = np.where(labels == 1, weights, 1 + (9 * scores).astype(int))
    often, by_row = np.repeat(np.arange(300), weights), weights.astype(np.float32) / 7
    expected = chosen_threshold(aim, labels[often], scores[often])
    assert chosen_threshold(aim, labels, scores, by_row) == expected
    unweighted = chosen_threshold(aim, labels, scores)
    assert unweighted != expected or aim not in ("balanced", "precision=0.6")
    found, of_rows = outcome(labels, scores, 0.5, by_row), outcome(labels, scores, 0.5)
    assert json.loads(json.dumps(found)) == found
    rates = ("precision", "recall", "f1")
    often_found = outcome(labels[often], scores[often], 0.5)
    assert [found[k] for k in rates] == pytest.approx([often_found[k] for k in rates])
    assert {k: v for k, v in found.items() if k not in rates} == {
        k: v for k, v in of_rows.items() if k not in rates
    }


def test_the_linear_baseline_counts_a_row_as_often() -> None:
    numbers, codes = (
        RANDOM.normal(size=(200, 2)).astype(np.float32),
        RANDOM.integers(0, 4, (200, 1)),
    )
    target = (numbers[:, 0] + codes[:, 0] + RANDOM.normal(size=200)).astype(np.float32)
    weights = RANDOM.integers(1, 5, 200)
    rows = np.repeat(np.arange(200), weights)
    once = Window(numbers, codes.astype(np.int32), target, weights.astype(np.float32))
    often = Window(once.numbers[rows], once.codes[rows], once.labels[rows])
    plain = replace(once, weights=None)
    found, expected, other = (linear.predicted(w, plain, w.labels) for w in (once, often, plain))
    assert np.corrcoef(found, expected)[0, 1] > 0.99999
    assert np.abs(found - expected).max() < 0.2 * np.abs(other - expected).max()


def test_the_loss_of_a_step_counts_a_row_as_often(schema: Schema, statistics: Statistics) -> None:
    settings = Settings(hidden_units=(8,), ensemble=2, dropout=0.0).for_rows(100, schema.task)
    model = Model(schema, replace(statistics, weight={"column": "w", "mean": 1.0}), settings)
    optimizer = build_optimizer(model.network, settings, 100, 1)
    one = Trainer(model, optimizer, settings)
    model.weighted = False
    many = Trainer(model, optimizer, settings)
    random = np.random.default_rng(3)
    labels = random.integers(0, 2, 40)
    arrays = (
        random.normal(size=(40, len(schema.numeric))).astype(np.float32),
        np.zeros((40, schema.code_width), np.int32),
        labels.astype(np.float32 if schema.task == "regression" else np.int32),
    )
    weights = random.integers(1, 5, 40)
    rows = np.repeat(np.arange(40), weights)
    weighted = (*map(tf.constant, arrays), tf.constant(weights.astype(np.float32)))
    often = tuple(tf.constant(each[rows]) for each in arrays)
    size = tf.constant(40.0)
    loss, gradients = one.gradients(weighted, size)
    expected, expected_gradients = many.gradients(often, size)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    for own, other in zip(gradients, expected_gradients, strict=True):
        left, right = (tf.convert_to_tensor(each).numpy() for each in (own, other))
        np.testing.assert_allclose(left, right, rtol=1e-3, atol=1e-5)
    unweighted = many.gradients(weighted[:3], size)[0]
    assert float(loss) != pytest.approx(float(unweighted), rel=1e-2)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_every_measure_counts_a_row_as_often(kind: str) -> None:
    outputs, labels, weights, often = repeated(kind)
    predictions, by_row = outputs[:, 0] if kind == "regression" else outputs, weights / 3.0
    scored = measures.Scored(kind, labels, predictions, by_row)
    unweighted = replace(scored, weights=np.ones(len(labels)))
    found = measures.measured(scored)
    assert found == pytest.approx(measures.measured(unweighted[often]), rel=1e-6)
    plain = measures.measured(unweighted)
    assert not any(found[name] == pytest.approx(plain[name]) for name in found)
    intervals = measures.with_intervals(scored, {})
    for name, each in intervals.items():
        assert each["value"] == found[name] and each["low"] < each["high"]
    if kind == "regression":
        return
    given: Any = ("abc"[: 2 + (kind == "multiclass")], {"model": 0.5})
    table, expected = (measures.details(each, *given) for each in (scored, unweighted[often]))
    for name, row in table["by_class"].items():
        assert row["recall"] == pytest.approx(expected["by_class"][name]["recall"])
    assert sum(row["rows"] for row in table["by_class"].values()) == len(labels)
    assert sum(sum(row.values()) for row in table["confusion"].values()) == len(labels)


def test_slices_are_compared_by_weight() -> None:
    labels = RANDOM.normal(size=400)
    values = ["a" if n < 100 else "b" for n in range(400)]
    predictions = labels + np.where(np.arange(400) % 100 < 50, 3.0, 0.0) * (np.arange(400) < 100)
    predictions += RANDOM.normal(size=400)
    light = np.where(predictions - labels > 2, 1e-3, 1.0)
    scored = measures.Scored("regression", labels, predictions, light)
    unweighted = replace(scored, weights=np.ones(400))
    assert "c: a" in measures.worse_slices(unweighted, {"c": values})
    assert not measures.worse_slices(scored, {"c": values})
    whole = measures.sliced(scored, values)
    assert whole["a"] == {"rows": 100, **measures.measured(scored[:100])}


@pytest.mark.parametrize("has_weights", [True, False])
def test_an_evaluation_is_weighted_if_the_table_has_the_column(
    has_weights: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    declare(monkeypatch, COLUMNS)
    path = table(tmp_path, rows_of([str(1 + n % 6) for n in range(300)]))
    folder = prepared(path, "--weight", "w", "-q")
    schema = read_schema(features)
    statistics = read_statistics(folder, schema)
    settings = Settings(hidden_units=(8,), ensemble=1).for_rows(80, schema.task)
    model = Model(schema, statistics, settings)
    export(model, schema, statistics, tmp_path / "run" / "model", is_chief=True)
    monkeypatch.setattr(measures, "RESAMPLES", 2)
    own = rows_of([str(1 + n % 6) for n in range(60)])
    if not has_weights:
        own = [",".join(each.split(",")[:2] + each.split(",")[3:]) for each in own]
    other = tmp_path / "other.csv"
    other.write_text("\n".join([f"size,plan{',w' * has_weights},y", *own, ""]), encoding="utf-8")
    flags = ["--train", path, "--output", folder, "--model", tmp_path / "run/model"]
    given = [*map(str, flags), "--input", str(other), "--threshold", "f1", "--by", "plan"]
    assert evaluate.main(given) == 0
    found = json.loads((tmp_path / "run/evaluation/evaluation.json").read_text("utf-8"))
    printed = capsys.readouterr().err
    assert ("weighted by w" in found["source"]["text"]) == has_weights
    assert found["source"].get("weight") == ("w" if has_weights else None)
    assert ("has no column 'w': all rows count alike" in printed) != has_weights
    labels = np.array([n % 3 == 0 for n in range(60)])
    by_row = np.array([1.0 + n % 6 for n in range(60)]) if has_weights else np.ones(60)
    constant = np.tile(np.array(statistics.label.counts) / sum(statistics.label.counts), (60, 1))
    expected = sklearn.log_loss(labels, constant, sample_weight=by_row)
    assert found["metrics"]["log_loss"]["constant"] == pytest.approx(expected)
    losses = np.fromfile(tmp_path / "run/evaluation/row_losses.bin", np.float32)
    loss = found["metrics"]["log_loss"]["value"]
    assert losses.mean() == pytest.approx(loss, rel=1e-4)
    capsys.readouterr()
    monitor.main(["--model", given[5], "--input", str(other), "--json"])
    watched = json.loads(capsys.readouterr().out)["metrics"]["log_loss"]["value"]
    assert watched == pytest.approx(loss)


def test_a_recall_of_one_is_reached_whatever_the_rounding_of_sums() -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        weights, scores = random.exponential(size=60), random.uniform(0.1, 0.9, 60)
        labels = np.arange(60) % 2
        found = chosen_threshold("recall=1", labels, scores, weights)
        assert found < scores[labels == 1].min()
