"""The training loop: interruptions, the limits that end a run, and the evaluation whose weights it ends with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from recorder import SETTINGS, Recorder, batches, splits_of
from trainer.data.schema import Schema
from trainer.data.statistics import Statistics
from trainer.model import Model, build_optimizer
from trainer.run.errors import UserError
from trainer.settings import Settings
from trainer.training.loop import Run, total_steps
from trainer.training.metrics import MAIN_METRIC
from trainer.training.tensorflow_setup import start_tensorflow
from trainer.training.train_step import Trainer


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
    settings = replace(SETTINGS, learning_rate=1e30, epochs=10)
    with pytest.raises(
        UserError, match=r"the loss is (nan|inf) at step \d+.*a finite loss; lower --learning-rate"
    ):
        trained(prepared, schema, statistics, settings, Recorder())
    split, _ = splits_of(prepared, schema, settings)
    model = Model(schema, statistics, settings)
    trainer = Trainer(model, build_optimizer(model.network, settings, split.rows, 20), settings)
    tensors = trainer.tensors(split.all_rows())
    loss, reached = trainer.train_steps(tensors, batches(split.rows, 20), 0, 20)
    assert not np.isfinite(loss) and reached < 20
