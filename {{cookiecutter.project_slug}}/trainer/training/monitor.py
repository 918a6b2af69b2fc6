"""What a run shows and saves while it trains: progress, checkpoints, summaries, the metric for tuning."""

import os
import signal
import time
from dataclasses import asdict
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorboard.plugins.hparams.api import hparams

from trainer.data.shards import Split
from trainer.run.console import Console, Progress, duration, measure
from trainer.run.outputs import Outputs, report_to_tuning
from trainer.run.resume import check_identity, identity_of
from trainer.settings import Settings
from trainer.training import checkpoint
from trainer.training.checkpoint import State
from trainer.training.metrics import STANDARD_ERROR
from trainer.training.train_step import Trainer

LONGEST_SAVE_INTERVAL_SECONDS = 600.0
FIRST_SAVE_INTERVAL_SECONDS = 10.0
SAVE_SHARE = 0.02
EXAMPLES = 100
# Of an evaluation on the console, unless they choose the best one; all are in metrics.json and TensorBoard.
NOT_SHOWN = (STANDARD_ERROR, "pr_auc", "balanced_accuracy", "f1", "log_loss", "r2")


class RunMonitor:
    """Monitors one run; saves to `outputs` if this process is the one that `writes`."""

    def __init__(
        self, outputs: Outputs, settings: Settings, data: str, console: Console, writes: bool
    ) -> None:
        self.outputs = outputs
        self.identity = identity_of(data)
        self.writes = writes
        self.settings = settings
        self.metric = settings.metric
        self.console = console if writes else Console(quiet=True)
        self.writer = tf.summary.create_file_writer(str(outputs.logs)) if writes else None
        self.progress = Progress(console, 1)
        self.save_interval_seconds = FIRST_SAVE_INTERVAL_SECONDS
        self.saved = time.perf_counter()
        self.saved_step = -1
        self.stop_signal = 0
        self.announced = False
        self.trained: npt.NDArray[np.float32] | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.ask_to_stop)

    def ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        """Stop after the steps in progress; a second Ctrl-C stops immediately."""
        if self.stop_signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.stop_signal = number

    def newest_checkpoint(self) -> tuple[list[npt.NDArray[Any]], dict[str, Any]] | None:
        """Return arrays and state to resume from, None to start; raise `UserError` if they are of another run."""
        found = checkpoint.newest(self.outputs.checkpoints, self.console.warning)
        if found:
            earlier = found[1].pop("identity", {})
            check_identity(earlier, self.identity, self.outputs.checkpoints, lambda _: None)
        return found

    def begin(self, total_steps: int, state: State) -> None:
        if state.step:
            self.console.line(f"train    resuming at step {state.step:,} of {total_steps:,}")
        self.progress = Progress(self.console, total_steps)
        self.saved_step = state.step
        if self.writer:
            with self.writer.as_default(step=state.step):
                flags = self.settings.as_json().items()
                hparams({k: v if isinstance(v, int | float) else str(v) for k, v in flags})

    def after_steps(self, state: State, rows: int, loss: float, trainer: Trainer) -> None:
        """Show progress; save when due; end the process after a signal."""
        self.progress.advance(state.step, rows, loss)
        self.announce(state.step)
        pace = {"rows_per_second": state.rows / max(state.train_seconds, 1e-9)}
        rate = float(trainer.optimizer.learning_rate)
        self.summarize(state.step, "train", {"loss": loss, "learning_rate": rate, **pace})
        # A signal may reach one replica alone, or each during other steps: all stop after the same.
        stop_signal = int(max(trainer.replicas.gathered(self.stop_signal)))
        if stop_signal:
            self.save(state, trainer)
            self.console.line(f"stopped  at step {state.step:,}; the same command resumes there")
            raise SystemExit(128 + stop_signal)
        if time.perf_counter() - self.saved > self.save_interval_seconds:
            self.save(state, trainer)

    def announce(self, step: int) -> None:
        """Show once what the run is and how long it will take, as soon as the steps have a pace."""
        left = None if self.announced else self.progress.seconds_left(step)
        if left is not None:
            chosen, self.announced = self.settings, True
            size = f"{chosen.ensemble} members, " * (chosen.ensemble > 1)
            steps = f"{self.progress.total_steps:,} steps"
            steps += "" if chosen.max_steps else f" in {chosen.epochs} epochs"
            self.line(f"quality  {chosen.quality}: {size}{steps}; about {duration(left)}")

    def line(self, text: str) -> None:
        if self.writes:
            self.console.line(text)

    def warn(self, text: str) -> None:
        if self.writes:
            self.console.warning(text)

    def after_evaluation(self, state: State, metrics: dict[str, float]) -> None:
        if self.saved_step == 0:
            self.save_interval_seconds = 0.0  # the first evaluation is worth a checkpoint
        if self.writer is None:
            return
        names = [name for name in metrics if name not in NOT_SHOWN or name == self.metric]
        names.sort(key=lambda name: name != self.metric)
        shown = "  ".join(f"{name} {measure(metrics[name])}" for name in names)
        self.console.line(f"eval     epoch {state.epoch}  step {state.step:,}  {shown}")
        self.summarize(state.step, "eval", metrics)
        if self.metric in metrics:
            report_to_tuning(self.metric, metrics[self.metric], state.step, os.environ)

    def summarize(self, step: int, group: str, metrics: dict[str, float]) -> None:
        """Write what TensorBoard shows; nothing else depends on it."""
        if self.writer is None:
            return
        try:
            with self.writer.as_default(step=step):
                for name, value in metrics.items():
                    tf.summary.scalar(f"{group}/{name}", value)
            if group == "eval":  # each flush is a request to a bucket
                self.writer.flush()
        except tf.errors.OpError as error:
            self.console.warning(f"{self.outputs.logs} cannot be written ({error.message})")

    def after_export(self, trainer: Trainer, split: Split) -> None:
        """Keep the predictions for the first rows of a split, which the exported model is compared with."""
        window = split.first_rows(EXAMPLES)
        self.trained = trainer.predict(window.numbers[:EXAMPLES], window.codes[:EXAMPLES]).numpy()

    def save(self, state: State, trainer: Trainer) -> None:
        """Write a checkpoint, and choose when the next one is due."""
        if not self.writes or state.step == self.saved_step:
            return
        started = time.perf_counter()
        try:
            content = {**asdict(state), "identity": self.identity}
            checkpoint.save(self.outputs.checkpoints, state.step, trainer.arrays(), content)
        except OSError as error:
            self.console.warning(
                f"step {state.step:,} cannot be saved ({error}); training continues"
            )
        else:
            self.saved_step = state.step
        self.saved = time.perf_counter()
        self.save_interval_seconds = save_interval(self.saved - started)


def save_interval(cost_seconds: float) -> float:
    """Return the seconds until the next checkpoint, so that saving takes a small share of the run on a slow disk too."""
    wanted = max(cost_seconds / SAVE_SHARE, FIRST_SAVE_INTERVAL_SECONDS)
    return min(wanted, LONGEST_SAVE_INTERVAL_SECONDS)
