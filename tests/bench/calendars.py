"""Due and elapsed on a business calendar with lunch breaks and ten years of holidays."""

import random
import time

from rich.console import Console

from shared.language import load_text
from shared.sla.calendars import Calendar
from shared.sla.instants import DAY, HOUR, parse_instant

CALENDAR = """
apiVersion: slawatch/v1
kind: Calendar
name: office
timezone: Asia/Shanghai
hours: {mon-fri: ["09:00-12:00", "13:30-18:00"]}
holidays: CN
"""
CALLS = 200_000


def report(out: Console) -> None:
    """Microseconds a call."""
    calendar = Calendar(load_text("bench", CALENDAR).or_raise().calendars["office"])
    first, rng = parse_instant("2016-01-04T00:00:00Z"), random.Random(1)
    starts = [first + rng.randrange(3_650 * DAY) for _ in range(CALLS)]
    calendar.worked(first, first + 3_660 * DAY)
    started = time.perf_counter()
    for start in starts:
        calendar.advance(start, 20 * HOUR)
    due = time.perf_counter() - started
    started = time.perf_counter()
    for start in starts:
        calendar.worked(start, start + 9 * DAY)
    elapsed = time.perf_counter() - started
    out.print(f"due {due / CALLS * 1e6:.2f} µs, elapsed {elapsed / CALLS * 1e6:.2f} µs a call   (goal: under 2 µs each)")
