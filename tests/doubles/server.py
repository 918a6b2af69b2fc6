"""The HTTP server of the doubles: requests, responses, routes and injected faults."""

import contextlib
import json
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from tests.doubles.faults import NO_FAULT, STATUS_NAMES, Exchange, Fault, Faults

Json = dict[str, Any]
Headers = tuple[tuple[str, str], ...]
POLL_SECONDS = 0.02
REASONS = {429: "rateLimitExceeded", 500: "internalError", 503: "backendError"}
"""By which BigQuery's client decides whether to repeat a request."""


@dataclass(frozen=True)
class Request:
    """One request. `path` is still percent-encoded, because the names of objects contain slashes."""

    method: str
    path: str
    query: Mapping[str, list[str]] = field(default_factory=dict)
    headers: Message = field(default_factory=Message)
    body: bytes = b""
    origin: str = ""
    """Scheme and host as the client sees them."""
    fault: Fault = NO_FAULT

    def value(self, name: str, default: str = "") -> str:
        """Return the last value of a query parameter."""
        return self.query.get(name, [default])[-1]

    def json(self) -> Json:
        """Return the body; raise ApiError if it isn't a JSON object."""
        try:
            content = json.loads(self.body or b"{}")
        except ValueError as error:
            raise ApiError(400, f"Invalid JSON payload received. {error}") from error
        if not isinstance(content, dict):
            raise ApiError(400, "Invalid JSON payload received. Root element must be a message.")
        return content


@dataclass(frozen=True)
class Response:
    """Status, body and headers."""

    status: int = 200
    body: bytes = b""
    headers: Headers = ()


class ApiError(Exception):
    """An error response in the format of Google's services."""

    def __init__(
        self, code: int, message: str, details: list[Json] | None = None, headers: Headers = ()
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.details, self.headers = code, message, details or [], headers

    def response(self) -> Response:
        """Return the error as JSON, with the fields of both error formats: `errors` is Cloud Storage's."""
        status = STATUS_NAMES.get(self.code, "UNKNOWN")
        reason = REASONS.get(self.code, status)
        reasons = [{"message": self.message, "domain": "global", "reason": reason}]
        error: Json = {"code": self.code, "message": self.message, "status": status}
        error |= {"errors": reasons, "details": self.details}
        return json_response({"error": error}, self.code, self.headers)


def json_response(content: Json, status: int = 200, headers: Headers = ()) -> Response:
    body = json.dumps(content).encode()
    return Response(status, body, (("Content-Type", "application/json; charset=UTF-8"), *headers))


class Service(Protocol):
    """What a server calls for its responses."""

    def respond(self, request: Request) -> Response: ...


Route = tuple[str, str, Callable[..., Response]]
"""Methods joined by |, a pattern for the complete path, and a handler that takes the request and the groups."""


def routed(routes: list[Route], request: Request) -> Response:
    """Return the response of the first matching route; raise ApiError with 501 if there is none."""
    for methods, pattern, handle in routes:
        match = re.fullmatch(pattern, request.path)
        if match and request.method in methods.split("|"):
            return handle(request, *map(unquote, match.groups()))
    raise ApiError(501, f"The double has no {request.method} {request.path}")


class Dropped(Exception):
    """The connection was reset on purpose."""


@dataclass
class Exchanges:
    """The state of a server: its service, the faults, and the last response to each request."""

    service: Service
    faults: Faults
    tls: ssl.SSLContext | None = None
    last: dict[tuple[str, str], Response] = field(default_factory=dict)

    def handled(self, request: Request, target: str) -> Response:
        """Return the response to a request, and store it for a fault that replays it."""
        fault = request.fault
        if fault.replay and (request.method, target) in self.last:
            return self.last[request.method, target]
        if fault.status:
            after = (("Retry-After", fault.retry_after),) if fault.retry_after else ()
            message = fault.message or f"Planned fault {fault.status}"
            return ApiError(fault.status, message, headers=after).response()
        try:
            response = self.service.respond(request)
        except ApiError as error:
            return error.response()
        if request.method != "GET":
            self.last[request.method, target] = response
        return response


class Handler(BaseHTTPRequestHandler):
    """Reads requests and writes responses for the `Exchanges` of its server."""

    protocol_version = "HTTP/1.1"
    # Small packets that wait for each other would cost 40 ms a request.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: "Server"

    def handle(self) -> None:
        """Serve one connection until either side closes it."""
        with contextlib.suppress(Dropped, ConnectionError, ssl.SSLError):
            super().handle()

    def log_message(self, *_: object) -> None:
        """Write nothing: `Faults` logs the requests."""

    def handle_expect_100(self) -> bool:
        """Send "100 Continue" immediately: libcurl waits a second for it."""
        proceed = super().handle_expect_100()
        self.wfile.flush()
        return proceed

    def do_CONNECT(self) -> None:
        """Act as a proxy and its target host: continue with TLS on the same connection."""
        tls = self.server.exchanges.tls
        if tls is None:
            return self.send_error(405)
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()
        self.connection = tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb")
        self.close_connection = False
        while not self.close_connection:
            self.handle_one_request()

    def do_any(self) -> None:
        """Handle one request, with its planned fault."""
        exchanges = self.server.exchanges
        target = re.sub("^/+", "/", self.path)
        url = urlsplit(target)
        body = self.read_body()
        fault = exchanges.faults.take(self.command, unquote(target))
        if fault.reset == "before":
            self.reset(url.path, url.query)
        scheme = "https" if isinstance(self.connection, ssl.SSLSocket) else "http"
        request = Request(
            self.command,
            url.path,
            parse_qs(url.query, keep_blank_values=True),
            self.headers,
            body,
            f"{scheme}://{self.headers['Host']}",
            fault,
        )
        response = exchanges.handled(request, target)
        if fault.reset == "after":
            self.reset(url.path, url.query)
        exchanges.faults.record(
            Exchange(self.command, unquote(url.path), unquote(url.query), response.status)
        )
        self.send(response, fault)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_any

    def read_body(self) -> bytes:
        """Return the body, of known length or chunked."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(content)

    def send(self, response: Response, fault: Fault) -> None:
        """Write a response, with the delays and corruption of its fault."""
        time.sleep(fault.delay)
        body = response.body
        if fault.corrupt and self.command == "GET":
            body = corrupted(body)
        self.send_response(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        if response.status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault.body_delay:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            time.sleep(fault.body_delay)
            body = body[len(body) // 2 :]
        self.wfile.write(body)

    def reset(self, path: str, query: str) -> None:
        """Reset the connection without a response."""
        self.server.exchanges.faults.record(Exchange(self.command, unquote(path), query, 0))
        # With a linger time of 0, closing sends RST instead of FIN.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.wfile.close()
        self.connection.close()
        raise Dropped


def corrupted(content: bytes) -> bytes:
    return bytes([content[0] ^ 1]) + content[1:] if content else b"x"


class Server(ThreadingHTTPServer):
    """A server on a free port of the loopback interface."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, exchanges: Exchanges, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.exchanges = exchanges

    @property
    def url(self) -> str:
        """The address, without a trailing slash."""
        return f"http://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def serving(exchanges: Exchanges, port: int = 0) -> Iterator[Server]:
    """Serve in a thread while the context is open; port 0 selects a free one."""
    server = Server(exchanges, port)
    thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
