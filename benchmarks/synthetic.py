"""A synthetic table like Adult, of any size, drawn from a known signal: `write_table(path, rows, part)`.

Each category has an effect, three pairs of columns have interactions, and the numbers have thresholds and bumps. The
signal is fixed; `part` seeds the rows, so training and test rows are independent draws.
"""

import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

SIGNAL_SEED = 20_240_501
CHUNK_ROWS = 500_000
POSITIVE, NEGATIVE = ">50K", "<=50K"
POSITIVE_SHARE = 0.25
NUMERIC = ("age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week")
VALUE_COUNTS = {
    "workclass": 9,
    "education": 16,
    "marital_status": 7,
    "occupation": 15,
    "relationship": 6,
    "race": 5,
    "sex": 2,
    "native_country": 42,
}
CROSSES = (
    ("education", "occupation"),
    ("marital_status", "relationship"),
    ("native_country", "occupation"),
)
SCHEMA = {
    "task": "binary",
    "label": "income",
    "positive": POSITIVE,
    "numeric": list(NUMERIC),
    "categorical": list(VALUE_COUNTS),
    "crosses": [list(pair) for pair in CROSSES],
}

Array = npt.NDArray[Any]


def write_table(path: Path, rows: int, part: int) -> None:
    """Write `rows` rows as CSV with a header line; equal arguments give equal bytes."""
    partial = path.with_suffix(".partial")
    with pa_csv.CSVWriter(partial, schema()) as writer:
        for chunk in chunks(rows, part):
            writer.write_table(chunk)
    partial.replace(path)


def schema() -> pa.Schema:
    types = {name: pa.float32() if name == "fnlwgt" else pa.int32() for name in NUMERIC}
    texts = {name: pa.string() for name in (*VALUE_COUNTS, "income")}
    return pa.schema(list({**types, **texts}.items()))


def chunks(rows: int, part: int) -> Iterator[pa.Table]:
    """Yield the table in chunks, so that memory does not depend on the number of rows."""
    for number, begin in enumerate(range(0, rows, CHUNK_ROWS)):
        generator = np.random.default_rng([SIGNAL_SEED, part, number])
        yield chunk(generator, min(CHUNK_ROWS, rows - begin))


def chunk(generator: np.random.Generator, rows: int) -> pa.Table:
    """Return `rows` rows drawn from the signal."""
    signal = Signal()
    codes = {
        name: generator.choice(count, rows, p=shares(count)) for name, count in VALUE_COUNTS.items()
    }
    numbers = draw_numbers(generator, rows)
    logits = signal.logits(codes, numbers)
    positive = generator.random(rows) < 1 / (1 + np.exp(-logits))
    columns = [pa.array(numbers[name]) for name in NUMERIC]
    columns += [
        pa.DictionaryArray.from_arrays(codes[name].astype(np.int32), values(name)).cast(pa.string())
        for name in VALUE_COUNTS
    ]
    columns.append(pa.array(np.where(positive, POSITIVE, NEGATIVE)))
    return pa.Table.from_arrays(columns, schema=schema())


def shares(count: int) -> Array:
    """Return the probabilities of `count` values, decreasing."""
    weights = 1 / np.arange(1, count + 1) ** 0.8
    return np.asarray(weights / weights.sum())


def values(name: str) -> list[str]:
    """Return the texts of a column's values, of typical census length."""
    letters = np.random.default_rng([SIGNAL_SEED, *name.encode()]).choice(
        list(string.ascii_lowercase), (VALUE_COUNTS[name], 6)
    )
    return ["".join(word).capitalize() + f"-{code}" for code, word in enumerate(letters)]


def draw_numbers(generator: np.random.Generator, rows: int) -> dict[str, Array]:
    """Return the numeric columns: skewed, spiked at zero and bounded, as the census has them."""
    gain = np.where(generator.random(rows) < 0.08, generator.lognormal(8, 1.2, rows), 0)
    loss = np.where(generator.random(rows) < 0.05, generator.normal(1_870, 300, rows), 0)
    return {
        "age": np.clip(generator.gamma(6, 6.5, rows), 17, 90).astype(np.int32),
        "fnlwgt": generator.lognormal(12, 0.5, rows).astype(np.float32),
        "education_num": generator.integers(1, 17, rows).astype(np.int32),
        "capital_gain": np.minimum(gain, 99_999).astype(np.int32),
        "capital_loss": np.maximum(loss, 0).astype(np.int32),
        "hours_per_week": np.clip(generator.normal(40, 12, rows), 1, 99).astype(np.int32),
    }


class Signal:
    """The effects that determine the label; the same for every table."""

    def __init__(self) -> None:
        generator = np.random.default_rng(SIGNAL_SEED)
        self.single = {
            name: generator.normal(0, 0.5, count) for name, count in VALUE_COUNTS.items()
        }
        self.pairs = {
            (left, right): generator.normal(0, 0.9, (VALUE_COUNTS[left], VALUE_COUNTS[right]))
            for left, right in CROSSES
        }

    def logits(self, codes: dict[str, Array], numbers: dict[str, Array]) -> Array:
        """Return the log-odds of each row, float64 [rows]."""
        logits = np.full(len(codes["sex"]), np.log(POSITIVE_SHARE / (1 - POSITIVE_SHARE)) - 1.75)
        for name, effects in self.single.items():
            logits += effects[codes[name]]
        for (left, right), effects in self.pairs.items():
            logits += effects[codes[left], codes[right]]
        age, hours = numbers["age"], numbers["hours_per_week"]
        logits += 1.2 * np.exp(-(((age - 48) / 12) ** 2)) - 0.8 * (age < 25)
        logits += 0.8 * (hours > 45) - 0.5 * (hours < 30)
        logits += 1.5 * (numbers["capital_gain"] > 5_000) + 0.6 * (numbers["capital_loss"] > 1_800)
        return np.asarray(logits + 0.08 * (numbers["education_num"] - 8.5))
