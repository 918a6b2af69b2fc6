"""The raw table: which columns its files have, and how DuckDB reads them as text."""

import csv
import dataclasses
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.data.schema import Schema, check_names, named
from trainer.preprocessing.columns import file_column, raw_column
from trainer.preprocessing.table_files import (
    LONGEST_LINE_BYTES,
    TABLES,
    check_text,
    compression,
    encoding_of,
    files_of,
    lines,
    no_file,
    not_decoded,
    opened,
    read_beginning,
    unusable,
    write_plain,
)
from trainer.run.errors import UserError, shown

BLOCK_BYTES = 1 << 20
PARQUET = b"PAR1"
READ_BY_DUCKDB = {"": "none", "gzip": "gzip", "zstd": "zstd"}
SEPARATOR_LINE = re.compile(r"(?i)sep=.")  # what Excel writes before the header
BLANK_LINE = re.compile(rb"(\xef\xbb\xbf)?((?i:sep)=.)?\r?\n")
IN_ONE_CELL = "\x1f"  # as a delimiter: no line of JSON holds it
EMPTY_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Layout:
    """How files are to be read: the names of their columns in file order, and the lines before the header."""

    kind: str  # csv, json or parquet
    names: tuple[str, ...]
    skipped_lines: int = 0
    compression: str = ""
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Table:
    """Files with the same columns, in any order; the names of folders such as year=2024 add `partitions`."""

    path: Path
    root: Path
    parts: dict[Layout, list[Path]]
    partitions: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return next(iter(self.parts)).kind

    @property
    def names(self) -> tuple[str, ...]:
        return next(iter(self.parts)).names + self.partitions

    @property
    def paths(self) -> list[Path]:
        return [path for paths in self.parts.values() for path in paths]


def open_table(path: Path, schema: Schema, split: str) -> Table:
    """Return the table at `path`; raise `UserError` if it cannot be read or lacks a column of the schema."""
    root, paths = files_of(path)
    if not paths:
        raise no_file(path, split)
    parts: dict[Layout, list[Path]] = {}
    for each in paths:
        parts.setdefault(layout_of(each, schema, split), []).append(each)
    parts = with_all_keys(parts)
    check_alike(path, parts)
    keys = partition_keys(path, [each.relative_to(root) for each in paths])
    table = Table(
        path, root, parts, tuple(key for key in keys if key not in next(iter(parts)).names)
    )
    # The train table has been checked before, so features.py fits that one.
    other = "give it the columns of the train table, or remove `test` under [data] in job.toml"
    for layout, files in parts.items():
        names = (*layout.names, *table.partitions)
        check_names(str(files[0]), names, schema, other if split == "test" else "")
    return table


def layout_of(path: Path, schema: Schema, split: str) -> Layout:
    beginning, how = read_beginning(path, split), compression(path)
    if beginning.startswith(PARQUET):
        if how:
            raise unusable(path, "a compressed Parquet file", "decompress it, as with `gunzip`")
        return Layout("parquet", parquet_names(path, schema))
    encoding = encoding_of(beginning, schema.encoding.lower())
    check_text(path, beginning, encoding)
    text = beginning.decode(encoding, "replace").removeprefix("\ufeff")
    if text.lstrip().startswith("{"):
        return Layout("json", json_names(path, text), 0, how, encoding)
    names, skipped_lines = csv_header(path, text, encoding, schema)
    return Layout("csv", names, skipped_lines, how, encoding)


def parquet_names(path: Path, schema: Schema) -> tuple[str, ...]:
    import pyarrow.parquet

    try:
        fields = list(pyarrow.parquet.read_schema(path))
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        problem = f"{path} begins as a Parquet file, but cannot be read ({reason})"
        raise UserError(problem, TABLES, "write or copy it again, it may be incomplete") from error
    for field in fields:
        if pyarrow.types.is_nested(field.type) and field.name in (schema.label, *schema.used):
            raise UserError(
                f"{path} has the column {shown(field.name)} with nested cells ({field.type})",
                "one value per cell",
                'give it the kind "ignore" in trainer/features.py, or write a column for each value',
            )
    return tuple(field.name for field in fields)


