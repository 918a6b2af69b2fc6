"""Raw rows to predict, in batches of columns: the files that training reads, and JSON arrays."""

import csv
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from trainer.data import cells, table_files
from trainer.data.schema import Schema, named
from trainer.data.table_files import NoTable
from trainer.run.errors import UserError, shown

BATCH_ROWS = 1 << 13  # whose numbers fit the caches
ARRAY = re.compile(r'\s*(\{\s*"instances"\s*:\s*)?\[')  # alone, or in a request
NEXT = re.compile(r"[^\s,]")
BLOCK_LETTERS = 1 << 20
SEVERAL_TYPES = (ValueError, TypeError, OverflowError)  # Arrow's errors are among them

Rows = tuple[list[tuple[str, ...]], dict[str, Any]]  # of a `Batch`: names and columns


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of a file from row `first` on: the names of each one's columns, and those that are wanted."""

    source: str
    first: int
    names: list[tuple[str, ...]]
    columns: dict[str, Any]
    decimal: str

    def array(self, name: str, as_text: bool = False) -> pa.Array:
        """Return a column as an Arrow array; cells of JSON become text if they are of several types, or all `as_text`."""
        values = self.columns.get(name, [None] * len(self.names))
        if isinstance(values, pa.Array):
            return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
        with suppress(*SEVERAL_TYPES):
            if not as_text:
                return pa.array(values)
        return self.text_array(name, values)

    def texts(self, name: str) -> tuple[Any, list[str]]:
        """Return the text that each row has in a column, int32 [rows], and the different texts without blanks around them."""
        array = self.array(name)
        if pa.types.is_nested(array.type):
            array = self.text_array(name, array.to_pylist())
        coded = array.dictionary_encode("encode")
        values = coded.dictionary.to_pylist()
        if array.type == pa.float32():  # to_pylist returns more digits
            values = [float(str(each)) for each in coded.dictionary.to_numpy(False)]
        texts = (cells.text(each, self.decimal) for each in values)
        return coded.indices.to_numpy(), [*map(cells.stripped, texts)]

    def text_array(self, name: str, values: Sequence[Any]) -> pa.Array:
        """Return values as text; raise `UserError` for a nested one."""
        for row, value in enumerate(values, self.first):
            if isinstance(value, (dict, list)):
                what = f"{self.source}, row {row}, column {shown(name)} is {shown(value)}"
                raise UserError(what, "text, a number, true, false or null", "correct the cell")
        return pa.array([cells.text(value, self.decimal) for value in values])


