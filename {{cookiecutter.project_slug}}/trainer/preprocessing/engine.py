"""What runs the SQL of the preparation: any `Engine`, here DuckDB in this process.

Statements are in BigQuery's dialect. Settings, memory, files and errors of one engine are known here alone.
"""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any, Protocol

from trainer.data.schema import Schema
from trainer.data.table_files import damaged
from trainer.preprocessing.cell_sql import MAY_BE_MISREAD
from trainer.preprocessing.columns import file_column
from trainer.preprocessing.farmhash import farm_fingerprint
from trainer.preprocessing.raw_table import (
    Layout,
    Table,
    line_count,
    lines_to_skip,
    reader,
    source_sql,
)
from trainer.run.console import Console
from trainer.run.errors import UserError, shown

BATCH_ROWS = 10_000
MANY_COLUMNS = 200
LEAST_MB, MB_PER_CORE, MB_PER_COLUMN = 128, 64, 0.5
BAD_LINES = (  # DuckDB counts an error per column, not per line
    "SELECT file_path, line, FIRST(error_message ORDER BY column_idx) AS reason, FIRST(csv_line) AS text"
    " FROM reject_errors JOIN reject_scans USING (scan_id, file_id) GROUP BY file_path, line ORDER BY file_path, line"
)
OWN_FORMS = {  # DuckDB takes 0x46 for no number
    MAY_BE_MISREAD: "CREATE TEMP MACRO may_be_misread(text) AS STRPOS(text, '_') > 0"
}
SMALLER_TYPES = {"float": "FLOAT", "int32": "INT"}
LINE_BREAKS = "LENGTH({0}) - LENGTH(REPLACE({0}, CHR(10), ''))"


class Engine(Protocol):
    """Runs statements of BigQuery's dialect one after another; tables stay until `close`."""

    def run(self, statement: str) -> None: ...

    def load(self, table: Table, schema: Schema, statement: str) -> None:
        """Run a statement over the relation `source`, the cells of a table as `source_sql` names them.

        Raises `UserError` for a table that cannot be read.
        """

    def lost_lines(self, table: Table, rows: int) -> int:
        """Return how many lines of the table loaded last are in none of its `rows`, in no comment and not blank."""

    def bad_lines(self, table: Table) -> Iterator[tuple[str, int, str, str]]:
        """Yield file, line, reason and text of each line of the table loaded last that is no row; at most once."""

    def rows(self, query: str) -> list[tuple[Any, ...]]: ...

    def batches(self, query: str, rows: int = BATCH_ROWS, types: Sequence[Any] = ()) -> Any:
        """Return an Arrow reader of record batches of about `rows` rows; meanwhile other statements may run.

        The first columns may have the Arrow `types`, where these are of smaller numbers.
        """

    def put(self, name: str, rows: Any) -> None:
        """Append an Arrow table to the table `name`, which has its columns."""

    def close(self) -> None: ...


def in_duckdb(text: str, types: Sequence[Any] = ()) -> str:
    """Return SQL of BigQuery's dialect in DuckDB's, a query with its first columns in Arrow types of smaller numbers.

    Raises sqlglot's error for invalid SQL.
    """
    from sqlglot import exp, parse_one

    tree = parse_one(text, read="bigquery")
    # Without a list of the cells, joining them takes DuckDB half the time.
    for node in [*tree.find_all(exp.ArrayToString)] if "ARRAY_TO_STRING([" in text else ():
        if isinstance(node.this, exp.Array):
            cells = [node.expression, *node.this.expressions]
            node.replace(exp.Anonymous(this="CONCAT_WS", expressions=cells))
    for column, kind in zip(tree.selects if types else (), types, strict=False):
        if smaller := SMALLER_TYPES.get(str(kind)):
            number = exp.cast(column.unalias(), smaller)
            column.replace(exp.alias_(number, column.alias_or_name))
    return OWN_FORMS.get(text) or tree.sql("duckdb")


def check_label_sql(schema: Schema) -> None:
    """Raise `UserError` for a LABEL_SQL that is no SQL over `label`; no table is read."""
    import duckdb
    import sqlglot

    label = f"CAST({schema.label_sql} AS STRING)"
    query = f"SELECT {label} FROM (SELECT '' AS label) AS labels"
    try:
        duckdb.connect().execute(f"EXPLAIN {in_duckdb(query)}")
    except (sqlglot.errors.SqlglotError, duckdb.ProgrammingError) as error:
        raise UserError(
            f"trainer/features.py: LABEL_SQL is {shown(schema.label_sql)} ({str(error).splitlines()[0]})",
            "BigQuery SQL over the column `label`",
            'correct it, or write "" to take the label as it is',
        ) from error


