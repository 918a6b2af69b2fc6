"""The hyperparameters and the length of a run, with defaults that follow the size of the data."""

import csv
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from trainer import features
from trainer.run.errors import UserError, shown

MOST_EPOCHS, FEWEST_EPOCHS = 100, 2
STEPS_PER_EPOCH = 100
SMALL_DATA_ROWS, SMALL_DATA_DROPOUT = 200_000, 0.1
LARGEST_BATCH, SMALLEST_BATCH = 1024, 32
# The last of the narrow layers has too few units to keep many classes apart.
HIDDEN_UNITS, WIDE_UNITS, MANY_CLASSES = (128, 64, 32), (256, 128, 64), 10
RATE_AT_256_ROWS = 3e-3
AUTOMATIC: Any = None  # of any type, because `for_rows` replaces it
# Members of the ensemble for two classes, and for other tasks, which train for longer instead. docs/accuracy.md of the
# template has the figures behind all that is chosen here.
QUALITIES = {"fast": (1, 1), "default": (8, 4), "best": (16, 16)}
STEPS, MORE_STEPS = 2_400, 7_200
# Of a table whose eval split has too few rows to choose one of its evaluations.
SMALL_TABLE_ROWS, FEWEST_STEPS = 2_000, 250
SMALL_TABLE_EPOCHS = {"binary": 12, "multiclass": 30}
# What may choose the best evaluation of a task, the first by default; docs/extending.md of the template adds another.
METRICS = {
    "binary": ("auc", "accuracy", "pr_auc", "balanced_accuracy", "f1", "log_loss"),
    "multiclass": ("accuracy", "balanced_accuracy", "f1", "log_loss"),
    "regression": ("rmse", "mae", "r2"),
}
LOSSES, TRANSFORMS = ("squared", "absolute", "huber", "poisson"), ("none", "log")
MINIMIZED = {"log_loss", "rmse", "mae", "loss"}
# Of a metric of the user's own: those of others, and what else metrics.json and its history hold.
TAKEN = {
    *(*METRICS["binary"], *METRICS["regression"], "loss", "standard_error", "baseline"),
    *("linear_baseline", "history", "metric", "goal", "split", "step", "steps", "epoch", "epochs"),
    *("threshold", "thresholds", "calibration", "rows_per_second", "wall_seconds"),
}


def own_metrics() -> dict[str, tuple[Callable[[Any, Any], Any], str]]:
    """Return METRICS of `features.py`, {} if it has none: a function and its goal by name; raise `UserError` for others."""
    own = getattr(features, "METRICS", {})
    for name, each in own.items() if isinstance(own, dict) else [("", own)]:
        match each:
            case (function, "maximize" | "minimize") if callable(function):
                if str(name).isidentifier() and name not in TAKEN:
                    continue
        what = f"trainer/features.py: METRICS has {shown(name)}: {shown(each)}"
        expected = "a new name with a function and its goal, maximize or minimize"
        raise UserError(what, expected, 'write METRICS = {"profit": (profit, "maximize")}')
    return dict(own)


def weights_by_class(text: str) -> dict[str, float]:
    """Return the weight of each class that `yes=5,no=1` names; raise `ValueError` or `csv.Error` for other text."""
    row = next(csv.reader([text or "="], skipinitialspace=True))
    parts = [each.rpartition("=") for each in row]
    weights = {name: float(number) for name, _, number in parts if name}
    if len(weights) < len(row) or not all(0 < each < math.inf for each in weights.values()):
        raise ValueError(text)
    return weights


def metrics_for(task: str) -> list[str]:
    return [*METRICS.get(task, ()), *own_metrics()]


def goal_of(metric: str) -> str:
    own = own_metrics().get(metric)
    return own[1] if own else "minimize" if metric in MINIMIZED else "maximize"


@dataclass(frozen=True)
class Settings:
    """What `task.py` passes to `model.py`; a limit that is None is none."""

    quality: str = "default"
    metric: str = AUTOMATIC
    loss: str | None = None
    target_transform: str | None = None
    class_weights: str | None = None
    epochs: int = AUTOMATIC
    max_steps: int | None = None
    max_minutes: float | None = None
    batch_size: int = AUTOMATIC
    learning_rate: float = AUTOMATIC
    hidden_units: tuple[int, ...] = AUTOMATIC
    embedding_size: int = 8
    ensemble: int = AUTOMATIC
    dropout: float = AUTOMATIC
    weight_decay: float = 1e-2
    patience: int | None = None
    threshold: str | None = None
    calibrate: bool = False
    memory_mb: int = 2048
    window_groups: int | None = None
    seed: int = 1

    def for_rows(self, rows: int, task: str, classes: int = 2) -> "Settings":
        """Return settings with what is not given chosen for `rows` training rows of a task with some classes."""
        batch_size = self.batch_size or default_batch_size(rows)
        epochs = self.default_steps(rows, task) // -(-rows // batch_size)
        return replace(
            self,
            metric=self.metric or metrics_for(task)[0],
            loss=self.loss or (LOSSES[0] if task == "regression" else None),
            epochs=self.epochs or min(max(epochs, FEWEST_EPOCHS), MOST_EPOCHS),
            batch_size=batch_size,
            hidden_units=self.hidden_units
            or (WIDE_UNITS if classes >= MANY_CLASSES else HIDDEN_UNITS),
            learning_rate=self.learning_rate or default_learning_rate(batch_size),
            ensemble=self.ensemble or QUALITIES[self.quality][task != "binary"],
            dropout=self.default_dropout(rows, task) if self.dropout is None else self.dropout,
        )

    def default_steps(self, rows: int, task: str) -> int:
        """Return about how many steps a run takes; more of them only learn two classes, or few rows, by heart."""
        if rows < SMALL_TABLE_ROWS and task in SMALL_TABLE_EPOCHS:
            return max(FEWEST_STEPS, SMALL_TABLE_EPOCHS[task] * -(-rows // SMALLEST_BATCH))
        return STEPS if self.quality == "fast" or task == "binary" else MORE_STEPS

    def default_dropout(self, rows: int, task: str) -> float:
        """Return dropout for a small table; an ensemble that is trained for longer does without it in a regression."""
        none = rows >= SMALL_DATA_ROWS or (task == "regression" and self.quality != "fast")
        return 0.0 if none else SMALL_DATA_DROPOUT

    def better(self) -> "Settings | None":
        """Return the same settings with the next quality, None if there is none."""
        names = list(QUALITIES)
        following = names[names.index(self.quality) + 1 :]
        return replace(self, quality=following[0]) if following else None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "hidden_units": list(self.hidden_units)}


def default_batch_size(rows: int) -> int:
    """Return a power of two that cuts `rows` into a hundred batches or more, within bounds."""
    batch_size = 1 << max(rows // STEPS_PER_EPOCH, 1).bit_length() - 1
    return min(max(batch_size, SMALLEST_BATCH), LARGEST_BATCH)


def default_learning_rate(batch_size: int) -> float:
    """Return the peak learning rate: it grows slowly with the batch, whose gradient is less noisy."""
    return RATE_AT_256_ROWS * float((batch_size / 256) ** 0.25)
