"""Whether the first line of a file is its header, and whether the rows below it are all rows."""

import itertools
import math
import re
from collections.abc import Sequence

from .cells import NUMBER, is_integer, is_missing_marker, is_number, looks_numeric, number
from .data_file import PROMPT
from .refusal import refusal, shown

COMPARED_ROWS = 1000
YEARS = range(1800, 2101)
FEWEST_IN_SEQUENCE = 3
FEWEST_ROWS = 5  # below a second header, or above a totals row
ROUNDING = 1e-3

# As a row index is called by pandas, where the header has no name for it.
NAMELESS = re.compile(r"\s*|Unnamed: [0-9]+(\.[0-9]+)*|__index_level_[0-9]+__")
TOTAL = re.compile(
    r"(?i:(grand|sub)?[ -]?totals?|totale?|total g[eé]n[eé]ral|overall|all|sums?|summe|gesamt|insgesamt"
    r"|suma|somme|average|avg\.?|mean|mittelwert):?"
)


def named(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of a header; a column without one is named by its position, as pandas does."""
    return tuple(
        name if name.strip() else unnamed(position, names) for position, name in enumerate(names)
    )


def unnamed(position: int, names: Sequence[str]) -> str:
    name = f"Unnamed: {position}"
    while name in names:
        name += ".1"
    return name


def shows_no_header(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first line looks like the rows below it."""
    cells = [name.strip() for name in names]
    columns = zip(*rows[:COMPARED_ROWS], strict=True)
    below = [[cell.strip() for cell in column if cell.strip()] for column in columns]
    return bool(rows) and first_data_cell(cells, below) is not None


def first_data_cell(cells: Sequence[str], below: Sequence[Sequence[str]]) -> int | None:
    """Return the position of a cell that shows that the first line is data, None if it is a header."""
    pairs = zip(cells, below, strict=True)
    textual = [column for cell, column in pairs if cell and not looks_like_value(cell)]
    # Text above numbers can only be a name, even if its neighbours are named 2019 and 2020.
    if any(column and all(map(looks_numeric, column)) for column in textual):
        return None
    if are_numbered(cells, below):
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
    return bool(cell) and (looks_numeric(cell) or is_missing_marker(cell))


def are_numbered(cells: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Return whether the numbers in the first line are names: years, or a sequence, above cells of another kind."""
    pairs = list(zip(cells, below, strict=True))
    numeric = [(cell, column) for cell, column in pairs if is_number(cell)]
    texts = [(cell, column) for cell, column in pairs if cell and not is_number(cell)]
    if not numeric or any(looks_like_value(cell) or cell in column for cell, column in texts):
        return False
    if 3 * sum(cell in column for cell, column in numeric) > len(numeric):
        return False
    numbers = [float(cell) if NUMBER.fullmatch(cell) else math.nan for cell, _ in numeric]
    steps = {round(after - before, 6) for before, after in itertools.pairwise(numbers)}
    if len(numbers) >= FEWEST_IN_SEQUENCE and len(steps) == 1 and steps != {0}:
        return True
    return bool(texts) and all(
        number in YEARS and not are_years(column)
        for number, (_, column) in zip(numbers, numeric, strict=True)
    )


def are_years(cells: Sequence[str]) -> bool:
    years = sum(is_integer(cell) and int(float(cell)) in YEARS for cell in cells)
    return 2 * years > len(cells)


def check_second_header(names: Sequence[str], columns: Sequence[Sequence[str]]) -> None:
    """Refuse a first row of texts above columns of numbers: units or types below the names, or the names themselves."""
    first = [column[0] for column in columns]
    if len(columns[0]) <= FEWEST_ROWS or not are_names(first, [column[1:] for column in columns]):
        return
    texts = ", ".join(shown(cell) for cell in first if cell)[:80]
    line = 2 + sum(name.count("\n") for name in names)
    above = any(not name.strip() for name in names[1:]) or len(set(names)) < len(names)
    raise refusal(
        PROMPT,
        f"line {line} holds texts above columns of numbers, as a second header line does: {texts}",
        "one header line, with the names of the columns",
        f"remove line {1 if above else line}: sed {1 if above else line}d old.csv > new.csv",
    )


def are_names(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Return whether no cell of a row fits its column, and at least one is a text above numbers."""
    above_numbers = False
    for cell, column in zip(first, below, strict=True):
        known = [each for each in column[:COMPARED_ROWS] if not is_missing_marker(each)]
        numbers = sum(map(looks_numeric, known))
        if known and 10 * numbers >= 9 * len(known):
            if looks_numeric(cell):
                return False
            above_numbers = above_numbers or not is_missing_marker(cell)
        elif cell and cell in column:
            return False
    return above_numbers


def check_no_total(columns: Sequence[Sequence[str]]) -> None:
    """Refuse a last row that sums up the rows above it, or is a note on them."""
    last = [column[-1] for column in columns]
    above = [column[:-1] for column in columns]
    if len(above[0]) < FEWEST_ROWS:
        return
    total = is_total(last, above)
    if not total and not is_note(last, above):
        return
    cells = ", ".join(shown(cell) for cell in last if cell)[:80]
    what = "the total of the lines above it" if total else "a note on the table"
    raise refusal(
        PROMPT,
        f"the last line looks like {what}: {cells}",
        "rows of one kind",
        "remove it: sed '$d' old.csv > new.csv (and check the line that is the last then)",
    )


def is_total(last: Sequence[str], above: Sequence[Sequence[str]]) -> bool:
    pairs = list(zip(last, above, strict=True))
    texts = [(cell, column) for cell, column in pairs if not looks_numeric(cell)]
    words = [
        (cell, column) for cell, column in texts if TOTAL.fullmatch(cell) and cell not in column
    ]
    empty = any(not cell and any(column) for cell, column in texts)
    if words:
        among_numbers = any(all(map(looks_numeric, filter(None, column))) for _, column in words)
        return empty or among_numbers or any(is_sum(*pair) for pair in pairs)
    return empty and not any(cell for cell, _ in texts) and any(is_sum(*pair) for pair in pairs)


def is_note(last: Sequence[str], above: Sequence[Sequence[str]]) -> bool:
    """Return whether the last row is one text of several words, in a table whose other rows are not so empty."""
    texts = [cell for cell in last if cell]
    if len(last) < 3 or len(texts) != 1 or " " not in texts[0] or looks_numeric(texts[0]):
        return False
    return all(
        sum(map(bool, row)) > 1 for row in itertools.islice(zip(*above, strict=True), COMPARED_ROWS)
    )


def is_sum(cell: str, above: Sequence[str]) -> bool:
    """Return whether a number is the sum of the numbers above it, but for rounding."""
    if not looks_numeric(cell):
        return False
    decimal = "." if is_number(cell) and all(map(is_number, filter(None, above))) else ","
    total = sum(number(each, decimal) for each in above if is_number(each, decimal))
    return total != 0 and abs(number(cell, decimal) - total) <= ROUNDING * abs(total)
