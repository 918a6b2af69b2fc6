"""A double of Cloud Storage: the JSON API as far as clients need it, and reads of the XML API.

Not modelled, and refused with 501: versions, soft-deleted objects, holds, access lists, batches,
preconditions other than ifGenerationMatch. Retention and storage classes are kept but have no effect.
"""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from tests.bakery import SOURCES
from tests.doubles.objects import Objects, timestamp
from tests.doubles.server import ApiError, Json, Request, Response, Route, json_response, routed
from tests.doubles.uploads import Uploads

MULTI_REGIONS = ("US", "EU", "ASIA")
DUAL_REGIONS = ("NAM4", "EUR4", "EUR5", "EUR7", "EUR8", "ASIA1")
"""Predefined pairs. Source: https://cloud.google.com/storage/docs/locations"""
BUCKET_DEFAULTS: Json = {
    "location": "US",
    "storageClass": "STANDARD",
    "softDeletePolicy": {"retentionDurationSeconds": "604800"},
}
READ = frozenset({"storage.objects.get", "storage.objects.list"})
WRITE = frozenset({"storage.objects.create", "storage.objects.delete", "storage.objects.update"})
NOT_MODELLED = (
    "matchGlob",
    "startOffset",
    "endOffset",
    "versions",
    "softDeleted",
    "includeTrailingDelimiter",
)
NOT_MODELLED_CONDITIONS = (
    "ifGenerationNotMatch",
    "ifMetagenerationMatch",
    "ifSourceGenerationMatch",
)
HASHES = (("crc32c", "crc32c"), ("md5", "md5Hash"))
BUCKETS_FILE = ".buckets.json"
BUCKET = "/storage/v1/b/([^/]+)"
OBJECT = BUCKET + "/o/([^/]+)"


def catalog() -> Json:
    """Return google_cloud.json, which the launcher reads too."""
    content: Json = json.loads(
        (SOURCES / "launcher" / "spec" / "google_cloud.json").read_text("utf-8")
    )
    return content


