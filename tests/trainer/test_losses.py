"""The losses of a regression and the logarithm of its label: contract, values, predictions, and labels that they do not take."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from recorder import batches
from trainer import arguments, features
from trainer.data.schema import Schema
from trainer.data.shards import Split, Window
from trainer.data.statistics import Label, Statistics
from trainer.model import Model, Serving, build_optimizer, label_scale, with_transform
from trainer.run.cluster import ClusterPosition
from trainer.run.errors import UserError
from trainer.settings import LOSSES, Settings
from trainer.training.contract import check_label_domain, check_model
from trainer.training.distribution import Replicas
from trainer.training.tensorflow_setup import start_tensorflow
from trainer.training.train_step import Trainer

SETTINGS = Settings(batch_size=64, learning_rate=0.01, hidden_units=(16,), ensemble=1, dropout=0.0)
# Each loss, and each transform with what it can be combined with.
VARIANTS = [*((loss, "none") for loss in LOSSES), *((loss, "log") for loss in LOSSES[:3])]


def trainer_of(schema: Schema, statistics: Statistics, label: Label, **given: Any) -> Trainer:
    settings = replace(SETTINGS, **given).for_rows(300, "regression")
    start_tensorflow(1)
    model = Model(replace(schema, task="regression"), replace(statistics, label=label), settings)
    return Trainer(model, build_optimizer(model.network, settings, 300, 200), settings)


@pytest.fixture
def window(prepared: Path, schema: Schema) -> Window:
    """Rows with skewed labels that follow the first of the columns."""
    rows = Split(prepared / "train", schema, 64).all_rows()
    first = (rows.numbers if schema.numeric else rows.codes)[:, 0].astype(np.float64)
    ranks = np.argsort(np.argsort(np.nan_to_num(first))) / len(first)
    noise = np.random.default_rng(1).normal(size=len(first))
    return Window(rows.numbers, rows.codes, np.exp(4 * ranks + noise).astype(np.float32))


@pytest.fixture
def label(window: Window) -> Label:
    return Label((), (), float(window.labels.mean()), float(window.labels.std()))


@pytest.mark.parametrize(("loss", "transform"), VARIANTS)
@pytest.mark.parametrize("members", [1, 3])
def test_each_loss_keeps_the_contract_and_is_learnt(
    loss: str,
    transform: str,
    members: int,
    schema: Schema,
    statistics: Statistics,
    window: Window,
    label: Label,
) -> None:
    given = {"loss": loss, "target_transform": transform, "ensemble": members}
    trainer = trainer_of(schema, statistics, label, **given)
    check_model(trainer, window)
    outputs = trainer.model.network([window.numbers, window.codes])
    before = float(tf.reduce_mean(trainer.model.losses(outputs, window.labels)))
    for _ in range(20):
        trainer.train_steps(trainer.tensors(window), batches(window.rows, 5), 0, 5)
    outputs = trainer.model.network([window.numbers, window.codes])
    assert float(tf.reduce_mean(trainer.model.losses(outputs, window.labels))) < 0.9 * before
    predictions = trainer.predict(window.numbers, window.codes).numpy()[:, 0]
    assert np.corrcoef(np.log(window.labels), predictions)[0, 1] > 0.5
    # In the unit of the label, whatever the network computes: an absolute error predicts the median of skewed labels.
    assert 0.2 * np.median(window.labels) < np.median(predictions) < 5 * np.median(window.labels)


@pytest.mark.parametrize(("loss", "transform"), VARIANTS)
def test_the_least_loss_is_that_of_the_label_itself(
    loss: str, transform: str, schema: Schema, statistics: Statistics, label: Label
) -> None:
    model = trainer_of(schema, statistics, label, loss=loss, target_transform=transform).model
    outputs = tf.linspace(-9.0, 9.0, 90_001)[:, None]
    for each in (0.5, 2.0, 30.0, 400.0):
        best = tf.argmin(model.losses(outputs, tf.fill([90_001], each)))
        assert float(model.activate(outputs[best])[0]) == pytest.approx(each, rel=0.01, abs=0.01)


@pytest.mark.parametrize(
    ("loss", "far", "near"), [("squared", 9.0, 0.25), ("absolute", 3.0, 0.5), ("huber", 5.0, 0.25)]
)
def test_errors_count_as_the_loss_says(
    loss: str, far: float, near: float, schema: Schema, statistics: Statistics
) -> None:
    model = trainer_of(schema, statistics, Label((), (), 5.0, 2.0), loss=loss).model
    outputs = tf.constant([[3.0], [-3.0], [0.5]])
    assert model.losses(outputs, tf.fill([3], 5.0)).numpy() == pytest.approx([far, far, near])


def test_the_scale_of_logarithms_is_that_of_log_normal_labels() -> None:
    labels = np.exp(np.random.default_rng(1).normal(3, 0.8, 400_000)) - 1
    label = Label((), (), float(labels.mean()), float(labels.std()))
    logs = np.log1p(labels)
    found = label_scale(label, Settings(target_transform="log"))
    assert found == pytest.approx((logs.mean(), logs.std()), rel=0.02)
    assert label_scale(Label((), (), 0.0, 0.0), Settings(target_transform="log")) == (0.0, 1.0)
    assert label_scale(Label((), (), 0.0, 1.0), Settings(loss="poisson")) == (0.0, 1.0)


def test_serving_returns_the_label_s_own_unit(
    schema: Schema, statistics: Statistics, window: Window, label: Label
) -> None:
    trainer = trainer_of(schema, statistics, label, target_transform="log")
    own, facts = replace(schema, task="regression"), replace(statistics, label=label)
    serving = Serving(trainer.model, own, facts)
    cells = {serving.parameters[name]: tf.constant(["", "1"]) for name in own.used}
    served = serving.predict(**cells)["prediction"].numpy()
    outputs = trainer.model.network([*serving.encoded(cells)]).numpy()[:, 0]
    assert served == pytest.approx(np.expm1(outputs * trainer.model.scale + trainer.model.center))


def shard(folder: Path, *labels: float) -> Split:
    """Return a split of two row groups."""
    folder.mkdir()
    table = pa.table(
        {"x": pa.array([7.0] * len(labels), pa.float32()), "y": pa.array(labels, pa.float32())}
    )
    pq.write_table(table, folder / "00000.parquet", row_group_size=2, write_statistics=False)
    schema: Any = type("Schema", (), {"numeric": ["x"], "used": ["x"], "code_width": 0})
    return Split(folder, schema, 64)


@pytest.mark.parametrize("given", [{"loss": "poisson"}, {"target_transform": "log"}])
def test_a_label_below_zero_is_refused(given: dict[str, Any], tmp_path: Path) -> None:
    splits = {
        "train": shard(tmp_path / "train", 1, 0, 3),
        "eval": shard(tmp_path / "eval", 1, 2, -3),
    }
    alone = Replicas(ClusterPosition())
    check_label_domain(splits, Settings(), alone)
    flag = "--loss poisson" if "loss" in given else "--target-transform log"
    with pytest.raises(
        UserError, match=f"of the eval split is -3; expected >= 0 for {flag}; leave"
    ):
        check_label_domain(splits, Settings(**given), alone)
    check_label_domain({"train": splits["train"]}, Settings(**given), alone)
    with pytest.raises(UserError, match="--loss poisson beside --target-transform log"):
        check_label_domain({}, Settings(loss="poisson", target_transform="log"), alone)


def spread_labels(spread: float, noise: float, least: float) -> tuple[Any, Label]:
    """Return a split of one column, of which the labels are a power plus noise, and their label."""
    generator = np.random.default_rng(1)
    numbers = generator.normal(size=(2_000, 1)).astype(np.float32)
    powers = 10 + spread * numbers[:, 0] + noise * generator.normal(size=2_000)
    labels = (np.exp(powers) + least).astype(np.float32)
    window = Window(numbers, np.zeros((2_000, 0), np.int32), labels)
    split = SimpleNamespace(
        schema=SimpleNamespace(coded=()),
        first_rows=lambda rows: window,
        smallest_label=lambda: float(labels.min()),
    )
    return split, Label((), (), float(labels.mean()), float(labels.std()))


@pytest.mark.parametrize(
    ("spread", "noise", "least", "given", "expected"),
    [
        (1.0, 0.2, 0.0, {}, "log"),
        (1.0, 1.0, 0.0, {}, None),  # the median would be far from the mean
        (0.3, 0.1, 0.0, {}, None),
        (1.0, 0.2, -1e3, {}, None),
        (1.0, 0.2, 0.0, {"target_transform": "none"}, "none"),
        (1.0, 0.2, 0.0, {"loss": "poisson"}, None),
    ],
)
def test_logarithms_are_learnt_of_labels_that_they_suit(
    spread: float, noise: float, least: float, given: dict[str, Any], expected: str | None
) -> None:
    split, label = spread_labels(spread, noise, least)
    settings = Settings(**given).for_rows(2_000, "regression")
    lines: list[str] = []
    monitor: Any = SimpleNamespace(line=lines.append)
    splits, alone = {"train": split, "eval": split}, Replicas(ClusterPosition())
    found = with_transform(settings, label, splits, alone, monitor)
    assert found.target_transform == expected
    assert len(lines) == (expected == "log")


def test_large_outputs_stay_finite(schema: Schema, statistics: Statistics, label: Label) -> None:
    for given in ({"loss": "poisson"}, {"target_transform": "log"}):
        model = trainer_of(schema, statistics, label, **given).model
        assert np.isfinite(model.activate(tf.constant([[1e6], [-1e6]]))).all()


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        ("regression", ["--loss", "l1"]),
        ("regression", ["--target-transform", "sqrt"]),
        ("binary", ["--loss", "squared"]),
        ("multiclass", ["--target-transform", "log"]),
    ],
)
def test_a_loss_of_another_task_is_refused(
    kind: str,
    flags: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(features, "TASK", kind)
    with pytest.raises(SystemExit, match="2"):
        arguments.parser().parse_args(flags)
    assert "with TASK = 'regression' alone" in capsys.readouterr().err.splitlines()[-1]


def test_the_loss_is_squared_by_default() -> None:
    assert Settings().for_rows(9, "regression").loss == "squared"
    assert Settings().for_rows(9, "binary").loss is None
    assert math.isclose(label_scale(Label((), (), 7.0, 3.0), Settings())[1], 3.0)
