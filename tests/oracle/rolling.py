"""Rolling windows and burn rates by brute force: every edge of the grid is walked, every window measured from all that is known."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle.cases import Event, matches, trigger
from tests.oracle.conditions import decide, lookup
from tests.oracle.hours import Hours
from tests.oracle.levels import SIGNS, Line, Merged, bound, spells
from tests.oracle.oracle import calendars_of, case_lines, evidence, merged_of
from tests.oracle.units import duration, instant, local, wall, written

FAR = 1 << 50  # after all windows
Window = tuple[int, int]
Spans = list[tuple[int, int]]


@dataclass(frozen=True)
class Measure:
    """What a window holds. `bad`: the share of it that is bad; None where there is no such thing. `is_silent`: nothing in it counts."""

    good: Fraction | int | None
    total: Fraction | int
    value: Fraction | None
    is_silent: bool
    bad: Fraction | None = None


Facts = Callable[[int, int], Measure]  # what is known, asked for one window


def parts(length: int) -> int:
    """Into how many buckets a window falls: sixty, if each lasts a second."""
    return max(1, min(60, length // 1000))


class Level:
    """One objective of an agreement for one (vendor, service)."""

    def __init__(self, agreement: dict[str, Any], name: str, calendars: list[dict[str, Any]]) -> None:
        self.agreement, self.calendars = agreement, calendars
        self.objective: dict[str, Any] = next(o for o in agreement["objectives"] if o["name"] == name)
        self.zone = ZoneInfo(agreement.get("timezone", "UTC"))
        self.grace = duration(agreement.get("grace", "2s"))
        self.anchor = date.fromisoformat(str(agreement["effective"]["from"])) if "effective" in agreement else date(1970, 1, 5)
        self.begin = wall(self.anchor, 0, self.zone) if "effective" in agreement else -FAR
        self.sign, self.target = bound(self.objective["target"])

    # -- windows

    @cached_property
    def length(self) -> int:
        """Of a rolling window."""
        return duration(self.objective["window"].removeprefix("rolling "))

    def windows(self, first: int, log: int) -> Iterator[Window]:
        """Rolling windows whose ends lie after the first event, and in log time that has passed: civil time from the anchor, clipped."""
        count = parts(self.length)
        step, left = divmod(self.length, count)
        assert left == 0, "buckets of whole milliseconds only"
        midnight = datetime.combine(self.anchor, time.min)
        number = (local(max(first, self.begin), self.zone) - midnight) // timedelta(milliseconds=step) - 3 * count
        steps = (log - max(first, self.begin)) // step + 7 * count
        boundaries = sorted(
            {self._civil((number + k) * step) for k in range(steps)}
        )  # those that a change of clocks brings together are one
        for start, end in zip(boundaries, boundaries[count:], strict=False):
            if end > max(first, self.begin) and end + self.grace < log:
                yield max(start, self.begin), end

    def _civil(self, millis: int) -> int:
        """The instant of a wall time after the anchor."""
        minutes, rest = divmod(millis, 60_000)
        return wall(self.anchor, minutes, self.zone) + rest

    # -- what is known

    def facts(self, known: list[Event], until: int) -> Facts:
        """What these events tell of windows that end by ``until``."""
        merged = merged_of(evidence(known))
        if self.objective["kind"] == "availability":
            return self._uptime(merged, until)
        if "objective" in self.objective["of"]:
            return _shares(self._outcomes(known))
        spec = trigger(self.objective["of"]["events"])
        found = [
            event
            for event, data in merged
            if matches(spec, event) and decide(spec.get("when"), data, event) and decide(self.objective.get("when"), data, event)
        ]
        if self.objective["kind"] == "ratio":
            verdicts = [(instant(event["time"]), decide(spec.get("good"), event.get("data") or {}, event)) for event in found]
            return _shares([(at, int(good)) for at, good in verdicts if good is not None])
        return _values(self.objective, found)

    def _outcomes(self, known: list[Event]) -> list[tuple[int, int]]:
        """(instant, whether met) of the clocks of the objective it speaks of, if nothing more were to come."""
        last = max((instant(event["time"]) for event in known), default=0)
        lines = case_lines([self.agreement], self.calendars, known, written(last + 90 * 86_400_000))
        mine = [line for line in lines if line["objective"] == self.objective["of"]["objective"]]
        met = [(instant(line["stopped"]), 1) for line in mine if line["state"] == "met"]
        return met + [(instant(line["due"]), 0) for line in mine if line["state"] in {"breached", "breached_closed"}]

    def _uptime(self, merged: Merged, until: int) -> Facts:
        """The line of time, cut at every edge there is, each piece asked once what it is."""
        exclude = self.objective.get("exclude", {})
        pairs = [
            (trigger(self.objective["down"]), trigger(self.objective["up"])),
            (trigger(exclude.get("from")), trigger(exclude.get("to"))),
        ]
        down, out = (spells(merged, *pair, FAR) for pair in pairs)
        specs = [spec for pair in pairs for spec in pair]
        news = [instant(e["time"]) for e, data in merged if any(matches(s, e) and decide(s.get("when"), data, e) for s in specs)]
        earliest = min([until, *news]) - 10 * 86_400_000
        name = str(self.objective.get("calendar", self.agreement.get("calendar", "24x7")))
        service = _service(calendars_of(self.agreement, self.calendars)[name], earliest, until)
        cuts = sorted({edge for spell in down + out + service for edge in spell})
        within = [(a, b) for a, b in pairwise(cuts) if _in(a, service) and not _in(a, out)]
        lost = [(a, b) for a, b in within if _in(a, down)]

        def measure(start: int, end: int) -> Measure:
            total, bad = _overlap(within, start, end), _overlap(lost, start, end)
            is_silent = not any(start <= at < end for at in news) and not any(a < end and b > start for a, b in down)
            share = Fraction(bad, total) if total else None
            value = None if share is None else 1 - share
            return Measure(Fraction(total - bad, 1000), Fraction(total, 1000), value, is_silent, share)

        return measure

    # -- what follows

    def line(self, facts: Facts, window: Window) -> Line:
        """The window's line."""
        found = facts(*window)
        told = {"window_start": written(window[0]), "window_end": written(window[1])}
        return told | {"good": found.good, "total": found.total, "value": found.value, "state": self._state(found)}

    def _state(self, found: Measure) -> str:
        if found.is_silent or found.total == 0:
            return {"met": "met", "no_data": "no_data", "breach": "breached"}[self.objective["on_empty"]]
        if self.objective["kind"] != "availability" and found.total < int(self.objective.get("min_events", 0)):
            return "no_data"
        if found.value is None or not SIGNS[self.sign](found.value, self.target):
            return "breached"
        used = self._used(found)
        return "at_risk" if used is not None and any(used >= bound(f">= {s}")[1] for s in self.objective.get("warn_at", [])) else "met"

    def _used(self, found: Measure) -> Fraction | None:
        """The share of the error budget that is used."""
        if self.objective["kind"] == "aggregate":
            return found.value / self.target if found.value is not None and self.sign in {"<", "<="} and self.target > 0 else None
        return found.bad / (1 - self.target) if found.bad is not None and self.target < 1 else None

    def burns(self, pair: dict[str, Any], facts: Facts, edge: int) -> bool:
        """Whether both windows that end at the edge burn faster than the factor.

        Events dated before the agreement count in none; service before it does: what was down then was down.
        """
        begin = -FAR if self.objective["kind"] == "availability" else self.begin
        most = Fraction(str(pair["factor"])) * (1 - self.target)
        long, short = (facts(max(edge - duration(pair[which]), begin), edge) for which in ("long", "short"))
        if self.objective["kind"] == "ratio" and long.total < int(self.objective.get("min_events", 0)):
            return False
        return all(found.bad is not None and found.bad > most for found in (long, short))

    def edges(self, pair: dict[str, Any], first: int, log: int) -> Iterator[int]:
        """Edges of the pair's grid after the first event, in log time that has passed."""
        length = duration(pair["short"])
        step, left = divmod(length, parts(length))
        assert left == 0, "buckets of whole milliseconds only"
        edge = max(first, self.begin) // step * step + step
        while edge + self.grace < log:
            yield edge
            edge += step


