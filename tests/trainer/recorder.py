"""A monitor that records a run, for tests of the training loop."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from trainer.data.schema import Schema
from trainer.data.shards import Split
from trainer.settings import Settings
from trainer.training.checkpoint import State
from trainer.training.monitor import RunMonitor
from trainer.training.train_step import Trainer


class Recorder(RunMonitor):
    """A monitor that keeps the newest checkpoint in memory and may stop the run after some steps."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after = stop_after
        self.kept: tuple[list[npt.NDArray[Any]], dict[str, Any]] | None = None
        self.rows: list[int] = []

    def newest_checkpoint(self) -> tuple[list[npt.NDArray[Any]], dict[str, Any]] | None:
        return self.kept

    def begin(self, total_steps: int, state: State) -> None:
        self.total_steps = total_steps

    def after_steps(self, state: State, rows: int, loss: float, trainer: Trainer) -> None:
        self.rows.append(rows)
        if self.stop_after is not None and state.step >= self.stop_after:
            self.stop_after = None
            copies = [np.array(array) for array in trainer.arrays()]
            self.kept = (copies, json.loads(json.dumps(asdict(state))))
            raise SystemExit(143)

    def warn(self, text: str) -> None:
        raise AssertionError(text)

    def after_evaluation(self, state: State, metrics: dict[str, float]) -> None:
        self.metrics = metrics

    def save(self, state: State, trainer: Trainer) -> None:
        self.state = state


def splits_of(prepared: Path, schema: Schema, settings: Settings) -> tuple[Split, Split]:
    """Return the train and the eval split."""
    train_split, eval_split = (
        Split(prepared / name, schema, settings.memory_mb) for name in ("train", "eval")
    )
    return train_split, eval_split
