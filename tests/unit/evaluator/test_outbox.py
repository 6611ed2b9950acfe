"""Verdicts on their way to the log: in order, one append at a time, and whoever folds waits only where too many wait."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from services.evaluator.metrics import Metrics
from services.evaluator.outbox import APPEND_RECORDS, Outbox
from shared.adapters.memory.log import MemoryLog, MemoryWriter
from shared.adapters.memory.time import VirtualTime, settle
from shared.ports.log import Appended, Entry


class SlowWriter(MemoryWriter):
    """One whose appends wait for a door."""

    def __init__(self, log: MemoryLog) -> None:
        super().__init__(log)
        self.door, self.appends = asyncio.Event(), list[int]()

    async def append(self, topic: str, entries: Sequence[Entry]) -> list[Appended]:
        self.appends.append(len(entries))
        await self.door.wait()
        return await super().append(topic, entries)


class Desk:
    """An outbox over the log in memory."""

    def __init__(self) -> None:
        self.time = VirtualTime()
        self.log = MemoryLog(self.time, {"breaches": 1, "quarantine": 1}, record_bytes_max=1_000)
        self.writer, self.metrics = SlowWriter(self.log), Metrics()
        self.outbox = Outbox(self.writer, self.time, self.metrics)

    def say(self, *numbers: int) -> None:
        self.outbox.put("breaches", [Entry(b"v", b"%d" % number) for number in numbers])

    @property
    def said(self) -> list[int]:
        return [int(record.value) for record in self.log.records("breaches", 0)]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    found = Desk()
    yield found
    found.outbox.abandon()


async def test_more_is_taken_while_an_append_is_on_its_way(desk: Desk) -> None:
    desk.say(1)
    desk.outbox.start()
    await settle()
    desk.say(2, 3)
    desk.outbox.start()
    await asyncio.wait_for(desk.outbox.room(), 1)
    assert (desk.writer.appends, desk.said) == ([1], []), "one at a time"
    desk.writer.door.set()
    await desk.outbox.drained()
    assert (desk.writer.appends, desk.said) == ([1, 2], [1, 2, 3])


async def test_there_is_no_room_behind_an_append_that_hangs_and_a_full_one(desk: Desk) -> None:
    desk.say(*range(APPEND_RECORDS))
    await asyncio.wait_for(desk.outbox.room(), 1)
    desk.say(*range(APPEND_RECORDS, 2 * APPEND_RECORDS))
    waiting = asyncio.ensure_future(desk.outbox.room())
    await settle()
    assert not waiting.done()
    desk.writer.door.set()
    await asyncio.wait_for(waiting, 1)
    await desk.outbox.drained()
    assert desk.said == list(range(2 * APPEND_RECORDS))


async def test_while_the_log_is_away_all_waits_in_order(desk: Desk) -> None:
    desk.writer.door.set()
    desk.log.available = False
    desk.say(1, 2)
    desk.outbox.start()
    drained = asyncio.ensure_future(desk.outbox.drained())
    await settle()
    desk.say(3)
    assert "away" in desk.outbox.trouble
    desk.log.available = True
    await desk.time.advance(60)
    await asyncio.wait_for(drained, 1)
    assert (desk.said, desk.outbox.trouble) == ([1, 2, 3], "")


async def test_a_record_too_large_for_the_log_takes_nothing_with_it(desk: Desk) -> None:
    desk.writer.door.set()
    large = Entry(b"v", b"x" * 2_000)
    desk.outbox.put("quarantine", [Entry(b"v", b"a"), large, Entry(b"v", b"b")])
    desk.say(1)
    await desk.outbox.drained()
    assert [record.value for record in desk.log.records("quarantine", 0)] == [b"a", b"b"]
    assert desk.said == [1]
    assert desk.metrics.registry.get_sample_value("slawatch_emit_dropped_total") == 1


async def test_what_ends_the_appending_is_told_to_whoever_folds(desk: Desk) -> None:
    desk.writer.door.set()
    desk.outbox.put("breaches", [None])  # type: ignore[list-item]  # a fault of ours
    with pytest.raises(AttributeError):
        await desk.outbox.drained()