def course(level: Level, arrivals: list[tuple[int, Event]], log: int, begun: int | None = None) -> list[Line]:
    """What is seen of a rolling level: each edge is looked at once past, the last one anew at each record; no change, no line.

    The text lets it begin at the later of effective.from and the first event. The engine may begin later, in log time `begun` (or not at
    all yet), as long as nothing counted in the windows it passed over.
    """
    windows = level.windows(min(instant(event["time"]) for _, event in arrivals), log)
    looks: list[tuple[int, int, Window | None, Event | None]] = [(at, 0, None, event) for at, event in arrivals]
    looks += [(window[1] + level.grace, 2, window, None) for window in windows]  # at one instant records go first
    looks += [(begun, 1, None, None)] if begun is not None else []
    looks.sort(key=lambda look: look[:2])
    out: list[Line] = []
    known: list[Event] = []
    current: Window | None = None
    facts = level.facts(known, log)
    for at, _, window, event in looks:
        current = window or current
        if event is not None:
            known.append(event)
            facts = level.facts(known, log)
        is_early = not out and (begun is None or at < begun)
        if current is None or (is_early and window is None) or (not out and (is_early or window is None) and facts(*current).is_silent):
            continue
        line = level.line(facts, current)
        if not out or line["state"] != out[-1]["state"] or line["window_end"] == out[-1]["window_end"]:
            out.append(line)
    return out


