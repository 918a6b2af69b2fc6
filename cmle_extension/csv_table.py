"""A sample of a text file, CSV or JSON Lines: its head, and blocks spread over the rest."""

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from .data_file import PROMPT, no_table, opened
from .layout import check_layout, comment_of, without_marks
from .raw_table import RawTable
from .recorded import recorded_answers
from .refusal import refusal, shown
from .shared import table_files

HEAD_BYTES: int = table_files.BEGINNING_BYTES
BLOCK_BYTES = 1 << 18
BLOCKS = 8
SMALL_FILE_BYTES = HEAD_BYTES + BLOCKS * BLOCK_BYTES  # read completely
REACH_BYTES = {  # of text; the rest takes too long to decompress
    "gzip": HEAD_BYTES + (32 << 20),
    "zip": HEAD_BYTES + (32 << 20),
}
DELIMITERS = (",", ";", "\t", "|")
NO_DELIMITERS = "_.\"'\r\n"
SNIFFED_ROWS = 50
END_OF_DATA = "unexpected end of data"
WIDE_ENCODINGS = ("utf-16", "utf-32", "utf-16-le", "utf-16-be")  # a line end has more than a byte


@dataclass(frozen=True)
class Piece:
    """Bytes of a file from an offset on: complete lines, except that the file's last line may be incomplete."""

    data: bytes
    offset: int
    ends_file: bool = False


def read_text(path: Path, share: int = 1) -> RawTable:
    """Return the names and a sample of the rows, the fewer the larger the number of files; refuse what is no table."""
    head, blocks = read_pieces(path, share)
    if not head.data:
        raise refusal(
            PROMPT, f"{shown(path.name)} is empty", "a header line and rows", "choose another file"
        )
    declared = guessed_encoding(b"".join(piece.data for piece in (head, *blocks)))
    try:
        text, encoding = table_files.text_of(path, head.data, declared)
        if text.lstrip().startswith("{"):
            names = table_files.json_names(path, text[:HEAD_BYTES])
            return json_table(
                names, [text, *(decoded(each, encoding) for each in blocks)], declared
            )
    except table_files.NoTable as error:
        raise no_table(path, error) from None
    return csv_table(head, blocks, encoding, declared)


def csv_table(head: Piece, blocks: Sequence[Piece], encoding: str, declared: str) -> RawTable:
    csv.field_size_limit(HEAD_BYTES)  # what preparation reads as a line, too
    text = decoded(head, encoding)
    comment = comment_of(text)
    text = without_marks(text, comment)
    candidates = delimiters_of(text)
    delimiter = sniffed_delimiter(text, candidates)
    if not recorded_answers():  # the update of a project that exists would fail
        check_layout(text, candidates)
    rows, many_lines = parsed_head(text, delimiter, head.ends_file)
    if not rows:
        raise refusal(
            PROMPT, "the file has only blank lines", "a header line and rows", "choose another file"
        )
    names, *rows = rows
    starts = [0]
    for block in [] if many_lines else blocks:
        more = parsed_block(block, delimiter, len(names), encoding)
        starts += [len(rows)] if more else []
        rows += more
    return RawTable(names, rows, tuple(starts), delimiter, comment, encoding=declared)


def json_table(names: Sequence[str], texts: Sequence[str], declared: str) -> RawTable:
    """Return the rows of JSON Lines; lists and objects count as missing."""
    rows: list[list[str]] = []
    starts: list[int] = []
    nested: dict[str, str] = {}
    for text in texts:
        starts.append(len(rows))
        for row in filter(None, map(table_files.json_row, text.split("\n"))):
            rows.append([json_cell(row.get(name)) for name in names])
            nested |= nested_cells(row)
    reasons = {name: nested[name] for name in names if name in nested}
    return RawTable(
        names, rows, tuple(starts), ",", reasons=reasons, encoding=declared, kind="json"
    )


def json_cell(value: object) -> str:
    return "" if isinstance(value, (dict, list)) else str(table_files.json_cell(value))


def nested_cells(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: "its cells are lists or objects"
        for name, value in row.items()
        if isinstance(value, (dict, list))
    }


def guessed_encoding(data: bytes) -> str:
    """Return UTF-8, or, if most of what is not ASCII is invalid in it, Windows's encoding or latin-1."""
    if data.count(0) * 5 > len(data) and not data.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0")):
        return "utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "utf-16-be"
    text = data.decode("utf-8", "replace")
    if text.count("\ufffd") <= len(re.findall("[^\0-\x7f\ufffd]", text)):
        return "utf-8"
    if any(data.startswith(mark) for mark in table_files.MARKS):
        return "utf-8"  # its mark says more
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252" if re.search(rb"[\x80-\x9f]", data) else "latin-1"


