"""From the topic of verdicts to the ledger, the channels and the live pages.

    fetch ──► decode ──► one transaction: statements, breaches, risks, deliveries ──► dispatch, publish ──► quarantine ──► offsets
                 │ poison                                                                                       ▲            (beside)
                 └──────────────────────────────────────────────────────────────────────────────────────────────┘

A crash anywhere repeats records; the ledger drops what it has seen. So nothing waits for offsets to be committed.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import msgspec
import structlog

from services.notifier.alerts import Desk
from services.notifier.core import KNOWN_TYPES, Reason, Ruling
from services.notifier.dispatch import Dispatcher
from services.notifier.live import Change, Hub
from services.notifier.metrics import Metrics
from shared.ports.deliveries import Outcome
from shared.ports.ledger import Changes, Known, Ledger, LedgerRefused, LedgerUnavailable, Stated
from shared.ports.log import GroupReader, LogUnavailable, LogWriter, RebalanceHandler, Record, RecordTooLarge
from shared.ports.quarantine import quarantine_entry
from shared.ports.time import TimeSource
from shared.sla.instants import BadInstant, parse_instant
from shared.wire import verdicts
from shared.wire.verdicts import Verdict

BATCH_FIRST: Final = 50  # verdicts in the first transaction of a storm, so that its first page need not wait for many
BATCH_MAX: Final = 500  # verdicts in one transaction
FETCH_S: Final = 0.5
RETRY_S_MAX: Final = 5.0
PAGE_AFTER_S: Final = 1.0  # how long a transaction may take before pages go out from memory
AHEAD_MAX: Final = 20_000  # records read while the ledger is away
GAUGES_S: Final = 5.0  # how often counts and lag are looked up

MakeReader = Callable[[RebalanceHandler, RebalanceHandler], GroupReader]
log = structlog.get_logger()


class Poison(NamedTuple):
    """A record that cannot be used, and why; `reason` is one of a few words, for metrics."""

    record: Record
    reason: str
    detail: str


def read(record: Record) -> Stated | Poison:
    """The verdict in a record, or why there is none."""
    try:
        verdict = verdicts.decode(record.value)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as wrong:
        return Poison(record, "not-a-verdict", str(wrong))
    if verdict.type not in KNOWN_TYPES:
        return Poison(record, "unknown-type", f"{verdict.type!r} is no type of verdict")
    data = verdict.data
    if verdict.type.startswith("slawatch.breach.") and data.revision is None:
        return Poison(record, "not-a-verdict", "data.revision is missing")
    if not verdict.id or not data.breach_id:
        return Poison(record, "not-a-verdict", "id and data.breach_id are not empty")
    for instant in (verdict.time, data.decided_at, data.started, data.due, data.stopped):
        try:
            if instant is not None:
                parse_instant(instant)
        except BadInstant as wrong:
            return Poison(record, "not-a-verdict", str(wrong))
    return Stated(verdict, record.value, record.timestamp, record.partition, record.offset)


class Pipeline:
    """Reads until it is cancelled. `missing` says what keeps it from working, for `/readyz`."""

    def __init__(
        self,
        make_reader: MakeReader,
        writer: LogWriter,
        ledger: Ledger,
        dispatcher: Dispatcher,
        desk: Desk,
        hub: Hub,
        metrics: Metrics,
        time: TimeSource,
        *,
        quarantine: str,
    ) -> None:
        self._reader = make_reader(self._on_assigned, self._on_revoked)
        self._writer, self._ledger, self._dispatcher, self._desk, self._hub = writer, ledger, dispatcher, desk, hub
        self._metrics, self._time, self._quarantine = metrics, time, quarantine
        self._positions: dict[tuple[str, int], int | None] = {}  # of assigned partitions: the next offset, None before the first record
        self._done: dict[tuple[str, int], int] = {}  # offsets to commit
        self._news = asyncio.Event()
        self._batch = BATCH_FIRST  # how many to fetch next: twice what came last
        self._ahead: deque[list[Record]] = deque()  # read while the ledger was away, to be written next
        self.missing: dict[str, str] = {"kafka": "not joined yet"}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._consume())
            tasks.create_task(self._commit())
            tasks.create_task(self._dispatcher.run())
            tasks.create_task(self._desk.run())
            tasks.create_task(self._measure())

    async def _consume(self) -> None:
        wait_s = 0.2
        while True:
            try:
                self._ahead.clear()
                await self._reader.start()
                self.missing.pop("kafka", None)
                wait_s = 0.2
                while True:
                    await self.step()
            except LogUnavailable as wrong:
                self.missing["kafka"] = str(wrong)
                log.warning("the log is away", error=str(wrong))
                self._done.clear()
            finally:
                await self.commit()
                await self._reader.stop()
            await self._time.sleep(wait_s)
            wait_s = min(RETRY_S_MAX, wait_s * 2)

    async def step(self) -> None:
        """One fetch, all the way to offsets that may be committed. Raises LogUnavailable."""
        records = self._ahead.popleft() if self._ahead else await self._fetch(FETCH_S, self._batch)
        self._batch = min(BATCH_MAX, max(BATCH_FIRST, 2 * len(records)))
        if not records:
            return
        told: list[Stated] = []
        poisons: list[Poison] = []
        for record in records:
            result = read(record)
            if isinstance(result, Poison):
                poisons.append(result)
            else:
                told.append(result)
        if told:
            by_place = {(record.partition, record.offset): record for record in records}
            poisons += [Poison(by_place[s.partition, s.offset], "refused", why) for s, why in await self._record(told)]
        if poisons:
            await self._set_aside(poisons)
        for record in records:
            self._positions[record.topic, record.partition] = self._done[record.topic, record.partition] = record.offset + 1
        self._news.set()

    async def _commit(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await self.commit()

    async def commit(self) -> None:
        """Tell the log what is done, if there is news of it."""
        where, self._done = self._done, {}
        if not where:
            return
        try:
            await self._reader.commit(where)
        except LogUnavailable as wrong:
            log.warning("offsets not committed: these records may come again, and are dropped then", error=str(wrong))

    async def _fetch(self, timeout: float, limit: int) -> list[Record]:
        return list(chain.from_iterable(await self._reader.fetch(timeout, limit)))

    async def _record(self, batch: Sequence[Stated]) -> list[tuple[Stated, str]]:
        """Into the ledger, out to the channels. Waits while the ledger is away; gives back what the ledger will never take."""
        try:
            await self._write(batch)
        except LedgerRefused as wrong:
            if len(batch) == 1:
                return [(batch[0], str(wrong))]
            refused = [await self._record([stated]) for stated in batch]
            return [each for some in refused for each in some]
        return []

    async def _write(self, batch: Sequence[Stated]) -> None:
        rulings: list[Ruling] = []

        def decide(known: Known) -> Changes:
            changes, rulings[:] = self._desk.settle(batch, known)
            return changes

        ids, breach_ids = [stated.id for stated in batch], sorted({stated.breach_id for stated in batch})
        wait_s = 0.1
        while True:
            lease_until = self._dispatcher.lease()
            try:
                with self._metrics.transaction.time():
                    recording = self._ledger.record(ids, breach_ids, decide, lease_until, self._desk.keys_of(batch))
                    changes = await self._paging_meanwhile(asyncio.ensure_future(recording), batch)
            except LedgerUnavailable as wrong:
                self._ledger_away(wrong)
                await self._page(batch)
                await self._time.sleep(wait_s)
                wait_s = min(RETRY_S_MAX, wait_s * 2)
                continue
            break
        self._ledger_back()
        self._dispatcher.recorded(changes, lease_until)
        for ruling in rulings:
            self._tell(ruling)

    async def _paging_meanwhile(self, recording: asyncio.Future[Changes], batch: Sequence[Stated]) -> Changes:
        """What the ledger answers; where it takes long, pages do not wait for it."""
        try:
            while not recording.done():
                await asyncio.wait({recording}, timeout=PAGE_AFTER_S)
                if not recording.done():
                    await self._page(batch)
            return await recording
        finally:
            recording.cancel()

    async def _page(self, batch: Sequence[Stated]) -> None:
        """Pages of this batch and of what comes behind it, from memory."""
        self._desk.urgent(batch)
        for records in self._ahead:
            self._desk.urgent([told for told in map(read, records) if isinstance(told, Stated)])
        if sum(map(len, self._ahead)) < AHEAD_MAX:
            try:
                records = await self._fetch(0.05, BATCH_MAX)
            except LogUnavailable as wrong:
                log.warning("the log is away too", error=str(wrong))
                return
            if records:
                self._ahead.append(records)
                self._desk.urgent([told for told in map(read, records) if isinstance(told, Stated)])

    def _tell(self, ruling: Ruling) -> None:
        """Live pages and metrics, after the commit."""
        stated, verdict = ruling.stated, ruling.stated.verdict
        data = verdict.data
        if not ruling.kept:
            self._metrics.dropped.labels("seen" if ruling.reason is Reason.seen else "stale").inc()
            return
        family, _, kind = verdict.type.rpartition(".")
        labels = (self._metrics.vendor(data.vendor), data.agreement, data.objective, data.severity, kind)
        if family == "slawatch.breach":
            self._metrics.breaches.labels(*labels).inc()
        elif ruling.reason is Reason.told:
            self._metrics.warnings.labels(*labels).inc()
        if kind == "opened" and data.stopped is None:
            self._metrics.deadline_to_verdict.observe(max(0, stated.appended - parse_instant(data.decided_at)) / 1000)
        parts = frozenset({"open", "recent", "risk"}) if family == "slawatch.breach" else frozenset({"risk"})
        self._hub.publish(Change("verdict", data.vendor, data.breach_id, parts, summary(verdict, stated.appended)))

    async def _set_aside(self, poisons: Sequence[Poison]) -> None:
        """To quarantine. Raises LogUnavailable: then nothing is committed, and the records come again."""
        for poison in poisons:
            self._metrics.quarantined.labels(poison.reason).inc()
            where = f"{poison.record.topic}/{poison.record.partition}/{poison.record.offset}"
            log.error("record set aside", reason=poison.reason, detail=poison.detail, where=where)
            try:
                await self._writer.append(self._quarantine, [quarantine_entry(poison.record, poison.reason, poison.detail, "notifier")])
            except RecordTooLarge as wrong:
                log.error("record too large for quarantine: it stays where it is", where=where, error=str(wrong))

    # ---- what is measured beside

    async def _on_assigned(self, where: set[tuple[str, int]]) -> None:
        self._positions = dict.fromkeys(where)

    async def _on_revoked(self, where: set[tuple[str, int]]) -> None:
        for topic, partition in where:
            self._positions.pop((topic, partition), None)
            self._done.pop((topic, partition), None)
        kept = ([record for record in records if (record.topic, record.partition) not in where] for records in self._ahead)
        self._ahead = deque(records for records in kept if records)
        self._metrics.behind.clear()

    async def _measure(self) -> None:
        while True:
            self._metrics.routes_good.set(not self._desk.routes.error)
            try:
                self._metrics.standing(*await self._ledger.counts())
                self._ledger_back()
            except LedgerUnavailable as wrong:
                self._ledger_away(wrong)
            try:
                for (topic, partition), position in list(self._positions.items()):
                    if position is not None:
                        end = await self._reader.end_offset(topic, partition)
                        self._metrics.behind.labels(topic, partition).set(max(0, end - position))
            except LogUnavailable as wrong:
                log.warning("lag cannot be looked up", error=str(wrong))
            await self._time.sleep(GAUGES_S)

    def _ledger_away(self, wrong: LedgerUnavailable) -> None:
        self.missing["postgres"] = str(wrong)
        self._metrics.ledger_up.set(0)
        log.warning("the ledger is away", error=str(wrong))

    def _ledger_back(self) -> None:
        self.missing.pop("postgres", None)
        self._metrics.ledger_up.set(1)


def summary(verdict: Verdict, appended: int) -> dict[str, Any]:
    """A verdict as the feed tells it: type, id, appended (ms), and its data."""
    return {"type": verdict.type, "id": verdict.id, "time": verdict.time, "appended": appended, **msgspec.to_builtins(verdict.data)}


def publish_delivery(hub: Hub, outcome: Outcome, verdict: Verdict, latency_ms: int) -> None:
    """Tell the feed what came of an attempt."""
    data = verdict.data
    said = {
        "type": verdict.type,
        "id": verdict.id,
        "breach_id": data.breach_id,
        "vendor": data.vendor,
        "objective": data.objective,
        "case": data.case,
        "channel": outcome.channel,
        "state": outcome.state,
        "attempts": outcome.attempts,
        "at": outcome.at,
        "latency_ms": latency_ms,
        "error": outcome.error,
    }
    hub.publish(Change("delivery", data.vendor, data.breach_id, frozenset({"told"}), said))
