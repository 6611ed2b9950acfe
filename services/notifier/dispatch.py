"""From the ledger to the channels: at once from memory, later from the delivery ledger.

    recorded ──► lane's queue ──► limit ──► channel.send ──► outcome ──► delivery ledger
                     ▲              └ what waits: a digest, or the most severe first
                     │                                           │
                     └──────── claimed when due ◄────────────────┘ failed: pending, next_attempt_at

A channel has its own queue, lanes and claims, so that one that hangs delays no other. What does not fit into a queue, or was
under way in a crash, stands in the delivery ledger and is claimed when its lease runs out.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from hashlib import sha256
from itertools import count
from typing import Final, NamedTuple
from zlib import crc32

import structlog

from services.notifier.channels.base import Channel, Notice, keeps_breaches
from services.notifier.core import TAKEN_BACK, Gone, HeldBack, outcome
from services.notifier.messages import Composer, Message
from services.notifier.metrics import Metrics
from shared.alerting.decisions import SEVERITIES
from shared.alerting.terms import Rate
from shared.ports.alerts import Text
from shared.ports.deliveries import PUT_OFF, Claimed, Deliveries, Outcome, Planned
from shared.ports.ledger import Changes, LedgerRefused, LedgerUnavailable
from shared.ports.time import TimeSource
from shared.sla.instants import SECOND
from shared.wire import verdicts
from shared.wire.verdicts import Verdict

LEASE: Final = 30 * SECOND  # how long a delivery is its process's to try
POLL_S: Final = 1.0  # how often retries that are due are looked for
CLAIMS_MAX: Final = 1_000  # per channel and look
QUEUE_MAX: Final = 12_000  # deliveries in memory per channel
DIGEST_SHOWN: Final = 50  # breaches that a digest shows; it tells how many there are
OUTCOMES_MAX: Final = 20_000  # outcomes in memory; then sending waits for the ledger
SETTLE_S: Final = 0.02  # outcomes wait so long for more: nobody waits for them
SETTLED_MAX: Final = 1_000  # outcomes written at once
RETRY_S_MAX: Final = 5.0
FLUSH_S: Final = 3.0  # how long outcomes are still written when the process stops

log = structlog.get_logger()
OnDelivery = Callable[[Outcome, Verdict, int], None]  # outcome, what was delivered, ms since the verdict was appended


class _Held(NamedTuple):
    """A delivery in memory; `ask`: it may have been taken back, so the ledger is asked before it is tried.
    `early`: the ledger does not know of it yet."""

    claimed: Claimed
    verdicts: tuple[Verdict, ...]
    ask: bool = False
    early: bool = False

    @property
    def said(self) -> list["_Said"]:
        """What it tells, breach by breach."""
        names = self.claimed.acknowledged_by or ("",) * len(self.verdicts)
        return [_Said(*each) for each in zip(self.verdicts, self.claimed.bodies, names, strict=True)]


class _Said(NamedTuple):
    """What a delivery tells of one breach, and who has taken that on."""

    verdict: Verdict
    body: bytes
    acknowledged_by: str


class _Done(NamedTuple):
    """An attempt that is over and has yet to be written."""

    outcome: Outcome
    verdict: Verdict
    latency_ms: int


class _Early(NamedTuple):
    """A delivery that was begun while the ledger was away."""

    planned: Planned
    state: str  # waiting, sent, failed


class _Limiter:
    """At most so many sends in any window."""

    def __init__(self, rate: Rate, time: TimeSource) -> None:
        self._rate, self._time = rate, time
        self._sent: deque[float] = deque(maxlen=rate.most)

    def free(self) -> int:
        """How many may go now."""
        begin = self._time.monotonic() - self._rate.window / SECOND
        while self._sent and self._sent[0] <= begin:
            self._sent.popleft()
        return self._rate.most - len(self._sent)

    async def ready(self) -> None:
        """Wait until one may go."""
        while self.free() <= 0:
            await self._time.sleep(max(0.001, self._sent[0] + self._rate.window / SECOND - self._time.monotonic()))

    def take(self) -> None:
        """One goes."""
        self._sent.append(self._time.monotonic())


_Queue = asyncio.PriorityQueue[tuple[int, int, str]]  # how urgent, the how many-eth, key


class _Lanes:
    """A channel, what it holds in memory by key, and its queues of keys; together they hold at most QUEUE_MAX."""

    def __init__(self, channel: Channel, time: TimeSource) -> None:
        self.queues: list[_Queue] = [asyncio.PriorityQueue() for _ in range(channel.lanes)]
        self.held: dict[str, _Held] = {}
        self._number = count()
        self.warnings: set[str] = set()  # keys of those that a breach may take back
        self.tasks: list[asyncio.Task[None]] = []
        self.use(channel, time)

    def use(self, channel: Channel, time: TimeSource) -> None:
        """Send through this one from now on."""
        self.channel = channel
        self.limiter = None if channel.limit is None else _Limiter(channel.limit, time)

    @property
    def room(self) -> int:
        """How many more may be claimed."""
        return min(CLAIMS_MAX, QUEUE_MAX - len(self.held))

    def offer(self, held: _Held) -> bool:
        """Queue it; where the queue is full it stays in the delivery ledger, and the answer is False."""
        key = held.claimed.key
        if key not in self.held:
            if len(self.held) >= QUEUE_MAX:
                return False
            lane = crc32(held.claimed.thread.encode()) % len(self.queues)
            urgency = SEVERITIES.get(held.verdicts[0].data.severity, len(SEVERITIES)) if keeps_breaches(self.channel) else 0
            self.queues[lane].put_nowait((urgency, next(self._number), key))
        self.held[key] = held
        if any(verdict.type in TAKEN_BACK for verdict in held.verdicts):
            self.warnings.add(key)
        return True

    def drop(self, key: str) -> None:
        """It was tried, or is no longer ours."""
        del self.held[key]
        self.warnings.discard(key)

    def take_back(self, breach_ids: Collection[str]) -> None:
        """Warnings about these that wait were made `inhibited` in the ledger, if they were still pending there."""
        for key in self.warnings:
            held = self.held[key]
            if any(verdict.type in TAKEN_BACK and verdict.data.breach_id in breach_ids for verdict in held.verdicts):
                self.held[key] = held._replace(ask=True)


class Dispatcher:
    """Runs the channels. `jitter` gives random numbers in [0, 1)."""

    def __init__(
        self,
        channels: Sequence[Channel],
        deliveries: Deliveries,
        time: TimeSource,
        metrics: Metrics,
        *,
        composer: Composer,
        jitter: Callable[[], float],
        on_delivery: OnDelivery,
        poll_s: float = POLL_S,
    ) -> None:
        self._lanes = {channel.name: _Lanes(channel, time) for channel in channels}
        self._deliveries, self._time, self._metrics = deliveries, time, metrics
        self._composer, self._jitter, self._on_delivery, self._poll_s = composer, jitter, on_delivery, poll_s
        self._outcomes: asyncio.Queue[_Done] = asyncio.Queue(OUTCOMES_MAX)
        self._early: dict[tuple[str, str], _Early] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self.off: dict[str, str] = {}  # disabled channels and why

    @property
    def names(self) -> list[str]:
        """The channels, on or off."""
        return list(self._lanes)

    @property
    def by_breach(self) -> list[str]:
        """Those whose receivers remember each breach."""
        return [channel.name for channel in self.channels if keeps_breaches(channel)]

    @property
    def channels(self) -> list[Channel]:
        """Those of the moment."""
        return [lanes.channel for lanes in self._lanes.values()]

    def states(self) -> dict[str, str | None]:
        """The channels, and why one is off."""
        return {name: self.off.get(name) for name in self._lanes}

    def lease(self) -> int:
        """Until when deliveries that are recorded now are ours."""
        return self._time.wall() + LEASE

    def dispatch(
        self,
        planned: Sequence[Planned],
        texts: dict[str, Text],
        lease_until: int,
        *,
        inhibited: Collection[str] = frozenset(),
        since: int = 0,
    ) -> None:
        """Send what was just recorded, from memory; take back the warnings that a breach made pointless. `since`: when it was decided, for
        what had waited until then; otherwise it is as old as its verdict."""
        for lanes in self._lanes.values():
            lanes.take_back(inhibited)
        decoded: dict[str, Verdict] = {}
        for each in planned:
            early = self._early.pop((each.key, each.channel), None)
            lanes_of = self._lanes.get(each.channel)
            if each.state != "pending" or lanes_of is None:
                continue
            shown = [texts[verdict_id] for verdict_id in each.shown]
            for verdict_id in each.shown:
                if verdict_id not in decoded:
                    decoded[verdict_id] = verdicts.decode(texts[verdict_id].body)
            told = tuple(decoded[verdict_id] for verdict_id in each.shown)
            if early is not None and early.state == "sent":  # while the row was written
                done = Outcome(each.key, each.channel, "sent", 1, self._time.wall())
                self._outcomes.put_nowait(_Done(done, told[0], 0))
                continue
            thread, bodies = each.thread or each.breach_id, tuple(text.body for text in shown)
            appended = max(since, *(text.appended for text in shown))
            taken_on = tuple(text.acknowledged_by for text in shown)
            claimed = Claimed(each.key, each.channel, 0, appended, bodies, lease_until, thread, each.reason, each.total, taken_on)
            lanes_of.offer(_Held(claimed, told))

    def recorded(self, changes: Changes, lease_until: int) -> None:
        """Send what a batch of verdicts was found to need, now that it is in the ledger."""
        texts = changes.texts | {
            stated.id: Text(stated.body, stated.appended, changes.acknowledged.get(stated.breach_id, "")) for stated in changes.statements
        }
        self.dispatch(changes.deliveries, texts, lease_until, inhibited=changes.inhibited)

    # ---- while the ledger is away

    def send_early(self, planned: Planned, verdict: Verdict, body: bytes, appended: int) -> None:
        """Send what the ledger does not know of yet; once, or again where that failed."""
        place = planned.key, planned.channel
        known, lanes = self._early.get(place), self._lanes.get(planned.channel)
        if lanes is None or planned.channel in self.off or len(self._early) >= QUEUE_MAX or (known is not None and known.state != "failed"):
            return
        claimed = Claimed(planned.key, planned.channel, 0, appended, (body,), 0, planned.thread or planned.breach_id, planned.reason)
        if lanes.offer(_Held(claimed, (verdict,), early=True)):
            self._early[place] = _Early(planned, "waiting")

    def reconciled(self, planned: Sequence[Planned], verdict_ids: Collection[str]) -> list[Planned]:
        """Deliveries of these verdicts as they are to be written: what was sent while the ledger was away is sent."""
        sent = {
            place: early.planned
            for place, early in self._early.items()
            if early.state == "sent" and (early.planned.verdicts or (early.planned.key,))[0] in verdict_ids
        }
        known = [each._replace(state="sent") if (each.key, each.channel) in sent else each for each in planned]
        places = {(each.key, each.channel) for each in planned}
        return known + [each._replace(state="sent") for place, each in sent.items() if place not in places]

    # ---- channels come and go

    async def use(self, channels: Sequence[Channel]) -> None:
        """Send through these from now on. What waits for one that is no longer here stays in the delivery ledger."""
        new = {channel.name: channel for channel in channels}
        for name, lanes in list(self._lanes.items()):
            old = lanes.channel
            if name in new:
                lanes.use(new[name], self._time)
            else:
                del self._lanes[name]
                for task in lanes.tasks:
                    task.cancel()
            await old.close()
        for name, channel in new.items():
            if name not in self._lanes:
                self._lanes[name] = lanes = _Lanes(channel, self._time)
                self._start(lanes)

    async def run(self) -> None:
        """Until cancelled; then outcomes that are known are still written."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(self._settle())
                for lanes in self._lanes.values():
                    self._start(lanes)
        finally:
            self._tasks = None
            for lanes in self._lanes.values():
                await lanes.channel.close()

    def _start(self, lanes: _Lanes) -> None:
        if self._tasks is not None:
            work = [self._poll(lanes), *(self._work(lanes, queue) for queue in lanes.queues)]
            lanes.tasks = [self._tasks.create_task(each) for each in work]

    # ---- sending

    async def _work(self, lanes: _Lanes, queue: _Queue) -> None:
        while True:
            keys = [(await queue.get())[-1]]
            try:
                if lanes.limiter is not None:
                    await lanes.limiter.ready()
                    if queue.qsize() >= lanes.limiter.free() and not keeps_breaches(lanes.channel):
                        keys += [queue.get_nowait()[-1] for _ in range(queue.qsize())]
                    lanes.limiter.take()
                ours = [held for held in [lanes.held[key] for key in keys] if await self._still_ours(held)]
                if ours and lanes.channel.name not in self.off:
                    await self._attempt(lanes.channel, ours)
            finally:
                for key in keys:
                    lanes.drop(key)

    async def _still_ours(self, held: _Held) -> bool:
        claimed, now = held.claimed, self._time.wall()
        if held.early or (now < claimed.lease_until and not held.ask and claimed.reason not in PUT_OFF):
            return True
        try:
            return await self._deliveries.renew(claimed.key, claimed.channel, claimed.lease_until, now + LEASE)
        except LedgerUnavailable as wrong:
            log.warning("delivery put off: the ledger is away", channel=claimed.channel, notice=claimed.key, error=str(wrong))
            return False

    async def _attempt(self, channel: Channel, held: Sequence[_Held]) -> None:
        result = await channel.send(self._notice(channel.name, held))
        now, jitter = self._time.wall(), self._jitter()
        for each in held:
            claimed = each.claimed
            done = outcome(claimed, result, now, jitter)
            if done.state == "sent":
                if claimed.reason not in PUT_OFF or claimed.attempts == 0:  # when a retried reminder was decided is not known any more
                    self._metrics.verdict_to_delivery.labels(channel.name).observe(max(0, now - claimed.appended) / 1000)
            elif isinstance(result, HeldBack):
                log.info("delivery held back", channel=channel.name, notice=claimed.key, error=done.error)
            else:
                log.warning("delivery failed", channel=channel.name, notice=claimed.key, attempt=done.attempts, error=done.error)
            early = self._early.get((claimed.key, channel.name))
            if each.early and early is not None:  # otherwise the ledger has come to know of it meanwhile
                self._early[claimed.key, channel.name] = early._replace(state="sent" if done.state == "sent" else "failed")
            else:
                await self._outcomes.put(_Done(done, each.verdicts[0], max(0, now - claimed.appended)))
        if not isinstance(result, HeldBack):
            self._metrics.notifications.labels(channel.name, "retried" if done.state == "pending" else done.state).inc()
        if isinstance(result, Gone):
            self.off[channel.name] = result.error

    def _notice(self, channel: str, held: Sequence[_Held]) -> Notice:
        """One delivery as it is, several as a digest: the newest word on each breach, the most severe first."""
        now = self._time.wall()

        def messages(said: Iterable[_Said]) -> tuple[Message, ...]:
            return tuple(self._composer(each.verdict, channel=channel, now=now, acknowledged_by=each.acknowledged_by) for each in said)

        if len(held) == 1:
            [claimed] = [each.claimed for each in held]
            return Notice(claimed.key, claimed.thread, claimed.reason, messages(held[0].said), claimed.bodies, claimed.total)
        newest: dict[str, _Said] = {}
        for one in sorted(held, key=lambda each: each.claimed.appended):
            newest |= {said.verdict.data.breach_id: said for said in one.said}
        shown = sorted(newest.values(), key=lambda said: SEVERITIES.get(said.verdict.data.severity, len(SEVERITIES)))[:DIGEST_SHOWN]
        key = "digest-" + sha256("\0".join(sorted(each.claimed.key for each in held)).encode()).hexdigest()[:32]
        threads = {each.claimed.thread for each in held}
        thread = threads.pop() if len(threads) == 1 else key
        total = len(newest) + sum(each.claimed.total - len(each.verdicts) for each in held)
        return Notice(key, thread, "digest", messages(shown), tuple(said.body for said in shown), total)

    # ---- the delivery ledger

    async def _settle(self) -> None:
        """Write outcomes, many at once, until they are written."""
        batch: list[_Done] = []
        try:
            while True:
                batch.append(await self._outcomes.get())
                await self._time.sleep(SETTLE_S)
                while not self._outcomes.empty() and len(batch) < SETTLED_MAX:
                    batch.append(self._outcomes.get_nowait())
                await self._write(batch)
                batch.clear()
        finally:
            rest = batch + [self._outcomes.get_nowait() for _ in range(self._outcomes.qsize())]
            with contextlib.suppress(LedgerUnavailable, LedgerRefused, TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self._deliveries.settle([done.outcome for done in rest])

    async def _write(self, batch: list[_Done]) -> None:
        wait_s = 0.1
        while True:
            try:
                await self._deliveries.settle([done.outcome for done in batch])
                for gone in (done.outcome for done in batch if done.outcome.state == "disabled"):
                    await self._deliveries.disable(gone.channel, gone.error, gone.at)
            except LedgerUnavailable:
                await self._time.sleep(wait_s)
                wait_s = min(RETRY_S_MAX, wait_s * 2)
            except LedgerRefused as wrong:
                log.error("outcomes of deliveries cannot be written", error=str(wrong), outcomes=len(batch))
                return
            else:
                break
        for done in batch:  # after the write: whoever is told now and looks it up finds it
            self._on_delivery(*done)

    async def _poll(self, lanes: _Lanes) -> None:
        """Claim what is due: retries, and what a crash or a full queue left."""
        name = lanes.channel.name
        while True:
            try:
                if name not in self.off and lanes.room > 0:
                    now = self._time.wall()
                    for claimed in await self._deliveries.claim(name, now, now + LEASE, lanes.room):
                        lanes.offer(_Held(claimed, tuple(map(verdicts.decode, claimed.bodies))))
                self.off = await self._deliveries.disabled()
            except LedgerUnavailable as wrong:
                log.warning("deliveries cannot be looked up: the ledger is away", channel=name, error=str(wrong))
            self._metrics.queued.labels(name).set(len(lanes.held))
            self._metrics.channel_up.labels(name).set(name not in self.off)
            await self._time.sleep(self._poll_s)
