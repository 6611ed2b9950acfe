"""kill -9 with so many open clocks: when is the first deadline called again, when all, and where the time between goes."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from rich.console import Console

from shared.wire import verdicts
from tests.bench import rig
from tests.bench.latency import AGREEMENT, LEAD_S, PARTITIONS, VENDORS, event, standing
from tests.bench.rig import Bench, Place

PROBES: Final = 500  # clocks that fall due while the evaluator is dead
_SAYS: Final = {
    "starting": "Python and imports",
    "topics and tables are there": "topics and tables",
    "partitions assigned": "joining the group",
    "partition restoring": "first partition loaded and read back",
    "partition restored": "first partition at the log's end",
}


def _lines(bench: Bench, after: int) -> Iterator[tuple[float, dict[str, Any]]]:
    """What the evaluator logged behind that many bytes: (Unix seconds, line)."""
    text = bench.log_of("evaluator").read_bytes()[after:].decode("utf-8", "replace")
    for line in text.splitlines():
        if line.startswith("{"):
            said = json.loads(line)
            if "timestamp" in said:
                yield datetime.fromisoformat(said["timestamp"]).timestamp(), said


def _called(bench: Bench) -> list[int]:
    """When the probes' breaches were appended."""
    found = [(record.timestamp, verdicts.decode(record.value)) for record in rig.read(bench.kafka, bench.breaches)]
    return [at for at, said in found if said.type == "slawatch.breach.opened" and (said.data.case or "").startswith("killed-")]


async def recovery(out: Console, bench: Bench) -> None:
    """Killed with clocks about to fall due, started again when they are: seconds from the start of the process."""
    probes = [event("case.opened", f"killed-{n}", f"v{n % VENDORS:03d}", '{"probe":"due"}', time.time()) for n in range(PROBES)]
    await asyncio.to_thread(rig.load, bench.kafka, bench.events, probes)
    await asyncio.sleep(1)
    bench.kill("evaluator")
    await asyncio.sleep(LEAD_S)
    spoken = bench.log_of("evaluator").stat().st_size
    started = time.time()
    bench.begin()
    while not await bench.metric("evaluator", "slawatch_partitions_owned"):
        await asyncio.sleep(0.2)
    await bench.ready("evaluator", 600)
    restored, until = time.time() - started, time.monotonic() + 120
    while len(stamps := _called(bench)) < PROBES:
        assert time.monotonic() < until, f"{len(stamps)} of {PROBES} were said after the kill"
        await asyncio.sleep(0.5)
    lines = list(_lines(bench, spoken))
    first = {name: next((at for at, line in lines if line["event"] == name), None) for name in _SAYS}
    before = started
    for name, title in _SAYS.items():
        at = first[name]
        if at is not None:
            out.print(f"      {title:<40} {at - before:6.2f} s   (at {at - started:5.1f} s)")
            before = at
    last = max((at for at, line in lines if line["event"] == "partition restored"), default=before)
    out.print(f"      {'all other partitions':<40} {last - before:6.2f} s   (at {last - started:5.1f} s)")
    loaded = [line for _, line in lines if line["event"] == "checkpoint loaded"]
    again = sum(line["until"] - line["offset"] for _, line in lines if line["event"] == "partition restoring")
    out.print(
        f"      from checkpoints: {sum(line['cases'] for line in loaded):,} cases of {len(loaded)} partitions, "
        f"{sum(line['seconds'] for line in loaded):.1f} s in all; folded again: {again:,} records"
    )
    out.print(
        f"    after kill -9: first statement {min(stamps) / 1000 - started:.1f} s after the start, all "
        f"{max(stamps) / 1000 - started:.1f} s, ready {restored:.1f} s   (goal at 1,000,000: 5 s, 10 s)"
    )


async def _all_in_checkpoints(bench: Bench) -> None:
    await bench.until_metric("slawatch_checkpoint_duration_seconds_count", 1, ["evaluator"])
    until = time.monotonic() + 300
    await asyncio.sleep(2)  # the gauge is a second old at most
    while await bench.metric("evaluator", "slawatch_checkpoint_age_seconds"):
        assert time.monotonic() < until, "no checkpoint holds all"
        await asyncio.sleep(0.5)


def report(out: Console, clocks: list[int]) -> None:
    """On a stack of its own."""

    async def measure(at: Place) -> None:
        for number in clocks:
            out.print(f"  {number:,} open clocks, {PARTITIONS} partitions:")
            async with at.bench(AGREEMENT, PARTITIONS) as bench:
                count = await asyncio.to_thread(rig.load, bench.kafka, bench.events, standing(number))
                bench.begin()
                await bench.until_metric("slawatch_events_folded_total", count, ["evaluator"])
                await bench.ready("evaluator", 300)
                await _all_in_checkpoints(bench)
                await recovery(out, bench)

    with rig.place() as at:
        asyncio.run(measure(at))
