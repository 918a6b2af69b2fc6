"""Cloud Storage: packages that are never overwritten, and folders of prepared data that are complete or absent.

Checksums are CRC32C in base64: https://cloud.google.com/storage/docs/data-validation
"""

import base64
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.console import Console, UserError
from launcher.contract import STATISTICS
from launcher.executors.vertex.errors import RequestRefused, explained
from launcher.executors.vertex.jobs import credentials, is_loopback, not_installed, quieten
from launcher.packaging.sdist import SourceDistribution, read_source_distribution

ENDPOINT_VARIABLE = "STORAGE_EMULATOR_HOST"
PARALLEL_UPLOADS = 8
CHUNK_BYTES = 16 * 1024 * 1024
"""A larger upload resumes after a failure at its last complete chunk."""
READ_BYTES = 1024 * 1024
RETRY_SECONDS = 120.0
"""How long the client repeats one request, with random pauses that double."""
ATTEMPTS = 3
CODE_MISSING, CODE_EXISTS = 404, 412
MEGABYTE = 1_000_000


class ContentDiffers(UserError):
    """An address that follows from its content holds something else."""


@dataclass(frozen=True)
class RemoteObject:
    size: int
    crc32c: str
    generation: int


def storage_client(project: str) -> Any:
    """Return the client; STORAGE_EMULATOR_HOST, which it reads by itself, needs no credentials."""
    quieten()
    try:
        from google.cloud import storage
    except ImportError as error:
        raise not_installed(error) from error
    if is_loopback(os.environ.get(ENDPOINT_VARIABLE, "")):
        return storage.Client(project=project)
    return storage.Client(project=project, credentials=credentials("", project))


def parts_of(uri: str) -> tuple[str, str]:
    """Return bucket and name of an address gs://BUCKET/NAME."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return bucket, name


def retrying() -> Any:
    """Return the retry policy: bounded in time, with random pauses."""
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(RETRY_SECONDS)


def crc32c_of(path: Path) -> str:
    import google_crc32c

    checksum = google_crc32c.Checksum()
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            checksum.update(block)
    return base64.b64encode(checksum.digest()).decode()


def find_object(client: Any, uri: str) -> RemoteObject | None:
    bucket, name = parts_of(uri)
    with explained(f"reading {uri}"):
        blob = client.bucket(bucket).get_blob(name, retry=retrying())
    return RemoteObject(int(blob.size), str(blob.crc32c), int(blob.generation)) if blob else None


def read_bytes(client: Any, uri: str) -> bytes | None:
    bucket, name = parts_of(uri)
    try:
        with explained(f"reading {uri}"):
            return bytes(client.bucket(bucket).blob(name).download_as_bytes(retry=retrying()))
    except RequestRefused as refusal:
        if refusal.code == CODE_MISSING:
            return None
        raise


def upload(client: Any, path: Path, uri: str, generation: int = 0) -> None:
    """Upload a file that replaces a `generation`, 0 for none, and compare checksums.

    Raises `RequestRefused` with `CODE_EXISTS` if another object exists there.
    """
    expected = crc32c_of(path)
    for _ in range(ATTEMPTS):
        try:
            if send(client, path, uri, generation) == expected:
                return
        except RequestRefused as refusal:
            # Another upload was faster, or the response to our own was lost and the client repeated it.
            there = find_object(client, uri) if refusal.code == CODE_EXISTS else None
            if there is None or there.crc32c != expected:
                raise
            return
        generation = 0
    raise UserError(
        f"{uri} arrived damaged {ATTEMPTS} times",
        f"the checksum {expected}",
        "check the network's proxies and this machine's memory, then run it again",
    )


def send(client: Any, path: Path, uri: str, generation: int) -> str:
    """Upload a file once and return its checksum in the bucket, "" if it arrived damaged and was deleted."""
    from google.cloud.storage.exceptions import DataCorruption

    bucket, name = parts_of(uri)
    blob = client.bucket(bucket).blob(name, chunk_size=CHUNK_BYTES)
    options = dict(if_generation_match=generation, checksum="crc32c", retry=retrying())
    with explained(f"uploading {uri}"):
        try:
            blob.upload_from_filename(str(path), **options)
        except DataCorruption:
            return ""
        if blob.crc32c == crc32c_of(path):
            return str(blob.crc32c)
        blob.delete(if_generation_match=blob.generation, retry=retrying())
    return ""


def upload_package(
    client: Any, distribution: SourceDistribution, uri: str, console: Console
) -> None:
    """Upload the package unless it exists; raise `ContentDiffers` if another one is."""
    remote = find_object(client, uri)
    if remote and remote.crc32c == crc32c_of(distribution.path):
        console.step("upload", "the package is already in the bucket")
        return
    try:
        upload(client, distribution.path, uri)
    except RequestRefused as refusal:
        if refusal.code != CODE_EXISTS:
            raise
        if not holds_same(client, uri, distribution):
            raise ContentDiffers(
                f"{uri} holds another package",
                "the files from which its address follows",
                f"find out who wrote it, then: gcloud storage rm {uri}",
            ) from refusal
    console.step("upload", f"the package, to {uri}")


def holds_same(client: Any, uri: str, distribution: SourceDistribution) -> bool:
    """Return whether a package in the bucket has equal files, packed by another version of zlib."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, distribution.path.name)
        copy.write_bytes(read_bytes(client, uri) or b"")
        try:
            return read_source_distribution(copy).content == distribution.content
        except (tarfile.TarError, OSError, EOFError, ValueError, KeyError):
            return False


