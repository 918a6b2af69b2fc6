"""A sample of a Parquet file: the first rows of row groups spread over it."""

import importlib
from pathlib import Path
from typing import Any

from .data_file import PROMPT
from .raw_table import RawTable
from .refusal import refusal, shown

MOST_GROUPS = 8
MOST_CELLS = 600_000


def read_parquet(path: Path, share: int = 1) -> RawTable:
    """Return the names and a sample of the rows as text; refuse a corrupted file."""
    pyarrow, parquet = parquet_modules()
    try:
        with parquet.ParquetFile(path) as file:
            return sampled(file, share, pyarrow)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise refusal(
            PROMPT,
            f"the Parquet file {shown(path.name)} is corrupted ({shown(str(error))})",
            "a complete Parquet file",
            "copy or write it again",
        ) from None


def parquet_modules() -> tuple[Any, Any]:
    """Return pyarrow and its Parquet module, or refuse with the command that installs them."""
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise refusal(
            PROMPT,
            "the file is Parquet, and pyarrow is not installed with cookiecutter",
            "pyarrow, or a CSV file",
            "run: pip install pyarrow (with pipx: pipx inject cookiecutter pyarrow)",
        ) from None


def sampled(file: Any, share: int, pyarrow: Any) -> RawTable:
    """Return names and rows of an open file; nested and binary cells, which the model cannot use, count as missing."""
    fields = list(file.schema_arrow)
    names = [field.name for field in fields]
    reasons = {
        field.name: f"its cells are {field.type}"
        for field in fields
        if pyarrow.types.is_nested(field.type) or pyarrow.types.is_binary(field.type)
    }
    groups = spread(file.metadata.num_row_groups)
    rows_per_group = max(1, MOST_CELLS // max(1, len(names) * len(groups) * share))
    rows: list[tuple[str, ...]] = []
    starts: list[int] = []
    for group in groups:
        starts.append(len(rows))
        batch = next(file.iter_batches(batch_size=rows_per_group, row_groups=[group]), None)
        columns = batch.columns if batch is not None else []
        readable = (comparable(column, pyarrow).to_pylist() for column in columns)
        rows += zip(*(map(cell_text, cells) for cells in readable), strict=True)
    return RawTable(names, rows, tuple(starts), "", reasons=reasons, kind="parquet")


def comparable(column: Any, pyarrow: Any) -> Any:
    """Return a column as DuckDB reads it: times in UTC, durations as integers; and to microseconds, as Python can."""
    kind = column.type
    if pyarrow.types.is_timestamp(kind):
        return column.cast(pyarrow.timestamp("us", "UTC" if kind.tz else None), safe=False)
    if pyarrow.types.is_time(kind):
        return column.cast(pyarrow.time64("us"), safe=False)
    return column.cast(pyarrow.int64()) if pyarrow.types.is_duration(kind) else column


def spread(count: int) -> list[int]:
    """Return at most eight numbers below `count`, evenly spread, including the first and the last."""
    if count <= MOST_GROUPS:
        return list(range(count))
    return [number * (count - 1) // (MOST_GROUPS - 1) for number in range(MOST_GROUPS)]


def cell_text(value: object) -> str:
    """Return a cell as the text that the generated project reads it as."""
    if value is None or isinstance(value, (bytes, dict, list, tuple)):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
