"""`trainer.plan`: the beginning of a table stands for all of it."""

import gzip
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from trainer import features, plan
from trainer.data.schema import Schema, read_schema
from trainer.preprocessing.sample import sample_of


@pytest.fixture
def schema(monkeypatch: pytest.MonkeyPatch) -> Schema:
    columns = {"a": "numeric", "b": "categorical"}
    values = {"COLUMNS": columns, "LABEL": "y", "TASK": "regression", "HEADER": [], "LABEL_SQL": ""}
    values |= {"DELIMITER": ",", "COMMENT": "", "MISSING": ["?"], "DERIVED": {}}
    for name, value in values.items():
        monkeypatch.setattr(features, name, value, raising=False)
    return read_schema(features)


def text(rows: int) -> str:
    return "a,b,y\n" + "".join(f'{row % 97},"v{row % 5}\nw",{row % 11}\n' for row in range(rows))


def test_a_sample_ends_with_a_whole_row(tmp_path: Path, schema: Schema) -> None:
    table = tmp_path / "table.csv"
    table.write_text(text(1_000), encoding="utf-8")
    for limit_bytes in range(200, 230):
        sample = sample_of(table, tmp_path / str(limit_bytes), limit_bytes, schema)
        written = (sample.folder / "table.csv").read_text("utf-8")
        assert written.count('"') % 2 == 0 and written.endswith("\n")
        assert len(written) <= limit_bytes < len(written) + 20
        assert sample.share == pytest.approx(len(written) / table.stat().st_size)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8"])
def test_encodings_are_cut_between_characters(
    tmp_path: Path, schema: Schema, encoding: str
) -> None:
    table = tmp_path / "table.csv"
    table.write_text(text(1_000), encoding=encoding)
    sample = sample_of(table, tmp_path / "part", 1_001, schema)
    written = (sample.folder / "table.csv").read_text(encoding)
    assert text(1_000).startswith(written) and written.endswith("\n") and len(written) > 400


def test_a_compressed_table_and_parquet_are_sampled_by_share(
    tmp_path: Path, schema: Schema
) -> None:
    zipped = tmp_path / "table.csv.gz"
    zipped.write_bytes(gzip.compress(text(50_000).encode()))
    found = sample_of(zipped, tmp_path / "zipped", len(text(50_000)) // 5, schema)
    assert found.share == pytest.approx(0.2, rel=0.25)
    columns = {"a": [*range(50_000)], "b": ["v"] * 50_000, "y": [*range(50_000)]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "table.parquet")
    size = (tmp_path / "table.parquet").stat().st_size
    found = sample_of(tmp_path / "table.parquet", tmp_path / "parquet", size // 3, schema)
    rows = pyarrow.parquet.read_metadata(found.folder / "table.parquet").num_rows
    assert rows == 32_768 and found.share == pytest.approx(rows / 50_000)
    whole = sample_of(zipped, tmp_path / "whole", 10**9, schema)
    assert whole.share == 1 and (whole.folder / "table.csv.gz").read_text() == text(50_000)


def test_rows_and_settings_of_the_complete_table_are_estimated(
    tmp_path: Path, schema: Schema
) -> None:
    for name in ("2023/a.csv", "2024/b.csv"):
        (tmp_path / "table" / name).parent.mkdir(parents=True)
        (tmp_path / "table" / name).write_text(text(40_000), encoding="utf-8")
    result, output = tmp_path / "plan" / "table.json", tmp_path / "plan" / "data"
    arguments = ["--train", str(tmp_path / "table"), "--output", str(output), "--quiet"]
    arguments += ["--sample-mb", "0.82", "--result", str(result), "--", "--quality", "fast"]
    assert plan.main(arguments) == 0
    found = json.loads(result.read_text("utf-8"))
    assert found["rows"] == pytest.approx(80_000, rel=0.02)
    assert found["train_rows"] == pytest.approx(72_000, rel=0.03)
    # A sixteenth would be too small.
    small, large = (rows for rows, _ in found["prepared"])
    assert large == pytest.approx(4 * small, rel=0.1)
    # 72,000 rows have another batch than those of the sample.
    assert (found["settings"]["quality"], found["settings"]["batch_size"]) == ("fast", 512)
