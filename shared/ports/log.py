"""The log: appending to topics and reading them. Real adapter: Kafka; memory adapter: tests and the simulator."""

from array import array
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple, Protocol, Self, overload

import msgspec

Headers = Sequence[tuple[str, bytes]]


class LogUnavailable(Exception):
    """The log did not take or give anything in time: nothing is acknowledged. Say so to whoever waits, and try again later."""


class RecordTooLarge(Exception):
    """The log refuses a record of this size; trying again is useless."""


class Appended(NamedTuple):
    """Where a record stands, and its arrival (LogAppendTime, ms since 1970)."""

    partition: int
    offset: int
    timestamp: int


class Entry(msgspec.Struct, gc=False, frozen=True):
    """A record to append. Without `partition`, it is that of the key (murmur2)."""

    key: bytes | None
    value: bytes
    headers: Headers = ()
    partition: int | None = None


class Record(msgspec.Struct, gc=False):
    """A record that was read. `timestamp` is its arrival in ms since 1970.

    Hundreds of thousands a second are made: the garbage collector knows nothing of them, for they hold no cycle.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes
    headers: Headers

    def header(self, name: str) -> bytes | None:
        """The first header of that name."""
        return next((value for key, value in self.headers if key == name), None)


class Batch(Sequence[Record]):
    """Records of one partition, in order: in columns for whoever takes many, as records, made when they are asked for, for all others."""

    __slots__ = ("block", "ends", "headers", "keys", "offsets", "partition", "timestamps", "topic")

    def __init__(
        self,
        topic: str,
        partition: int,
        offsets: "array[int]",
        timestamps: "array[int]",
        keys: Sequence[bytes | None],
        block: bytes,
        ends: "array[int]",
        headers: Mapping[int, Headers],
    ) -> None:
        """`timestamps` are arrivals in ms since 1970; `block`: the values, one behind the other, with where they end in it; `headers`: by
        position, of the records that carry any. Arrays are of type q."""
        self.topic, self.partition = topic, partition
        self.offsets, self.timestamps, self.keys = offsets, timestamps, keys
        self.block, self.ends, self.headers = block, ends, headers

    @classmethod
    def of(cls, records: Sequence[Record]) -> Self:
        """Of at least one record; all are of its partition."""
        return cls(
            records[0].topic,
            records[0].partition,
            array("q", (record.offset for record in records)),
            array("q", (record.timestamp for record in records)),
            [record.key for record in records],
            b"".join(record.value for record in records),
            array("q", accumulate(len(record.value) for record in records)),
            {position: record.headers for position, record in enumerate(records) if record.headers},
        )

    def __len__(self) -> int:
        return len(self.offsets)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> "Batch": ...
    def __getitem__(self, index: int | slice) -> "Record | Batch":
        positions = range(len(self.offsets))[index]
        return self._record(positions) if isinstance(positions, int) else Batch.of([self._record(at) for at in positions])

    def __iter__(self) -> Iterator[Record]:
        return map(self._record, range(len(self.offsets)))

    def _record(self, at: int) -> Record:
        value = self.block[self.ends[at - 1] if at else 0 : self.ends[at]]
        return Record(self.topic, self.partition, self.offsets[at], self.timestamps[at], self.keys[at], value, self.headers.get(at, ()))


class Run(Sequence[Entry]):
    """Entries without headers, in columns for whoever appends many: as entries, made when they are asked for, for all others."""

    __slots__ = ("keys", "lengths", "partition", "values")

    def __init__(self, keys: Sequence[bytes], lengths: "array[int]", values: bytes, partition: int | None) -> None:
        """`values`: one behind the other, with their `lengths`; `partition` of all (None: that of each key)."""
        self.keys, self.lengths, self.values, self.partition = keys, lengths, values, partition

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        return list(self)[index]

    def __iter__(self) -> Iterator[Entry]:
        for key, length, end in zip(self.keys, self.lengths, accumulate(self.lengths), strict=True):
            yield Entry(key, self.values[end - length : end], partition=self.partition)


class LogWriter(Protocol):
    async def append(self, topic: str, entries: Sequence[Entry]) -> Sequence[Appended]:
        """Append in order per partition; return when all in-sync replicas have every entry (acks=all, idempotent).

        Raises LogUnavailable if that is not known within the adapter's time limit (the entries may or may not stand
        in the log: appending again makes duplicates, which readers drop by id), RecordTooLarge before anything is sent.
        Memory is bounded: callers wait while the adapter's buffer is full.
        """

    async def partitions(self, topic: str) -> int:
        """The number of partitions, asked afresh: a way to see whether the log answers. Raises LogUnavailable."""


class BulkWriter(LogWriter, Protocol):
    async def append_all(self, topic: str, runs: Sequence[Sequence[Entry]]) -> None:
        """The same as `append`, of all runs in order, as nobody asks where the entries stand: the cheaper, the more of them are in columns
        (`Run`). May wait for what is appended meanwhile."""


class GroupReader(Protocol):
    """Reads topics as a member of a consumer group."""

    async def start(self) -> None:
        """Join. `on_assigned` and `on_revoked` are awaited inside the rebalance: keep them short."""

    async def stop(self) -> None:
        """Leave at once, without committing."""

    async def fetch(self, timeout: float, limit: int) -> list[Batch]:
        """Up to `limit` records, in order per partition; empty after `timeout` seconds without any. Raises LogUnavailable.

        A rebalance may wait for it: fetch every few seconds, or the group waits.
        """

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Go on reading there. Of no effect on a partition that is not assigned (any more): its next assignment seeks anew."""

    async def end_offset(self, topic: str, partition: int) -> int:
        """The offset after the last record. Raises LogUnavailable."""

    async def beginning_offset(self, topic: str, partition: int) -> int:
        """The offset of the first record that is still kept. Raises LogUnavailable."""

    async def commit(self, offsets: dict[tuple[str, int], int]) -> None:
        """Remember in the group where to go on, by (topic, partition). Raises LogUnavailable."""


class HoldingReader(GroupReader, Protocol):
    def hold(self, topic: str, partition: int) -> None:
        """Give nothing of it until `seek` says from where. Of no effect on a partition that is not assigned."""


RebalanceHandler = Callable[[set[tuple[str, int]]], Awaitable[None]]


class LogScanner(Protocol):
    """Reads a stretch of a topic outside any group."""

    async def scan(self, topic: str, partition: int, start: int, end: int, on_records: Callable[[list[Record]], None]) -> None:
        """Give all records with start <= offset < end to `on_records`, in batches. Raises LogUnavailable."""

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """(first offset kept, offset after the last) by partition. Raises LogUnavailable."""
