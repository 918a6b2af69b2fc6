"""Requests to an endpoint: tokens, redirects, errors and responses that are too large."""

import json
import re
import socket
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from trainer import endpoint
from trainer.endpoint import Endpoint
from trainer.run.errors import UserError


@pytest.mark.parametrize(
    ("url", "sent"), [("http://127.0.0.1:1/", None), ("https://127.0.0.1:1/", "Bearer secret")]
)
def test_a_token_travels_encrypted_alone(
    url: str, sent: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[urllib.request.Request] = []

    def opened(request: urllib.request.Request, **_: Any) -> None:
        seen.append(request)
        raise OSError("no network")

    monkeypatch.setenv("ACCESS_TOKEN", "secret")
    monkeypatch.setattr(endpoint.OPENER, "open", opened)
    with pytest.raises(UserError, match="no network") as error:
        Endpoint(url).predictions([{}], "rows", 1)
    assert seen[0].get_header("Authorization") == sent and "secret" not in str(error.value)


def test_the_error_of_a_container_is_read_through_vertex_ai(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = json.dumps({"error": "instance 2 is bad", "instances": [2]})
    for message in (body, json.dumps(body)):
        wrapped = {"error": {"code": 400, "message": message, "status": "FAILED_PRECONDITION"}}
        content = json.dumps(wrapped).encode()
        monkeypatch.setattr(Endpoint, "sent", lambda *_, content=content: (400, content))
        with pytest.raises(UserError, match=r"refuses rows, row 8 \(HTTP 400: instance 2 is bad\)"):
            Endpoint("http://x/").predictions([{}, {}], "rows", 7)


def test_a_response_that_is_too_large_is_asked_for_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def sent(_: Endpoint, body: bytes) -> tuple[int, bytes]:
        count = len(json.loads(body)["instances"])
        if count > 3:
            message = "Failed: `Response size too large. Received at least 10 bytes`"
            return 400, json.dumps({"error": {"code": 400, "message": message}}).encode()
        return 200, json.dumps({"predictions": [{"x": count}] * count}).encode()

    monkeypatch.setattr(Endpoint, "sent", sent)
    found = Endpoint("http://x/").predictions([{}] * 10, "rows", 1)
    assert [each["x"] for each in found] == [2, 2, 3, 3, 3, 2, 2, 3, 3, 3]


def test_a_redirect_is_refused() -> None:
    class Elsewhere(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        Thread(target=server.handle_request, daemon=True).start()
        with pytest.raises(UserError, match="HTTP 302"):
            Endpoint(f"http://127.0.0.1:{server.server_port}/").predictions([{}], "rows", 1)


OK, BAD = b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 400 Bad Request\r\n"


def test_an_address_that_is_none_gives_one_line() -> None:
    with pytest.raises(UserError, match="cannot be reached .Invalid IPv6 URL"):
        Endpoint("http://[::1/").predictions([{}], "rows", 1)


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "cannot be reached (SSH-2.0-OpenSSH"),
        (OK + b"Content-Length: 99\r\n\r\n{", "cannot be reached (IncompleteRead("),
        (BAD + b"Content-Length: 99\r\n\r\n{", "cannot be reached (IncompleteRead("),
        (OK + b'\r\n{"predictions": 5}', "returns 0 predictions of 1 rows"),
        (BAD + b'\r\n{"error": "no", "instances": [{}]}', "refuses rows, row 1 (HTTP 400: no)"),
        (BAD + b'\r\n{"error": "no", "instances": {}}', "refuses rows, row 1 (HTTP 400: no)"),
        (BAD + b"\r\n" + b"[" * 100_000, "refuses rows, row 1 (HTTP 400: [[["),
    ],
)
def test_whatever_a_server_sends_gives_one_line(response: bytes, message: str) -> None:
    def respond(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(response)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):  # what nobody reads resets the connection
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=respond, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(UserError, match=re.escape(message)):
            Endpoint(url).predictions([{}], "rows", 1)
