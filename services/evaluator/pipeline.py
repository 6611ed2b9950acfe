"""Read, fold, emit, tick: one loop over the partitions this evaluator owns.

assigned ──► restore: load the checkpoint, read back the own output since, so that nothing is said twice; beside the live ones
         ──► catch up: fold the log from the checkpoint on
         ──► live: fold what comes, emit, tick when a timer comes and nothing else makes log time move, take checkpoints
"""

import asyncio
import gc
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import structlog

from services.evaluator.core import Output, Partition, WouldFoldDifferently, verdict_id, verdict_run
from services.evaluator.keeper import Keeper
from services.evaluator.metrics import Metrics
from services.evaluator.outbox import Outbox
from services.evaluator.ticks import TickPlan, Waiting
from shared.ports.checkpoints import CheckpointsUnavailable
from shared.ports.log import Batch, BulkWriter, Entry, HoldingReader, LogScanner, LogUnavailable, Record
from shared.ports.quarantine import place_of
from shared.ports.time import TimeSource
from shared.sla.statements import Said, counts
from shared.sla.swift import SwiftFailed
from shared.sla.terms import Bundle
from shared.wire import controls
from shared.wire.controls import ClockMode

FETCH_RECORDS: Final = 4_000  # more is no faster, and the loop waits longer for its turn while they are taken
IDLE_S: Final = 0.25
BACKOFF_S: Final = 0.1
BACKOFF_MAX_S: Final = 5.0
TELEMETRY_S: Final = 1.0
DRAIN_S: Final = 1.0  # at the end, how long what was said may take to the log


class Topics:
    """Names of the topics that the evaluator reads and writes."""

    def __init__(self, events: str, breaches: str, quarantine: str) -> None:
        self.events, self.breaches, self.quarantine = events, breaches, quarantine


class _Owned:
    """A partition and its way back to the end of the log."""

    def __init__(self, state: Partition, restore_until: int, emitted: set[str], quarantined: set[bytes], since: float) -> None:
        self.state, self.restore_until, self.since = state, restore_until, since
        self.emitted, self.quarantined = emitted, quarantined  # said before and not folded yet: ids of verdicts, places of records
        self.unknown = state.engine.unknown  # conditions, as far as they were counted
        self.sought: int | None = None  # where reading was put back to

    @property
    def restoring(self) -> bool:
        return self.state.next_offset < self.restore_until

    @property
    def is_anew(self) -> bool:
        """Whether all that it says from here on is said for the first time: what it will say begins where the output stands."""
        return not self.emitted and not self.quarantined


