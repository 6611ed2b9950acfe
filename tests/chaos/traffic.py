"""Load: cases of all sorts, told as they happen, late, out of order, twice, or with two contents under one id."""

import asyncio
import time
from random import Random
from types import TracebackType
from typing import Self

from tests.acceptance.installation import Event
from tests.chaos.rig import Rig, event_of

VENDORS = tuple(f"vendor-{n}" for n in range(8))
STEPS = ("done", "done", "done", "paused", "resumed", "cancelled", "rejected", "reopened", "changed")
WAITS_S = (0.0, 0.1, 0.3, 0.7, 1.2)
NOISE = 40  # events of a batch that no objective names


class Traffic:
    """`async with Traffic(rig, random)`: flows meanwhile; then every case is told to its end. `acknowledged`: ids answered with 202."""

    def __init__(self, rig: Rig, random: Random) -> None:
        self.rig, self.random = rig, random
        self.acknowledged: set[str] = set()
        self.hushed = False  # no new case begins
        self._ending = False
        self._flowing: asyncio.Task[None] | None = None
        self._name = f"{random.getrandbits(40):010x}"
        self._cases = 0

    async def __aenter__(self) -> Self:
        self._flowing = asyncio.ensure_future(self._flow())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        assert self._flowing is not None
        self._ending = True
        if kind is not None:
            self._flowing.cancel()
        await asyncio.gather(self._flowing, return_exceptions=kind is not None)

    async def tell(self, event: Event) -> None:
        """Post until it is answered; an id that stands already with another content is refused, and was not acknowledged."""
        answer = await self.rig.post([event])
        if not answer["rejected_count"]:
            self.acknowledged.add(event["id"])

    async def _flow(self) -> None:
        async with asyncio.TaskGroup() as group:
            while not self._ending:
                if not self.hushed:
                    group.create_task(self._case(f"{self._name}-{self._cases}"))
                    if self._cases % 10 == 0:
                        group.create_task(self._noise(f"{self._name}-noise-{self._cases}"))
                    self._cases += 1
                await asyncio.sleep(self.random.uniform(0.02, 0.1))

    async def _noise(self, case: str) -> None:
        vendor, now = self.random.choice(VENDORS), time.time()
        await self.rig.post([event_of(vendor, case, "noted", now, name=f"-{n}") for n in range(NOISE)])

    async def _case(self, case: str) -> None:
        """A case's life: how it begins, what happens to it, and how each of that is told."""
        vendor, random = self.random.choice(VENDORS), Random(self.random.getrandbits(64))
        async with asyncio.TaskGroup() as telling:
            for number in range(random.choice((1, 2, 2, 3, 4))):
                if number:
                    await asyncio.sleep(random.choice(WAITS_S))
                kind = random.choice(STEPS) if number else "opened"
                data = {"p": random.choice((1, 2))} if number == 0 or kind == "changed" else {}
                event = event_of(vendor, case, kind, time.time(), data, f"-{number}")
                late_s, again = random.choice((0, 0, 0, 0, 0.5, 2.5)), random.choice(("", "", "", "", "twice", "otherwise"))
                telling.create_task(self._tell(event, late_s, again))
            if random.random() < 0.2:
                found = {"defects": random.choice((0, 1, 2)), "accept": 1}
                telling.create_task(self._tell(event_of(vendor, case, "inspected", time.time(), found)))

    async def _tell(self, event: Event, late_s: float = 0, again: str = "") -> None:
        await asyncio.sleep(late_s)
        await self.tell(event)
        if again:
            await self.tell(event if again == "twice" else event | {"data": {"p": 3}})
