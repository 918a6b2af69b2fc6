"""Libraries for tables with their own defaults, on one split of a table: `python trees.py FOLDER SPLIT`.

LightGBM: https://lightgbm.readthedocs.io/en/stable/Advanced-Topics.html#categorical-feature-support
XGBoost: https://xgboost.readthedocs.io/en/stable/tutorials/categorical.html
Linear: standardised numbers with missing ones at the mean, one-hot texts, and the penalty chosen by cross-validation,
https://scikit-learn.org/stable/modules/linear_model.html
"""

from __future__ import annotations

import os

# Threads that wait do not spin: on a shared machine a fit takes many times as long otherwise.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# isort: split
from typing import Any

import numpy as np
import pandas as pd
import table
from hist_gradient_boosting import create_model
from lightgbm import LGBMClassifier, LGBMRegressor
from one_split import fit
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from xgboost import XGBClassifier, XGBRegressor

FEWEST_OF_A_VALUE = 5


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


if __name__ == "__main__":
    fit(programs)