def json_names(path: Path, text: str) -> tuple[str, ...]:
    """Return the keys of the complete lines of JSON Lines, in the order of their first occurrence."""
    complete = text if len(text) < LONGEST_LINE_BYTES else text[: text.rfind("\n") + 1]
    rows = [row for row in map(json_row, complete.split("\n")) if row]
    if not rows:
        raise unusable(
            path,
            "JSON that is no object per line",
            "convert it: `jq -c . FILE > FILE.jsonl`",
        )
    return tuple(dict.fromkeys(key for row in rows for key in row))


def json_row(line: str | bytes) -> dict[str, Any] | None:
    """Return the object of a line, None if it holds none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def csv_header(path: Path, text: str, encoding: str, schema: Schema) -> tuple[tuple[str, ...], int]:
    """Return the names of the header, or of `HEADER` if there is none, and the number of lines to skip before it."""
    if schema.header:
        return schema.header, 0
    skipped_lines = 0
    try:
        for names in csv.reader(io.StringIO(text, newline=""), delimiter=schema.delimiter):
            if not names or SEPARATOR_LINE.fullmatch(schema.delimiter.join(names)):
                skipped_lines += 1
            elif not (schema.comment and names[0].startswith(schema.comment)):
                if any("\ufffd" in name for name in names):
                    raise not_decoded(path, encoding, "the header")
                return named(names, schema), skipped_lines
    except (csv.Error, TypeError) as error:  # TypeError: no delimiter
        raise UserError(
            f"the header of {path} cannot be read ({error})",
            f"text with columns separated by {shown(schema.delimiter)}",
            "convert the file, or correct DELIMITER in trainer/features.py",
        ) from error
    raise unusable(
        path,
        "without a header line",
        "add one, or write the names in HEADER in trainer/features.py",
    )


def with_all_keys(parts: dict[Layout, list[Path]]) -> dict[Layout, list[Path]]:
    """Return parts of JSON Lines with the keys of all files, because a row may lack any key."""
    keys = tuple(dict.fromkeys(name for layout in parts for name in layout.names))
    joined: dict[Layout, list[Path]] = {}
    for layout, paths in parts.items():
        wider = dataclasses.replace(layout, names=keys) if layout.kind == "json" else layout
        joined.setdefault(wider, []).extend(paths)
    return joined


def check_alike(path: Path, parts: dict[Layout, list[Path]]) -> None:
    """Raise `UserError` for a table of CSV and Parquet files, for example: it may hold its rows twice."""
    kinds = {layout.kind: files[0] for layout, files in parts.items()}
    if len(kinds) > 1:
        named = ", ".join(f"{file.name} ({kind})" for kind, file in kinds.items())
        first = next(iter(kinds.values()))
        pattern = path / f"*{first.suffix}" if path.is_dir() else f"*{first.suffix}"
        raise unusable(path, f"files of different kinds: {named}", f"name one kind, as {pattern}")


def partition_keys(path: Path, files: Sequence[Path]) -> tuple[str, ...]:
    """Return the keys of the folders KEY=VALUE that all files lie in; raise `UserError` if they differ."""
    found = {
        tuple(part.partition("=")[0] for part in file.parts[:-1] if part.partition("=")[0] != part)
        for file in files
    }
    if len(found) > 1:
        first, second = sorted(found)[:2]
        raise unusable(
            path,
            f"partitioned by {', '.join(first) or 'nothing'} and by {', '.join(second)}",
            "name the folder or the pattern of one table",
        )
    return tuple(dict.fromkeys(found.pop()))


def as_plain(table: Table, folder: Path) -> Table:
    """Return the table with files that DuckDB reads: others are decompressed and converted to UTF-8 in `folder`."""
    parts: dict[Layout, list[Path]] = {}
    for layout, paths in table.parts.items():
        if layout.encoding == "utf-8" and layout.compression in READ_BY_DUCKDB:
            parts.setdefault(layout, []).extend(paths)
            continue
        plain = dataclasses.replace(layout, compression="", encoding="utf-8")
        for path in paths:
            target = folder / path.relative_to(table.root)
            try:
                write_plain(path, layout.encoding, target)
            except UnicodeError as error:
                raise not_decoded(path, layout.encoding, f"the text ({error.args[-1]})") from error
            parts.setdefault(plain, []).append(target)
    return dataclasses.replace(table, parts=parts)


def source_sql(table: Table, schema: Schema) -> str:
    """Return DuckDB SQL for the used columns of the view `whole`: `c0` … `cN` and `label`."""
    positions = {name: file_column(position) for position, name in enumerate(table.names)}
    columns = [
        f"{positions[name]} AS {raw_column(index)}" for index, name in enumerate(schema.used)
    ]
    columns.append(f"{positions[schema.label]} AS label")
    return f"SELECT {', '.join(columns)} FROM whole"


def reader(table: Table, schema: Schema, strict: bool = True) -> str:
    """Return DuckDB SQL for the rows of all files, with columns `p0` … `pN` of type VARCHAR.

    Without `strict` it reads what standard CSV does not allow, such as two kinds of line ends in one file.
    """
    selected = [
        part_sql(table, layout, paths, schema, strict) for layout, paths in table.parts.items()
    ]
    return f"({' UNION ALL '.join(selected)})"


def part_sql(
    table: Table, layout: Layout, paths: Sequence[Path], schema: Schema, strict: bool
) -> str:
    cells = [cell_sql(layout, position) for position in range(len(layout.names))]
    by_name = dict(zip(layout.names, cells, strict=True))
    columns = ", ".join(
        f"{by_name.get(name) or partition_sql(name)} AS {file_column(position)}"
        for position, name in enumerate(table.names)
    )
    read = {"csv": csv_sql, "json": json_sql, "parquet": parquet_sql}[layout.kind]
    more = ", filename = true" if table.partitions else ""
    return f"SELECT {columns} FROM {read(layout, file_list(paths), schema, strict, more)}"


def cell_sql(layout: Layout, position: int) -> str:
    """Return SQL for a column of a file as text, "" where it is missing; `position` counts from 0, SQL from 1."""
    if layout.kind == "csv":
        return file_column(position)
    if layout.kind == "json":
        return f"COALESCE(cells[{position + 1}], '')"
    return f"COALESCE(CAST({file_column(position)} AS VARCHAR), '')"


def partition_sql(key: str) -> str:
    """Return SQL for the value in the name of the folder KEY=VALUE, the innermost of several."""
    pattern = rf".*[/\\]{re.escape(key)}=([^/\\]*)[/\\]"
    value = f"url_decode(regexp_extract(filename, {text_literal(pattern)}, 1, 's'))"
    return f"REPLACE({value}, '{EMPTY_PARTITION}', '')"


def parquet_sql(layout: Layout, files: str, schema: Schema, strict: bool, more: str) -> str:
    # Named by position: DuckDB folds case, and takes columns from the names of folders.
    names = [file_column(position) for position in range(len(layout.names))]
    named = ", ".join([*names, *["filename"] * bool(more)])
    return f"read_parquet({files}, hive_partitioning = false{more}) AS file({named})"


def csv_sql(layout: Layout, files: str, schema: Schema, strict: bool, more: str) -> str:
    names = [file_column(position) for position in range(len(layout.names))]
    # The strict reader takes a line end within a name for that of the file, and then finds no row.
    strict = strict and not any("\n" in name for name in layout.names)
    return (
        f"{text_reader(files, names, layout.compression)}, delim = {text_literal(schema.delimiter)},"
        f" quote = '\"', escape = '\"', comment = {text_literal(schema.comment)},"
        f" skip = {layout.skipped_lines}, header = {str(not schema.header).lower()},"
        f" strict_mode = {str(strict).lower()}{more})"
    )


def json_sql(layout: Layout, files: str, schema: Schema, strict: bool, more: str) -> str:
    """Return SQL for the cells of each line that is a JSON object, in the order of the layout's names."""
    keys = [name.replace("~", "~0").replace("/", "~1") for name in layout.names]
    pointers = ", ".join(text_literal(f"/{key}") for key in keys)
    reader = text_reader(files, ["line"], layout.compression)
    whole = f"{reader}, delim = '{IN_ONE_CELL}', quote = '', escape = '', header = false{more})"
    is_object = "CASE WHEN json_valid(line) THEN json_type(line) = 'OBJECT' ELSE FALSE END"
    file = ", filename" if more else ""
    return f"(SELECT json_extract_string(line, [{pointers}]) AS cells{file} FROM {whole} WHERE {is_object})"


