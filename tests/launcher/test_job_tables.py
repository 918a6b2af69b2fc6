"""The tables that job.toml names: relative paths, variables, folders, patterns, and copies of objects in Cloud Storage."""

import dataclasses
import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from launcher.checks.job_settings import address_findings, table_warnings
from launcher.commands import prepare
from launcher.commands.options import Options
from launcher.commands.prepare import fetch_tables
from launcher.commands.session import Session
from launcher.console import Console, UserError
from launcher.executors.vertex import storage
from launcher.executors.vertex.storage import copy_table, is_named
from launcher.project import Project
from launcher.spec.job_file import Data, Job

from tests.doubles import Doubles, faults, google_cloud
from tests.doubles.clients import anonymous, scripted_runner
from tests.doubles.examples import BUCKET, REGION
from tests.launcher.samples import QUIET, job_of, write_files


def data_of(train: str, test: str = "") -> Data:
    return dataclasses.replace(job_of().data, train=train, test=test)


def fetched(project: Project, train: str, test: str = "") -> None:
    job: Job = dataclasses.replace(job_of(), data=data_of(train, test))
    fetch_tables(project, job, QUIET)


def test_a_table_is_found_from_the_project_and_by_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path / "project")
    monkeypatch.setenv("TABLES", "/mnt/tables")
    monkeypatch.setenv("HOME", "/home/me")
    assert project.table("data/t.csv") == str(tmp_path / "project" / "data" / "t.csv")
    assert project.table("../t.csv") == str(tmp_path / "project" / ".." / "t.csv")
    assert project.table("$TABLES/t.csv") == project.table("${TABLES}/t.csv") == "/mnt/tables/t.csv"
    assert project.table("~/t.csv") == "/home/me/t.csv"
    assert project.table("gs://b/x/*.csv").endswith(".nox/tables/b/x/*.csv")
    write_files(tmp_path / "project", {"a$TABLES.csv": "x"})
    assert Path(project.table("a$TABLES.csv")).is_file()


@pytest.mark.parametrize("value", ["$NOT_SET/t.csv", "${NOT_SET}/t.csv", "data/$NOT_SET.csv"])
def test_a_variable_that_is_not_set_is_named(tmp_path: Path, value: str) -> None:
    with pytest.raises(UserError, match="NOT_SET}? is not set; .*export NOT_SET="):
        fetched(Project(tmp_path), "data/t.csv", value)
    write_files(tmp_path, {"data/$NOT_SET.csv": "x"})
    fetched(Project(tmp_path), "data/$NOT_SET.csv")


def test_a_table_may_be_a_folder_or_a_pattern(tmp_path: Path) -> None:
    write_files(tmp_path, {"data/a.csv": "x", "data/2024/b.csv": "x"})
    project = Project(tmp_path)
    for train in ("data", "data/*.csv", "data/**/b.csv", "data/a.csv", "gs://b/t.csv"):
        assert not [*table_warnings(data_of(train), project)]
    (warning,) = table_warnings(data_of("data/aa.csv"), project)
    assert "which does not exist" in str(warning) and "write data/a.csv" in str(warning)


def test_an_address_that_cannot_be_read_is_reported() -> None:
    assert not [*address_findings(data_of("gs://bucket/t.csv", "gs://bucket/test/*.parquet"))]
    for train in ("s3://bucket/t.csv", "https://example.com/t.csv"):
        (finding,) = address_findings(data_of(train))
        assert 'copy it here, then write train = "data/t.csv"' in str(finding)


@pytest.mark.parametrize(
    ("pattern", "named", "others"),
    [
        ("a/t.csv", ["a/t.csv"], ["a/t.csv2", "b/a/t.csv"]),
        ("a", ["a/t.csv", "a/b/t.csv"], ["ab/t.csv", "a/", "a/.t.csv"]),
        ("a/*.csv", ["a/t.csv"], ["a/t.txt", "b/t.csv"]),
        ("a/y=*", ["a/y=1/t", "a/y=1/m=2/t"], ["a/z=1/t"]),
    ],
)
def test_objects_are_named_as_files_are(pattern: str, named: list[str], others: list[str]) -> None:
    assert [name for name in (*named, *others) if is_named(name, pattern)] == named


def test_data_that_bigquery_prepared_is_of_the_table_where_it_lies(tmp_path: Path) -> None:
    project, address = Project(tmp_path), "gs://b/t.csv"
    for recorded, data, in_place in (
        (address, data_of(address), True),
        ("bq://p.d.t", data_of("bq://p.d.t", "gs://b/test.csv"), True),
        (address, data_of("gs://b/other.csv"), False),
        (str(project.copies / "b/t.csv"), data_of(address), False),
        ("t.csv", data_of("t.csv"), False),
    ):
        record = {"tables": {"train": {"path": recorded}}}
        write_files(tmp_path, {"data/.prepared.source.json": json.dumps(record)})
        assert project.is_prepared_in_place(data) == in_place
        flags = project.preparation_flags(data)
        assert (flags[flags.index("--train") + 1] == data.train) == in_place
        assert project.preparation_flags(data, in_place=True)[3] == data.train
    assert flags.count("--test") == 0


