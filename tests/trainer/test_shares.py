"""Each process of a job reads its own row groups: the batches, the weights and the metrics are those of one process."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from recorder import Recorder, regrouped, splits_of
from trainer.data import shards
from trainer.data.schema import Schema
from trainer.data.shards import RowGroup, Split, batches_of
from trainer.data.statistics import Statistics
from trainer.model import Model, build_optimizer
from trainer.run.cluster import ClusterPosition
from trainer.run.errors import UserError
from trainer.settings import Settings
from trainer.training import loop, train_step
from trainer.training.distribution import Replicas
from trainer.training.train_step import Trainer

COUNTS = (1, 2, 3, 8)
SIZES = (*[64] * 10, 5)  # of the groups of a window
SETTINGS = Settings(
    epochs=2, batch_size=40, learning_rate=0.01, hidden_units=(8,), ensemble=1, dropout=0.0, seed=3
)


@pytest.fixture(scope="module")
def folder(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data of row groups of 24 rows."""
    return regrouped(prepared, tmp_path_factory.mktemp("shares") / "data", 24)


def parts(folder: Path, schema: Schema, count: int, groups: int | None = 5) -> list[Split]:
    """Return a split as each of some processes has it."""
    positions = [ClusterPosition(index, count, index == 0) for index in range(count)]
    return [Split(folder, schema, 64, groups, position) for position in positions]


def batches_of_processes(count: int) -> list[list[list[int]]]:
    """Return the rows of a window that each process has in each batch."""
    firsts, found = np.append(0, np.cumsum(SIZES)), []
    for index in range(count):
        own = Split.own(fake(index, count), SIZES)  # type: ignore[arg-type]
        order, cuts, _ = batches_of(SIZES, own, 13, [1, 2, 3])
        rows = firsts[own.start] + order
        found.append([rows[a:b].tolist() for a, b in pairwise(cuts)])
    return found


def fake(index: int, count: int) -> Any:
    split = Split.__new__(Split)
    split.position = ClusterPosition(index, count)
    return split


def test_the_batches_are_the_same_for_any_number_of_processes() -> None:
    [alone] = batches_of_processes(1)
    assert sorted(row for batch in alone for row in batch) == list(range(sum(SIZES)))
    assert max(map(len, alone)) - min(map(len, alone)) <= 1
    for count in COUNTS:
        found = batches_of_processes(count)
        joined = [sorted(row for one in batch for row in one) for batch in zip(*found, strict=True)]
        assert joined == [sorted(batch) for batch in alone]
        assert all(any(one) for one in found), "a process without rows"
    sizes = batches_of(SIZES, range(3, 3), 13, [1, 2, 3]).sizes
    assert sizes.tolist() == [*map(len, alone)]


