"""Fits programs on one split of a table: what the scripts of `nox -s bench -- accuracy` share.

The last line of their output is a JSON object: of each program the error and the seconds of fitting.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import table


def fit(programs: Callable[[table.Schema, pd.DataFrame, int], dict[str, Any]]) -> None:
    """Fit each of the `programs` that a function returns on the split that `argv` names: a folder, and a number."""
    warnings.simplefilter("ignore")
    folder, split = Path(sys.argv[1]), int(sys.argv[2])
    schema = table.read_schema(folder / "splits.json")
    categories: dict[str, Any] = {}
    frame, labels = read(schema, folder / f"train-{split}.csv", categories)
    tested, true = read(schema, folder / f"test-{split}.csv", categories)
    if schema.task != "regression":  # XGBoost takes classes as numbers
        classes = sorted(set(labels))
        labels, true = (np.searchsorted(classes, values) for values in (labels, true))
    found = {}
    for name, model in programs(schema, frame, split).items():
        started = time.perf_counter()
        model.fit(frame, labels)
        seconds = time.perf_counter() - started
        found[name] = {"error": error(schema, model, tested, true), "seconds": seconds}
    print(json.dumps(found))


def read(schema: table.Schema, path: Path, categories: dict[str, Any]) -> tuple[Any, Any]:
    """Return features and labels; a text that the training rows do not have counts as missing."""
    types = dict.fromkeys(schema.numeric, "float64") | dict.fromkeys(schema.categorical, "str")
    if schema.task != "regression":
        types[schema.label] = "str"
    frame = pd.read_csv(path, dtype=types, na_values=[""], keep_default_na=False)
    for name in schema.categorical:
        known = categories.setdefault(name, sorted(frame[name].dropna().unique()))
        frame[name] = pd.Categorical(frame[name], known)
    return frame[list(schema.columns)], frame[schema.label].to_numpy()


def error(schema: table.Schema, model: Any, frame: pd.DataFrame, labels: Any) -> float:
    """Return the RMSE, 1 - AUC, or the share of rows with another class than predicted."""
    if schema.task == "regression":
        return float(np.sqrt(np.mean((labels - model.predict(frame)) ** 2)))
    if schema.task == "binary":
        return 1 - table.auc(labels, model.predict_proba(frame)[:, 1])
    return float(np.mean(labels != model.predict(frame)))
