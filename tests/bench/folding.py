"""In process, one core, no Kafka: decode and fold beside what the naive loop does of it, memory, and what growth costs."""

import gc
import heapq
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import count, islice
from pathlib import Path
from random import Random
from statistics import median

import msgspec
from rich.console import Console

from shared.language import bundles, load_text
from shared.sla.engine import Engine
from shared.sla.swift import Stretch, is_built
from shared.wire import events
from shared.wire.forms import swift_forms
from shared.wire.verdicts import encode_statement
from tests.bench import job
from tests.bench.apart import apart, resident

BUDGETS_MS = {"P1": 15 * 60_000, "P2": 3_600_000, "P3": 4 * 3_600_000, "P4": 24 * 3_600_000}
BASE = 1_772_323_200  # 2026-03-01
BASE_MS = BASE * 1000
GROWTH_EVENTS = 60_000
FEW = 300_000  # closed cases at length
MANY = 1_000_000  # and on the swift path
LARGE = 10_000_000  # clocks: too many to fold them at length
STRETCH = 4_000  # records that go the swift path at once: as many as the evaluator fetches


class _Data(msgspec.Struct, gc=False):
    vendor: str
    case: str
    priority: str


class _Event(msgspec.Struct, gc=False):
    type: str
    time: datetime
    data: _Data


def event_of(at: float, kind: str, case: int, priority: str = "P4", vendor: str | None = None) -> bytes:
    """An event of the job's shape (340 bytes); `at` in s after the base."""
    whole = int(at)
    instant = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(BASE + whole)) + f".{int((at - whole) * 1000):03d}Z"
    vendor, name = vendor or f"v{case % 60:03d}", f"{case:08d}"
    return (
        f'{{"specversion":"1.0","id":"{kind[:2]}{case:010x}-7d1c-4c0e-9a52-1f6e0b3a9c77","source":"/vendors/{vendor}","type":"case.{kind}",'
        f'"subject":"{vendor}-2026-{name}","time":"{instant}","vendor":"{vendor}","service":"helpdesk",'
        f'"datacontenttype":"application/json","data":{{"vendor":"{vendor}","service":"helpdesk","case":"{vendor}-2026-{name}",'
        f'"priority":"{priority}"}}}}'
    ).encode()


def own_events(cases: int, seed: int) -> list[bytes]:
    """The same kind of history as the job's: in order of arrival, up to 5 s of disorder, 1 % duplicates. Where the job is not there."""
    rng, made, numbers = Random(seed), list[tuple[float, int, bytes]](), count()
    for case in range(cases):
        start, priority = rng.random() * 172_800, rng.choices(list(BUDGETS_MS), (10, 20, 30, 40))[0]
        budget, timeline, pause = BUDGETS_MS[priority] / 1000, [(start, "opened")], 0.0
        if rng.random() < 0.2:
            pause = rng.random() * budget
            timeline += [(start + 0.3 * budget, "paused"), (start + 0.3 * budget + pause, "resumed")]
        if rng.random() > 0.02:
            share = rng.uniform(1.01, 1.5) if rng.random() < 0.1 else rng.uniform(0.4, 0.98)
            timeline.append((start + pause + budget * share, "resolved"))
        for at, kind in timeline:
            record = event_of(at, kind, case, priority)
            for _ in range(2 if rng.random() < 0.01 else 1):
                made.append((at + rng.random() * 5, next(numbers), record))
    return [record for _, _, record in sorted(made)]


def history(cases: int) -> tuple[list[bytes], str]:
    """Records in order of arrival, and whose they are."""
    if not job.is_there():
        return own_events(cases, 7), "events of this benchmark's own"
    with tempfile.TemporaryDirectory() as name:
        job.generate(cases, Path(name))
        return [value for _, value in job.records(Path(name))], "the job's events"


