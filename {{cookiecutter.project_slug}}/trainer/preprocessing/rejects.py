"""Rows that cannot be used, counted and kept in `rejects.csv`."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.data.schema import Schema
from trainer.preprocessing import sql
from trainer.preprocessing.raw_table import Table, lines_without_row

REJECTS_AT_ONCE = 10_000
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
BAD_LINES = (  # DuckDB counts an error per column, not per line
    "SELECT file_path, line, FIRST(error_message ORDER BY column_idx), FIRST(csv_line), TRUE"
    " FROM reject_errors JOIN reject_scans USING (scan_id, file_id) GROUP BY file_path, line ORDER BY file_path, line"
)


def count_rejects(
    connection: Any, table: Table, schema: Schema, rows: int, path: Path
) -> tuple[int, str]:
    """Append the unusable rows of `prepared`, and the lines that are in none of its `rows` from this table.

    Returns their number, without rows that lack a label, and a description of the first.
    """
    lost = lines_without_row(connection, table, rows)
    number, first, name = 0, "", table.path.name
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for file_path, line, reason, cells, labelled in rejected_rows(connection, table):
            text = (cells or "").strip().replace(sql.SEPARATOR, " | ")
            file_name = Path(file_path or name).name
            writer.writerow([harmless(file_name), line or "", harmless(reason), harmless(text)])
            if labelled:
                number += 1
                where = f"{file_name}, line {line}" if line else file_name
                first = first or f"{where}: {reason}"
        if lost:
            reason = f"{lost:,} line(s) in no row, as after a quote that is not closed"
            writer.writerow([harmless(name), "", reason, ""])
            first = first or f"{name}: {reason}"
    return number + lost, first


def rejected_rows(
    connection: Any, table: Table
) -> Iterator[tuple[str | None, int | None, str, str, bool]]:
    """Yield file and line (if known), reason, text and whether there is a label, for each row or line that is rejected."""
    queries = [
        "SELECT NULL, NULL, reason, cells, label IS NOT NULL FROM prepared WHERE reason IS NOT NULL ORDER BY row_key"
    ]
    is_text = any(layout.kind == "csv" for layout in table.parts)
    queries += [BAD_LINES] if is_text else []
    for query in queries:
        cursor = connection.execute(query)
        while rows := cursor.fetchmany(REJECTS_AT_ONCE):
            yield from rows
    if is_text:
        connection.execute("DROP TABLE reject_errors; DROP TABLE reject_scans")


def harmless(text: str) -> str:
    """Return a cell of a CSV file that no spreadsheet takes for a formula.

    Source: https://owasp.org/www-community/attacks/CSV_Injection
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
