"""The raw table: which columns its files have, and how DuckDB reads them as text."""

import csv
import difflib
import glob
import io
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from trainer.data.schema import Schema, check_names, named
from trainer.data.table_files import (
    BEGINNING_BYTES,
    NO_VALUE,
    OTHER_ENCODING,
    PARQUET,
    TABLES,
    NoTable,
    compression,
    files_of,
    json_cell,
    json_names,
    json_row,
    opened,
    partitions_of,
    text_of,
)
from trainer.preprocessing.columns import file_column, raw_column
from trainer.run.errors import UserError, shown

BLOCK_BYTES = 1 << 20
READ_BY_DUCKDB = {"": "none", "gzip": "gzip", "zstd": "zstd"}
SEPARATOR_LINE = re.compile(r"(?i)sep=.")  # what Excel writes before the header
BLANK_LINE = re.compile(rb"(\xef\xbb\xbf)?((?i:sep)=.)?\r?\n")


@dataclass(frozen=True)
class Layout:
    """How files are to be read: the names of their columns in file order, and what is before and between cells."""

    kind: str  # csv, json or parquet
    names: tuple[str, ...]
    compression: str = ""
    encoding: str = "utf-8"
    delimiter: str = ""
    comment: str = ""
    skipped_lines: int = 0
    comment_lines: int = field(default=0, compare=False)  # before the header; DuckDB skips them
    header: bool = False


@dataclass(frozen=True)
class Table:
    """Files with the same columns, in any order; the names of folders such as year=2024 add `partitions`.

    The keys of JSON that first occur behind the beginning of a file are no columns, but `late`.
    """

    path: Path
    root: Path
    parts: dict[Layout, list[Path]]
    partitions: tuple[str, ...] = ()
    late: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return next(iter(self.parts)).names + self.partitions

    @property
    def files(self) -> list[str]:
        """The paths of the files from `root`, in order."""
        paths = [path for files in self.parts.values() for path in files]
        return sorted(str(path.relative_to(self.root)) for path in paths)


def open_table(path: Path, schema: Schema, split: str) -> Table:
    """Return the table at `path`; raise `NoTable` or `UserError` if it cannot be read or lacks a column of the schema."""
    root, paths = files_of(path)
    if not paths:
        raise no_file(path, split)
    layouts = [layout_of(each, schema) for each in paths]
    # A row of JSON Lines, and so a file, may lack any key.
    json_keys = tuple(dict.fromkeys(key for layout in layouts for key in layout.names))
    parts: dict[Layout, list[Path]] = {}
    for layout, each in zip(layouts, paths, strict=True):
        alike = replace(layout, names=json_keys) if layout.kind == "json" else layout
        parts.setdefault(alike, []).append(each)
    if len({layout.kind for layout in parts}) > 1:
        remedy = "name one kind by a pattern such as *.csv"
        raise NoTable(path, "a folder of files of different kinds", remedy)
    keys = {tuple(partitions_of(each.relative_to(root))) for each in paths}
    if len(keys) > 1:
        raise NoTable(path, "in folders KEY=VALUE of different keys", "name those of one table")
    own = next(iter(parts)).names
    table = Table(path, root, parts, tuple(key for key in keys.pop() if key not in own))
    # The train table has been checked before, so features.py fits that one.
    other = "give it the columns of the train table, or remove `test` under [data] in job.toml"
    for layout, files in parts.items():
        names = (*layout.names, *table.partitions)
        check_names(str(files[0]), names, schema, other if split == "test" else "")
    return table


def no_file(path: Path, split: str) -> Exception:
    """Return the error for a path that names no file: with the nearest name."""
    correct = f"correct `{split}` under [data] in job.toml"
    if path.exists():
        what = "a folder without a table" if path.is_dir() else "a pipe or a device"
        return NoTable(path, what, f"copy its content to a file, and {correct}")
    names = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1)
    guess = f", {path.parent / near[0]}?" if near else ""
    return UserError(f"there is no file {path}", TABLES, correct + guess)


def layout_of(path: Path, schema: Schema) -> Layout:
    with opened(path) as file:
        beginning, how = file.read(BEGINNING_BYTES), compression(path)
    if not beginning:
        raise NoTable(path, "empty", "name another under [data] in job.toml")
    if beginning.startswith(PARQUET) and how:
        raise NoTable(
            path, "a compressed Parquet file", "decompress it, with `gunzip FILE` or `unzip FILE`"
        )
    if beginning.startswith(PARQUET):
        return Layout("parquet", parquet_names(path, schema))
    text, encoding = text_of(path, beginning, schema.encoding)
    if text.lstrip().startswith("{"):
        return Layout("json", json_names(path, text), how, encoding)
    layout = Layout("csv", schema.header, how, encoding, schema.delimiter, schema.comment)
    return layout if schema.header else with_header(layout, path, text, schema)