def listed(course: list[Line]) -> list[Line]:
    """The lines of `levels.ndjson`: of each window the last, if its state then differs from the one before."""
    out: list[Line] = []
    for line in course:
        if out and out[-1]["window_end"] == line["window_end"]:
            out.pop()
        if not out or line["state"] != out[-1]["state"]:
            out.append(line)
    return out


def onsets(level: Level, pair: dict[str, Any], facts: Facts, first: int, log: int) -> list[int]:
    """The edges at which it begins to burn."""
    burning = [(edge, level.burns(pair, facts, edge)) for edge in level.edges(pair, first, log)]
    before = [False, *(burns for _, burns in burning)]
    return [edge for (edge, burns), did in zip(burning, before, strict=False) if burns and not did]


def _shares(marks: list[tuple[int, int]]) -> Facts:
    def measure(start: int, end: int) -> Measure:
        inside = [good for at, good in marks if start <= at < end]
        if not inside:
            return Measure(0, 0, None, True)
        value = Fraction(sum(inside), len(inside))
        return Measure(sum(inside), len(inside), value, False, 1 - value)

    return measure


def _values(objective: dict[str, Any], found: list[Event]) -> Facts:
    name = objective["aggregate"]
    read = [(instant(e["time"]), 1 if name == "count" else lookup(objective["field"], e.get("data") or {}, e)) for e in found]
    numbers = [(at, Fraction(Decimal(str(value)))) for at, value in read if isinstance(value, int | float) and not isinstance(value, bool)]

    def measure(start: int, end: int) -> Measure:
        inside = sorted(value for at, value in numbers if start <= at < end)
        if not inside:
            return Measure(None, 0, Fraction(0) if name == "count" else None, True)
        total, rank = len(inside), 0
        if name.startswith("p"):
            rank = int(-(-total * Fraction(name[1:]) // 100))  # nearest rank: rounded up
            return Measure(None, total, inside[max(rank, 1) - 1], False)
        of = {"count": Fraction(total), "avg": sum(inside) / total, "sum": sum(inside), "min": inside[0], "max": inside[-1]}
        return Measure(None, total, Fraction(of[name]), False)

    return measure


def _service(hours: Hours, frm: int, until: int) -> Spans:
    """Working time as spans: those of one date after the other, however they overlap."""
    out: Spans = []
    for day in hours.dates_from(frm):
        if wall(day, 0, hours.zone) > until:
            break
        out += hours.of_date(day)
    return out


def _in(at: int, spans: Spans) -> bool:
    return any(a <= at < b for a, b in spans)


def _overlap(spans: Spans, start: int, end: int) -> int:
    return sum(min(b, end) - max(a, start) for a, b in spans if a < end and b > start)
