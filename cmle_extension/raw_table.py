"""The result of the readers of CSV and Parquet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class RawTable:
    """Names and rows of a sample, as text; `starts` are the rows that do not follow the row before them in the file."""

    names: Sequence[str]
    rows: Sequence[Sequence[str]]
    starts: tuple[int, ...]
    delimiter: str
    comment: str = ""
    reasons: Mapping[str, str] = field(default_factory=dict)  # why columns cannot be read
    encoding: str = "utf-8"
    kind: str = "csv"  # or json, parquet
    header: Sequence[str] = ()  # the names, if the file has no header line