class StorageService:
    """The buckets and objects below a root folder, which is also the /gcs mount of local jobs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.objects = Objects(root)
        self.uploads = Uploads(self.objects)
        self.denied: dict[str, frozenset[str]] = {}
        """Permissions that the caller lacks, by bucket."""
        self.lock = threading.RLock()
        self.catalog = catalog()
        root.mkdir(parents=True, exist_ok=True)
        saved = root / BUCKETS_FILE
        self.buckets: dict[str, Json] = json.loads(saved.read_text()) if saved.is_file() else {}
        self.routes: list[Route] = [
            ("POST", "/storage/v1/b", self.insert_bucket),
            ("GET", "/storage/v1/b", self.list_buckets),
            ("GET", BUCKET, lambda request, bucket: json_response(self.bucket(bucket))),
            ("PATCH|PUT", BUCKET, self.patch_bucket),
            ("DELETE", BUCKET, self.delete_bucket),
            ("GET", BUCKET + "/iam/testPermissions", self.permissions_held),
            ("POST|PUT", "(?:/resumable)?/upload" + BUCKET + "/o", self.uploads.respond),
            ("GET", BUCKET + "/o", self.list_objects),
            ("POST", OBJECT + "/(?:rewriteTo|copyTo)/b/([^/]+)/o/([^/]+)", self.copy),
            ("POST", OBJECT + "/compose", self.compose),
            ("GET", "(?:/download)?" + OBJECT, self.get_object),
            ("PATCH|PUT", OBJECT, self.patch_object),
            ("DELETE", OBJECT, self.delete_object),
            ("GET|HEAD", "/([^/]+)/(.+)", self.media),
        ]

    def respond(self, request: Request) -> Response:
        for name in NOT_MODELLED_CONDITIONS:
            if name in request.query:
                raise ApiError(501, f"The double has no {name}")
        match = re.match("(?:/resumable)?(?:/upload|/download)?" + BUCKET, request.path)
        if match:
            self.bucket(unquote(match[1]))
            self.check_permission(request, unquote(match[1]))
        return routed(self.routes, request)

    def unreadable(self, bucket: str) -> None:
        """Deny the caller reading and listing the objects of a bucket from now on."""
        self.denied[bucket] = self.denied.get(bucket, frozenset()) | READ

    def unwritable(self, bucket: str) -> None:
        """Deny the caller changing the objects of a bucket from now on."""
        self.denied[bucket] = self.denied.get(bucket, frozenset()) | WRITE

    def check_permission(self, request: Request, bucket: str) -> None:
        """Raise ApiError if the caller lacks the permission for a request."""
        needed = permission(request)
        if needed in self.denied.get(bucket, frozenset()):
            message = f"Caller does not have {needed} access to the Google Cloud Storage bucket."
            raise ApiError(403, f"{message} Permission '{needed}' denied on resource.")

    def create_bucket(self, name: str, location: str = "US", **fields: object) -> Json:
        """Create a bucket without a client, and return its metadata."""
        return self.new_bucket({"name": name, "location": location, **fields})

    def bucket(self, name: str) -> Json:
        """Return a bucket's metadata; raise ApiError if there is none."""
        if name not in self.buckets:
            raise ApiError(404, "The specified bucket does not exist.")
        return self.buckets[name]

    def insert_bucket(self, request: Request) -> Response:
        """Create a bucket in the project that the query names."""
        if not request.value("project"):
            raise ApiError(400, "Required parameter: project")
        return json_response(self.new_bucket(request.json()))

    def new_bucket(self, fields: Json) -> Json:
        """Create a bucket with the service's own defaults, and return its metadata."""
        with self.lock:
            name = str(fields.get("name", ""))
            check_bucket_name(name, self.catalog["bucket_names"])
            if name in self.buckets:
                raise ApiError(409, "Your previous request to create the named bucket succeeded.")
            bucket: Json = {**BUCKET_DEFAULTS, **fields}
            bucket["location"] = str(bucket["location"]).upper()
            bucket["locationType"] = location_type(bucket, self.catalog)
            bucket["iamConfiguration"] = access({}, fields.get("iamConfiguration", {}))
            created = {"timeCreated": timestamp(0), "updated": timestamp(0), "projectNumber": "1"}
            identity = {"kind": "storage#bucket", "id": name, "etag": "1", "metageneration": "1"}
            self.buckets[name] = {**bucket, **created, **identity}
            (self.root / name).mkdir(exist_ok=True)
            return self.saved(name)

    def saved(self, name: str) -> Json:
        """Write the buckets to disk, so that a restarted server has them, and return one."""
        (self.root / BUCKETS_FILE).write_text(json.dumps(self.buckets, indent=1))
        return self.buckets.get(name, {})

    def list_buckets(self, request: Request) -> Response:
        """List every bucket of any project."""
        buckets = [self.buckets[name] for name in sorted(self.buckets)]
        required = [one for one in buckets if one["name"].startswith(request.value("prefix"))]
        return json_response({"kind": "storage#buckets", "items": required})

    def patch_bucket(self, request: Request, name: str) -> Response:
        """Change a bucket's metadata except for its location."""
        with self.lock:
            bucket, changes = self.bucket(name), request.json()
            if str(changes.get("location", bucket["location"])).upper() != bucket["location"]:
                raise ApiError(400, "The location of a bucket can't be changed.")
            access_now = access(bucket["iamConfiguration"], changes.get("iamConfiguration", {}))
            bucket |= {**changes, "location": bucket["location"], "iamConfiguration": access_now}
            bucket["metageneration"] = str(int(bucket["metageneration"]) + 1)
            return json_response(self.saved(name))

    def delete_bucket(self, request: Request, name: str) -> Response:
        with self.lock:
            if self.objects.names(name):
                raise ApiError(409, "The bucket you tried to delete is not empty.")
            del self.buckets[name]
            self.saved(name)
            return Response(204)

    def permissions_held(self, request: Request, bucket: str) -> Response:
        """Return the requested permissions that the caller has."""
        asked = request.query.get("permissions", [])
        denied = self.denied.get(bucket, frozenset())
        held = [permission for permission in asked if permission not in denied]
        return json_response({"kind": "storage#testIamPermissionsResponse", "permissions": held})

    def list_objects(self, request: Request, bucket: str) -> Response:
        """List objects and common prefixes, page by page."""
        for name in NOT_MODELLED:
            if request.value(name) not in ("", "false", "False"):
                raise ApiError(501, f"The double has no {name}")
        prefix, delimiter = request.value("prefix"), request.value("delimiter")
        rows = list(listed(self.objects.names(bucket), prefix, delimiter))
        rows = [row for row in rows if row.encode() > request.value("pageToken").encode()]
        page = rows[: int(request.value("maxResults", "1000"))]
        folders = [row for row in page if is_prefix(row, prefix, delimiter)]
        items = [self.objects.resource(bucket, row) for row in page if row not in folders]
        content: Json = {"kind": "storage#objects", "items": items, "prefixes": folders}
        if len(page) < len(rows):
            content["nextPageToken"] = page[-1]
        return json_response(content)

    def copy(self, request: Request, bucket: str, name: str, to: str, new_name: str) -> Response:
        """Copy an object, in one step for any size."""
        self.bucket(to)
        source = self.objects.resource(bucket, name)
        content = self.objects.read(bucket, name)
        required = request.value("ifGenerationMatch")
        made = self.objects.put(to, new_name, content, {**source, **request.json()}, required)
        if "/copyTo/" in request.path:
            return json_response(made)
        sizes = {"totalBytesRewritten": made["size"], "objectSize": made["size"]}
        return json_response(
            {"kind": "storage#rewriteResponse", "done": True, "resource": made, **sizes}
        )

    def compose(self, request: Request, bucket: str, name: str) -> Response:
        """Join up to 32 objects to one."""
        required, body = request.value("ifGenerationMatch"), request.json()
        sources = body.get("sourceObjects", [])
        if not 1 <= len(sources) <= 32:
            raise ApiError(400, "The number of source components must be between 1 and 32.")
        content = b"".join(self.objects.read(bucket, source["name"]) for source in sources)
        fields = body.get("destination", {})
        return json_response(self.objects.put(bucket, name, content, fields, required))

    def get_object(self, request: Request, bucket: str, name: str) -> Response:
        """Return metadata, or with alt=media the content."""
        if request.value("alt") == "media":
            return self.media(request, bucket, name)
        resource = self.objects.resource(bucket, name)
        self.objects.check(bucket, name, request.value("ifGenerationMatch"))
        check_generation(request, resource)
        return json_response(resource)

    def patch_object(self, request: Request, bucket: str, name: str) -> Response:
        self.objects.check(bucket, name, request.value("ifGenerationMatch"))
        check_generation(request, self.objects.resource(bucket, name))
        return json_response(self.objects.change(bucket, name, request.json()))

    def delete_object(self, request: Request, bucket: str, name: str) -> Response:
        check_generation(request, self.objects.resource(bucket, name))
        self.objects.delete(bucket, name, request.value("ifGenerationMatch"))
        return Response(204)

    def media(self, request: Request, bucket: str, name: str) -> Response:
        """Return content, or the requested range of it."""
        self.bucket(bucket)
        self.check_permission(Request("GET", f"/storage/v1/b/{bucket}/o/{name}"), bucket)
        resource = self.objects.resource(bucket, name)
        self.objects.check(bucket, name, request.value("ifGenerationMatch"))
        check_generation(request, resource)
        return ranged(request.headers.get("Range", ""), self.objects.read(bucket, name), resource)


