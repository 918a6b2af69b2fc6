"""Tests of the storage double with Google's client."""

import base64
import hashlib
import importlib
import io
import os
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.doubles import Doubles, faults
from tests.doubles.clients import api_error, post
from tests.doubles.examples import BUCKET, REGION
from tests.doubles.faults import Fault
from tests.doubles.storage import StorageService

pytestmark = pytest.mark.minute

CHUNK = 256 * 1024


def upload(blob: Any, content: bytes, **options: Any) -> None:
    """Upload in resumable chunks if the blob has a chunk size, else in one request."""
    if blob.chunk_size is None:
        blob.upload_from_string(content, **options)
    else:
        # Content of known size below 8 MB would go in one request all the same.
        blob.upload_from_file(io.BytesIO(content), **options)


def test_buckets_are_created_changed_and_listed(client: Any, cloud: Doubles) -> None:
    bucket = client.bucket("made-here")
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.iam_configuration.public_access_prevention = "enforced"
    client.create_bucket(bucket, location=REGION)
    read = client.get_bucket("made-here")
    assert (read.location, read.location_type) == (REGION.upper(), "region")
    assert read.iam_configuration.uniform_bucket_level_access_enabled
    assert read.iam_configuration.public_access_prevention == "enforced"
    assert read.soft_delete_policy.retention_duration_seconds == 604800
    read.soft_delete_policy.retention_duration_seconds = 0
    read.patch()
    assert client.get_bucket("made-here").soft_delete_policy.retention_duration_seconds == 0
    types = {one.name: one.location_type for one in client.list_buckets()}
    assert (types["everywhere"], types["two-places"]) == ("multi-region", "dual-region")
    with pytest.raises(api_error("Conflict")):
        client.create_bucket("made-here", location=REGION)
    with pytest.raises(api_error("NotFound")):
        client.get_bucket("nobodys")


@pytest.mark.parametrize(
    ("name", "location"), [("goog-x", "US"), ("my-google-data", "US"), ("good", "MARS")]
)
def test_buckets_against_the_rules_are_refused(name: str, location: str, client: Any) -> None:
    with pytest.raises(api_error("BadRequest")):
        client.create_bucket(client.bucket(name), location=location)


def test_permissions_are_told_and_enforced(bucket: Any, cloud: Doubles) -> None:
    bucket.blob("a").upload_from_string("a")
    asked = ["storage.objects.get", "storage.objects.create", "storage.buckets.get"]
    assert bucket.test_iam_permissions(asked) == asked
    cloud.storage.unwritable(BUCKET)
    assert bucket.test_iam_permissions(asked) == [asked[0], asked[2]]
    with pytest.raises(api_error("Forbidden")):
        bucket.blob("b").upload_from_string("b")
    assert bucket.blob("a").download_as_bytes() == b"a"
    cloud.storage.unreadable(BUCKET)
    with pytest.raises(api_error("Forbidden")):
        bucket.blob("a").download_as_bytes()


def test_files_and_objects_are_the_same(bucket: Any, cloud: Doubles) -> None:
    folder = cloud.storage.root / BUCKET
    blob = bucket.blob("a b/ü%2F?.txt")
    blob.upload_from_string("text", content_type="text/plain")
    assert (folder / "a b" / "ü%2F?.txt").read_text() == "text"
    (folder / "runs").mkdir()
    (folder / "runs" / "metrics.json").write_text("{}")
    written = bucket.get_blob("runs/metrics.json")
    assert written.download_as_bytes() == b"{}"
    first = written.generation
    (folder / "runs" / "metrics.json").write_text("{ }")
    with pytest.raises(api_error("NotFound")):
        written.delete()
    written = bucket.get_blob("runs/metrics.json")
    assert written.generation > first and written.size == 3
    written.delete()
    assert not (folder / "runs").exists()
    assert bucket.get_blob(blob.name).content_type == "text/plain"


