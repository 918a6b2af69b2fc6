"""A sample of all files of a table as one: its columns have the names of the first file, in its order."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from .cells import BLANKS
from .csv_table import read_text
from .data_file import PROMPT, no_table, opened
from .header import named, shows_no_header
from .parquet_table import read_parquet, spread
from .raw_table import RawTable
from .refusal import advice, refusal, shown
from .shared import table_files

EMPTY_PARTITION = "__HIVE_DEFAULT_PARTITION__"


def read_files(root: Path, paths: Sequence[Path]) -> RawTable:
    """Return names and rows of some files, evenly spread; refuse files that are not of one table."""
    chosen = [paths[number] for number in spread(len(paths))]
    tables = [read_file(path, len(chosen)) for path in chosen]
    first = tables[0]
    if first.kind == "csv" and shows_no_header(first.names, first.rows):
        tables = [without_header(table) for table in tables]
        first = tables[0]
    if first.kind == "json":  # a row, and so a file, may lack any key
        names = list(dict.fromkeys(name for table in tables for name in table.names))
        tables = [with_names(table, names) for table in tables]
        first = tables[0]
    rows: list[Sequence[str]] = []
    starts: list[int] = []
    keys = partitions(chosen[0].relative_to(root))
    for path, table in zip(chosen, tables, strict=True):
        check_same(path, table, chosen[0], first)
        values = partitions(path.relative_to(root))
        if values.keys() != keys.keys():
            problem = (
                f"{shown(path.name)} lies in folders of other keys than {shown(chosen[0].name)}"
            )
            raise refusal(
                PROMPT, problem, "folders KEY=VALUE of one table", "name those of one table"
            )
        starts += [start + len(rows) for start in table.starts]
        more = [value for key, value in values.items() if key not in first.names]
        rows += [(*row, *more) for row in in_order(table, first.names)]
    names = [*first.names, *(key for key in keys if key not in first.names)]
    reasons = {name: reason for table in tables for name, reason in table.reasons.items()}
    return replace(first, names=names, rows=rows, starts=tuple(starts), reasons=reasons)


def read_file(path: Path, share: int) -> RawTable:
    with opened(path) as file:
        is_parquet = file.read(len(table_files.PARQUET)) == table_files.PARQUET
    if not is_parquet:
        return read_text(path, share)
    if table_files.compression(path):
        remedy = f"decompress it, with gunzip or unzip {path.name}"
        raise no_table(path, table_files.NoTable(path, "a compressed Parquet file", remedy))
    return read_parquet(path, share)


def without_header(table: RawTable) -> RawTable:
    """Return a table whose first line is a row, with the names c0, c1, …"""
    names = [f"c{position}" for position in range(len(table.names))]
    cells = [cell.strip(BLANKS) for cell in table.names]
    starts = (0, *(start + 1 for start in table.starts[1:]))
    return replace(
        table, names=names, rows=[cells, *table.rows], starts=starts, header=tuple(names)
    )


def with_names(table: RawTable, names: Sequence[str]) -> RawTable:
    """Return a table with more columns, which are empty."""
    lacking = [""] * (len(names) - len(table.names))
    wider = replace(
        table,
        names=[*table.names, *(name for name in names if name not in table.names)],
        rows=[[*row, *lacking] for row in table.rows],
    )
    return replace(wider, names=names, rows=in_order(wider, names))


def in_order(table: RawTable, names: Sequence[str]) -> Sequence[Sequence[str]]:
    if list(table.names) == list(names):
        return table.rows
    positions = [list(table.names).index(name) for name in names]
    return [[row[position] for position in positions] for row in table.rows]


def check_same(path: Path, table: RawTable, first_path: Path, first: RawTable) -> None:
    """Refuse a file of another kind, or with other columns, than the first one."""
    if table.kind != first.kind:
        problem = f"{shown(first_path.name)} is {first.kind.upper()}, {shown(path.name)} {table.kind.upper()}"
        remedy = f"name one kind by a pattern, such as *{first_path.suffix}"
        raise refusal(PROMPT, problem, "files of one kind", remedy)
    names, wanted = named(table.names), named(first.names)
    for name, others, where, there in (
        *((name, names, path, first_path) for name in wanted),
        *((name, wanted, first_path, path) for name in names),
    ):
        if name not in others:
            problem = (
                f"{shown(where.name)} has no column {shown(name)}, which {shown(there.name)} has"
            )
            remedy = advice(name, others, "name the files of one table by a pattern")
            raise refusal(PROMPT, problem, "the same columns in all files", remedy)


def partitions(path: Path) -> dict[str, str]:
    """Return the values in the names of folders KEY=VALUE."""
    found = table_files.partitions_of(path)
    return {key: "" if value == EMPTY_PARTITION else unquote(value) for key, value in found.items()}
