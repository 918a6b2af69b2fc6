"""Latency and rate of a server of predictions, its start and its memory. The same program for ours and the peer's.

The server is started by the command in --server and ended afterwards; clients keep their connections.
"""

import argparse
import asyncio
import contextlib
import csv
import itertools
import json
import os
import shlex
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

LOADS = ((1, 1), (8, 1), (64, 1), (1, 64), (8, 64), (1, 1_024), (8, 1_024))
"""Clients, and rows in each request."""
READY_SECONDS = 120


def instances_of(table: Path, numeric: list[str], count: int) -> list[dict[str, Any]]:
    """Return the first rows of a CSV file without empty cells, numbers as such."""
    with table.open(newline="") as lines:
        complete = (row for row in csv.DictReader(lines) if all(row.values()))
        rows = list(itertools.islice(complete, count))
    return [{n: float(v) if n in numeric else v for n, v in row.items()} for row in rows]


def request_of(instances: list[dict[str, Any]], port: int) -> bytes:
    body = json.dumps({"instances": instances}).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def client(port: int, request: bytes, end: float, latencies: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < end:
        started = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head[:16]:
            raise RuntimeError(head.decode())
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        latencies.append(time.perf_counter() - started)
    writer.close()


async def loaded(port: int, clients: int, request: bytes, seconds: float) -> dict[str, float]:
    """Return requests per second, and the median and the 99th percentile of the milliseconds of each."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds
    await asyncio.gather(*(client(port, request, end, latencies) for _ in range(clients)))
    latencies.sort()
    p50, p99 = (latencies[int(len(latencies) * share)] * 1e3 for share in (0.5, 0.99))
    return {"rate": len(latencies) / seconds, "p50_ms": p50, "p99_ms": p99}


def wait_until_ready(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + READY_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health"),
        ):
            return
        time.sleep(0.05)
    raise RuntimeError("the server is not ready")


def memory_mb(group: int) -> float:
    """Return the resident memory of a process group."""
    command = ["ps", "-eo", "pgid,rss", "--no-headers"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return sum(int(rss) for pgid, rss in map(str.split, lines) if int(pgid) == group) / 1024


def main() -> None:
    """Print the figures of each load as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True, help="a command, in which PORT is the port")
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--schema", type=Path, required=True)
    parser.add_argument("--port", type=int, default=18_099)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    schema = json.loads(given.schema.read_text())
    columns = [*schema["numeric"], *schema["categorical"]]
    rows = instances_of(given.table, schema["numeric"], max(rows for _, rows in LOADS))
    rows = [{name: row[name] for name in columns} for row in rows]
    started = time.perf_counter()
    command = shlex.split(given.server.replace("PORT", str(given.port)))
    server = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        wait_until_ready(given.port, server)
        found: dict[str, Any] = {"start_seconds": time.perf_counter() - started}
        for clients, count in LOADS:
            request = request_of(rows[:count], given.port)
            asyncio.run(loaded(given.port, clients, request, given.seconds / 5))
            load = asyncio.run(loaded(given.port, clients, request, given.seconds))
            found |= {f"{name} {clients}x{count}": value for name, value in load.items()}
        found["memory_mb"] = memory_mb(server.pid)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
