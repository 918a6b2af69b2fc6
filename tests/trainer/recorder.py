"""A monitor that records a run, and settings, models and data, for tests of several modules."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from trainer.data.schema import Schema
from trainer.data.shards import Batches, Split, batches_of
from trainer.data.statistics import Statistics
from trainer.model import Model, export
from trainer.settings import Settings
from trainer.training.checkpoint import State
from trainer.training.metrics import metrics_of, sums_of
from trainer.training.monitor import RunMonitor
from trainer.training.train_step import Trainer

SETTINGS = Settings(
    epochs=3,
    batch_size=64,
    learning_rate=3e-3,
    hidden_units=(16, 8),
    ensemble=1,
    dropout=0.1,
    seed=3,
)


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


def batches(rows: int, count: int) -> Batches:
    """Return rows of one group in some batches, as tensors."""
    return Batches(*map(tf.constant, batches_of([rows], range(1), count, [1])))


def metrics_of_rows(
    task: str, outputs: Any, labels: Any, main: str = "", by_class: Any = None, by_row: Any = None
) -> dict[str, float]:
    """Return the metrics of predictions [rows, outputs] and labels [rows]."""
    sums = sums_of(task, outputs, labels, by_class, by_row, float(np.mean(labels)))
    return metrics_of(task, sums, main, by_class)


def regrouped(prepared: Path, folder: Path, rows: int, times: int = 1) -> Path:
    """Return a copy of prepared data with row groups of some rows, each split several times."""
    shutil.copytree(prepared, folder)
    for shard in folder.glob("*/*.parquet"):
        pq.write_table(pa.concat_tables([pq.read_table(shard)] * times), shard, row_group_size=rows)
    return folder


def splits_of(prepared: Path, schema: Schema, settings: Settings) -> tuple[Split, Split]:
    """Return the train and the eval split."""
    train_split, eval_split = (
        Split(prepared / name, schema, settings.memory_mb, settings.window_groups)
        for name in ("train", "eval")
    )
    return train_split, eval_split


def untrained(schema: Schema, statistics: Statistics, folder: Path) -> Path:
    """Export a small model that was not trained; return its folder."""
    settings = Settings(hidden_units=(8,), ensemble=1).for_rows(100, schema.task)
    export(Model(schema, statistics, settings), schema, statistics, folder, is_chief=True)
    return folder


def config(cluster: object, task: object) -> dict[str, str]:
    """Return an environment with TF_CONFIG."""
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task, "environment": "cloud"})}
