"""Lines of a text file that are no rows: above the header, or with other separators than the header has."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence

from .cells import looks_numeric
from .data_file import PROMPT
from .refusal import refusal, shown

COMMENT = "#"
SEPARATOR_LINE = re.compile(r"(?i)(sep=.)\r?(?:\n|$)")  # what Excel writes before the header
ROWS = 60


def comment_of(text: str) -> str:
    """Return "#" if the lines above the header begin with it and no other line has one, else "".

    DuckDB drops what follows the character in any line, so it must be nowhere else.
    """
    comments = re.match(r"(?:#.*(?:\n|$)|[ \t\r]*\n)*#.*(?:\n|$)", text)
    if not comments or COMMENT in text[comments.end() :]:
        return ""
    last, below = comments[0].strip().split("\n")[-1], text[comments.end() :].split("\n", 1)[0]
    # A header such as `#id,name` has the cells of a row.
    is_header = any(last.count(each) == below.count(each) > 0 for each in ",;\t|")
    return "" if is_header else COMMENT


def without_marks(text: str, comment: str) -> str:
    """Return text in which comment lines and Excel's line `sep=;` are blank, so that lines keep their numbers."""
    text = re.sub(rf"(?m)^{comment}.*$", "", text) if comment else text
    separator = SEPARATOR_LINE.match(text)
    return text[separator.end(1) :] if separator else text


def check_layout(text: str, delimiters: Sequence[str]) -> None:
    """Refuse lines above the header, and rows that have one cell more or less than the header, each with its command."""
    tables = {each: first_rows(text, each) for each in delimiters}
    delimiter = max(tables, key=lambda each: fit(tables[each]))
    rows = tables[delimiter]
    usual = usual_width(rows)
    if padded := lines_of_few_cells(rows):
        raise lines_above(padded, f"is not the header, {usual - 1} of its {usual} cells are empty")
    if usual < 2 or len(rows[0][1]) == usual:
        return
    if failure := misfit(rows[0][1], [row for _, row in rows[1:]], delimiter):
        raise failure
    above, (start, _) = next(
        (count, found) for count, found in enumerate(rows) if len(found[1]) == usual
    )
    if all(len(row) < usual for _, row in rows[:above]):
        raise lines_above(start - 1, f"is not the header, which has {usual} cells")


def lines_of_few_cells(rows: Sequence[tuple[int, Sequence[str]]]) -> int:
    """Return the number of lines above the first row of names if the first has one cell alone, as in an exported sheet."""
    filled = [sum(map(bool, map(str.strip, row))) for _, row in rows]
    if not rows or len(rows[0][1]) < 3 or filled[0] != 1:
        return 0
    for (line, row), cells in zip(rows[1:], filled[1:], strict=True):
        if cells >= len(row) - 1:
            return 0 if any(map(looks_numeric, row)) else line - 1
    return 0


def lines_above(count: int, what: str) -> Exception:
    """Return the refusal of the first `count` lines."""
    lines = "the line" if count == 1 else f"the first {count} lines"
    return refusal(
        PROMPT,
        f"line 1 {what}",
        "the names of the columns in the first line",
        f"remove {lines}: tail -n +{count + 1} old.csv > new.csv",
    )


def first_rows(text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """Return line number and cells of the first rows, blank lines left out."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[tuple[int, list[str]]] = []
    line = 1
    try:
        while len(rows) < ROWS:
            row = next(reader)
            rows += [(line, row)] if any(row) else []
            line = reader.line_num + 1
    except (csv.Error, StopIteration):
        pass
    return rows


def usual_width(rows: Sequence[tuple[int, Sequence[str]]]) -> int:
    widths = Counter(len(row) for _, row in rows).most_common(1)
    return widths[0][0] if widths else 0


def fit(rows: Sequence[tuple[int, Sequence[str]]]) -> tuple[int, int]:
    """Return how well a separator fits: the number of rows with the usual number of cells, and that number."""
    usual = usual_width(rows)
    return (sum(len(row) == usual for _, row in rows), usual) if usual > 1 else (0, 0)


def misfit(
    header: Sequence[str], rows: Sequence[Sequence[str]], delimiter: str
) -> Exception | None:
    """Return the refusal of rows that all have one cell more or less than the header, None for others."""
    extra = {
        len(row) - len(header) for row in rows
    }  # of all of them: one ragged row is another mistake
    mark = {"\t": "\\t", "|": "[|]", ".": "[.]"}.get(delimiter, delimiter)
    if extra == {-1} and not header[-1].strip():
        return separator_at_end("only the header ends with", f"sed '1s/{mark}\\r*$//'", delimiter)
    if extra != {1}:
        return None
    if not any(row[-1].strip() for row in rows):
        return separator_at_end(
            "each line but the header ends with", f"sed 's/{mark}\\r*$//'", delimiter
        )
    return refusal(
        PROMPT,
        f"each line has {len(header) + 1} cells, the header {len(header)}: the first of {shown(rows[0][0])} …"
        " has no name, as R writes row names",
        "a name for each column in the first line",
        f"add it: sed '1s/^/row{mark}/' old.csv > new.csv (in R: write.csv with row.names = FALSE)",
    )


def separator_at_end(what: str, command: str, delimiter: str) -> Exception:
    return refusal(
        PROMPT,
        f"{what} the separator {shown(delimiter)}, which makes one more cell",
        "the same number of cells in each line",
        f"remove it: {command} old.csv > new.csv",
    )
