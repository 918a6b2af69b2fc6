"""The bucket and the data uploaded to it before a job: created, refused where it cannot be used, complete."""

import pytest

from tests.doubles import faults
from tests.submitting import BUCKET, DATA, SHARDS, UPLOAD, World

pytestmark = pytest.mark.minute


def test_unusable_data_or_buckets_are_reported_before_a_job_is_created(
    world: World,
) -> None:
    assert "nox -s prepare -- --upload" in world.run("submit", code=2).stderr
    world.cloud.storage.create_bucket("all-of-europe", "EU")
    done = world.run("submit", "--bucket", "all-of-europe", code=2)
    assert "multi-region" in done.stderr and "--location=us-central1" in done.stderr
    assert "nox -s bucket" in world.run("submit", "--bucket", "not-there-1", code=2).stderr
    world.cloud.storage.unwritable(BUCKET)
    assert "roles/storage.objectAdmin" in world.run("submit", code=2).stderr
    world.cloud.faults.plan("GET", f"/b/{BUCKET}[?]", faults.DENIED)
    assert "you may not look at it" in world.run("submit", code=2).stderr
    (world.project / "data" / "prepared" / "statistics.json").unlink()
    assert "the data is not prepared" in world.run("submit", code=2).stderr
    assert not world.jobs and not world.submissions


@pytest.mark.full
def test_a_bucket_elsewhere_is_a_warning(world: World) -> None:
    world.cloud.storage.create_bucket("far-away-1", "asia-east1")
    assert "nox -s bucket" in world.run(*UPLOAD, "--bucket", "not-there-1", code=2).stderr
    world.run(*UPLOAD, "--bucket", "far-away-1")
    done = world.run("submit", "--bucket", "far-away-1")
    assert "warning: the bucket gs://far-away-1 is in asia-east1" in done.stderr
    assert len(world.jobs) == 1


def test_the_bucket_is_created_once_with_its_settings(world: World) -> None:
    command = world.run("bucket", "--dry-run", "--bucket", "a-new-bucket-1").stdout
    assert "--location=us-central1 --uniform-bucket-level-access" in command
    assert "created" in world.run("bucket", "--bucket", "a-new-bucket-1").stderr
    made = world.cloud.storage.buckets["a-new-bucket-1"]
    assert (made["location"], made["locationType"]) == ("US-CENTRAL1", "region")
    access = made["iamConfiguration"]
    assert access["uniformBucketLevelAccess"]["enabled"]
    assert access["publicAccessPrevention"] == "enforced"
    again = world.run("bucket", "--bucket", "a-new-bucket-1").stderr
    assert "exists" in again and "warning" not in again
    done = world.run("bucket", "--bucket", "a-new-bucket-1", "--region", "europe-west4", code=2)
    assert "is in us-central1" in done.stderr
    done = world.run("bucket", "--dry-run", "--region", "mars", code=2)
    assert "mars" in done.stderr and not done.stdout
    assert "public" in world.run("bucket").stderr


def test_no_job_is_created_on_data_of_other_features(
    ready: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STALE_DATA", "data/prepared was made from another features.py")
    for command in (("submit",), ("tune",)):
        assert "was made from another" in ready.run(*command, code=2).stderr
        shown = ready.run(*command, "--dry-run")
        assert "warning: data/prepared was made from another" in shown.stderr and shown.stdout
    assert not ready.jobs and not ready.submissions


def test_data_that_is_partly_uploaded_has_no_statistics(world: World) -> None:
    world.cloud.faults.plan("POST", "/upload/", faults.DENIED, times=100, skip=SHARDS // 2)
    assert "roles/storage.objectAdmin" in world.run(*UPLOAD, code=2).stderr
    folder = world.root / DATA
    assert list(folder.rglob("*.tfrecord")) and not (folder / "statistics.json").exists()


def test_data_is_uploaded_once_and_its_statistics_last(world: World) -> None:
    world.cloud.faults.plan("POST", "/upload/", faults.UNAVAILABLE, times=2)
    done = world.run(*UPLOAD)
    assert f"{SHARDS + 1} files" in done.stderr
    folder = world.root / DATA
    names = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    assert len(names) == SHARDS + 1
    uploads = [one for one in world.cloud.faults.log if "/upload/" in one.path]
    newest = max(folder.rglob("*.*"), key=lambda path: path.stat().st_mtime_ns)
    assert newest.name == "statistics.json"
    assert f"0 files, 0.0 MB, to gs://{BUCKET}" in world.run(*UPLOAD).stderr
    assert len(uploads) == len([one for one in world.cloud.faults.log if "/upload/" in one.path])


@pytest.mark.full
def test_an_interrupted_upload_resumes_and_other_data_is_left_alone(
    world: World,
) -> None:
    world.run(*UPLOAD)
    folder = world.root / DATA
    (folder / "train" / "00003.tfrecord").write_bytes(b"other")
    assert "is not what was prepared here" in world.run(*UPLOAD, code=2).stderr
    (folder / "statistics.json").unlink()
    (folder / "train" / "00004.tfrecord").unlink()
    assert "3 files" in world.run(*UPLOAD).stderr
    source = world.project / "data" / "prepared"
    for path in (source / "train").iterdir():
        assert (folder / "train" / path.name).read_bytes() == path.read_bytes()
