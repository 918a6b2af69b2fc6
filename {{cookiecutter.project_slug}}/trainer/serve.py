"""Serve an exported model over HTTP: `python -m trainer.serve --model DIR`, here and as Vertex AI's container.

Source of the variables, and of the limits of a shared endpoint:
https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
"""

import argparse
import importlib
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from trainer.run.console import Console
from trainer.run.errors import EXIT_USER_ERROR, UserError, exit_code
from trainer.run.outputs import SAVED_MODEL
from trainer.server.options import COUNTS_VARIABLE, ServerOptions
from trainer.training.tensorflow_setup import cores

SHARED_ENDPOINT_BYTES, SHARED_ENDPOINT_SECONDS = 1_500_000, 60.0
GRACE_SECONDS = 8
MOST_CONNECTIONS = 1_000
HEALTHCHECK_SECONDS = 10
"""A process that does not respond for so long is replaced; on a busy machine a start takes some of them."""
FACTORY, CONNECTION = "trainer.server.application:create", "trainer.server.connections:connection"


def parser() -> argparse.ArgumentParser:
    given = os.environ.get
    parser = argparse.ArgumentParser(prog="python -m trainer.serve", description=__doc__)
    add, port = parser.add_argument, given("AIP_HTTP_PORT", "8080")
    add("--model", default=given("AIP_STORAGE_URI"), help="folder of an exported model, or gs://")
    add("--host", default="0.0.0.0" if "AIP_HTTP_PORT" in os.environ else "127.0.0.1")
    add("--port", type=int, default=port, help=f"{port} by default")
    add("--workers", type=int, default=cores(), help="processes; one for each core")
    add("--max-bytes", type=int, default=SHARED_ENDPOINT_BYTES, help="of a request")
    add("--timeout-seconds", type=float, default=SHARED_ENDPOINT_SECONDS, help="of a request")
    add("-q", "--quiet", action="store_true", help="only warnings and errors")
    return parser


def main(arguments: Sequence[str]) -> int:
    import uvicorn

    given = parser().parse_args(arguments)
    check_numbers(given)
    check_port(given.host, given.port)
    # With one worker uvicorn raises the signal again, which would leave the temporary folder behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="server-") as folder:
        counts, failure = Path(folder, "metrics"), Path(folder, "failure")
        counts.mkdir()
        os.environ[COUNTS_VARIABLE] = str(counts)
        options = ServerOptions(
            model=str(local_model(given.model, Path(folder, "model"))),
            predict_route=os.environ.get("AIP_PREDICT_ROUTE", "/predict"),
            health_route=os.environ.get("AIP_HEALTH_ROUTE", "/health"),
            most_bytes=given.max_bytes,
            timeout_seconds=given.timeout_seconds,
            failure=str(failure),
        )
        options.to_variable()
        host = f"[{given.host}]" if ":" in given.host else given.host
        address = f"http://{host}:{given.port}"
        Console(given.quiet).line(
            f"serve    {address}{options.predict_route}, a form at {address}/"
        )
        try:
            uvicorn.run(
                FACTORY,
                factory=True,
                http=CONNECTION,
                host=given.host,
                port=given.port,
                workers=given.workers,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_graceful_shutdown=GRACE_SECONDS,
                timeout_worker_healthcheck=HEALTHCHECK_SECONDS,
                access_log=False,
                log_level="critical",  # until a worker has started
            )
        except SystemExit:  # with one worker
            if not failure.is_file():
                raise
        if failure.is_file():
            print(f"error: {failure.read_text(encoding='utf-8')}", file=sys.stderr)
            return EXIT_USER_ERROR
    return 0


def check_numbers(given: argparse.Namespace) -> None:
    limits = {"port": 65_535, "workers": 1_024, "max_bytes": 2**31, "timeout_seconds": 3_600}
    for name, most in limits.items():
        if not 0 < (value := getattr(given, name)) <= most:
            flag = f"--{name.replace('_', '-')}"
            raise UserError(f"{flag} is {value}", f"more than 0, at most {most}", "correct it")


def check_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            what, fix = f"port {port} of {host} cannot be used ({error.strerror})", "--port 8081"
            raise UserError(what, "a free port", f"name another with {fix}") from error


def local_model(model: str | None, folder: Path) -> Path:
    """Return the folder of a model; one in Cloud Storage is copied to `folder`."""
    path = Path(model or "")
    if model and model.startswith("gs://"):
        download(model, path := folder)
    if not (path / SAVED_MODEL).is_file():
        what, expected = f"{model or '--model'} holds no model", f"a folder with a {SAVED_MODEL}"
        raise UserError(what, expected, "run `nox -s local_train` first, or name another")
    return path


def download(uri: str, folder: Path) -> None:
    """Copy what lies below a `gs://` address. Raises Google's errors."""
    # By name: protobuf makes a package `google` without it, which the checks of imports would look at.
    storage = importlib.import_module("google.cloud.storage")
    bucket, _, prefix = uri.removeprefix("gs://").rstrip("/").partition("/")
    for blob in storage.Client().list_blobs(bucket, prefix=f"{prefix}/"):
        target = folder / blob.name.removeprefix(f"{prefix}/")
        if not blob.name.endswith("/"):
            target.parent.mkdir(parents=True, exist_ok=True)
            blob.download_to_filename(str(target))


if __name__ == "__main__":
    sys.exit(exit_code(main, sys.argv[1:]))
