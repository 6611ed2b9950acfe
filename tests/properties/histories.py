"""Agreements, calendars and histories drawn so that coincidences are likely: events at openings and closings, at one instant, at due."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import assume
from hypothesis import strategies as st

from tests.oracle.oracle import calendars_of, case_lines
from tests.oracle.units import instant, wall, written

Document = dict[str, Any]

# Mondays (or the day before) of weeks with something in them: a change of clocks, a public holiday with make-up days, nothing.
WEEKS = {
    "UTC": ["2026-03-02"],
    "Europe/Berlin": ["2026-03-27", "2026-10-23", "2026-03-02"],
    "America/New_York": ["2026-03-06", "2026-10-30"],
    "Asia/Shanghai": ["2026-02-12", "2025-10-10", "2026-03-02"],
    "Australia/Lord_Howe": ["2026-04-03", "2026-10-02"],
}
DAYS = 6  # of a history
PUBLISHED = "2027-01-01T00:00:00Z"  # where the table of China's holidays that the oracle knows ends
WINDOWS = [
    ["09:00-17:00"],
    ["09:00-12:00", "13:30-18:00"],
    ["00:00-24:00"],
    ["22:00-06:00"],
    ["08:00-10:00", "10:00-12:00", "18:00-02:00"],
    ["01:30-02:30", "02:45-04:00"],
    ["02:00-03:00"],
]
WITHIN = ["30m", "1h", "90m", "4h", "8h", "2d", "90s", "1bd", "2bd", "3bd", "1cd", "2cd"]
TARGETS = ["within", "within", "within", "until"]
KINDS = ["noise", "opened", "reset", "cancelled"] + ["changed", "paused", "resumed", "done", "reopened"] * 3


@dataclass(frozen=True)
class History:
    """What engine and oracle are both given."""

    agreement: Document
    calendars: list[Document]
    events: list[Document]
    until: str

    def __repr__(self) -> str:
        """Readable when it fails: pasted into a file it is the test again."""
        lines = [f"agreement = {self.agreement!r}", f"calendars = {self.calendars!r}", "events = ["]
        lines += [f"    {event!r}," for event in self.events]
        return "\n".join(["", *lines, "]", f"until = {self.until!r}"])


@st.composite
def _calendars(draw: st.DrawFn, zone: str, week: date) -> list[Document]:
    """Two calendars: `office` in the agreement's zone, `other` in any."""
    out = []
    for name in ("office", "other"):
        where = zone if name == "office" else draw(st.sampled_from(sorted(WEEKS)))
        china = where == "Asia/Shanghai" and draw(st.booleans())
        days = draw(st.sampled_from(["mon-fri", "mon-sun", "mon-thu"]))
        hours = {days: draw(st.sampled_from(WINDOWS))}
        if days == "mon-thu":
            hours["sat"] = draw(st.sampled_from(WINDOWS))
        dates = draw(st.lists(st.integers(0, DAYS), max_size=2, unique=True))
        overrides = {(week + timedelta(days=day)).isoformat(): draw(st.sampled_from([[], *WINDOWS])) for day in dates}
        document = {"apiVersion": "slawatch/v1", "kind": "Calendar", "name": name, "timezone": where, "hours": hours}
        document |= {"holidays": "CN"} if china else {}
        out.append(document | ({"overrides": overrides} if overrides else {}))
    return out


@st.composite
def _target(draw: st.DrawFn, kinds: list[str]) -> Document:
    kind = draw(st.sampled_from(kinds))
    target: Document = {}
    if kind == "within":
        target["within"] = draw(st.sampled_from(WITHIN))
        if target["within"].endswith("bd") and draw(st.booleans()):
            target["at"] = "same_time"
    else:
        target["until"] = "data.promised_at"
        if draw(st.booleans()):
            target["pausable"] = True
    if draw(st.booleans()):
        target["calendar"] = draw(st.sampled_from(["24x7", "office", "other"]))
    return target


@st.composite
def _objective(draw: st.DrawFn, kinds: list[str]) -> Document:
    conditions = ["data.p == 1", "data.p == 2", "data.p == 1 || data.x == true", "has(data.p) && data.p != 3"]
    targets = [draw(_target(kinds)) | {"when": when} for when in draw(st.lists(st.sampled_from(conditions), max_size=2, unique=True))]
    if not targets or draw(st.integers(0, 5)):
        targets.append(draw(_target(kinds)))
    objective: Document = {
        "name": "clock",
        "kind": "deadline",
        "start": "opened",
        "resume": "resumed",
        "cancel": "cancelled",
        "reset": "reset",
    }
    objective |= {
        "stop": draw(st.sampled_from(["done", "done", {"on": "done", "take": "last"}])),
        "reopen": {"on": "reopened", "as": draw(st.sampled_from(["continue", "new_cycle", "count_all"]))},
        "change": {"on": "changed", "as": draw(st.sampled_from(["carry", "retroactive", "restart"]))},
        "targets": targets,
    }
    match draw(st.sampled_from(["plain", "plain", "plain", "capped", "while"])):
        case "plain":
            objective["pause"] = "paused"
        case "capped":
            objective["pause"] = {"on": "paused", "at_most": draw(st.sampled_from(["30m", "2h"]))}
        case _:
            objective["pause"] = {"while": "data.wait == true"}
            del objective["resume"]
    if draw(st.integers(0, 7)) == 0:
        objective["when"] = draw(st.sampled_from(["data.x == true", "!has(data.y) || data.y != 1"]))
    if draw(st.integers(0, 3)) == 0:
        objective["boundary"] = "next_open"
    if draw(st.booleans()):
        objective["calendar"] = draw(st.sampled_from(["24x7", "office", "other"]))
    return objective


