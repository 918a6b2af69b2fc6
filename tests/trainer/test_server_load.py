"""Drills of the server: load, slow clients, floods, malformed requests, killed workers, signals under load.

A sample by default; DRILLS=whole, which `nox -s drills` sets, makes them long.
"""

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from recorder import untrained
from trainer.data.schema import Schema
from trainer.data.statistics import Statistics
from trainer.serve import GRACE_SECONDS, MOST_CONNECTIONS
from trainer.server.connections import HEADER_SECONDS

WHOLE = os.environ.get("DRILLS") == "whole"
CHOOSE = random.Random(int(os.environ.get("DRILLS_SEED", "1")))
MOST_BYTES = 10_000_000
LARGEST_GROWTH_MB = 150
CLIENTS = 16
Address = tuple[str, int]


def many(sample: int, whole: int) -> int:
    return whole if WHOLE else sample


@pytest.fixture(scope="module")
def exported(
    schema: Schema, statistics: Statistics, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return untrained(schema, statistics, tmp_path_factory.mktemp("model"))


@contextlib.contextmanager
def serving(
    model: Path, log: Path, workers: int
) -> Iterator[tuple[Address, "subprocess.Popen[bytes]"]]:
    """Yield the address of a server that is ready, and its process; its log must hold no traceback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "trainer.serve", "--model", str(model), "--port", str(port)]
    command += ["--workers", str(workers), "--max-bytes", str(MOST_BYTES)]
    with log.open("wb") as file:
        server = subprocess.Popen(command, stderr=file, start_new_session=True)
    try:
        until(lambda: status_of(("127.0.0.1", port), "GET", "/health") == 200, 90)
        yield ("127.0.0.1", port), server
        assert "Traceback" not in log.read_text(encoding="utf-8")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture(scope="module")
def server(
    exported: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Address, "subprocess.Popen[bytes]"]]:
    with serving(exported, tmp_path_factory.mktemp("log") / "log", 2) as started:
        yield started


def until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it took more than {seconds} s"
        time.sleep(0.1)


def status_of(address: Address, method: str, path: str, body: bytes = b"") -> int:
    """Return the status of a request on a connection of its own, 0 without a complete response."""
    return response_of(address, method, path, body)[0]


def response_of(address: Address, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*address, timeout=60)
    with contextlib.closing(connection):
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            return 0, b""


def body_of(schema: Schema, rows: int) -> bytes:
    return json.dumps({"instances": [dict.fromkeys(schema.used, "")] * rows}).encode()


def memory_mb(pid: int) -> float:
    """Return the memory of the processes of a server."""
    pids = subprocess.run(["pgrep", "-g", str(pid)], capture_output=True, text=True, check=True)
    found = 0.0
    for each in pids.stdout.split():
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{each}/status").read_text(encoding="ascii").splitlines()
            found += int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024
    return found


def test_every_request_of_many_clients_is_predicted(server: Any, schema: Schema) -> None:
    address, process = server
    sizes = [CHOOSE.choice((1, 1, 1, 64, 500)) for _ in range(many(300, 50_000))]

    def asked(rows: int) -> bool:
        status, content = response_of(address, "POST", "/predict", body_of(schema, rows))
        return status == 200 and len(json.loads(content)["predictions"]) == rows

    with ThreadPoolExecutor(CLIENTS) as pool:
        before = [*pool.map(asked, sizes[:100])], memory_mb(process.pid)
        assert all(before[0]) and all(pool.map(asked, sizes[100:]))
    assert memory_mb(process.pid) - before[1] < LARGEST_GROWTH_MB


def test_headers_that_are_not_complete_are_dropped_and_others_are_served(
    server: Any, schema: Schema
) -> None:
    address, _ = server
    started = time.monotonic()
    slow = [socket.create_connection(address) for _ in range(50)]
    after = http.client.HTTPConnection(*address)  # whose second request never comes
    after.request("GET", "/health")
    after.getresponse().read()
    slow.append(after.sock)
    while time.monotonic() < started + HEADER_SECONDS + 3:
        for number, each in enumerate(slow):
            with contextlib.suppress(OSError):
                each.send(b"" if number % 3 == 0 else (b"\r\n", b"X")[number % 2])
        assert status_of(address, "POST", "/predict", body_of(schema, 1)) == 200
        time.sleep(0.5)
    assert [is_open(each) for each in slow] == [False] * len(slow)


def is_open(connection: socket.socket) -> bool:
    """Return whether the other side has not closed a connection."""
    connection.settimeout(0.01)
    with contextlib.closing(connection):
        try:
            while connection.recv(1_000):
                pass
        except TimeoutError:
            return True
        except OSError:
            pass
        return False


def test_too_many_connections_are_refused_and_forgotten(
    exported: Path, schema: Schema, tmp_path: Path
) -> None:
    body = body_of(schema, 1)
    with serving(exported, tmp_path / "log", 1) as (address, process):
        assert status_of(address, "POST", "/predict", body) == 200
        before = memory_mb(process.pid)
        with contextlib.ExitStack() as flood:
            for _ in range(2 * MOST_CONNECTIONS + 200):
                flood.enter_context(socket.create_connection(address))
            assert status_of(address, "GET", "/health") == 0  # beyond twice the limit
            assert memory_mb(process.pid) - before < LARGEST_GROWTH_MB
        until(lambda: status_of(address, "POST", "/predict", body) == 200, 10)
        with contextlib.ExitStack() as flood:
            for _ in range(MOST_CONNECTIONS + 50):
                flood.enter_context(socket.create_connection(address))
            status, content = response_of(address, "POST", "/predict", body)
            assert status == 503 and content.strip().count(b"\n") == 0 and content


def test_too_many_rows_at_once_get_503_and_the_memory_stays(server: Any, schema: Schema) -> None:
    address, process = server
    rows = MOST_BYTES // len(body_of(schema, 1)) // many(4, 2)
    body, before = body_of(schema, rows), memory_mb(process.pid)
    with ThreadPoolExecutor(4 * CLIENTS) as pool:
        asked = [
            pool.submit(status_of, address, "POST", "/predict", body) for _ in range(many(8, 640))
        ]
        statuses = [each.result() for each in asked]
    assert {*statuses} <= {200, 503} and 200 in statuses
    assert memory_mb(process.pid) - before < 10 * LARGEST_GROWTH_MB
    assert status_of(address, "POST", "/predict", body_of(schema, 1)) == 200


def test_malformed_requests_end_no_worker(server: Any, schema: Schema) -> None:
    address, process = server
    pids = children(process.pid)
    body = body_of(schema, 2)
    good = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    for _ in range(many(300, 30_000)):
        request = bytearray(good)
        for _ in range(CHOOSE.randrange(1, 6)):
            place = CHOOSE.randrange(len(request))
            request[place : place + CHOOSE.randrange(3)] = CHOOSE.randbytes(CHOOSE.randrange(4))
        with socket.create_connection(address) as connection, contextlib.suppress(OSError):
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(10)
            first = connection.recv(20)
            assert not first or first.split()[1] in (b"200", b"400", b"404", b"413"), first
    assert status_of(address, "POST", "/predict", b"x" * (MOST_BYTES + 1)) in (0, 413)
    assert status_of(address, "POST", "/predict", body) == 200 and children(process.pid) == pids


def test_a_killed_worker_costs_only_its_own_requests(server: Any, schema: Schema) -> None:
    address, process = server
    body, kills = body_of(schema, 64), many(2, 20)

    def asked(_: int) -> bool:
        """Ask as a client does: again, if the connection breaks."""
        return any(status_of(address, "POST", "/predict", body) == 200 for _ in range(10))

    with ThreadPoolExecutor(CLIENTS) as pool:
        asking = pool.map(asked, range(kills * 400))
        for _ in range(kills):
            victim = CHOOSE.choice(workers_of(process.pid))
            os.kill(victim, signal.SIGKILL)
            until(lambda gone=victim: len(replaced(process.pid, gone)) == 2, 60)  # type: ignore[misc]
        assert all(asking)


def replaced(parent: int, gone: int) -> list[int]:
    return [each for each in workers_of(parent) if each != gone]


def children(parent: int) -> list[int]:
    found = subprocess.run(
        ["pgrep", "-P", str(parent)], capture_output=True, text=True, check=False
    )
    return sorted(map(int, found.stdout.split()))


def workers_of(parent: int) -> list[int]:
    """Return the processes that predict; another one tracks the resources of all."""
    found = []
    for each in children(parent):
        with contextlib.suppress(OSError):  # it may have ended just now
            if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes():
                found.append(each)
    return found


@pytest.mark.parametrize("workers", [1, 2] if WHOLE else [2])
def test_requests_that_were_accepted_before_a_signal_are_predicted(
    exported: Path, schema: Schema, tmp_path: Path, workers: int
) -> None:
    body = body_of(schema, 500)
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    for repeat in range(many(1, 20)):
        with (
            serving(exported, tmp_path / f"log{repeat}", workers) as (address, process),
            contextlib.ExitStack() as connections,
        ):
            clients = [
                connections.enter_context(socket.create_connection(address)) for _ in range(40)
            ]
            for client in clients:
                client.sendall(head + body)
            time.sleep(CHOOSE.uniform(0.2, 0.5))
            process.send_signal(signal.SIGTERM)
            started = time.monotonic()
            answers = [everything_of(client) for client in clients]
            assert process.wait(GRACE_SECONDS + 5) == 0
            assert time.monotonic() - started < GRACE_SECONDS + 5
            lengths = {
                len(json.loads(each.partition(b"\r\n\r\n")[2])["predictions"]) for each in answers
            }
            assert lengths == {500}


def everything_of(client: socket.socket) -> bytes:
    """Return what a server sends until it closes the connection."""
    client.settimeout(60)
    content = bytearray()
    while part := client.recv(1 << 16):
        content += part
    return bytes(content)
