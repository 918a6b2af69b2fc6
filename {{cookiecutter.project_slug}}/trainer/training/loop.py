"""The training loop: epochs of windows of steps, which can stop anywhere and go on from a checkpoint."""

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
from trainer.training.train_step import Learner

MOST_EVALUATIONS = 20
SECONDS_PER_CALL = 0.5
FIRST_CALL_STEPS, MOST_CALL_STEPS = 16, 4_096


@dataclass
class State:
    """How far a run is; with the learner's arrays it is all that a checkpoint holds."""

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
        """Return the state as it stands in a checkpoint."""
        return asdict(self)


class Monitor(Protocol):
    """What the loop tells the program around it."""

    def newest_checkpoint(self) -> tuple[list[npt.NDArray[Any]], dict[str, Any]] | None:
        """Return arrays and state to go on from, or None to begin."""

    def begin(self, total_steps: int, state: State) -> None:
        """Training begins, or goes on, at `state`."""

    def after_steps(self, state: State, rows: int, loss: float, learner: Learner) -> None:
        """`rows` more rows are trained on; the time to save, to show progress, and to raise `SystemExit`."""

    def after_evaluation(self, state: State, metrics: dict[str, float]) -> None:
        """The eval split has been evaluated."""

    def end(self, state: State, learner: Learner) -> None:
        """Training has ended: the time to save once more."""


def resumed(learner: Learner, monitor: Monitor) -> State:
    """Return the state of the newest checkpoint, its arrays restored, or a new state."""
    found = monitor.newest_checkpoint()
    if found is None:
        check_agreement(learner, 0)
        return State()
    arrays, state = found
    learner.restore(arrays)
    check_agreement(learner, state["step"])
    return State(**state)


def check_agreement(learner: Learner, step: int) -> None:
    """Raise `UserError` if another process goes on from another step."""
    steps = learner.replicas.gathered(step)
    if len(set(steps)) > 1:
        raise UserError(
            f"the replicas go on from the steps {', '.join(f'{number:.0f}' for number in steps)}",
            "one checkpoint for all replicas",
            "let all replicas see the same checkpoints folder, and start them together",
        )


def total_steps(split: Split, settings: Settings) -> int:
    """Return how many steps the run takes, unless time or patience ends it earlier."""
    windows = split.plan([settings.seed, 0])
    steps = settings.epochs * sum(
        steps_of(sum(group.rows for group in groups), settings) for groups in windows
    )
    return min(steps, settings.max_steps) if settings.max_steps else steps


def steps_of(rows: int, settings: Settings) -> int:
    """Return into how many batches of nearly equal size the rows of a window are cut."""
    return -(-rows // settings.batch_size)


def train(
    learner: Learner,
    train_split: Split,
    eval_split: Split,
    settings: Settings,
    state: State,
    monitor: Monitor,
) -> None:
    """Train from wherever `state` is to the first limit; raise `UserError` at a loss that is not finite."""
    monitor.begin(total_steps(train_split, settings), state)
    every = -(-settings.epochs // MOST_EVALUATIONS)
    while not is_over(state, settings):
        train_epoch(learner, train_split, settings, state, monitor)
        if state.epoch % every == 0 or is_over(state, settings):
            evaluate(learner, eval_split, settings, state, monitor)
    learner.check_equal()
    monitor.end(state, learner)
    learner.use_best()


def is_over(state: State, settings: Settings) -> bool:
    """Tell whether the run has reached its first limit: epochs, steps, minutes, or evaluations without progress."""
    return (
        state.epoch >= settings.epochs
        or bool(settings.max_steps and state.step >= settings.max_steps)
        or bool(settings.max_minutes and state.total_seconds >= 60 * settings.max_minutes)
        or bool(settings.patience and state.stale_evaluations >= settings.patience)
    )


def train_epoch(
    learner: Learner, split: Split, settings: Settings, state: State, monitor: Monitor
) -> None:
    """Train on the windows of an epoch that are left."""
    plan = split.plan([settings.seed, state.epoch])
    for window in split.windows(plan, state.window):
        train_window(learner, window, settings, state, monitor)
        if state.step_in_window < steps_of(window.rows, settings):
            return
        state.window, state.step_in_window = state.window + 1, 0
    state.epoch, state.window = state.epoch + 1, 0


def train_window(
    learner: Learner, window: Window, settings: Settings, state: State, monitor: Monitor
) -> None:
    """Train on the batches of a window that are left, in an order that seed, epoch and window alone decide."""
    generator = np.random.default_rng([settings.seed, state.epoch, state.window])
    order = tf.constant(generator.permutation(window.rows))
    tensors = learner.tensors(window)
    steps = steps_of(window.rows, settings)
    call_steps = FIRST_CALL_STEPS
    while state.step_in_window < steps and not is_over(state, settings):
        started = time.monotonic()
        first = state.step_in_window
        last = min(first + call_steps, steps)
        if settings.max_steps:
            last = min(last, first + settings.max_steps - state.step)
        loss, reached = learner.take_steps(tensors, order, first, last, steps)
        check_finite(loss, state.step + reached - first, window, learner)
        rows = window.rows * last // steps - window.rows * first // steps
        seconds = max(learner.replicas.gathered(time.monotonic() - started))
        advance(state, last - first, rows, seconds)
        monitor.after_steps(state, rows, loss, learner)
        call_steps = int(min(max((last - first) * SECONDS_PER_CALL / seconds, 1), MOST_CALL_STEPS))


def advance(state: State, steps: int, rows: int, seconds: float) -> None:
    """Count steps that are done."""
    state.step_in_window += steps
    state.step += steps
    state.rows += rows
    state.train_seconds += seconds
    state.total_seconds += seconds


def check_finite(loss: float, step: int, window: Window, learner: Learner) -> None:
    """Raise `UserError` if `loss` is not finite, naming the step and the widest numeric column."""
    if np.isfinite(loss):
        return
    raise UserError(
        f"the loss is {loss} at step {step}{widest(window, learner.model.columns)}",
        "a finite loss",
        "lower --learning-rate, or look at that column in data/prepared/statistics.json",
    )


def widest(window: Window, columns: Sequence[str]) -> str:
    """Return the numeric column that reaches furthest, in words, or nothing if there is none."""
    if not columns:
        return ""
    reach = np.nan_to_num(np.abs(window.numbers)).max(axis=0)
    column = int(reach.argmax())
    low, high = np.nanmin(window.numbers[:, column]), np.nanmax(window.numbers[:, column])
    return f" (the widest numeric column, {shown(columns[column])}, goes from {low:g} to {high:g})"


def evaluate(
    learner: Learner, split: Split, settings: Settings, state: State, monitor: Monitor
) -> None:
    """Evaluate the eval split, add to the history, and keep the weights if they are the best so far."""
    started = time.monotonic()
    metrics, _ = learner.evaluate(split)
    name = MAIN_METRIC[learner.model.task]
    improved = all(is_better(name, metrics[name], earlier[name]) for earlier in state.history)
    state.history.append({"step": state.step, "epoch": state.epoch, **metrics})
    state.stale_evaluations = 0 if improved else state.stale_evaluations + 1
    if improved:
        learner.keep_best()
    state.total_seconds += max(learner.replicas.gathered(time.monotonic() - started))
    monitor.after_evaluation(state, metrics)