def parquet_names(path: Path, schema: Schema) -> tuple[str, ...]:
    import pyarrow.parquet

    try:
        fields = list(pyarrow.parquet.read_schema(path))
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        problem = f"{path} begins as a Parquet file, but cannot be read ({reason})"
        raise UserError(problem, TABLES, "write or copy it again, it may be incomplete") from error
    for each in fields:
        if pyarrow.types.is_nested(each.type) and each.name in (schema.label, *schema.raw.used):
            raise UserError(
                f"{path} has the column {shown(each.name)} with nested cells ({each.type})",
                "one value per cell",
                'give it the kind "ignore" in trainer/features.py, or write a column for each value',
            )
    return tuple(each.name for each in fields)


def with_header(layout: Layout, path: Path, text: str, schema: Schema) -> Layout:
    """Return the layout with the names of the header line."""
    skipped_lines = comment_lines = 0
    try:
        for names in csv.reader(io.StringIO(text, newline=""), delimiter=layout.delimiter):
            if not names or SEPARATOR_LINE.fullmatch(layout.delimiter.join(names)):
                skipped_lines += 1
            elif any("\ufffd" in name for name in names):
                what = f"not {layout.encoding.upper()}: its header cannot be read"
                raise NoTable(path, what, OTHER_ENCODING)
            elif layout.comment and names[0].startswith(layout.comment):
                comment_lines += 1
            else:
                found = replace(layout, names=named(names, schema), header=True)
                return replace(found, skipped_lines=skipped_lines, comment_lines=comment_lines)
    except (csv.Error, TypeError) as error:  # TypeError: no delimiter
        raise UserError(
            f"the header of {path} cannot be read ({error})",
            f"text with columns separated by {shown(layout.delimiter)}",
            "convert the file, or correct DELIMITER in trainer/features.py",
        ) from error
    remedy = "add one, or write the names in HEADER in trainer/features.py"
    raise NoTable(path, "without a header line", remedy)


def as_plain(table: Table, folder: Path) -> Table:
    """Return the table with files that DuckDB reads: others are converted in `folder`, to UTF-8 and, from JSON, to CSV."""
    parts, late = dict[Layout, list[Path]](), dict[str, None]()
    for layout, paths in table.parts.items():
        targets = [folder / path.relative_to(table.root) for path in paths]
        convert: Callable[[Path, Layout, Path], dict[str, None] | None] = write_text
        plain = replace(layout, compression="", encoding="utf-8")
        if layout.kind == "json":
            convert, plain = write_cells, Layout("csv", layout.names, delimiter=",")
        elif layout.encoding == "utf-8" and layout.compression in READ_BY_DUCKDB:
            plain, targets = layout, paths
        for path, target in zip(paths, targets, strict=True):
            if target != path:
                target.parent.mkdir(parents=True, exist_ok=True)
                late |= convert(path, layout, target) or {}
        parts.setdefault(plain, []).extend(targets)
    return replace(table, parts=parts, late=tuple(late))


def write_text(path: Path, layout: Layout, target: Path) -> None:
    """Write the content of a file as UTF-8; invalid bytes stay, so that reading reports their lines."""
    try:
        with opened(path) as source, target.open("wb") as plain:
            if layout.encoding == "utf-8":
                return shutil.copyfileobj(source, plain, BLOCK_BYTES)
            text = io.TextIOWrapper(source, layout.encoding, "surrogateescape", newline="")
            for block in iter(lambda: text.read(BLOCK_BYTES), ""):
                plain.write(block.encode("utf-8", "surrogateescape"))
    except UnicodeError as error:
        raise NoTable(path, f"not {layout.encoding.upper()} ({error})", OTHER_ENCODING) from error


def write_cells(path: Path, layout: Layout, target: Path) -> dict[str, None]:
    """Write JSON Lines as CSV; a line without an object becomes one that reading reports. Returns keys that are no columns."""
    known, late = {*layout.names}, dict[str, None]()
    with opened(path) as source, target.open("w", -1, "utf-8", "replace", "") as plain:
        writer = csv.writer(plain, lineterminator="\n")
        for line in io.TextIOWrapper(source, layout.encoding, "replace"):
            row, text = json_row(line.removeprefix("\ufeff")), line.strip()
            cells = [json_cell(row.get(name)) for name in layout.names] if row else [text]
            writer.writerow(cells if text else [])
            if row and not known.issuperset(row):
                late |= {key: None for key in row if key not in known}
    return late


