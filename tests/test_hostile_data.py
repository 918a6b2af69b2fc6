"""Hostile tables: each is prepared within its memory with every row accounted for, or refused in one line."""

import csv
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.bakery import bake
from tests.drill import many
from tests.sessions import BESIDE_MB, prepare, ran, settled

pytestmark = pytest.mark.full

PREPARE_MB = 512
ROWS = 400
# What the steps of the preparation, the shards and the signature call their own columns.
OWN_NAMES = (
    *("label", "split", "reason", "row_key", "row_text", "cells", "cells_0", "rowid", "line", "csv_line"),
    *("c0", "c1", "x0", "x1", "t0", "y", "p0", "whole", "source", "prepared", "numbers", "codes", "weights"),
    *("args", "kwargs", "inputs", "training", "name", "probability", "classes", "Label", "LABEL"),
)  # fmt: skip


def lines(number: int) -> Iterator[bytes]:
    """Yield ordinary lines of two columns and a label."""
    for place in range(number):
        yield b"%d,v%d,%s\n" % (place, place % 3, (b"yes", b"no")[place % 2])


def giant_field(folder: Path) -> Path:
    """A cell as large as other tables."""
    path = folder / "giant.csv"
    with path.open("wb") as file:
        file.write(b"a,b,label\n" + b"".join(lines(ROWS - 1)) + b"5,")
        for _ in range(many(80, 1_000)):
            file.write(b"z" * 1_000_000)
        file.write(b",yes\n")
    return path


def bomb(folder: Path) -> Path:
    """A small file that unpacks to a line a thousand times its size."""
    path = folder / "bomb.csv.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(b"a,b,label\n" + b"".join(lines(ROWS - 1)))
        for _ in range(many(100, 3_000)):
            file.write(b"0" * 1_000_000)
    return path


def nested(folder: Path) -> Path:
    """Lists of lists of structures, and numbers."""
    path = folder / "nested.parquet"
    columns = {
        "a": list(range(ROWS)),
        "deep": [[[{"x": [[number % 3]]}]] for number in range(ROWS)],
        "wide": [{"p": {"q": {"r": number % 3}}} for number in range(ROWS)],
        "label": ["yes", "no"] * (ROWS // 2),
    }
    pyarrow.parquet.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize(
    ("make", "features"),
    [
        (giant_field, "a:numeric,b:categorical"),
        (bomb, "a:numeric,b:categorical"),
        (nested, "a:numeric,deep:ignore,wide:ignore"),
    ],
)
def test_every_row_of_a_hostile_table_is_accounted_for(
    make: Callable[[Path], Path], features: str, lived_in: Path, tmp_path: Path
) -> None:
    path = make(tmp_path)
    answers = {
        "project_slug": "hostile",
        "data_path": str(path),
        "label": "label",
        "features": features,
    }
    project = bake(tmp_path / "output", answers)
    options = ("--train", str(path), "--memory-mb", str(PREPARE_MB), "--max-rejected-share", "0.5")
    said, used_mb = prepare(lived_in, project, *options)
    assert used_mb < PREPARE_MB + BESIDE_MB, said
    rejects = (project / "data" / "prepared" / "rejects.csv").read_text(encoding="utf-8")
    if path.suffix == ".parquet":
        assert not rejects
    else:
        assert f" of {ROWS} rows cannot be used" in said and rejects, said


def test_columns_may_have_internal_names_and_lie_behind_links(
    lived_in: Path, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    with (tmp_path / "folder" / "table.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*OWN_NAMES, "target"])
        for number in range(ROWS):
            cells = [
                f"v{number % 5}" if place % 2 else number * place for place in range(len(OWN_NAMES))
            ]
            writer.writerow([*cells, ("yes", "no")[number % 2]])
    (tmp_path / "link.csv").symlink_to(tmp_path / "folder" / "table.csv")
    answers = {
        "project_slug": "own-names",
        "data_path": str(tmp_path / "folder" / ".." / "link.csv"),
        "label": "target",
    }
    project = settled(bake(tmp_path / "output", answers), lived_in)
    ran(project, "local_train", "--epochs", "2")
    assert '"probability"' in ran(project, "predict")
