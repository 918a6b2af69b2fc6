"""The training loop: epochs of windows of steps, which can stop anywhere and resume from a checkpoint."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.data import thresholds
from trainer.data.shards import Batches, RowGroup, Split, Window, batches_of
from trainer.data.thresholds import COMMON_AIMS, COUNTS, DEFAULT, chosen_threshold, outcome
from trainer.run.errors import UserError, shown
from trainer.settings import SMALL_TABLE_ROWS, Settings, goal_of
from trainer.training.checkpoint import State
from trainer.training.contract import check_model
from trainer.training.metrics import STANDARD_ERROR, Sums, finite, is_better, main_metric
from trainer.training.monitor import RunMonitor
from trainer.training.train_step import Trainer

MOST_EVALUATIONS = 20
SECONDS_PER_CALL = 0.5
FIRST_CALL_STEPS, MOST_CALL_STEPS = 16, 4_096


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
    steps = settings.epochs * sum(steps_per_window(groups, settings) for groups in windows)
    return min(steps, settings.max_steps) if settings.max_steps else steps


def steps_per_window(groups: Sequence[RowGroup], settings: Settings) -> int:
    """Return the number of batches, of nearly equal size, that the rows of a window are cut into."""
    return -(-sum(group.rows for group in groups) // settings.batch_size)


@dataclass
class Run:
    """A run of training, from `state` to its first limit."""

    trainer: Trainer
    train_split: Split
    eval_split: Split
    settings: Settings
    monitor: RunMonitor
    state: State = field(default_factory=State)
    checked: bool = False

    def resume(self) -> None:
        """Continue from the newest checkpoint, if there is one."""
        groups = self.train_split.window_groups
        if found := self.monitor.newest_checkpoint():
            arrays, state = found
            if (had := state["window_groups"]) != groups:
                what = f"the checkpoint has windows of {had} row groups, and this run of {groups}"
                fix = f"add --window-groups {had}, or name another --job-dir"
                raise UserError(what, "the same windows, which decide the order of rows", fix)
            self.trainer.restore(arrays)
            self.state = State(**state)
        self.state.window_groups = groups
        check_same_step(self.trainer, self.state.step)

    def train(self) -> None:
        """Train to the first limit; raise `UserError` at a loss that is not finite."""
        self.monitor.begin(total_steps(self.train_split, self.settings), self.state)
        every = -(-self.settings.epochs // MOST_EVALUATIONS)
        while not self.is_over():
            self.train_epoch()
            if self.state.epoch % every == 0 or self.is_over():
                self.evaluate()
        self.trainer.check_same_weights()
        self.monitor.save(self.state, self.trainer)
        self.trainer.use_best()

    def is_over(self) -> bool:
        """Return whether a limit is reached: epochs, steps, minutes, or evaluations without improvement."""
        settings, state = self.settings, self.state
        return (
            state.epoch >= settings.epochs
            or bool(settings.max_steps and state.step >= settings.max_steps)
            or bool(settings.max_minutes and state.total_seconds >= 60 * settings.max_minutes)
            or bool(settings.patience and state.stale_evaluations >= settings.patience)
        )

    def train_epoch(self) -> None:
        state = self.state
        plan = self.train_split.plan([self.settings.seed, state.epoch])
        windows = self.train_split.windows(plan, state.window)
        for groups, window in zip(plan[state.window :], windows, strict=True):
            if not self.checked:
                check_model(self.trainer, window)
                self.checked = True
            self.train_window(groups, window)
            if state.step_in_window < steps_per_window(groups, self.settings):
                return
            state.window, state.step_in_window = state.window + 1, 0
        state.epoch, state.window = state.epoch + 1, 0

    def train_window(self, groups: Sequence[RowGroup], window: Window) -> None:
        """Train on the remaining batches of a window, in an order that depends on seed, epoch and window alone."""
        state, steps = self.state, steps_per_window(groups, self.settings)
        seed = [self.settings.seed, state.epoch, state.window]
        shares = [group.rows for group in groups], self.train_split.own(groups)
        batches = Batches(*map(tf.constant, batches_of(*shares, steps, seed)))
        call_steps = FIRST_CALL_STEPS
        while state.step_in_window < steps and not self.is_over():
            first = state.step_in_window
            last = min(first + call_steps, steps)
            if self.settings.max_steps:
                last = min(last, first + self.settings.max_steps - state.step)
            seconds = self.train_steps(window, batches, first, last)
            wanted = (last - first) * SECONDS_PER_CALL / max(seconds, 1e-9)
            call_steps = int(min(max(wanted, 1), MOST_CALL_STEPS))

    def train_steps(self, window: Window, batches: Batches, first: int, last: int) -> float:
        """Take the steps `first` to `last` on a window; return the seconds that they took."""
        started = time.perf_counter()
        state, tensors = self.state, self.trainer.tensors(window)
        loss, reached = self.trainer.train_steps(tensors, batches, first, last)
        check_finite(loss, state.step + reached - first, window, self.trainer)
        rows = int(np.sum(batches.sizes[first:last]))
        seconds = max(self.trainer.replicas.gathered(time.perf_counter() - started))
        state.step_in_window += last - first
        state.step += last - first
        state.rows += rows
        state.train_seconds += seconds
        state.total_seconds += seconds
        self.monitor.after_steps(state, rows, loss, self.trainer)
        return seconds

    def metrics(self, split: Split) -> tuple[dict[str, float], Sums]:
        """Return the metrics of a split that are finite numbers, and the sums of its rows; warn of other metrics.

        Raises `UserError` if the main metric is none of them.
        """
        metrics, sums = self.trainer.evaluate(split)
        main, step = main_metric(self.trainer.metric, sums), self.state.step
        return finite(metrics, main, step, self.monitor.warn), sums

    def calibrate(self) -> dict[str, Any]:
        """Fit the model's temperature on the eval split, with the weights of metrics; return what that changes there."""
        if not self.settings.calibrate:
            return {}
        trainer, model = self.trainer, self.trainer.model
        probabilities, labels, weights = trainer.predicted(self.eval_split)
        if model.class_weights is not None:
            weights = model.class_weights[labels] * (1.0 if weights is None else weights)
        model.temperature = thresholds.fitted_temperature(probabilities, labels, weights)
        if model.temperature == 1.0:
            self.monitor.warn("the eval split has too few errors: no temperature is fitted to it")
        trainer.trace_predictions()
        both = (probabilities, trainer.predicted(self.eval_split)[0])
        before, after = (thresholds.quality_of(each, labels, weights) for each in both)
        return {"calibration": {"temperature": model.temperature, "before": before, "after": after}}

    def final_metrics(self, split: Split) -> tuple[dict[str, Any], Sums]:
        """Choose the model's threshold; return what holds of a split and the chosen threshold, and the sums of its rows."""
        found_at, model = self.choose_threshold(), self.trainer.model
        metrics, sums = self.metrics(split)
        if model.task != "binary":
            return metrics, sums
        rows, by_weight = sums["kinds"]  # true and false negatives, false and true positives
        kinds = (np.array([0, 1, 0, 1]), np.array([0, 0, 2, 2]))
        found = {"aim": self.settings.threshold, **outcome(*kinds, model.threshold, by_weight)}
        found |= zip(COUNTS, map(int, rows[[3, 2, 1]]), strict=True)
        found["predicted_positive"] = float(rows[2:].sum() / rows.sum())
        return {**metrics, "threshold": found, "thresholds": found_at}, sums

    def choose_threshold(self) -> dict[str, float]:
        """Choose the model's threshold on the eval split; return those of common aims, and its own."""
        model, aim = self.trainer.model, self.settings.threshold
        found_at: dict[str, float] = {}
        if model.task != "binary":
            return found_at
        scores, truth, by_row = self.trainer.predicted(self.eval_split)
        for each in filter(None, (*COMMON_AIMS, aim)):
            try:
                found_at[each] = chosen_threshold(each, truth, scores[:, 1], by_row)
            except UserError as error:
                if each == aim:
                    self.monitor.warn(f"{error}; the threshold is {DEFAULT}")
        model.threshold = found_at.get(aim or "", DEFAULT)
        return found_at

    def evaluate(self) -> None:
        """Evaluate the eval split, add to the history, and keep the weights if they are the best so far.

        Of a small table they are kept, too, if they are worse by less than the standard error: the best is then luck.
        """
        started = time.perf_counter()
        state = self.state
        metrics, sums = self.metrics(self.eval_split)
        name = main_metric(self.trainer.metric, sums)
        improved = all(is_better(name, metrics[name], earlier[name]) for earlier in state.history)
        kept = improved or self.is_luck(name, metrics[name])
        # A metric of the user's own may differ among the replicas, and all must keep the same weights.
        improved, kept = (
            max(self.trainer.replicas.gathered(each)) > 0 for each in (improved, kept)
        )
        state.history.append({"step": state.step, "epoch": state.epoch, **metrics})
        state.stale_evaluations = 0 if improved else state.stale_evaluations + 1
        if kept:
            self.trainer.keep_best()
        state.total_seconds += max(self.trainer.replicas.gathered(time.perf_counter() - started))
        self.monitor.after_evaluation(state, metrics)

    def is_luck(self, name: str, value: float) -> bool:
        """Return whether a small table's best evaluation so far is better than `value` by less than its standard error."""
        choose: Any = max if goal_of(name) == "maximize" else min
        best = choose(self.state.history, key=lambda each: each[name])
        is_small = self.train_split.rows < SMALL_TABLE_ROWS
        return is_small and abs(best[name] - value) <= best.get(STANDARD_ERROR, 0.0)


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
    if not columns or not window.rows:
        return ""
    reach = np.nan_to_num(np.abs(window.numbers)).max(axis=0)
    column = int(reach.argmax())
    low, high = np.nanmin(window.numbers[:, column]), np.nanmax(window.numbers[:, column])
    return f" (the widest numeric column, {shown(columns[column])}, goes from {low:g} to {high:g})"
