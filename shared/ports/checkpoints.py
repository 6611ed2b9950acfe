"""Checkpoints: a partition's state, kept so that a successor need not fold the whole log. Real adapter: PostgreSQL; memory: tests."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Protocol

import msgspec

Blocks = Callable[[], Iterator[bytes]]  # writes a state, block by block


class CheckpointsUnavailable(Exception):
    """The store does not answer: detection goes on without it, partitions that move wait."""


class Stale(Exception):
    """Another process has acquired the partition since: nothing was saved."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What stands beside the blocks of a state. Offsets are those of the first record not included; instants in ms."""

    offset: int
    output: dict[str, dict[int, int]]  # topic -> partition -> where output that the state has not said begins
    arrival: int  # of the last record, as it is believed
    broker_time: tuple[int | None, int]  # its arrival as stamped, and by how much it is not believed
    fingerprint: str  # of all that verdicts depend on besides the log
    layout: str  # of the code whose state it is
    saved_at: int


class Acquired(msgspec.Struct, frozen=True):
    """A partition taken over: the epoch that saves must carry, and where to go on from, if anywhere."""

    epoch: int
    checkpoint: Checkpoint | None


class Checkpoints(Protocol):
    """Every method raises CheckpointsUnavailable in bounded time while the store is away."""

    async def acquire(self, partition: int) -> Acquired:
        """Raise the partition's epoch: from now on only saves that carry it are taken."""

    def blocks(self, partition: int) -> AsyncIterator[bytes]:
        """The blocks of the newest checkpoint, in order."""

    async def save(self, partition: int, epoch: int, checkpoint: Checkpoint, blocks: AsyncIterator[bytes]) -> None:
        """Put it in place of the one before, all or nothing. Raises Stale where the epoch is not the newest."""


class Snapshot(Protocol):
    """States of several partitions as they stood at one moment, being written."""

    def blocks(self, partition: int) -> AsyncIterator[bytes]:
        """The blocks of one partition; partitions are read in the order they were given. Raises CheckpointsUnavailable if writing fails."""

    async def close(self) -> float:
        """Let go of it, read or not; seconds of CPU that writing it took."""


class Snapshots(Protocol):
    """Takes snapshots without holding up whoever changes the state."""

    def take(self, states: Mapping[int, Blocks]) -> Snapshot:
        """Freeze the states as they stand now. Raises OSError where the system gives no means to."""
