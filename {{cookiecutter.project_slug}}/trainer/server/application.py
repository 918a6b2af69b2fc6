"""The ASGI application of a worker: routes, limits, errors and counts."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from trainer import features
from trainer.data.schema import read_schema
from trainer.run.console import Console
from trainer.run.errors import UserError
from trainer.server.batching import Batches, Overloaded, Predictions
from trainer.server.connections import accept_after_signal
from trainer.server.counts import Counts
from trainer.server.instances import InvalidInstances, Texts
from trainer.server.options import ServerOptions, options_of_variable
from trainer.server.page import page
from trainer.server.predictor import Predictor
from trainer.training.tensorflow_setup import start_tensorflow

JSON, HTML = b"application/json", b"text/html; charset=utf-8"
PROMETHEUS = b"text/plain; version=0.0.4"
RETRY_SECONDS = b"1"
CLIENT_CLOSED_REQUEST = 499  # of nginx; nobody reads it

Messages = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Response = tuple[int, bytes, bytes]
"""Status, type of the content, content."""


class RequestTooLarge(Exception):
    pass


class ClientClosed(Exception):
    pass


def create() -> "Application":
    """Return the application of one worker, for uvicorn."""
    return Application(options_of_variable())


class Application:
    """Predicts with the model of the options. It accepts requests only after it has predicted rows itself."""

    predictor: Predictor
    batches: Batches

    def __init__(self, options: ServerOptions) -> None:
        self.options, self.counts, self.console = options, Counts(), Console()
        self.reported = set[str]()

    async def __call__(self, scope: dict[str, Any], receive: Messages, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.live(receive, send)
        else:
            status, kind, content = await self.response(scope, receive)
            headers = [(b"content-type", kind), (b"content-length", b"%d" % len(content))]
            headers += [(b"retry-after", RETRY_SECONDS)] * (status == 503)
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": content})

    async def live(self, receive: Messages, send: Send) -> None:
        """Load the model when the server starts; write down why if that fails, which `trainer.serve` shows."""
        await receive()
        try:
            self.start()
        except Exception as error:
            cause = " ".join(str(error).split())
            if not isinstance(error, UserError):
                cause = f"{self.options.model} cannot be loaded ({cause[:300]}); expected a model"
                cause += " of this TensorFlow; export it again with `nox -s local_train`"
            Path(self.options.failure).write_text(cause, encoding="utf-8")
            await send({"type": "lifespan.startup.failed"})
            return
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        accept_after_signal()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    def start(self) -> None:
        start_tensorflow(seed=0)
        self.predictor = Predictor(Path(self.options.model), read_schema(features).raw)
        self.batches = Batches(self.compute)

    def compute(self, requests: Sequence[Texts]) -> Sequence[Predictions | Exception]:
        self.counts.batch_rows.observe(sum(len(next(iter(each.values()))) for each in requests))
        return self.predictor.predicted(requests)

    async def response(self, scope: dict[str, Any], receive: Messages) -> Response:
        route, options, model = (scope["method"], scope["path"]), self.options, self.predictor
        if route == ("POST", options.predict_route):
            return await self.predict(scope, receive)
        if route == ("GET", options.health_route):
            return 200, JSON, b'{"status": "ready"}'
        if route == ("GET", "/metrics"):
            return 200, PROMETHEUS, self.counts.of_all_workers()
        if route == ("GET", "/"):
            return 200, HTML, page(model.instances, model.example, options).encode()
        known = f"POST {options.predict_route}, GET {options.health_route}, /metrics or /"
        return 404, JSON, failure(f"there is no {' '.join(route)}; expected {known}")

    async def predict(self, scope: dict[str, Any], receive: Messages) -> Response:
        started = time.perf_counter()
        status, content = await self.predicted(scope, receive)
        self.counts.requests.labels(status).inc()
        self.counts.seconds.observe(time.perf_counter() - started)
        return status, JSON, content

    async def predicted(self, scope: dict[str, Any], receive: Messages) -> tuple[int, bytes]:
        """Return the HTTP status and the body of the response to a request for predictions."""
        limit, seconds = self.options.most_bytes, self.options.timeout_seconds
        try:
            predictions = await asyncio.wait_for(self.predictions(scope, receive), seconds)
        except InvalidInstances as error:
            return 400, failure(str(error), instances=error.numbers)
        except UserError as error:
            return 400, failure(str(error))
        except RequestTooLarge:
            return 413, failure(f"the request is too large; expected at most {limit:,} bytes")
        except Overloaded:
            return 503, failure("too many rows are waiting; expected fewer; send them later")
        except asyncio.TimeoutError:
            return 504, failure(f"no prediction after {seconds:g} s; expected one; send fewer rows")
        except ClientClosed:
            return CLIENT_CLOSED_REQUEST, b""
        self.counts.rows.inc(len(predictions))
        return 200, json.dumps({"predictions": predictions}).encode()

    async def predictions(self, scope: dict[str, Any], receive: Messages) -> Predictions:
        instances = self.predictor.instances
        texts = instances.texts(await body_of(scope, receive, self.options.most_bytes))
        if more := instances.ignored - self.reported:
            self.reported |= more
            self.console.line(f"columns  not used by the model: {', '.join(sorted(more))}")
        work = asyncio.ensure_future(self.batches.predict(texts))
        left = asyncio.ensure_future(receive())
        try:
            await asyncio.wait((work, left), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ClientClosed
            return work.result()
        finally:
            work.cancel()
            left.cancel()


def failure(message: str, **more: Any) -> bytes:
    return json.dumps({"error": message, **more}, ensure_ascii=False).encode()


async def body_of(scope: dict[str, Any], receive: Messages, most_bytes: int) -> bytes:
    """Return the body; raise `RequestTooLarge` as soon as it is known to be."""
    length = dict(scope["headers"]).get(b"content-length", b"0")
    if length.isdigit() and int(length) > most_bytes:
        raise RequestTooLarge
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientClosed
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > most_bytes:
            raise RequestTooLarge
    return bytes(body)
