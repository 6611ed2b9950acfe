"""How soon a statement is on its topic while thousands of events come in a second: by the broker's clock."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from confluent_kafka import KafkaError, Message, Producer
from rich.console import Console

from shared.wire import verdicts
from tests.bench import rig
from tests.bench.alerting import quantile
from tests.bench.rig import Bench, Place

RATES = (1_000, 10_000)  # events a second
WINDOW_S = 20
PROBES_A_SECOND = 50  # of each sort
PARTITIONS = 64
VENDORS = 60
STANDING_S = 864_000
LEAD_S = 5  # from opening a probe until it is due
SLICE_S = 0.02
OPEN_S = 1  # how long a passing case is open
AGREEMENT = """
apiVersion: slawatch/v1
kind: Agreement
name: bench
vendor: "*"
objectives:
  - name: resolved
    kind: deadline
    start: case.opened
    stop: case.resolved
    targets: [{when: 'data.probe == "due"', within: 5s}, {within: 20d}]
  - {name: sound, kind: violation, on: inspection.done, unless: data.defects <= data.accept}
"""


def event(kind: str, case: str, vendor: str, data: str, at: float) -> tuple[bytes, bytes]:
    """(key, value) of an event dated `at` (Unix seconds); `data`: JSON."""
    instant = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    value = (
        f'{{"specversion":"1.0","id":"{kind}-{case}","source":"/vendors/{vendor}","type":"{kind}","subject":"{case}","time":"{instant}",'
        f'"vendor":"{vendor}","service":"desk","datacontenttype":"application/json","data":{data}}}'
    )
    return vendor.encode(), value.encode()


def standing(clocks: int) -> Iterator[tuple[bytes, bytes]]:
    """Cases that stay open: opened within the last ten days, in any order, and told now."""
    for case in range(clocks):
        opened = time.time() - case * 7_919 % STANDING_S
        yield event("case.opened", f"standing-{case}", f"v{case % VENDORS:03d}", '{"probe":"none","priority":"P4"}', opened)


class _Feed:
    """Ordinary events at a steady rate, and among them the probes; when the violating ones arrived."""

    def __init__(self, to: Producer, topic: str, rate: int) -> None:
        self._to, self._topic, self._rate, self._sent = to, topic, rate, 0
        self.arrivals: dict[str, int] = {}  # of violating inspections, by event id
        self.dues: set[str] = set()  # cases whose clock is to fall due

    def _send(self, event: tuple[bytes, bytes], probe: str = "") -> None:
        def delivered(error: KafkaError | None, message: Message) -> None:
            assert error is None, error
            if probe:
                self.arrivals[probe] = message.timestamp()[1]

        self._to.produce(self._topic, event[1], event[0], on_delivery=delivered if probe else None)

    def run(self, seconds: float, probes_until: float) -> None:
        """For so long; due probes open until `probes_until` (s from the start), so that they fall due while the feed goes on."""
        begin, probes = time.time(), 0
        while (passed := time.time() - begin) < seconds:
            while self._sent < passed * self._rate:
                resolves = self._sent % 2 == 1
                pair = self._sent // 2 - (self._rate * OPEN_S // 2 if resolves else 0)
                if pair >= 0:
                    kind, vendor = "case.resolved" if resolves else "case.opened", f"v{pair % VENDORS:03d}"
                    self._send(event(kind, f"passing-{self._rate}-{pair}", vendor, '{"probe":"none","priority":"P4"}', time.time()))
                self._sent += 1
            while probes < passed * PROBES_A_SECOND:
                vendor, name = f"v{probes % VENDORS:03d}", f"probe-{self._rate}-{probes}"
                if passed < probes_until:
                    self.dues.add(name)
                    self._send(event("case.opened", name, vendor, '{"probe":"due"}', time.time()))
                self._send(event("inspection.done", name, vendor, '{"defects":9,"accept":1}', time.time()), f"inspection.done-{name}")
                probes += 1
            self._to.poll(0)
            time.sleep(SLICE_S)
        self._to.flush()


def _said(bench: Bench) -> tuple[dict[str, float], dict[str, int]]:
    """ms from due + grace to the statement, by case; when the statement about an event was appended, by the event's id."""
    dues, violations = {}, {}
    for record in rig.read(bench.kafka, bench.breaches):
        verdict = verdicts.decode(record.value)
        if verdict.type != "slawatch.breach.opened":
            continue
        if verdict.data.objective == "sound":
            violations.update(dict.fromkeys(verdict.data.evidence, record.timestamp))
        elif verdict.data.case is not None:  # decided at due + grace
            dues[verdict.data.case] = record.timestamp - datetime.fromisoformat(verdict.data.decided_at).timestamp() * 1000
    return dues, violations


def _line(title: str, found: list[float], goal: str) -> str:
    p50, p99 = quantile(found, 0.5), quantile(found, 0.99)
    return f"      {title:<24} p50 {p50:6.0f} ms, p99 {p99:6.0f} ms, max {max(found):6.0f} ms, of {len(found):,}   (goal: {goal})"


async def ready(bench: Bench, clocks: int) -> None:
    """An evaluator that holds so many open clocks."""
    count = await asyncio.to_thread(rig.load, bench.kafka, bench.events, standing(clocks))
    bench.begin()
    await bench.until_metric("slawatch_events_folded_total", count, ["evaluator"])
    await bench.ready("evaluator", 120)


async def latencies(out: Console, bench: Bench, rate: int) -> None:
    """While events come in."""
    feed = _Feed(rig.producer(bench.kafka, **{"linger.ms": 2}), bench.events, rate)
    before, _ = bench.cpu()
    await asyncio.to_thread(feed.run, WINDOW_S, WINDOW_S - LEAD_S - 1)
    busy = (bench.cpu()[0] - before) / WINDOW_S
    until = time.monotonic() + 60
    while True:
        dues, violations = _said(bench)
        if feed.dues <= dues.keys() and feed.arrivals.keys() <= violations.keys():
            break
        assert time.monotonic() < until, (
            f"{len(dues)} of {len(feed.dues)} dues, {len(violations)} of {len(feed.arrivals)} violations were said"
        )
        await asyncio.sleep(0.5)
    out.print(f"    {rate:,} events/s coming in, the evaluator uses {busy:.0%} of a core:")
    out.print(_line("due + grace to statement", [dues[name] for name in feed.dues], "p50 15, p99 50, max 250"))
    out.print(_line("event to statement", [violations[name] - at for name, at in feed.arrivals.items()], "p99 50"))


def report(out: Console, clocks: list[int]) -> None:
    """On a stack of its own."""

    async def measure(at: Place) -> None:
        for number in clocks:
            out.print(f"  {number:,} open clocks, {PARTITIONS} partitions:")
            async with at.bench(AGREEMENT, PARTITIONS) as bench:
                await ready(bench, number)
                for rate in RATES:
                    await latencies(out, bench, rate)

    with rig.place() as at:
        asyncio.run(measure(at))
