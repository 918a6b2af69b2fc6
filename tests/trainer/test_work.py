"""How much work training does, counted instead of timed."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from recorder import Recorder, batches, regrouped, splits_of
from trainer.data import shards
from trainer.data.schema import Schema
from trainer.data.shards import RowGroup, Split, Window
from trainer.data.statistics import Statistics
from trainer.model import Model, build_optimizer
from trainer.settings import Settings
from trainer.training.loop import Run
from trainer.training.train_step import Trainer

SETTINGS = Settings(
    epochs=4, batch_size=64, learning_rate=1e-3, hidden_units=(16, 8), ensemble=1, dropout=0.1
)
STEPS = 200


@pytest.fixture
def trainer(schema: Schema, statistics: Statistics) -> Trainer:
    """A trainer that has not traced anything."""
    model = Model(schema, statistics, SETTINGS)
    return Trainer(model, build_optimizer(model.network, SETTINGS, 1_000, 100), SETTINGS)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[RowGroup]:
    """Every row group that is read from disk from now on."""
    found: list[RowGroup] = []
    read_window = shards.read_window

    def counted(groups: list[RowGroup], schema: Schema, weighted: bool) -> Window:
        found.extend(groups)
        return read_window(groups, schema, weighted)

    monkeypatch.setattr(shards, "read_window", counted)
    return found


def trained(trainer: Trainer, prepared: Path, schema: Schema, settings: Settings) -> Recorder:
    """Train and evaluate; return the monitor."""
    monitor = Recorder()
    Run(trainer, *splits_of(prepared, schema, settings), settings, monitor).train()
    return monitor


def traces(trainer: Trainer) -> list[int]:
    """Return how often each graph was traced."""
    graphs = (trainer.steps_graph, trainer.gradients, trainer.predict, trainer.predict_part)
    return [graph.experimental_get_tracing_count() for graph in graphs]


def test_each_graph_is_traced_once_whatever_the_number_of_rows(
    trainer: Trainer, prepared: Path, schema: Schema
) -> None:
    trained(trainer, prepared, schema, SETTINGS)
    trainer.evaluate(Split(prepared / "train", schema, SETTINGS.memory_mb))
    assert traces(trainer) == [1, 1, 1, 1]


def test_many_steps_are_one_call(trainer: Trainer, prepared: Path, schema: Schema) -> None:
    settings = replace(SETTINGS, batch_size=4, epochs=3)
    monitor = trained(trainer, prepared, schema, settings)
    assert monitor.total_steps > 200
    assert len(monitor.rows) < monitor.total_steps / 10


def test_a_table_that_fits_is_read_once(
    trainer: Trainer, prepared: Path, schema: Schema, reads: list[RowGroup]
) -> None:
    splits = splits_of(prepared, schema, SETTINGS)
    trained(trainer, prepared, schema, SETTINGS)
    assert reads == [group for split in splits for group in split.groups]


def test_a_table_that_does_not_fit_is_read_once_per_epoch(
    trainer: Trainer,
    prepared: Path,
    schema: Schema,
    reads: list[RowGroup],
    tmp_path: Path,
) -> None:
    folder = regrouped(prepared, tmp_path / "data", 32)
    trained(trainer, folder, schema, replace(SETTINGS, epochs=2, window_groups=3))
    groups = Split(folder / "train", schema, SETTINGS.memory_mb).groups
    assert len(groups) > 6 and [reads.count(group) for group in groups] == [2] * len(groups)


@contextmanager
def python_calls() -> Iterator[Callable[[], int]]:
    """Count the calls of Python functions inside the block."""
    count = 0

    def counted(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(counted)
    try:
        yield lambda: count
    finally:
        sys.setprofile(None)


def calls_for(trainer: Trainer, window: Window, steps: int) -> int:
    """Return how many Python functions are called for some steps on a window, and for predicting it."""
    some = batches(window.rows, steps)
    with python_calls() as called:
        trainer.train_steps(trainer.tensors(window), some, 0, steps)
        trainer.predict_window(window)
        return called()


def test_no_python_runs_per_row_or_per_step(
    trainer: Trainer, prepared: Path, schema: Schema
) -> None:
    all_rows = Split(prepared / "train", schema, SETTINGS.memory_mb).all_rows()
    rows = all_rows.rows // 2
    half = Window(all_rows.numbers[:rows], all_rows.codes[:rows], all_rows.labels[:rows])
    for window in (half, all_rows):  # the first calls trace and fill caches
        calls_for(trainer, window, 2)
    few = calls_for(trainer, half, 1)
    assert calls_for(trainer, all_rows, STEPS) - few < STEPS / 2
