"""Plays a script: posts each step at its time, one lane per vendor, so that one vendor's trouble does not hold up the others."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from examples.simulator.poster import Poster, Refused
from examples.simulator.script import Step
from shared.ports.time import TimeSource

LANE: Final = 1_000  # steps that may wait in a lane; when one is full (slawatch away for long), the play waits


@dataclass
class Tally:
    """What came of it, in events."""

    posted: int = 0
    refused: int = 0


async def play(
    steps: Iterable[Step], posters: Mapping[str, Poster], time: TimeSource, tally: Tally, tell: Callable[[str], None], until_s: float | None
) -> None:
    """Post the steps due within `until_s` seconds from now (None: all). `tell` gets one line per event, `tally` the counts."""
    lanes = {vendor: asyncio.Queue[Step | None](LANE) for vendor in posters}
    begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for vendor, lane in lanes.items():
            group.create_task(_drain(lane, posters[vendor], tally, tell))
        for step in steps:
            if until_s is not None and step.offset_s > until_s:
                break
            await time.sleep(max(0.0, begun + step.offset_s - time.monotonic()))
            await lanes[str(step.event["vendor"])].put(step)
        for lane in lanes.values():
            await lane.put(None)


async def _drain(lane: "asyncio.Queue[Step | None]", poster: Poster, tally: Tally, tell: Callable[[str], None]) -> None:
    while (step := await lane.get()) is not None:
        place = f"{step.offset_s:7.1f}s  {step.event['vendor']:<13}  {step.event['subject']:<18}  {step.event['type']}"
        try:
            attempts = await poster.post(step.event)
        except Refused as refusal:
            tally.refused += 1
            tell(f"{place}: NOT TAKEN: {refusal}")
        else:
            tally.posted += 1
            tell(place if attempts == 1 else f"{place} (attempt {attempts})")