@dataclass(frozen=True)
class Reading:
    """How rows are read; `columns`, those of the model, also show separators, and whether there is a header line."""

    schema: Schema
    columns: Collection[str]
    keep: Sequence[str]

    def batches(self, path: Path) -> Iterator[Batch]:
        """Yield the rows of a file, folder or pattern, or of standard input for `-`; raise `UserError` if there are none."""
        batch = None
        try:
            with tempfile.TemporaryDirectory() as folder:
                root, files = files_at(path, Path(folder, "standard input"))
                for file in files:
                    first, folders = 1, self.folders_of(file.relative_to(root))
                    for rows in self.of_file(file):
                        names, columns = with_folders(*rows, folders)
                        batch = Batch(file.name, first, names, columns, self.schema.decimal)
                        yield batch
                        first += len(names)
            if not batch:
                raise NoTable(path, "without rows", "name another with --input")
        except NoTable as error:
            raise UserError(str(error), table_files.TABLES, error.remedy) from error

    def folders_of(self, path: Path) -> dict[str, str]:
        """Return the columns that are in the names of folders such as year=2024, and that are wanted."""
        found = table_files.partitions_of(path).items()
        texts = {key: unquote(text).replace(table_files.NO_VALUE, "") for key, text in found}
        return {key: texts[key] for key in texts if key in self.columns or key in self.keep}

    def of_file(self, file: Path) -> Iterator[Rows]:
        with table_files.opened(file) as content:
            beginning = content.read(table_files.BEGINNING_BYTES)
        try:
            if beginning.startswith(table_files.PARQUET):
                yield from self.of_parquet(file)
                return
            # Without the bracket, because an array is no table to train on.
            bare = beginning.lstrip(b" \t\r\n[")
            text, encoding = table_files.text_of(file, bare, self.schema.encoding)
            is_array = bool(beginning.lstrip().startswith(b"[") or ARRAY.match(text))
            with table_files.opened(file) as content:
                codec = {"utf-8": "utf-8-sig"}.get(encoding, encoding)
                lines = TextIOWrapper(content, codec, newline="")
                if is_array or text.lstrip().startswith("{") or "json" in file.suffix:
                    yield from self.of_json(json_blocks(lines, is_array))
                else:
                    yield from self.of_csv(lines)
        except (*SEVERAL_TYPES, RecursionError) as error:
            fix = table_files.OTHER_ENCODING if isinstance(error, UnicodeError) else "correct it"
            raise NoTable(file, f"invalid ({error})", fix) from error

    def of_parquet(self, file: Path) -> Iterator[Rows]:
        table = pa.parquet.ParquetFile(file)
        names = tuple(table.schema_arrow.names)
        wanted = [name for name in names if name in self.columns or name in self.keep]
        for rows in table.iter_batches(BATCH_ROWS, columns=wanted):
            yield [names] * len(rows), dict(zip(rows.schema.names, rows.columns, strict=True))

    def of_json(self, blocks: Iterator[list[str]]) -> Iterator[Rows]:
        types = pa.schema([])
        for at, lines in enumerate(blocks):
            columns = typed_columns(lines, types, self.keep)
            names = [tuple(columns)] * len(lines)
            if not columns:
                rows = json_rows(lines, 1 + at * BATCH_ROWS)
                names = [*map(tuple, rows)]
                present = {*chain.from_iterable({*names})}.intersection([*self.columns, *self.keep])
                columns = {each: [row.get(each) for row in rows] for each in present}
                with suppress(*SEVERAL_TYPES):
                    types = pa.Table.from_pylist(rows).schema
            yield names, columns

    def of_csv(self, text: TextIO) -> Iterator[Rows]:
        comment, first = self.schema.comment, 1
        not_comments = (line for line in text if not (comment and line.startswith(comment)))
        names, delimiter, lines = self.header(not_comments)
        # Arrow takes a fifth of the time, but reads misplaced quotes without an error.
        while block := list(islice(lines, BATCH_ROWS)):
            if not (found := split_lines("".join(block), names, delimiter)):
                break
            yield [names] * len(found), dict(zip(names, found.columns, strict=True))
            first += len(found)
        rows = csv_rows(chain(block, lines), delimiter, first, len(names))
        while some := list(islice(rows, BATCH_ROWS)):
            yield [names] * len(some), dict(zip(names, zip(*some, strict=True), strict=True))

    def header(self, lines: Iterator[str]) -> tuple[tuple[str, ...], str, Iterator[str]]:
        """Return the names of the columns, the separator, and the lines of the rows."""
        schema, delimiters = self.schema, [self.schema.delimiter or ",", ",", ";", "\t"]
        first = next((line for line in lines if line.strip("\r\n")), "")
        if separator := re.fullmatch(r"(?i)sep=(.)\s*", first):  # what Excel writes first
            delimiters, first = [separator[1]], next(lines, "")
        split = {at: [cell.strip().strip('"') for cell in first.split(at)] for at in delimiters}
        known = {each: len({*split[each]} & {*self.columns}) for each in split}
        delimiter = max(split, key=lambda each: known[each])
        lines = chain([first], lines)
        for names in (schema.header, tuple(n for n in schema.header if n != schema.label)):
            if not known[delimiter] and len(names) == len(split[delimiter]):
                return names, delimiter, lines
        return named(next(csv_rows(lines, delimiter), ()), schema), delimiter, lines


def files_at(path: Path, copied: Path) -> tuple[Path, list[Path]]:
    """Return the files that a path names, and their folder; a stream is copied to a file first, because it is read twice."""
    if str(path) != "-" and (path.is_file() or path.is_dir() or not path.exists()):
        root, files = table_files.files_of(path)
        if files:
            return root, files
        raise NoTable(path, "not there", "correct --input")
    stream: Any = sys.stdin.buffer if str(path) == "-" else path.open("rb")
    with stream, copied.open("wb") as file:
        shutil.copyfileobj(stream, file)
    return copied.parent, [copied]


def with_folders(
    names: list[tuple[str, ...]], columns: dict[str, Any], folders: Mapping[str, str]
) -> Rows:
    """Return rows with the columns that are in the names of folders, unless they have them themselves."""
    more = {key: text for key, text in folders.items() if key not in names[0]}
    if more:
        columns = columns | {key: [text] * len(names) for key, text in more.items()}
    return [each + tuple(more) for each in names] if more else names, columns


