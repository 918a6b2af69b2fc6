"""`prepare -- --engine vertex` with Google's clients and the doubles: the data is the local preparation's, whatever fails."""

import csv
import gzip
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bakery import bake
from tests.cloud_preparing import (
    BUCKET,
    CENSUS,
    ELSEWHERE,
    LONGEST_SECONDS,
    REGION,
    ROWS,
    SLUG,
    TRAIN,
    World,
    content,
    machine,
)
from tests.dialect.cells import ODD_NUMBERS, ODD_TEXTS
from tests.doubles import faults, google_cloud
from tests.doubles.clients import wait_until
from tests.drill import SEED, many

pytest.importorskip("duckdb")
pytestmark = pytest.mark.minute

JOBS, A_JOB = "/customJobs$", "/customJobs/[^/]+$"
REJECTED = "--max-rejected-share"
FULL_DISK = """
import errno, shutil, sys
from trainer import prepare
from trainer.run.errors import exit_code

def copyfile(*paths):
    if len(copied) == int(limit):
        raise OSError(errno.ENOSPC, "No space left on device")
    copied.append(whole(*paths))

limit, copied, whole = sys.argv.pop(1), [], shutil.copyfile
shutil.copyfile = copyfile
sys.exit(exit_code(prepare.main, sys.argv[1:]))
"""
HOSTILE_LINES = ("", "only,a,few", "|1x3 Cross", '39,"State-gov",1', "  ", "1," * 5)


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("cloud-preparation")
    answers = {"gcp_project": "penguins", "region": REGION, "bucket": BUCKET}
    root, project = folder / "root", bake(folder, answers)
    lost = dict[str, int | None]()
    with google_cloud(root, machine(root, folder / "disks", lost), pace=0.01) as cloud:
        for bucket in (BUCKET, ELSEWHERE):
            cloud.storage.create_bucket(bucket, REGION)
        yield World(project, cloud, root, lost)


@pytest.fixture
def world(projects: World) -> World:
    """The project with two parts of a train table and a test table, and no job before."""
    for split, name in (("train", "adult.data.gz"), ("test", "adult.test.gz")):
        packed = (projects.project / "data" / name).read_bytes()
        lines = gzip.decompress(packed).splitlines(True)
        for part in ("-a", "-b")[: 1 + (split == "train")]:
            projects.put(f"{split}{part}.csv", b"".join(lines[:ROWS]))
            lines = lines[ROWS:]
    projects.tables(TRAIN, f"gs://{BUCKET}/in/test-a.csv")
    projects.clear()
    return projects


def test_the_census_is_prepared_as_locally(world: World) -> None:
    _, said = world.ran("--upload")
    assert world.prepared() == world.locally(*CENSUS)
    assert re.search(r"0\.000 GB in 3 files; a disk of 101 GB", said)
    assert "1 chief n2-standard-8; at most 24 hours" in said and "vertex-ai/pricing" in said
    assert "  data     copied to " in said  # the job's own log
    [job], [sent] = world.jobs, world.submissions
    assert job["state"] == "JOB_STATE_SUCCEEDED" and sent["stage"] == "CONCLUDED"
    assert "0 files, 0.0 MB" in said  # what a submit needs is there


