"""The preparation step by step, in DuckDB: read, validate, split, encode, write."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.data import files
from trainer.data.schema import Schema
from trainer.data.statistics import Label, Statistics, vocabulary_codes
from trainer.preprocessing import analyze, sql
from trainer.preprocessing.columns import cells_table, codes_table, values_table
from trainer.preprocessing.raw_table import Table, lines_without_row, reader, source_sql
from trainer.run.console import Console, shown_path
from trainer.run.errors import UserError, shown

SHARD_ROWS = 1 << 20
ROW_GROUP_ROWS = 1 << 16
EXAMPLE_ROWS = 10
REJECTS_AT_ONCE = 10_000
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
BAD_LINES = (  # DuckDB counts an error per column, not per line
    "SELECT line, FIRST(error_message ORDER BY column_idx), FIRST(csv_line), TRUE"
    " FROM reject_errors GROUP BY line ORDER BY line"
)


@dataclass(frozen=True)
class Request:
    train: Path
    test: Path | None
    output: Path
    eval_share: float
    max_rejected_share: float
    deduplicate: bool
    memory_mb: int


def database(spill: Path, memory_mb: int) -> Any:
    """Return a DuckDB connection whose tables are in memory and, beyond that, in `spill`; it never goes online."""
    import duckdb

    settings: dict[str, Any] = {
        "memory_limit": f"{memory_mb}MB",
        "temp_directory": str(spill),
        "preserve_insertion_order": "false",  # queries whose order matters have ORDER BY
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    return duckdb.connect(config=settings)


def read_tables(
    connection: Any,
    request: Request,
    schema: Schema,
    tables: Sequence[Table],
    folder: Path,
    console: Console,
) -> int:
    """Fill the table `prepared` with the valid rows of all splits; return the number of rejected ones.

    Raises `UserError` beyond the rejected share that is allowed.
    """
    rejected = kept = 0
    first = ""
    for table, split in zip(tables, ("train", "test"), strict=False):
        console.line(f"data     reading {shown_path(table.path)}")
        validate_rows(connection, request, schema, table, split, console)
        lost = lines_without_row(connection, table, schema, count(connection, "prepared") - kept)
        bad, reason = write_rejects(connection, table, lost, folder / files.REJECTS)
        rejected += bad
        first = first or reason
        warn_of_unlabelled(connection, table, console)
        connection.execute("DELETE FROM prepared WHERE reason IS NOT NULL")
        kept = count(connection, "prepared")
    check_rejected(rejected, rejected + kept, first, request, console)
    return rejected


def count(connection: Any, relation: str) -> int:
    return int(connection.execute(f"SELECT COUNT(*) FROM {relation}").fetchone()[0])


def warn_of_unlabelled(connection: Any, table: Table, console: Console) -> None:
    """Warn of rows without a label: they are not invalid, but nothing can be learnt from them."""
    unlabelled = count(connection, "prepared WHERE label IS NULL")
    if unlabelled:
        console.warning(f"{table.path.name}: {unlabelled:,} row(s) have no label and are left out")


def validate_rows(
    connection: Any, request: Request, schema: Schema, table: Table, split: str, console: Console
) -> None:
    """Add each row of the file to the table `prepared`: cleaned, with its split, and the reason if it cannot be used."""
    import duckdb
    import sqlglot

    validated = sql.validated_rows(schema, request.deduplicate)
    query = (
        sql.with_split(validated, request.eval_share)
        if split == "train"
        else sql.as_test(validated)
    )
    target = "CREATE TABLE prepared AS" if split == "train" else "INSERT INTO prepared"
    try:
        query = sql.in_duckdb(query)
        console.detail(query)
        run_on_source(connection, schema, table, f"{target} {query}", console)
    except (duckdb.Error, sqlglot.errors.SqlglotError) as error:
        raise unreadable(table, schema, error) from error


def run_on_source(
    connection: Any, schema: Schema, table: Table, query: str, console: Console
) -> None:
    """Run a query over the view `source` of the file; retry leniently where DuckDB's strict CSV reader fails."""
    import duckdb

    view = "CREATE OR REPLACE TEMP VIEW"
    connection.execute(f"{view} whole AS SELECT * FROM {reader(table, schema)}")
    connection.execute(f"{view} source AS {source_sql(table, schema)}")
    try:
        connection.execute(query)
    except duckdb.InvalidInputException as error:
        if "strict mode" not in str(error):
            raise
        console.warning(f"{table.path.name} has different kinds of line ends; it is read leniently")
        connection.execute(f"{view} whole AS SELECT * FROM {reader(table, schema, strict=False)}")
        connection.execute(query)