def database(spill: Path, memory_mb: int) -> Any:
    """Return a DuckDB connection whose tables are in `spill`, of which `memory_mb` are held in memory; it never goes online."""
    import duckdb

    settings: dict[str, Any] = {
        "memory_limit": f"{memory_mb}MB",
        "temp_directory": str(spill),
        "preserve_insertion_order": "false",  # queries whose order matters have ORDER BY
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    spill.mkdir(parents=True, exist_ok=True)
    # Tables of a file are compressed, and those in memory are not.
    connection = duckdb.connect(str(spill / "tables.duckdb"), config=settings)
    # A time with a zone, as text, must not depend on this machine's zone.
    connection.execute("LOAD icu; SET TimeZone = 'UTC'")
    return connection


def enough_mb(schema: Schema) -> int:
    """Return the memory that DuckDB needs, whatever the number of rows: for what each core reads, and pages of each column."""
    cores, columns = os.cpu_count() or 1, len(schema.sources)
    return round(LEAST_MB + MB_PER_CORE * cores + MB_PER_COLUMN * columns)


class DuckDB:
    """DuckDB in this process, which reads local files."""

    def __init__(self, spill: Path, memory_mb: int, console: Console) -> None:
        self.spill = spill
        self.console = console
        self.thread = ThreadPool(1)
        self.connection = database(spill, memory_mb)
        self.connection.create_function("FARM_FINGERPRINT", farm_fingerprint)

    def run(self, statement: str) -> None:
        self.connection.execute(in_duckdb(statement))

    def load(self, table: Table, schema: Schema, statement: str) -> None:
        import duckdb
        import sqlglot

        if len(schema.sources) > MANY_COLUMNS:  # it takes time by the square of the numbers
            self.connection.execute("SET disabled_optimizers = 'common_subexpressions'")
        # While DuckDB reads them, the system holds the files in memory, and gzip leaves a core idle.
        self.lines = self.thread.apply_async(rows_at_most, (table,))
        try:
            translated = in_duckdb(statement)
            self.console.detail(translated)
            self._run_on_source(table, schema, translated)
        except (duckdb.Error, sqlglot.errors.SqlglotError) as error:
            raise unreadable(table, schema, error) from error

    def _run_on_source(self, table: Table, schema: Schema, translated: str) -> None:
        """Run DuckDB SQL over the view `source`; retry leniently where DuckDB's strict CSV reader fails."""
        import duckdb

        run, view = self.connection.execute, "CREATE OR REPLACE TEMP VIEW"
        run(f"{view} whole AS SELECT * FROM {reader(table)}")
        run(f"{view} source AS {source_sql(table, schema)}")
        try:
            run(translated)
        except duckdb.InvalidInputException as error:
            if "strict mode" not in str(error):
                raise
            self.console.warning(
                f"{table.path.name} has different kinds of line ends; it is read leniently"
            )
            run(f"{view} whole AS SELECT * FROM {reader(table, strict=False)}")
            run(translated)

    def lost_lines(self, table: Table, rows: int) -> int:
        count, parts = self.lines.get(), csv_parts(table)
        if count <= rows:
            return 0
        columns = map(file_column, range(len(table.names)))
        breaks = " + ".join(map(LINE_BREAKS.format, columns))
        query = f"SELECT COUNT(*), SUM({breaks}) FROM whole"
        read = sum(int(each or 0) for each in self.connection.execute(query).fetchone())
        # The text of an unclosed quote is all that follows it: lines that are lost.
        rest = f"SUM({LINE_BREAKS.format('text')}) FILTER (reason NOT LIKE '%unterminated quote%')"
        bad = f"SELECT COUNT(*) + COALESCE({rest}, 0) FROM ({BAD_LINES})"
        [read_as_bad] = self.connection.execute(bad).fetchone()
        read += sum("".join(p.names).count("\n") * p.header * len(paths) for p, paths in parts)
        skipped = sum(lines_to_skip(path, part.comment) for part, paths in parts for path in paths)
        return max(0, count - read - int(read_as_bad) - skipped)

    def bad_lines(self, table: Table) -> Iterator[tuple[str, int, str, str]]:
        if all(layout.kind != "csv" for layout in table.parts):
            return
        cursor = self.connection.execute(BAD_LINES)
        while rows := cursor.fetchmany(BATCH_ROWS):
            yield from rows
        self.connection.execute("DROP TABLE reject_errors; DROP TABLE reject_scans")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return [*self.connection.execute(in_duckdb(query)).fetchall()]

    def batches(self, query: str, rows: int = BATCH_ROWS, types: Sequence[Any] = ()) -> Any:
        return self.connection.cursor().sql(in_duckdb(query, types)).to_arrow_reader(rows)

    def put(self, name: str, rows: Any) -> None:
        self.connection.register("mapping", rows)
        self.connection.execute(f"INSERT INTO {name} SELECT * FROM mapping")
        self.connection.unregister("mapping")

    def close(self) -> None:
        self.thread.terminate()
        self.connection.close()
        shutil.rmtree(self.spill, ignore_errors=True)


def csv_parts(table: Table) -> list[tuple[Layout, list[Path]]]:
    return [each for each in table.parts.items() if each[0].kind == "csv"]


def rows_at_most(table: Table) -> int:
    """Return the number of lines of CSV files without their headers."""
    parts = csv_parts(table)
    return sum(line_count(path) - layout.header for layout, paths in parts for path in paths)


def unreadable(table: Table, schema: Schema, error: Exception) -> Exception:
    import duckdb

    reason = str(error).splitlines()[0]
    if isinstance(error, duckdb.OutOfMemoryException):
        return UserError(
            f"{table.path} cannot be prepared within the memory that is allowed ({reason})",
            "memory for what DuckDB reads at a time",
            "give a larger --memory-mb",
        )
    if re.search("gzip|zstd", reason, re.IGNORECASE):
        return damaged(table.path, error)
    return UserError(
        f"{table.path} cannot be read ({reason})",
        f"a Parquet file, or UTF-8 text with columns separated by {shown(schema.delimiter)}",
        "convert the file, or correct DELIMITER in trainer/features.py",
    )