def check_generation(request: Request, resource: Json) -> None:
    """Raise ApiError if another generation than the live one is requested."""
    if request.value("generation") not in ("", resource["generation"]):
        raise ApiError(404, f"No such object: {resource['bucket']}/{resource['name']}")


def ranged(header: str, content: bytes, resource: Json) -> Response:
    """Return a download; the hashes are always those of the complete object."""
    hashes = [f"{name}={resource[key]}" for name, key in HASHES if key in resource]
    headers = (
        ("Content-Type", resource["contentType"]),
        ("X-Goog-Generation", resource["generation"]),
        ("ETag", resource["etag"]),
        ("X-Goog-Hash", ",".join(hashes)),
    )
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header)
    if not match or match.groups() == ("", ""):
        return Response(200, content, headers)
    first = int(match[1]) if match[1] else max(len(content) - int(match[2]), 0)
    last = int(match[2]) if match[1] and match[2] else len(content) - 1
    last = min(last, len(content) - 1)
    if first >= len(content):
        return Response(416, b"", (("Content-Range", f"bytes */{len(content)}"),))
    shown = (("Content-Range", f"bytes {first}-{last}/{len(content)}"),)
    return Response(206, content[first : last + 1], headers + shown)


def permission(request: Request) -> str:
    """Return the permission that a request needs."""
    if not re.search("^(/download|(/resumable)?/upload)?/storage/v1/b/[^/]+/o(/|$)", request.path):
        verb = {"GET": "get", "PATCH": "update", "PUT": "update", "DELETE": "delete"}
        return f"storage.buckets.{verb.get(request.method, 'create')}"
    if request.path.endswith("/o") and request.method == "GET":
        return "storage.objects.list"
    if "/upload/" in request.path or request.method == "POST":
        return "storage.objects.create"
    verb = {"GET": "get", "DELETE": "delete"}
    return f"storage.objects.{verb.get(request.method, 'update')}"


