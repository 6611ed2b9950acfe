"""Working time: binary searches over precomputed working intervals (semantics.md, "Calendars").

    windows of each date  ──►  UTC intervals, united  ──►  starts[], ends[], worked-before[]
    (override > holiday or make-up day > weekly hours)

All instants and durations are milliseconds. A calendar is compiled lazily: the years that were asked for, and some around.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date
from typing import Final

from msgspec.structs import replace

from shared.sla.instants import DAY, FOREVER
from shared.sla.terms import CalendarTable

_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_LAST_ORDINAL: Final = date(2400, 1, 1).toordinal()  # beyond it nothing becomes due
_FIRST_ORDINAL: Final = date(1900, 1, 1).toordinal()
_YEAR: Final = 366


class Zone:
    """Wall time of a time zone, from its transitions [instant, offset]; the first offset stands for all time before."""

    def __init__(self, transitions: Sequence[tuple[int, int]]) -> None:
        self._instants = [instant for instant, _ in transitions]
        self._offsets = [offset for _, offset in transitions]

    def _index(self, instant: int) -> int:
        return max(bisect_right(self._instants, instant) - 1, 0)

    def to_local(self, instant: int) -> int:
        """Wall time of an instant, in ms as if it were UTC."""
        return instant + self._offsets[self._index(instant)]

    def to_instant(self, local: int) -> int:
        """The instant of a wall time. In a gap it moves forward by the gap; of an ambiguous pair it is the first."""
        first, last = self._index(local - 2 * DAY), self._index(local + 2 * DAY)
        for i in range(first, last + 1):
            instant = local - self._offsets[i]
            if i < last and instant >= self._instants[i + 1]:
                continue  # that offset has ended by then
            if i > first and instant < self._instants[i]:
                return local - self._offsets[i - 1]  # a gap: neither offset shows this wall time
            return instant
        raise AssertionError("the last offset has no end")

    def steady(self, instant: int, margin: int) -> tuple[int, int, int]:
        """(from, to, offset): the instants under the same offset as this one that lie no nearer than `margin` to a change of clocks."""
        i, last = self._index(instant), len(self._instants) - 1
        start = self._instants[i] + margin if i else -FOREVER
        return start, self._instants[i + 1] - margin if i < last else FOREVER, self._offsets[i]

    def is_steady(self, start: int, end: int) -> bool:
        """Whether no change of clocks lies between two instants."""
        return self._index(start) == self._index(end)


def date_of(local: int) -> int:
    """The proleptic ordinal of a wall time's date."""
    return _EPOCH_ORDINAL + local // DAY


def midnight_of(ordinal: int) -> int:
    """The wall time (ms as if it were UTC) at which a date begins."""
    return (ordinal - _EPOCH_ORDINAL) * DAY


