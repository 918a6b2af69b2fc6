"""Tables whose columns features.py is made to declare, and their preparation, for tests of several modules."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from trainer import features, prepare
from trainer.data import files

DEFAULTS: dict[str, Any] = {
    "LABEL": "y",
    "TASK": "binary",
    "POSITIVE": "yes",
    "LABEL_SQL": "",
    "MISSING": ["?", "nan"],
    "DELIMITER": ",",
    "COMMENT": "",
    "HEADER": [],
    "DECIMAL": ".",
    "UNITS": {},
    "DAY_FIRST": [],
}
CUSTOMERS = {
    "age": "numeric",
    "zeros": "numeric",
    "day": "datetime",
    "plan": "categorical",
    "city": "categorical",
    "user": "hashed",
}
CSV = b"x,y\n" + b"".join(
    b"%d,%s\n" % (number, b"no" if number % 3 else b"yes") for number in range(90)
)


def declare(patch: pytest.MonkeyPatch, columns: Mapping[str, str], **more: Any) -> None:
    """Have features.py declare these columns."""
    for name, value in {**DEFAULTS, "COLUMNS": dict(columns), **more}.items():
        patch.setattr(features, name, value)


def prepared(train: Path, *options: str) -> dict[str, Any]:
    """Prepare quietly beside the table; return the statistics."""
    output = train.parent / "output"
    assert prepare.main(["--train", str(train), "--output", str(output), "-q", *options]) == 0
    return dict(json.loads((output / files.STATISTICS).read_text(encoding="utf-8")))


def parquet(path: Path, names: list[str], columns: list[list[Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = [pyarrow.array(column) for column in columns]
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays(arrays, names=names), path)
    return path


def labels(count: int) -> list[str]:
    return ["yes" if number % 3 else "no" for number in range(count)]


def write(path: Path, columns: Mapping[str, Any], as_csv: bool = True) -> Path:
    if not as_csv:
        pyarrow.parquet.write_table(pyarrow.table(dict(columns)), path)
        return path
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def split_of(train: Path, *options: str) -> dict[str, list[tuple[Any, ...]]]:
    """Prepare a table; return the encoded rows of each split."""
    output = train.with_name("output")
    assert prepare.main(["--train", str(train), "--output", str(output), *options]) == 0
    tables = {
        name: pyarrow.concat_tables(
            map(pyarrow.parquet.read_table, sorted((output / name).glob("*.parquet")))
        )
        for name in json.loads((output / "statistics.json").read_text(encoding="utf-8"))["rows"]
    }
    return {
        name: list(zip(*table.to_pydict().values(), strict=True)) for name, table in tables.items()
    }


def customers(rows: int, seed: int) -> dict[str, Any]:
    """Return the columns of CUSTOMERS as `drift` takes them; a tenth of the ages and plans is missing."""
    generator = np.random.default_rng(seed)
    age = generator.normal(40, 10, rows).round(1)
    age[generator.random(rows) < 0.1] = np.nan
    plans = np.array(["basic", "plus", "pro", None])
    plan = generator.choice(plans, rows, p=[0.5, 0.3, 0.1, 0.1])
    return {
        "age": age,
        "zeros": np.where(generator.random(rows) < 0.9, 0.0, generator.gamma(2, 30, rows)),
        "day": generator.integers(19_000, 19_365, rows).astype(float),
        "plan": [*plan],
        "city": [f"city {number}" for number in generator.integers(0, 40, rows)],
        "user": [f"user {number}" for number in generator.integers(0, 900, rows)],
    }
