"""Uploads in one request, in two parts, and in resumable chunks.

Source of the protocol: https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

import itertools
import re
import threading
from dataclasses import dataclass, field

from tests.doubles.objects import Objects, crc32c, md5
from tests.doubles.server import ApiError, Json, Request, Response, corrupted, json_response

CHUNK_BYTES = 256 * 1024
CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
BINARY = "application/octet-stream"


@dataclass
class Session:
    bucket: str
    fields: Json
    required: str
    content: bytearray = field(default_factory=bytearray)
    corrupt: bool = False
    stored: Json = field(default_factory=dict)
    """The object's metadata once the upload is complete."""


class Uploads:
    """The three kinds of upload into `objects`."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.sessions: dict[str, Session] = {}
        self.ids = itertools.count(1)
        self.lock = threading.Lock()

    def respond(self, request: Request, bucket: str) -> Response:
        """Handle any request to the upload endpoint."""
        if request.value("upload_id"):
            return self.chunk(request, request.value("upload_id"))
        kind = request.value("uploadType")
        handlers = {"media": self.simple, "multipart": self.multipart, "resumable": self.start}
        if kind not in handlers:
            raise ApiError(400, f"Invalid upload type: {kind!r}")
        return handlers[kind](request, bucket)

    def simple(self, request: Request, bucket: str) -> Response:
        fields = {"name": request.value("name")}
        fields["contentType"] = request.headers.get("Content-Type", BINARY)
        return json_response(self.store(request, bucket, request.body, fields))

    def multipart(self, request: Request, bucket: str) -> Response:
        """Store the second part of a body; the first one is the metadata."""
        (_, description), (head, content) = body_parts(request)
        fields = Request("POST", "", body=description).json()
        fields.setdefault("name", request.value("name"))
        kind = re.search(rb"(?i)content-type:[ \t]*([^\r\n]+)", head)
        fields.setdefault("contentType", kind[1].decode() if kind else BINARY)
        return json_response(self.store(request, bucket, content, fields))

    def start(self, request: Request, bucket: str) -> Response:
        """Begin a resumable upload: the response's Location is the URL of its session."""
        fields = request.json()
        fields.setdefault("name", request.value("name"))
        fields.setdefault("contentType", request.headers.get("X-Upload-Content-Type", BINARY))
        if not fields.get("name"):
            raise ApiError(400, "Required object name.")
        required = request.value("ifGenerationMatch")
        self.objects.check(bucket, fields["name"], required)
        with self.lock:
            identifier = f"session-{next(self.ids)}"
            self.sessions[identifier] = Session(bucket, fields, required)
        path = f"/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={identifier}"
        return Response(200, b"", (("Location", request.origin + path),))

    def chunk(self, request: Request, identifier: str) -> Response:
        """Add a chunk to a session, or report its progress: 308 until it is complete."""
        with self.lock:
            session = self.sessions.get(identifier)
            if session is None:
                raise ApiError(404, "No such upload session.")
            if session.stored:
                return json_response(session.stored)
            total = add_chunk(session, request)
            session.corrupt |= request.fault.corrupt
            if total is None or len(session.content) < total:
                received = len(session.content)
                done = (("Range", f"bytes=0-{received - 1}"),) if received else ()
                return Response(308, b"", done)
            content = bytes(session.content)
            check_sums(request, content, session.fields)
            session.stored = self.put(session, content)
            return json_response(session.stored)

    def store(self, request: Request, bucket: str, content: bytes, fields: Json) -> Json:
        """Check the client's checksums of an upload in one request, then store it."""
        if not fields.get("name"):
            raise ApiError(400, "Required object name.")
        check_sums(request, content, fields)
        required = request.value("ifGenerationMatch")
        return self.put(Session(bucket, fields, required, corrupt=request.fault.corrupt), content)

    def put(self, upload: Session, content: bytes) -> Json:
        """Store content, corrupted if its fault requires it."""
        content = corrupted(content) if upload.corrupt else content
        name = upload.fields["name"]
        return self.objects.put(upload.bucket, name, content, upload.fields, upload.required)


def add_chunk(session: Session, request: Request) -> int | None:
    """Add a chunk to a session and return the total size, None if it isn't known yet."""
    header = request.headers.get("Content-Range")
    if header is None:
        session.content[:] = request.body
        return len(request.body)
    match = CONTENT_RANGE.fullmatch(header)
    if not match:
        raise ApiError(400, f"Failed to parse Content-Range header: {header}")
    total = None if match[3] == "*" else int(match[3])
    if match[1] is None:
        return total
    first, received = int(match[1]), len(session.content)
    if first > received or len(request.body) != int(match[2]) - first + 1:
        raise ApiError(400, f"Invalid request. {received} bytes are here; got {header}")
    content = session.content[:first] + request.body
    if total is None or len(content) < total:
        # Before the last chunk, only multiples of 256 KiB are kept.
        content = content[: len(content) // CHUNK_BYTES * CHUNK_BYTES]
    if len(content) > received:
        session.content[:] = content
    return total


def body_parts(request: Request) -> list[tuple[bytes, bytes]]:
    """Return the headers and the content of both parts of a body; raise ApiError if there aren't two."""
    match = re.search(r'boundary="?([^";]+)', request.headers.get("Content-Type", ""))
    if not match:
        raise ApiError(400, "Missing multipart boundary in Content-Type header.")
    parts = (b"\r\n" + request.body).split(b"\r\n--" + match[1].strip("'").encode())
    split = [part.partition(b"\r\n\r\n") for part in parts[1:-1]]
    if len(split) != 2:
        raise ApiError(400, "Multipart content has not exactly two parts.")
    return [(head, content) for head, _, content in split]


def check_sums(request: Request, content: bytes, fields: Json) -> None:
    """Raise ApiError if a checksum that the client sent isn't the content's."""
    sent = {"crc32c": fields.get("crc32c"), "md5": fields.get("md5Hash")}
    sent["md5"] = request.headers.get("Content-MD5", sent["md5"])
    for pair in request.headers.get("X-Goog-Hash", "").split(","):
        name, _, value = pair.strip().partition("=")
        if value:
            sent[name] = value
    for name, actual in (("crc32c", crc32c(content)), ("md5", md5(content))):
        if sent[name] and actual and sent[name] != actual:
            shown = name.upper()
            raise ApiError(
                400,
                f'Provided {shown} "{sent[name]}" doesn\'t match calculated {shown} "{actual}".',
            )
