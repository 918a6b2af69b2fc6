"""Networks for tables with their own defaults, on one split of a table: `python networks.py FOLDER SPLIT`.

Source: https://github.com/dholzmueller/pytabkit, the classes with tuned defaults (TD) or the defaults of the paper (D).
They get numbers with missing ones at the median, because RealMLP takes none, and hold out rows for their own early stopping.
"""

from __future__ import annotations

import os

# As in trees.py: threads that wait do not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# isort: split
from typing import Any

import pandas as pd
import table
from one_split import fit
from pytabkit import (
    RealMLP_TD_Classifier,
    RealMLP_TD_Regressor,
    TabM_D_Classifier,
    TabM_D_Regressor,
)
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline


def programs(schema: table.Schema, frame: pd.DataFrame, seed: int) -> dict[str, Any]:
    regression = schema.task == "regression"
    tabm = TabM_D_Regressor if regression else TabM_D_Classifier
    realmlp = RealMLP_TD_Regressor if regression else RealMLP_TD_Classifier
    options = {"device": "cpu", "random_state": seed, "verbosity": 0}
    return {
        name: make_pipeline(known(schema), model(**options))
        for name, model in (("TabM", tabm), ("RealMLP", realmlp))
    }


def known(schema: table.Schema) -> Any:
    columns = make_column_transformer(
        (SimpleImputer(strategy="median"), list(schema.numeric)),
        ("passthrough", list(schema.categorical)),
        verbose_feature_names_out=False,
    )
    return columns.set_output(transform="pandas")


if __name__ == "__main__":
    fit(programs)
