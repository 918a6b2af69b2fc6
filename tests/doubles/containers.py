"""The real program of a model's container, started as the service starts it, for the double of endpoints."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.doubles.models import Container, Starter
from tests.doubles.server import Json

READY_SECONDS = 90


@contextlib.contextmanager
def serving_program(python: str) -> Iterator[Starter]:
    """Yield what starts `python -m trainer.serve` with the variables of Vertex AI; all end with the context."""
    programs: list[subprocess.Popen[bytes]] = []

    def start(folder: Path, spec: Json) -> Container:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        variables = {
            "AIP_HTTP_PORT": str(port),
            "AIP_STORAGE_URI": str(folder),
            "AIP_PREDICT_ROUTE": spec["predictRoute"],
            "AIP_HEALTH_ROUTE": spec["healthRoute"],
        }
        command = [python, "-m", "trainer.serve", *spec["args"], "--workers", "1"]
        program = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **variables}, start_new_session=True
        )
        programs.append(program)
        address = f"http://127.0.0.1:{port}"
        wait_until_ready(address + spec["healthRoute"], program)
        return lambda instances: predictions(address + spec["predictRoute"], instances)

    try:
        yield start
    finally:
        for program in programs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()


def wait_until_ready(url: str, program: "subprocess.Popen[bytes]") -> None:
    """Wait for a health of 200; raise ValueError if the program ends before."""
    deadline = time.monotonic() + READY_SECONDS
    while program.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=READY_SECONDS):
            return
        time.sleep(0.1)
    raise ValueError("the health route is never 200")


def predictions(url: str, instances: list[Json]) -> list[Json]:
    body = json.dumps({"instances": instances}).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body)) as response:
            found: list[Json] = json.load(response)["predictions"]
            return found
    except urllib.error.HTTPError as error:
        raise ValueError(error.read().decode()) from error
