"""Requests that wait and are predicted together, and those whose clients leave."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest
from trainer.server.batching import MOST_WAITING_ROWS, Batches, Overloaded


def test_requests_that_wait_are_predicted_together() -> None:
    calls = []

    def compute(requests: Any) -> Any:
        calls.append(len(requests))
        time.sleep(0.01)
        return [[{"value": text} for text in each["x"]] for each in requests]

    async def ask() -> None:
        batches = Batches(compute)
        found = await asyncio.gather(*(batches.predict({"x": [str(i)]}) for i in range(50)))
        assert [each[0]["value"] for each in found] == [*map(str, range(50))]
        whole = batches.predict({"x": [""] * MOST_WAITING_ROWS})
        with pytest.raises(Overloaded):
            await asyncio.gather(whole, batches.predict({"x": [""] * 2}))

    asyncio.run(ask())
    assert calls[0] <= 50 and len(calls) < 5


def slow(requests: Sequence[Any]) -> list[list[dict[str, Any]]]:
    time.sleep(0.2)
    return [[{}] for _ in requests]


def test_a_client_that_leaves_takes_its_rows_out_of_the_queue() -> None:
    async def leave() -> None:
        batches = Batches(slow)
        busy = asyncio.create_task(batches.predict({"x": [""]}))
        await asyncio.sleep(0.05)
        gone = asyncio.create_task(batches.predict({"x": [""] * 1_000}))
        await asyncio.sleep(0.05)
        assert batches.rows == 1_000
        gone.cancel()
        await asyncio.sleep(0)
        assert batches.rows == 0 and not batches.waiting and not busy.done()
        await asyncio.gather(busy, gone, return_exceptions=True)

    asyncio.run(leave())
