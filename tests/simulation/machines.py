"""Evaluators as processes of the world: the real pipeline over memory adapters that fail, hang and crash as the seed says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from itertools import chain
from random import Random
from typing import Any

from services.evaluator.keeper import Keeper
from services.evaluator.metrics import Metrics
from services.evaluator.pipeline import Pipeline, Topics
from shared.adapters.memory.checkpoints import MemoryCheckpoints, MemorySnapshots
from shared.adapters.memory.log import MemoryGroupReader, MemoryLog, MemoryScanner
from shared.ports.checkpoints import Acquired, Checkpoint, CheckpointsUnavailable
from shared.ports.log import Appended, Batch, Entry, LogUnavailable, Record
from shared.sla.terms import Bundle
from tests.simulation.virtual import Clock

EVENTS, BREACHES, QUARANTINE = "events", "breaches", "quarantine"
GROUP = "evaluators"
SESSION_S = 10.0
IDLE_S = 1.0


@dataclass
class Trouble:
    """How likely what goes wrong is; all of it ends with the safety phase."""

    fail: float = 0.0  # an append: before, in the middle, or after it was done
    hang: float = 0.0  # any call takes seconds
    crash: float = 0.0  # the process ends in the middle of a call
    drift: float = 0.0001  # how much faster or slower than the broker's an evaluator's clock runs; no healing changes that

    def heal(self) -> None:
        self.fail = self.hang = self.crash = 0.0


class Line:
    """The way from a process to the broker."""

    def __init__(self, random: Random, trouble: Trouble, crash: Callable[[], None]) -> None:
        self._random, self._trouble, self._crash = random, trouble, crash
        self._open = asyncio.Event()
        self._open.set()
        self._ended = False

    def end(self) -> None:
        """The process is no more: what it waits for never comes."""
        self._ended = True

    def freeze(self) -> None:
        self._open.clear()

    @property
    def frozen(self) -> bool:
        return not self._open.is_set()

    def thaw(self) -> None:
        self._open.set()

    async def gate(self) -> None:
        """Wait while the process is stopped."""
        await self._open.wait()
        if self._ended:
            await asyncio.Event().wait()

    async def way(self) -> None:
        """What every call goes through, there and back."""
        await self.gate()
        if self._random.random() < self._trouble.crash:
            self._crash()
        slow = self._random.random() < self._trouble.hang
        await asyncio.sleep(self._random.uniform(1, 12) if slow else self._random.uniform(0.0005, 0.004))
        await self.gate()

    def fate(self, count: int) -> int | None:
        """How many of `count` entries land before the append fails; None: it works."""
        return self._random.randint(0, count) if self._random.random() < self._trouble.fail else None


class Writer:
    """A `BulkWriter` whose appends may fail, with none, some or all of the entries in the log."""

    def __init__(self, log: MemoryLog, line: Line) -> None:
        self._log, self._line = log, line

    async def append(self, topic: str, entries: Sequence[Entry]) -> Sequence[Appended]:
        await self._line.way()
        landed = self._line.fate(len(entries))
        done = self._log.append(topic, entries[:landed])
        await self._line.way()
        if landed is not None:
            raise LogUnavailable(f"{topic}: of {len(entries)} entries {landed} landed, which is not known")
        return done

    async def append_all(self, topic: str, runs: Sequence[Sequence[Entry]]) -> None:
        await self.append(topic, [*chain.from_iterable(runs)])

    async def partitions(self, topic: str) -> int:
        await self._line.way()
        return self._log.partitions(topic)


class Reader(MemoryGroupReader):
    """A group reader at the end of such a line."""

    line: Line

    async def fetch(self, timeout: float, limit: int) -> list[Batch]:
        await self.line.gate()
        found = await super().fetch(timeout, limit)
        await self.line.way()
        return found


class Scanner(MemoryScanner):
    """Likewise."""

    line: Line

    async def scan(self, topic: str, partition: int, start: int, end: int, on_records: Callable[[list[Record]], None]) -> None:
        await self.line.way()
        await super().scan(topic, partition, start, end, on_records)


class Store:
    """Checkpoints at the end of such a line: a call may fail, be slow, or end the process before or after it was done."""

    def __init__(self, checkpoints: MemoryCheckpoints, line: Line) -> None:
        self._checkpoints, self._line = checkpoints, line

    async def _way(self) -> None:
        await self._line.way()
        if self._line.fate(0) is not None:
            raise CheckpointsUnavailable("the database is away")

    async def acquire(self, partition: int) -> Acquired:
        await self._way()
        acquired = await self._checkpoints.acquire(partition)
        await self._way()
        return acquired

    async def blocks(self, partition: int) -> AsyncIterator[bytes]:
        await self._way()
        async for block in self._checkpoints.blocks(partition):
            yield block

    async def save(self, partition: int, epoch: int, checkpoint: Checkpoint, blocks: AsyncIterator[bytes]) -> None:
        await self._way()
        await self._checkpoints.save(partition, epoch, checkpoint, blocks)
        await self._way()


class Machine:
    """One evaluator's machine: its process can be started, killed, stopped by a signal and continued, or ended in good order."""

    def __init__(
        self,
        log: MemoryLog,
        random: Random,
        trouble: Trouble,
        clock: Clock,
        bundles: Sequence[tuple[str, Bundle]],
        checkpoints: MemoryCheckpoints,
    ) -> None:
        self._checkpoints = checkpoints
        self._log, self._random, self._trouble, self._bundles = log, random, trouble, bundles
        self._clock = clock
        self._running: asyncio.Task[None] | None = None
        self._chores: set[asyncio.Task[None]] = set()
        self.failure: BaseException | None = None

    @property
    def alive(self) -> bool:
        return self._running is not None and not self._running.done()

    def start(self) -> None:
        """A process with nothing in memory."""
        line = Line(self._random, self._trouble, self.kill)
        rate = 1 + self._random.uniform(-self._trouble.drift, self._trouble.drift)
        passed = round(asyncio.get_running_loop().time() * 1000 * rate)  # since the world's beginning, which is when a clock starts
        clock = Clock(self._clock.wall() - passed, rate, line.gate)
        scanner = Scanner(self._log)
        scanner.line = line
        metrics = Metrics()
        keeper = Keeper(Store(self._checkpoints, line), MemorySnapshots(), clock, metrics, fingerprint="rules", layout="code")
        pipeline = Pipeline(
            topics=Topics(EVENTS, BREACHES, QUARANTINE),
            clock="log",
            max_skew=300_000,
            bundles=self._bundles,
            writer=Writer(self._log, line),
            scanner=scanner,
            time=clock,
            metrics=metrics,
            keeper=keeper,
            idle=IDLE_S,
        )
        reader = Reader(self._log, [EVENTS], GROUP, on_assigned=pipeline.on_assigned, on_revoked=pipeline.on_revoked)
        reader.line = line
        pipeline.reader = reader
        self.line, self.pipeline, self._reader, self._own_clock = line, pipeline, reader, clock
        self._running = asyncio.ensure_future(self._run(pipeline, reader))

    async def _run(self, pipeline: Pipeline, reader: Reader) -> None:
        try:
            await self._join(reader)
            await pipeline.run()
        except Exception as wrong:  # noqa: BLE001 - whatever ends a pipeline is a finding, told at the end
            self.failure = wrong

    async def _join(self, reader: Reader) -> None:
        while True:
            try:
                return await reader.start()
            except LogUnavailable:
                await asyncio.sleep(1)

    def set_clock(self, to: int) -> None:
        """As NTP does: while the broker's clock and a writer's are more than a minute apart, nobody vouches for time (decision 16)."""
        self._own_clock.step += to - self._own_clock.wall()

    def kill(self) -> None:
        """kill -9; the group finds out when the session times out, if no successor was there before."""
        if self._running is not None and not self._running.done():
            self._running.cancel()
            self.line.end()
            self.pipeline.abandon()
            self._chore(self._expel(self._reader, self._random.uniform(0, SESSION_S)))

    def freeze(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so many seconds. Past the session timeout it is a zombie for a while, until a heartbeat tells it."""
        self.line.freeze()
        self._chore(self._expel(self._reader, SESSION_S, only_while=self.line))
        self._chore(self._wake(self.line, self._reader, seconds))

    async def end(self) -> None:
        """SIGTERM."""
        if self._running is not None and not self._running.done():
            self._running.cancel()
            await self._broker()
            await self.pipeline.stop()
            await self._reader.stop()

    async def _expel(self, reader: Reader, seconds: float, only_while: Line | None = None) -> None:
        await asyncio.sleep(seconds)
        await self._broker()
        if only_while is None or only_while.frozen:
            await self._log.expel(reader)

    async def _wake(self, line: Line, reader: Reader, seconds: float) -> None:
        await asyncio.sleep(seconds)
        line.thaw()
        await asyncio.sleep(self._random.uniform(0, 3))
        await self._broker()
        if reader is self._reader and self.alive and not self._log.group(GROUP).holds(reader):
            await reader.start()

    async def _broker(self) -> None:
        """The broker keeps the group: without it nobody joins or leaves."""
        while not self._log.available:
            await self._clock.sleep(0.5)

    def _chore(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    async def at_rest(self) -> None:
        """All chores are done."""
        while self._chores:
            await asyncio.gather(*self._chores)

    async def gone(self) -> None:
        """Wait for the end of the process."""
        if self._running is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
