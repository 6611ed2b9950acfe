"""From the ledger to the channels: at once from memory, later from the delivery ledger.

    recorded ──► lane's queue ──► channel.send ──► outcome ──► delivery ledger
                     ▲                                │
                     └──────── claimed when due ◄─────┘ failed: pending, next_attempt_at

A channel has its own queue, lanes and claims, so that one that hangs delays no other. What does not fit into a queue, or was
under way in a crash, stands in the delivery ledger and is claimed when its lease runs out.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple
from zlib import crc32

import structlog

from services.notifier.channels.base import Channel, Notice
from services.notifier.core import RISK_KINDS, Gone, outcome
from services.notifier.messages import compose
from services.notifier.metrics import Metrics
from shared.ports.deliveries import Claimed, Deliveries, Outcome
from shared.ports.ledger import Changes, LedgerRefused, LedgerUnavailable
from shared.ports.time import TimeSource
from shared.sla.instants import SECOND
from shared.wire import verdicts
from shared.wire.verdicts import Verdict

LEASE: Final = 30 * SECOND  # how long a delivery is its process's to try
POLL_S: Final = 1.0  # how often retries that are due are looked for
CLAIMS_MAX: Final = 200  # per channel and look
QUEUE_MAX: Final = 4_000  # deliveries in memory per channel
OUTCOMES_MAX: Final = 10_000  # outcomes in memory; then sending waits for the ledger
SETTLED_MAX: Final = 500  # outcomes written at once
RETRY_S_MAX: Final = 5.0
FLUSH_S: Final = 3.0  # how long outcomes are still written when the process stops

log = structlog.get_logger()
OnDelivery = Callable[[Outcome, Verdict, int], None]  # outcome, what was delivered, ms since the verdict was appended


class _Held(NamedTuple):
    """A delivery in memory; `ask`: it may have been taken back, so the ledger is asked before it is tried."""

    claimed: Claimed
    verdict: Verdict
    ask: bool = False


class _Done(NamedTuple):
    """An attempt that is over and has yet to be written."""

    outcome: Outcome
    verdict: Verdict
    latency_ms: int


class _Lanes:
    """A channel, what it holds in memory by verdict id, and its queues of verdict ids."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.queues: list[asyncio.Queue[str]] = [asyncio.Queue(max(1, QUEUE_MAX // channel.lanes)) for _ in range(channel.lanes)]
        self.held: dict[str, _Held] = {}

    @property
    def room(self) -> int:
        """How many more may be claimed."""
        return min(CLAIMS_MAX, QUEUE_MAX - len(self.held))

    def offer(self, claimed: Claimed, verdict: Verdict) -> None:
        """Queue it; where the queue is full it stays in the delivery ledger."""
        if claimed.verdict_id not in self.held:
            lane = crc32(verdict.data.breach_id.encode()) % len(self.queues)
            try:
                self.queues[lane].put_nowait(claimed.verdict_id)
            except asyncio.QueueFull:
                return
        self.held[claimed.verdict_id] = _Held(claimed, verdict)

    def take_back(self, breach_ids: set[str]) -> None:
        """Warnings about these that wait were made `inhibited` in the ledger, if they were still pending there."""
        for verdict_id, held in self.held.items():
            if held.verdict.type in RISK_KINDS and held.verdict.data.breach_id in breach_ids:
                self.held[verdict_id] = held._replace(ask=True)


