"""The sample that is read of a large file."""

import gzip
import random
import time
from pathlib import Path

import pytest

from cmle_extension import csv_table
from cmle_extension.dataset import checked_data_path, inferred_features
from cmle_extension.table import read_table
from tests.refused import refused
from tests.small_tables import written


def large_table(rows: int) -> str:
    """Return a table sorted by its label, with a column that counts the rows."""
    random.seed(1)
    lines = [f"{i},{random.random():.6f},{'x' * 60},{'abc'[i * 3 // rows]}" for i in range(rows)]
    return "\n".join(["row,value,constant,label", *lines, ""])


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_large_file_is_sampled_up_to_its_end(tmp_path: Path, name: str) -> None:
    text = large_table(120_000).encode()
    path = written(tmp_path, gzip.compress(text, 1) if name.endswith(".gz") else text, name)
    table = read_table(checked_data_path(path))
    assert len(table.columns["row"].cells) < 60_000
    assert inferred_features(path, "label") == "row:ignore, value:numeric, constant:ignore"
    # A gzip file is read from its beginning only as far as time allows, which is further than this one.
    assert len(table.columns["label"].values) == 3


def test_a_bad_line_in_a_later_block_is_refused(tmp_path: Path) -> None:
    text = large_table(120_000)
    ragged = written(tmp_path, text + "1,2\n", "ragged.csv")
    refused(
        lambda: checked_data_path(ragged), "cells in a line after byte", "is 2, in the header 4"
    )
    mixed = written(tmp_path, text.encode() + "ü,ü,ü,ü\n".encode() + b"1,2,3,\xe9\n", "mixed.csv")
    refused(lambda: checked_data_path(mixed), f"byte {len(text) + 18} of the text is 0xe9")


def test_blocks_are_left_out_where_cells_span_lines(tmp_path: Path) -> None:
    text = large_table(120_000).replace("\n0,", '\n"0\n",', 1)
    table = read_table(checked_data_path(written(tmp_path, text + "1,2\n")))
    assert set(table.columns["label"].values) == {"a"}


def test_a_block_with_unclear_quotes_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, large_table(120_000) + '9,"\n1,2\n",x,c\n')
    assert len(read_table(checked_data_path(path)).columns["label"].values) == 3


def test_a_first_line_without_end_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, b"x" * (csv_table.SMALL_FILE_BYTES + 1))
    refused(lambda: checked_data_path(path), "the first line is longer than 2097152 bytes")


@pytest.mark.minute
def test_reading_time_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = Path(written(tmp_path, large_table(60_000)))
    block = path.read_bytes().partition(b"\n")[2]
    with path.open("ab") as file:
        for _ in range(40):
            file.write(block)
    started = time.monotonic()
    inferred_features(checked_data_path(str(path)), "label")
    assert time.monotonic() - started < 5
