"""Cloud Storage: packages that are never overwritten, and folders of prepared data that are complete or absent.

Checksums are CRC32C in base64: https://cloud.google.com/storage/docs/data-validation
"""

import base64
import contextlib
import fnmatch
import os
import re
import tarfile
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from launcher.console import Console, UserError, shown
from launcher.contract import STATISTICS
from launcher.executors.vertex.services import (
    STORAGE,
    AlreadyExists,
    NotFound,
    credentials,
    explained,
    load,
)
from launcher.packaging.sdist import SourceDistribution, archive_files, digest

PARALLEL_REQUESTS = 8
CHUNK_BYTES = 16 * 1024 * 1024
"""A larger upload resumes after a failure at its last complete chunk."""
READ_BYTES = 1024 * 1024
RETRY_SECONDS = 120.0
"""How long the client repeats one request, with random pauses that double."""
ATTEMPTS = 3

MEGABYTE = 1_000_000


def storage_client(project: str) -> Any:
    """Return the client, which reads STORAGE_EMULATOR_HOST by itself."""
    endpoint = os.environ.get(STORAGE["override"], "")
    client = load("google.cloud.storage").Client
    return client(project=project, credentials=credentials(endpoint, project))


def blob_at(client: Any, uri: str, **settings: Any) -> Any:
    """Return the client's object for an address gs://BUCKET/NAME, without a request."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return client.bucket(bucket).blob(name, **settings)


def retrying() -> Any:
    """Return the retry policy: bounded in time, with random pauses."""
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(RETRY_SECONDS)


def crc32c_of(path: Path) -> str:
    import google_crc32c

    checksum = google_crc32c.Checksum()
    with path.open("rb") as file:
        for _ in checksum.consume(file, READ_BYTES):
            pass
    return base64.b64encode(checksum.digest()).decode()


def find_object(client: Any, uri: str) -> Any:
    """Return the object at an address with its size, crc32c and generation, None if there is none."""
    blob = blob_at(client, uri)
    with explained(f"reading {uri}", STORAGE):
        return blob.bucket.get_blob(blob.name, retry=retrying())


def read_bytes(client: Any, uri: str) -> bytes | None:
    with contextlib.suppress(NotFound), explained(f"reading {uri}", STORAGE):
        return bytes(blob_at(client, uri).download_as_bytes(retry=retrying()))
    return None


def upload(client: Any, path: Path, uri: str, generation: int = 0) -> None:
    """Upload a file that replaces a `generation`, 0 for none, and compare checksums.

    Raises `AlreadyExists` if another object exists there.
    """
    expected = crc32c_of(path)
    for _ in range(ATTEMPTS):
        blob = blob_at(client, uri, chunk_size=CHUNK_BYTES)
        blob.crc32c = expected  # sent along, so that the service refuses anything else
        options = dict(if_generation_match=generation, checksum=None, retry=retrying())
        try:
            with explained(f"uploading {uri}", STORAGE):
                blob.upload_from_filename(str(path), **options)
        except AlreadyExists:
            # Another upload was faster, or the response to our own was lost and the client repeated it.
            blob = find_object(client, uri)
            if blob is None or blob.crc32c != expected:
                raise
        if blob.crc32c == expected:
            return
        with explained(f"uploading {uri}", STORAGE):
            blob.delete(if_generation_match=blob.generation, retry=retrying())
        generation = 0
    raise UserError(
        f"{uri} arrived damaged {ATTEMPTS} times",
        f"the checksum {expected}",
        "check the network's proxies and this machine's memory, then run it again",
    )


def download(remote: Any, path: Path) -> None:
    """Download an object of `list_objects` unless the file has its content; the file is complete or absent."""
    if path.is_file() and is_same(path, remote):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    with explained(f"downloading {remote.name}", STORAGE):
        remote.download_to_filename(str(partial), checksum=None, retry=retrying())
    if not is_same(partial, remote):
        raise UserError(f"{remote.name} arrived damaged", remote.crc32c, "run it again")
    os.replace(partial, path)


def copy_table(client: Any, uri: str, copies: Path, console: Console) -> None:
    """Copy the objects of a table unless their generation is here; remove here those that are gone there."""
    bucket, _, pattern = uri.removeprefix("gs://").rstrip("/").partition("/")
    remote = table_objects(client, uri)
    here = [path for path in (copies / bucket).rglob("*") if path.is_file()]
    for path in here:
        name = path.relative_to(copies / bucket).as_posix()
        if is_named(name, pattern) and name not in remote:
            path.unlink()
    size = sum(blob.size for blob in remote.values()) / MEGABYTE
    console.step("data", f"{uri}: {len(remote)} objects, {size:.1f} MB")
    for name, blob in remote.items():
        path = path_below(copies / bucket, name)
        record = path.with_name(f".{path.name}.generation")
        if path.is_file() and record.is_file() and record.read_text() == str(blob.generation):
            continue
        download(blob, path)
        record.write_text(str(blob.generation), encoding="utf-8")


def table_objects(client: Any, uri: str) -> dict[str, Any]:
    """Return the objects that an address, a folder or a pattern names, by their names; raise `UserError` if there is none."""
    bucket, _, pattern = uri.removeprefix("gs://").rstrip("/").partition("/")
    fixed = re.split(r"[*?[]", pattern)[0]
    with explained(f"listing {uri}", STORAGE):
        found = list(client.bucket(bucket).list_blobs(prefix=fixed, retry=retrying()))
    if remote := {blob.name: blob for blob in found if is_named(blob.name, pattern)}:
        return remote
    expected = "an object, a folder or a pattern of objects"
    raise UserError(f"there is no {uri}", expected, f"correct the address: gcloud storage ls {uri}")


def is_named(name: str, pattern: str) -> bool:
    """Return whether a pattern, or the folder of that name, has an object; preparing reads those that it would read here."""
    inside = not pattern or name.startswith(f"{pattern}/") or fnmatch.fnmatch(name, f"{pattern}/*")
    hidden = any(part.startswith(".") for part in name.split("/"))
    return not name.endswith("/") and not hidden and (inside or fnmatch.fnmatch(name, pattern))


def upload_package(
    client: Any, distribution: SourceDistribution, uri: str, console: Console
) -> None:
    """Upload the package unless it exists; raise `UserError` if another one is."""
    remote = find_object(client, uri)
    if remote is None:
        upload(client, distribution.path, uri)
        console.step("upload", f"the package, to {uri}")
    elif is_same(distribution.path, remote) or holds_same(client, uri, distribution):
        console.step("upload", "the package is already in the bucket")
    else:
        raise UserError(
            f"{uri} holds another package",
            "the files from which its address follows",
            f"find out who wrote it, then: gcloud storage rm {uri}",
        )


def holds_same(client: Any, uri: str, distribution: SourceDistribution) -> bool:
    """Return whether a package in the bucket has equal files, packed by another version of zlib."""
    with contextlib.suppress(tarfile.TarError, OSError, EOFError):
        return digest(archive_files(read_bytes(client, uri) or b"")) == distribution.content
    return False


def not_prepared(what: str = "the data is not prepared") -> UserError:
    return UserError(what, "prepared data in the bucket", "nox -s prepare -- --upload")


def prepared_findings(client: Any, uri: str) -> list[UserError]:
    """Return why a job cannot read the prepared data in the bucket."""
    what = f"the prepared data is not in the bucket: {uri} has no {STATISTICS}"
    try:
        return [] if find_object(client, f"{uri}/{STATISTICS}") else [not_prepared(what)]
    except UserError as error:
        return [error]


def upload_folder(client: Any, folder: Path, uri: str, console: Console) -> None:
    """Upload the missing files of a folder, several in parallel, and `STATISTICS` last.

    So its presence means that the folder is complete. Raises `UserError` if it was, with other files.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    files = {path.relative_to(folder).as_posix(): path for path in paths}
    remote = list_objects(client, uri)
    needed = [name for name, path in files.items() if not is_same(path, remote.get(name))]
    raise_for_strangers(uri, files, needed, remote)
    sizes = {name: files[name].stat().st_size for name in needed}

    def upload_one(name: str) -> int:
        generation = remote[name].generation if name in remote else 0
        upload(client, files[name], f"{uri}/{name}", generation)
        return sizes[name]

    others = [name for name in needed if name != STATISTICS]
    with (
        console.transfer("upload", sum(sizes.values())) as advance,
        ThreadPoolExecutor(PARALLEL_REQUESTS) as pool,
    ):
        # After a failure, those that have not begun are cancelled.
        for uploaded_bytes in pool.map(upload_one, others):
            advance(uploaded_bytes)
    if STATISTICS in needed:
        upload_one(STATISTICS)
    size = f"{len(needed)} files, {sum(sizes.values()) / MEGABYTE:.1f} MB"
    console.step("upload", f"{size}, to {uri}; {len(files) - len(needed)} existed")