def test_a_large_table_is_reported_with_the_engine_that_would_take_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_files(tmp_path, {"t/a.csv": "x" * 500, "t/b/c.csv": "x" * 500, "job.toml": ""})
    session = Session(Project(tmp_path), Options(), [], Console())
    monkeypatch.setitem(vars(session), "job", dataclasses.replace(job_of(), data=data_of("t")))
    prepare.advise(session)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(prepare, "BYTES_PER_SECOND", 0.2)
    prepare.advise(session)
    assert "about 1.4 h; -- --engine bigquery would prepare it" in capsys.readouterr().err
    monkeypatch.setattr(prepare, "BYTES_PER_SECOND", 1e9)
    monkeypatch.setattr(prepare, "LARGE_SHARE", 1e-30)
    prepare.advise(session)
    assert "GB of free disk" in capsys.readouterr().err


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Doubles]:
    with google_cloud(tmp_path / "root", scripted_runner, pace=0.01) as doubles:
        doubles.storage.create_bucket(BUCKET, REGION)
        for name, value in doubles.variables.items():
            monkeypatch.setenv(name, value)
        yield doubles


@pytest.mark.minute
def test_a_large_table_in_a_bucket_is_reported_before_it_is_copied(
    cloud: Doubles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    client: Any = importlib.import_module("google.cloud.storage").Client("penguins", anonymous())
    monkeypatch.setattr(storage, "storage_client", lambda _: client)
    for name in ("t/a.csv", "t/b/c.csv", "t/.hidden", "other.csv"):
        client.bucket(BUCKET).blob(name).upload_from_string("x" * 500)
    session = Session(Project(tmp_path), Options(), [], Console())
    job = dataclasses.replace(job_of(), data=data_of(f"gs://{BUCKET}/t"))
    monkeypatch.setitem(vars(session), "job", job)
    monkeypatch.setattr(prepare, "BYTES_PER_SECOND", 0.2)
    prepare.advise(session)
    assert "about 1.4 h; -- --engine bigquery would prepare it" in capsys.readouterr().err
    assert not Project(tmp_path).copies.exists()


@pytest.mark.minute
def test_objects_are_copied_once_for_each_generation(cloud: Doubles, tmp_path: Path) -> None:
    client: Any = importlib.import_module("google.cloud.storage").Client("penguins", anonymous())
    bucket = client.bucket(BUCKET)
    names = ["t/a.csv", "t/year=1/b.csv", "t/.hidden", "other.csv"]
    for name in names:
        bucket.blob(name).upload_from_string(f"x,y\n{name},1\n" * 100_000)
    copies, uri = Project(tmp_path).copies, f"gs://{BUCKET}/t"

    def copied() -> dict[str, int]:
        before = len(cloud.faults.log)
        copy_table(client, uri, copies, QUIET)
        found = {path for path in copies.rglob("*") if path.is_file() and path.name[0] != "."}
        downloads = sum(each.path.startswith("/download/") for each in cloud.faults.log[before:])
        sizes = {
            path.relative_to(copies / BUCKET).as_posix(): path.stat().st_size for path in found
        }
        return {**sizes, "downloads": downloads}

    first = copied()
    assert first.keys() == {"t/a.csv", "t/year=1/b.csv", "downloads"} and first["downloads"] == 2
    changed = (copies / BUCKET / "t/a.csv").stat().st_mtime_ns
    assert copied()["downloads"] == 0
    assert (copies / BUCKET / "t/a.csv").stat().st_mtime_ns == changed
    bucket.blob("t/a.csv").upload_from_string("x,y\nnew,1\n")
    bucket.blob("t/year=1/b.csv").delete()
    assert copied() == {"t/a.csv": 10, "downloads": 1}
    with pytest.raises(UserError, match="there is no gs://.*gcloud storage ls"):
        copy_table(client, f"gs://{BUCKET}/nothing/*.csv", copies, QUIET)
    bucket.blob("t/a.csv").upload_from_string("x,y\nother,1\n")
    cloud.faults.plan("GET", "/download/", faults.DENIED, times=9)
    with pytest.raises(Exception, match="storage"):
        copied()
    assert (copies / BUCKET / "t/a.csv").read_text() == "x,y\nnew,1\n"
    assert os.environ["STORAGE_EMULATOR_HOST"]
