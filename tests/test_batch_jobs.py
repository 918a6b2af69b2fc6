"""Batch jobs of a baked project with the doubles: rows that are joined by key, and jobs that are sent once."""

import json
import re
import subprocess

import pytest

from tests.deploying import BATCH, MODEL, models, refusing, write_rows
from tests.doubles import faults
from tests.doubles.models import Container
from tests.submitting import World

pytestmark = pytest.mark.minute


def batch(
    world: World, *arguments: str, code: int = 0, rows: int = 50
) -> "subprocess.CompletedProcess[str]":
    write_rows(world, rows)
    return world.run(*BATCH, *arguments, "--poll-seconds", "0.02", code=code)


def test_a_table_is_predicted_by_a_batch_job_and_joined_by_key(trained: World) -> None:
    models(trained).start = lambda *_: lambda rows: [{"x": float(row["age"])} for row in rows]
    done = batch(trained)
    found = (trained.project / "found.jsonl").read_text().splitlines()
    assert [json.loads(line)["x"] for line in found] == list(range(50))
    assert "1 x e2-standard-4 until it ends" in done.stderr
    assert "50 predicted, 0 failed" in done.stderr
    [job] = trained.cloud.jobs.batches.jobs.values()
    assert job["model"] == f"{MODEL}@1" and job["instanceConfig"]["instanceType"] == "object"
    assert not models(trained).endpoints


def test_a_batch_job_that_fails_is_reported(trained: World) -> None:
    models(trained).start = lambda *_: refusing
    done = batch(trained, code=1)
    assert "0 predicted, 50 failed" in done.stderr
    assert "The fraction of failed instances is too large" in done.stderr
    assert not (trained.project / "found.jsonl").exists()


def test_rows_that_change_while_the_job_runs_are_not_joined(trained: World) -> None:
    table = trained.project / "rows.csv"

    def start(*_: object) -> Container:
        table.write_text(table.read_text().replace("7\n", "70\n"))
        return lambda rows: [{"x": float(row["age"])} for row in rows]

    models(trained).start = start
    done = batch(trained, code=2)
    assert "error: the rows of rows.csv have changed since; expected" in done.stderr
    assert not (trained.project / "found.jsonl").exists()


def test_a_request_that_no_container_takes_is_refused_before_the_job(trained: World) -> None:
    job = trained.project / "job.toml"
    text = job.read_text(encoding="utf-8")
    job.write_text(text.replace("batch_size = 1024", "batch_size = 999999"), encoding="utf-8")
    done = batch(trained, code=2, rows=400_000)
    assert "rows (batch_size) are a request of" in done.stderr
    [size] = re.findall("write batch_size = ([0-9]+)", done.stderr)
    assert 100_000 < int(size) < 400_000
    assert not trained.cloud.faults.log


def test_a_table_of_bigquery_is_predicted_where_it_is(trained: World) -> None:
    done = trained.run("batch", "--input", "bq://p.d.table", "--poll-seconds", "0.02")
    [job] = trained.cloud.jobs.batches.jobs.values()
    assert job["inputConfig"]["bigquerySource"]["inputUri"] == "bq://p.d.table"
    assert job["instanceConfig"] == {"instanceType": "object"}
    assert "predictions_2026" in done.stderr


def test_a_batch_job_whose_response_is_lost_is_sent_once(trained: World) -> None:
    trained.cloud.faults.plan("POST", "/batchPredictionJobs", faults.ANSWER_LOST)
    batch(trained)
    assert len(trained.cloud.jobs.batches.jobs) == 1
    assert len((trained.project / "found.jsonl").read_text().splitlines()) == 50