def json_blocks(text: TextIO, is_array: bool) -> Iterator[list[str]]:
    """Yield the text of rows: lines, or values of an array, alone or as "instances" of a request."""
    rows = array_rows(text) if is_array else filter(str.strip, text)
    return iter(lambda: [*islice(rows, BATCH_ROWS)], [])


def array_rows(text: TextIO) -> Iterator[str]:
    """Yield the text of each value of an array; raise `ValueError` if it, or what is around it, is no JSON."""
    decoder, held, row = json.JSONDecoder(), text.read(BLOCK_LETTERS), 1
    before = held[: (at := held.index("[") + 1)]
    while not (found := NEXT.search(held, at)) or found[0] != "]":
        start = found.start() if found else at
        try:
            at = decoder.raw_decode(held, start)[1]
            yield held[start:at]
            row += 1
        except json.JSONDecodeError as error:
            if not (more := text.read(BLOCK_LETTERS)):
                raise ValueError(f"row {row}: {error.msg}") from error
            held, at = held[at:] + more, 0
    json.loads(before + held[at:] + text.read())


def json_rows(lines: Sequence[str], first: int) -> list[Any]:
    if None in (rows := [*map(table_files.json_row, lines)]):
        at = rows.index(None)
        raise ValueError(f"row {first + at} is no JSON object: {shown(lines[at].strip())}")
    return rows


def typed_columns(lines: Sequence[str], types: pa.Schema, kept: Sequence[str]) -> dict[str, Any]:
    """Return the cells of lines by Arrow, which is faster; none if `json_rows` may find other columns, cells or rows."""
    with suppress(*SEVERAL_TYPES):
        data = "\n".join(lines).encode()
        parse = pa.json.ParseOptions(types, unexpected_field_behavior="error")
        table = pa.json.read_json(pa.BufferReader(data), parse_options=parse).combine_chunks()
        columns = {name: table[name].chunk(0) for name in types.names}
        nulls = sum(column.null_count for column in columns.values())  # a lacking column is one
        same = not nulls or nulls == len(re.findall(rb'(?<![\\:\s])": ?null', data))  # of a key
        same &= all(as_parsed(c, n in kept) for n, c in columns.items() if c.type == "double")
        same &= len(table) == len(lines) == data.count(b"{") + data.count(b"[")  # no cell is nested
        if same and all(line[0] == "{" for line in lines):
            return columns | {each: columns[each].to_pylist() for each in {*kept} & {*columns}}
    return {}


def as_parsed(values: pa.Array, kept: bool) -> bool:
    """Return whether `pa.array` would make these floats of JSON: of 3 and 4.5, but not of 3 alone, or where it is kept."""
    numbers = values.drop_null().to_numpy()
    whole = numbers[numbers == np.floor(numbers)]
    odd = kept | (abs(whole) >= 2**53) | ((whole == 0) & np.signbit(whole))
    return len(whole) < len(numbers) and not odd.any()


def split_lines(content: str, names: Sequence[str], delimiter: str) -> pa.RecordBatch | None:
    """Return the cells of lines, None if there are quotes, or a line with more or fewer cells."""
    data, types = content.encode(), dict.fromkeys(names, pa.string())
    read = pa.csv.ReadOptions(column_names=names, block_size=len(data) + 1, use_threads=False)
    convert = pa.csv.ConvertOptions(column_types=types)
    with suppress(ValueError):  # Arrow's are
        parse = pa.csv.ParseOptions(delimiter=delimiter, quote_char=False)
        if '"' not in content:
            table = pa.csv.read_csv(pa.BufferReader(data), read, parse, convert)
            return table.combine_chunks().to_batches()[0]
    return None


def csv_rows(
    lines: Iterable[str], delimiter: str, number: int = 0, width: int = 0
) -> Iterator[Any]:
    """Yield the rows of strict CSV, of `width` cells unless that is 0, from row `number` on; 0 is the header."""
    try:
        for row in filter(None, csv.reader(lines, delimiter=delimiter, strict=True)):
            if width and len(row) != width:
                raise csv.Error(f"{len(row)} cells, and {width} in the first line")
            yield row
            number += 1
    except csv.Error as error:
        raise ValueError(f"{f'row {number}' if number else 'header'}: {error}") from error
