"""Micro-batches: requests that wait while the model is busy are predicted together."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from trainer.server.instances import Texts

BATCH_ROWS = 1_024
MOST_WAITING_ROWS = 64 * BATCH_ROWS

Predictions = list[dict[str, Any]]
Compute = Callable[[Sequence[Texts]], Sequence[Predictions | Exception]]


class Overloaded(Exception):
    """More rows are waiting than are predicted in a reasonable time."""


@dataclass(frozen=True, eq=False)
class Waiting:
    texts: Texts
    rows: int
    result: "asyncio.Future[Predictions]"


class Batches:
    """Predicts on a thread of its own; nothing waits for a batch to be full."""

    def __init__(self, compute: Compute) -> None:
        self.compute = compute
        self.thread = ThreadPoolExecutor(1)
        self.waiting = deque[Waiting]()
        self.rows = 0
        self.running: asyncio.Task[None] | None = None

    async def predict(self, texts: Texts) -> Predictions:
        """Return a prediction for each row; raise `Overloaded`, or what `compute` returns for these rows."""
        rows = len(next(iter(texts.values())))
        if self.rows and self.rows + rows > MOST_WAITING_ROWS:
            raise Overloaded
        result: asyncio.Future[Predictions] = asyncio.get_running_loop().create_future()
        self.waiting.append(waiting := Waiting(texts, rows, result))
        self.rows += rows
        if self.running is None or self.running.done():
            self.running = asyncio.create_task(self.run())
        try:
            return await result
        except asyncio.CancelledError:
            if waiting in self.waiting:
                self.waiting.remove(waiting)
                self.rows -= rows
            raise

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while batch := self.taken():
            texts = [each.texts for each in batch]
            try:
                results = await loop.run_in_executor(self.thread, self.compute, texts)
            except Exception as error:
                results = [error] * len(batch)
            for each, result in zip(batch, results, strict=True):
                if each.result.done():  # who asked waits no more
                    continue
                if isinstance(result, Exception):
                    each.result.set_exception(result)
                else:
                    each.result.set_result(result)

    def taken(self) -> list[Waiting]:
        """Remove the next requests of at most BATCH_ROWS rows, or one of more."""
        batch, rows = list[Waiting](), 0
        while self.waiting and (not batch or rows + self.waiting[0].rows <= BATCH_ROWS):
            batch.append(self.waiting.popleft())
            rows += batch[-1].rows
        self.rows -= rows
        return batch
