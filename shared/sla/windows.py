"""Which span of civil time an instant lies in, and under which version of the agreement: arithmetic that holds no state of objectives.

    Grid        contract periods, or steps of equal length from an anchor: the window [start, end) around an instant
    Timetable   the grids of an objective's versions, one after the other: the version in force at a window's start rules it

All instants and lengths are milliseconds; lengths are civil (wall) time of the agreement's zone.
"""

from bisect import bisect_right
from calendar import monthrange
from datetime import date
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from shared.sla.calendars import Zone, date_of, midnight_of
from shared.sla.instants import DAY, FOREVER, HOUR, SECOND
from shared.sla.rules import Editions, Ruling
from shared.sla.terms import Agreement, Window

_GAP_MAX: Final = 3 * HOUR  # a change of clocks moves no boundary further
_FAR: Final = 3 * DAY  # from a change of clocks, there wall time and instants differ by one offset
ROLLING_PARTS: Final = 60  # a rolling window is kept in this many buckets
EPOCH_MONDAY: Final = 4 * DAY  # 1970-01-05: the anchor where the agreement has no effective.from


class Grid(Protocol):
    """Cuts time into windows that touch."""

    def around(self, instant: int) -> tuple[int, int]:
        """(start, end) of the window that holds an instant: start <= instant < end."""
        ...


class Periods:
    """Contract periods: weeks from Monday, months, quarters, years, each from midnight to midnight of the zone."""

    def __init__(self, zone: Zone, period: str) -> None:
        self._zone, self._period = zone, period

    def around(self, instant: int) -> tuple[int, int]:
        """The period that holds an instant."""
        first, after = self._dates(date_of(self._zone.to_local(instant)))
        return self._zone.to_instant(midnight_of(first)), self._zone.to_instant(midnight_of(after))

    def _dates(self, ordinal: int) -> tuple[int, int]:
        if self._period == "week":
            monday = ordinal - (ordinal - 1) % 7
            return monday, monday + 7
        months = {"month": 1, "quarter": 3, "year": 12}[self._period]
        day = date.fromordinal(ordinal)
        first = (day.month - 1) // months * months + 1
        last = first + months - 1
        return date(day.year, first, 1).toordinal(), date(day.year, last, monthrange(day.year, last)[1]).toordinal() + 1


