"""Read, fold, emit, tick: one loop over the partitions this evaluator owns.

assigned ──► restore: fold the log from its beginning, the own output read back so that nothing is said twice
         ──► live: fold what comes, emit, tick when a timer comes and nothing else makes log time move
"""

from collections.abc import Iterable, Sequence
from typing import Final

import structlog

from services.evaluator.core import Output, Partition, WouldFoldDifferently, cut, verdict_entry, verdict_id
from services.evaluator.metrics import Metrics
from services.evaluator.ticks import TickPlan, Waiting
from shared.ports.log import Entry, GroupReader, LogScanner, LogUnavailable, LogWriter, Record, RecordTooLarge
from shared.ports.quarantine import place_of
from shared.ports.time import TimeSource
from shared.sla.terms import Bundle
from shared.wire import controls
from shared.wire.controls import ClockMode

FETCH_RECORDS: Final = 2_000
EMIT_RECORDS: Final = 1_000  # at most so many in one append: it has to be through within the writer's time limit
IDLE_S: Final = 0.25
BACKOFF_S: Final = 0.1
BACKOFF_MAX_S: Final = 5.0
TELEMETRY_S: Final = 1.0


class Topics:
    """Names of the topics that the evaluator reads and writes."""

    def __init__(self, events: str, breaches: str, quarantine: str) -> None:
        self.events, self.breaches, self.quarantine = events, breaches, quarantine


