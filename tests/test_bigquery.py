"""Preparation by BigQuery's jobs, with Google's own client and the double: the data is the local preparation's, whatever fails.

The double computes with DuckDB: `test_dialect.py` shows that Google's own engine gives the same rows.
"""

import csv
import gzip
import importlib
import io
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest

from tests.bakery import bake
from tests.dialect.cells import ODD_NUMBERS, ODD_TEXTS
from tests.doubles import Doubles, faults, google_cloud
from tests.doubles.faults import Fault
from tests.drill import SEED, WHOLE, many
from tests.sessions import changed, ran

pytestmark = pytest.mark.full
pytest.importorskip("google.cloud.bigquery")
pytest.importorskip("duckdb")

BUCKET, REGION = "penguins-of-b", "us-central1"
ROWS = 300
REJECTS = (
    "rejects.csv",
    "statistics.json",
)  # BigQuery counts lines that it cannot read, and does not show them
SKIPPED = 3  # requests without the fault
OPERATIONS = {
    "look at the bucket": ("GET", "/storage/v1/b/[^/]+[?]"),
    "insert a job": ("POST", "/jobs[?]"),
    "wait for a job": ("GET", "/queries/"),
    "look at a job": ("GET", "/jobs/"),
    "list files": ("GET", "/o[?]"),
    "download": ("GET", "/download/"),
    "upload": ("POST", "/upload/"),
    "make the dataset": ("POST", "/datasets[?]"),
    "delete the dataset": ("DELETE", "/datasets/"),
}
FAULTS = {
    "server error": Fault(status=500, message="Internal error."),
    "unavailable": faults.UNAVAILABLE,
    "reset before": faults.RESET_BEFORE,
    "answer lost": faults.ANSWER_LOST,
    "expired": faults.EXPIRED,
    "denied": faults.DENIED,
}
CASES = [
    (operation, name, lasting)
    for operation in OPERATIONS
    for name in FAULTS
    # The client repeats what may pass for ten minutes.
    for lasting in ("once", *["lasting"] * (name in ("expired", "denied")))
]
LONGEST_SECONDS = 300.0
HOSTILE_LINES = (
    *("", "|1x3 Cross validator", "only,a,few", "|comment", '39,"State-gov",1', "  "),
    *("1," * 20, ",".join([*['""'] * 14, ">50K"])),
)


UNDISTURBED: list[tuple[dict[str, bytes], int]] = []


@dataclass
class World:
    """A project and the doubles: the same tables lie in both."""

    project: Path
    cloud: Doubles
    module: tuple[str, str] = ("-m", "trainer.prepare")

    def put(self, name: str, content: bytes) -> None:
        path = self.project / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        self.cloud.storage.objects.write(BUCKET, f"in/{name}", content)

    def command(self, output: str, *flags: str) -> list[str]:
        module = [sys.executable, *self.module, "--output", output]
        return [*module, "--max-rejected-share", "0.9", *flags]

    def locally(self, *flags: str) -> dict[str, bytes]:
        """Prepare on this machine, and return the files."""
        subprocess.run(self.command("local", "-q", *flags), cwd=self.project, check=True)
        return content(self.project / "local")

    @property
    def undisturbed(self) -> tuple[dict[str, bytes], int]:
        """What `train.csv` becomes on this machine, and the number of jobs that it takes in BigQuery."""
        if not UNDISTURBED:
            expected = self.locally("--train", "train.csv")
            assert self.prepared(*self.flags()) == expected
            UNDISTURBED.append((expected, len(self.jobs)))
            self.cloud.jobs.bigquery.jobs.clear()
            self.cloud.faults.clear()
        return UNDISTURBED[0]

    def flags(self, train: str = f"gs://{BUCKET}/in/train.csv", *more: str) -> list[str]:
        place = ["--engine", "bigquery", "--project", "penguins", "--work", f"gs://{BUCKET}/work"]
        return [*place, "--train", train, *more]

    def start(self, *flags: str) -> subprocess.Popen[str]:
        variables = {**os.environ, **self.cloud.variables}
        command = self.command("cloud", *flags)
        return subprocess.Popen(
            command, cwd=self.project, env=variables, stderr=subprocess.PIPE, text=True
        )

    def prepared(self, *flags: str) -> dict[str, bytes]:
        """Prepare by jobs, and return the files."""
        code, said = self.tried(*flags)
        assert code == 0, said
        assert list(self.cloud.jobs.bigquery.datasets) in ([], [("penguins", "sales")])
        names = self.cloud.storage.objects.names(BUCKET)
        assert all(name.startswith("in/") for name in names)
        return content(self.project / "cloud")

    def tried(self, *flags: str) -> tuple[int, str]:
        with self.start(*flags) as process:
            _, said = process.communicate(timeout=LONGEST_SECONDS)
        return process.returncode, said

    @property
    def jobs(self) -> list[Any]:
        return list(self.cloud.jobs.bigquery.jobs.values())


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bake(tmp_path_factory.mktemp("bigquery"), {})


