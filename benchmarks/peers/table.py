"""Code shared by the peers: arguments, the schema of a table, exact metrics and the report.

Scripts run with their own folder first on sys.path, so `import table` needs no package. It is
imported before everything else, and its clock times the imports that follow.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

STARTED = time.perf_counter()
HIDDEN_UNITS = (128, 64, 32)
PATHS = ("schema", "train", "test", "output")


@dataclass(frozen=True)
class Schema:
    """The columns of a table and its label."""

    task: str
    label: str
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    crosses: tuple[tuple[str, ...], ...] = ()
    positive: str = ""

    @property
    def binary(self) -> bool:
        return self.task == "binary"

    @property
    def columns(self) -> tuple[str, ...]:
        """Every feature, the numeric ones first."""
        return self.numeric + self.categorical


def seconds_since_start() -> float:
    """Return the seconds since this module was imported; the first line of a main takes it."""
    return time.perf_counter() - STARTED


def parser(description: str | None, *required: str) -> argparse.ArgumentParser:
    """Return a parser of the common arguments; only the named paths are required."""
    arguments = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in PATHS:
        arguments.add_argument(f"--{name}", type=Path, required=name in (required or PATHS))
    arguments.add_argument("--epochs", type=int, default=1)
    return arguments


def read_schema(path: Path) -> Schema:
    """Read schema.json."""
    fields = json.loads(path.read_text(encoding="utf-8"))
    return Schema(
        task=fields["task"],
        label=fields["label"],
        numeric=tuple(fields["numeric"]),
        categorical=tuple(fields["categorical"]),
        crosses=tuple(tuple(cross) for cross in fields.get("crosses", [])),
        positive=str(fields.get("positive", "")),
    )


def header(path: Path) -> list[str]:
    """Return the column names of a CSV file."""
    import csv

    with path.open(encoding="utf-8", newline="") as lines:
        return next(csv.reader(lines))


def read_frame(schema: Schema, path: Path, strings: str = "category") -> pd.DataFrame:
    """Read the features of a CSV file with pandas, and its label if it has one."""
    import pandas as pd

    types = dict.fromkeys(schema.numeric, "float32") | dict.fromkeys(schema.categorical, strings)
    types[schema.label] = "str" if schema.binary else "float32"
    used = [name for name in header(path) if name in types]
    # A category may be spelled "NA" or "None"; no number is missing.
    return pd.read_csv(path, usecols=used, dtype=types, keep_default_na=False)


def read_labels(schema: Schema, path: Path) -> np.ndarray:
    """Read only the labels: 0 and 1 of a binary task, or the values of a regression."""
    import pandas as pd

    kind = "category" if schema.binary else "float32"
    column = pd.read_csv(
        path, usecols=[schema.label], dtype={schema.label: kind}, keep_default_na=False
    )
    return encode_labels(schema, column[schema.label])


def encode_labels(schema: Schema, labels: pd.Series) -> np.ndarray:
    """Return the positive class as 1 and everything else as 0, or the values themselves."""
    if schema.binary:
        return (labels == schema.positive).to_numpy(dtype="float32")
    return labels.to_numpy(dtype="float32")


def metric(schema: Schema, labels: np.ndarray, predictions: np.ndarray) -> float:
    """Return the exact ROC AUC of a binary task, the RMSE of a regression."""
    import numpy as np

    labels = np.asarray(labels, dtype=np.float64).ravel()
    predictions = np.asarray(predictions, dtype=np.float64).ravel()
    if labels.shape != predictions.shape:
        raise ValueError(f"{labels.size} labels, but {predictions.size} predictions")
    if schema.binary:
        return auc(labels, predictions)
    return float(np.sqrt(np.mean((labels - predictions) ** 2)))


def tested(schema: Schema, model: Any, path: Path) -> float:
    """Return the metric on a test file of a model with scikit-learn's interface."""
    frame = read_frame(schema, path)
    features = frame[list(schema.columns)]
    chosen = model.predict_proba(features)[:, 1] if schema.binary else model.predict(features)
    return metric(schema, encode_labels(schema, frame[schema.label]), chosen)


def auc(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Return the ROC AUC by the ranks of the positives; a tie counts half."""
    import numpy as np

    _, inverse, counts = np.unique(predictions, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse.ravel()]
    positive = labels > 0.5
    positives, negatives = int(positive.sum()), int((~positive).sum())
    pairs_won = float(ranks[positive].sum()) - positives * (positives + 1) / 2.0
    return pairs_won / (positives * negatives)


def report(**values: Any) -> None:
    """Print the one JSON object that is the last line of a peer's output."""
    print(json.dumps(values), flush=True)
