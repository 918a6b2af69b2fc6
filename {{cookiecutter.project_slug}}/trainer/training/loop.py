"""The training loop: epochs of windows of steps, which can stop anywhere and resume from a checkpoint."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.data.shards import Split, Window
from trainer.run.errors import UserError, shown
from trainer.settings import Settings
from trainer.training.metrics import MAIN_METRIC, is_better
from trainer.training.train_step import Trainer

MOST_EVALUATIONS = 20
SECONDS_PER_CALL = 0.5
FIRST_CALL_STEPS, MOST_CALL_STEPS = 16, 4_096


@dataclass
class State:
    """How far a run is; with the trainer's arrays, all that a checkpoint holds."""

    epoch: int = 0
    window: int = 0
    step_in_window: int = 0
    step: int = 0
    rows: int = 0
    train_seconds: float = 0.0
    total_seconds: float = 0.0
    stale_evaluations: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Monitor(Protocol):
    """What the loop reports to the program around it."""

    def newest_checkpoint(self) -> tuple[list[npt.NDArray[Any]], dict[str, Any]] | None:
        """Return arrays and state to resume from, or None to start."""

    def begin(self, total_steps: int, state: State) -> None:
        """Training starts, or resumes, at `state`."""

    def after_steps(self, state: State, rows: int, loss: float, trainer: Trainer) -> None:
        """`rows` more rows are trained on; the time to save, to show progress, and to raise `SystemExit`."""

    def after_evaluation(self, state: State, metrics: dict[str, float]) -> None:
        """The eval split has been evaluated."""

    def end(self, state: State, trainer: Trainer) -> None:
        """Training has ended; save once more."""


def resume(trainer: Trainer, monitor: Monitor) -> State:
    """Return the state of the newest checkpoint, its arrays restored, or a new state."""
    found = monitor.newest_checkpoint()
    if found is None:
        check_same_step(trainer, 0)
        return State()
    arrays, state = found
    trainer.restore(arrays)
    check_same_step(trainer, state["step"])
    return State(**state)


def check_same_step(trainer: Trainer, step: int) -> None:
    steps = trainer.replicas.gathered(step)
    if len(set(steps)) > 1:
        raise UserError(
            f"the replicas resume from the steps {', '.join(f'{number:.0f}' for number in steps)}",
            "one checkpoint for all replicas",
            "let all replicas see the same checkpoints folder, and start them together",
        )


def total_steps(split: Split, settings: Settings) -> int:
    """Return the number of steps of the run, unless time or patience ends it earlier."""
    windows = split.plan([settings.seed, 0])
    steps = settings.epochs * sum(
        steps_per_window(sum(group.rows for group in groups), settings) for groups in windows
    )
    return min(steps, settings.max_steps) if settings.max_steps else steps


def steps_per_window(rows: int, settings: Settings) -> int:
    """Return the number of batches, of nearly equal size, that the rows of a window are cut into."""
    return -(-rows // settings.batch_size)


def train(
    trainer: Trainer,
    train_split: Split,
    eval_split: Split,
    settings: Settings,
    state: State,
    monitor: Monitor,
) -> None:
    """Train from `state` to the first limit; raise `UserError` at a loss that is not finite."""
    monitor.begin(total_steps(train_split, settings), state)
    every = -(-settings.epochs // MOST_EVALUATIONS)
    while not is_over(state, settings):
        train_epoch(trainer, train_split, settings, state, monitor)
        if state.epoch % every == 0 or is_over(state, settings):
            evaluate(trainer, eval_split, settings, state, monitor)
    trainer.check_same_weights()
    monitor.end(state, trainer)
    trainer.use_best()


def is_over(state: State, settings: Settings) -> bool:
    """Return whether the run has reached its first limit: epochs, steps, minutes, or evaluations without improvement."""
    return (
        state.epoch >= settings.epochs
        or bool(settings.max_steps and state.step >= settings.max_steps)
        or bool(settings.max_minutes and state.total_seconds >= 60 * settings.max_minutes)
        or bool(settings.patience and state.stale_evaluations >= settings.patience)
    )


def train_epoch(
    trainer: Trainer, split: Split, settings: Settings, state: State, monitor: Monitor
) -> None:
    plan = split.plan([settings.seed, state.epoch])
    for window in split.windows(plan, state.window):
        train_window(trainer, window, settings, state, monitor)
        if state.step_in_window < steps_per_window(window.rows, settings):
            return
        state.window, state.step_in_window = state.window + 1, 0
    state.epoch, state.window = state.epoch + 1, 0


def train_window(
    trainer: Trainer, window: Window, settings: Settings, state: State, monitor: Monitor
) -> None:
    """Train on the remaining batches of a window, in an order that depends on seed, epoch and window alone."""
    generator = np.random.default_rng([settings.seed, state.epoch, state.window])
    order = tf.constant(generator.permutation(window.rows))
    tensors = trainer.tensors(window)
    steps = steps_per_window(window.rows, settings)
    call_steps = FIRST_CALL_STEPS
    while state.step_in_window < steps and not is_over(state, settings):
        started = time.monotonic()
        first = state.step_in_window
        last = min(first + call_steps, steps)
        if settings.max_steps:
            last = min(last, first + settings.max_steps - state.step)
        loss, reached = trainer.train_steps(tensors, order, first, last, steps)
        check_finite(loss, state.step + reached - first, window, trainer)
        rows = window.rows * last // steps - window.rows * first // steps
        seconds = max(trainer.replicas.gathered(time.monotonic() - started))
        advance(state, last - first, rows, seconds)
        monitor.after_steps(state, rows, loss, trainer)
        call_steps = int(min(max((last - first) * SECONDS_PER_CALL / seconds, 1), MOST_CALL_STEPS))


def advance(state: State, steps: int, rows: int, seconds: float) -> None:
    state.step_in_window += steps
    state.step += steps
    state.rows += rows
    state.train_seconds += seconds
    state.total_seconds += seconds


def check_finite(loss: float, step: int, window: Window, trainer: Trainer) -> None:
    if np.isfinite(loss):
        return
    raise UserError(
        f"the loss is {loss} at step {step}{widest_column(window, trainer.model.columns)}",
        "a finite loss",
        "lower --learning-rate, or look at that column in data/prepared/statistics.json",
    )


def widest_column(window: Window, columns: Sequence[str]) -> str:
    """Return a clause that names the numeric column with the largest values, "" if there is none."""
    if not columns:
        return ""
    reach = np.nan_to_num(np.abs(window.numbers)).max(axis=0)
    column = int(reach.argmax())
    low, high = np.nanmin(window.numbers[:, column]), np.nanmax(window.numbers[:, column])
    return f" (the widest numeric column, {shown(columns[column])}, goes from {low:g} to {high:g})"


def evaluate(
    trainer: Trainer, split: Split, settings: Settings, state: State, monitor: Monitor
) -> None:
    """Evaluate the eval split, add to the history, and keep the weights if they are the best so far."""
    started = time.monotonic()
    metrics, _ = trainer.evaluate(split)
    name = MAIN_METRIC[trainer.model.task]
    improved = all(is_better(name, metrics[name], earlier[name]) for earlier in state.history)
    state.history.append({"step": state.step, "epoch": state.epoch, **metrics})
    state.stale_evaluations = 0 if improved else state.stale_evaluations + 1
    if improved:
        trainer.keep_best()
    state.total_seconds += max(trainer.replicas.gathered(time.monotonic() - started))
    monitor.after_evaluation(state, metrics)
