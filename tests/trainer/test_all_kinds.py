"""Columns of all kinds, from the file to the prediction."""

import csv
import math
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from trainer import features, prepare
from trainer.data import cells
from trainer.data.schema import Schema, read_schema
from trainer.data.shards import Split
from trainer.data.statistics import read_statistics
from trainer.model import Model, export
from trainer.serving import SCORES, SIGNATURE, TYPED_SIGNATURE, input_parameters
from trainer.settings import Settings

KINDS = {"price": "numeric", "weight": "numeric", "day": "datetime", "seen": "datetime", "flag": "categorical", "code": "hashed", "note": "text", "title": "text"}  # fmt: skip
FORMS: dict[str, list[str]] = {
    "price": [
        "1200.5",
        "1,200.50",
        "$1,200.50",
        "(12)",
        "5%",
        " 7 ",
        "",
        "n/a",
        "-999",
        "-999.0",
        "1e3",
        "+4",
    ],
    "weight": ["5 kg", "5kg", "1,200 kg", "3", "", "0.5 kg"],
    "day": ["2024-01-15", "2024-02-29T10:30:00Z", "Mar 3, 2021", "", "n/a", "2020-12-31 23:59:59"],
    "seen": ["15/1/2024", "31.12.1999", "1 May 2020 3:05 PM", ""],
    "flag": ["True", "TRUE", "true", "False", "3", "3.0", " 3 ", "007", "", "n/a", "never"],
    "code": ["1.0", "1", "a", " a", "True", "true", "\u00a0b", "", "b"],
    "note": [
        "",
        "n/a",
        " N/A ",
        "3.0",
        "True",
        "Don\u2019t panic!",
        "a b",
        "b a",
        "a  b a",
        "?!",
        "w " * 90,
        "Stra\u00dfe",
    ],
    "title": ["", "a b", "\u65e5\u672c a", "so-called"],
}


@pytest.fixture(scope="module")
def prepared_kinds(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A table of all kinds with cells in every form, prepared; its schema, rows and folder."""
    folder = tmp_path_factory.mktemp("kinds")
    choose = random.Random(3)
    rows = [
        {name: choose.choice(forms) for name, forms in FORMS.items()}
        | {"y": choose.choice(["$1,000", "25%", "-3", "1e2"])}
        for _ in range(500)
    ]
    with (folder / "train.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "COLUMNS": KINDS, "LABEL": "y", "TASK": "regression", "MISSING": ["n/a", "-999"], "DELIMITER": ",", "HEADER": [],
            "COMMENT": "", "UNITS": {"weight": "kg"}, "DAY_FIRST": ["seen"], "DECIMAL": ".", "ENCODING": "utf-8",
        }.items():  # fmt: skip
            patch.setattr(features, name, value)
        schema = read_schema(features)
        output = folder / "output"
        assert (
            prepare.main(["--train", str(folder / "train.csv"), "--output", str(output), "-q"]) == 0
        )
    return schema, rows, output


def test_no_row_is_lost_and_numbers_are_read(prepared_kinds: Any) -> None:
    schema, rows, output = prepared_kinds
    statistics = read_statistics(output, schema)
    assert statistics.rejected == 0 and sum(statistics.rows.values()) == len(rows)
    assert (statistics.numeric["price"].minimum, statistics.numeric["price"].maximum) == (
        -12,
        1200.5,
    )
    assert statistics.numeric["weight"].maximum == 1200
    first, last = datetime(2020, 12, 31, 23, 59, 59), datetime(2024, 2, 29, 10, 30)
    expected = [(day - datetime(1970, 1, 1)) / timedelta(days=1) for day in (first, last)]
    days = statistics.numeric["day"]
    assert [days.minimum, days.maximum] == pytest.approx(expected, abs=1e-9)
    assert sorted(statistics.vocabularies["flag"]) == ["007", "3", "false", "never", "true"]
    assert statistics.label.mean < 400


def test_the_signatures_predict_as_training_does(prepared_kinds: Any, tmp_path: Path) -> None:
    schema, rows, output = prepared_kinds
    statistics = read_statistics(output, schema)
    model = Model(
        schema, statistics, Settings(hidden_units=(8,), ensemble=1).for_rows(100, schema.task)
    )
    for variable in model.network.trainable_variables:
        variable.assign(tf.random.stateless_normal(variable.shape, [1, 2], stddev=0.3))
    export(model, schema, statistics, tmp_path, is_chief=True)
    trained = np.concatenate(
        [
            predictions_of(model, Split(output / split, schema, memory_mb=64))
            for split in statistics.rows
        ]
    )
    found = served(
        tmp_path, SIGNATURE, schema, [{name: row[name] for name in KINDS} for row in rows]
    )
    scale = max(1.0, float(np.abs(trained).max()))
    # Both in the order of their values: preparation orders rows by their keys.
    assert np.abs(np.sort(found) - np.sort(trained)).max() / scale < 1e-5
    assert np.ptp(trained) > 0.1
    plain = served(tmp_path, TYPED_SIGNATURE, schema, [as_numbers(row, schema) for row in rows])
    assert np.abs(plain - found).max() / scale < 1e-5


def predictions_of(model: Model, split: Split) -> Any:
    window = split.all_rows()
    return model.predictions(tf.constant(window.numbers), tf.constant(window.codes)).numpy()[:, 0]


def as_numbers(row: dict[str, str], schema: Schema) -> dict[str, Any]:
    """Return a row as `typed` takes it: numbers as such, other forms of other cells."""
    found: dict[str, Any] = {name: row[name] for name in KINDS}
    for name in schema.of_kind("numeric"):
        number = (
            None
            if row[name] in schema.missing
            else cells.number(row[name], ".", schema.units.get(name, ""))
        )
        found[name] = math.nan if number is None else number
    return found


def served(folder: Path, name: str, schema: Schema, rows: Sequence[dict[str, Any]]) -> Any:
    signature = tf.saved_model.load(str(folder)).signatures[name]
    inputs = {
        parameter: tf.constant([row[column] for row in rows])
        for column, parameter in input_parameters(folder).items()
    }
    return signature(**inputs)[SCORES[schema.task]].numpy()


@pytest.mark.parametrize("first", [True, False])
def test_other_forms_of_a_value_have_its_prediction(
    first: bool, prepared_kinds: Any, tmp_path: Path
) -> None:
    schema, _, output = prepared_kinds
    statistics = read_statistics(output, schema)
    model = Model(
        schema, statistics, Settings(hidden_units=(8,), ensemble=1).for_rows(100, schema.task)
    )
    export(model, schema, statistics, tmp_path, is_chief=True)
    for name in ("flag", "code"):
        same = ["True", "true", "TRUE", " true "] if first else ["3", "3.0", "3.00", "\u00a03"]
        found = served(
            tmp_path,
            SIGNATURE,
            schema,
            [{**{each: "" for each in KINDS}, name: cell} for cell in same],
        )
        assert np.ptp(found) < 1e-6
