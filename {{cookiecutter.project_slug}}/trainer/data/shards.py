"""Prepared shards as arrays: all rows at once where they fit in memory, else one window of row groups after another."""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trainer.data import files
from trainer.data.schema import Schema
from trainer.run.errors import UserError

BYTES_PER_VALUE = 4
COPIES_IN_MEMORY = 2  # the arrays, and the tensors made of them
# While one replaces another: both, the tensors of both, and the one that is read ahead.
WINDOWS_IN_MEMORY = 5
READER_MB = 24  # what pyarrow takes for itself, measured


@dataclass(frozen=True)
class Window:
    """Rows in memory: `numbers` float32 [rows, numeric] (NaN where missing), `codes` int32 [rows, codes], `labels` [rows].

    `weights`, float32 [rows], have the mean 1 over the training rows; None: all rows count alike.
    """

    numbers: npt.NDArray[np.float32]
    codes: npt.NDArray[np.int32]
    labels: npt.NDArray[Any]
    weights: npt.NDArray[np.float32] | None = None

    @property
    def rows(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class RowGroup:
    """A piece of a shard that can be read by itself."""

    path: Path
    index: int
    rows: int


class Split:
    """The shards of one split, read at once where they fit in memory, else in windows."""

    def __init__(self, folder: Path, schema: Schema, memory_mb: int) -> None:
        pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own keeps what was freed
        self.schema = schema
        self.groups = row_groups(folder)
        self.rows = sum(group.rows for group in self.groups)
        more = len(pq.read_schema(self.groups[0].path).names) - len(schema.used)
        for_rows_mb = max(memory_mb - READER_MB, memory_mb / 2)
        bytes_per_row = BYTES_PER_VALUE * (len(schema.numeric) + schema.code_width + more)
        self._rows_in_memory = max(1, int(for_rows_mb * 2**20) // bytes_per_row)
        self._all_rows: Window | None = None

    @property
    def fits(self) -> bool:
        return self.rows * COPIES_IN_MEMORY <= self._rows_in_memory

    def plan(self, seed: Sequence[int]) -> list[list[RowGroup]]:
        """Return the row groups of each window of an epoch, in the order that `seed` shuffles them into."""
        if self.fits:
            return [self.groups]
        shuffled = [
            self.groups[index]
            for index in np.random.default_rng(seed).permutation(len(self.groups))
        ]
        return windows_of(shuffled, self._rows_in_memory // WINDOWS_IN_MEMORY)

    def windows(self, plan: Sequence[Sequence[RowGroup]], first: int = 0) -> Iterator[Window]:
        """Yield the windows of `plan` from the one numbered `first`, reading the next while one is used."""
        if self.fits:
            yield self.all_rows()
            return
        with ThreadPoolExecutor(max_workers=1) as reader:
            coming = reader.submit(read_window, plan[first], self.schema)
            for groups in [*plan[first + 1 :], None]:
                window = coming.result()
                if groups is not None:
                    coming = reader.submit(read_window, groups, self.schema)
                yield window

    def smallest_label(self) -> float:
        """Return the smallest label, a number."""
        files = ((pq.ParquetFile(each.path), each.index) for each in self.groups)
        labels = (file.read_row_group(i, file.schema_arrow.names[-1:]) for file, i in files)
        return min(float(pc.min(each.column(0)).as_py()) for each in labels)

    def first_rows(self) -> Window:
        """Return the first rows, all if they fit in memory."""
        return self.all_rows() if self.fits else read_window(self.groups[:1], self.schema)

    def all_rows(self) -> Window:
        """Return all rows; they are read once."""
        if self._all_rows is None:
            self._all_rows = read_window(self.groups, self.schema)
        return self._all_rows


def row_groups(folder: Path) -> list[RowGroup]:
    """Return the row groups of all shards in `folder`, in the order of their names."""
    groups = []
    for path in sorted(folder.glob(files.SHARDS)):
        try:
            metadata = pq.read_metadata(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(
                f"the shard {path} cannot be read ({error})",
                "a Parquet file that `prepare` has written",
                "run `nox -s prepare` again",
            ) from error
        groups += [
            RowGroup(path, index, metadata.row_group(index).num_rows)
            for index in range(metadata.num_row_groups)
        ]
    if not groups:
        raise UserError(
            f"{folder} holds no shards",
            "Parquet files that `prepare` has written",
            "run `nox -s prepare`, or name its output with --data-dir",
        )
    return groups


def windows_of(groups: Sequence[RowGroup], rows: int) -> list[list[RowGroup]]:
    """Return `groups` cut into windows of at most `rows` rows, but at least one group each."""
    windows: list[list[RowGroup]] = []
    filled = rows
    for group in groups:
        if filled + group.rows > rows:
            windows.append([])
            filled = 0
        windows[-1].append(group)
        filled += group.rows
    return windows


def read_window(groups: Sequence[RowGroup], schema: Schema) -> Window:
    rows = sum(group.rows for group in groups)
    numbers = np.empty((rows, len(schema.numeric)), np.float32)
    codes = np.empty((rows, schema.code_width), np.int32)
    labels: npt.NDArray[Any] = np.empty(
        rows, np.float32 if schema.task == "regression" else np.int32
    )
    weights, begin = None, 0
    for table in tables(groups):
        end = begin + table.num_rows
        for column, name in enumerate(schema.numeric):
            numbers[begin:end, column] = table.column(name).to_numpy()
        for column, name in enumerate(schema.coded):
            codes[begin:end, column] = table.column(name).to_numpy()
        for number, name in enumerate(schema.texts):
            first, width = len(schema.coded) + number * schema.text_words, schema.text_words
            words = table.column(name).combine_chunks().flatten().to_numpy()
            codes[begin:end, first : first + width] = words.reshape(-1, width)
        labels[begin:end] = table.column(schema.label).to_numpy()
        if table.num_columns > len(schema.used) + 1:
            weights = np.empty(rows, np.float32) if weights is None else weights
            weights[begin:end] = table.column(-2).to_numpy()
        begin = end
    return Window(numbers, codes, labels, weights)


def tables(groups: Sequence[RowGroup]) -> Iterator[pa.Table]:
    """Yield the rows of each group: one at a time, because those of a complete window would take its memory once more."""
    for path, of_file in itertools.groupby(groups, lambda group: group.path):
        file = pq.ParquetFile(path)
        for group in of_file:
            yield file.read_row_group(group.index, use_threads=False)