@pytest.mark.parametrize("size", [0, 5, 3 * CHUNK, 3 * CHUNK + 1])
@pytest.mark.parametrize("chunk", [None, CHUNK])
def test_what_is_uploaded_is_downloaded(size: int, chunk: int | None, bucket: Any) -> None:
    content = os.urandom(size)
    blob = bucket.blob("content", chunk_size=chunk)
    upload(blob, content)
    digest = hashlib.md5(content, usedforsecurity=False).digest()
    assert (blob.size, base64.b64decode(blob.md5_hash)) == (size, digest)
    assert bucket.get_blob("content").download_as_bytes() == content
    if size > 5:
        assert bucket.get_blob("content").download_as_bytes(start=2, end=9) == content[2:10]


@pytest.mark.parametrize("chunk", [None, CHUNK])
def test_an_object_is_not_overwritten(chunk: int | None, bucket: Any) -> None:
    blob = bucket.blob("kept", chunk_size=chunk)
    upload(blob, b"first", if_generation_match=0)
    with pytest.raises(api_error("PreconditionFailed")):
        upload(blob, b"second", if_generation_match=0)
    upload(blob, b"third", if_generation_match=blob.generation)
    assert bucket.blob("kept").download_as_bytes() == b"third"


def test_simple_uploads_check_their_precondition(cloud: Doubles) -> None:
    url = f"{cloud.storage_url}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name=n"
    assert post(url, {})[0] == 200
    status, response = post(f"{url}&ifGenerationMatch=0", {})
    assert (status, response["error"]["status"]) == (412, "FAILED_PRECONDITION")


@pytest.mark.parametrize("chunk", [None, CHUNK])
def test_a_wrong_checksum_is_refused(chunk: int | None, bucket: Any) -> None:
    blob = bucket.blob("wrong", chunk_size=chunk)
    blob.crc32c = "AAAAAA=="
    with pytest.raises(api_error("BadRequest"), match="doesn't match calculated"):
        upload(blob, b"content", checksum=None)
    assert not bucket.blob("wrong").exists()


def test_listings_have_prefixes_and_pages(client: Any, bucket: Any) -> None:
    names = ["a", "d/1", "d/2", "d/e/3", "f/4", "z"]
    for name in names:
        bucket.blob(name).upload_from_string(name)
    assert [blob.name for blob in client.list_blobs(BUCKET, page_size=2)] == names
    listing = client.list_blobs(BUCKET, prefix="d/", delimiter="/", page_size=1)
    assert [blob.name for blob in listing] == ["d/1", "d/2"]
    assert listing.prefixes == {"d/e/"}


def test_objects_are_copied_composed_and_deleted(bucket: Any) -> None:
    one, two = bucket.blob("one"), bucket.blob("two")
    one.upload_from_string("1", content_type="text/plain")
    two.upload_from_string("2")
    joined = bucket.blob("joined")
    joined.compose([one, two])
    assert joined.download_as_bytes() == b"12"
    copied = bucket.copy_blob(one, bucket, "copied/one")
    assert (copied.content_type, copied.download_as_bytes()) == ("text/plain", b"1")
    assert bucket.blob("new").rewrite(two)[0] is None
    one.metadata = {"run": "r1"}
    one.patch()
    assert bucket.get_blob("one").metadata == {"run": "r1"}
    one.delete()
    assert not one.exists()


def test_an_upload_goes_on_where_it_was_broken(bucket: Any, cloud: Doubles, retry: Any) -> None:
    content = os.urandom(4 * CHUNK)
    cloud.faults.plan("PUT", "upload_id", faults.RESET_BEFORE, skip=1)
    cloud.faults.plan("PUT", "upload_id", faults.ANSWER_LOST, skip=2)
    blob = bucket.blob("large", chunk_size=CHUNK)
    upload(blob, content, if_generation_match=0, retry=retry)
    assert bucket.blob("large").download_as_bytes() == content
    assert [one.status for one in cloud.faults.logged("PUT", "upload")].count(0) == 2


def put(url: str, content: bytes, content_range: str) -> tuple[int, str]:
    """Put a chunk; return the status and the range that the response confirms."""
    headers = {"Content-Range": content_range}
    request = urllib.request.Request(url, content, headers, method="PUT")
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.headers.get("Range", "")
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Range", "")


