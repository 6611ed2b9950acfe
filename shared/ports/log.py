"""The log: appending to topics and reading them. Real adapter: Kafka; memory adapter: tests and the simulator."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

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


class Entry(NamedTuple):
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


class LogWriter(Protocol):
    async def append(self, topic: str, entries: Sequence[Entry]) -> Sequence[Appended]:
        """Append in order per partition; return when all in-sync replicas have every entry (acks=all, idempotent).

        Raises LogUnavailable if that is not known within the adapter's time limit (the entries may or may not stand
        in the log: appending again makes duplicates, which readers drop by id), RecordTooLarge before anything is sent.
        Memory is bounded: callers wait while the adapter's buffer is full.
        """

    async def partitions(self, topic: str) -> int:
        """The number of partitions, asked afresh: a way to see whether the log answers. Raises LogUnavailable."""


class GroupReader(Protocol):
    """Reads topics as a member of a consumer group."""

    async def start(self) -> None:
        """Join. `on_assigned` and `on_revoked` are awaited inside the rebalance: keep them short."""

    async def stop(self) -> None:
        """Leave at once, without committing."""

    async def fetch(self, timeout: float, limit: int) -> list[Record]:
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


RebalanceHandler = Callable[[set[tuple[str, int]]], Awaitable[None]]


class LogScanner(Protocol):
    """Reads a stretch of a topic outside any group."""

    async def scan(self, topic: str, partition: int, start: int, end: int, on_records: Callable[[list[Record]], None]) -> None:
        """Give all records with start <= offset < end to `on_records`, in batches. Raises LogUnavailable."""

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """(first offset kept, offset after the last) by partition. Raises LogUnavailable."""
