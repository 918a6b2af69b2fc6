"""The connections of a worker: those that never send a request are closed, and so is what is far too many."""

import asyncio
import contextlib
import functools
import signal
from asyncio import Transport
from typing import Any, cast

LINGER_SECONDS = 1.0
"""How long connections are accepted after SIGTERM: clients have sent requests that no process has read yet."""
HEADER_SECONDS = 10.0
"""How long a request's header may take, from the connection or the response before it."""


def connection(**given: Any) -> Any:
    """Return the protocol of one connection, for uvicorn."""
    return connection_class()(**given)


@functools.cache
def connection_class() -> Any:
    # Here, because a training job has no uvicorn.
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Connection(HttpToolsProtocol):  # type: ignore[misc]
        """One whose header is late is closed. Beyond the limit requests get status 503; beyond twice that, connections end at once."""

        def connection_made(self, transport: Transport) -> None:
            super().connection_made(transport)
            self.header_timer = self.loop.call_later(HEADER_SECONDS, transport.close)
            if self.limit_concurrency and len(self.connections) > 2 * self.limit_concurrency:
                transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            self.header_timer.cancel()
            super().connection_lost(exc)

        def on_headers_complete(self) -> None:
            self.header_timer.cancel()
            super().on_headers_complete()

        def on_response_complete(self) -> None:
            if not self.pipeline:  # the header of the next request is not there yet
                self.header_timer.cancel()
                self.header_timer = self.loop.call_later(HEADER_SECONDS, self.transport.close)
            super().on_response_complete()

    return Connection


def accept_after_signal() -> None:
    """Let SIGTERM end the running server LINGER_SECONDS later; raise nothing where signals cannot be handled."""
    loop, end = asyncio.get_running_loop(), cast(Any, signal.getsignal(signal.SIGTERM))

    def end_later() -> None:
        loop.call_later(LINGER_SECONDS, end, signal.SIGTERM, None)

    with contextlib.suppress(NotImplementedError, ValueError):
        loop.add_signal_handler(signal.SIGTERM, end_later)
