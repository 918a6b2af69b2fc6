"""Raw rows to predict, from CSV, JSON lines or Parquet, plain or gzipped; their content shows which."""

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from trainer.data.schema import Schema, named
from trainer.run.errors import UserError, shown

FORMATS = "CSV, JSON lines or Parquet, plain or gzipped"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")

RawRow = tuple[str, dict[str, Any]]  # where it is, for messages, and its cells by column


def read_raw_rows(path: Path, schema: Schema, columns: Collection[str]) -> list[RawRow]:
    """Return the rows of a file, or of standard input for `-`; raise `UserError` if it has none or cannot be read.

    `columns` are those of the model, which show whether a CSV file has a header line, and its separator.
    """
    name = "standard input" if str(path) == "-" else path.name
    try:
        content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content, name = gzip.decompress(content), name.removesuffix(".gz")
        rows = list(rows_of(content, name, schema, columns))
    # ArrowInvalid and UnicodeDecodeError are a ValueError.
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UserError(
            f"--input {path} cannot be read ({getattr(error, 'strerror', None) or error})",
            f"a file in UTF-8: {FORMATS}",
            "correct the path, or convert the file",
        ) from error
    if not rows:
        raise UserError(f"{name} holds no rows", "at least one", "name another file with --input")
    return rows


def rows_of(
    content: bytes, name: str, schema: Schema, columns: Collection[str]
) -> Iterator[RawRow]:
    if content.startswith(b"PAR1"):
        return parquet_rows(content, name)
    # PowerShell and spreadsheets write UTF-16, with a mark.
    text = content.decode("utf-16" if content.startswith(UTF_16) else "utf-8-sig")
    if name.endswith(JSON_SUFFIXES) or text.lstrip().startswith(("{", "[")):
        return json_rows(text, name)
    return csv_rows(text, name, schema, columns)


def parquet_rows(content: bytes, name: str) -> Iterator[RawRow]:
    from pyarrow import parquet

    table = parquet.read_table(io.BytesIO(content))
    check_repeated(table.column_names, name)
    for number, row in enumerate(table.to_pylist(), 1):
        yield f"{name}, row {number}", row


def json_rows(text: str, name: str) -> Iterator[RawRow]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"{name}, line {number}", json_row(line, f"{name}, line {number}")


def json_row(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        problem = f"is not JSON ({error.msg} at column {error.colno})"
    except (ValueError, RecursionError) as error:  # too many digits or levels
        problem = f"is not JSON ({error})"
    else:
        if isinstance(row, dict):
            return row
        problem = f"is {shown(line.strip())}"
    raise UserError(
        f"{where}, {problem}", "a JSON object per line", 'write {"column": value, …} on each line'
    )


def csv_rows(text: str, name: str, schema: Schema, columns: Collection[str]) -> Iterator[RawRow]:
    lines = [
        line
        for line in io.StringIO(text, newline="")
        if not (schema.comment and line.startswith(schema.comment))
    ]
    while lines and not lines[0].strip("\r\n"):
        del lines[0]

    def first_cells(delimiter: str) -> list[str]:
        return [cell.strip().strip('"') for cell in "".join(lines[:1]).split(delimiter)]

    def found(delimiter: str) -> int:
        return len(set(columns) & set(first_cells(delimiter)))

    delimiter = max((schema.delimiter or ",", ",", ";", "\t"), key=found)
    no_header = not found(delimiter) and len(first_cells(delimiter)) == len(schema.header)
    names = schema.header if no_header else None
    reader = csv.DictReader(lines, names, delimiter=delimiter, strict=True)
    number, problem = 0, ""
    try:
        reader.fieldnames = named(reader.fieldnames or (), schema)
        check_repeated(reader.fieldnames or (), name)
        for number, row in enumerate(reader, 1):
            # How it marks a row with more cells than names, or fewer.
            if None in row or None in row.values():
                problem = "has more or fewer cells than the first line"
                break
            yield f"{name}, row {number}", row
    except csv.Error as error:
        number, problem = number + 1, f"is not CSV ({error})"
    if problem:
        raise UserError(
            f"{name}, row {number}, {problem}",
            f"a cell for each of its names, separated by {shown(delimiter)}, in double quotes if it holds that",
            "correct the row",
        )


def check_repeated(names: Sequence[str], file_name: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"{file_name} has the column {shown(name)} more than once",
                "each column name once",
                "rename one of them in the file",
            )