class _Owned:
    """A partition and its way back to the end of the log."""

    def __init__(self, state: Partition, restore_until: int, emitted: set[str], quarantined: set[bytes], since: float) -> None:
        self.state, self.restore_until, self.since = state, restore_until, since
        self.emitted, self.quarantined = emitted, quarantined  # what was said before: ids of verdicts, places of records
        self.sought: int | None = None  # where reading was put back to

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
        idle: float = IDLE_S,
    ) -> None:
        """`max_skew` in ms; `bundles`: (activation id, agreement) that hold from the log's beginning; `idle`: longest fetch, in s."""
        self._topics, self._clock, self._max_skew, self._bundles, self._idle = topics, clock, max_skew, bundles, idle
        self._writer, self._scanner, self._time, self._metrics = writer, scanner, time, metrics
        self._owned: dict[int, _Owned] = {}
        self._assigned: set[int] = set()
        self._ticks = TickPlan()
        self._verdicts: list[Entry] = []  # folded, to be emitted before more is fetched
        self._quarantined: list[Entry] = []
        self._same_partitions = True
        self.count: int | None = None  # of all partitions, once it is known
        self._joined = False
        self._trouble = ""
        self._log = structlog.get_logger()
        self.reader: GroupReader | None = None

    # -- for the group reader, health and the API ----------------------------------------------------------------

    async def on_assigned(self, places: set[tuple[str, int]]) -> None:
        """Partitions come: they are restored by the loop, not here. Those that were here before go on where they stand."""
        assert self.reader is not None
        self._joined = True
        self._assigned = {partition for _, partition in places}
        for gone in set(self._owned) - self._assigned:
            self._owned.pop(gone)
            self._ticks.forget(gone)
        for partition in sorted(self._assigned):
            owned = self._owned.get(partition)
            self.reader.seek(self._topics.events, partition, 0 if owned is None else owned.state.next_offset)

    async def on_revoked(self, places: set[tuple[str, int]]) -> None:
        """Partitions may go: their state is kept until it is known whether they come back."""

    def readiness(self) -> dict[str, str]:
        """What is not ready, and why."""
        if not self._joined:
            return {"log": self._trouble or "has not joined its group yet"}
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
        backoff, told_at = BACKOFF_S, 0.0
        while True:
            try:
                await self._turn(self.reader)
                backoff = BACKOFF_S
            except LogUnavailable as wrong:
                self._trouble = str(wrong)
                self._log.warning("log unavailable", detail=str(wrong), retry_in_s=backoff)
                await self._time.sleep(backoff)
                backoff = min(backoff * 2, BACKOFF_MAX_S)
            if self._time.monotonic() - told_at > TELEMETRY_S:
                told_at = self._time.monotonic()
                await self._tell(self.reader)

    async def _turn(self, reader: GroupReader) -> None:
        await self._restore_new(reader)
        by_partition: dict[int, list[Record]] = {}
        for record in await reader.fetch(await self._tick(), FETCH_RECORDS):
            by_partition.setdefault(record.partition, []).append(record)
        for number, batch in by_partition.items():
            owned = self._owned.get(number)  # none: it came with a rebalance of this very moment, and will be read from its beginning
            if owned is not None and not self._strayed(reader, owned, batch[0]):
                await self._fold(owned, batch)
        await self._emit()

    # -- restoring -----------------------------------------------------------------------------------------------

    async def _restore_new(self, reader: GroupReader) -> None:
        """Prepare partitions that were just assigned: read back the own output, note where the log ends now."""
        new = self._assigned - set(self._owned)
        if not new:
            return
        log = await self._scanner.bounds(self._topics.events)
        self.count = len(log)
        for number in sorted(new):
            if number not in log:
                raise LogUnavailable(f"{self._topics.events}/{number}: where it begins and ends is not known yet")
            if log[number][0] > 0:
                raise WouldFoldDifferently(
                    f"the log no longer reaches back: {self._topics.events}/{number} begins at offset {log[number][0]}, so its state "
                    "cannot be rebuilt. Bring the older records back from the archive into new topics (SLAWATCH_TOPIC_EVENTS, _BREACHES), "
                    "and keep them: retention.ms=-1"
                )
        emitted: set[str] = set()
        quarantined: set[bytes] = set()
        if any(log[number][1] for number in new):
            await self._read_back(new, len(log), emitted, quarantined)
        now = self._time.monotonic()
        for number in sorted(new & self._assigned):  # some may have gone again meanwhile
            state = Partition(number, self._clock, self._max_skew, self._bundles, len(log))
            self._owned[number] = _Owned(state, log[number][1], emitted, quarantined, now)
            reader.seek(self._topics.events, number, 0)
        self._log.info("partitions restoring", partitions=len(new), statements_read_back=len(emitted))

    async def _read_back(self, new: set[int], partitions: int, emitted: set[str], quarantined: set[bytes]) -> None:
        """Note what was said before of these partitions, by this evaluator or another."""

        def verdicts(records: Iterable[Record]) -> None:
            emitted.update(name for record in records if (name := verdict_id(record)) is not None)

        def places(records: Iterable[Record]) -> None:
            quarantined.update(map(place_of, records))

        output = await self._scanner.bounds(self._topics.breaches)
        self._same_partitions = len(output) == partitions
        for number, (first, end) in sorted(output.items()):
            if number in new or not self._same_partitions:
                await self._scanner.scan(self._topics.breaches, number, first, end, verdicts)
        for number, (first, end) in sorted((await self._scanner.bounds(self._topics.quarantine)).items()):
            await self._scanner.scan(self._topics.quarantine, number, first, end, places)

    def _strayed(self, reader: GroupReader, owned: _Owned, first: Record) -> bool:
        """Whether records begin beyond what is to be folded: read from there, once. A gap that is still there is the log's own."""
        expected = owned.state.next_offset
        if first.offset <= expected or owned.sought == expected:
            return False
        owned.sought = expected
        reader.seek(self._topics.events, owned.state.number, expected)
        return True

    # -- folding and emitting ------------------------------------------------------------------------------------

    async def _fold(self, owned: _Owned, records: list[Record]) -> None:
        state, was_restoring = owned.state, owned.restoring
        before, folded = state.engine.counts["duplicates"], state.next_offset
        started = self._time.monotonic()
        for output in state.fold(records):
            self._metrics.fold_seconds.observe(self._time.monotonic() - started)
            self._collect(owned, output)
            if len(self._verdicts) + len(self._quarantined) >= EMIT_RECORDS:
                await self._emit()
            await self._time.sleep(0)  # health, heartbeats and rebalances get their turn
            if self._owned.get(state.number) is not owned:
                return  # it went to another evaluator, which says the rest
            started = self._time.monotonic()
        self._ticks.saw(state.number, state.arrival, self._time.monotonic())
        self._metrics.folded.inc(max(state.next_offset - folded, 0))
        self._metrics.duplicates.inc(state.engine.counts["duplicates"] - before)
        if was_restoring and not owned.restoring:
            owned.emitted, owned.quarantined = set(), set()
            self._metrics.recovery.observe(self._time.monotonic() - owned.since)
            self._log.info("partition restored", partition=state.number, records=state.next_offset)

    def _collect(self, owned: _Owned, output: Output) -> None:
        """Queue what a slice gave, but for what was said before."""
        partition = owned.state.number if self._same_partitions else None
        for statement in output.statements:
            if statement.id not in owned.emitted:
                self._verdicts.append(verdict_entry(statement, partition))
                self._metrics.statements.labels(statement.type, statement.agreement, statement.objective).inc()
        for entry in output.quarantined:
            if place_of(entry) not in owned.quarantined:
                self._quarantined.append(entry)
                reason = next(value.decode() for name, value in reversed(entry.headers) if name == "slw-reason")
                self._metrics.quarantined.labels(reason).inc()

    async def _emit(self) -> None:
        """Append what is queued."""
        for topic, queue in ((self._topics.breaches, self._verdicts), (self._topics.quarantine, self._quarantined)):
            while queue:
                await self._append(topic, queue[:EMIT_RECORDS])
                del queue[:EMIT_RECORDS]

    async def _append(self, topic: str, entries: Sequence[Entry]) -> None:
        """Try for as long as the broker is away: going on without would lose verdicts."""
        backoff = BACKOFF_S
        while True:
            try:
                await self._writer.append(topic, entries)
            except LogUnavailable as wrong:
                self._trouble = str(wrong)
                self._metrics.emit_failures.inc()
                self._log.warning("verdicts wait for the broker", topic=topic, waiting=len(entries), detail=str(wrong))
                await self._time.sleep(backoff)
                backoff = min(backoff * 2, BACKOFF_MAX_S)
            except RecordTooLarge as wrong:
                await self._append_smaller(topic, entries, wrong)
                return
            else:
                self._trouble = ""
                return

    async def _append_smaller(self, topic: str, entries: Sequence[Entry], wrong: RecordTooLarge) -> None:
        """One of the records is too large: each by itself, that one cut; one too large even so is given up, loudly."""
        if len(entries) > 1:
            for entry in entries:
                await self._append(topic, [entry])
            return
        smaller = cut(entries[0])
        if len(smaller.value) < len(entries[0].value):
            await self._append(topic, [smaller])
        else:
            self._metrics.emit_dropped.inc()
            self._log.error("a record is too large for the log and was dropped", topic=topic, detail=str(wrong))

    # -- ticks and telemetry -------------------------------------------------------------------------------------

    async def _tick(self) -> float:
        """Append the ticks that are due; seconds until the next one is, at most the idle wait."""
        if self._clock == "event":
            return self._idle
        waiting = {
            number: Waiting(owned.state.engine.wake_at, owned.state.next_offset, owned.state.broker_time.held != 0)
            for number, owned in self._owned.items()
            if not owned.restoring and (owned.state.engine.wake_at is not None or owned.state.broker_time.held)
        }
        plan = self._ticks.plan(waiting, self._time.monotonic())
        if plan.now:
            await self._append_ticks({number: waiting[number] for number in plan.now})
        return self._idle if plan.wait is None else min(plan.wait, self._idle)

    async def _append_ticks(self, waiting: dict[int, Waiting]) -> None:
        reading = self._time.wall()
        ticks = {number: controls.Tick(aimed=reading if w.wake_at is None else w.wake_at, reading=reading) for number, w in waiting.items()}
        entries = [Entry(None, controls.encode(tick), controls.headers_of(tick), number) for number, tick in ticks.items()]
        appended = await self._writer.append(self._topics.events, entries)
        now = self._time.monotonic()
        for (number, tick), place in zip(ticks.items(), appended, strict=True):
            owned = self._owned.get(number)
            if owned is not None:
                believed = owned.state.broker_time.expect(place.timestamp, reading)
                self._ticks.sent(number, place.offset, believed, tick.aimed, now)
        self._metrics.ticks.inc(len(ticks))

    async def _tell(self, reader: GroupReader) -> None:
        """Telemetry: gauges, and the group's committed offsets; it also shows whether the broker answers."""
        owned, now = list(self._owned.values()), self._time.monotonic()
        self._metrics.partitions.set(len(owned))
        self._metrics.restoring.set(sum(o.restoring for o in owned) + len(self._assigned - set(self._owned)))
        self._metrics.log_time.set(max((o.state.arrival for o in owned), default=0) / 1000)
        self._metrics.held.set(sum(o.state.engine.held for o in owned))
        self._metrics.leap_held.set(max((abs(o.state.broker_time.held) for o in owned), default=0) / 1000)
        ages = [self._pulse_age(o, now) for o in owned if not o.restoring]
        self._metrics.pulse_age.set(max(ages, default=0))
        read = [o.state for o in owned if o.state.next_offset]
        if not read:
            return
        try:
            behind = [await reader.end_offset(self._topics.events, state.number) - state.next_offset for state in read]
            self._metrics.behind.set(sum(max(count, 0) for count in behind))
            await reader.commit({(self._topics.events, state.number): state.next_offset for state in read})
        except LogUnavailable as wrong:
            self._trouble = str(wrong)
            self._log.info("telemetry not written", detail=str(wrong))
        else:
            self._trouble = ""

    def _pulse_age(self, owned: _Owned, now: float) -> float:
        last, broker_time = owned.state.engine.last_pulse, self._ticks.broker_time(owned.state.number, now)
        return 0 if last is None or broker_time is None else max(broker_time - last, 0) / 1000
