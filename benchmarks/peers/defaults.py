"""Libraries for tables with their own defaults, on the splits of one table: `python defaults.py FOLDER SPLIT...`.

LightGBM: https://lightgbm.readthedocs.io/en/stable/Advanced-Topics.html#categorical-feature-support
XGBoost: https://xgboost.readthedocs.io/en/stable/tutorials/categorical.html
Linear: standardised numbers with missing ones at the mean, one-hot texts, and the penalty chosen by cross-validation,
https://scikit-learn.org/stable/modules/linear_model.html

The last line of the output is a JSON object: of each program the errors and the seconds of fitting, one a split.
"""

from __future__ import annotations

import os

# Threads that wait do not spin: on a shared machine a fit takes many times as long otherwise.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# isort: split
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import table
from hist_gradient_boosting import create_model
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from xgboost import XGBClassifier, XGBRegressor

FEWEST_OF_A_VALUE = 5


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


def linear(schema: table.Schema) -> Any:
    """Return a ridge or logistic regression on standardised and one-hot columns."""
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    texts = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=FEWEST_OF_A_VALUE)
    columns = make_column_transformer(
        (numbers, list(schema.numeric)), (texts, list(schema.categorical))
    )
    regression = schema.task == "regression"
    model = RidgeCV(np.logspace(-3, 3, 7)) if regression else LogisticRegression(max_iter=300)
    return make_pipeline(columns, model)


def programs(schema: table.Schema, frame: pd.DataFrame, seed: int) -> dict[str, Any]:
    regression = schema.task == "regression"
    boosted = LGBMRegressor if regression else LGBMClassifier
    extreme = XGBRegressor if regression else XGBClassifier
    return {
        "LightGBM": boosted(verbose=-1, random_state=seed),
        "HistGradientBoosting": create_model(schema, frame),
        "XGBoost": extreme(enable_categorical=True, random_state=seed),
        "linear": linear(schema),
    }


def error(schema: table.Schema, model: Any, frame: pd.DataFrame, labels: Any) -> float:
    """Return the RMSE, 1 - AUC, or the share of rows with another class than predicted."""
    if schema.task == "regression":
        return float(np.sqrt(np.mean((labels - model.predict(frame)) ** 2)))
    if schema.task == "binary":
        return 1 - table.auc(labels, model.predict_proba(frame)[:, 1])
    return float(np.mean(labels != model.predict(frame)))


def main() -> None:
    warnings.simplefilter("ignore")
    folder, splits = Path(sys.argv[1]), [int(text) for text in sys.argv[2:]]
    schema = table.read_schema(folder / "splits.json")
    found: dict[str, dict[str, list[float]]] = {}
    for split in splits:
        categories: dict[str, Any] = {}
        frame, labels = read(schema, folder / f"train-{split}.csv", categories)
        tested, true = read(schema, folder / f"test-{split}.csv", categories)
        if schema.task != "regression":  # XGBoost takes classes as numbers
            classes = sorted(set(labels))
            labels, true = (np.searchsorted(classes, values) for values in (labels, true))
        for name, model in programs(schema, frame, split).items():
            started = time.perf_counter()
            model.fit(frame, labels)
            seconds = time.perf_counter() - started
            record = found.setdefault(name, {"errors": [], "seconds": []})
            record["errors"].append(error(schema, model, tested, true))
            record["seconds"].append(seconds)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
