"""What vendors do in a world: an agreement, cases under it, and how their events reach the door: skewed, late, doubled, out of order."""

import asyncio
import contextlib
from dataclasses import dataclass
from random import Random
from typing import Any

from shared.ports.log import Entry, LogUnavailable
from shared.sla.instants import format_instant
from shared.wire import controls, events
from tests.simulation.machines import EVENTS, Writer
from tests.simulation.virtual import Clock

Document = dict[str, Any]
BRIEF = "5s"  # a horizon under which cases leave while the world lasts
OPERATIONS = ("paused", "resumed", "changed", "done", "done", "reopened", "reset", "cancelled", "noise")
LUNCH: Document = {  # the world begins shortly before noon
    "apiVersion": "slawatch/v1",
    "kind": "Calendar",
    "name": "lunch",
    "timezone": "UTC",
    "hours": {"mon-sun": ["00:00-12:01", "12:03-24:00"]},
}


def agreement(random: Random) -> Document:
    """One agreement with all vendors; targets of seconds."""
    resolution: Document = {
        "name": "resolution",
        "kind": "deadline",
        "start": "opened",
        "pause": random.choice(["paused", {"on": "paused", "at_most": "12s"}]),
        "resume": "resumed",
        "stop": random.choice(["done", {"on": "done", "take": "last"}]),
        "cancel": "cancelled",
        "reset": "reset",
        "reopen": {"on": "reopened", "as": random.choice(["continue", "new_cycle", "count_all"])},
        "change": {"on": "changed", "as": random.choice(["carry", "retroactive", "restart"])},
        "targets": [{"when": "data.p == 1", "within": "10s"}, {"within": "40s", "calendar": random.choice(["24x7", "lunch"])}],
        "warn_at": ["50%", "5s"],
    }
    promised: Document = {"name": "promised", "kind": "deadline", "start": "opened", "stop": "done"}
    promised["targets"] = [{"until": "data.promised_at"}]
    head: Document = {"apiVersion": "slawatch/v1", "kind": "Agreement", "name": "terms", "version": 1, "vendor": "*", "service": "*"}
    head |= {"calendar": random.choice(["24x7", "lunch"]), "grace": "2s", "objectives": [resolution, promised]}
    return head | {"horizon": random.choice(["7d", "7d", BRIEF])}


class DoorShut(Exception):
    """Nobody answers at the door, or it answers 503."""


class Door:
    """ingest: takes events, says at intervals that it is open."""

    def __init__(self, writer: Writer, pulses: bool, partitions: int, clock: Clock) -> None:
        self._writer, self._partitions, self._clock = writer, partitions, clock
        self.pulses, self.open = pulses, True

    async def take(self, event: Document) -> None:
        """One event into the log. Raises DoorShut: it may stand there all the same."""
        await self.append(str(event["vendor"]), events.encode(event))

    async def append(self, vendor: str, value: bytes) -> None:
        if not self.open:
            raise DoorShut
        try:
            await self._writer.append(EVENTS, [Entry(vendor.encode(), value)])
        except LogUnavailable:
            raise DoorShut from None

    async def beat(self) -> None:
        """As services/ingest/pulses.py does it."""
        while True:
            pulse = controls.Pulse("door", self._clock.wall())
            entries = [Entry(None, controls.encode(pulse), controls.headers_of(pulse), partition) for partition in range(self._partitions)]
            if self.open and self.pulses:
                with contextlib.suppress(LogUnavailable):  # missing is what it then means
                    await self._writer.append(EVENTS, entries)
            await asyncio.sleep(5)


@dataclass
class Vendor:
    """A vendor's system: its clock is `skew` ms off; while its line is down, what it has to tell waits."""

    name: str
    skew: int
    clock: Clock
    random: Random
    door: Door
    latency: float  # s, typical
    down: tuple[float, float] = (0, 0)  # s since the world's beginning
    told: int = 0

    async def handle(self, case: str) -> None:
        """Work on one case, telling each step as it happens."""
        async with asyncio.TaskGroup() as telling:
            for number in range(self.random.choice([1, 2, 2, 3, 4, 6])):
                if number:
                    await asyncio.sleep(self.random.choice([0, 0.2, 2, 5, 9, 10, 20]) * self.random.choice([1, 1, self.random.random()]))
                event = self._event(case, number)
                telling.create_task(self._tell(event))
                if self.random.random() < 0.1:
                    telling.create_task(self._tell(event))
                if self.random.random() < 0.03:
                    telling.create_task(self._tell(event | {"data": {"p": 3}}))
            if self.random.random() < 0.05:
                telling.create_task(self._garble())

    def _event(self, case: str, number: int) -> Document:
        now = self.clock.wall() + self.skew
        event: Document = {"specversion": "1.0", "id": f"{case}.{number}", "source": f"/{self.name}", "subject": case, "service": "desk"}
        event |= {"vendor": self.name, "time": format_instant(now), "type": self.random.choice(OPERATIONS) if number else "opened"}
        data: Document = {}
        if number == 0 or self.random.random() < 0.3:
            data["p"] = self.random.choice([1, 2])
        if number == 0 and self.random.random() < 0.4:
            data["promised_at"] = format_instant(now + self.random.randint(-5_000, 40_000))
        if number and self.random.random() < 0.04:
            event["replaces"] = f"{case}.{self.random.randrange(number)}"
        return event | {"data": data}

    async def _tell(self, event: Document) -> None:
        """Post until the door has it."""
        late = self.random.random() < 0.1
        await asyncio.sleep(self.random.uniform(5, 60) if late else self.random.expovariate(1 / self.latency))
        now = asyncio.get_running_loop().time()
        if self.down[0] <= now < self.down[1]:
            await asyncio.sleep(self.down[1] - now + self.random.uniform(0, 3))
        while True:
            try:
                await self.door.take(event)
                self.told += 1
                return
            except DoorShut:
                await asyncio.sleep(self.random.uniform(0.3, 5))

    async def _garble(self) -> None:
        """What no door would take, but a topic may hold."""
        rubbish = [b"", b"\xff\xfe", b"[" * 5_000, b"{}", b'{"specversion":"1.0","id":"x"}', b'"\\ud800"']
        try:
            await self.door.append(self.name, self.random.choice(rubbish))
        except DoorShut:
            return