@pytest.fixture
def world(project: Path, tmp_path: Path) -> Iterator[World]:
    with google_cloud(tmp_path / "root") as cloud:
        cloud.storage.create_bucket(BUCKET, REGION)
        world = World(project, cloud)
        for split, name in (("train", "adult.data.gz"), ("test", "adult.test.gz")):
            lines = gzip.decompress((project / "data" / name).read_bytes()).splitlines(True)
            world.put(f"{split}.csv", b"".join(lines[:ROWS]))
        yield world


def test_the_census_is_prepared_as_locally(world: World) -> None:
    test = f"gs://{BUCKET}/in/test.csv"
    found = world.prepared(*world.flags(f"gs://{BUCKET}/in/train*.csv", "--test", test))
    assert found == world.locally("--train", "train.csv", "--test", "test.csv")
    settings = [job.resource["configuration"].get("query") for job in world.jobs]
    assert all(int(each["maximumBytesBilled"]) > 0 for each in settings if each)


def test_diamonds_are_prepared_as_locally(world: World, tmp_path: Path) -> None:
    try:
        path = Path(str(distribution("plotnine").locate_file("plotnine/data/diamonds.csv")))
    except PackageNotFoundError:
        pytest.skip("plotnine is not installed, which has the diamonds")
    lines = path.read_bytes().splitlines(True)
    (tmp_path / "diamonds.csv").write_bytes(b"".join(lines[:2000]))
    given = {"data_path": str(tmp_path / "diamonds.csv"), "label": "price"}
    world.project = bake(tmp_path, {"project_slug": "diamonds", **given})
    # Two files, each with its header.
    for name, part in (("a", lines[1:1000]), ("b", lines[1000:2000])):
        world.put(f"many/{name}.csv.gz", gzip.compress(b"".join([lines[0], *part]), mtime=0))
    found = world.prepared(*world.flags(f"gs://{BUCKET}/in/many"))
    assert found == world.locally("--train", "many")


def test_comments_before_a_header_are_no_rows(world: World) -> None:
    path = world.project / "trainer" / "features.py"
    text = path.read_text(encoding="utf-8")
    [names] = re.findall(r"(?m)^HEADER: list\[str\] = (\[.*?\])", text)
    header = ",".join(json.loads(names))
    lines = (world.project / "train.csv").read_text(encoding="utf-8")
    world.put("headed.csv", f"| made up\n| of {ROWS} lines\n{header}\n{lines}".encode())
    with changed(path, text.replace(names, "[]")):
        found = world.prepared(*world.flags(f"gs://{BUCKET}/in/headed.csv"))
        assert found == world.locally("--train", "headed.csv")


def test_hostile_lines_are_prepared_and_rejected_as_locally(world: World) -> None:
    choose, lines = random.Random(SEED), (world.project / "train.csv").read_text().splitlines()
    rows = [*csv.reader(lines, skipinitialspace=True)]
    odd = [*ODD_TEXTS, *ODD_NUMBERS]
    for row in rows:
        row[choose.randrange(len(row) - 1)] = choose.choice(odd)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    ends = "".join(f"{line}\n" for line in HOSTILE_LINES)
    world.put("train.csv", (text.getvalue() + ends).encode())
    found, expected = world.prepared(*world.flags()), world.locally("--train", "train.csv")
    assert {name for name in expected if found[name] != expected[name]} <= {*REJECTS}
    ours, theirs = (json.loads(each["statistics.json"]) for each in (found, expected))
    assert ours | {"fingerprint": ""} == theirs | {"fingerprint": ""}


def test_a_table_of_bigquery_is_prepared_as_locally(world: World, tmp_path: Path) -> None:
    choose, arrow = random.Random(1), pytest.importorskip("pyarrow")
    table = arrow.table(
        {
            "amount": [choose.choice((None, 0.1, -3.0, 1e6, 1 / 3, 1e-7)) for _ in range(ROWS)],
            "price": [choose.choice((0.1 + 0.2, 2.5, 5e22)) for _ in range(ROWS)],
            "count of": [choose.randrange(9) for _ in range(ROWS)],
            "is new": [choose.choice((True, False, None)) for _ in range(ROWS)],
            "kind": [choose.choice(("a", "b", "\u00e9", "", None)) for _ in range(ROWS)],
            "target": [choose.choice(("yes", "no")) for _ in range(ROWS)],
        }
    )
    importlib.import_module("pyarrow.parquet").write_table(table, tmp_path / "sales.parquet")
    given = {"data_path": str(tmp_path / "sales.parquet"), "label": "target"}
    world.project = bake(tmp_path, {"project_slug": "sales", **given})
    bigquery = world.cloud.jobs.bigquery
    bigquery.create_dataset("penguins", "sales", REGION)
    target = {"datasetId": "sales", "tableId": "all"}
    bigquery.warehouse.store("penguins", target, table, "WRITE_EMPTY")
    expected = world.locally("--train", str(tmp_path / "sales.parquet"))
    assert world.prepared(*world.flags("bq://penguins.sales.all")) == expected
    world.put("sales.parquet", (tmp_path / "sales.parquet").read_bytes())
    assert world.prepared(*world.flags(f"gs://{BUCKET}/in/sales.parquet")) == expected
    bigquery.datasets["penguins", "sales"]["location"] = "EU"
    code, said = world.tried(*world.flags("bq://penguins.sales.all"))
    assert code == 2 and "is in EU, the bucket penguins-of-b in us-central1" in said