class Steps:
    """Windows of equal civil length from an anchor; or, with `parts`, that length cut into so many buckets."""

    def __init__(self, zone: Zone, anchor: int, length: int, parts: int = 1) -> None:
        """`anchor` is wall time, ms as if it were UTC."""
        self._zone, self._anchor, self._length, self._parts = zone, anchor, length, parts
        self._steady = FOREVER, -FOREVER, 0  # instants around which no clock changes, and their offset
        self._near = _GAP_MAX * parts // length + 2  # so many boundaries may be out of order where clocks change

    def _edge(self, number: int) -> int:
        return self._zone.to_instant(self._anchor + number * self._length // self._parts)

    def around(self, instant: int) -> tuple[int, int]:
        """The step that holds an instant. Boundaries that a change of clocks brings together are one."""
        start, end, offset = self._steady
        if not start <= instant < end:
            self._steady = start, end, offset = self._zone.steady(instant, self._length + _FAR)
        if start <= instant < end:
            anchor, length, parts = self._anchor - offset, self._length, self._parts
            number = ((instant - anchor + 1) * parts - 1) // length
            return anchor + number * length // parts, anchor + (number + 1) * length // parts
        return self._near_a_change(instant)

    def _near_a_change(self, instant: int) -> tuple[int, int]:
        zone, reach = self._zone, _GAP_MAX + self._length
        number = ((zone.to_local(instant) - self._anchor + 1) * self._parts - 1) // self._length
        start, end = self._edge(number), self._edge(number + 1)
        if start <= instant < end and zone.is_steady(instant - reach, instant + reach):
            return start, end
        edges = sorted({self._edge(n) for n in range(number - self._near, number + self._near + 1)})
        i = bisect_right(edges, instant)
        return edges[i - 1], edges[i]


def bucket_parts(length: int) -> int:
    """Into how many buckets a rolling window is cut: sixty, or fewer where they would be shorter than a second."""
    return max(min(ROLLING_PARTS, length // SECOND), 1)


def anchor_of(agreement: Agreement, zone: Zone) -> int:
    """Wall time (ms as if UTC) that `every` and `window` count from: effective.from, else a Monday long ago."""
    return EPOCH_MONDAY if agreement.effective_from is None else zone.to_local(agreement.effective_from)


def grid_of(agreement: Agreement, window: Window, zone: Zone) -> Grid:
    """The windows of an objective; for a rolling one, its buckets."""
    if window.length is None:
        return Periods(zone, agreement.period)
    parts = bucket_parts(window.length) if window.kind == "rolling" else 1
    return Steps(zone, anchor_of(agreement, zone), window.length, parts)


class Gridded(Ruling, Protocol):
    """A version's rules of an objective whose promises are counted over spans of time."""

    @property
    def grid(self) -> Grid: ...


R = TypeVar("R", bound=Gridded)


class Span(NamedTuple, Generic[R]):
    """A window [start, end), and the rules of the version in force at its start."""

    start: int
    end: int
    rules: R


class Timetable(Generic[R]):
    """The windows of an objective over all its versions.

        v1   |-------|-------|-------|              a window begun under v1 is finished under v1,
        v2                 ^ from    |-----|-----|  then v2's grid goes on, clipped to where v1's last window ended

    A version that is activated while another is in force rules windows that begin after its activation.
    """

    def __init__(self, editions: Editions[R], vendor: str, service: str) -> None:
        self.editions, self._vendor, self._service = editions, vendor, service
        self._size = -1
        self._first: int | None = None
        self._edges: list[int] = []  # instants at which another version may begin to rule
        self._before: dict[int, Span[R] | None] = {}  # edge -> the window that holds the instant before it
        self._last: Span[R] | None = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._size = -1  # whatever follows from the versions is worked out anew

    def _renew(self) -> None:
        self._size, self._last, self._before = self.editions.size, None, {}
        self._edges = sorted(self.editions.edges())
        mine = (edition for edition in self.editions if edition.concerns(self._vendor, self._service))
        begins = [self.editions.begins(edition) for edition in mine]
        self._first = None if None in begins else min((begin for begin in begins if begin is not None), default=None)

    @property
    def first(self) -> int | None:
        """The first instant that any version rules; None where one has ruled since ever."""
        if self._size != self.editions.size:
            self._renew()
        return self._first

    def at(self, instant: int) -> Span[R] | None:
        """The window that holds an instant; None where no version rules."""
        if self._size != self.editions.size:
            self._renew()
        span = self._last
        if span is None or not span.start <= instant < span.end:
            span = self._find(instant)
            if span is not None:
                self._last = span
        return span

    def _find(self, instant: int) -> Span[R] | None:
        floor: int | None = None
        i = bisect_right(self._edges, instant) - 1
        if i >= 0:
            edge = self._edges[i]
            if edge not in self._before:
                self._before[edge] = self._find(edge - 1)
            before = self._before[edge]
            if before is not None and before.end > instant:
                return before
            floor = edge if before is None else max(edge, before.end)
        rules = self.editions.ruling(instant, self._vendor, self._service)
        if rules is None:
            return None
        start, end = rules.grid.around(instant)
        return Span(start if floor is None else max(start, floor), end, rules)

    def following(self, instant: int) -> Span[R] | None:
        """The window that holds an instant, else the first after it; None where there is none."""
        span = self.at(instant)
        for edge in self._edges[bisect_right(self._edges, instant) :]:
            span = span or self.at(edge)
        return span
