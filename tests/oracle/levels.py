"""Closed windows of `ratio`, `aggregate` and `availability` over contract periods and tumbling windows (rolling ones: rolling.py)."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle.cases import Event, matches, trigger
from tests.oracle.conditions import decide, lookup
from tests.oracle.hours import Hours
from tests.oracle.units import duration, instant, local, wall, written

Line = dict[str, Any]
Merged = list[tuple[Event, dict[str, Any]]]  # events in order, each with its case's merged data
Measured = tuple[Fraction | int | None, Fraction | int | None, Fraction | None]  # good, total, value

SIGNS: dict[str, Callable[[Fraction, Fraction], bool]] = {
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    "==": lambda a, b: a == b,
}
MONTHS = {"month": 1, "quarter": 3, "year": 12}


def period(kind: str, day: date) -> tuple[date, date]:
    """First day of the contract period that holds a day, and of the next one. Weeks begin on Monday."""
    if kind == "week":
        first = day - timedelta(days=day.weekday())
        return first, first + timedelta(days=7)
    size = MONTHS[kind]
    month = (day.month - 1) // size * size
    follows = month + size
    return date(day.year, month + 1, 1), date(day.year + follows // 12, follows % 12 + 1, 1)


def windows(agreement: dict[str, Any], objective: dict[str, Any], first_event: int) -> Iterator[tuple[int, int]]:
    """Windows from the one that holds the later of effective.from and the first event, without end."""
    zone = ZoneInfo(agreement.get("timezone", "UTC"))
    effective = agreement.get("effective", {}).get("from")
    begin = wall(date.fromisoformat(str(effective)), 0, zone) if effective else None
    first = first_event if begin is None else max(begin, first_event)
    kind = objective.get("window", "period")
    if kind == "period":
        day = local(first, zone).date()
        while True:
            start, day = period(agreement.get("period", "month"), day)
            yield max(wall(start, 0, zone), begin or -(10**18)), wall(day, 0, zone)
    assert kind.startswith("tumbling ")
    assert effective, "tumbling windows are anchored at effective.from"
    minutes, number = duration(kind.removeprefix("tumbling ")) // 60_000, 0
    anchor = date.fromisoformat(str(effective))
    while True:
        window = wall(anchor, number * minutes, zone), wall(anchor, (number + 1) * minutes, zone)
        if window[1] > first:
            yield window
        number += 1


def bound(text: str) -> tuple[str, Fraction]:
    """`>= 95%` as its sign and an exact number."""
    sign, number = text.split()
    return sign, Fraction(number.removesuffix("%")) / 100 if number.endswith("%") else Fraction(number)


def level_lines(
    agreement: dict[str, Any], objective: dict[str, Any], hours: Hours, merged: Merged, outcomes: list[Line], log: int
) -> list[Line]:
    """Closed windows of one objective for one (vendor, service). ``outcomes``: the case lines of the objective it speaks of."""
    sign, target = bound(objective["target"])
    grace = duration(agreement.get("grace", "2s"))
    out = []
    for start, end in windows(agreement, objective, min(instant(event["time"]) for event, _ in merged)):
        if end + grace >= log:
            break
        good, total, value = _measure(objective, hours, merged, outcomes, start, end)
        state = "met" if value is not None and SIGNS[sign](value, target) else "breached"
        if not total:
            state = {"met": "met", "no_data": "no_data", "breach": "breached"}[objective.get("on_empty", "no_data")]
        elif objective["kind"] != "availability" and total < int(objective.get("min_events", 0)):
            state = "no_data"
        out.append(
            {"window_start": written(start), "window_end": written(end), "good": good, "total": total, "value": value, "state": state}
        )
    return out


def _measure(objective: dict[str, Any], hours: Hours, merged: Merged, outcomes: list[Line], start: int, end: int) -> Measured:
    if objective["kind"] == "availability":
        return _availability(objective, hours, merged, start, end)
    if "objective" in objective["of"]:
        marks = [(line["stopped"], 1) for line in outcomes if line["state"] == "met"]
        marks += [(line["due"], 0) for line in outcomes if line["state"] in {"breached", "breached_closed"}]
        inside = [good for at, good in marks if start <= instant(at) < end]
        return sum(inside), len(inside), Fraction(sum(inside), len(inside)) if inside else None
    spec = trigger(objective["of"]["events"])
    found = [
        event
        for event, data in merged
        if start <= instant(event["time"]) < end
        and matches(spec, event)
        and decide(spec.get("when"), data, event)
        and decide(objective.get("when"), data, event)
    ]
    if objective["kind"] == "ratio":
        verdicts = [decide(spec.get("good"), event.get("data") or {}, event) for event in found]
        known = [verdict for verdict in verdicts if verdict is not None]
        return sum(known), len(known), Fraction(sum(known), len(known)) if known else None
    return _aggregate(objective, found)


def _aggregate(objective: dict[str, Any], found: list[Event]) -> Measured:
    name = objective["aggregate"]
    if name == "count":
        return None, len(found), Fraction(len(found))
    read = [lookup(objective["field"], event.get("data") or {}, event) for event in found]
    values = sorted(Fraction(Decimal(str(value))) for value in read if isinstance(value, int | float) and not isinstance(value, bool))
    if not values:
        return None, 0, None
    total = len(values)
    if name.startswith("p"):
        rank = -(-total * Fraction(name[1:]) // 100)  # nearest rank: rounded up
        return None, total, values[max(int(rank), 1) - 1]
    value = {"avg": sum(values) / total, "sum": sum(values), "min": values[0], "max": values[-1]}[name]
    return None, total, Fraction(value)


def spells(merged: Merged, start_on: dict[str, Any], end_on: dict[str, Any], log: int) -> list[tuple[int, int]]:
    """[down, up) of each case; one still down lasts to ``log``."""
    since: dict[str, int] = {}
    out = []
    ranked = sorted(merged, key=lambda pair: (instant(pair[0]["time"]), matches(end_on, pair[0])))
    for event, data in ranked:
        case, at = event["subject"], instant(event["time"])
        if matches(start_on, event) and decide(start_on.get("when"), data, event):
            since.setdefault(case, at)
        if matches(end_on, event) and decide(end_on.get("when"), data, event) and case in since:
            out.append((since.pop(case), at))
    return out + [(at, log) for at in since.values()]


def _availability(objective: dict[str, Any], hours: Hours, merged: Merged, start: int, end: int) -> Measured:
    """Second-exact by cutting the window at every edge there is and asking each piece what it is."""
    exclude = objective.get("exclude", {})
    down = spells(merged, trigger(objective["down"]), trigger(objective["up"]), end)
    out = spells(merged, trigger(exclude.get("from")), trigger(exclude.get("to")), end)
    cuts = sorted({start, end} | {min(max(edge, start), end) for spell in down + out for edge in spell})
    total = lost = 0
    for a, b in pairwise(cuts):
        if any(x <= a < y for x, y in out):
            continue
        work = hours.worked(a, b)
        total += work
        lost += work if any(x <= a < y for x, y in down) else 0
    return Fraction(total - lost, 1000), Fraction(total, 1000), Fraction(total - lost, total) if total else None