def source_sql(table: Table, schema: Schema) -> str:
    """Return DuckDB SQL for the columns of the view `whole`: `c0` … `cN` and `label`."""
    positions = {name: file_column(position) for position, name in enumerate(table.names)}
    columns = [
        f"{positions[name]} AS {raw_column(index)}" for index, name in enumerate(schema.sources)
    ]
    columns.append(f"{positions[schema.label]} AS label")
    return f"SELECT {', '.join(columns)} FROM whole"


def reader(table: Table, strict: bool = True) -> str:
    """Return DuckDB SQL for the rows of all files, with columns `p0` … `pN` of type VARCHAR.

    Without `strict` it reads what standard CSV does not allow, such as two kinds of line ends in one file.
    """
    parts = [part_sql(table, layout, paths, strict) for layout, paths in table.parts.items()]
    return f"({' UNION ALL '.join(parts)})"


def part_sql(table: Table, layout: Layout, paths: Sequence[Path], strict: bool) -> str:
    files = f"[{', '.join(text_literal(glob.escape(str(path))) for path in paths)}]"
    more = ", filename = true" if table.partitions else ""
    names = [file_column(position) for position in range(len(layout.names))]
    cells = dict(zip(layout.names, names, strict=True))
    if layout.kind == "csv":
        source = csv_sql(layout, files, strict, more)
    else:
        # Named by position: DuckDB folds case, and takes columns from the names of folders.
        aliases = ", ".join([*names, "filename"] if more else names)
        source = f"read_parquet({files}, hive_partitioning = false{more}) AS file({aliases})"
        cells = {name: f"COALESCE(CAST({cell} AS VARCHAR), '')" for name, cell in cells.items()}
    cells |= {key: partition_sql(key) for key in table.partitions}
    selected = [f"{cells[name]} AS {file_column(at)}" for at, name in enumerate(table.names)]
    return f"SELECT {', '.join(selected)} FROM {source}"


def partition_sql(key: str) -> str:
    """Return SQL for the value in the name of the folder KEY=VALUE, the innermost of several."""
    pattern = rf".*[/\\]{re.escape(key)}=([^/\\]*)[/\\]"
    value = f"url_decode(regexp_extract(filename, {text_literal(pattern)}, 1, 's'))"
    return f"REPLACE({value}, '{NO_VALUE}', '')"


def csv_sql(layout: Layout, files: str, strict: bool, more: str) -> str:
    names = [file_column(position) for position in range(len(layout.names))]
    types = "{" + ", ".join(f"'{name}': 'VARCHAR'" for name in names) + "}"
    # The strict reader takes a line end within a name for that of the file, and then finds no row.
    strict = strict and not any("\n" in name for name in layout.names)
    never_null = "[" + ", ".join(f"'{name}'" for name in names) + "]"
    return (
        f"read_csv({files}, columns = {types}, auto_detect = false, store_rejects = true,"
        f" delim = {text_literal(layout.delimiter)}, quote = '\"', escape = '\"',"
        f" force_not_null = {never_null}, skip = {layout.skipped_lines},"
        f" header = {str(layout.header).lower()}, comment = {text_literal(layout.comment)},"
        f" max_line_size = {BEGINNING_BYTES}, strict_mode = {str(strict).lower()},"
        f" compression = '{READ_BY_DUCKDB[layout.compression]}'{more})"
    )


def text_literal(text: str) -> str:
    """Return `text` as a string literal of DuckDB."""
    return "'" + text.replace("'", "''") + "'"


def line_count(path: Path) -> int:
    """Return the number of lines, the last of which may lack its end."""
    import numpy as np  # which counts in a third of the time of `bytes.count`

    count, last = 0, b"\n"
    with opened(path) as file:
        while block := file.read(BLOCK_BYTES):
            count += int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord("\n")))
            last = block[-1:]
    return count + (last != b"\n")


def lines_to_skip(path: Path, comment: str) -> int:
    """Return the number of lines that are blank or begin with the comment character."""
    mark = comment.encode()
    with opened(path) as file:
        return sum(
            1
            for line in iter(lambda: file.readline(BLOCK_BYTES), b"")
            if BLANK_LINE.fullmatch(line) or (mark and line.startswith(mark))
        )
