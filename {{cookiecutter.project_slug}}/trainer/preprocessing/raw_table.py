"""The raw table: which columns a file has, and how DuckDB reads it as text."""

import csv
import difflib
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from trainer.data.schema import Schema
from trainer.preprocessing.columns import file_column, raw_column
from trainer.run.errors import UserError, shown

BLOCK_BYTES = 1 << 20
LONGEST_LINE_BYTES = 2 << 20  # DuckDB reserves many times as much memory for reading


@dataclass(frozen=True)
class Table:
    """A file and the names of its columns, in file order."""

    path: Path
    names: tuple[str, ...]
    parquet: bool


def open_table(path: Path, schema: Schema) -> Table:
    """Return the table at `path`; raise `UserError` if it is missing or lacks a column of the schema."""
    if not path.is_file():
        raise UserError(
            f"there is no file {path}",
            "the table named in job.toml, a CSV, gzipped CSV or Parquet file",
            "correct `train` or `test` under [data] in job.toml",
        )
    with path.open("rb") as file:
        parquet = file.read(4) == b"PAR1"
    names = parquet_names(path) if parquet else csv_names(path, schema)
    check_names(path, names, schema)
    return Table(path, names, parquet)


def parquet_names(path: Path) -> tuple[str, ...]:
    import pyarrow.parquet

    return tuple(pyarrow.parquet.read_schema(path).names)


def csv_names(path: Path, schema: Schema) -> tuple[str, ...]:
    """Return the column names of a CSV file: its header line, or `HEADER` of a file without one."""
    if schema.header:
        return schema.header
    opener: Any = gzip.open if path.name.endswith(".gz") else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            return tuple(next(csv.reader(file, delimiter=schema.delimiter), ()))
    except (UnicodeDecodeError, csv.Error, OSError, EOFError) as error:
        raise UserError(
            f"the header of {path} cannot be read ({error})",
            f"UTF-8 text with columns separated by {shown(schema.delimiter)}",
            "convert the file, or correct DELIMITER in trainer/features.py",
        ) from error


def check_names(path: Path, names: Sequence[str], schema: Schema) -> None:
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise UserError(
            f"{path} has the column {shown(repeated[0])} more than once",
            "each column name once",
            "rename one of them in the file",
        )
    declared = (schema.label, *schema.columns)
    for name in declared:
        if name not in names:
            raise missing_column(path, names, name)
    undeclared = [name for name in names if name not in declared]
    if undeclared:
        raise UserError(
            f"{path} has a column {shown(undeclared[0])} that trainer/features.py does not name",
            "every column of the table in COLUMNS",
            f'add {shown(undeclared[0])}: "ignore", or its kind, to COLUMNS',
        )


def missing_column(path: Path, names: Sequence[str], name: str) -> UserError:
    near = difflib.get_close_matches(name, names, n=1)
    remedy = (
        f"did you mean {shown(near[0])}?"
        if near
        else "remove it from trainer/features.py, or fix the file"
    )
    return UserError(
        f"{path} has no column {shown(name)}, which trainer/features.py names",
        f"the columns {', '.join(map(shown, names[:12]))}{' …' if len(names) > 12 else ''}",
        remedy,
    )


def source_sql(table: Table, schema: Schema) -> str:
    """Return DuckDB SQL for the used columns of the view `whole`: `c0` … `cN` and `label`."""
    positions = {name: file_column(position) for position, name in enumerate(table.names)}
    columns = [
        f"{positions[name]} AS {raw_column(index)}" for index, name in enumerate(schema.used)
    ]
    columns.append(f"{positions[schema.label]} AS label")
    return f"SELECT {', '.join(columns)} FROM whole"


def reader(table: Table, schema: Schema, strict: bool = True) -> str:
    """Return DuckDB's table function for the file, with columns `p0` … `pN` of type VARCHAR.

    Without `strict` it reads what standard CSV does not allow, such as two kinds of line ends in one file.
    """
    path = text_literal(glob_escaped(str(table.path)))
    names = [file_column(position) for position in range(len(table.names))]
    if table.parquet:
        columns = ", ".join(f"COALESCE(CAST({name} AS VARCHAR), '') AS {name}" for name in names)
        # Named by position: DuckDB folds case, and takes columns from the names of folders.
        file = f"read_parquet({path}, hive_partitioning = false) AS file({', '.join(names)})"
        return f"(SELECT {columns} FROM {file})"
    types = "{" + ", ".join(f"'{name}': 'VARCHAR'" for name in names) + "}"
    # The strict reader takes a line end within a name for that of the file, and then finds no row.
    strict = strict and not any("\n" in name for name in table.names)
    never_null = "[" + ", ".join(f"'{name}'" for name in names) + "]"
    return (
        f"read_csv({path}, columns = {types}, auto_detect = false, store_rejects = true,"
        f" delim = {text_literal(schema.delimiter)}, quote = '\"', escape = '\"',"
        f" force_not_null = {never_null},"
        f" header = {str(not schema.header).lower()}, comment = {text_literal(schema.comment)},"
        f" max_line_size = {LONGEST_LINE_BYTES}, strict_mode = {str(strict).lower()})"
    )


def text_literal(text: str) -> str:
    """Return `text` as a string literal of DuckDB."""
    return "'" + text.replace("'", "''") + "'"


def glob_escaped(path: str) -> str:
    """Return `path` with the characters that DuckDB takes for patterns made literal."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in path)


def lines_without_row(connection: Any, table: Table, schema: Schema, rows: int) -> int:
    """Return how many lines of the file are in none of its `rows`, in no comment and not blank.

    The view `whole` has all columns of the file as text. Only a file with more lines than rows is read again.
    """
    if table.parquet:
        return 0
    lines = line_count(table.path) - (0 if schema.header else 1)
    if lines <= rows:
        return 0
    breaks = " + ".join(
        f"LENGTH({column}) - LENGTH(REPLACE({column}, CHR(10), ''))"
        for column in map(file_column, range(len(table.names)))
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
    return cast(BinaryIO, gzip.open(path) if path.name.endswith(".gz") else path.open("rb"))
