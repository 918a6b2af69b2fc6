"""Preparation: every row is used or counted as rejected, and no statistic depends on eval or test rows."""

import json
from pathlib import Path

import pyarrow.parquet
import pytest
from conftest import Row, write_table
from trainer import features, prepare
from trainer.data import files
from trainer.data.schema import Schema
from trainer.data.statistics import read_statistics
from trainer.run.errors import UserError


def run(train: Path, output: Path, *options: str) -> int:
    """Prepare quietly."""
    return prepare.main(["--train", str(train), "--output", str(output), "-q", *options])


def shard_rows(folder: Path) -> int:
    """Count the rows of the shards in a folder."""
    return sum(pyarrow.parquet.read_metadata(path).num_rows for path in folder.glob("*.parquet"))


def test_every_row_is_in_one_split(
    prepared: Path, schema: Schema, rows: list[Row], held_out_rows: list[Row]
) -> None:
    statistics = read_statistics(prepared, schema)
    assert statistics.rows["train"] + statistics.rows["eval"] == len(rows)
    assert statistics.rows["test"] == len(held_out_rows)
    assert {split: shard_rows(prepared / split) for split in statistics.rows} == statistics.rows


def test_a_mount_point_is_refused_before_a_table_is_read(
    schema: Schema, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = write_table(tmp_path / "train.data", schema, rows)
    monkeypatch.setattr(Path, "is_mount", lambda path: path.name == "mounted")
    monkeypatch.setattr("trainer.preprocessing.pipeline.opened", None)
    with pytest.raises(UserError, match="mounted is a mount point, which cannot be replaced"):
        run(train, tmp_path / "mounted")


def test_vocabularies_come_from_training_rows_alone(prepared: Path, schema: Schema) -> None:
    statistics = read_statistics(prepared, schema)
    assert all("never seen" not in values for values in statistics.vocabularies.values())


def test_columns_must_be_those_of_features(
    schema: Schema, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = write_table(tmp_path / "train.data", schema, rows)
    first, *others = features.COLUMNS
    monkeypatch.setattr(
        features, "COLUMNS", {name: features.COLUMNS[name] for name in others} or {"x": "numeric"}
    )
    with pytest.raises(
        UserError, match="that trainer/features.py does not name|which trainer/features.py names"
    ):
        run(train, tmp_path / "output")
    monkeypatch.setattr(
        features,
        "COLUMNS",
        {first: "numeric", **{name: "ignore" for name in others}, "extra": "numeric"},
    )
    with pytest.raises(UserError, match="has no column 'extra', which trainer/features.py names"):
        run(train, tmp_path / "output")


def test_examples_are_raw_rows_that_were_not_trained_on(prepared: Path, schema: Schema) -> None:
    lines = (prepared / files.EXAMPLES).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 10
    assert all(set(json.loads(line)) == set(schema.used) for line in lines)
