"""Waiting for a client that may never come, or that cancels itself."""

import asyncio

import pytest

from shared.adapters.kafka.bounded import ended, within


async def _cancels_itself() -> None:
    """As aiokafka's `Fetcher.close` does, where a task of its own had not begun."""
    own = asyncio.ensure_future(asyncio.sleep(3600))
    own.cancel()
    await own


async def _swallows() -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return


async def test_a_client_that_cancels_itself_ends_nobody_who_waits() -> None:
    with pytest.raises(ConnectionAbortedError):
        await within(_cancels_itself(), 10)
    async with asyncio.TaskGroup() as tasks:

        async def reader() -> str:
            await ended(_cancels_itself(), 10)
            return "and starts anew"

        reading = tasks.create_task(reader())
    assert reading.result() == "and starts anew"


async def test_one_that_does_not_come_is_left_alone_in_time() -> None:
    with pytest.raises(TimeoutError):
        await within(_swallows(), 0.01)
    await ended(_swallows(), 0.01)


async def test_who_waits_can_still_be_cancelled() -> None:
    waiting = asyncio.ensure_future(within(asyncio.sleep(3600), 3600))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
