"""Decode and fold in process, one core, no Kafka: events of cases with four priorities, pauses, lateness, disorder and duplicates."""

import gc
import json
import random
import resource
import time
from typing import Any

from rich.console import Console

from shared.language import bundles, load_text
from shared.sla.engine import Engine
from shared.wire import events

CASES = 50_000
OPEN_CLOCKS = 200_000
AGREEMENT = """
apiVersion: slawatch/v1
kind: Agreement
name: bench
vendor: "*"
grace: 5s
objectives:
  - name: resolved
    kind: deadline
    start: case.opened
    pause: case.paused
    resume: case.resumed
    stop: case.resolved
    targets:
      - {when: 'data.priority == "P1"', within: 15m}
      - {when: 'data.priority == "P2"', within: 1h}
      - {when: 'data.priority == "P3"', within: 4h}
      - {within: 24h}
"""
BASE = 1_772_323_200


def _event(rng: random.Random, at: float, kind: str, case: int, priority: str) -> tuple[float, bytes]:
    instant = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(BASE + at)) + f".{int(at * 1000) % 1000:03d}Z"
    vendor = f"v{case % 60:03d}"
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": f"{rng.getrandbits(128):032x}",
        "source": f"/vendors/{vendor}",
        "type": f"case.{kind}",
        "subject": f"{vendor}-{case}",
        "time": instant,
        "vendor": vendor,
        "service": "helpdesk",
        "data": {"vendor": vendor, "case": f"{vendor}-{case}", "priority": priority},
    }
    return at + rng.random() * 5, json.dumps(event, separators=(",", ":")).encode()


def workload(cases: int, seed: int) -> list[bytes]:
    """Records in order of arrival; up to 5 s of disorder, 1 % duplicates."""
    rng, made = random.Random(seed), []
    budgets = {"P1": 900, "P2": 3_600, "P3": 14_400, "P4": 86_400}
    for case in range(cases):
        start, priority = rng.random() * 172_800, rng.choices(list(budgets), (10, 20, 30, 40))[0]
        budget, timeline = budgets[priority], [(start, "opened")]
        pause = 0.0
        if rng.random() < 0.2:
            pause = rng.random() * budget
            timeline += [(start + 0.3 * budget, "paused"), (start + 0.3 * budget + pause, "resumed")]
        if rng.random() > 0.02:
            timeline.append(
                (start + pause + budget * (rng.uniform(1.01, 1.5) if rng.random() < 0.1 else rng.uniform(0.4, 0.98)), "resolved")
            )
        for at, kind in timeline:
            event = _event(rng, at, kind, case, priority)
            made += [event, event] if rng.random() < 0.01 else [event]
    return [value for _, value in sorted(made)]


def _engine() -> Engine:
    engine = Engine("event")
    for bundle in bundles(load_text("bench", AGREEMENT).or_raise()):
        engine.activate(bundle, "bench")
    return engine


def _resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def report(out: Console) -> None:
    """Events a second, and bytes an open clock."""
    records = workload(CASES, 7)
    engine = _engine()
    gc.collect()
    gc.freeze()
    started = time.perf_counter()
    said = 0
    for record in records:
        said += len(engine.take(events.decode(record))[0])
    took = time.perf_counter() - started
    speed = f"{len(records) / took:,.0f} events/s ({took / len(records) * 1e6:.1f} µs each)"
    out.print(f"decode and fold of {len(records):,} events, {said:,} statements: {speed}")

    engine, rng = _engine(), random.Random(1)
    opened = [_event(rng, i / 100, "opened", i, "P4")[1] for i in range(OPEN_CLOCKS)]
    gc.collect()
    before = _resident()
    for record in opened:
        engine.take(events.decode(record))
    grown = _resident() - before
    out.print(f"memory of {OPEN_CLOCKS:,} open clocks with evidence and timer: {grown / OPEN_CLOCKS:,.0f} bytes each")
