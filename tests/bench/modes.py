"""The evaluator on other jobs: live, two of them, and one with every kind of objective, business calendars and minutes of disorder."""

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import median

from rich.console import Console

from shared.language import bundles, load_text
from shared.sla.engine import Engine
from shared.wire import events
from tests.bench import job, rig
from tests.bench.folding import BASE_MS
from tests.bench.rig import Bench, Place, Spent

VENDORS = 60
HOUR_MS = 3_600_000
FAR = "2026-06-01T00:00:00Z"
MIXED = """
apiVersion: slawatch/v1
kind: Calendar
name: office
timezone: Asia/Shanghai
hours: {mon-fri: ["09:00-12:00", "13:30-18:00"]}
holidays: CN
---
apiVersion: slawatch/v1
kind: Agreement
name: mixed
vendor: "*"
timezone: Asia/Shanghai
calendar: office
grace: 5m
objectives:
  - name: resolution
    kind: deadline
    start: ticket.opened
    pause: ticket.waiting
    resume: ticket.answered
    stop: ticket.resolved
    reopen: {on: ticket.reopened, as: continue}
    targets: [{when: 'data.priority == "P1"', within: 4h, calendar: 24x7}, {when: 'data.priority == "P2"', within: 1bd}, {within: 3bd}]
    warn_at: [80%]
  - {name: in-time-share, kind: ratio, of: {objective: resolution}, target: ">= 95%", window: tumbling 1d, min_events: 20, on_empty: met}
  - name: satisfaction
    kind: aggregate
    of: {events: {on: survey.answered}}
    field: data.score
    aggregate: p50
    target: ">= 3"
    window: tumbling 1d
    on_empty: no_data
  - {name: uptime, kind: availability, down: incident.started, up: incident.ended, target: ">= 99%", window: tumbling 1d, on_empty: met}
  - {name: acceptance, kind: violation, on: inspection.done, unless: data.defects <= data.accept}
"""


