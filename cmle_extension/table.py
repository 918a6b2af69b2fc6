"""A sample of the table: large enough to infer from, small enough to read quickly."""

import functools
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .cells import BLANKS, MISSING, decimal_of, is_code, is_number, number, unit_of
from .data_file import PROMPT, named_files
from .header import check_no_total, check_second_header, named
from .reading import read_files
from .recorded import recorded_answers
from .refusal import refusal, shown
from .text import checked_text

LEADING_ZEROS = re.compile("^([+-]?)0+(?=[0-9])")
SAMPLED_ROWS = 2000
SAMPLED_VALUES = 100


@dataclass(frozen=True, eq=False)  # compared and cached by identity
class Column:
    """The cells of a column in file order, without surrounding blanks.

    `starts` are the rows that do not follow the row before them in the file. Row 0 is one. `reason` is why the column
    cannot be read, "" if it can; `decimal` the decimal mark of the table.
    """

    name: str
    cells: tuple[str, ...]
    starts: tuple[int, ...] = (0,)
    reason: str = ""
    decimal: str = "."

    @functools.cached_property
    def values(self) -> Counter[str]:
        """Number of occurrences of each value that is not missing."""
        counts = Counter(self.cells)
        return Counter({value: count for value, count in counts.items() if value not in MISSING})

    @functools.cached_property
    def sample(self) -> list[str]:
        """At most a hundred of the values, evenly spread over their first occurrences."""
        return spread(list(self.values))

    @functools.cached_property
    def unit(self) -> str:
        """The text that is behind nearly all numbers, "" if there is none."""
        return unit_of(self.sample, self.decimal)

    @functools.cached_property
    def numbers(self) -> Counter[str]:
        """Number of occurrences of each value that is a number."""
        if 2 * sum(map(self.is_number, self.sample)) < len(self.sample):
            return Counter()  # text, which the grammar of numbers need not read to its end
        counts = {value: count for value, count in self.values.items() if self.is_number(value)}
        return Counter(counts)

    def is_number(self, text: str) -> bool:
        return is_number(text, self.decimal, self.unit)

    def is_cast(self, text: str) -> bool:
        """Return whether SQL reads text as a number: it does so for codes too."""
        return (
            self.is_number(text) or is_code(text) or self.is_number(LEADING_ZEROS.sub(r"\1", text))
        )

    def number(self, text: str) -> float:
        return number(text, self.decimal, self.unit)

    @functools.cached_property
    def present(self) -> int:
        """Number of cells that are not missing."""
        return sum(self.values.values())


@dataclass(frozen=True)
class Table:
    """The columns of a file by name, in file order; `delimiter` is "" for Parquet."""

    columns: Mapping[str, Column]
    delimiter: str
    comment: str = ""
    encoding: str = "utf-8"
    header: tuple[str, ...] = ()
    decimal: str = "."

    @property
    def notes(self) -> list[str]:
        """What is unusual in the files: how it is read, and where to change that."""
        notes = []
        if self.header:
            notes.append(
                f"table    the first line looks like a row, so the columns are named {self.header[0]} to {self.header[-1]};"
                " write their names in HEADER and COLUMNS of trainer/features.py (or, if it is a header, begin its"
                " names with a letter)"
            )
        if self.encoding != "utf-8":
            notes.append(
                f"table    it is not UTF-8 and is read as {self.encoding}; if its letters look wrong, correct ENCODING in trainer/features.py"
            )
        if self.decimal == ",":
            notes.append('table    1.234,5 is a number: DECIMAL = "," in trainer/features.py')
        return notes


def read_table(path: str) -> Table:
    """Return a sample of the table at `path`; refuse a file that is not a table."""
    root, files = named_files(path)
    states = [(file, os.stat(file)) for file in files]
    return cached_table(
        root, tuple((file, each.st_size, each.st_mtime_ns) for file, each in states)
    )


@functools.lru_cache(maxsize=4)
def cached_table(root: Path, files: tuple[tuple[Path, int, int], ...]) -> Table:
    """Return the table; it is cached, because every filter reads it, until a file changes."""
    raw = read_files(root, [path for path, _, _ in files])
    if not raw.rows:
        problem = "the file has a header and no rows"
        raise refusal(PROMPT, problem, "at least one row", "add rows, or choose another file")
    columns = [tuple(cell.strip(BLANKS) for cell in cells) for cells in zip(*raw.rows, strict=True)]
    if raw.kind == "csv" and not raw.header:
        check_rows(raw.names, columns)
    names = named(raw.names)
    check_names(names, ignore_case=raw.kind == "parquet")
    samples = (spread([*dict.fromkeys(cells[:SAMPLED_ROWS])]) for cells in columns)
    decimal = decimal_of(samples, raw.delimiter) if raw.kind != "parquet" else "."
    found = {
        name: Column(name, cells, raw.starts, raw.reasons.get(name, ""), decimal)
        for name, cells in zip(names, columns, strict=True)
    }
    return Table(found, raw.delimiter, raw.comment, raw.encoding, tuple(raw.header), decimal)


def spread(values: list[str], most: int = SAMPLED_VALUES) -> list[str]:
    """Return at most `most` of the values, evenly spread."""
    return values[:: -(-len(values) // most) or 1]


def check_rows(names: Sequence[str], columns: Sequence[Sequence[str]]) -> None:
    """Refuse a second header line and a total, but not in a project that exists: its update would fail."""
    if not recorded_answers():
        check_second_header(names, columns)
        check_no_total(columns)


def check_names(names: Sequence[str], ignore_case: bool) -> None:
    """Refuse names that are repeated, or not plain text.

    DuckDB reads Parquet columns by name, ignoring case, so two of its names may not differ in case alone.
    """
    if len(names) < 2:
        raise refusal(
            PROMPT,
            f"the file has one column, {shown(names[0] if names else '')}",
            "a label and at least one more, separated by commas, semicolons, tabs or another character",
            "choose another file, or change the separator",
        )
    for position, name in enumerate(names, start=1):
        checked_text(name, PROMPT, f"name of column {position}")
    positions: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        first = positions.setdefault(name.casefold() if ignore_case else name, position)
        if first != position:
            problem = f"there is more than one column {shown(names[first - 1])}: columns {first} and {position}"
            raise refusal(PROMPT, problem, "each name once", "rename one of them in the file")
