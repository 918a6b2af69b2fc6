"""The raw table: which columns a file has, and how DuckDB reads it as text."""

import csv
import difflib
import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from trainer.data.schema import Schema, check_names
from trainer.preprocessing.columns import file_column, raw_column
from trainer.run.errors import UserError, shown

BLOCK_BYTES = 1 << 20
TABLES = "one table: CSV text in UTF-8, gzipped or not, or a Parquet file"
LONGEST_LINE_BYTES = 2 << 20  # DuckDB reserves many times as much memory for reading
DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)

GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"
BZIP2 = tuple(b"bzh%d1ay&sy" % level for level in range(1, 10))
OTHER_FORMATS = (  # the first bytes of a file in lower case, what it is then, how to get a table of it
    (
        (b"pk\x03\x04", b"7z\xbc\xaf"),
        "a zip archive or an Excel workbook",
        "unpack it, or save the sheet as CSV",
    ),
    ((b"\xd0\xcf\x11\xe0",), "an Excel workbook", "save the sheet as CSV"),
    (
        (*BZIP2, b"\xfd7zxz", b"\x28\xb5\x2f\xfd"),
        "compressed, but not with gzip",
        "compress it with gzip",
    ),
    ((b"\xff\xfe", b"\xfe\xff"), "UTF-16", "save it as UTF-8, as with `iconv -f UTF-16 -t UTF-8`"),
    ((b"version https://git-lfs",), "a pointer of Git LFS", "run `git lfs pull`"),
    (
        (b"arrow1\0", b"\x89hdf", b"sqlite format 3"),
        "a table in another format",
        "write it as Parquet",
    ),
    ((b"<!doctype", b"<html", b"<?xml"), "a page of HTML or XML", "download the table itself"),
    ((b"{", b"[{"), "JSON", "write the table as CSV or Parquet"),
)
LARGEST_NUL_SHARE = 0.05  # UTF-16 has a third or more; a damaged cell does not make a file binary


@dataclass(frozen=True)
class Table:
    """A file, the names of its columns in file order, and the number of blank lines before the header."""

    path: Path
    names: tuple[str, ...]
    parquet: bool
    blank_lines: int = 0


def open_table(path: Path, schema: Schema, split: str) -> Table:
    """Return the table at `path`; raise `UserError` if it cannot be read or lacks a column of the schema."""
    beginning = read_beginning(path, split)
    parquet = beginning.startswith(PARQUET)
    if parquet and is_gzipped(path):
        raise unusable(path, "a gzipped Parquet file", "decompress it, as with `gunzip`")
    table = parquet_table(path) if parquet else csv_table(path, beginning, schema)
    # The train table has been checked before, so features.py fits that one.
    other = "give it the columns of the train table, or remove `test` under [data] in job.toml"
    check_names(str(path), table.names, schema, other if split == "test" else "")
    return table


def read_beginning(path: Path, split: str) -> bytes:
    """Return the first bytes of the file, decompressed; raise `UserError` if there is no file, or it cannot be read."""
    correct = f"correct `{split}` under [data] in job.toml"
    try:
        if not path.is_file():
            raise no_file(path, split)
        with opened(path) as file:
            beginning = file.read(LONGEST_LINE_BYTES)
    except DAMAGED as error:
        raise damaged(path, error) from error
    except OSError as error:
        raise unusable(
            path, f"not readable ({error.strerror})", f"change its permissions, or {correct}"
        ) from error
    if not beginning:
        raise unusable(path, "empty", correct)
    return beginning


def check_text(path: Path, beginning: bytes) -> None:
    for signatures, what, remedy in OTHER_FORMATS:
        if beginning.lstrip()[:40].lower().startswith(signatures):
            raise unusable(path, what, remedy)
    if beginning.count(b"\0") > LARGEST_NUL_SHARE * len(beginning):
        raise unusable(
            path, "UTF-16 or no text at all: it holds NUL bytes", "save it as CSV in UTF-8"
        )


def damaged(path: Path, error: Exception) -> UserError:
    return unusable(
        path, f"a damaged or incomplete gzip file ({error})", "copy or download it again"
    )


def unusable(path: Path, what: str, remedy: str) -> UserError:
    return UserError(f"{path} is {what}", TABLES, remedy)


def no_file(path: Path, split: str) -> UserError:
    """Return the error for a path without a regular file: with the files of a folder, or the nearest name."""
    correct = f"write `{split}` under [data] in job.toml as the path of one file"
    if path.is_dir():
        inside = sorted(each for each in path.iterdir() if not each.name.startswith((".", "_")))
        remedy = (
            f"{correct}, {inside[0]}" if len(inside) == 1 else f"join them into one, and {correct}"
        )
        return unusable(path, f"a folder of {len(inside)} files", remedy)
    if path.exists():
        return unusable(path, "a pipe or a device", f"copy its content to a file, and {correct}")
    names = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1)
    guess = f", {path.parent / near[0]}?" if near else ""
    return UserError(f"there is no file {path}", TABLES, correct + guess)


def parquet_table(path: Path) -> Table:
    import pyarrow.parquet

    try:
        return Table(path, tuple(pyarrow.parquet.read_schema(path).names), parquet=True)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        problem = f"{path} begins as a Parquet file, but cannot be read ({reason})"
        raise UserError(problem, TABLES, "write or copy it again, it may be incomplete") from error


def csv_table(path: Path, beginning: bytes, schema: Schema) -> Table:
    """Return a CSV file with the columns of its header, or of `HEADER` if it has none."""
    check_text(path, beginning)
    if schema.header:
        return Table(path, schema.header, parquet=False)
    text = io.TextIOWrapper(io.BytesIO(beginning), encoding="utf-8-sig", newline="")
    blank_lines = 0
    try:
        for names in csv.reader(text, delimiter=schema.delimiter):
            if names and not (schema.comment and names[0].startswith(schema.comment)):
                return Table(path, tuple(names), parquet=False, blank_lines=blank_lines)
            blank_lines += not names
    except (UnicodeDecodeError, csv.Error, TypeError) as error:  # TypeError: no delimiter
        raise UserError(
            f"the header of {path} cannot be read ({error})",
            f"UTF-8 text with columns separated by {shown(schema.delimiter)}",
            "convert the file, or correct DELIMITER in trainer/features.py",
        ) from error
    raise unusable(
        path,
        "without a header line",
        "add one, or write the names in HEADER in trainer/features.py",
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
        f" skip = {table.blank_lines}, header = {str(not schema.header).lower()}, comment = {text_literal(schema.comment)},"
        f" max_line_size = {LONGEST_LINE_BYTES}, strict_mode = {str(strict).lower()}, compression = '{'gzip' if is_gzipped(table.path) else 'none'}')"
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
    return cast(BinaryIO, gzip.open(path) if is_gzipped(path) else path.open("rb"))


def is_gzipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(GZIP)) == GZIP