def fetch_all(remote: dict[str, Any], names: Iterable[str], folder: Path, console: Console) -> None:
    """Download objects of `list_objects`, in this order, to files of their names below a folder."""
    paths = {name: path_below(folder, name) for name in names if not name.endswith("/")}
    with console.transfer("fetch", sum(remote[name].size for name in paths)) as advance:
        for name, path in paths.items():
            download(remote[name], path)
            advance(remote[name].size)


def path_below(folder: Path, name: str) -> Path:
    """Return where an object is downloaded to; raise `UserError` for a name that leads out of the folder."""
    path = folder / name
    if path.resolve().is_relative_to(folder.resolve()):
        return path
    raise UserError(
        f"the name of the object {shown(name)} leads out of {folder}",
        "names without .. that do not begin with /",
        "find out who wrote it, then remove it: gcloud storage rm",
    )


def list_objects(client: Any, uri: str) -> dict[str, Any]:
    """Return the objects below an address, by their names there."""
    folder = blob_at(client, f"{uri}/")
    with explained(f"listing {uri}", STORAGE):
        blobs = list(folder.bucket.list_blobs(prefix=folder.name, retry=retrying()))
    return {blob.name.removeprefix(folder.name): blob for blob in blobs}


def is_same(path: Path, remote: Any) -> bool:
    if remote is None or remote.size != path.stat().st_size:
        return False
    return bool(remote.crc32c == crc32c_of(path))


def raise_for_strangers(
    uri: str, files: Collection[str], needed: Sequence[str], remote: Collection[str]
) -> None:
    """Raise `UserError` if the bucket has other files that a job would read too, or a complete set of others."""
    strangers = [name for name in remote if name not in files]
    if strangers or (STATISTICS in remote and needed):
        name = (strangers or needed)[0]
        raise UserError(
            f"{uri}/{name} is not what was prepared here",
            "nothing there, or the same files",
            f"if no job reads it: gcloud storage rm --recursive {uri}",
        )
