"""A sample of a CSV file, plain or gzipped: its head, and blocks spread over the rest."""

import csv
import gzip
import io
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

from .data_file import PROMPT, unreadable
from .layout import check_layout, comment_of, without_marks
from .raw_table import RawTable
from .recorded import recorded_answers
from .refusal import refusal, shown

HEAD_BYTES = 2 << 20
BLOCK_BYTES = 1 << 18
BLOCKS = 8
SMALL_FILE_BYTES = HEAD_BYTES + BLOCKS * BLOCK_BYTES  # read completely
GZIP_REACH_BYTES = HEAD_BYTES + (32 << 20)  # of text; the rest takes too long to decompress
DELIMITERS = (",", ";", "\t")
SNIFFED_ROWS = 50
END_OF_DATA = "unexpected end of data"


@dataclass(frozen=True)
class Piece:
    """Bytes of a file from an offset on: complete lines, except that the file's last line may be incomplete."""

    data: bytes
    offset: int
    ends_file: bool = False


def read_csv(path: str, compressed: bool) -> RawTable:
    """Return the names and a sample of the rows; refuse a file that is not a table of UTF-8 text."""
    head, blocks = read_pieces(path, compressed)
    text = decoded(head)
    comment = comment_of(text)
    text = without_marks(text, comment)
    delimiter = sniffed_delimiter(text)
    if not recorded_answers():  # the update of a project that exists would fail
        check_layout(text, DELIMITERS)
    rows, many_lines = parsed_head(text, delimiter, head.ends_file)
    if not rows:
        raise refusal(
            PROMPT, "the file has only blank lines", "a header line and rows", "choose another file"
        )
    names, *rows = rows
    starts = [0]
    for block in [] if many_lines else blocks:
        more = parsed_block(block, delimiter, len(names))
        starts += [len(rows)] if more else []
        rows += more
    return RawTable(names, rows, tuple(starts), delimiter, comment)


def read_pieces(path: str, compressed: bool) -> tuple[Piece, list[Piece]]:
    """Return the head of a file and blocks of the rest; refuse a file that cannot be read."""
    try:
        if compressed:
            with gzip.open(path, "rb") as archive:
                return pieces(cast(BinaryIO, archive), GZIP_REACH_BYTES)
        with open(path, "rb") as file:
            return pieces(file, os.fstat(file.fileno()).st_size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise refusal(
            PROMPT,
            f"the gzip file {shown(os.path.basename(path))} is corrupted ({error})",
            "a complete gzip file",
            "copy or write it again, and test it with gzip -t",
        ) from None
    except OSError as error:
        raise unreadable(path, error) from None


def pieces(stream: BinaryIO, reach_bytes: int) -> tuple[Piece, list[Piece]]:
    """Return the head of a stream and blocks spread over `reach_bytes`; no blocks for a small file."""
    first = stream.read(SMALL_FILE_BYTES)
    if len(first) < SMALL_FILE_BYTES:
        return Piece(first, 0, ends_file=True), []
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


def decoded(piece: Piece) -> str:
    """Return a piece as text; refuse other encodings than UTF-8, naming the first invalid byte."""
    try:
        text = piece.data.decode("utf-8")
    except UnicodeDecodeError as error:
        encoding = "UTF-16" if piece.data[:2] in (b"\xff\xfe", b"\xfe\xff") else "WINDOWS-1252"
        raise refusal(
            PROMPT,
            f"byte {piece.offset + error.start} of the text is {piece.data[error.start]:#04x}, not UTF-8",
            "UTF-8 text",
            f"convert it, for example with: iconv -f {encoding} -t UTF-8 old.csv > new.csv",
        ) from None
    if "\0" in text:
        offset = piece.offset + piece.data.index(b"\0")
        problem = f"byte {offset} is zero, so the file is not text"
        raise refusal(PROMPT, problem, "UTF-8 text", "save the table as CSV")
    return text.removeprefix("\ufeff") if piece.offset == 0 else text


def sniffed_delimiter(text: str) -> str:
    """Return the separator under which the most rows have as many cells as the header."""
    return max(DELIMITERS, key=lambda delimiter: matching_rows(text, delimiter))


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


def parsed_block(block: Piece, delimiter: str, width: int) -> list[list[str]]:
    """Return the rows of a block; none if quotes make it ambiguous where a row ends."""
    text = decoded(block)
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