class Calendar:
    """Arithmetic over one compiled calendar."""

    def __init__(self, table: CalendarTable) -> None:
        self.name, self.zone_name = table.name, table.timezone
        self._reasons = {
            **table.holidays,
            **dict.fromkeys(table.workdays, "make-up working day"),
            **{day: "hours set by an override" if windows else "closed by an override" for day, windows in table.overrides.items()},
        }
        self.zone = Zone(table.transitions)
        self.always = table.always
        self._hours = table.hours
        self._special = self._special_days(table)
        self._valid_from = None if table.valid_from is None else date.fromisoformat(table.valid_from).toordinal()
        self._valid_through = None if table.valid_through is None else date.fromisoformat(table.valid_through).toordinal()
        self._end = _LAST_ORDINAL if any(table.hours) else max(self._special, default=_FIRST_ORDINAL) + 2
        self._low = self._high = 0  # ordinals covered: low <= date < high
        self._from, self._to = 0, -1  # instants that may be asked for without looking at the dates
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._before: list[int] = []  # working time before starts[i]
        self._through: list[int] = []  # working time before ends[i]
        self._windows: list[tuple[int, int, int]] = []  # (from, to, date it opens on), not united
        self._days: list[int] = []  # dates with any window
        self._closes: list[int] = []  # the end of their last window

    @staticmethod
    def _special_days(table: CalendarTable) -> dict[int, tuple[tuple[int, int], ...]]:
        days: dict[int, tuple[tuple[int, int], ...]] = {}
        for text in table.holidays:
            days[date.fromisoformat(text).toordinal()] = ()
        for source in (table.workdays, table.overrides):
            for text, windows in source.items():
                days[date.fromisoformat(text).toordinal()] = windows
        return days

    # -- compiling -----------------------------------------------------------------------------------------------

    def _cover(self, low: int, high: int) -> None:
        """Make the arrays cover these dates."""
        low, high = max(low, _FIRST_ORDINAL), min(high, _LAST_ORDINAL)
        if self._low <= low and high <= self._high:
            return
        known = self._low < self._high
        low, high = max(low - _YEAR, _FIRST_ORDINAL), min(high + 2 * _YEAR, _LAST_ORDINAL)
        self._low, self._high = (min(low, self._low), max(high, self._high)) if known else (low, high)
        self._compile()

    def _compile(self) -> None:
        self._from, self._to = midnight_of(self._low + 3), midnight_of(self._high - 3)
        windows: list[tuple[int, int, int]] = []
        self._days, self._closes = [], []
        to_instant, special, hours = self.zone.to_instant, self._special, self._hours
        for day in range(self._low, self._high):
            today = special.get(day)
            if today is None:
                today = hours[(day + 6) % 7]
            midnight, close = midnight_of(day), None
            for begin, end in today:
                start, stop = to_instant(midnight + begin), to_instant(midnight + end)
                if start < stop:  # else a daylight-saving gap has emptied it
                    windows.append((start, stop, day))
                    close = stop if close is None else max(close, stop)
            if close is not None:
                self._days.append(day)
                self._closes.append(close)
        windows.sort()
        self._windows = windows
        starts: list[int] = []
        ends: list[int] = []
        self._starts, self._ends = starts, ends
        for start, stop, _ in windows:
            if ends and start <= ends[-1]:
                ends[-1] = max(ends[-1], stop)
            else:
                starts.append(start)
                ends.append(stop)
        self._before, self._through, worked = [], [], 0
        for start, stop in zip(starts, ends, strict=True):
            self._before.append(worked)
            worked += stop - start
            self._through.append(worked)

    def _at(self, instant: int) -> int:
        """Working time from the beginning of the arrays to an instant that they cover."""
        i = bisect_right(self._starts, instant) - 1
        if i < 0:
            return 0
        return self._through[i] if instant >= self._ends[i] else self._before[i] + instant - self._starts[i]

    def cover(self, first: int, last: int) -> None:
        """Compile what is needed to be asked for instants from the first to the last."""
        if first < self._from or last > self._to:
            self._cover(date_of(first) - 4, date_of(last) + 5)

    # -- for native code -----------------------------------------------------------------------------------------

    @property
    def covered(self) -> tuple[int, int]:
        """The instants that `columns` tell of, as compiled by now."""
        return self._from, self._to

    @property
    def columns(self) -> tuple[list[int], list[int], list[int], list[int]]:
        """Working intervals as compiled by now: starts, ends, working time before each start, and before each end."""
        return self._starts, self._ends, self._before, self._through

    @property
    def known(self) -> tuple[int, int] | None:
        """Instants outside of [from, to) are provisional; None where a change of clocks makes that no simple question."""
        found = []
        for last, otherwise in ((self._valid_from, -FOREVER), (None if self._valid_through is None else self._valid_through + 1, FOREVER)):
            if last is None:
                found.append(otherwise)
                continue
            instant = self.zone.to_instant(midnight_of(last))
            if not self.zone.is_steady(instant - DAY, instant + DAY):
                return None
            found.append(instant)
        return found[0], found[1]

    # -- asking --------------------------------------------------------------------------------------------------

    def worked(self, start: int, end: int) -> int:
        """Working time in [start, end); 0 if end is not after start."""
        if end <= start:
            return 0
        if self.always:
            return end - start
        if start < self._from or end > self._to:
            self.cover(start, end)
        return self._at(end) - self._at(start)

    def advance(self, start: int, amount: int, *, next_open: bool = False) -> int | None:
        """The earliest instant at which `amount` of working time is used from `start` on; None if there never is that much.

        Where that is closing time it stays there; with `next_open` it is the next opening instead.
        """
        if self.always or (amount <= 0 and not next_open):
            return start + max(amount, 0)
        if start < self._from or start + amount > self._to:
            self.cover(start, start + amount)
        find = bisect_right if next_open else bisect_left
        while True:
            wanted = self._at(start) + max(amount, 0)
            i = find(self._through, wanted)
            if i < len(self._through):
                # a start in closed time with nothing to use, or one inside the interval
                return max(self._starts[i] + wanted - self._before[i], start)
            if self._high >= self._end:
                return None
            self._cover(self._low, self._high + (self._high - self._low))

    def is_open(self, instant: int) -> bool:
        """Whether an instant is working time (a closing instant is not)."""
        if self.always:
            return True
        self.cover(instant, instant)
        i = bisect_right(self._starts, instant) - 1
        return i >= 0 and instant < self._ends[i]

    def intervals(self, start: int, end: int) -> list[tuple[int, int]]:
        """The working intervals of [start, end), clipped."""
        if end <= start:
            return []
        if self.always:
            return [(start, end)]
        self.cover(start, end)
        i = max(bisect_right(self._starts, start) - 1, 0)
        found = []
        while i < len(self._starts) and self._starts[i] < end:
            low, high = max(self._starts[i], start), min(self._ends[i], end)
            if low < high:
                found.append((low, high))
            i += 1
        return found

    def is_provisional(self, instant: int) -> bool:
        """Whether the date of an instant lies outside the years that the holiday table knows."""
        if self._valid_through is None and self._valid_from is None:
            return False
        day = date_of(self.zone.to_local(instant))
        return (self._valid_through is not None and day > self._valid_through) or (self._valid_from is not None and day < self._valid_from)

    def reason(self, day: str) -> str:
        """Why a date (ISO) is special: the holiday's name, a make-up day, an override; empty where it is not."""
        return self._reasons.get(day, "")

    # -- business days -------------------------------------------------------------------------------------------

    def day_of(self, instant: int) -> int:
        """The date an instant belongs to: that of the shift it lies in (the date the shift opens on), else its own."""
        local = date_of(self.zone.to_local(instant))
        if self.always:
            return local
        self.cover(instant, instant)
        i = bisect_right(self._windows, (instant, _LAST_ORDINAL * DAY, 0)) - 1
        for start, stop, day in reversed(self._windows[max(i - 8, 0) : i + 1]):
            if start <= instant < stop:
                return day
        return local

    def _working_day_after(self, day: int, count: int) -> int | None:
        """The index in `_days` of the count-th working day after a date."""
        self._cover(day, day + 2 * count + 14)
        while True:
            i = bisect_right(self._days, day) + count - 1
            if i < len(self._days) - 1 or (i < len(self._days) and self._high >= self._end):
                return i
            if self._high >= self._end:
                return None
            self._cover(self._low, self._high + (self._high - self._low))

    def is_working_day(self, day: int) -> bool:
        """Whether a date (its ordinal) has any working time that opens on it."""
        if self.always:
            return True
        self._cover(day - 4, day + 5)
        i = bisect_left(self._days, day)
        return i < len(self._days) and self._days[i] == day

    def next_opening(self, instant: int) -> int | None:
        """The first instant from `instant` on that is working time; None if there never is one."""
        return self.advance(instant, 0, next_open=True)

    def opening_before(self, day: int) -> int | None:
        """The first opening on the last working day before a date (its ordinal); None if there never was one."""
        if self.always:
            return self.zone.to_instant(midnight_of(day - 1))
        self._cover(day - _YEAR, day + 5)
        i = bisect_left(self._days, day) - 1
        return min(start for start, _, opened in self._windows if opened == self._days[i]) if i >= 0 else None

    def close_of_business(self, start: int, count: int) -> int | None:
        """Close of business on the count-th working day after the day of `start`; None if there never is one."""
        day = self.day_of(start)
        if self.always:
            return self.zone.to_instant(midnight_of(day + count + 1))
        i = self._working_day_after(day, count)
        return None if i is None else self._closes[i]

    def same_time(self, start: int, count: int) -> int | None:
        """The wall time of `start` (or of the next opening, where `start` is out of hours) on the count-th working day after."""
        begin = self.advance(start, 0, next_open=True)
        if begin is None:
            return None
        day, local = self.day_of(begin), self.zone.to_local(begin)
        if self.always:
            return self.zone.to_instant(local + count * DAY)
        i = self._working_day_after(day, count)
        return None if i is None else self.zone.to_instant(local + (self._days[i] - day) * DAY)


def civil_days_later(zone: Zone, start: int, count: int) -> int:
    """The same wall time `count` civil days later."""
    return zone.to_instant(zone.to_local(start) + count * DAY)


def extends(later: CalendarTable, earlier: CalendarTable) -> bool:
    """Whether a table says what an earlier one said, as far as that one was sure of its holidays, and is sure of later years."""
    known, until = earlier.valid_through, later.valid_through
    if known is None or until is None or until <= known:
        return False
    return _until(later, known) == _until(earlier, known)


def _until(table: CalendarTable, day: str) -> CalendarTable:
    """The table without the holidays (and without their names) and the make-up days after an ISO date."""
    holidays = {date_: "" for date_ in table.holidays if date_ <= day}
    workdays = {date_: windows for date_, windows in table.workdays.items() if date_ <= day}
    return replace(table, holidays=holidays, workdays=workdays, valid_through=day)
