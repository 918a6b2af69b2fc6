"""LightGBM on a pandas table, its categorical columns declared.

Parameters: https://lightgbm.readthedocs.io/en/stable/pythonapi/lightgbm.LGBMClassifier.html
Categories: https://lightgbm.readthedocs.io/en/stable/Advanced-Topics.html#categorical-feature-support

Columns of pandas' category type are taken as categorical without more ado. All cores work: the default
of the scikit-learn API would be the physical ones. There are trees instead of epochs.
"""

from __future__ import annotations

import table  # its clock starts before LightGBM is imported

# isort: split
from typing import Any

import lightgbm
import pandas as pd


def train(options: Any, schema: table.Schema, frame: pd.DataFrame) -> Any:
    kind = lightgbm.LGBMClassifier if schema.binary else lightgbm.LGBMRegressor
    model = kind(
        n_estimators=options.trees, num_leaves=options.leaves, learning_rate=0.1, n_jobs=-1
    )
    labels = table.encode_labels(schema, frame[schema.label])
    return model.fit(frame[list(schema.columns)], labels)


def main() -> None:
    import_seconds = table.seconds_since_start()
    parser = table.parser(__doc__)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--leaves", type=int, default=63)
    options = parser.parse_args()
    schema = table.read_schema(options.schema)
    started = table.seconds_since_start()
    frame = table.read_frame(schema, options.train)
    model = train(options, schema, frame)
    train_seconds = table.seconds_since_start() - started
    options.output.mkdir(parents=True, exist_ok=True)
    model.booster_.save_model(options.output / "model.txt")
    table.report(
        rows=len(frame),
        epochs=options.epochs,
        metric=table.tested(schema, model, options.test),
        import_seconds=import_seconds,
        train_seconds=train_seconds,
    )


if __name__ == "__main__":
    main()
