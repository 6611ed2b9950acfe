"""The log in memory: `LogWriter`, `GroupReader` and `LogScanner` over one `MemoryLog`, which plays the broker.

Arrivals come from the injected time source, as LogAppendTime comes from the broker's clock: they may step back when that does.
Rebalances are eager and at once: every member is told what it loses, then every member what it gets.
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import chain

from shared.ports.log import Appended, Batch, Entry, LogUnavailable, RebalanceHandler, Record, RecordTooLarge
from shared.ports.time import TimeSource
from shared.wire.topics import partition_of

Place = tuple[str, int]  # topic, partition


class MemoryLog:
    """The broker. Set `available` to false to have it be away; `bytes_max` is the size of its disk, `record_bytes_max` of a record."""

    def __init__(self, time: TimeSource, topics: dict[str, int], *, bytes_max: int = 1 << 30, record_bytes_max: int = 1_100_000) -> None:
        self.time = time
        self.available = True
        self._bytes_left, self._record_bytes_max = bytes_max, record_bytes_max
        self._records: dict[Place, list[Record]] = {(topic, p): [] for topic, count in topics.items() for p in range(count)}
        self._topics = dict(topics)
        self._groups: dict[str, _Group] = {}
        self._grown = asyncio.Event()

    def check(self) -> None:
        """Raises LogUnavailable while the broker is away."""
        if not self.available:
            raise LogUnavailable("the log is away")

    def partitions(self, topic: str) -> int:
        """The number of partitions. Raises LogUnavailable."""
        self.check()
        if topic not in self._topics:
            raise LogUnavailable(f"{topic}: no such topic")
        return self._topics[topic]

    def records(self, topic: str, partition: int) -> Sequence[Record]:
        """What stands in a partition. Raises LogUnavailable."""
        self.check()
        try:
            return self._records[topic, partition]
        except KeyError:
            raise LogUnavailable(f"{topic}/{partition}: no such partition") from None

    def append(self, topic: str, entries: Sequence[Entry]) -> list[Appended]:
        """All entries or none. Raises LogUnavailable, RecordTooLarge."""
        partitions = self.partitions(topic)
        sizes = [len(entry.value) + len(entry.key or b"") for entry in entries]
        if any(size > self._record_bytes_max for size in sizes):
            raise RecordTooLarge(f"{max(sizes)} bytes; at most {self._record_bytes_max}")
        if sum(sizes) > self._bytes_left:
            raise LogUnavailable(f"{topic}: the disk is full")
        self._bytes_left -= sum(sizes)
        done = [self._append(topic, entry, partitions) for entry in entries]
        self._grown.set()
        self._grown = asyncio.Event()
        return done

    def _append(self, topic: str, entry: Entry, partitions: int) -> Appended:
        partition = partition_of(entry.key or b"", partitions) if entry.partition is None else entry.partition
        place = self._records[topic, partition]
        record = Record(topic, partition, len(place), self.time.wall(), entry.key, entry.value, tuple(entry.headers))
        place.append(record)
        return Appended(partition, record.offset, record.timestamp)

    async def wait(self, seconds: float) -> None:
        """Until something is appended, at most this long."""
        grown = asyncio.ensure_future(self._grown.wait())
        timer = asyncio.ensure_future(self.time.sleep(seconds))
        try:
            await asyncio.wait({grown, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            grown.cancel()
            timer.cancel()

    def group(self, name: str) -> "_Group":
        """The consumer group of this name."""
        return self._groups.setdefault(name, _Group(self))

    async def expel(self, member: "MemoryGroupReader") -> None:
        """What the session timeout does to a member that hangs: the others get its partitions; it is not told, and reads on as a zombie."""
        await self.group(member.name).leave(member, told=False)


class _Group:
    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._members: list[MemoryGroupReader] = []
        self._changing = asyncio.Lock()
        self.committed: dict[Place, int] = {}

    def holds(self, member: "MemoryGroupReader") -> bool:
        return member in self._members

    async def join(self, member: "MemoryGroupReader") -> None:
        async with self._changing:
            await self._revoke()
            self._members.append(member)
            await self._assign()

    async def leave(self, member: "MemoryGroupReader", *, told: bool) -> None:
        async with self._changing:
            if member not in self._members:
                return
            if not told:
                self._members.remove(member)
            await self._revoke()
            if told:
                self._members.remove(member)
            await self._assign()

    async def _revoke(self) -> None:
        for member in list(self._members):
            await member.lose()

    async def _assign(self) -> None:
        topics = sorted({topic for member in self._members for topic in member.topics})
        shares: dict[MemoryGroupReader, set[Place]] = {member: set() for member in self._members}
        for topic in topics:
            takers = [member for member in self._members if topic in member.topics]
            for partition in range(self._log.partitions(topic)):
                shares[takers[partition % len(takers)]].add((topic, partition))
        for member, share in shares.items():
            await member.gain(share)


class MemoryWriter:
    """`shared.ports.log.LogWriter`."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    async def append(self, topic: str, entries: Sequence[Entry]) -> list[Appended]:
        return self._log.append(topic, entries)

    async def append_all(self, topic: str, runs: Sequence[Sequence[Entry]]) -> None:
        await self.append(topic, [*chain.from_iterable(runs)])

    async def partitions(self, topic: str) -> int:
        return self._log.partitions(topic)


