"""A world from a seed: brokers, evaluators, vendors, and what befalls them.

safety phase: everything goes wrong ──► heal ──► liveness phase: nothing does, and log time passes every deadline ──► judged
"""

import asyncio
import json
from dataclasses import dataclass, field
from random import Random

from shared.adapters.memory.checkpoints import MemoryCheckpoints
from shared.adapters.memory.log import MemoryLog
from shared.language import bundles, load_text
from shared.language.loading import Loaded
from shared.ports.log import Entry
from shared.sla.books import CaseLine
from shared.sla.instants import DAY, parse_instant
from shared.wire import controls
from tests.simulation.machines import BREACHES, EVENTS, QUARANTINE, Line, Machine, Trouble, Writer
from tests.simulation.vendors import LUNCH, Document, Door, Vendor, agreement
from tests.simulation.virtual import Clock, VirtualLoop

NOON = parse_instant("2026-03-02T12:00:00Z")
PARTITIONS = 3
SAFETY_S = 150
LIVENESS_S_MAX = 900


@dataclass
class History:
    """What a world leaves behind."""

    seed: int
    log: MemoryLog
    agreement: Document
    loaded: Loaded
    lines: list[CaseLine]
    told: int
    chronicle: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class World:
    """All of it drawn from one seed."""

    safety_s: float = SAFETY_S
    cases = (20, 60)
    paces: tuple[float, ...] = (4, 10, 25)  # s from one trouble to the next, on average
    drift = 0.02  # of the evaluators' clocks, in minutes

    def __init__(self, seed: int, *, calm: bool = False) -> None:
        """`calm`: nothing goes wrong but what vendors do."""
        self.seed, self.random, self.calm = seed, Random(seed), calm
        self.chronicle: list[str] = []
        self.furthest = 0  # step of the broker's clock
        self.broker_clock = Clock(NOON - self.random.randint(0, 120_000))  # at full hours cases leave
        self.log = MemoryLog(self.broker_clock, {EVENTS: PARTITIONS, BREACHES: PARTITIONS, QUARANTINE: PARTITIONS})
        self.agreement = agreement(self.random)
        text = "\n---\n".join(json.dumps(document) for document in (LUNCH, self.agreement))
        self.loaded = load_text("world.yaml", text).or_raise()
        self.standing = self.random.random() < 0.5
        named = [(f"standing/{i}", bundle) for i, bundle in enumerate(bundles(self.loaded))] if self.standing else []
        self.trouble = Trouble(
            self.random.choice([0, 0.05, 0.3]), self.random.choice([0, 0.01]), self.random.choice([0, 0.003, 0.02]), self.drift
        )
        if calm:
            self.trouble = Trouble()
        self.own_line = Line(self.random, self.trouble_of_the_door(), lambda: None)
        self.door = Door(Writer(self.log, self.own_line), self.random.random() < 0.7, PARTITIONS, self.broker_clock)
        self.checkpoints = MemoryCheckpoints()
        count = self.random.choice([1, 2, 2, 3])
        self.machines = [Machine(self.log, self.random, self.trouble, Clock(NOON), named, self.checkpoints) for _ in range(count)]
        self.vendors = [self._vendor(f"vendor-{n}") for n in range(self.random.randint(2, 5))]

    def trouble_of_the_door(self) -> Trouble:
        """Appends of ingest fail too, whatever their fate."""
        return Trouble(fail=0 if self.calm else self.random.choice([0, 0.05]))

    def _vendor(self, name: str) -> Vendor:
        skew = self.random.choice([0, 0, self.random.randint(-3_000, 3_000), -60_000, 30_000, 310_000])
        down = (0.0, 0.0)
        if self.random.random() < 0.3:
            start = self.random.uniform(0, self.safety_s)
            down = (start, start + self.random.uniform(5, 60))
        return Vendor(name, skew, self.broker_clock, self.random, self.door, self.random.choice([0.05, 0.3, 3]), down)

    def note(self, what: str) -> None:
        self.chronicle.append(f"{asyncio.get_running_loop().time():8.3f}  {what}")

    # -- the course of it ----------------------------------------------------------------------------------------

    async def run(self) -> History:
        """Both phases; what is left to be judged."""
        problems: list[str] = []
        if not self.standing:
            self._activate()
        beating = asyncio.ensure_future(self.door.beat())
        for machine in self.machines:
            machine.start()
        working = asyncio.ensure_future(self._work())
        if not self.calm:
            await self._befall()
        await self._heal()
        await working
        left = await self._until_quiet()
        if left:
            problems.append(f"after {LIVENESS_S_MAX} s without trouble timers still wait: {left}")
        beating.cancel()
        await asyncio.sleep(330)  # past the clocks of vendors that are ahead
        self._move_log_time()
        await asyncio.sleep(5)
        problems += [f"an evaluator ended: {machine.failure!r}" for machine in self.machines if machine.failure is not None]
        lines = [
            line for machine in self.machines for state in machine.pipeline.partitions().values() for line in state.engine.case_lines()
        ]
        for machine in self.machines:
            await machine.end()
            await machine.gone()
        told = sum(vendor.told for vendor in self.vendors)
        return History(self.seed, self.log, self.agreement, self.loaded, lines, told, self.chronicle, problems)

    def _activate(self) -> None:
        """The agreement comes with the log, and is appended twice, as after a crash in the middle."""
        for i, bundle in enumerate(bundles(self.loaded)):
            record = controls.Activation(f"activation-{i}", bundle)
            entries = [Entry(None, controls.encode(record), controls.headers_of(record), partition) for partition in range(PARTITIONS)]
            self.log.append(EVENTS, entries[:1])
            self.log.append(EVENTS, entries)

    def _move_log_time(self) -> None:
        now = self.broker_clock.wall()
        tick = controls.Tick(now, now)
        self.log.append(EVENTS, [Entry(None, controls.encode(tick), controls.headers_of(tick), number) for number in range(PARTITIONS)])

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as cases:
            for number in range(self.random.randint(*self.cases)):
                await asyncio.sleep(self.random.expovariate(sum(self.cases) / 2 / self.safety_s))
                cases.create_task(self.random.choice(self.vendors).handle(f"case-{number}"))

    async def _befall(self) -> None:
        """The safety phase."""
        loop = asyncio.get_running_loop()
        pace = self.random.choice(self.paces)
        while loop.time() < self.safety_s:
            await asyncio.sleep(self.random.expovariate(1 / pace))
            await self.random.choice(
                [self._kill, self._kill, self._freeze, self._restart, self._broker_away, self._shut_door, self._step]
            )()
        await asyncio.sleep(0)

    async def _kill(self) -> None:
        machine = self.random.choice(self.machines)
        self.note(f"kill -9 of evaluator {self.machines.index(machine)}")
        machine.kill()
        await asyncio.sleep(self.random.choice([0, 0, 1, 15]))
        self._start(machine)

    def _start(self, machine: Machine) -> None:
        if not machine.alive:
            machine.start()

    async def _freeze(self) -> None:
        machine, seconds = self.random.choice(self.machines), self.random.choice([1, 8, 12, 30])
        if machine.alive:
            self.note(f"evaluator {self.machines.index(machine)} is stopped for {seconds} s")
            machine.freeze(seconds)

    async def _restart(self) -> None:
        machine = self.random.choice(self.machines)
        self.note(f"SIGTERM to evaluator {self.machines.index(machine)}")
        await machine.end()
        await machine.gone()
        self._start(machine)

    async def _broker_away(self) -> None:
        seconds = self.random.choice([0.2, 3, 25])
        self.note(f"the broker is away for {seconds} s")
        self.log.available = False
        await asyncio.sleep(seconds)
        self.log.available = True

    async def _shut_door(self) -> None:
        seconds = self.random.choice([5, 30, 60])
        self.note(f"the door is shut for {seconds} s")
        self.door.open = False
        await asyncio.sleep(seconds)
        self.door.open = True

    async def _step(self) -> None:
        step = self.random.choice([-20_000, -1_000, 300, 1_000, 10_000])
        self.note(f"the broker's clock is stepped by {step} ms")
        self.broker_clock.step += step
        self.furthest = max(self.furthest, self.broker_clock.step)

    async def _heal(self) -> None:
        self.note("heal")
        self.broker_clock.step = max(self.broker_clock.step, self.furthest)  # so that log time comes to pass all that vendors have told
        self.trouble.heal()
        for machine in self.machines:
            await machine.at_rest()
            self._start(machine)
            machine.set_clock(self.broker_clock.wall())

    async def _until_quiet(self) -> list[str]:
        """Until no deadline of the next day waits; what still waits if that takes too long."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while True:
            await asyncio.sleep(5)
            left = self._waiting()
            if not left or loop.time() - begun > LIVENESS_S_MAX:
                return left

    def _waiting(self) -> list[str]:
        owned = {number: state for machine in self.machines for number, state in machine.pipeline.partitions().items()}
        left = [f"partition {number} has no owner" for number in range(PARTITIONS) if number not in owned]
        for number, state in owned.items():
            soon = state.engine.wake_at
            if state.next_offset < len(self.log.records(EVENTS, number)) - 1:
                left.append(f"partition {number} lags")
            if state.engine.held or (soon is not None and soon < self.broker_clock.wall() + DAY):
                left.append(f"partition {number} wakes at {soon}")
        return left


class Day(World):
    """From noon to noon: a thousand cases or so, and trouble every few minutes."""

    safety_s = 86_400
    cases = (800, 1_200)
    paces = (300, 900)
    drift = 0.0001  # nine seconds a day: a clock that nobody sets is not one that ticks can vouch with


def run_world(seed: int, *, calm: bool = False, make: type[World] = World) -> History:
    """The world of this seed, from beginning to end."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(make(seed, calm=calm).run())
