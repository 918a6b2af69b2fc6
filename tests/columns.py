"""Columns of made-up cells, for the tests of what is inferred from them."""

import datetime

from cmle_extension.table import Column

MISSING = ["", "?", "NA", "N/A", "NaN", "nan", "null", "NULL"]
MANY = tuple(f"{number}.5" for number in range(95))
DAYS = [datetime.date(2024, 1, 1) + datetime.timedelta(days=5 * number) for number in range(60)]


def column(*cells: str, name: str = "x") -> Column:
    return Column(name, cells)


def repeated(values: int, rows: int) -> tuple[str, ...]:
    """Return text cells in which each value is equally frequent."""
    return tuple(f"v{row % values}" for row in range(rows))
