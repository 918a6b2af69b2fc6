"""Made-up tables that follow `features.py`, prepared once for all tests."""

import csv
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from trainer import features, prepare
from trainer.data.schema import Schema, read_schema
from trainer.data.statistics import Statistics, read_statistics
from trainer.training.tensorflow_setup import start_tensorflow

Row = dict[str, str]
VALUES = ("red", " blue \t", "zitronengelb ✓", "a, b", 'say "so"', "it's")
NUMBERS = ("1", "2.5", "-3e2", " 40 ", "0", "0", "123456.789")
DATES = ("2024-01-15", "1999-12-31 23:59:59", "3 May 2021", "2024-02-29T10:30:00+05:30 ")
CLASSES = ("first", "second", "third")


def classes_of(schema: Schema) -> tuple[str, ...]:
    """Return class names for a made-up label."""
    return (f"not {schema.positive}", schema.positive) if schema.task == "binary" else CLASSES


def made_up_rows(schema: Schema, count: int, seed: int) -> list[Row]:
    """Return raw text cells; some are missing, and the label follows the first used column loosely."""
    choose = random.Random(seed)
    rows = []
    for _ in range(count):
        row = {name: cell(kind, choose) for name, kind in schema.raw.columns.items()}
        row |= {name: decimal(row[name], schema) for name in schema.raw.of_kind("numeric")}
        number = len(row[schema.raw.used[0]]) + choose.randrange(2)
        label = (
            decimal(f"{number}.5", schema)
            if schema.task == "regression"
            else classes_of(schema)[number % len(classes_of(schema))]
        )
        rows.append({**row, schema.label: label})
    return rows


def decimal(number: str, schema: Schema) -> str:
    """Return a number with the decimal mark of the table."""
    return number.replace(".", schema.decimal)


def cell(kind: str, choose: random.Random) -> str:
    """Return one made-up cell."""
    if choose.random() < 0.1:
        return ""
    if kind == "numeric":
        return choose.choice(NUMBERS)
    if kind == "datetime":
        return choose.choice(DATES)
    if kind == "categorical":
        return choose.choice(VALUES)
    if kind == "text":
        return " ".join(choose.choices(VALUES, k=choose.randrange(1, 70)))
    return choose.choice(("", " ", "\t")) + f"user {choose.randrange(300)}"


def write_table(path: Path, schema: Schema, rows: Sequence[Row]) -> Path:
    """Write rows in the format that `features.py` describes."""
    names = schema.header or tuple(rows[0])
    if not schema.delimiter:
        import pyarrow
        import pyarrow.parquet

        columns = {name: [row[name] or None for row in rows] for name in names}
        pyarrow.parquet.write_table(pyarrow.table(columns), path)
        return path
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, delimiter=schema.delimiter)
        if not schema.header:
            writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="session", autouse=True)
def plain_labels() -> Iterator[None]:
    """Take made-up labels as they are, whatever the project does to its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "LABEL_SQL", "")
        yield


@pytest.fixture(scope="session", autouse=True)
def started() -> None:
    """Set TensorFlow's threads before the first test uses it: later is too late."""
    start_tensorflow(seed=1)


@pytest.fixture(scope="session")
def schema() -> Schema:
    """The project's own schema."""
    return read_schema(features)


@pytest.fixture(scope="session")
def rows(schema: Schema) -> list[Row]:
    """Raw training rows."""
    return made_up_rows(schema, 400, seed=1)


@pytest.fixture(scope="session")
def held_out_rows(schema: Schema) -> list[Row]:
    """Raw test rows; some text cells hold a value that no training row has."""
    rows = made_up_rows(schema, 60, seed=2)
    for row in rows[:3]:  # often enough for a vocabulary, if it were learnt from these rows
        row.update(dict.fromkeys(schema.raw.coded, "never seen"))
    return rows


@pytest.fixture(scope="session")
def prepared(
    schema: Schema,
    rows: list[Row],
    held_out_rows: list[Row],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder of prepared data."""
    folder = tmp_path_factory.mktemp("prepared")
    train = write_table(folder / "train.data", schema, rows)
    test = write_table(folder / "test.data", schema, held_out_rows)
    output = folder / "output"
    arguments = ["--train", train, "--test", test, "--output", output, "--eval-share", "0.25", "-q"]
    assert prepare.main([str(argument) for argument in arguments]) == 0
    return output


@pytest.fixture(scope="session")
def statistics(prepared: Path, schema: Schema) -> Statistics:
    """What was learnt from the prepared rows."""
    return read_statistics(prepared, schema)
