"""Prepared shards as arrays: one window of row groups after another, of which each process reads a part of its own."""

import itertools
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trainer.data import files
from trainer.data.schema import Schema
from trainer.run.cluster import ClusterPosition
from trainer.run.errors import UserError

BYTES_PER_VALUE = 4
COPIES_IN_MEMORY = 2  # the arrays, and the tensors made of them
# While one replaces another: both, the tensors of both, and the one that is read ahead.
WINDOWS_IN_MEMORY = 5
READER_MB = 24  # what pyarrow takes for itself, measured
# Of the default window on one process. The order of training depends on the window, so no machine's memory sets it.
WINDOW_MB = 2048


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
    """A piece of a shard that can be read by itself; `begin` rows of its split are before it."""

    path: Path
    index: int
    rows: int
    begin: int


class Batches(NamedTuple):
    """The batches of a window, int64: the numbers of own rows, batch after batch, where each begins, and its rows on all processes."""

    order: npt.NDArray[np.int64]
    cuts: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]


class Split:
    """The shards of one split in windows of `window_groups` row groups, which are dealt to the processes of a job."""

    def __init__(
        self,
        folder: Path,
        schema: Schema,
        memory_mb: int,
        window_groups: int | None = None,
        position: ClusterPosition | None = None,
    ) -> None:
        pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own keeps what was freed
        self.schema, self.position = schema, position or ClusterPosition()
        self.groups = row_groups(folder)
        self.rows = sum(group.rows for group in self.groups)
        more = len(pq.read_schema(self.groups[0].path).names) - len(schema.used)
        self.weighted = more > 1
        self._bytes_per_row = BYTES_PER_VALUE * (len(schema.numeric) + schema.code_width + more)
        self._all_rows: Window | None = None
        chosen = window_groups or self.largest_window(WINDOW_MB, processes=1)
        self.window_groups = min(chosen, len(self.groups))
        if self.window_groups > (most := self.largest_window(memory_mb, self.position.count)):
            what = f"--memory-mb {memory_mb} is too little for windows of {self.window_groups} row groups"
            fix = f"add --window-groups {most}, or raise --memory-mb"
            raise UserError(what, "memory for the part of each replica", fix)

    def largest_window(self, memory_mb: int, processes: int) -> int:
        """Return how many row groups a window may have whose parts fit in the memory of each process, at least 1."""
        for_rows_mb = max(memory_mb - READER_MB, memory_mb / 2)
        rows = int(for_rows_mb * 2**20) // self._bytes_per_row
        largest = max(group.rows for group in self.groups)
        own = min(self.rows, -(-len(self.groups) // processes) * largest)
        if own * COPIES_IN_MEMORY <= rows:
            return len(self.groups)
        return max(1, rows // (WINDOWS_IN_MEMORY * largest) * processes)

    @property
    def fits(self) -> bool:
        """Whether there is one window, which then stays in memory."""
        return self.window_groups == len(self.groups)

    def plan(self, seed: Sequence[int] | None = None) -> list[list[RowGroup]]:
        """Return the row groups of each window of an epoch, in the order that `seed` shuffles them into, if there is one."""
        groups, size = self.groups, self.window_groups
        if seed is not None and not self.fits:
            groups = [groups[at] for at in np.random.default_rng(seed).permutation(len(groups))]
        return [groups[first : first + size] for first in range(0, len(groups), size)]

    def own(self, groups: Sequence[RowGroup]) -> range:
        """Return the indices of this process's groups of a window."""
        index, count = self.position.index, self.position.count
        first, last = (-(-len(groups) * number // count) for number in (index, index + 1))
        return range(first, last)

    def windows(self, plan: Sequence[Sequence[RowGroup]], first: int = 0) -> Iterator[Window]:
        """Yield this process's part of the windows of `plan` from the one numbered `first`, reading the next while one is used."""
        if self.fits:
            yield self.all_rows()
        else:
            yield from computed_ahead(map(self.read, plan[first:]))

    def read(self, groups: Sequence[RowGroup]) -> Window:
        """Return this process's rows of a window."""
        own = self.own(groups)
        return read_window(groups[own.start : own.stop], self.schema, self.weighted)

    def smallest_label(self) -> float:
        """Return the smallest label of this process's rows, a number, infinity if it has none."""
        own = self.own(self.groups)
        files = ((pq.ParquetFile(self.groups[at].path), self.groups[at].index) for at in own)
        labels = (file.read_row_group(i, file.schema_arrow.names[-1:]) for file, i in files)
        return min((float(pc.min(each.column(0)).as_py()) for each in labels), default=math.inf)

    def first_rows(self, rows: int) -> Window:
        """Return the first groups that hold at least `rows` rows, or all; each process would return the same."""
        if self.fits and self.position.count == 1:
            return self.all_rows()
        groups = [group for group in self.groups if group.begin < rows]
        return read_window(groups, self.schema, self.weighted)

    def all_rows(self) -> Window:
        """Return this process's part of all rows, which is read once."""
        if self._all_rows is None:
            self._all_rows = self.read(self.groups)
        return self._all_rows


def computed_ahead(items: Iterator[Any]) -> Iterator[Any]:
    """Yield each item while a thread computes the next; None ends the items."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        following = thread.submit(next, items, None)
        while (item := following.result()) is not None:
            following = thread.submit(next, items, None)
            yield item


def batches_of(sizes: Sequence[int], own: range, count: int, seed: Sequence[int]) -> Batches:
    """Return the batches of a window of groups of some `sizes`, with the rows of the `own` ones: each has its share of each group.

    Group g of G gives batch n its shuffled rows from `sizes[g] * n / count + g / G`, rounded down, on.
    """
    numbers, total = np.arange(count + 1), np.zeros(count + 1, np.int64)
    orders, batches, begin = [], [], 0
    for group, rows in enumerate(sizes):
        cuts = (rows * numbers + count * group // len(sizes)) // count
        total += cuts
        if group in own:
            shuffled = np.random.default_rng([*seed, group]).permutation(rows)
            orders.append(begin + shuffled)
            batches.append(np.repeat(numbers[:-1], np.diff(cuts)))
            begin += rows
    batch = np.concatenate([numbers[:0], *batches])
    order = np.concatenate([numbers[:0], *orders])[np.argsort(batch, kind="stable")]
    own_sizes = np.bincount(batch, minlength=count)
    return Batches(order, np.append(0, own_sizes.cumsum()), np.diff(total))


def row_groups(folder: Path) -> list[RowGroup]:
    """Return the row groups of all shards in `folder`, in the order of their names."""
    groups: list[RowGroup] = []
    begin = 0
    for path in sorted(folder.glob(files.SHARDS)):
        try:
            metadata = pq.read_metadata(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(
                f"the shard {path} cannot be read ({error})",
                "a Parquet file that `prepare` has written",
                "run `nox -s prepare` again",
            ) from error
        for index in range(metadata.num_row_groups):
            groups.append(RowGroup(path, index, metadata.row_group(index).num_rows, begin))
            begin += groups[-1].rows
    if not groups:
        raise UserError(
            f"{folder} holds no shards",
            "Parquet files that `prepare` has written",
            "run `nox -s prepare`, or name its output with --data-dir",
        )
    return groups


def read_window(groups: Sequence[RowGroup], schema: Schema, weighted: bool) -> Window:
    rows = sum(group.rows for group in groups)
    numbers = np.empty((rows, len(schema.numeric)), np.float32)
    codes = np.empty((rows, schema.code_width), np.int32)
    labels: npt.NDArray[Any] = np.empty(
        rows, np.float32 if schema.task == "regression" else np.int32
    )
    weights, begin = np.empty(rows, np.float32) if weighted else None, 0
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
        if weights is not None:
            weights[begin:end] = table.column(-2).to_numpy()
        begin = end
    return Window(numbers, codes, labels, weights)


def tables(groups: Sequence[RowGroup]) -> Iterator[pa.Table]:
    """Yield the rows of each group: one at a time, because those of a complete window would take its memory once more."""
    for path, of_file in itertools.groupby(groups, lambda group: group.path):
        file = pq.ParquetFile(path)
        for group in of_file:
            yield file.read_row_group(group.index, use_threads=False)