class Dispatcher:
    """Runs the channels. `jitter` gives random numbers in [0, 1)."""

    def __init__(
        self,
        channels: Sequence[Channel],
        deliveries: Deliveries,
        time: TimeSource,
        metrics: Metrics,
        *,
        public_url: str,
        jitter: Callable[[], float],
        on_delivery: OnDelivery,
        poll_s: float = POLL_S,
    ) -> None:
        self._lanes = {channel.name: _Lanes(channel) for channel in channels}
        self._deliveries, self._time, self._metrics = deliveries, time, metrics
        self._public_url, self._jitter, self._on_delivery, self._poll_s = public_url, jitter, on_delivery, poll_s
        self._outcomes: asyncio.Queue[_Done] = asyncio.Queue(OUTCOMES_MAX)
        self.off: dict[str, str] = {}  # disabled channels and why

    @property
    def names(self) -> list[str]:
        """The channels, on or off."""
        return list(self._lanes)

    def states(self) -> dict[str, str | None]:
        """The channels, and why one is off."""
        return {name: self.off.get(name) for name in self._lanes}

    def lease(self) -> int:
        """Until when deliveries that are recorded now are ours."""
        return self._time.wall() + LEASE

    def dispatch(self, changes: Changes, lease_until: int) -> None:
        """Send what was just recorded, from memory; take back the warnings that a breach made pointless."""
        for lanes in self._lanes.values():
            lanes.take_back(changes.inhibited)
        stated = {each.id: each for each in changes.statements}
        for planned in changes.deliveries:
            if planned.state == "pending":
                about = stated[planned.verdict_id]
                claimed = Claimed(planned.verdict_id, planned.channel, 0, about.appended, about.body, lease_until)
                self._lanes[planned.channel].offer(claimed, about.verdict)

    async def run(self) -> None:
        """Until cancelled; then outcomes that are known are still written."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._settle())
                for lanes in self._lanes.values():
                    tasks.create_task(self._poll(lanes))
                    for queue in lanes.queues:
                        tasks.create_task(self._work(lanes, queue))
        finally:
            for lanes in self._lanes.values():
                await lanes.channel.close()

    async def _work(self, lanes: _Lanes, queue: asyncio.Queue[str]) -> None:
        while True:
            verdict_id = await queue.get()
            try:
                held = lanes.held[verdict_id]
                if lanes.channel.name not in self.off and await self._still_ours(held):
                    await self._attempt(lanes.channel, held.claimed, held.verdict)
            finally:
                del lanes.held[verdict_id]

    async def _still_ours(self, held: _Held) -> bool:
        claimed, now = held.claimed, self._time.wall()
        if now < claimed.lease_until and not held.ask:
            return True
        try:
            return await self._deliveries.renew(claimed.verdict_id, claimed.channel, claimed.lease_until, now + LEASE)
        except LedgerUnavailable as wrong:
            log.warning("delivery put off: the ledger is away", channel=claimed.channel, verdict=claimed.verdict_id, error=str(wrong))
            return False

    async def _attempt(self, channel: Channel, claimed: Claimed, verdict: Verdict) -> None:
        result = await channel.send(Notice(claimed.verdict_id, claimed.body, compose(verdict, self._public_url)))
        done = outcome(claimed, result, self._time.wall(), self._jitter())
        if done.state == "sent":
            self._metrics.verdict_to_delivery.labels(channel.name).observe(max(0, done.at - claimed.appended) / 1000)
        else:
            log.warning("delivery failed", channel=channel.name, verdict=claimed.verdict_id, attempt=done.attempts, error=done.error)
        self._metrics.notifications.labels(channel.name, "retried" if done.state == "pending" else done.state).inc()
        if isinstance(result, Gone):
            self.off[channel.name] = result.error
        await self._outcomes.put(_Done(done, verdict, max(0, done.at - claimed.appended)))

    async def _settle(self) -> None:
        """Write outcomes, many at once, until they are written."""
        try:
            while True:
                batch = [await self._outcomes.get()]
                while not self._outcomes.empty() and len(batch) < SETTLED_MAX:
                    batch.append(self._outcomes.get_nowait())
                await self._write(batch)
        finally:
            rest = [self._outcomes.get_nowait() for _ in range(self._outcomes.qsize())]
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
                        lanes.offer(claimed, verdicts.decode(claimed.body))
                self.off = await self._deliveries.disabled()
            except LedgerUnavailable as wrong:
                log.warning("deliveries cannot be looked up: the ledger is away", channel=name, error=str(wrong))
            self._metrics.queued.labels(name).set(len(lanes.held))
            self._metrics.channel_up.labels(name).set(name not in self.off)
            await self._time.sleep(self._poll_s)
