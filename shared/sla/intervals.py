"""Unions of intervals that come and go, and the working time in them: kept sorted, recomputed from where something changed."""

from bisect import bisect_left, bisect_right, insort

from shared.sla.calendars import Calendar

Interval = tuple[int, int]  # [start, end) in ms


class Union:
    """The union of intervals. Adding at the end is cheap; a change further back renews what comes after it."""

    def __init__(self) -> None:
        self._members: list[Interval] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._dirty: int | None = None  # the union is right up to here

    def add(self, interval: Interval) -> None:
        """Put an interval in; an empty one is none."""
        if interval[0] < interval[1]:
            insort(self._members, interval)
            self._touch(interval[0])

    def remove(self, interval: Interval) -> None:
        """Take out an interval that was put in."""
        if interval[0] < interval[1]:
            del self._members[bisect_left(self._members, interval)]
            self._touch(interval[0])

    def _touch(self, instant: int) -> None:
        self._dirty = instant if self._dirty is None else min(self._dirty, instant)

    def _refresh(self) -> None:
        if self._dirty is None:
            return
        kept = bisect_left(self._ends, self._dirty)  # what touches the change is made again
        begin = min(self._dirty, self._starts[kept]) if kept < len(self._starts) else self._dirty
        del self._starts[kept:], self._ends[kept:]
        for start, end in self._members[bisect_left(self._members, (begin, begin)) :]:
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)
        self._dirty = None

    def within(self, start: int, end: int) -> list[Interval]:
        """The union's intervals, clipped to [start, end)."""
        self._refresh()
        first, last = bisect_right(self._ends, start), bisect_left(self._starts, end)
        return [(max(self._starts[i], start), min(self._ends[i], end)) for i in range(first, last)]


def minus(intervals: list[Interval], others: list[Interval]) -> list[Interval]:
    """What of some disjoint sorted intervals lies in none of the others, likewise."""
    left: list[Interval] = []
    i = 0
    for start, end in intervals:
        while i < len(others) and others[i][1] <= start:
            i += 1
        at, k = start, i
        while k < len(others) and others[k][0] < end:
            if others[k][0] > at:
                left.append((at, others[k][0]))
            at = max(at, others[k][1])
            k += 1
        if at < end:
            left.append((at, end))
    return left


class WorkedTime:
    """The working time of one calendar in sorted disjoint intervals, by two binary searches."""

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._through: list[int] = []  # working time up to the end of each
        self.upto: int | None = 0  # what lies after this is to be told again; None: all is told

    def keep_until(self, instant: int) -> int:
        """Forget what ends after an instant; from when on intervals are to be told (no later than `instant`)."""
        kept = bisect_right(self._ends, instant)
        begin = min(instant, self._starts[kept]) if kept < len(self._starts) else instant
        del self._starts[kept:], self._ends[kept:], self._through[kept:]
        return begin

    def extend(self, intervals: list[Interval]) -> None:
        """Go on with intervals after those that are known."""
        worked = self._through[-1] if self._through else 0
        for start, end in intervals:
            worked += self.calendar.worked(start, end)
            self._starts.append(start)
            self._ends.append(end)
            self._through.append(worked)

    def _before(self, instant: int) -> int:
        i = bisect_right(self._starts, instant) - 1
        if i < 0:
            return 0
        return self._through[i] - self.calendar.worked(min(instant, self._ends[i]), self._ends[i])

    def within(self, start: int, end: int) -> int:
        """Working time of the intervals in [start, end)."""
        return self._before(end) - self._before(start) if start < end else 0