def naive(records: Sequence[bytes]) -> int:
    """Typed decode, dict and heap, as the naive loop of `../shared/bench` does it; breaches found."""
    decode, clocks, heap, high, found = msgspec.json.Decoder(_Event).decode, dict[str, list[int]](), list[tuple[int, str]](), 0, 0
    push, pop = heapq.heappush, heapq.heappop
    for number, record in enumerate(records):
        event = decode(record)
        at = round(event.time.timestamp() * 1000)
        high = max(high, at)
        kind, case = event.type, event.data.case
        clock = clocks.get(case)
        if kind == "case.opened":
            if clock is None:
                due = at + BUDGETS_MS[event.data.priority]
                clocks[case] = [due, 0]
                push(heap, (due, case))
        elif clock is not None:
            if clock[0] and at > clock[0]:
                found += 1
                del clocks[case]
            elif kind == "case.resolved":
                del clocks[case]
            elif kind == "case.paused" and clock[0]:
                clock[1], clock[0] = clock[0] - at, 0
            elif kind == "case.resumed" and not clock[0]:
                clock[0] = at + clock[1]
                push(heap, (clock[0], case))
        if number % 10_000 == 0:
            while heap and heap[0][0] < high - 5_000:
                due, case = pop(heap)
                clock = clocks.get(case)
                if clock is not None and clock[0] == due:
                    found += 1
                    del clocks[case]
    return found


def engine_of(agreement: str = job.AGREEMENT, copies: int = 1, *, swift: bool = False) -> Engine:
    """With the agreement, or as many copies of it: each with a vendor of its own, v000 and on."""
    engine = Engine("event", forms_of=swift_forms if swift else None)
    for number in range(copies):
        text = (
            agreement if copies == 1 else agreement.replace("name: bench", f"name: bench-{number}", 1).replace('"*"', f"v{number:03d}", 1)
        )
        for bundle in bundles(load_text("bench", text).or_raise()):
            engine.activate(bundle, f"bench-{number}")
    return engine


def fold(engine: Engine, records: Sequence[bytes]) -> tuple[float, int]:
    """µs an event of decoding and folding; how many statements."""
    take, decode, said = engine.take, events.decode, 0
    started = time.perf_counter()
    for record in records:
        said += len(take(decode(record))[0])
    return (time.perf_counter() - started) / len(records) * 1e6, said


def feed(engine: Engine, records: Iterable[bytes]) -> int:
    """Decode and fold as the evaluator does it: by the swift path where that is built. How many statements."""
    said, source = 0, iter(records)
    while some := list(islice(source, STRETCH)):
        if engine.swift is None:
            said += fold(engine, some)[1]
            continue
        stretch, at = Stretch.of(some, [0] * len(some)), 0
        while at < len(some):
            folded, told, stuck = engine.fold_swiftly(stretch, at)
            at += folded
            said += len(told)
            for record in some[at : at + stuck]:
                said += len(engine.take(events.decode(record))[0])
            at += stuck
    return said


def speed(cases: int, rounds: int) -> dict[str, list[float]]:
    """µs an event, a figure a round: of decoding alone, with the fold, with the statements' bytes too, and of the naive loop."""
    records, _ = history(cases)
    found: dict[str, list[float]] = {"decode": [], "fold": [], "fold and encode": [], "swift": [], "naive": [], "statements": []}
    gc.collect()
    gc.freeze()
    gc.disable()
    for _ in range(rounds):
        started = time.perf_counter()
        for record in records:
            events.decode(record)
        found["decode"].append((time.perf_counter() - started) / len(records) * 1e6)
        each, said = fold(engine_of(), records)
        found["fold"].append(each)
        found["statements"].append(said / len(records))
        engine, started = engine_of(), time.perf_counter()
        for record in records:
            for statement in engine.take(events.decode(record))[0]:
                encode_statement(statement)
        found["fold and encode"].append((time.perf_counter() - started) / len(records) * 1e6)
        engine, started = engine_of(swift=True), time.perf_counter()
        feed(engine, records)
        found["swift"].append((time.perf_counter() - started) / len(records) * 1e6)
        started = time.perf_counter()
        naive(records)
        found["naive"].append((time.perf_counter() - started) / len(records) * 1e6)
    return found


