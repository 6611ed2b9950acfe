"""A notifier's inside over real PostgreSQL, with a clock that tests move and channels that note what they are given."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from services.notifier.alerts import Desk, Routes
from services.notifier.channels.base import Channel, Notice
from services.notifier.core import Failed, Result, Sent
from services.notifier.dispatch import Dispatcher
from services.notifier.live import Hub
from services.notifier.messages import Composer
from services.notifier.metrics import Metrics
from services.notifier.pipeline import Pipeline
from services.notifier.silences import Rotas, Silences
from shared.adapters.postgres.alerts import PostgresAlerts
from shared.adapters.postgres.database import connect
from shared.adapters.postgres.ledger import PostgresLedger
from shared.adapters.system_time import SystemTime
from shared.alerting.terms import Rate, Routing
from shared.ports.deliveries import DeliveryRow
from shared.ports.ledger import LedgerUnavailable
from shared.ports.log import Appended, Batch, Entry, Record
from shared.ports.time import TimeSource
from shared.sla.instants import SECOND
from shared.wire import verdicts
from shared.wire.verdicts import Verdict
from tests.integration.notifier_kit import START

HEAD = """
apiVersion: slawatch/v1
kind: Routing
name: test
receivers:
  chat: [{kind: webhook, url: "http://chat.example"}]
  boss: [{kind: webhook, url: "http://boss.example"}]
"""


class Clock:
    """The machine's clock, set forward by hand; sleeps are real."""

    def __init__(self, start: int = START) -> None:
        self._real = SystemTime()
        self._offset = start - self._real.wall()

    def forward(self, seconds: float) -> None:
        self._offset += round(seconds * SECOND)

    def wall(self) -> int:
        return self._real.wall() + self._offset

    def monotonic(self) -> float:
        return self._real.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._real.sleep(seconds)


class Noting:
    """A channel that notes what it is given; `answer` says what comes of the n-th attempt (from 0)."""

    def __init__(self, name: str, *, limit: Rate | None = None, answer: Callable[[int], Result] = lambda _: Sent(), lanes: int = 1) -> None:
        self.name, self.lanes, self.limit, self.by_breach = name, lanes, limit, False
        self.notices: list[Notice] = []
        self._answer = answer

    async def send(self, notice: Notice) -> Result:
        self.notices.append(notice)
        return self._answer(len(self.notices) - 1)

    async def close(self) -> None: ...

    @property
    def told(self) -> list[tuple[str, tuple[str | None, ...]]]:
        """Reason and cases of each notice."""
        return [(notice.reason, tuple(message.verdict.data.case for message in notice.messages)) for notice in self.notices]


FAILS = Failed("no")


class Topic:
    """A topic of one partition that tests append to, shared by readers of one group that keep its committed offset."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.committed = 0
        self.fetched: list[int] = []  # how many at once
        self.hold: asyncio.Event | None = None  # commits wait for it

    def say(self, *said: Verdict) -> None:
        now = SystemTime().wall()
        for each in said:
            self.records.append(Record("t", 0, len(self.records), now, each.vendor.encode(), verdicts.encode(each), ()))


class Reader:
    """A reader of the whole topic."""

    def __init__(self, topic: Topic) -> None:
        self._topic, self._position = topic, 0

    async def start(self) -> None:
        self._position = self._topic.committed

    async def stop(self) -> None: ...

    async def fetch(self, timeout: float, limit: int) -> list[Batch]:  # the port's
        found = self._topic.records[self._position : self._position + limit]
        self._position += len(found)
        self._topic.fetched.append(len(found))
        if found:
            return [Batch.of(found)]
        await asyncio.sleep(min(timeout, 0.01))
        return []

    def seek(self, topic: str, partition: int, offset: int) -> None: ...

    async def end_offset(self, topic: str, partition: int) -> int:
        return len(self._topic.records)

    async def beginning_offset(self, topic: str, partition: int) -> int:
        return 0

    async def commit(self, offsets: dict[tuple[str, int], int]) -> None:
        if self._topic.hold is not None:
            await self._topic.hold.wait()
        self._topic.committed = max(self._topic.committed, offsets["t", 0])


class Writer:
    async def append(self, topic: str, entries: Sequence[Entry]) -> Sequence[Appended]:
        raise AssertionError("nothing is set aside here")

    async def partitions(self, topic: str) -> int:
        return 1


class Inside:
    """The parts of one notifier."""

    def __init__(
        self, engine: AsyncEngine, channels: Sequence[Channel], files: Sequence[Path], topic: Topic, time: TimeSource, timeout: float
    ) -> None:
        self.ledger, self.alerts, self.time = PostgresLedger(engine, timeout=timeout), PostgresAlerts(engine, timeout=timeout), time
        by_name = {channel.name: channel for channel in channels}

        def make(routing: Routing) -> list[Channel]:
            return [by_name[terms.name] for listed in routing.receivers.values() for terms in listed if terms.name in by_name]

        self.registry = CollectorRegistry()
        metrics = Metrics(self.registry)
        self.routes = Routes([str(file) for file in files], make, time)
        self.dispatcher = Dispatcher(
            channels, self.ledger, time, metrics, composer=Composer(""), jitter=lambda: 0.0, on_delivery=lambda *_: None, poll_s=0.1
        )
        self.desk = Desk(self.routes, self.alerts, self.dispatcher, metrics, time)
        self.silences, self.rotas = Silences(self.alerts, time), Rotas(self.desk, self.alerts, time)
        reader = Reader(topic)
        self.pipeline = Pipeline(lambda *_: reader, Writer(), self.ledger, self.dispatcher, self.desk, Hub(), metrics, time, quarantine="q")


@contextlib.asynccontextmanager
async def inside(
    database_url: str,
    topic: Topic,
    channels: Sequence[Channel],
    *files: Path,
    time: TimeSource | None = None,
    timeout: float = 10,
) -> AsyncIterator[Inside]:
    """A notifier that runs until the end of the block; then it is cut off, as by a crash."""
    engine = connect(database_url, pool=8)
    it = Inside(engine, channels, files, topic, time or Clock(), timeout)
    running = asyncio.ensure_future(it.pipeline.run())
    try:
        yield it
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await engine.dispose()


async def until(condition: Callable[[], object], within_s: float = 15) -> None:
    """The condition is another task's to make true."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


def routing_file(folder: Path, text: str) -> Path:
    """A Routing file that goes on after HEAD."""
    file = folder / "routing.yaml"
    file.write_text(HEAD + text)
    return file


async def settled(it: Inside, breach_id: str, within_s: float = 30) -> list[DeliveryRow]:
    """Deliveries about a breach, as soon as there are some and none is pending."""
    async with asyncio.timeout(within_s):
        while True:
            with contextlib.suppress(LedgerUnavailable):
                case = await it.ledger.case(breach_id)
                if case is not None and case.deliveries and all(row.state != "pending" for row in case.deliveries):
                    return case.deliveries
            await asyncio.sleep(0.05)
