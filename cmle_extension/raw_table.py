"""What the readers of CSV and Parquet return."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class RawTable:
    """Names and rows of text as the file has them; `starts` are the rows that begin a new part of the file."""

    names: Sequence[str]
    rows: Sequence[Sequence[str]]
    starts: tuple[int, ...]
    delimiter: str
