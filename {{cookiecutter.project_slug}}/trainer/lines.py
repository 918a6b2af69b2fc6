"""Lines of a text file that are in no row: what DuckDB's CSV reader passes over without a word.

A quote that is not closed makes one cell of all that follows, and a line longer than its buffer is left out. So lines are counted.
"""

import gzip
from pathlib import Path
from typing import Any, BinaryIO, cast

from trainer.schema import Schema
from trainer.table import Table, identifier

BLOCK_BYTES = 1 << 20


def lines_without_row(connection: Any, table: Table, schema: Schema, rows: int) -> int:
    """Return how many lines of the file are in none of its `rows`, in no comment and not blank.

    The view `whole` has all columns of the file as text. Only a file with more lines than rows is looked at closer.
    """
    if table.parquet:
        return 0
    lines = line_count(table.path) - (0 if schema.header else 1)
    if lines <= rows:
        return 0
    breaks = " + ".join(
        f"LENGTH({column}) - LENGTH(REPLACE({column}, CHR(10), ''))"
        for column in (identifier(f"p{position}") for position in range(len(table.names)))
    )
    found = connection.execute(f"SELECT COUNT(*), SUM({breaks}) FROM whole").fetchone()
    read = int(found[0]) + int(found[1] or 0) + sum(name.count("\n") for name in table.names)
    bad = connection.execute("SELECT COUNT(DISTINCT line) FROM reject_errors").fetchone()
    return max(0, lines - read - int(bad[0]) - lines_to_skip(table.path, schema.comment))


def line_count(path: Path) -> int:
    """Return the number of lines, the last of which may lack its end."""
    count, last = 0, b"\n"
    with opened(path) as file:
        while block := file.read(BLOCK_BYTES):
            count += block.count(b"\n")
            last = block[-1:]
    return count + (last != b"\n")


def lines_to_skip(path: Path, comment: str) -> int:
    """Return the number of lines that are blank or begin with the comment character."""
    mark = comment.encode()
    with opened(path) as file:
        return sum(
            1
            for line in iter(lambda: file.readline(BLOCK_BYTES), b"")
            if line in (b"\n", b"\r\n") or (mark and line.startswith(mark))
        )


def opened(path: Path) -> BinaryIO:
    """Open a file, gzipped if its name says so."""
    return cast(BinaryIO, gzip.open(path) if path.name.endswith(".gz") else path.open("rb"))
