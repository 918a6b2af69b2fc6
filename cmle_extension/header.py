"""Whether the first line of a file is a header or data."""

from collections.abc import Sequence

from .cells import MISSING, is_number
from .data_file import PROMPT
from .refusal import refusal, shown

COMPARED_ROWS = 1000


def check_header(names: Sequence[str], columns: Sequence[Sequence[str]]) -> None:
    """Refuse a first line that looks like data; `columns` are the cells below it."""
    cells = [name.strip() for name in names]
    below = [[cell for cell in column[:COMPARED_ROWS] if cell] for column in columns]
    suspect = first_data_cell(cells, below)
    if suspect is not None:
        raise refusal(
            PROMPT,
            f"the first line looks like data: its cell {suspect + 1} is {shown(names[suspect])}",
            "the names of the columns in the first line",
            "add a header line (if these are names, start them with a letter, such as y2019)",
        )


def first_data_cell(cells: Sequence[str], below: Sequence[Sequence[str]]) -> int | None:
    """Return the position of a cell that shows that the first line is data, None if it is a header."""
    numeric = [bool(column) and all(map(is_number, column)) for column in below]
    textual = [bool(cell) and not looks_like_value(cell) for cell in cells]
    # Text above numbers can only be a name, even if its neighbours are named 2019 and 2020.
    if any(text and number for text, number in zip(textual, numeric, strict=True)):
        return None
    for position, cell in enumerate(cells):
        if looks_like_value(cell):
            return position
    repeated = all(cell in column for cell, column in zip(cells, below, strict=True))
    return 0 if repeated else None


def looks_like_value(cell: str) -> bool:
    """Return whether a cell of the first line is a number or a missing value.

    An empty cell is a missing name, which is reported separately.
    """
    return bool(cell) and (is_number(cell) or cell in MISSING)
