"""The hyperparameters and the length of a run, with defaults that follow the size of the data."""

from dataclasses import asdict, dataclass, replace
from typing import Any

DEFAULT_STEPS = 2_400
MOST_EPOCHS, FEWEST_EPOCHS = 100, 2
STEPS_PER_EPOCH = 100
SMALL_DATA_ROWS, SMALL_DATA_DROPOUT = 200_000, 0.1
LARGEST_BATCH, SMALLEST_BATCH = 1024, 32
RATE_AT_256_ROWS = 3e-3
AUTOMATIC: Any = None  # of any type, because `for_rows` replaces it


@dataclass(frozen=True)
class Settings:
    """What `task.py` passes to `model.py`; a limit that is None is none."""

    epochs: int = AUTOMATIC
    max_steps: int | None = None
    max_minutes: float | None = None
    batch_size: int = AUTOMATIC
    learning_rate: float = AUTOMATIC
    hidden_units: tuple[int, ...] = (128, 64, 32)
    embedding_size: int = 8
    ensemble: int = 1
    dropout: float = AUTOMATIC
    weight_decay: float = 1e-2
    patience: int | None = None
    memory_mb: int = 2048
    seed: int = 1

    def for_rows(self, rows: int) -> "Settings":
        """Return settings with epochs, batch size, learning rate and dropout chosen for `rows` training rows."""
        batch_size = self.batch_size or default_batch_size(rows)
        epochs = DEFAULT_STEPS // -(-rows // batch_size)
        dropout = SMALL_DATA_DROPOUT if rows < SMALL_DATA_ROWS else 0.0
        return replace(
            self,
            epochs=self.epochs or min(max(epochs, FEWEST_EPOCHS), MOST_EPOCHS),
            batch_size=batch_size,
            learning_rate=self.learning_rate or default_learning_rate(batch_size),
            dropout=dropout if self.dropout is None else self.dropout,
        )

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "hidden_units": list(self.hidden_units)}


def default_batch_size(rows: int) -> int:
    """Return a power of two that cuts `rows` into a hundred batches or more, within bounds."""
    batch_size = 1 << max(rows // STEPS_PER_EPOCH, 1).bit_length() - 1
    return min(max(batch_size, SMALLEST_BATCH), LARGEST_BATCH)


def default_learning_rate(batch_size: int) -> float:
    """Return the peak learning rate: it grows slowly with the batch, whose gradient is less noisy."""
    return RATE_AT_256_ROWS * float((batch_size / 256) ** 0.25)