def unreadable(table: Table, schema: Schema, error: Exception) -> UserError:
    import duckdb

    reason = str(error).splitlines()[0]
    if isinstance(error, duckdb.OutOfMemoryException):
        return UserError(
            f"{table.path} cannot be prepared within the memory that is allowed ({reason})",
            "memory for what DuckDB reads at a time",
            "give a larger --memory-mb",
        )
    if schema.label_sql and is_about_sql(error):
        return UserError(
            f"trainer/features.py: LABEL_SQL is {shown(schema.label_sql)} ({reason})",
            "BigQuery SQL over the column `label`",
            'correct it, or write "" to take the label as it is',
        )
    return UserError(
        f"{table.path} cannot be read ({reason})",
        f"a Parquet file, or UTF-8 text with columns separated by {shown(schema.delimiter)}",
        "convert the file, or correct DELIMITER in trainer/features.py",
    )


def is_about_sql(error: Exception) -> bool:
    import duckdb
    import sqlglot

    faults = (sqlglot.errors.SqlglotError, duckdb.ParserException, duckdb.BinderException)
    return isinstance(error, (*faults, duckdb.CatalogException))


def write_rejects(connection: Any, table: Table, lost: int, path: Path) -> tuple[int, str]:
    """Append the unusable rows of `prepared`, the lines that are no rows, and a line that counts the `lost` ones.

    Returns their number, without rows that lack a label, and a description of the first.
    """
    number, first, name = 0, "", table.path.name
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for line, reason, cells, labelled in rejected_rows(connection, table):
            text = (cells or "").strip().replace(sql.SEPARATOR, " | ")
            writer.writerow([harmless(name), line or "", harmless(reason), harmless(text)])
            if labelled:
                number += 1
                where = f"{name}, line {line}" if line else name
                first = first or f"{where}: {reason}"
        if lost:
            reason = f"{lost:,} line(s) in no row, as after a quote that is not closed"
            writer.writerow([harmless(name), "", reason, ""])
            first = first or f"{name}: {reason}"
    return number + lost, first


