"""The job of `../shared/bench`: the evaluator with everything on, beside the baselines, alternated in one run; its answer must be exact."""

import asyncio
from collections import Counter
from pathlib import Path
from statistics import median

from rich.console import Console

from shared.wire.verdicts import Verdict
from tests.bench import job, rig
from tests.bench.rig import Place, Spent


async def once(at: Place, directory: Path, events: str, records: int) -> tuple[Spent, list[Verdict]]:
    """One evaluator through the topic; what it took and said."""
    async with at.bench(job.AGREEMENT, job.PARTITIONS, TOPIC_EVENTS=events, CLOCK="event") as bench:
        bench.begin()
        return await bench.job(records), bench.statements()


async def measure(out: Console, at: Place, cases: int, rounds: int) -> None:
    """All rounds, and the medians."""
    kafka, directory = at.stack.kafka, at.directory / "job"
    expected = job.generate(cases, directory)
    await job.load(directory, kafka, "job.naive")
    await job.load(directory, kafka, "job.events")
    async with at.bench(job.AGREEMENT, job.PARTITIONS, TOPIC_EVENTS="job.events", CLOCK="event") as bench:
        await bench.command("advance", "--to", job.far(directory))
    events = int(expected["events"])
    out.print(f"{events:,} events of {cases:,} cases, {job.PARTITIONS} partitions, {rounds} rounds; events/s:")
    found: dict[str, list[float]] = {"read": [], "naive": [], "evaluator": []}
    spent: list[Spent] = []
    for number in range(rounds):
        found["read"].append(job.baseline("read", directory, kafka, "job.naive")["events_per_s"])
        found["naive"].append(job.baseline("loop", directory, kafka, "job.naive")["events_per_s"])
        took, said = await once(at, directory, "job.events", events + job.PARTITIONS)
        found["evaluator"].append(events / took.seconds)
        spent.append(took)
        answer = job.wrong(expected, said) or "exact"
        kinds = ", ".join(f"{count:,} {kind.removeprefix('slawatch.')}" for kind, count in sorted(Counter(v.type for v in said).items()))
        speeds = ", ".join(f"{name} {speeds[-1]:>9,.0f}" for name, speeds in found.items())
        out.print(f"  round {number + 1}: {speeds}   answer {answer}   CPU {took.cpu:.1f} s; said: {kinds}")
    middle = {name: median(speeds) for name, speeds in found.items()}
    out.print("  medians: " + ", ".join(f"{name} {speed:,.0f}" for name, speed in middle.items()))
    out.print(
        f"  evaluator: {middle['evaluator'] / middle['naive']:.2f} x naive (goal 1.0, moonshot 1.5), "
        f"{middle['evaluator'] / middle['read']:.2f} x read; {events / median(one.cpu for one in spent):,.0f} events per CPU-second"
    )
    middling = sorted(spent, key=lambda one: one.cpu)[len(spent) // 2]
    split = ", ".join(f"{name} {seconds / events * 1e6:.2f}" for name, seconds in middling.threads.items())
    out.print(f"  CPU µs an event by thread: {split}")


def report(out: Console, cases: int, rounds: int) -> None:
    """On a stack of its own."""
    if not job.is_there():
        out.print(job.ABSENT)
        return
    with rig.place() as at:
        asyncio.run(measure(out, at, cases, rounds))