def test_hostile_files_are_prepared_and_rejected_as_locally(world: World) -> None:
    choose, lines = random.Random(SEED), (world.project / "in" / "train-a.csv").read_text()
    rows = [*csv.reader(lines.splitlines(), skipinitialspace=True)]
    for row in rows:
        row[choose.randrange(len(row) - 1)] = choose.choice([*ODD_TEXTS, *ODD_NUMBERS])
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows[: ROWS // 2])
    csv.writer(text, lineterminator="\n").writerows(rows[ROWS // 2 :])
    odd = text.getvalue() + "\n".join(HOSTILE_LINES)
    world.put("odd/2024/it's [1].csv", odd.encode())
    world.put("odd/2025/日本 & more.csv.gz", gzip.compress(lines.encode(), mtime=0))
    world.put("odd/2025/_hidden.csv", b"no,table\n")
    world.tables(f"gs://{BUCKET}/in/odd")
    world.ran(REJECTED, "0.9")
    found, expected = world.prepared(), world.locally("--train", "in/odd", REJECTED, "0.9")
    assert len(expected["rejects.csv"].splitlines()) > 3 and found == expected


def test_a_dry_run_prints_the_job_and_creates_nothing(world: World) -> None:
    world.ran("--dry-run")
    before = world.cloud.storage.objects.names(BUCKET)
    printed, said = world.ran("--dry-run", "--deduplicate", "--upload")
    assert world.cloud.storage.objects.names(BUCKET) == before and not world.jobs
    assert "upload" not in said
    job = json.loads(printed)
    [pool] = job["jobSpec"]["workerPoolSpecs"]
    assert pool["machineSpec"] == {"machineType": "n2-standard-8"}
    assert pool["replicaCount"] == "1"
    assert pool["diskSpec"] == {"bootDiskType": "pd-ssd", "bootDiskSizeGb": 101}
    shell, _, script, package = pool["containerSpec"]["command"]
    assert shell == "/bin/sh" and re.fullmatch(rf"/gcs/{BUCKET}/.+[.]tar[.]gz\[prepare\]", package)
    assert re.search(r'"\$0" duckdb==[0-9.]+ pyarrow==[0-9.]+ sqlglot==[0-9.]+ && exec', script)
    assert script.endswith('python -m trainer.prepare "$@"')
    arguments = " ".join(pool["containerSpec"]["args"])
    assert arguments.startswith("--memory-mb 16384 --engine vertex --output ")
    assert f"--output gs://{BUCKET}/{SLUG}/data --train {TRAIN} --test gs://" in arguments
    assert arguments.endswith("--deduplicate") and str(world.project) not in printed
    assert set(job["labels"]) == {"run", "tables"}
    assert re.search(r"a disk of 101 GB, about .+ h", said)


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ("data/*.csv", "upload it: gcloud storage cp --recursive '{0}/data/*.csv' gs://{1}/{2}/tables/,"),
        ("data/it's.csv", """ --recursive '{0}/data/it'"'"'s.csv' gs://"""),
        ("bq://p.d.t", "run nox -s prepare -- --engine bigquery"),
        (f"gs://{BUCKET}/in/none.csv", "there is no gs://{1}/in/none.csv; expected an object"),
    ],
)  # fmt: skip
def test_what_a_job_cannot_read_is_refused(world: World, train: str, words: str) -> None:
    world.tables(train)
    _, said = world.ran(code=2)
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and words.format(world.project, BUCKET, SLUG) in errors[0]
    assert "; expected " in errors[0] and not world.jobs


def test_buckets_elsewhere_are_refused(world: World) -> None:
    world.put("far.csv", b"x", ELSEWHERE)
    world.tables(f"gs://{ELSEWHERE}/in/far.csv")
    places = world.cloud.storage.buckets
    for bucket, words in (
        (ELSEWHERE, f"copy the table to gs://{BUCKET}"),
        (BUCKET, f'then bucket = "{BUCKET}-{REGION}"'),
    ):
        places[bucket]["location"] = "EUROPE-WEST4"
        _, said = world.ran(code=2)
        places[bucket]["location"] = REGION.upper()
        assert f"gs://{bucket} is in europe-west4 but the job runs in {REGION}" in said
        assert words in said and said.count("error: ") == 1 and not world.jobs


def test_a_folder_with_other_files_is_not_replaced(world: World, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    path = world.project / "job.toml"
    before = path.read_text("utf-8")
    path.write_text(before.replace('"data/prepared"', f'"{tmp_path}"'), "utf-8")
    _, said = world.ran(code=2)
    path.write_text(before, "utf-8")
    assert "holds other files; expected prepared data, or an empty folder" in said
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"] and not world.jobs


@pytest.mark.full
def test_a_lost_answer_creates_one_job(world: World) -> None:
    expected, _ = world.undisturbed
    world.cloud.faults.plan("POST", JOBS, faults.ANSWER_LOST)
    world.ran()
    assert len(world.jobs) == 1 and world.prepared() == expected


@pytest.mark.full
@pytest.mark.parametrize("number", range(many(2, 20)))
def test_killed_and_repeated_it_ends_alike_with_one_job(world: World, number: int) -> None:
    """Requests are its phases: looking at the bucket, upload, creation, following, download."""
    (expected, requests), log = world.undisturbed, world.cloud.faults.log
    moment = random.Random(SEED * 100 + number).randrange(1, requests + 1)
    process = world.start()
    while process.poll() is None and len(log) < moment:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    concluded = any(each["stage"] == "CONCLUDED" for each in world.submissions)
    world.ran()
    assert world.prepared() == expected
    assert len(world.jobs) == 1 + concluded, f"killed after {moment} of {requests}"


@pytest.mark.full
def test_the_download_is_repeated_and_not_the_job(world: World) -> None:
    expected, _ = world.undisturbed
    world.cloud.faults.plan("GET", "/download/.*statistics", faults.DENIED, times=9)
    assert "roles/storage" in world.ran(code=2)[1]
    assert world.submissions[-1]["stage"] == "REPORTED"
    world.cloud.faults.clear()
    world.ran()
    assert len(world.jobs) == 1 and world.prepared() == expected


@pytest.mark.full
def test_a_table_that_has_changed_makes_another_job(world: World) -> None:
    world.cloud.faults.plan("POST", JOBS, faults.STAYS_QUEUED)
    process, log = world.start(), world.cloud.faults.log
    # Only what follows the job asks for it.
    wait_until(lambda: any(re.search(A_JOB, each.path) for each in log), LONGEST_SECONDS)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130 and "the same command follows it again" in said
    assert "nox -s submit -- --cancel " in said
    lines = (world.project / "in" / "train-b.csv").read_bytes().splitlines(True)
    world.put("train-b.csv", b"".join(lines[:-9]))
    world.ran()
    assert len(world.jobs) == 2 and world.prepared() == world.locally(*CENSUS)


@pytest.mark.full
def test_a_program_that_is_killed_on_its_machine_and_started_again_ends_alike(world: World) -> None:
    expected, _ = world.undisturbed
    reading, writing, copying = "{run}.partial/spill/tables.duckdb", "{run}.partial/train", "{run}"
    world.lost |= {reading: None, writing: None, copying: None}
    world.ran()
    # The last phase takes some milliseconds.
    assert world.lost.pop(reading) == world.lost.pop(writing) == -9
    assert world.lost.pop(copying) in (-9, 0)
    assert len(world.jobs) == 1 and world.prepared() == expected


@pytest.mark.full
def test_an_incomplete_copy_has_no_statistics_and_is_completed(world: World) -> None:
    flags = [*CENSUS, "--engine", "vertex", "--output", f"gs://{BUCKET}/copies"]
    flags[1], flags[3] = TRAIN, f"gs://{BUCKET}/in/test-a.csv"
    job = {"AIP_MODEL_DIR": f"gs://{BUCKET}/job-of-copies/model/", "GCS_ROOT": str(world.root)}
    copies, expected = world.root / BUCKET / "copies", world.locally(*CENSUS)
    for limit in (0, 1, len(expected) - 1, 99):
        command = [sys.executable, "-c", FULL_DISK, str(limit), *flags]
        variables = {**os.environ, **job, "TMPDIR": str(world.root.parent)}
        done = subprocess.run(
            command,
            cwd=world.project,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        names = [path.name for path in copies.rglob("*") if path.is_file()]
        complete = limit == 99
        assert (done.returncode == 0) == complete == ("statistics.json" in names), done.stderr
        assert "Traceback" not in done.stderr
    [folder] = copies.iterdir()
    assert content(folder) == expected


@pytest.mark.full
def test_a_job_that_fails_leaves_its_rejects_and_its_reason(world: World) -> None:
    lines = (world.project / "in" / "train-a.csv").read_bytes()
    world.put("train-a.csv", lines + b"x, y\n" * ROWS)
    _, said = world.ran(code=1)
    assert "rows cannot be used" in said and "rejects.csv" in said and "failed: " in said
    [job] = world.jobs
    base = job["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"].removeprefix("gs://")
    assert (world.root / base / "rejects.csv").read_bytes().count(b"\n") == ROWS
    assert world.submissions[-1]["stage"] == "CONCLUDED"


@pytest.mark.full
def test_the_command_of_a_job_installs_what_it_needs(world: World, tmp_path: Path) -> None:
    world.ran()
    [job] = world.jobs
    [pool] = job["jobSpec"]["workerPoolSpecs"]
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "image")], check=True)
    command = [each.replace("/gcs/", f"{world.root}/") for each in pool["containerSpec"]["command"]]
    path = f"{tmp_path / 'image' / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        [*command, "--help"],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "usage: python -m trainer.prepare" in done.stdout, done.stderr
    listed = subprocess.run(
        [str(tmp_path / "image" / "bin" / "python"), "-m", "pip", "list", "--format=freeze"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    pins = re.findall(r"[a-z]+==[0-9.]+", command[2])
    assert len(pins) == 3 and set(pins) <= set(listed.split())
