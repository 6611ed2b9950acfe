"""Waiting for aiokafka no longer than one wants to: some of its ends swallow that they are cancelled, and then never come."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from aiokafka.errors import KafkaError

AWAY: Final = (KafkaError, OSError, TimeoutError, RuntimeError)  # RuntimeError: uvloop's for a connection that is closed already
START_S: Final = 60  # a broker that is away is told of sooner, by aiokafka
STOP_S: Final = 2
T = TypeVar("T")


async def within(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """What `work` gives or raises. Raises TimeoutError after so many seconds: it is cancelled then, and left alone, whatever it does.

    Raises ConnectionAbortedError where it ends as cancelled though nobody here cancelled it, as aiokafka's ends do that await tasks which
    they cancel: let through, that would end whoever waits, without a word.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        _let_go(task)
        raise
    if not done:
        _let_go(task)
        raise TimeoutError(f"not done in {seconds} s")
    if task.cancelled():
        raise ConnectionAbortedError("the client has cancelled itself")
    return task.result()


async def ended(closing: Coroutine[Any, Any, object], seconds: float = STOP_S) -> None:
    """Wait for a client to end, no longer than that, and whatever comes of it: a broker that is away notices by itself."""
    with contextlib.suppress(*AWAY):
        await within(closing, seconds)


def _let_go(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # nobody asks for it any more
