"""The faults that only a simulated world can hold: a broker's clock cannot be turned here, and ten minutes are long.

The real pipeline over memory adapters in virtual time (`tests.simulation`), with one sort of trouble and nothing else.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from shared.ports.log import Record
from shared.sla.broker_time import BrokerTime
from shared.wire import controls
from shared.wire.topics import CONTROL_HEADER
from tests.simulation.judging import Judge
from tests.simulation.virtual import Clock, VirtualLoop
from tests.simulation.world import NOON, World

HOUR_MS = 3_600_000
SHUT_S = 600


class ShutDoor(World):
    """Row 26: ingest is away for ten minutes while clocks fall due; vendors keep trying."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, calm=True)
        self.calm, self.door.pulses = False, True

    async def _befall(self) -> None:
        await asyncio.sleep(self.random.uniform(10, 120))
        self.door.open = False
        await asyncio.sleep(SHUT_S)
        self.door.open = True


class LeapingClock(World):
    """Row 12: the broker's clock, or an evaluator's, goes an hour wrong and is set right again."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, calm=True)
        self.calm, self.alarmed = False, False
        honest = self.door._clock = Clock(NOON)  # of a machine that is not the broker's: one that leaps with it would vouch for the leap
        for vendor in self.vendors:
            vendor.clock = honest

    async def _befall(self) -> None:
        leap = self.random.choice((-HOUR_MS, HOUR_MS))
        await asyncio.sleep(self.random.uniform(10, 60))
        if self.random.random() < 0.3:
            await self._restart_with(leap)
            await asyncio.sleep(self.random.uniform(5, 60))
            await self._restart_with(0)
            self.alarmed = True  # nothing is to be seen of it: an evaluator's clock only writes ticks
            return
        self.broker_clock.step = leap
        for _ in range(self.random.randint(20, 60)):
            await asyncio.sleep(1)
            self.alarmed |= any(state.broker_time.held for machine in self.machines for state in machine.pipeline.partitions().values())
        self.broker_clock.step = 0

    async def _restart_with(self, step: int) -> None:
        """All evaluators anew, on machines whose clocks are so many ms wrong."""
        for machine in self.machines:
            await machine.end()
            await machine.gone()
            machine._clock.step = step
            machine.start()


class BelievingJudge(Judge):
    """Looks at arrivals as they are believed; an event is from the future only if its broker's stamp says so, too."""

    @staticmethod
    def _shut(log: list[Record]) -> list[tuple[int, int]]:
        return Judge._shut(_believed(log))

    @staticmethod
    def _accepted(log: list[Record]) -> list[dict[str, Any]]:
        latest = [max(record.timestamp, believed.timestamp) for record, believed in zip(log, _believed(log), strict=True)]
        return Judge._accepted([msgspec.structs.replace(record, timestamp=at) for record, at in zip(log, latest, strict=True)])


def _believed(log: list[Record]) -> list[Record]:
    time = BrokerTime()
    readings = [controls.reading_of(record.header(CONTROL_HEADER), record.value) for record in log]
    return [
        msgspec.structs.replace(record, timestamp=time.believe(record.timestamp, reading))
        for record, reading in zip(log, readings, strict=True)
    ]


@dataclass
class Outcome:
    """Of one world."""

    problems: list[str] = field(default_factory=list)
    repeats: int = 0


def judged(make: Callable[[int], World], seed: int) -> Outcome:
    """The world of this seed, from beginning to end, and what was wrong with it."""
    world = make(seed)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        judge = BelievingJudge(runner.run(world.run()))
    found = Outcome(judge.problems(), len(judge.output) - len(judge.expected.verdicts))
    ticks = sum(record.header(CONTROL_HEADER) == b"tick" for log in judge.logs for record in log)
    if ticks > 2 * len(judge.expected.verdicts) + 300:
        found.problems.append(f"a storm of {ticks} ticks for {len(judge.expected.verdicts)} verdicts")
    if isinstance(world, LeapingClock) and not world.alarmed:
        found.problems.append("no alarm: nothing tells that the broker's clock leapt")
    return found


WORLDS: dict[str, tuple[str, Callable[[int], World]]] = {
    "clock leaps an hour": ("12", LeapingClock),
    "door shut ten minutes": ("26", ShutDoor),
}