def harmless(text: str) -> str:
    """Return a cell of a CSV file that no spreadsheet takes for a formula.

    Source: https://owasp.org/www-community/attacks/CSV_Injection
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def rejected_rows(connection: Any, table: Table) -> Iterator[tuple[int | None, str, str, bool]]:
    """Yield line (if known), reason, text and whether there is a label, for each row or line that is rejected."""
    queries = [
        "SELECT NULL, reason, cells, label IS NOT NULL FROM prepared WHERE reason IS NOT NULL ORDER BY row_key"
    ]
    queries += [] if table.parquet else [BAD_LINES]
    for query in queries:
        cursor = connection.execute(query)
        while rows := cursor.fetchmany(REJECTS_AT_ONCE):
            yield from rows
    if not table.parquet:
        connection.execute("DROP TABLE reject_errors; DROP TABLE reject_scans")


def check_rejected(
    rejected: int, total: int, first: str, request: Request, console: Console
) -> None:
    if not rejected:
        return
    share = rejected / total
    found = f"{rejected:,} of {total:,} rows cannot be used ({share:.2%}), the first: {shown(first, 160)}"
    if share > request.max_rejected_share:
        raise UserError(
            found,
            f"at most {request.max_rejected_share:.2%}",
            f"see {shown_path(rejects_beside(request.output))}, then fix the file, or correct the column's kind"
            " in trainer/features.py",
        )
    console.warning(f"{found}; see {shown_path(request.output / files.REJECTS)}")


def drop_unknown_labels(connection: Any, label: Label, console: Console) -> None:
    """Drop rows of the other splits whose class no training row has: no prediction could be right."""
    if not label.classes:
        return
    analyze.create_code_table(
        connection, "classes", [{value: code for code, value in enumerate(label.classes)}]
    )
    unknown = "prepared WHERE label NOT IN (SELECT value FROM classes)"
    left_out = count(connection, unknown)
    if left_out:
        console.warning(
            f"{left_out:,} rows to evaluate on have a label that no training row has; they are left out"
        )
        connection.execute(f"DELETE FROM {unknown}")


def count_cells(connection: Any, schema: Schema, console: Console) -> None:
    """Create the tables of the different cells of each coded column: `cells_<index>(cell, value, train_rows)`."""
    for index, name in enumerate(schema.coded):
        query = sql.in_duckdb(sql.cells(index, schema))
        connection.execute(f"CREATE TABLE {cells_table(index)} AS {query}")
        cells = count(connection, cells_table(index))
        if name in schema.vocabulary and cells > schema.vocabulary_limit:
            console.warning(
                f"{shown(name)} has {cells:,} different cells: the {schema.vocabulary_limit:,} most frequent values"
                ' get a code each, and all others share one; "hashed" in trainer/features.py distinguishes more'
            )


def create_codes(connection: Any, schema: Schema, statistics: Statistics) -> None:
    """Create the tables that map the text of each coded column to its code: `codes_<index>(cell, code)`."""
    for index, name in enumerate(schema.coded):
        if name in statistics.vocabularies:
            codes: Iterable[dict[str, int]] = [vocabulary_codes(statistics.vocabularies[name])]
        else:
            codes = analyze.hashed_codes(connection, cells_table(index), statistics.hashed[name])
        analyze.create_code_table(connection, values_table(index), codes)
        of_cells = sql.in_duckdb(sql.cell_codes(cells_table(index), values_table(index)))
        connection.execute(f"CREATE TABLE {codes_table(index)} AS {of_cells}")


def encode_first(connection: Any, schema: Schema) -> None:
    """Replace text by codes in the table `prepared`, some columns at a time, until few enough are left."""
    for first in range(0, sql.coded_before(schema), sql.JOINS_AT_ONCE):
        connection.execute(f"CREATE TABLE recoded AS {sql.in_duckdb(sql.with_codes(first))}")
        connection.execute("DROP TABLE prepared")
        connection.execute("ALTER TABLE recoded RENAME TO prepared")


def write_shards(connection: Any, schema: Schema, split: str, folder: Path) -> None:
    """Write one split as Parquet files of at most `SHARD_ROWS` rows."""
    import pyarrow.parquet

    folder.mkdir()
    names = [*schema.numeric, *schema.coded, schema.label]
    reader = connection.sql(sql.in_duckdb(sql.encoded(schema, split))).to_arrow_reader(
        ROW_GROUP_ROWS
    )
    target = shard_schema(schema, names)
    writer, written, number = None, 0, 0
    for batch in reader:
        if writer is None or written >= SHARD_ROWS:
            if writer is not None:
                writer.close()
            writer = pyarrow.parquet.ParquetWriter(folder / f"{number:05d}.parquet", target)
            number, written = number + 1, 0
        table = pyarrow.Table.from_batches([batch]).rename_columns(names).cast(target)
        writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
        written += batch.num_rows
    if writer is not None:
        writer.close()


def shard_schema(schema: Schema, names: Sequence[str]) -> Any:
    """Return the Arrow schema of a shard: float32 numbers (null where missing), int32 codes, the label last."""
    import pyarrow

    label = pyarrow.float32() if schema.task == "regression" else pyarrow.int32()
    numbers = [pyarrow.float32()] * len(schema.numeric)
    codes = [pyarrow.int32()] * len(schema.coded)
    return pyarrow.schema(list(zip(names, [*numbers, *codes, label], strict=True)))


def write_examples(connection: Any, schema: Schema, path: Path) -> None:
    """Write a few raw rows that are not trained on, as `predict` and the serving signature take them."""
    rows = sql.run(connection, sql.examples(schema, EXAMPLE_ROWS)).fetchall()
    lines = [json.dumps(example(row, schema), ensure_ascii=False) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def example(row: Sequence[Any], schema: Schema) -> dict[str, float | str | None]:
    """Return the value of each used column, in the order of `features.py`, from numbers and then texts of a row."""
    count = len(schema.numeric)
    held = dict(zip(schema.numeric, row[:count], strict=True))
    held |= {
        name: sql.known_value(text, schema)
        for name, text in zip(schema.coded, row[count:], strict=True)
    }
    return {name: held[name] for name in schema.columns if name in held}


def rejects_beside(output: Path) -> Path:
    """Return where the rejects of a failed run are kept."""
    return output.with_name(f"{output.name}.{files.REJECTS}")