def mixed_events(cases: int, seed: int) -> list[tuple[bytes, bytes]]:
    """(vendor, event) in order of arrival: five events a case or so, three days long, up to 4 min of disorder, 1 % duplicates."""
    rng, made = Random(seed), list[tuple[float, int, bytes, bytes]]()

    def say(at: float, kind: str, subject: str, vendor: str, **data: object) -> None:
        instant = datetime.fromtimestamp(round(at) / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        event = {
            "specversion": "1.0",
            "id": f"{rng.getrandbits(96):024x}",
            "source": f"/vendors/{vendor}",
            "type": kind,
            "subject": subject,
        }
        value = json.dumps(event | {"time": instant, "vendor": vendor, "service": "desk", "data": data}, separators=(",", ":")).encode()
        for _ in range(2 if rng.random() < 0.01 else 1):
            made.append((at + rng.random() * 240_000, len(made), vendor.encode(), value))

    for case in range(cases):
        vendor, at = f"v{rng.randrange(VENDORS):03d}", BASE_MS + rng.random() * 72 * HOUR_MS
        name, priority = f"{vendor}-{case}", rng.choice(("P1", "P2", "P3"))
        say(at, "ticket.opened", name, vendor, priority=priority)
        if rng.random() < 0.2:
            say(at + 0.5 * HOUR_MS, "ticket.waiting", name, vendor)
            say(at + 1.5 * HOUR_MS, "ticket.answered", name, vendor)
        if rng.random() < 0.97:
            end = at + rng.uniform(2, 5.5) * HOUR_MS * (1 if priority == "P1" else 5)
            say(end, "ticket.resolved", name, vendor, priority=priority)
            if rng.random() < 0.05:
                say(end + HOUR_MS, "ticket.reopened", name, vendor)
                say(end + 2 * HOUR_MS, "ticket.resolved", name, vendor)
            say(end + 1.2 * HOUR_MS, "survey.answered", f"{name}-survey", vendor, score=rng.randint(1, 5))
        if rng.random() < 0.3:
            say(at, "inspection.done", f"{name}-lot", vendor, defects=rng.randint(0, 10), accept=8)
        if rng.random() < 0.02:
            say(at, "incident.started", f"{name}-down", vendor)
            say(at + rng.random() * 0.3 * HOUR_MS, "incident.ended", f"{name}-down", vendor)
    return [(vendor, value) for _, _, vendor, value in sorted(made)]


def _said(took: Spent, records: int, statements: int) -> str:
    return f"{records / took.seconds:>9,.0f} events/s, {records / took.cpu:>9,.0f} a CPU-second, {statements:,} statements"


async def _fed(bench: Bench, records: list[tuple[bytes, bytes]], evaluators: int) -> Spent:
    """Evaluators that share the partitions already, and then get the records."""
    names = [f"evaluator-{number}" for number in range(evaluators)]
    for name in names:
        bench.begin(name)
        await bench.ready(name)
    for name in names:
        await bench.until_metric("slawatch_partitions_owned", job.PARTITIONS // evaluators, [name])
    working = asyncio.ensure_future(bench.job(len(records), names))
    await asyncio.to_thread(rig.load, bench.kafka, bench.events, records)
    return await working


def stamped(records: list[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """The events as if each happened when it is sent."""
    mark = b'"time":"'
    for key, value in records:
        at = value.index(mark) + len(mark)
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()
        yield key, value[:at] + now + value[at + 24 :]


async def live(out: Console, at: Place, records: list[tuple[bytes, bytes]]) -> None:
    """`SLAWATCH_CLOCK=log`, the backlog there already: with the events' own times (months late), and as if they were of now."""
    for title, given in (("as they are, long past", iter(records)), ("as if of now", stamped(records))):
        async with at.bench(job.AGREEMENT, job.PARTITIONS) as bench:
            count = await asyncio.to_thread(rig.load, bench.kafka, bench.events, given)
            bench.begin()
            out.print(f"  live, events {title:<23} {_said(await bench.job(count), count, len(bench.statements()))}")


async def two(out: Console, at: Place, records: list[tuple[bytes, bytes]], rounds: int) -> None:
    """One evaluator and two, fed while they run, by turns: events a CPU-second."""
    found: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for number, rates in found.items():
            async with at.bench(job.AGREEMENT, job.PARTITIONS, CLOCK="event") as bench:
                took = await _fed(bench, records, number)
                title = f"{number} evaluator{'s' if number > 1 else ' '} fed while running"
                spent = ", ".join(f"{kind} {seconds / len(records) * 1e6:.2f}" for kind, seconds in took.threads.items())
                out.print(f"  {title:<36} {_said(took, len(records), len(bench.statements()))}; CPU, µs an event: {spent}")
                rates.append(len(records) / took.cpu)
    out.print(f"    two: {median(found[2]) / median(found[1]):.2f} of one's events a CPU-second, medians   (goal: within 10 %)")


async def mixed(out: Console, at: Place, cases: int) -> None:
    """The evaluator, and the engine in this process, which must say the same."""
    records = mixed_events(cases, 7)
    engine, ids = Engine("event"), set[str]()
    for bundle in bundles(load_text("mixed", MIXED).or_raise()):
        engine.activate(bundle, "mixed")
    started = time.perf_counter()
    for _, value in records:
        ids.update(statement.id for statement in engine.take(events.decode(value))[0])
    folding = (time.perf_counter() - started) / len(records) * 1e6
    async with at.bench(MIXED, job.PARTITIONS, CLOCK="event") as bench:
        await asyncio.to_thread(rig.load, bench.kafka, bench.events, records)
        bench.begin()
        took = await bench.job(len(records))
        said = [statement.id for statement in bench.statements()]
    same = "the same as in process" if len(said) == len(ids) and set(said) == ids else f"NOT THE SAME: {len(said)}, in process {len(ids)}"
    out.print(
        f"  {'mixed, five kinds, calendars':<36} {_said(took, len(records), len(said))} ({same}); in process {folding:.1f} µs an event"
    )


def report(out: Console, cases: int, rounds: int, which: tuple[str, ...] = ("live", "two", "mixed")) -> None:
    """On a stack of its own."""
    records = list[tuple[bytes, bytes]]()
    if job.is_there():
        with tempfile.TemporaryDirectory() as name:
            job.generate(cases, Path(name))
            records = list(job.records(Path(name)))
    else:
        out.print(f"live, two: {job.ABSENT}")

    async def measure(at: Place) -> None:
        if records and "live" in which:
            await live(out, at, records)
        if records and "two" in which:
            await two(out, at, records, rounds)
        if "mixed" in which:
            await mixed(out, at, cases // 5)

    with rig.place() as at:
        asyncio.run(measure(at))