def test_rows_are_exported_in_ranges_of_keys_and_in_order(world: World) -> None:
    expected, _ = world.undisturbed
    program = (
        "import sys; from trainer import prepare; from trainer.preprocessing import bigquery;"
        " bigquery.ROWS_AT_ONCE = 100; sys.exit(prepare.main(sys.argv[1:]))"
    )
    world.module = ("-c", program)
    assert world.prepared(*world.flags()) == expected
    texts = [str(job.resource["configuration"]) for job in world.jobs]
    assert [
        sum(f"FROM parted WHERE part = {part} " in text for text in texts) for part in range(5)
    ] == [2, 2, 2, 2, 0]


@pytest.mark.parametrize("number", range(many(2, 20)))
def test_killed_and_repeated_it_ends_alike(world: World, number: int) -> None:
    expected, _ = world.undisturbed
    moment = random.Random(SEED * 100 + number).randrange(1, 300)
    with world.start(*world.flags()) as process:
        while process.poll() is None and len(world.cloud.faults.log) < moment:
            time.sleep(0.005)
        process.kill()
    assert world.prepared(*world.flags()) == expected


@pytest.mark.parametrize("case", random.Random(SEED).sample(CASES, many(3, len(CASES))), ids=str)
def test_a_fault_makes_no_second_job_and_ends_with_a_line(
    world: World, case: tuple[str, str, str]
) -> None:
    operation, name, lasting = case
    expected, jobs = world.undisturbed
    times = 1 if lasting == "once" else 1000
    world.cloud.faults.plan(*OPERATIONS[operation], FAULTS[name], times, skip=SKIPPED)
    code, said = world.tried(*world.flags())
    if code:
        [reported] = [line for line in said.splitlines() if line.startswith("error: ")]
        assert "; expected " in reported and "Traceback" not in said
        world.cloud.faults.clear()
        assert world.prepared(*world.flags()) == expected
    else:
        assert len(world.jobs) == jobs
        assert content(world.project / "cloud") == expected


def test_more_bytes_than_allowed_are_refused_before_they_are_read(world: World) -> None:
    code, said = world.tried(*world.flags(), "--most-gb", "0")
    assert code == 2 and "Query exceeded limit for bytes billed" in said
    assert "give a larger --most-gb" in said
    assert not world.cloud.jobs.bigquery.datasets


def test_files_that_do_not_fit_the_columns_leave_no_copy(world: World, tmp_path: Path) -> None:
    arrow, path = pytest.importorskip("pyarrow"), tmp_path / "other.parquet"
    importlib.import_module("pyarrow.parquet").write_table(arrow.table({"a": [1]}), path)
    world.put(path.name, path.read_bytes())
    code, said = world.tried(*world.flags(f"gs://{BUCKET}/in/other.parquet"))
    assert code == 2 and "in/other.parquet has no column 'income'" in said
    assert not world.cloud.jobs.bigquery.datasets


def test_an_engine_and_a_table_that_do_not_fit_are_refused(world: World) -> None:
    code, said = world.tried("--train", f"gs://{BUCKET}/in/train.csv")
    assert code == 2 and "run `nox -s prepare -- --engine bigquery`" in said
    code, said = world.tried(*world.flags("train.csv"))
    assert code == 2 and "run `nox -s prepare -- --engine local`" in said


@pytest.mark.skipif(not WHOLE, reason="installs Google's clients for one command")
def test_the_session_prepares_and_other_commands_take_that_data(world: World) -> None:
    job = world.project / "job.toml"
    text = job.read_text(encoding="utf-8")
    for key, value in {
        **{"project": "penguins", "bucket": BUCKET, "region": REGION},
        **{"train": f"gs://{BUCKET}/in/train.csv", "test": ""},
    }.items():
        text = re.sub(f'(?m)^{key} = ".*"$', f'{key} = "{value}"', text, count=1)
    with pytest.MonkeyPatch.context() as patch, changed(job, text):
        for name, value in world.cloud.variables.items():
            patch.setenv(name, value)
        said = ran(world.project, "prepare", "--engine", "bigquery")
        assert "BigQuery reads" in said
        downloads = len(world.cloud.faults.logged("GET", "train.csv"))
        ran(world.project, "local_train", "--max-steps", "1")
        assert len(world.cloud.faults.logged("GET", "train.csv")) == downloads