def text_reader(files: str, names: Sequence[str], compressed: str) -> str:
    """Return the beginning of a call of DuckDB's reader of text, which finds nothing out by itself."""
    types = "{" + ", ".join(f"'{name}': 'VARCHAR'" for name in names) + "}"
    never_null = "[" + ", ".join(f"'{name}'" for name in names) + "]"
    return (
        f"read_csv({files}, columns = {types}, auto_detect = false, store_rejects = true,"
        f" force_not_null = {never_null}, max_line_size = {LONGEST_LINE_BYTES},"
        f" compression = '{READ_BY_DUCKDB[compressed]}'"
    )


def file_list(paths: Sequence[Path]) -> str:
    return f"[{', '.join(text_literal(glob_escaped(str(path))) for path in paths)}]"


def text_literal(text: str) -> str:
    """Return `text` as a string literal of DuckDB."""
    return "'" + text.replace("'", "''") + "'"


def glob_escaped(path: str) -> str:
    """Return `path` with the characters that DuckDB takes for patterns made literal."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in path)


def lines_without_row(connection: Any, table: Table, schema: Schema, rows: int) -> int:
    """Return how many lines of the files are in none of the table's `rows`, in no comment and not blank.

    The view `whole` has all columns of the file as text. Only files with more lines than rows are read again.
    """
    if table.kind == "parquet":
        return 0
    is_csv = table.kind == "csv"
    headers = 0 if schema.header or not is_csv else len(table.paths)
    count = sum(map(line_count, table.paths)) - headers
    if count <= rows:
        return 0
    breaks = " + ".join(
        f"LENGTH({column}) - LENGTH(REPLACE({column}, CHR(10), ''))"
        for column in map(file_column, range(len(table.names)))
    )
    found = connection.execute(
        f"SELECT COUNT(*), SUM({breaks if is_csv else 0}) FROM whole"
    ).fetchone()
    read = int(found[0]) + int(found[1] or 0)
    read += is_csv * sum(
        "".join(part.names).count("\n") * len(table.parts[part]) for part in table.parts
    )
    bad = connection.execute(
        "SELECT COUNT(*) FROM (SELECT DISTINCT file_path, line FROM reject_errors"
        " JOIN reject_scans USING (scan_id, file_id))"
    ).fetchone()
    comment = schema.comment if is_csv else ""
    skipped = sum(lines_to_skip(path, comment) for path in table.paths)
    return max(0, count - read - int(bad[0]) - skipped)


def lines_without_object(table: Table) -> Iterator[tuple[Path, int, str]]:
    """Yield file, number and text of each line of JSON Lines that is neither an object nor blank."""
    for path in table.paths if table.kind == "json" else ():
        for number, line in enumerate(lines(path), 1):
            if line.strip() and json_row(line) is None:
                yield path, number, line.decode("utf-8", "replace").strip()


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
    return sum(
        1 for line in lines(path) if BLANK_LINE.fullmatch(line) or (mark and line.startswith(mark))
    )
