"""`heartbeat` objectives with `every:`: one line a slot, by laying the events beside the dues."""

from datetime import date, timedelta
from itertools import count, pairwise
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle.cases import Event, matches, trigger
from tests.oracle.conditions import decide
from tests.oracle.hours import Hours
from tests.oracle.units import duration, instant, wall


def dues(agreement: dict[str, Any], objective: dict[str, Any], hours: Hours, last: int) -> list[int]:
    """effective.from, then every due up to the first after ``last``: civil time in the agreement's zone, moved off closed days.

    Slots that a closed day moves to one instant are one; one that is moved beyond the next is after it.
    """
    zone = ZoneInfo(agreement.get("timezone", "UTC"))
    first = date.fromisoformat(str(agreement["effective"]["from"]))
    step = duration(objective["every"]) // 60_000
    begin, out = wall(first, 0, zone), set[int]()
    for number in count(1):
        due = wall(first, number * step, zone)
        day = date.fromordinal(first.toordinal() + number * step // 1440)
        closed = not hours.of_date(day)
        if closed and objective.get("on_closed") == "next":
            due = hours.opening(due)
        if closed and objective.get("on_closed") == "previous":
            due = _opening_before(hours, day)
        out.add(due)
        if wall(first, number * step, zone) > last + 20 * 86_400_000:  # no run of closed days is longer
            ordered = sorted(due for due in out if due > begin)
            return [begin, *ordered[: 1 + sum(due <= last for due in ordered)]]
    raise AssertionError


def _opening_before(hours: Hours, day: date) -> int:
    """The opening of the last working day before a date."""
    while True:
        day -= timedelta(days=1)
        if hours.of_date(day):
            return hours.of_date(day)[0][0]


def slot_lines(
    agreement: dict[str, Any], objective: dict[str, Any], hours: Hours, ordered: list[tuple[Event, dict[str, Any]]], log: int, since: int
) -> list[dict[str, Any]]:
    """Slots due from ``since`` on to the current one. ``ordered``: the (vendor, service)'s events with their case's merged data."""
    spec = trigger(objective["on"])
    grace = duration(agreement.get("grace", "2s"))
    beats = [
        instant(event["time"])
        for event, data in ordered
        if matches(spec, event) and decide(spec.get("when"), data, event) and decide(objective.get("when"), data, event)
    ]
    edges = dues(agreement, objective, hours, log)
    used: set[int] = set()  # events that closed an earlier slot
    out = []
    for before, due in ((before, due) for before, due in pairwise(edges) if due >= since):
        inside = [n for n, at in enumerate(beats) if before < at <= due and n not in used]
        after = [n for n, at in enumerate(beats) if at > due]
        line: dict[str, Any] = {"cycle": 1, "case": due, "started": before, "due": due, "stopped": None, "late": None, "overdue": None}
        if inside:
            line |= {"state": "met", "stopped": beats[inside[0]]}
        elif after:
            used.add(after[0])
            line |= {"state": "breached_closed", "stopped": beats[after[0]]}
        else:
            line |= {"state": "breached" if due + grace < log else "running"}
        if line["state"].startswith("breached"):
            end = log if line["stopped"] is None else line["stopped"]
            line |= {"late": hours.worked(due, end), "overdue": end - due}
        out.append(line)
    return out