def test_a_session_tells_how_far_it_is(cloud: Doubles) -> None:
    url = f"{cloud.storage_url}/upload/storage/v1/b/{BUCKET}/o?uploadType=resumable&name=n"
    with urllib.request.urlopen(url, b"{}") as response:
        session = response.headers["Location"]
    total, last = CHUNK + 10, f"bytes 0-{CHUNK - 1}/{CHUNK + 10}"
    assert put(session, b"", f"bytes */{total}") == (308, "")
    assert put(session, bytes(CHUNK + 5), f"bytes 0-{CHUNK + 4}/*") == (308, f"bytes=0-{CHUNK - 1}")
    assert put(session, b"", f"bytes */{total}") == (308, f"bytes=0-{CHUNK - 1}")
    assert put(session, bytes(5), f"bytes {CHUNK + 5}-{CHUNK + 9}/{total}")[0] == 400
    assert put(session, bytes(CHUNK), last) == (308, f"bytes=0-{CHUNK - 1}")
    for _ in range(2):
        assert put(session, bytes(10), f"bytes {CHUNK}-{total - 1}/{total}")[0] == 200
    assert put(session, b"", f"bytes */{total}")[0] == 200
    assert (cloud.storage.root / BUCKET / "n").read_bytes() == bytes(total)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=429, retry_after="1"),
        Fault(status=500),
        faults.UNAVAILABLE,
        faults.RESET_BEFORE,
        faults.ANSWER_LOST,
    ],
)
def test_the_storage_client_tries_again(
    fault: Fault, bucket: Any, cloud: Doubles, retry: Any
) -> None:
    bucket.blob("a").upload_from_string("a")
    cloud.faults.plan("GET", "/o/a", fault, times=2)
    assert bucket.blob("a").download_as_bytes(retry=retry) == b"a"
    assert [one.status for one in cloud.faults.logged("GET", "/o/a")] == [fault.status] * 2 + [200]


def test_refusals_are_not_tried_again(bucket: Any, cloud: Doubles) -> None:
    cloud.faults.plan("GET", "/o", faults.DENIED)
    with pytest.raises(api_error("Forbidden")):
        bucket.get_blob("a")
    cloud.faults.plan("GET", "/o", faults.EXPIRED)
    with pytest.raises(importlib.import_module("google.auth.exceptions").GoogleAuthError):
        bucket.get_blob("a")


def test_corrupted_content_is_noticed(bucket: Any, cloud: Doubles) -> None:
    corruption = importlib.import_module("google.cloud.storage.exceptions").DataCorruption
    cloud.faults.plan("PUT", "upload_id", faults.CORRUPT)
    with pytest.raises(corruption):
        upload(bucket.blob("a", chunk_size=CHUNK), b"content")
    cloud.faults.plan("POST", "uploadType=multipart", faults.CORRUPT)
    bucket.blob("b").upload_from_string("content")
    assert bucket.blob("b").download_as_bytes() == b"bontent"
    cloud.faults.plan("GET", "alt=media", faults.CORRUPT)
    with pytest.raises(corruption):
        bucket.blob("b").download_as_bytes()
    cloud.storage.objects.corrupt(BUCKET, "b")
    with pytest.raises(corruption):
        bucket.blob("b").download_as_bytes()


def test_slow_answers_are_slow(bucket: Any, cloud: Doubles) -> None:
    bucket.blob("a").upload_from_string("content")
    cloud.faults.plan("GET", "alt=media", Fault(delay=0.2, body_delay=0.2))
    began = time.monotonic()
    assert bucket.blob("a").download_as_bytes() == b"content"
    assert time.monotonic() - began > 0.4
    cloud.faults.plan("GET", "alt=media", Fault(delay=1.0))
    with pytest.raises(importlib.import_module("requests").Timeout):
        bucket.blob("a").download_as_bytes(timeout=0.2, retry=None)


@pytest.mark.parametrize("name", ["..", "a/../../b", "/a", "a//b", "a/%00"])
def test_names_that_are_no_paths_are_refused(name: str, cloud: Doubles) -> None:
    url = f"{cloud.storage_url}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={name}"
    assert post(url, {})[0] == 501


def test_buckets_and_objects_outlive_the_server(bucket: Any, cloud: Doubles) -> None:
    bucket.blob("a").upload_from_string("a")
    later = StorageService(cloud.storage.root)
    assert later.bucket(BUCKET)["location"] == REGION.upper()
    assert later.objects.names(BUCKET) == ["a"]
