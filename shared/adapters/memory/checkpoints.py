"""Checkpoints and snapshots in memory: for tests and the simulator."""

from collections.abc import AsyncIterator, Mapping

from shared.ports.checkpoints import Acquired, Blocks, Checkpoint, CheckpointsUnavailable, Stale


class MemoryCheckpoints:
    """`shared.ports.checkpoints.Checkpoints`; `available` turns it off."""

    def __init__(self) -> None:
        self.available = True
        self._epochs: dict[int, int] = {}
        self._kept: dict[int, tuple[Checkpoint, list[bytes]]] = {}

    def _ask(self) -> None:
        if not self.available:
            raise CheckpointsUnavailable("turned off")

    async def acquire(self, partition: int) -> Acquired:
        """As the port says."""
        self._ask()
        self._epochs[partition] = self._epochs.get(partition, 0) + 1
        kept = self._kept.get(partition)
        return Acquired(self._epochs[partition], None if kept is None else kept[0])

    async def blocks(self, partition: int) -> AsyncIterator[bytes]:
        """As the port says."""
        self._ask()
        for block in self._kept[partition][1]:
            yield block

    async def save(self, partition: int, epoch: int, checkpoint: Checkpoint, blocks: AsyncIterator[bytes]) -> None:
        """As the port says."""
        self._ask()
        written = [block async for block in blocks]
        if self._epochs.get(partition) != epoch:
            raise Stale(f"partition {partition}: epoch {epoch} is not the newest")
        self._kept[partition] = checkpoint, written


class _Written:
    def __init__(self, states: dict[int, list[bytes]]) -> None:
        self._states = states

    async def blocks(self, partition: int) -> AsyncIterator[bytes]:
        for block in self._states[partition]:
            yield block

    async def close(self) -> float:
        self._states.clear()
        return 0


class MemorySnapshots:
    """`shared.ports.checkpoints.Snapshots` that writes at once."""

    def take(self, states: Mapping[int, Blocks]) -> _Written:
        """As the port says."""
        return _Written({partition: list(blocks()) for partition, blocks in states.items()})
