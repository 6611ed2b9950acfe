"""The circuit breaker, in virtual time."""

import asyncio

from services.notifier.channels.base import Channel, Notice
from services.notifier.channels.breaker import FAILURES_MAX, Breaker
from services.notifier.core import Failed, Gone, HeldBack, Result, Sent
from shared.adapters.memory.time import VirtualTime
from shared.alerting.terms import Rate
from tests.unit.notifier.kit import clock, notice


class Scripted:
    """A channel that does what it is told, and counts."""

    name, lanes = "scripted", 3
    limit: Rate | None = Rate(1, 1000)

    def __init__(self, result: Result) -> None:
        self.result, self.sent, self.closed = result, 0, False
        self.hold: asyncio.Event | None = None

    async def send(self, notice: Notice) -> Result:
        self.sent += 1
        if self.hold is not None:
            await self.hold.wait()
        return self.result

    async def close(self) -> None:
        self.closed = True


async def fail(breaker: Channel, times: int) -> None:
    for _ in range(times):
        assert isinstance(await breaker.send(notice()), Failed | HeldBack)


def broken(time: VirtualTime, result: Result | None = None) -> tuple[Scripted, Breaker]:
    inner = Scripted(result or Failed("500"))
    return inner, Breaker(inner, time)


async def test_after_failures_in_a_row_it_is_left_alone_then_tried_once_then_for_twice_as_long() -> None:
    time = clock()
    inner, breaker = broken(time)
    await fail(breaker, FAILURES_MAX)
    assert await breaker.send(notice()) == HeldBack("not tried: the channel failed again and again, next attempt in 10 s", 10_000)
    assert inner.sent == FAILURES_MAX
    await time.advance(10)
    await fail(breaker, 3)
    assert inner.sent == FAILURES_MAX + 1, "one attempt, the others are held back"
    await time.advance(19)
    await fail(breaker, 1)
    assert inner.sent == FAILURES_MAX + 1, "20 s this time"
    await time.advance(1)
    inner.result = Sent()
    assert await breaker.send(notice()) == Sent()
    inner.result = Failed("500")
    await fail(breaker, FAILURES_MAX)
    assert inner.sent == 2 * FAILURES_MAX + 2, "it begins anew"


async def test_while_one_tries_the_others_are_held_back() -> None:
    time = clock()
    inner, breaker = broken(time)
    await fail(breaker, FAILURES_MAX)
    await time.advance(10)
    inner.hold = asyncio.Event()
    first = asyncio.create_task(breaker.send(notice()))
    await asyncio.sleep(0)
    assert isinstance(await breaker.send(notice()), HeldBack)
    inner.result = Sent()
    inner.hold.set()
    assert await first == Sent()
    assert await breaker.send(notice()) == Sent()


async def test_a_receiver_that_asks_for_time_gets_it_from_all() -> None:
    time = clock()
    inner, breaker = broken(time, Failed("429", 60_000))
    await fail(breaker, 2)
    assert inner.sent == 1
    await time.advance(60)
    await fail(breaker, 1)
    assert inner.sent == 2


async def test_what_a_message_itself_is_refused_for_and_success_in_between_do_not_count() -> None:
    inner, breaker = broken(clock(), Failed("400", permanent=True))
    await fail(breaker, FAILURES_MAX * 2)
    inner.result = Failed("500")
    await fail(breaker, FAILURES_MAX - 1)
    inner.result = Sent()
    assert await breaker.send(notice()) == Sent()
    inner.result = Failed("500")
    await fail(breaker, FAILURES_MAX - 1)
    inner.result = Gone("410")
    assert await breaker.send(notice()) == Gone("410")
    assert inner.sent == FAILURES_MAX * 4


async def test_it_is_the_channel_it_guards_to_everybody() -> None:
    inner, breaker = broken(clock())
    assert (breaker.name, breaker.lanes, breaker.limit, breaker.resend) == ("scripted", 3, Rate(1, 1000), None)
    await breaker.close()
    assert inner.closed
