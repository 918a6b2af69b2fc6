"""scikit-learn's histogram gradient boosting on a pandas table.

Categories: https://scikit-learn.org/stable/modules/ensemble.html#categorical-features-support
Many values: https://scikit-learn.org/stable/auto_examples/preprocessing/plot_target_encoder.html

`categorical_features="from_dtype"` takes at most 255 categories a column; a column of more goes through
TargetEncoder, as the second page does. Everything else is a default: 100 trees, and where there are more
than 10,000 rows an early stop by a tenth of them. There are trees instead of epochs.
"""

from __future__ import annotations

import table  # its clock starts before scikit-learn is imported

# isort: split
from typing import Any

import joblib
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import TargetEncoder

MOST_CATEGORIES = 255


def create_model(schema: table.Schema, frame: pd.DataFrame) -> Any:
    """Return the estimator, with an encoder before it if a column has too many categories."""
    regression = schema.task == "regression"
    kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    model = kind(categorical_features="from_dtype", max_iter=100)
    long = [n for n in schema.categorical if len(frame[n].cat.categories) > MOST_CATEGORIES]
    if not long:
        return model
    encoder = make_column_transformer(
        (TargetEncoder(target_type="continuous" if regression else schema.task), long),
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    return make_pipeline(encoder.set_output(transform="pandas"), model)


def main() -> None:
    import_seconds = table.seconds_since_start()
    options = table.parser(__doc__).parse_args()
    schema = table.read_schema(options.schema)
    started = table.seconds_since_start()
    frame = table.read_frame(schema, options.train)
    labels = table.encode_labels(schema, frame[schema.label])
    model = create_model(schema, frame).fit(frame[list(schema.columns)], labels)
    train_seconds = table.seconds_since_start() - started
    options.output.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, options.output / "model.joblib")
    table.report(
        rows=len(frame),
        epochs=options.epochs,
        metric=table.tested(schema, model, options.test),
        import_seconds=import_seconds,
        train_seconds=train_seconds,
    )


if __name__ == "__main__":
    main()
