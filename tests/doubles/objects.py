"""Objects as plain files below a folder: a file that a job writes into its mount is an object."""

import base64
import contextlib
import hashlib
import importlib
import os
import struct
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.doubles.server import ApiError, Json

INCOMING = ".incoming"
KEPT_FIELDS = ("contentType", "metadata", "cacheControl", "contentEncoding", "storageClass")
PRECONDITION = "At least one of the pre-conditions you specified did not hold."


def timestamp(seconds: float) -> str:
    """Return seconds since 1970 in the form of RFC 3339."""
    whole, microseconds = divmod(round(seconds * 1e6), 1_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{microseconds:06}Z"


def md5(content: bytes) -> str:
    """Return the MD5 digest in base64, as Cloud Storage writes it."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def crc32c(content: bytes) -> str:
    """Return the CRC32C in base64, as Cloud Storage writes it; "" if google_crc32c isn't installed."""
    try:
        checksums = importlib.import_module("google_crc32c")
    except ImportError:
        return ""
    return base64.b64encode(struct.pack(">I", checksums.value(content))).decode()


@dataclass
class Entry:
    """Metadata that isn't in an object's file. It is stale if the file's signature differs."""

    signature: tuple[int, int, int]
    generation: int
    fields: Json = field(default_factory=dict)
    metageneration: int = 1
    checksums: Json = field(default_factory=dict)


class Objects:
    """The objects of all buckets: ROOT/<bucket>/<name>.

    An object whose name ends with a slash is a folder that was uploaded as such; other folders are no
    objects. A name that can't be a path, or that needs a file to be a folder as well, is refused with 501.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries: dict[tuple[str, str], Entry] = {}
        self.markers: set[tuple[str, str]] = set()
        self.lock = threading.RLock()

    def path(self, bucket: str, name: str) -> Path:
        """Return the path of an object's file, existing or not."""
        parts = name.removesuffix("/").split("/")
        if {"", ".", ".."} & set(parts) or "\0" in name:
            raise ApiError(501, f"The double has no objects named {name!r}")
        return self.root.joinpath(bucket, *parts)

    def exists(self, bucket: str, name: str) -> bool:
        if name.endswith("/"):
            return (bucket, name) in self.markers and self.path(bucket, name).is_dir()
        return self.path(bucket, name).is_file()

    def entry(self, bucket: str, name: str) -> Entry:
        """Return an object's entry, a new one if its file was rewritten; raise ApiError if there is no object."""
        with self.lock:
            if not self.exists(bucket, name):
                raise ApiError(404, f"No such object: {bucket}/{name}")
            status = self.path(bucket, name).stat()
            signature = (status.st_mtime_ns, status.st_size, status.st_ino)
            if name.endswith("/"):
                signature = (0, 0, status.st_ino)
            known = self.entries.get((bucket, name))
            if known is None or known.signature != signature:
                last = known.generation if known else 0
                known = Entry(signature, max(status.st_mtime_ns // 1000, last + 1))
                self.entries[bucket, name] = known
            return known

    def read(self, bucket: str, name: str) -> bytes:
        self.entry(bucket, name)
        return b"" if name.endswith("/") else self.path(bucket, name).read_bytes()

    def resource(self, bucket: str, name: str) -> Json:
        """Return an object's metadata as the JSON interface has it."""
        with self.lock:
            entry = self.entry(bucket, name)
            if not entry.checksums:
                content = self.read(bucket, name)
                entry.checksums = {"md5Hash": md5(content), "size": str(len(content))}
                entry.checksums |= {"crc32c": crc} if (crc := crc32c(content)) else {}
            changed = timestamp(self.path(bucket, name).stat().st_mtime)
            return {
                "kind": "storage#object",
                "id": f"{bucket}/{name}/{entry.generation}",
                "name": name,
                "bucket": bucket,
                "generation": str(entry.generation),
                "metageneration": str(entry.metageneration),
                "etag": f"{entry.generation}-{entry.metageneration}",
                "contentType": "application/octet-stream",
                "storageClass": "STANDARD",
                "timeCreated": changed,
                "updated": changed,
                **entry.checksums,
                **entry.fields,
            }

    def check(self, bucket: str, name: str, required: str) -> None:
        """Raise ApiError with 412 unless the generation is `required`: "0" is no object, "" is any."""
        if not required:
            return
        exists = self.exists(bucket, name)
        if required != (str(self.entry(bucket, name).generation) if exists else "0"):
            raise ApiError(412, PRECONDITION)

    def put(
        self,
        bucket: str,
        name: str,
        content: bytes,
        fields: Mapping[str, object],
        required: str = "",
    ) -> Json:
        """Write an object if its generation is `required`, and return its metadata."""
        with self.lock:
            self.check(bucket, name, required)
            last = self.entries.get((bucket, name))
            self.write(bucket, name, content)
            entry = self.entry(bucket, name)
            if entry is last:
                # A folder's signature stays, yet every upload is a new generation.
                entry.generation += 1
            entry.fields = {key: fields[key] for key in KEPT_FIELDS if fields.get(key)}
            return self.resource(bucket, name)

    def write(self, bucket: str, name: str, content: bytes) -> None:
        """Write an object's file atomically, so that a job never reads a partial one."""
        target = self.path(bucket, name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                target.mkdir(exist_ok=True)
                self.markers.add((bucket, name))
                return
            (self.root / INCOMING).mkdir(exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.root / INCOMING, delete=False) as file:
                file.write(content)
            os.chmod(file.name, 0o644)
            os.replace(file.name, target)
        except OSError as error:
            raise ApiError(501, f"The double can't store {name!r}: {error}") from error

    def change(self, bucket: str, name: str, fields: Mapping[str, object]) -> Json:
        with self.lock:
            entry = self.entry(bucket, name)
            entry.fields |= {key: fields[key] for key in KEPT_FIELDS if key in fields}
            entry.metageneration += 1
            return self.resource(bucket, name)

    def corrupt(self, bucket: str, name: str) -> None:
        """Change a stored byte but not the checksums, as a failing disk would."""
        with self.lock:
            before = self.resource(bucket, name)
            entry, path = self.entry(bucket, name), self.path(bucket, name)
            content = bytearray(path.read_bytes())
            content[0] ^= 1
            path.write_bytes(content)
            status = path.stat()
            entry.signature = (status.st_mtime_ns, status.st_size, status.st_ino)
            assert self.resource(bucket, name)["md5Hash"] == before["md5Hash"]

    def delete(self, bucket: str, name: str, required: str = "") -> None:
        """Delete an object if its generation is `required`, and folders that become empty."""
        with self.lock:
            self.entry(bucket, name)
            self.check(bucket, name, required)
            path = self.path(bucket, name)
            if name.endswith("/"):
                self.markers.discard((bucket, name))
            else:
                path.unlink()
                path = path.parent
            self.remove_empty(bucket, path)

    def remove_empty(self, bucket: str, folder: Path) -> None:
        """Remove a folder and its parents while they are empty and were not uploaded as objects."""
        top = self.root / bucket
        with contextlib.suppress(OSError):
            while folder != top:
                if (bucket, f"{folder.relative_to(top).as_posix()}/") in self.markers:
                    return
                folder.rmdir()
                folder = folder.parent

    def names(self, bucket: str) -> list[str]:
        """Return the names of a bucket's objects, sorted by their UTF-8 bytes as the service does."""
        with self.lock:
            markers = {name for one, name in self.markers if one == bucket}
            found = {
                *files_below(self.root / bucket),
                *filter(lambda n: self.exists(bucket, n), markers),
            }
        return sorted(found, key=lambda name: name.encode())


def files_below(folder: Path) -> Iterator[str]:
    """Yield the files below a folder by relative path with slashes."""
    for parent, _, files in os.walk(folder):
        for file in files:
            yield Path(parent, file).relative_to(folder).as_posix()
