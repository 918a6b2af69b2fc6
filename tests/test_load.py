"""Load: many submits, shards, columns, values. Fewer here; `nox -s drills` runs the full numbers."""

import json
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from tests.bakery import bake
from tests.drill import SEED, many
from tests.sessions import BESIDE_MB, prepare, ran, settled
from tests.submitting import DATA, World

pytestmark = pytest.mark.full

PREPARE_MB = 1_024


def test_many_parallel_submits_create_one_job_each(ready: World) -> None:
    count = many(4, 50)
    started = [ready.start("submit", "--max-steps", str(number)) for number in range(count)]
    said = [each.communicate(timeout=600)[0] for each in started]
    assert [each.returncode for each in started] == [0] * count, said
    assert len(ready.jobs) == len({json.dumps(job["jobSpec"]) for job in ready.jobs}) == count
    assert len(ready.packages) == 1


def test_equal_parallel_submits_create_one_job(ready: World) -> None:
    ready.pace[0] = 60.0
    count = many(3, 20)
    started = [ready.start("submit") for _ in range(count)]
    said = [each.communicate(timeout=600)[0] for each in started]
    assert [each.returncode for each in started] == [0] * count, said
    assert len(ready.jobs) == 1, said


def test_a_bucket_of_many_shards(ready: World) -> None:
    folder = ready.root / DATA / "train"
    for number in range(many(1_500, 10_000)):
        (folder / f"more-{number:05}.parquet").write_bytes(b"x")
    started = time.monotonic()
    ready.run("submit", "--wait")
    assert time.monotonic() - started < 60
    assert len(ready.jobs) == 1


def test_a_table_of_many_columns(lived_in: Path, tmp_path: Path) -> None:
    columns, rows = many(250, 5_000), 400
    generator = np.random.default_rng(SEED)
    table = {
        f"n{number}": generator.normal(size=rows).astype(np.float32)
        for number in range(columns // 2)
    }
    values = np.array(["red", "green", "blue"])
    table |= {
        f"c{number}": values[generator.integers(0, 3, rows)] for number in range(columns // 2)
    }
    table["label"] = np.where(table["n0"] > 0, "yes", "no")
    pa.csv.write_csv(pa.table(table), tmp_path / "wide.csv")
    answers = {"project_slug": "wide", "data_path": str(tmp_path / "wide.csv"), "label": "label"}
    project = settled(bake(tmp_path / "output", answers), lived_in)
    said = ran(project, "local_train", "--epochs", "2")
    assert "error" not in said


def test_a_column_of_many_values(lived_in: Path, tmp_path: Path) -> None:
    values = many(300_000, 10_000_000)
    names = pa.array(np.char.add("user-", np.arange(values).astype(str)))
    table = {
        "user": names,
        "amount": np.random.default_rng(SEED).normal(size=values),
        "label": np.where(np.arange(values) % 3 == 0, "yes", "no"),
    }
    path = tmp_path / "deep.csv"
    pa.csv.write_csv(pa.table(table), path)
    answers = {"project_slug": "deep", "data_path": str(path), "label": "label"}
    for kind in ("hashed", "categorical"):
        features = f"user:{kind},amount:numeric"
        project = bake(tmp_path / kind, {**answers, "features": features})
        said, used_mb = prepare(
            lived_in, project, "--train", str(path), "--memory-mb", str(PREPARE_MB)
        )
        assert used_mb < PREPARE_MB + BESIDE_MB, said
        assert ('"hashed" in trainer/features.py' in said) == (kind == "categorical")


def test_a_file_larger_than_memory(lived_in: Path, tmp_path: Path) -> None:
    """The drill needs 60 GB of disk and half an hour."""
    megabytes, memory_mb = many(100, 20_000), many(256, 2_048)
    path = tmp_path / "large.csv"
    write_large(path, megabytes)
    features = "amount:numeric,other:numeric,user:hashed,city:categorical"
    answers = {"project_slug": "large", "data_path": str(path), "label": "label"}
    project = bake(tmp_path / "output", {**answers, "features": features})
    said, used_mb = prepare(lived_in, project, "--train", str(path), "--memory-mb", str(memory_mb))
    assert used_mb < min(memory_mb + BESIDE_MB, 4_000), said
    path.unlink()


def write_large(path: Path, megabytes: int) -> None:
    """Write a CSV file of a size in MB: the same million rows, or fewer, repeated."""
    generator, rows = np.random.default_rng(SEED), min(1_000_000, megabytes * 10_000)
    amount = generator.normal(size=rows).astype(np.float32)
    table = pa.table(
        {
            "amount": amount,
            "other": generator.normal(size=rows).astype(np.float32),
            "user": np.char.add("user-", generator.integers(0, 200_000, rows).astype(str)),
            "city": np.char.add("city of ", generator.integers(0, 2_000, rows).astype(str)),
            "label": np.where(amount > 0, "yes", "no"),
        }
    )
    pa.csv.write_csv(table, path)
    header, _, body = path.read_bytes().partition(b"\n")
    with path.open("wb") as file:
        file.write(header + b"\n")
        while file.tell() < megabytes * 1_000_000:
            file.write(body)
