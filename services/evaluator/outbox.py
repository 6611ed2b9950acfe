"""What was said and does not stand in the log yet: appended in order, one append at a time, while more is folded.

fold ──► put ──► [waiting] ──start──► one append on its way ──► acknowledged
                     └── room: who folds waits where an append's worth waits already
"""

import asyncio
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Final

import structlog

from services.evaluator.core import cut
from services.evaluator.metrics import Metrics
from shared.ports.log import BulkWriter, Entry, LogUnavailable, RecordTooLarge
from shared.ports.time import TimeSource
from shared.runtime.failpoints import failpoint

APPEND_RECORDS: Final = 4_000  # runs for one append are taken up to so many: it has to be through within the writer's time limit
BACKOFF_S: Final = 0.1
BACKOFF_MAX_S: Final = 5.0


class Outbox:
    """Verdicts and quarantined records on their way to the log. `trouble`: why they do not get there; empty where they do."""

    def __init__(self, writer: BulkWriter, time: TimeSource, metrics: Metrics) -> None:
        self._writer, self._time, self._metrics = writer, time, metrics
        self._waiting: dict[str, list[Sequence[Entry]]] = {}  # by topic
        self._appending: asyncio.Task[None] | None = None
        self._taken = asyncio.Event()  # something that waited is on its way, or the appending has ended
        self._log = structlog.get_logger()
        self.trouble = ""

    def put(self, topic: str, entries: Sequence[Entry]) -> None:
        """Have them appended behind what waits already."""
        if entries:
            self._waiting.setdefault(topic, []).append(entries)

    def start(self) -> None:
        """Append what waits, unless that is being done. Raises what ended it before."""
        if self._appending is not None and self._appending.done():
            done, self._appending = self._appending, None
            done.result()
        if self._waiting and self._appending is None:
            self._appending = asyncio.ensure_future(self._append_all())

    async def room(self) -> None:
        """Wait until less than one append waits behind the one on its way."""
        while sum(len(run) for queue in self._waiting.values() for run in queue) >= APPEND_RECORDS:
            self._taken.clear()
            self.start()
            await self._taken.wait()

    async def drained(self) -> None:
        """Wait until all of it stands in the log, for as long as the broker is away."""
        self.start()
        while self._appending is not None:
            await asyncio.shield(self._appending)
            self.start()

    def abandon(self) -> None:
        """Give up what does not stand in the log yet: whoever folds on reads back what does, and says the rest."""
        if self._appending is not None:
            self._appending.cancel()

    async def _append_all(self) -> None:
        try:
            while self._waiting:
                topic, queue = next(iter(self._waiting.items()))
                behind = list(accumulate(map(len, queue)))
                count = bisect_left(behind, APPEND_RECORDS) + 1
                runs, self._waiting[topic] = queue[:count], queue[count:]
                if not self._waiting[topic]:
                    del self._waiting[topic]
                self._taken.set()
                failpoint("before-emit")
                await self._append(topic, runs)
                failpoint("after-emit")
        finally:
            self._taken.set()

    async def _append(self, topic: str, runs: Sequence[Sequence[Entry]]) -> None:
        """Try for as long as the broker is away: going on without would lose verdicts."""
        backoff = BACKOFF_S
        while True:
            try:
                await self._writer.append_all(topic, runs)
            except LogUnavailable as wrong:
                self.trouble = str(wrong)
                self._metrics.emit_failures.inc()
                self._log.warning("verdicts wait for the broker", topic=topic, waiting=sum(map(len, runs)), detail=str(wrong))
                await self._time.sleep(backoff)
                backoff = min(backoff * 2, BACKOFF_MAX_S)
            except RecordTooLarge as wrong:
                await self._append_smaller(topic, [*chain.from_iterable(runs)], wrong)
                return
            else:
                self.trouble = ""
                return

    async def _append_smaller(self, topic: str, entries: Sequence[Entry], wrong: RecordTooLarge) -> None:
        """One of the records is too large: each by itself, that one cut; one too large even so is given up, loudly."""
        if len(entries) > 1:
            for entry in entries:
                await self._append(topic, [[entry]])
            return
        smaller = cut(entries[0])
        if len(smaller.value) < len(entries[0].value):
            await self._append(topic, [[smaller]])
        else:
            self._metrics.emit_dropped.inc()
            self._log.error("a record is too large for the log and was dropped", topic=topic, detail=str(wrong))