def read_pieces(path: Path, share: int) -> tuple[Piece, list[Piece]]:
    """Return the head of a file and blocks of the rest, nothing but a shorter head of one of several files."""
    how = table_files.compression(path)
    with opened(path) as file:
        if share > 1 or how not in ("", *REACH_BYTES):
            data = file.read(max(BLOCK_BYTES, SMALL_FILE_BYTES // share))
            is_all = not file.read(1)
            return Piece(data if is_all else data[: data.rfind(b"\n") + 1] or data, 0, is_all), []
        return pieces(file, REACH_BYTES.get(how) or os.path.getsize(path))


def pieces(stream: BinaryIO, reach_bytes: int) -> tuple[Piece, list[Piece]]:
    """Return the head of a stream and blocks spread over `reach_bytes`; no blocks for a small file."""
    first = stream.read(SMALL_FILE_BYTES)
    if len(first) < SMALL_FILE_BYTES:
        return Piece(first, 0, ends_file=True), []
    if first[:HEAD_BYTES].count(0) * 5 > HEAD_BYTES:  # UTF-16, where a line end is no single byte
        return Piece(first[:HEAD_BYTES], 0), []
    head = Piece(first[: first.rfind(b"\n", 0, HEAD_BYTES) + 1], 0)
    if not head.data:
        problem = f"the first line is longer than {HEAD_BYTES} bytes"
        raise refusal(PROMPT, problem, "a text table with a header line", "choose another file")
    rest = reach_bytes - HEAD_BYTES
    ends = [HEAD_BYTES + rest * number // BLOCKS for number in range(1, BLOCKS + 1)]
    return head, [block_at(stream, end - BLOCK_BYTES) for end in ends]


def block_at(stream: BinaryIO, offset: int) -> Piece:
    """Return the complete lines of a block, without the partial lines at its ends."""
    stream.seek(offset)
    data = stream.read(BLOCK_BYTES)
    start, end = data.find(b"\n") + 1, data.rfind(b"\n") + 1
    return Piece(data[start:end], offset + start)


def decoded(piece: Piece, encoding: str) -> str:
    """Return a piece as text; refuse bytes that are invalid, naming the first."""
    data = piece.data
    if encoding in WIDE_ENCODINGS and not piece.ends_file:
        text = data[: len(data) // 4 * 4].decode(encoding, "ignore")
        return text[: text.rfind("\n") + 1]
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = f"line {data.count(10, 0, error.start) + 1}, " if piece.offset == 0 else ""
        name = encoding.upper()
        raise refusal(
            PROMPT,
            f"{line}byte {piece.offset + error.start} of the text is {data[error.start]:#04x}, not {name}",
            f"{name} text",
            f"remove it: iconv -c -f {name} -t UTF-8 old.csv > new.csv (or correct the line)",
        ) from None
    if "\0" in text:
        offset = piece.offset + data.index(b"\0")
        problem = f"byte {offset} is zero, so the file is not text"
        raise refusal(PROMPT, problem, "text", "save the table as CSV")
    return text.removeprefix("\ufeff") if piece.offset == 0 else text


def delimiters_of(text: str) -> tuple[str, ...]:
    """Return the usual separators; where none fits, also one that divides each of the first rows as the header."""
    if any(matching_rows(text, each)[0] > 1 for each in DELIMITERS):
        return DELIMITERS
    header = text.lstrip("\r\n").split("\n", 1)[0]
    marks = dict.fromkeys(
        each for each in header if not each.isalnum() and each not in NO_DELIMITERS
    )
    lines = [line for line in text.split("\n", SNIFFED_ROWS) if line.strip()][:SNIFFED_ROWS]
    others = {each: matching_rows(text, each) for each in marks}
    fitting = [each for each, (rows, _) in others.items() if 1 < rows >= len(lines) - 1]
    return (*DELIMITERS, *sorted(fitting, key=lambda each: others[each])[-1:])


def sniffed_delimiter(text: str, candidates: Sequence[str] = DELIMITERS) -> str:
    """Return the separator under which the most rows have as many cells as the header."""
    return max(candidates, key=lambda delimiter: matching_rows(text, delimiter))


def matching_rows(text: str, delimiter: str) -> tuple[int, int]:
    """Return how many of the first rows have the header's number of cells, and that number."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    widths: list[int] = []
    try:
        while len(widths) < SNIFFED_ROWS:
            row = next(reader)
            widths += [len(row)] if row else []
    except (csv.Error, StopIteration):
        pass
    if not widths or widths[0] < 2:
        return 0, 0
    return widths.count(widths[0]), widths[0]


def parsed_head(text: str, delimiter: str, ends_file: bool) -> tuple[list[list[str]], bool]:
    """Return the rows of the head, header first, and whether a cell spans lines; refuse ragged rows."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    records = 0
    try:
        for row in reader:
            records += 1
            if row:
                rows.append(row)
                check_width(row, len(rows[0]), f"line {reader.line_num}")
    except csv.Error as error:
        # The head may end inside quotes, the file may not.
        if ends_file or str(error) != END_OF_DATA:
            raise broken_line(reader.line_num, error) from None
    return rows, records < reader.line_num


def broken_line(line: int, error: csv.Error) -> Exception:
    return refusal(
        PROMPT,
        f"line {line} cannot be read ({error})",
        'quotes around complete cells only, and "" for a quote inside',
        "close or double the quotes in that line",
    )


def check_width(row: Sequence[str], width: int, where: str) -> None:
    """Refuse a row with another number of cells than the header."""
    if len(row) != width:
        raise refusal(
            PROMPT,
            f"the number of cells in {where} is {len(row)}, in the header {width}",
            "the same number of cells in each row",
            "fix the line, and put quotes around cells that contain the separator",
        )


def parsed_block(block: Piece, delimiter: str, width: int, encoding: str) -> list[list[str]]:
    """Return the rows of a block; none if quotes make it ambiguous where a row ends."""
    text = decoded(block, encoding)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        records = list(reader)
    except csv.Error:
        return []
    if len(records) < reader.line_num:
        return []
    rows = [row for row in records if row]
    ragged = [row for row in rows if len(row) != width]
    if ragged and '"' in text:
        return []
    if ragged:
        check_width(ragged[0], width, f"a line after byte {block.offset}")
    return rows