def test_each_batch_has_its_share_of_each_group_in_an_order_of_its_own() -> None:
    [alone] = batches_of_processes(1)
    for batch in alone:
        assert {np.bincount(np.array(batch) // 64, minlength=11)[n] for n in range(10)} <= {4, 5}
    others = batches_of(SIZES, range(11), 13, [1, 2, 4]).order
    mine = batches_of(SIZES, range(11), 13, [1, 2, 3]).order
    assert (mine != others).mean() > 0.9
    rows = mine[: 13 * 5].reshape(-1)
    assert np.unique(rows % 64).size > 30  # not the first of each group


@pytest.mark.parametrize("count", COUNTS)
def test_each_group_is_read_by_one_process_once_an_epoch(
    count: int, folder: Path, schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[RowGroup] = []
    tables = shards.tables

    def counted(groups: Sequence[RowGroup]) -> Any:
        found.extend(groups)
        return tables(groups)

    monkeypatch.setattr(shards, "tables", counted)
    for split in parts(folder / "train", schema, count):
        plan = split.plan([1, 2])
        rows = [window.rows for window in split.windows(plan)]
        assert rows == [sum(groups[at].rows for at in split.own(groups)) for groups in plan]
        assert [window.rows for window in split.windows(plan, 1)] == rows[1:]
        del found[len(found) - sum(len(split.own(groups)) for groups in plan[1:]) :]
    assert len(found) == len(split.groups) > 10 and {*found} == {*split.groups}


def test_the_window_is_what_the_flag_or_the_data_says_and_not_the_memory(
    folder: Path, schema: Schema
) -> None:
    plans = [Split(folder / "train", schema, mb, 4).plan([1, 2]) for mb in (1, 64, 4_096)]
    assert plans[0] == plans[1] == plans[2] and {*map(len, plans[0][:-1])} == {4}
    assert Split(folder / "train", schema, 1).plan([1, 2]) == [whole(folder, schema)]


def whole(folder: Path, schema: Schema) -> list[RowGroup]:
    """Return the only window of a split that fits in the default one."""
    return Split(folder / "train", schema, 4_096).groups


def test_a_window_that_does_not_fit_is_refused_with_one_that_does(
    prepared: Path, schema: Schema, tmp_path: Path
) -> None:
    folder = regrouped(prepared, tmp_path / "data", 200, times=500) / "train"
    with pytest.raises(UserError, match="--memory-mb 1 is too little for windows of ") as one:
        Split(folder, schema, 1)
    fitting = int(str(one.value).rpartition("--window-groups ")[2].split(",")[0])
    split = Split(folder, schema, 1, fitting)
    assert split.window_groups == fitting and not split.fits
    with pytest.raises(UserError, match="too little"):
        Split(folder, schema, 1, fitting + 1)
    assert parts(folder, schema, 8, fitting)[0].largest_window(1, 8) == 8 * fitting


class Shares(Replicas):
    """One of several processes; `totals` are the sums of what all have sent, one after another."""

    totals: Any = None

    def __init__(self, position: ClusterPosition) -> None:
        super().__init__(position)
        self.sent: list[Any] = []

    def summed(self, values: Any) -> Any:
        self.sent.append(values)
        return values if self.totals is None else self.totals[len(self.sent) - 1]


@pytest.fixture
def model(schema: Schema, statistics: Statistics) -> Model:
    settings = SETTINGS.for_rows(300, schema.task)
    model = Model(schema, statistics, settings)
    for variable in model.network.trainable_variables:
        variable.assign(tf.random.stateless_normal(variable.shape, [1, 2], stddev=0.1))
    return model


def trainer_of(model: Model, split: Split) -> Trainer:
    settings = SETTINGS.for_rows(300, model.task)
    optimizer = build_optimizer(model.network, settings, 300, 10)
    return Trainer(model, optimizer, settings, Shares(split.position))


@pytest.mark.parametrize("count", COUNTS)
def test_the_gradients_of_all_processes_add_up_to_those_of_one(
    count: int, folder: Path, schema: Schema, model: Model
) -> None:
    added: list[Any] = []
    [alone] = parts(folder / "train", schema, 1)
    for split in (alone, *parts(folder / "train", schema, count)):
        groups, trainer = split.plan([1])[0], trainer_of(model, split)
        window = next(split.windows([groups]))
        shares = [group.rows for group in groups], split.own(groups)
        order, cuts, sizes = batches_of(*shares, 3, [1, 0])
        rows = order[cuts[1] : cuts[2]]
        batch = tuple(tf.gather(tensor, rows) for tensor in trainer.tensors(window))
        _, gradients = trainer.gradients(batch, tf.constant(sizes[1], tf.float32))
        added.append([tf.convert_to_tensor(each).numpy() for each in gradients])
    for expected, *own in zip(*added, strict=True):
        np.testing.assert_allclose(np.sum(own, axis=0), expected, rtol=1e-4, atol=1e-6)
        assert np.abs(expected).max() > 0


@pytest.mark.parametrize("count", COUNTS[1:])
def test_processes_evaluate_their_own_groups_and_get_the_metrics_of_one(
    count: int, folder: Path, schema: Schema, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    [alone] = parts(folder / "eval", schema, 1, None)
    expected, _ = trainer_of(model, alone).evaluate(alone)
    predictions, labels, _ = trainer_of(model, alone).predicted(alone)
    window = alone.all_rows()
    np.testing.assert_array_equal(labels, window.labels)
    rows = tf.constant(window.numbers), tf.constant(window.codes)
    np.testing.assert_allclose(predictions, model.predictions(*rows), rtol=1e-4)
    splits = parts(folder / "eval", schema, count, 2)
    for method in ("sums", "predicted"):
        sent: list[list[Any]] = []
        monkeypatch.setattr(Shares, "totals", None)
        for split in splits:
            trainer: Any = trainer_of(model, split)
            getattr(trainer, method)(split)
            sent.append(trainer.replicas.sent)
        totals = [np.sum(each, axis=0) for each in zip(*sent, strict=True)]
        assert all((each[0] != totals[0]).any() for each in sent)
        monkeypatch.setattr(Shares, "totals", totals)
        trainer = trainer_of(model, splits[-1])
        if method == "sums":
            found, _ = trainer.evaluate(splits[-1])
            assert found == pytest.approx(expected, rel=1e-5)
        else:
            scores, own_labels, _ = trainer.predicted(splits[-1])
            np.testing.assert_allclose(scores, predictions, rtol=1e-5)
            np.testing.assert_array_equal(own_labels, labels)


def test_what_is_gathered_is_bounded_for_any_number_of_rows(
    folder: Path, schema: Schema, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    [split] = parts(folder / "train", schema, 1, 2)
    trainer = trainer_of(model, split)
    predictions, labels, _ = trainer.predicted(split)
    monkeypatch.setattr(train_step, "MOST_PREDICTIONS", 50 * model.output_count)
    some, own_labels, _ = trainer.predicted(split)
    assert 50 <= len(some) < 60 < len(predictions) == split.rows
    np.testing.assert_allclose(some, predictions[: len(some)], rtol=1e-5)
    np.testing.assert_array_equal(own_labels, labels[: len(some)])
    sizes = [
        sum(each.nbytes for each in trainer.sums(one).values()) for one in splits(folder, schema)
    ]
    assert sizes[0] == sizes[1]


def splits(folder: Path, schema: Schema) -> Sequence[Split]:
    return [Split(folder / name, schema, 64, 2) for name in ("train", "eval")]


def test_a_resumed_run_with_other_windows_is_refused(
    folder: Path, schema: Schema, statistics: Statistics
) -> None:
    monitor = Recorder(stop_after=3)

    def run(groups: int) -> None:
        settings = replace(SETTINGS.for_rows(300, schema.task), window_groups=groups)
        model = Model(schema, statistics, settings)
        trainer = Trainer(model, build_optimizer(model.network, settings, 300, 10), settings)
        found = loop.Run(trainer, *splits_of(folder, schema, settings), settings, monitor)
        found.resume()
        found.train()

    with pytest.raises(SystemExit):
        run(5)
    assert monitor.kept is not None and monitor.kept[1]["window_groups"] == 5
    with pytest.raises(
        UserError, match="windows of 5 row groups, and this run of 6; .*--window-groups 5"
    ):
        run(6)
    run(5)
