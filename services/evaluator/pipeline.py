"""Read, fold, emit, tick: one loop over the partitions this evaluator owns.

assigned ──► restore: fold the log from its beginning, the own output read back so that nothing is said twice
         ──► live: fold what comes, emit, tick when a timer comes and nothing else makes log time move
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from services.evaluator.core import Partition, verdict_entry
from services.evaluator.metrics import Metrics
from services.evaluator.ticks import BrokerClock, TickPlan
from shared.ports.log import Entry, GroupReader, Headers, LogScanner, LogUnavailable, LogWriter, Record
from shared.ports.time import TimeSource
from shared.sla.statements import Statement
from shared.sla.terms import Bundle
from shared.wire import controls, verdicts
from shared.wire.controls import ClockMode

FETCH_RECORDS: Final = 2_000
SLICE_RECORDS: Final = 500  # after so many, others (health, heartbeats) get their turn
IDLE_S: Final = 0.25
BACKOFF_MAX_S: Final = 5.0
TELEMETRY_S: Final = 1.0


def _verdict_id(record: Record) -> str:
    return verdicts.decode(record.value).id


def _place(headers: Headers) -> str:
    """Where a quarantined record stood."""
    found = {name: value.decode() for name, value in headers}
    return f"{found.get('slw-partition')}/{found.get('slw-offset')}"


def _place_of(record: Record) -> str:
    return _place(record.headers)


class Topics:
    """Names of the topics that the evaluator reads and writes."""

    def __init__(self, events: str, breaches: str, quarantine: str) -> None:
        self.events, self.breaches, self.quarantine = events, breaches, quarantine


class _Owned:
    """A partition and its way back to the end of the log."""

    def __init__(self, state: Partition, restore_until: int, emitted: set[str], quarantined: set[str], since: float) -> None:
        self.state, self.restore_until, self.since = state, restore_until, since
        self.emitted, self.quarantined = emitted, quarantined  # what was said before: ids of verdicts, places of records

    @property
    def restoring(self) -> bool:
        return self.state.next_offset < self.restore_until


class Pipeline:
    """The evaluator's work. `on_assigned` and `on_revoked` belong to the group reader."""

    def __init__(
        self,
        *,
        topics: Topics,
        clock: ClockMode,
        max_skew: int,
        bundles: Sequence[tuple[str, Bundle]],
        writer: LogWriter,
        scanner: LogScanner,
        time: TimeSource,
        metrics: Metrics,
    ) -> None:
        self._topics, self._clock, self._max_skew, self._bundles = topics, clock, max_skew, bundles
        self._writer, self._scanner, self._time, self._metrics = writer, scanner, time, metrics
        self._owned: dict[int, _Owned] = {}
        self._assigned: set[int] = set()
        self._broker_clock = BrokerClock()
        self._ticks = TickPlan(self._broker_clock)
        self._same_partitions = True
        self._trouble = "has not joined its group yet"
        self._log = structlog.get_logger()
        self.reader: GroupReader | None = None

    # -- for the group reader, health and the API ----------------------------------------------------------------

    async def on_assigned(self, places: set[tuple[str, int]]) -> None:
        """Partitions come: they are restored by the loop, not here."""
        assert self.reader is not None
        self._assigned = {partition for _, partition in places}
        for partition in self._assigned:
            owned = self._owned.get(partition)
            self.reader.seek(self._topics.events, partition, 0 if owned is None else owned.state.next_offset)
        for gone in set(self._owned) - self._assigned:
            self._owned.pop(gone)
            self._ticks.forget(gone)
        self._trouble = ""

    async def on_revoked(self, places: set[tuple[str, int]]) -> None:
        """Partitions may go: their state is kept until it is known whether they come back."""

    def readiness(self) -> dict[str, str]:
        """What is not ready, and why."""
        if self._trouble:
            return {"log": self._trouble}
        missing = self._assigned - set(self._owned)
        restoring = [owned for owned in self._owned.values() if owned.restoring]
        if not missing and not restoring:
            return {}
        left = sum(owned.restore_until - owned.state.next_offset for owned in restoring)
        return {"restore": f"{len(missing) + len(restoring)} of {len(self._assigned)} partitions are being restored, {left} records to go"}

    def partitions(self) -> dict[int, Partition]:
        """The partitions owned, for reading."""
        return {number: owned.state for number, owned in self._owned.items()}

    # -- the loop ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled. Raises WouldFoldDifferently."""
        assert self.reader is not None
        backoff, told_at = 0.1, 0.0
        while True:
            try:
                await self._turn(self.reader)
                backoff, self._trouble = 0.1, self._trouble if not self._assigned else ""
            except LogUnavailable as wrong:
                self._trouble = str(wrong)
                self._log.warning("log unavailable", detail=str(wrong), retry_in_s=backoff)
                await self._time.sleep(backoff)
                backoff = min(backoff * 2, BACKOFF_MAX_S)
            if self._time.monotonic() - told_at > TELEMETRY_S:
                told_at = self._time.monotonic()
                await self._tell(self.reader)

    async def _turn(self, reader: GroupReader) -> None:
        await self._restore_new()
        records = await reader.fetch(await self._tick(), FETCH_RECORDS)
        by_partition: dict[int, list[Record]] = {}
        for record in records:
            by_partition.setdefault(record.partition, []).append(record)
        for number, batch in by_partition.items():
            owned = self._owned.get(number)
            if owned is None:
                reader.seek(self._topics.events, number, 0)  # came with a rebalance of this very moment
                continue
            for first in range(0, len(batch), SLICE_RECORDS):
                await self._fold(reader, owned, batch[first : first + SLICE_RECORDS])

    async def _restore_new(self) -> None:
        """Prepare partitions that were just assigned: read back the own output, note where the log ends now."""
        new = self._assigned - set(self._owned)
        if not new:
            return
        log, output = await self._scanner.bounds(self._topics.events), await self._scanner.bounds(self._topics.breaches)
        self._same_partitions = len(log) == len(output)
        emitted: set[str] = set()
        quarantined: set[str] = set()
        if any(log.get(number, (0, 0))[1] for number in new):
            for topic, places, found, name_of in (
                (self._topics.breaches, output, emitted, _verdict_id),
                (self._topics.quarantine, await self._scanner.bounds(self._topics.quarantine), quarantined, _place_of),
            ):
                for number in sorted(places):
                    if number in new or not self._same_partitions or topic == self._topics.quarantine:
                        await self._scanner.scan(topic, number, *places[number], lambda rs, f=found, n=name_of: f.update(map(n, rs)))  # type: ignore[misc]
        now = self._time.monotonic()
        for number in new:
            state = Partition(number, self._clock, self._max_skew, self._bundles)
            self._owned[number] = _Owned(state, log.get(number, (0, 0))[1], emitted, quarantined, now)
        self._log.info("partitions restoring", partitions=len(new), statements_read_back=len(emitted))

    async def _fold(self, reader: GroupReader, owned: _Owned, records: list[Record]) -> None:
        state, was_restoring = owned.state, owned.restoring
        if records[0].offset > state.next_offset and state.next_offset:
            reader.seek(self._topics.events, state.number, state.next_offset)
            return
        started = self._time.monotonic()
        before = state.engine.counts["duplicates"]
        output = state.fold(records)
        now = self._time.monotonic()
        self._broker_clock.saw(state.arrival, now)
        self._metrics.fold_seconds.observe(now - started)
        self._metrics.folded.inc(len(records))
        self._metrics.duplicates.inc(state.engine.counts["duplicates"] - before)
        statements = [s for s in output.statements if s.id not in owned.emitted]
        await self._emit(state.number, statements, [e for e in output.quarantined if _place(e.headers) not in owned.quarantined])
        if was_restoring and not owned.restoring:
            owned.emitted, owned.quarantined = set(), set()
            self._metrics.recovery.observe(now - owned.since)
            self._log.info("partition restored", partition=state.number, records=state.next_offset)

    async def _emit(self, partition: int, statements: list[Statement], quarantined: list[Entry]) -> None:
        """Append, and try again for as long as the broker is away: going on without would lose verdicts."""
        entries = [verdict_entry(s, partition if self._same_partitions else None) for s in statements]
        for topic, waiting in ((self._topics.breaches, entries), (self._topics.quarantine, quarantined)):
            backoff = 0.1
            while waiting:
                try:
                    await self._writer.append(topic, waiting)
                    break
                except LogUnavailable as wrong:
                    self._trouble = str(wrong)
                    self._metrics.emit_failures.inc()
                    self._log.warning("verdicts wait for the broker", waiting=len(waiting), detail=str(wrong))
                    await self._time.sleep(backoff)
                    backoff = min(backoff * 2, BACKOFF_MAX_S)
        for statement in statements:
            self._metrics.statements.labels(statement.type, statement.agreement, statement.objective).inc()
        for entry in quarantined:
            reason = next(value.decode() for name, value in entry.headers if name == "slw-reason")
            self._metrics.quarantined.labels(reason).inc()

    async def _tick(self) -> float:
        """Append the ticks that are due; seconds until the next one is, at most the idle wait."""
        if self._clock == "event":
            return IDLE_S
        wait, due = IDLE_S, []
        now = self._time.monotonic()
        for number, owned in self._owned.items():
            wake_at = owned.state.engine.wake_at
            left = None if owned.restoring else self._ticks.due(number, wake_at, owned.state.next_offset, now)
            if left == 0 and wake_at is not None:
                due.append((number, wake_at))
            elif left is not None:
                wait = min(wait, left)
        if not due:
            return wait
        ticks = [controls.Tick(aimed=wake_at) for _, wake_at in due]
        entries = [
            Entry(None, controls.encode(tick), controls.headers_of(tick), partition=number)
            for (number, _), tick in zip(due, ticks, strict=True)
        ]
        appended = await self._writer.append(self._topics.events, entries)
        now = self._time.monotonic()
        for (number, wake_at), place in zip(due, appended, strict=True):
            self._ticks.sent(number, place.offset, place.timestamp, wake_at, now)
        self._metrics.ticks.inc(len(due))
        return IDLE_S

    async def _tell(self, reader: GroupReader) -> None:
        """Telemetry: gauges, and the group's committed offsets."""
        owned = list(self._owned.values())
        self._metrics.partitions.set(len(owned))
        self._metrics.restoring.set(sum(o.restoring for o in owned) + len(self._assigned - set(self._owned)))
        self._metrics.log_time.set(max((o.state.arrival for o in owned), default=0) / 1000)
        try:
            behind = 0
            for o in owned:
                if o.state.next_offset:
                    behind += max(await reader.end_offset(self._topics.events, o.state.number) - o.state.next_offset, 0)
            self._metrics.behind.set(behind)
            positions = {(self._topics.events, o.state.number): o.state.next_offset for o in owned if o.state.next_offset}
            if positions:
                await reader.commit(positions)
        except LogUnavailable as wrong:
            self._log.info("telemetry not written", detail=str(wrong))
        await asyncio.sleep(0)