def memory(cases: int, *, closed: bool, swift: bool) -> float:
    """Bytes a case: an open clock with its evidence and timer, or one that is closed and stays until the horizon."""

    def opened_all() -> Iterator[bytes]:
        for case in range(cases):
            yield event_of(case / 100 % 3_600, "opened", case)

    def closed_all() -> Iterator[bytes]:
        for case in range(cases):
            yield event_of(case / 100, "opened", case)
            yield event_of(case / 100 + 1, "resolved", case)

    engine = engine_of(swift=swift)
    feed(engine, [event_of(0, "opened", 99_999_999)] * 10_000)
    gc.collect()
    gc.disable()
    before = resident()
    feed(engine, closed_all() if closed else opened_all())
    return (resident() - before) / cases


def growth(clocks: int, agreements: int, *, swift: bool) -> float:
    """Events a second, best of three, with so many clocks standing open and so many agreements; cases open and are resolved."""
    engine, vendors = engine_of(copies=agreements, swift=swift), 60 if agreements == 1 else agreements
    gc.disable()
    feed(engine, (event_of(case / clocks * 3_600, "opened", case, vendor=f"v{case % vendors:03d}") for case in range(clocks)))
    best = 0.0
    for each in range(3):
        first = clocks + each * GROWTH_EVENTS
        records = []
        for case in range(first, first + GROWTH_EVENTS // 2):
            records += [
                event_of(3_600 + each * 100 + (case - first) / 1_000 + later, kind, case, vendor=f"v{case % vendors:03d}")
                for later, kind in ((0, "opened"), (1, "resolved"))
            ]
        started = time.perf_counter()
        feed(engine, records)
        best = max(best, len(records) / (time.perf_counter() - started))
    return best


def report(out: Console, cases: int, rounds: int) -> None:
    """How fast."""
    found = apart(speed, cases, rounds)
    titles = {
        "decode": "at length: decode",
        "fold": "at length: decode, fold",
        "fold and encode": "at length: decode, fold, bytes",
        "swift": "swift path: decode, fold, bytes" if is_built() else "swift path: not built here",
        "naive": "naive: decode, dict, heap",
    }
    for name, title in titles.items():
        said = f", {median(found['statements']):.2f} statements an event" if name in ("fold", "swift") else ""
        out.print(
            f"  {title:<36} median {median(found[name]):5.2f} µs, best {min(found[name]):5.2f} µs: "
            f"{1e6 / median(found[name]):>9,.0f} events/s{said}"
        )
    ratio = median(found["naive"]) / median(found["swift"])
    out.print(f"  decode and fold: {ratio:.2f} x naive in process   (goal: 400,000 events/s)")


def report_memory(out: Console, clocks: Sequence[int]) -> None:
    """How large."""
    for number in clocks:
        for swift in (True, False) if number < LARGE else (True,):
            few = min(number, MANY if swift else FEW)
            opened, closed = (apart(memory, few if done else number, closed=done, swift=swift) for done in (False, True))
            out.print(
                f"  {number:>10,} open clocks, {_way(swift=swift)}: {opened:,.0f} bytes each (bar 1,000, stretch 400); "
                f"a closed case: {closed:,.0f} bytes (goal 150)"
            )


def report_growth(out: Console, clocks: Sequence[int], agreements: Sequence[int]) -> None:
    """How speed depends on size."""
    for swift in (True, False):
        standing = clocks if swift else [number for number in clocks if number < LARGE]
        for title, sizes, measured in (
            ("open clocks", standing, [apart(growth, number, 1, swift=swift) for number in standing]),
            ("agreements", agreements, [apart(growth, 10_000, number, swift=swift) for number in agreements]),
        ):
            line = ", ".join(f"{size:,}: {each:,.0f} ({each / measured[0]:.2f})" for size, each in zip(sizes, measured, strict=True))
            out.print(f"  {_way(swift=swift)}, events/s by {title}: {line}   (goal: within 20 % a decade)")


def _way(*, swift: bool) -> str:
    return "by the swift path" if swift else "at length"