def not_prepared() -> UserError:
    return UserError(
        "the data is not prepared", "prepared data in the bucket", "nox -s prepare -- --upload"
    )


def require_prepared(client: Any, uri: str) -> None:
    if find_object(client, f"{uri}/{STATISTICS}") is None:
        raise UserError(
            f"the prepared data is not in the bucket: {uri} has no {STATISTICS}",
            "prepared data in the bucket",
            "nox -s prepare -- --upload",
        )


def upload_folder(client: Any, folder: Path, uri: str, console: Console) -> None:
    """Upload the missing files of a folder, several in parallel, and `STATISTICS` last.

    So its presence means that the folder is complete. Raises `ContentDiffers` if it was, with other files.
    """
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
    files = {name: path for name, path in files.items() if path.is_file()}
    remote = list_objects(client, uri)
    needed = [name for name in files if not is_same(files[name], remote.get(name))]
    raise_for_strangers(uri, files, needed, remote)
    bytes_needed = sum(files[name].stat().st_size for name in needed)
    with console.transfer("upload", bytes_needed) as advance:
        for name in upload_in_parallel(client, uri, {name: files[name] for name in needed}, remote):
            advance(files[name].stat().st_size)
    there = len(files) - len(needed)
    megabytes = bytes_needed / MEGABYTE
    console.step("upload", f"{len(needed)} files, {megabytes:.1f} MB, to {uri}; {there} existed")


def upload_in_parallel(
    client: Any, uri: str, files: Mapping[str, Path], remote: Mapping[str, RemoteObject]
) -> Iterator[str]:
    """Upload files and yield the name of each that has arrived; the statistics wait for all others."""

    def one(name: str) -> str:
        before = remote.get(name)
        upload(client, files[name], f"{uri}/{name}", before.generation if before else 0)
        return name

    with ThreadPoolExecutor(PARALLEL_UPLOADS) as pool:
        others = [pool.submit(one, name) for name in files if name != STATISTICS]
        try:
            for upload_of_one in as_completed(others):
                yield upload_of_one.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if STATISTICS in files:
        yield one(STATISTICS)


def list_objects(client: Any, uri: str) -> dict[str, RemoteObject]:
    """Return the objects below an address, by their names there."""
    bucket, prefix = parts_of(f"{uri}/")
    with explained(f"listing {uri}"):
        blobs = list(client.list_blobs(bucket, prefix=prefix, retry=retrying()))
    return {
        blob.name.removeprefix(prefix): RemoteObject(
            int(blob.size), str(blob.crc32c), int(blob.generation)
        )
        for blob in blobs
    }


def is_same(path: Path, remote: RemoteObject | None) -> bool:
    if remote is None or remote.size != path.stat().st_size:
        return False
    return remote.crc32c == crc32c_of(path)


def raise_for_strangers(
    uri: str, files: Mapping[str, Path], needed: list[str], remote: Mapping[str, RemoteObject]
) -> None:
    """Raise `ContentDiffers` if the bucket has other files that a job would read too, or a complete set of others."""
    strangers = [name for name in remote if name not in files]
    if strangers or (STATISTICS in remote and needed):
        name = (strangers or needed)[0]
        raise ContentDiffers(
            f"{uri}/{name} is not what was prepared here",
            "nothing there, or the same files",
            f"if no job reads it: gcloud storage rm --recursive {uri}",
        )
