"""Thirty days of traffic under a horizon of a day: memory stays where it was after two days; what a case costs to let go, and after."""

import gc
import time
from collections.abc import Iterator
from typing import NamedTuple

from rich.console import Console

from shared.sla.engine import Engine
from shared.sla.leaving import Gone, mark_of
from shared.wire import events
from tests.bench import job
from tests.bench.apart import apart, resident
from tests.bench.folding import engine_of, event_of

DAY_S = 86_400
AGREEMENT = job.AGREEMENT.replace("grace: 5s", "grace: 5s\nhorizon: 1d", 1)


def traffic(days: int, cases_a_day: int) -> Iterator[tuple[int, bytes]]:
    """(day, event): cases are opened evenly, and resolved two seconds later."""
    step = DAY_S / cases_a_day
    for case in range(days * cases_a_day):
        at = case * step
        yield case // cases_a_day, event_of(at, "opened", case)
        yield case // cases_a_day, event_of(at + 2, "resolved", case)


class Day(NamedTuple):
    """The end of a day."""

    resident: int  # bytes
    cases: int  # in memory
    remembered: int  # marks of what has left


def census(engine: Engine) -> tuple[int, int]:
    """Cases in memory; marks of what has left."""
    desks = list(engine.desks())
    return sum(len(desk.cases) for desk in desks), sum(desk.gone.count for desk in desks if desk.gone is not None)


def month(days: int, cases_a_day: int) -> list[Day]:
    """What memory holds at the end of each day."""
    engine, found, today = engine_of(AGREEMENT), list[Day](), 0
    for day, record in traffic(days, cases_a_day):
        if day != today:
            gc.collect()
            found.append(Day(resident(), *census(engine)))
            today = day
        engine.take(events.decode(record))
    return found


def letting_go(cases: int) -> float:
    """µs that a case costs as it leaves, above being folded."""
    engine = engine_of(AGREEMENT)
    for _, record in traffic(1, cases):
        engine.take(events.decode(record))
    gc.collect()
    gc.disable()
    started = time.perf_counter()
    engine.advance((engine.log_time or 0) + 3 * DAY_S * 1000)
    engine.settle()
    assert census(engine)[0] == 0
    return (time.perf_counter() - started) / cases * 1e6


def marks(count: int) -> tuple[float, float, float, float]:
    """Bytes a mark; µs to remember one, and to look for one; the longest pause, ms."""
    gone, longest, before = Gone(), 0.0, resident()
    started = time.perf_counter()
    for number in range(count):
        last = time.perf_counter()
        gone.add(mark_of(str(number)))
        longest = max(longest, time.perf_counter() - last)
    added = time.perf_counter() - started
    each, started = (resident() - before) / count, time.perf_counter()
    for number in range(100_000):
        assert (mark_of(str(-number - 1)) in gone) is False
    return each, added / count * 1e6, (time.perf_counter() - started) * 10, longest * 1000


def report(out: Console, cases_a_day: int) -> None:
    """All of it."""
    found = apart(month, 30, cases_a_day)
    early, late = found[2], found[-1]
    out.print(
        f"  30 days of {cases_a_day:,} cases, horizon 1 day: {early.resident / 1e6:,.0f} MB after 3 days, {late.resident / 1e6:,.0f} MB "
        f"after {len(found)}; cases in memory {early.cases:,} and {late.cases:,}; {late.remembered:,} remembered"
    )
    out.print(f"  letting a case go: {apart(letting_go, 100_000):.1f} µs")
    each, add, look, longest = apart(marks, 2_000_000)
    out.print(
        f"  what is remembered: {each:.1f} bytes a mark, {add:.2f} µs to add, {look:.2f} µs to look for, longest pause {longest:.1f} ms"
    )