def location_type(bucket: Json, known: Json) -> str:
    """Return the type of a bucket's location; raise ApiError if there is no such location."""
    location = bucket["location"]
    if location in DUAL_REGIONS or bucket.get("customPlacementConfig"):
        return "dual-region"
    if location in MULTI_REGIONS:
        return "multi-region"
    if location.lower() in (*known["regions"], *known["regions_of_gcloud"]):
        return "region"
    raise ApiError(400, f"The specified location constraint is not valid: {location}")


def access(before: Json, changes: Json) -> Json:
    """Return the access configuration of a bucket after changes."""
    uniform = before.get("uniformBucketLevelAccess", {"enabled": False})
    uniform = {**uniform, **changes.get("uniformBucketLevelAccess", {})}
    prevention = before.get("publicAccessPrevention", "inherited")
    prevention = changes.get("publicAccessPrevention", prevention)
    return {"uniformBucketLevelAccess": uniform, "publicAccessPrevention": prevention}


def check_bucket_name(name: str, rules: list[Json]) -> None:
    """Raise ApiError if a bucket name is invalid."""
    if any(re.search(rule["invalid"], name) for rule in rules):
        raise ApiError(400, f"Invalid bucket name: '{name}'")


def listed(names: list[str], prefix: str, delimiter: str) -> Iterator[str]:
    """Yield the rows of a listing, in order and once: names, and prefixes that end with the delimiter."""
    last = None
    for name in names:
        if not name.startswith(prefix):
            continue
        rest = name[len(prefix) :]
        row = name
        if delimiter and delimiter in rest:
            row = prefix + rest.split(delimiter)[0] + delimiter
        if row != last:
            last = row
            yield row


def is_prefix(row: str, prefix: str, delimiter: str) -> bool:
    """Return whether a row of a listing is a prefix and not a name."""
    return bool(delimiter) and delimiter in row[len(prefix) :]
