"""Checkpoints: when they are taken, what stands in them, and how a partition goes on from one.

loop at rest ──► snapshot (a fork: moments) ──► the loop goes on
                     └──► blocks ──► one transaction per partition, if its epoch is still ours
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from hashlib import blake2b
from typing import Final

import msgspec
import structlog

from services.evaluator.core import Partition, WouldFoldDifferently
from services.evaluator.metrics import Metrics
from shared.ports.checkpoints import Acquired, Checkpoint, Checkpoints, CheckpointsUnavailable, Snapshots, Stale
from shared.ports.time import TimeSource
from shared.runtime.failpoints import failpoint
from shared.sla import keeping
from shared.sla.broker_time import BrokerTime
from shared.sla.terms import Bundle
from shared.sla.version import RULES
from shared.wire.controls import ClockMode

EVERY_WORK: Final = 35_000  # records folded at length since the last one, or sixteen times as many swiftly: about a second of folding
EVERY_S: Final = 10.0  # though less was folded, and after one that failed
EVERY_MOST_S: Final = 240.0
QUIET: Final = 100  # times the CPU that the last one took, if less was folded: what hardly changes is not written over and over
REST: Final = 2  # times the CPU that the last one took: they never take more than half a core
LAST_S: Final = 3.0  # how long the one at the end may take
LOADS_MAX: Final = 2  # partitions loaded at once: one is read from the database while one is unpacked, and the first is live soon

Output = dict[str, dict[int, int]]  # topic -> partition -> where what was not yet said will begin


def fingerprint_of(clock: ClockMode, max_skew: int, bundles: Sequence[tuple[str, Bundle]]) -> str:
    """What verdicts depend on besides the log: the clock mode, the rules' version, and what holds from the log's beginning."""
    said = msgspec.json.encode([RULES, clock, max_skew, sorted(activation_id for activation_id, _ in bundles)])
    return blake2b(said, digest_size=16).hexdigest()


class _Kept:
    """What is known of a partition's checkpoints. `offset`: of the newest; `work`: what its state had folded then."""

    def __init__(self, epoch: int, offset: int) -> None:
        self.epoch, self.offset, self.work = epoch, offset, 0.0