def _instants(agreement: Document, calendars: list[Document], week: date) -> list[int]:
    """Openings, closings and half hours of the week."""
    zone = ZoneInfo(agreement["timezone"])
    out = set()
    for hours in calendars_of(agreement, calendars).values():
        for day in range(DAYS):
            out |= {edge for span in hours.of_date(week + timedelta(days=day)) for edge in span}
    first, last = wall(week, 0, zone), wall(week + timedelta(days=DAYS), 0, zone)
    return sorted(at for at in out if first <= at <= last)


@st.composite
def _event(draw: st.DrawFn, number: int, kinds: list[str], times: list[int], promises: list[int]) -> Document:
    at = draw(st.sampled_from(times))
    data: Document = {}
    if draw(st.booleans()):
        data["p"] = draw(st.sampled_from([1, 2, 3]))
    if draw(st.integers(0, 3)) == 0:
        data["wait"] = draw(st.booleans())
    if draw(st.integers(0, 2)) == 0:
        data["x"] = draw(st.sampled_from([True, True, True, False]))
    if draw(st.integers(0, 5)) == 0:
        data["y"] = draw(st.sampled_from([1, 2]))
    if draw(st.integers(0, 4)) == 0:
        data["promised_at"] = written(draw(st.sampled_from(promises))) if draw(st.integers(0, 9)) else None
    event: Document = {"specversion": "1.0", "id": f"e{number}", "source": draw(st.sampled_from(["/a", "/a", "/b"]))}
    event["subject"] = draw(st.sampled_from(["case"] * 9 + ["other"])) if number else "case"
    event |= {"type": draw(st.sampled_from(kinds)), "time": written(at), "vendor": "acme", "service": "desk", "data": data}
    return event


@st.composite
def histories(draw: st.DrawFn, kinds: list[str] = TARGETS) -> History:
    """A history of one or two cases under one deadline objective with targets of these kinds, in order of arrival."""
    zone = draw(st.sampled_from(sorted(WEEKS)))
    week = date.fromisoformat(draw(st.sampled_from(WEEKS[zone])))
    calendars = draw(_calendars(zone, week))
    agreement: Document = {"apiVersion": "slawatch/v1", "kind": "Agreement", "name": "acme-desk", "version": 1, "vendor": "acme"}
    agreement |= {"service": "desk", "timezone": zone, "calendar": draw(st.sampled_from(["office", "office", "24x7"])), "horizon": "400d"}
    agreement["objectives"] = [draw(_objective(kinds))]
    edges = _instants(agreement, calendars, week)
    noon = wall(week, 12 * 60, ZoneInfo(zone))
    grid = [noon + step * 1_800_000 for step in range(2 * 24 * (DAYS - 1))]
    start = draw(st.sampled_from(edges[: len(edges) // 2] + grid[:48])) if draw(st.booleans()) else draw(st.sampled_from(grid[:48]))
    near = [start + step * 900_000 for step in range(33)]
    times = [at for at in edges if at >= start] + near + [start, start + 1, start + 500, start - 3_600_000]
    opening = draw(_event(0, ["opened"], [start], near + edges + grid))
    if draw(st.integers(0, 9)):  # a promise kept in mind by most openings
        opening["data"] |= {
            "p": draw(st.sampled_from([1, 2, 3])),
            "x": True,
            "promised_at": written(draw(st.sampled_from([*near, *edges]))),
        }
    events = [opening]
    for number in range(1, draw(st.integers(2, 10))):
        dues = _dues(agreement, calendars, events)
        ties = [instant(event["time"]) for event in events]
        after = [ties[-1] + step * 900_000 for step in (1, 2, 4, 4, 8, 16, 32, 96)]
        pool = draw(st.sampled_from([times, near, ties, dues or near, dues or times, grid, after, after]))
        events.append(draw(_event(number, KINDS, pool, near + edges + ties)))
    if draw(st.integers(0, 5)) == 0:  # one source numbers its events
        for event in events:
            event |= {"source": "/a", "sequence": f"{draw(st.integers(0, 99)):02d}{event['id']}"}
    last = max(instant(event["time"]) for event in events)
    dues = _dues(agreement, calendars, events)
    until = max(last, draw(st.sampled_from([last, *dues, *[due + 2_000 for due in dues], *[due + 2_001 for due in dues], *grid[::12]])))
    if any("holidays" in calendar for calendar in calendars):
        assume(max([until, *dues]) < instant(PUBLISHED))
    return History(agreement, calendars, draw(st.permutations(events)), str(written(until)))


def _dues(agreement: Document, calendars: list[Document], events: list[Document]) -> list[int]:
    lines = case_lines([agreement], calendars, events)
    return [instant(line["due"]) for line in lines if line["due"] is not None]