class MemoryGroupReader:
    """`shared.ports.log.HoldingReader`. Starts from the group's committed offsets, else from the beginning."""

    def __init__(
        self,
        log: MemoryLog,
        topics: list[str],
        group: str,
        *,
        on_assigned: RebalanceHandler | None = None,
        on_revoked: RebalanceHandler | None = None,
    ) -> None:
        self.topics, self.name = topics, group
        self._log, self._group = log, log.group(group)
        self._on_assigned, self._on_revoked = on_assigned, on_revoked
        self._positions: dict[Place, int] = {}
        self._held: set[Place] = set()

    async def start(self) -> None:
        self._log.check()
        await self._group.join(self)

    async def stop(self) -> None:
        await self._group.leave(self, told=True)
        self._positions = {}

    async def lose(self) -> None:
        """The group takes everything back, before a rebalance."""
        lost, self._positions, self._held = set(self._positions), {}, set()
        if self._on_revoked is not None:
            await self._on_revoked(lost)

    async def gain(self, share: set[Place]) -> None:
        """The group hands out, after a rebalance."""
        self._positions = {place: self._group.committed.get(place, 0) for place in sorted(share)}
        if self._on_assigned is not None:
            await self._on_assigned(share)

    async def fetch(self, timeout: float, limit: int) -> list[Batch]:  # the port's signature
        found = self._take(limit)
        if not found:
            await self._log.wait(timeout)
            found = self._take(limit)
        return found

    def _take(self, limit: int) -> list[Batch]:
        self._log.check()
        taken: list[Batch] = []
        for place, position in list(self._positions.items()):
            if place in self._held:
                continue
            records = self._log.records(*place)[position : position + limit]
            if records:
                # read places go to the end, so that a full one does not starve the others
                del self._positions[place]
                self._positions[place] = position + len(records)
                taken.append(Batch.of(records))
                limit -= len(records)
            if not limit:
                break
        return taken

    def seek(self, topic: str, partition: int, offset: int) -> None:
        if (topic, partition) in self._positions:
            self._positions[topic, partition] = offset
            self._held.discard((topic, partition))

    def hold(self, topic: str, partition: int) -> None:
        if (topic, partition) in self._positions:
            self._held.add((topic, partition))

    async def end_offset(self, topic: str, partition: int) -> int:
        return len(self._log.records(topic, partition))

    async def beginning_offset(self, topic: str, partition: int) -> int:
        self._log.records(topic, partition)
        return 0

    async def commit(self, offsets: dict[Place, int]) -> None:
        self._log.check()
        if not self._group.holds(self):
            raise LogUnavailable("no longer a member of the group")
        self._group.committed.update(offsets)


class MemoryScanner:
    """`shared.ports.log.LogScanner`."""

    def __init__(self, log: MemoryLog, *, batch: int = 5_000) -> None:
        self._log, self._batch = log, batch

    async def scan(self, topic: str, partition: int, start: int, end: int, on_records: Callable[[list[Record]], None]) -> None:
        for first in range(start, end, self._batch):
            on_records(list(self._log.records(topic, partition)[first : min(first + self._batch, end)]))

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        return {p: (0, len(self._log.records(topic, p))) for p in range(self._log.partitions(topic))}