class Keeper:
    """Takes checkpoints of the partitions that are owned. `lost`: partitions that another has acquired since, to be restored anew."""

    def __init__(
        self, checkpoints: Checkpoints, snapshots: Snapshots, time: TimeSource, metrics: Metrics, *, fingerprint: str, layout: str
    ) -> None:
        """`fingerprint`: see `fingerprint_of`; `layout` names the code whose state is written: other code's is not read."""
        self._checkpoints, self._snapshots, self._time, self._metrics = checkpoints, snapshots, time, metrics
        self._fingerprint, self._layout = fingerprint, layout
        self._kept: dict[int, _Kept] = {}
        self._saving: asyncio.Task[None] | None = None
        self._began = self._saved_at = time.monotonic()
        self._cost = 0.0  # of writing the last one, in s of CPU
        self._loading = asyncio.Semaphore(LOADS_MAX)
        self.lost: set[int] = set()
        self.trouble = ""
        self._log = structlog.get_logger()

    # -- going on from one ---------------------------------------------------------------------------------------

    async def acquire(self, partition: int) -> Acquired:
        """Take a partition over. Raises CheckpointsUnavailable, and WouldFoldDifferently where its checkpoint was folded by other rules."""
        acquired = await self._checkpoints.acquire(partition)
        checkpoint = acquired.checkpoint
        self._kept[partition] = _Kept(acquired.epoch, 0 if checkpoint is None else checkpoint.offset)
        if checkpoint is None:
            return acquired
        if checkpoint.fingerprint != self._fingerprint:
            raise WouldFoldDifferently(
                f"partition {partition} has a checkpoint of other rules: another clock mode (SLAWATCH_CLOCK), another version of the "
                "rules, or other agreements or calendars (holiday and time zone data included) in SLAWATCH_AGREEMENTS. Going on could "
                "change verdicts. Give every evaluator the same version and settings; change agreements with `slawatch agreements apply`; "
                "or, to fold the whole log anew by the present rules, stop the evaluators and run `slawatch checkpoints forget`"
            )
        if checkpoint.layout != self._layout:
            self._log.info("the checkpoint is of other code: the log is folded from its beginning", partition=partition)
            return Acquired(acquired.epoch, None)
        return acquired

    async def restore(self, state: Partition, checkpoint: Checkpoint) -> None:
        """Bring an empty partition to a checkpoint, when its turn comes. Raises CheckpointsUnavailable, WouldFoldDifferently."""
        async with self._loading:
            await self._load(state, checkpoint)

    async def _load(self, state: Partition, checkpoint: Checkpoint) -> None:
        restoring, began = keeping.Restoring(state.engine), self._time.monotonic()
        try:
            async for block in self._checkpoints.blocks(state.number):
                for _ in restoring.read(block):
                    await self._time.sleep(0)  # live partitions get their turn
        except keeping.Unreadable as wrong:
            raise WouldFoldDifferently(f"partition {state.number}: {wrong}. Run `slawatch checkpoints forget`, then start again") from wrong
        state.next_offset, state.arrival = checkpoint.offset, checkpoint.arrival
        state.broker_time = BrokerTime(*checkpoint.broker_time)
        seconds = round(self._time.monotonic() - began, 3)
        self._log.info("checkpoint loaded", partition=state.number, offset=checkpoint.offset, cases=restoring.cases, seconds=seconds)

    def forget(self, partition: int) -> None:
        """It is another's now."""
        self._kept.pop(partition, None)
        self.lost.discard(partition)

    # -- taking one ----------------------------------------------------------------------------------------------

    def is_due(self, states: Mapping[int, Partition]) -> bool:
        """Whether it is time for the next one."""
        if self._saving is not None and not self._saving.done():
            return False
        return self._time.monotonic() - self._began >= self._wait(states) and self._has_more(states)

    def _wait(self, states: Mapping[int, Partition]) -> float:
        """Seconds from the beginning of the last one to the next."""
        work = sum(state.work - self._kept[number].work for number, state in states.items() if number in self._kept)
        if work >= EVERY_WORK and not self.trouble:
            return REST * self._cost
        return max(EVERY_S, min(EVERY_MOST_S, QUIET * self._cost))

    def take(self, states: Mapping[int, Partition], output: Output) -> None:
        """Freeze the states, which are at rest with all they said emitted, and save them in the background."""
        changed = {
            number: state for number, state in states.items() if number in self._kept and state.next_offset > self._kept[number].offset
        }
        if not changed:
            return
        self._began = self._time.monotonic()
        metas = {number: self._meta(state, output) for number, state in changed.items()}
        works = {number: state.work for number, state in changed.items()}
        failpoint("before-checkpoint")
        try:
            snapshot = self._snapshots.take({number: state.blocks for number, state in changed.items()})
        except OSError as wrong:
            self._metrics.checkpoint_failures.labels("fork").inc()
            self.trouble = f"checkpoints wait: no snapshot can be taken: {wrong}"
            self._log.error("no snapshot can be taken", detail=str(wrong))
            return

        async def save() -> None:
            try:
                for number, meta in metas.items():
                    await self._save(number, meta, works[number], snapshot.blocks(number))
            finally:
                self._cost = await snapshot.close()
            self._metrics.checkpoint_seconds.observe(self._time.monotonic() - self._began)

        self._saving = asyncio.ensure_future(save())
        self._saving.add_done_callback(self._ended)

    def _meta(self, state: Partition, output: Output) -> Checkpoint:
        return Checkpoint(
            offset=state.next_offset,
            output=output,
            arrival=state.arrival,
            broker_time=(state.broker_time.arrival, state.broker_time.held),
            fingerprint=self._fingerprint,
            layout=self._layout,
            saved_at=self._time.wall(),
        )

    async def _save(self, number: int, meta: Checkpoint, work: float, blocks: AsyncIterator[bytes]) -> None:
        kept = self._kept.get(number)
        if kept is None:
            async for _ in blocks:
                pass  # it went meanwhile; what follows in the snapshot is read behind it
            return
        try:
            await self._checkpoints.save(number, kept.epoch, meta, blocks)
        except Stale:
            self._metrics.checkpoint_failures.labels("stale").inc()
            self._log.warning("another evaluator has acquired the partition", partition=number)
            if self._kept.get(number) is kept:
                self.lost.add(number)
            async for _ in blocks:
                pass
        else:
            if meta.offset > kept.offset:
                kept.offset, kept.work = meta.offset, work
            self._saved_at, self.trouble = self._time.monotonic(), ""
            failpoint("after-checkpoint")

    def _ended(self, saving: "asyncio.Task[None]") -> None:
        if saving.cancelled():
            return
        wrong = saving.exception()
        if isinstance(wrong, CheckpointsUnavailable):
            self._metrics.checkpoint_failures.labels("away").inc()
            self.trouble = f"checkpoints wait: {wrong}"
            self._log.warning("checkpoint not saved", detail=str(wrong))
        elif wrong is not None:
            self.trouble = f"checkpoints fail: {wrong!r}"
            self._log.error("checkpoint failed", detail=repr(wrong))

    def age(self, states: Mapping[int, Partition]) -> float:
        """Seconds since one was saved, or since the start; 0 where nothing was folded since."""
        return self._time.monotonic() - self._saved_at if self._has_more(states) else 0

    def _has_more(self, states: Mapping[int, Partition]) -> bool:
        """Whether anything was folded since the last one."""
        return any(state.next_offset > self._kept[number].offset for number, state in states.items() if number in self._kept)

    async def close(self) -> None:
        """Wait, not long, until what is being saved is saved."""
        if self._saving is not None:
            await asyncio.wait([self._saving], timeout=LAST_S)
            if not self._saving.done():
                self._saving.cancel()
                await asyncio.wait([self._saving], timeout=1)
