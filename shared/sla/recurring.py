"""When recurring deliverables are due: intervals or RFC 5545 recurrences in civil time, moved off closed days.

effective.from      due 1         due 2 (a holiday) ─► next opening
     |---------------]-----------------------------------]            a slot is (previous due, due]
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, Literal

from dateutil.rrule import DAILY, rrule, rrulestr

from shared.sla.calendars import Calendar, Zone, date_of, midnight_of
from shared.sla.instants import DAY, HOUR, MINUTE, SECOND
from shared.sla.terms import Agreement, Heartbeat
from shared.sla.windows import anchor_of

_REACH: Final = 40 * DAY  # longer than any run of closed days that a due is moved over
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - wall time, as is all that is asked of a recurrence
_LAST: Final = midnight_of(datetime(2200, 1, 1).toordinal())  # noqa: DTZ001 - beyond it nothing is due
_ERA_YEARS, _ERA_DAYS = 400, 146_097  # after which days, dates and week days come again as they were
_LATEST_YEAR: Final = 9_799  # an era before the last year there is


class _Every:
    """Due each `every` ms of civil time after the anchor."""

    def __init__(self, anchor: int, every: int, *, endless: bool) -> None:
        """`endless`: also before the anchor."""
        self._anchor, self._every, self._endless = anchor, every, endless

    def walls(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """(wall time, ordinal of its date) of the dues of a stretch of wall time."""
        number = -((self._anchor - start) // self._every)
        if not self._endless:
            number = max(number, 1)
        wall = self._anchor + number * self._every
        while wall < end:
            yield wall, date_of(wall)
            wall += self._every


def rule_days(rule: str, first: int) -> Iterator[int]:
    """The days (since 1970) of an RRULE from the day `first` on, for 200 years at least; none where its steps are not days or more.

    dateutil looks for the next day up to the year 9999, so that a rule without one would keep it busy for long: it is asked some eras
    later, where that end is near.
    """
    begins = _EPOCH + timedelta(days=first)
    eras = (_LATEST_YEAR - begins.year) // _ERA_YEARS
    later = rrulestr(rule, dtstart=begins.replace(year=begins.year + eras * _ERA_YEARS))
    assert isinstance(later, rrule)
    if later._interval < 1 or later._freq > DAILY:  # type: ignore[attr-defined]  # as dateutil read it; it would never end
        return iter(())
    return ((day - _EPOCH).days - eras * _ERA_DAYS for day in later)


class _Recurrence:
    """Due on the dates of an RRULE, at a time of day. The rule runs from the anchor's date on."""

    def __init__(self, anchor: int, rule: str, at: str) -> None:
        self._days = rule_days(rule, anchor // DAY)
        self._known: list[int] = []  # days since 1970, ascending
        self._anchor, self._at = anchor, _time_of_day(at)

    def walls(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """(wall time, ordinal of its date) of the dues of a stretch of wall time."""
        last = end // DAY
        while not self._known or self._known[-1] <= last:
            day = next(self._days, None)
            if day is None:
                break
            self._known.append(day)
        for day in self._known[bisect_left(self._known, start // DAY - 1) : bisect_right(self._known, last)]:
            wall = day * DAY + self._at
            if start <= wall < end and wall > self._anchor:
                yield wall, date_of(day * DAY)


def _time_of_day(text: str) -> int:
    """`18:00` or `18:00:30` in ms from midnight."""
    hours, minutes, *seconds = (int(part) for part in text.split(":"))
    return hours * HOUR + minutes * MINUTE + (seconds[0] if seconds else 0) * SECOND


class Dues:
    """The slots of a heartbeat as a grid: `around(t)` gives the due at or before t, and the first after it."""

    def __init__(self, agreement: Agreement, objective: Heartbeat, calendar: Calendar, zone: Zone) -> None:
        anchor, endless = anchor_of(agreement, zone), agreement.effective_from is None
        self._zone, self._calendar = zone, calendar
        self._on_closed: Literal["next", "previous", "same"] = objective.on_closed
        self._origin = zone.to_instant(anchor)
        self._walls = (
            _Recurrence(anchor, objective.rrule, objective.at or "00:00")
            if objective.every is None and objective.rrule is not None
            else _Every(anchor, objective.every or DAY, endless=endless)
        )
        self._stretch = _REACH if objective.every is None else max(min(_REACH, 64 * objective.every), 2 * objective.every)
        self._reach = DAY if self._on_closed == "same" else _REACH  # a due may come from so far off
        self._from, self._to = 0, 0  # instants for which the dues are known: from < due <= to
        self._dues: list[int] = []

    def around(self, instant: int) -> tuple[int, int]:
        """(last due <= instant, first due > instant). Before the first due stands the anchor; after the last, the end of time."""
        if not self._from <= instant <= self._to:
            self._fill(instant - self._stretch, instant + self._stretch)
        i = bisect_right(self._dues, instant)
        while i == len(self._dues) and self._to < _LAST:
            self._fill(self._from, 2 * self._to - self._from)
            i = bisect_right(self._dues, instant)
        while i == 0 and self._from > self._origin - self._reach:
            self._fill(2 * self._from - self._to, self._to)
            i = bisect_right(self._dues, instant)
        return (self._dues[i - 1] if i else min(self._origin, instant)), (self._dues[i] if i < len(self._dues) else _LAST)

    def _fill(self, low: int, high: int) -> None:
        to_local = self._zone.to_local
        found = {self._moved(wall, day) for wall, day in self._walls.walls(to_local(low - self._reach), to_local(high + self._reach))}
        self._from, self._to = low, high
        self._dues = sorted(due for due in found if low < due <= high)

    def _moved(self, wall: int, day: int) -> int:
        """The instant of a due; of one on a closed day, as `on_closed` says."""
        due = self._zone.to_instant(wall)
        if self._on_closed == "same" or self._calendar.is_working_day(day):
            return due
        moved = self._calendar.next_opening(due) if self._on_closed == "next" else self._calendar.opening_before(day)
        return due if moved is None else moved
