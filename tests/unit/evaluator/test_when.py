"""When checkpoints are taken: so much work apart, seldom where little happens, and never so that the next begins with the last."""

from collections.abc import Mapping
from errno import ENOMEM

from prometheus_client import CollectorRegistry

from services.evaluator.core import Partition
from services.evaluator.keeper import EVERY_WORK, Keeper
from services.evaluator.metrics import Metrics
from shared.adapters.memory.checkpoints import MemoryCheckpoints, MemorySnapshots
from shared.adapters.memory.time import VirtualTime, settle
from shared.ports.checkpoints import Blocks, Snapshot


class Dear:
    """Takes so many seconds of CPU for each, or cannot be taken at all."""

    def __init__(self, seconds: float) -> None:
        self.seconds: float | None = seconds

    def take(self, states: Mapping[int, Blocks]) -> Snapshot:
        if self.seconds is None:
            raise OSError(ENOMEM, "Cannot allocate memory")
        return _Costs(MemorySnapshots().take(states), self.seconds)


class _Costs:
    def __init__(self, snapshot: Snapshot, seconds: float) -> None:
        self.blocks, self._close, self._seconds = snapshot.blocks, snapshot.close, seconds

    async def close(self) -> float:
        await self._close()
        return self._seconds


class Desk:
    """A keeper of one partition, of which a record is folded every second."""

    def __init__(self, *, cpu_s: float) -> None:
        self.time = VirtualTime()
        self.store, self.snapshots = MemoryCheckpoints(), Dear(cpu_s)
        self.keeper = Keeper(self.store, self.snapshots, self.time, Metrics(CollectorRegistry()), fingerprint="", layout="")
        self.states = {0: Partition(0, "log", 300_000, [])}
        self.taken: list[float] = []

    async def run(self, seconds: int, *, load: float) -> list[float]:
        """The instants at which checkpoints were begun; `load`: by a second's work, in what is worth a checkpoint."""
        self.taken.clear()
        if not self.time.monotonic():
            await self.keeper.acquire(0)
        for _ in range(seconds):
            await self.time.advance(1)
            self.states[0].next_offset += 1
            self.states[0].work += load * EVERY_WORK
            if self.keeper.is_due(self.states):
                self.taken.append(self.time.monotonic())
                self.keeper.take(self.states, {})
                await settle()
        return self.taken


async def test_a_backlog_is_checkpointed_every_second() -> None:
    assert await Desk(cpu_s=0.1).run(5, load=1) == [1, 2, 3, 4, 5]


async def test_where_an_eighth_of_that_comes_in_one_is_taken_when_as_much_would_be_folded_again() -> None:
    assert await Desk(cpu_s=0.1).run(40, load=0.125) == [8, 16, 24, 32, 40]


async def test_they_never_take_more_than_half_a_core() -> None:
    assert await Desk(cpu_s=2).run(14, load=1) == [1, 5, 9, 13]


async def test_a_large_state_in_which_little_happens_is_seldom_written_anew() -> None:
    assert await Desk(cpu_s=0.01).run(35, load=0.001) == [10, 20, 30], "a small one costs nothing"
    assert await Desk(cpu_s=1).run(300, load=0.001) == [10, 110, 210]
    assert await Desk(cpu_s=20).run(700, load=0.001) == [10, 250, 490], "four minutes at most"


async def test_while_the_store_is_away_it_is_tried_every_ten_seconds_however_much_is_folded() -> None:
    desk = Desk(cpu_s=0)
    assert await desk.run(1, load=1) == [1]
    desk.store.available = False
    assert await desk.run(24, load=1) == [2, 12, 22]
    desk.store.available = True
    assert await desk.run(10, load=1) == [32, 33, 34, 35]


async def test_where_the_system_has_no_process_left_folding_goes_on_and_it_is_said() -> None:
    desk = Desk(cpu_s=0)
    desk.snapshots.seconds = None
    assert await desk.run(24, load=1) == [1, 11, 21]
    assert "Cannot allocate memory" in desk.keeper.trouble
    desk.snapshots.seconds = 0
    assert await desk.run(10, load=1) == [31, 32, 33, 34]
    assert not desk.keeper.trouble