class Pipeline:
    """The evaluator's work. `on_assigned` and `on_revoked` belong to the group reader."""

    def __init__(
        self,
        *,
        topics: Topics,
        clock: ClockMode,
        max_skew: int,
        bundles: Sequence[tuple[str, Bundle]],
        writer: BulkWriter,
        scanner: LogScanner,
        time: TimeSource,
        metrics: Metrics,
        keeper: Keeper,
        idle: float = IDLE_S,
    ) -> None:
        """`max_skew` in ms; `bundles`: (activation id, agreement) that hold from the log's beginning; `idle`: longest fetch, in s."""
        self._topics, self._clock, self._max_skew, self._bundles, self._idle = topics, clock, max_skew, bundles, idle
        self._writer, self._scanner, self._time, self._metrics = writer, scanner, time, metrics
        self._keeper = keeper
        self._owned: dict[int, _Owned] = {}
        self._restoring: dict[int, asyncio.Task[None]] = {}  # partitions on their way
        self._assigned: set[int] = set()
        self._ticks = TickPlan()
        self._outbox = Outbox(writer, time, metrics)
        self._same_partitions = True
        self.count: int | None = None  # of all partitions, once it is known
        self._joined = False
        self._is_swift = True  # until native code fails
        self._trouble = ""
        self._log = structlog.get_logger()
        self.reader: HoldingReader | None = None

    # -- for the group reader, health and the API ----------------------------------------------------------------

    async def on_assigned(self, places: set[tuple[str, int]]) -> None:
        """Partitions come: they are restored by the loop, not here. Those that were here before go on where they stand."""
        assert self.reader is not None
        self._joined = True
        self._log.info("partitions assigned", partitions=len(places))
        self._assigned = {partition for _, partition in places}
        for gone in set(self._owned) - self._assigned:
            self._drop(gone)
        for gone in set(self._restoring) - self._assigned:
            self._restoring.pop(gone).cancel()
            self._keeper.forget(gone)
        for partition in sorted(self._assigned & set(self._owned)):
            self.reader.seek(self._topics.events, partition, self._owned[partition].state.next_offset)

    def _drop(self, partition: int) -> None:
        del self._owned[partition]
        self._ticks.forget(partition)
        self._keeper.forget(partition)

    async def on_revoked(self, places: set[tuple[str, int]]) -> None:
        """Partitions may go: their state is kept until it is known whether they come back."""

    def readiness(self) -> dict[str, str]:
        """What is not ready, and why."""
        if not self._joined:
            return {"log": self._trouble or "has not joined its group yet"}
        if trouble := self._trouble or self._outbox.trouble:
            return {"log": trouble}
        missing = self._assigned - set(self._owned)
        restoring = [owned for owned in self._owned.values() if owned.restoring]
        if not missing and not restoring:
            return {"checkpoints": self._keeper.trouble} if self._keeper.trouble else {}
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
            except SwiftFailed as wrong:
                self._log.error("native code has failed: from the checkpoints on all is folded without it", detail=str(wrong))
                self._begin_anew()
            if self._time.monotonic() - told_at > TELEMETRY_S:
                told_at = self._time.monotonic()
                _spare_the_state(loading=bool(self._restoring))
                await self._tell(self.reader)

    def _begin_anew(self) -> None:
        """Native state is not to be trusted: restore all partitions, without native code from now on. What was said is read back."""
        self._is_swift = False
        for number in list(self._owned):
            self._drop(number)
        for number, task in list(self._restoring.items()):
            task.cancel()
            del self._restoring[number]
            self._keeper.forget(number)

    def abandon(self) -> None:
        """Give up what runs beside the loop, as it stands."""
        self._stop_restoring()
        self._outbox.abandon()

    def _stop_restoring(self) -> None:
        for task in self._restoring.values():
            task.cancel()

    async def stop(self) -> None:
        """Leave in good order: a last checkpoint, if all that was folded is said."""
        self._stop_restoring()
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._outbox.drained()
                output = await self._output()
            self._keeper.take(self._states(), output)
        except (LogUnavailable, TimeoutError) as wrong:
            self._log.warning("no checkpoint at the end", detail=repr(wrong))
        self._outbox.abandon()
        await self._keeper.close()

    async def _turn(self, reader: HoldingReader) -> None:
        self._restore_new(reader)
        for batch in await reader.fetch(await self._tick(), FETCH_RECORDS):
            owned = self._owned.get(batch.partition)  # none: it was just assigned, and will be read from where its restoring ends
            if owned is not None and not self._strayed(reader, owned, batch.offsets[0]):
                await self._fold(owned, batch)
        self._outbox.start()
        if not self._restoring and self._keeper.is_due(self._states()):  # a snapshot copies each page that is being filled
            await self._outbox.drained()
            self._keeper.take(self._states(), await self._output())

    def _states(self) -> dict[int, Partition]:
        """The partitions of which checkpoints can be taken, be they at the log's end or on their way there."""
        return {number: owned.state for number, owned in self._owned.items() if owned.is_anew}

    async def _output(self) -> dict[str, dict[int, int]]:
        """Where output that is said from now on will stand. Raises LogUnavailable."""
        topics = (self._topics.breaches, self._topics.quarantine)
        return {topic: {number: end for number, (_, end) in (await self._scanner.bounds(topic)).items()} for topic in topics}

    # -- restoring -----------------------------------------------------------------------------------------------

    def _restore_new(self, reader: HoldingReader) -> None:
        """Begin to restore partitions that were just assigned, or that another had meanwhile. Raises WouldFoldDifferently."""
        for number in self._keeper.lost & set(self._owned):
            self._drop(number)
        for number, task in list(self._restoring.items()):
            if task.done():
                del self._restoring[number]
                if not task.cancelled():
                    task.result()
        for number in self._assigned - set(self._owned) - set(self._restoring):
            reader.hold(self._topics.events, number)
            self._restoring[number] = asyncio.ensure_future(self._restore(reader, number))

    async def _restore(self, reader: HoldingReader, number: int) -> None:
        """Bring a partition to where it can be folded on. Raises WouldFoldDifferently."""
        since, backoff = self._time.monotonic(), BACKOFF_S
        while True:
            try:
                state, until, emitted, quarantined = await self._load(number)
                break
            except (LogUnavailable, CheckpointsUnavailable) as wrong:
                self._log.warning("a partition waits to be restored", partition=number, detail=str(wrong), retry_in_s=backoff)
                await self._time.sleep(backoff)
                backoff = min(backoff * 2, BACKOFF_MAX_S)
        if number in self._assigned:
            self._owned[number] = _Owned(state, until, emitted, quarantined, since)
            reader.seek(self._topics.events, number, state.next_offset)
            self._log.info(
                "partition restoring", partition=number, offset=state.next_offset, until=until, statements_read_back=len(emitted)
            )

    async def _load(self, number: int) -> tuple[Partition, int, set[str], set[bytes]]:
        """(state, where the log ends, verdicts and places said since): the checkpoint, if there is one."""
        checkpoint = (await self._keeper.acquire(number)).checkpoint
        log = await self._scanner.bounds(self._topics.events)
        self.count = len(log)
        if number not in log:
            raise LogUnavailable(f"{self._topics.events}/{number}: where it begins and ends is not known yet")
        begin, end = log[number]
        offset = 0 if checkpoint is None else checkpoint.offset
        if begin > offset or end < offset:
            raise WouldFoldDifferently(
                f"the log does not reach back: {self._topics.events}/{number} holds offsets {begin} to {end}, and its state "
                f"has to go on from {offset}. If older records are gone, bring them back from the archive into new topics "
                "(SLAWATCH_TOPIC_EVENTS, _BREACHES), and keep them: retention.ms=-1. If the topic was made anew, run "
                "`slawatch checkpoints forget`"
            )
        state = Partition(number, self._clock, self._max_skew, self._bundles, len(log), swift=self._is_swift)
        if checkpoint is not None:
            await self._keeper.restore(state, checkpoint)
        emitted: set[str] = set()
        quarantined: set[bytes] = set()
        if end > offset:
            await self._read_back(number, len(log), {} if checkpoint is None else checkpoint.output, emitted, quarantined)
        return state, end, emitted, quarantined

    async def _read_back(
        self, number: int, partitions: int, since: dict[str, dict[int, int]], emitted: set[str], quarantined: set[bytes]
    ) -> None:
        """Note what was said of a partition since its checkpoint, by this evaluator or another."""

        events = f"{self._topics.events}/{number}/".encode()

        def verdicts(records: Iterable[Record]) -> None:
            emitted.update(name for record in records if (name := verdict_id(record)) is not None)

        def places(records: Iterable[Record]) -> None:
            quarantined.update(place for place in map(place_of, records) if place.startswith(events))

        output = await self._scanner.bounds(self._topics.breaches)
        self._same_partitions = len(output) == partitions
        mine = {number: output[number]} if self._same_partitions else output
        await self._scan(self._topics.breaches, mine, since, verdicts)
        await self._scan(self._topics.quarantine, await self._scanner.bounds(self._topics.quarantine), since, places)

    async def _scan(
        self,
        topic: str,
        bounds: dict[int, tuple[int, int]],
        since: dict[str, dict[int, int]],
        on_records: Callable[[list[Record]], None],
    ) -> None:
        for partition, (begin, end) in sorted(bounds.items()):
            start = since.get(topic, {}).get(partition, 0)
            if begin > start:
                self._log.warning(
                    "output since the checkpoint is gone: it may be said again, with the same ids", topic=topic, partition=partition
                )
            await self._scanner.scan(topic, partition, max(begin, start), end, on_records)

    def _strayed(self, reader: HoldingReader, owned: _Owned, first: int) -> bool:
        """Whether records begin beyond what is to be folded: read from there, once. A gap that is still there is the log's own."""
        expected = owned.state.next_offset
        if first <= expected or owned.sought == expected:
            return False
        owned.sought = expected
        reader.seek(self._topics.events, owned.state.number, expected)
        return True

    # -- folding and emitting ------------------------------------------------------------------------------------

    async def _fold(self, owned: _Owned, batch: Batch) -> None:
        state, was_restoring = owned.state, owned.restoring
        before, folded = state.engine.counts["duplicates"], state.next_offset
        started = self._time.monotonic()
        for output in state.fold(batch):
            self._metrics.fold_seconds.observe(self._time.monotonic() - started)
            self._collect(owned, output)
            await self._outbox.room()
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
        for said in output.said:
            anew = said if not owned.emitted else _without(owned.emitted, said)
            self._outbox.put(self._topics.breaches, verdict_run(anew, partition))
            for labels, count in counts(anew).items():
                self._metrics.statements.labels(*labels).inc(count)
        for entry in output.quarantined:
            place = place_of(entry)
            if place in owned.quarantined:
                owned.quarantined.remove(place)
            else:
                self._outbox.put(self._topics.quarantine, [entry])
                reason = next(value.decode() for name, value in reversed(entry.headers) if name == "slw-reason")
                self._metrics.quarantined.labels(reason).inc()

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

    async def _tell(self, reader: HoldingReader) -> None:
        """Telemetry: gauges, and the group's committed offsets; it also shows whether the broker answers."""
        owned, now = list(self._owned.values()), self._time.monotonic()
        self._metrics.partitions.set(len(owned))
        for one in owned:
            unknown = one.state.engine.unknown
            for objective, count in (unknown - one.unknown).items():
                self._metrics.unknown.labels(*objective).inc(count)
            one.unknown = unknown
        self._metrics.checkpoint_age.set(self._keeper.age(self._states()))
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


def _without(emitted: set[str], said: Sequence[Said]) -> list[Said]:
    """What was not said before; what was is met by this, and taken out."""
    found = [(statement.id, statement) for statement in said]
    anew = [statement for id_, statement in found if id_ not in emitted]
    emitted.difference_update(id_ for id_, _ in found)
    return anew


def _spare_the_state(*, loading: bool) -> None:
    """Collect what is young, and let the collector look at nothing else again: a state of millions of objects holds no garbage.

    While state is being loaded nearly all that is young is state, and is not looked at even once.
    """
    if not loading:
        gc.collect(1)
    gc.freeze()
