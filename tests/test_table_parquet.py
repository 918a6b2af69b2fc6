"""What is read of a Parquet file, as the project will read it."""

import datetime
import decimal
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cmle_extension.dataset import checked_data_path, checked_features, inferred_features
from cmle_extension.quoting import parsed
from cmle_extension.table import read_table
from tests.refused import refused
from tests.small_tables import written


def parquet(folder: Path, columns: dict[str, Sequence[object]], **options: Any) -> str:
    """Return the path of a new Parquet file."""
    pyarrow = pytest.importorskip("pyarrow")
    path = str(folder / "table.parquet")
    importlib.import_module("pyarrow.parquet").write_table(pyarrow.table(columns), path, **options)
    return path


def test_parquet_is_read_as_the_project_will_read_it(tmp_path: Path) -> None:
    columns: dict[str, Sequence[object]] = {
        "whole": [1, 3, None, 9],
        "real": [0.5, 1.0, float("nan"), 2.25],
        "word": ["a", "b", "a", None],
        "list": [[1], [2], [3], []],
        "label": [True, False, True, True],
    }
    path = checked_data_path(parquet(tmp_path, columns))
    features = inferred_features(path, "label")
    assert features == "whole:numeric, real:numeric, word:categorical, list:ignore"
    table = parsed(checked_features(features, path, "label"))
    assert (table["task"], table["positive"], table["delimiter"]) == ("binary", "true", "")


def test_parquet_is_sampled_to_its_last_row_group(tmp_path: Path) -> None:
    columns = {"n": range(20_000), "x": [f"v{i % 7}" for i in range(20_000)]}
    path = parquet(
        tmp_path, {**columns, "label": [i // 7000 for i in range(20_000)]}, row_group_size=1000
    )
    table = read_table(checked_data_path(path))
    assert len(table.columns["n"].cells) == 8000
    assert set(table.columns["label"].values) == {"0", "1", "2"}
    assert inferred_features(path, "label") == "n:ignore, x:categorical"


def test_broken_parquet_is_refused(tmp_path: Path) -> None:
    path = Path(parquet(tmp_path, {"a": [1], "b": [2]}))
    path.write_bytes(path.read_bytes()[:-20])
    refused(lambda: checked_data_path(str(path)), "the Parquet file 'table.parquet' is corrupted")


def test_parquet_names_that_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"a": [1, 2], "A": [2, 3], "b": [1, 0]})
    refused(lambda: checked_data_path(path), "there is more than one column 'a'")


def test_parquet_without_rows_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"a": [], "b": []})
    refused(lambda: checked_data_path(path), "has a header and no rows")


def test_parquet_without_pyarrow_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    path = written(tmp_path, b"PAR1....", "a.parquet")
    monkeypatch.setattr("importlib.import_module", missing)
    refused(lambda: checked_data_path(path), "pyarrow is not installed", "run: pip install pyarrow")


CELLS = {
    "date": "2024-05-06",
    "nanoseconds": "1970-01-01 00:00:00",
    "zone": "2024-05-06 12:30:00+00:00",
    "duration": "5",
    "decimal": "1.50",
    "codes": "a",
    "flag": "true",
    "large": "18446744073709551615",
    "null": "",
    "list": "",
}


def test_parquet_cells_are_those_of_preparing(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    noon = datetime.datetime(2024, 5, 6, 12, 30)
    columns = {
        "date": pyarrow.array([noon.date()]),
        "nanoseconds": pyarrow.array([1], pyarrow.timestamp("ns")),
        "zone": pyarrow.array([noon], pyarrow.timestamp("us", "Asia/Tokyo")),
        "duration": pyarrow.array([5], pyarrow.duration("s")),
        "decimal": pyarrow.array([decimal.Decimal("1.50")]),
        "codes": pyarrow.array(["a"]).dictionary_encode(),
        "flag": pyarrow.array([True]),
        "large": pyarrow.array([2**64 - 1], pyarrow.uint64()),
        "null": pyarrow.nulls(1),
        "list": pyarrow.array([[1]]),
    }
    table = read_table(parquet(tmp_path, columns))
    assert {name: column.cells[0] for name, column in table.columns.items()} == CELLS
    assert table.columns["list"].reason == "its cells are list<element: int64>"
