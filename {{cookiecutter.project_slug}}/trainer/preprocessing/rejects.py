"""Rows that cannot be used, counted and kept in `rejects.csv`."""

import csv
from collections.abc import Iterator
from pathlib import Path

from trainer.preprocessing import sql
from trainer.preprocessing.engine import Engine
from trainer.preprocessing.raw_table import Table

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def count_rejects(engine: Engine, table: Table, rows: int, path: Path) -> tuple[int, str]:
    """Append the unusable rows of `prepared`, and the lines that are in none of its `rows` from this table.

    Returns their number, without rows that lack a label, and a description of the first.
    """
    lost = engine.lost_lines(table, rows)
    number, first, name = 0, "", table.path.name
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for file_path, line, reason, cells, labelled in rejected_rows(engine, table):
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
    engine: Engine, table: Table
) -> Iterator[tuple[str | None, int | None, str, str, bool]]:
    """Yield file and line (if known), reason, text and whether there is a label, for each row or line that is rejected."""
    query = "SELECT reason, cells, label IS NOT NULL AS labelled FROM prepared WHERE reason IS NOT NULL ORDER BY row_key"
    for batch in engine.batches(query):
        for reason, text, labelled in zip(*batch.to_pydict().values(), strict=True):
            yield None, None, reason, text, labelled
    for path, line, reason, text in engine.bad_lines(table):
        yield path, line, reason, text, True


def harmless(text: str) -> str:
    """Return a cell of a CSV file that no spreadsheet takes for a formula.

    Source: https://owasp.org/www-community/attacks/CSV_Injection
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
