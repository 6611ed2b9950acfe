"""Working time by brute force: the windows of one date after the other, as instants, and nothing cleverer."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import chinese_calendar.constants as cn  # type: ignore[import-untyped]  # the package ships no types

from tests.oracle.units import local, wall

DAY_NAMES = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
FAR = 5_000  # days walked before a calendar is called hopeless

Window = tuple[int, int]  # minutes after the midnight of the date it opens on


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _windows(texts: list[str]) -> list[Window]:
    out = []
    for text in texts:
        start, end = (_minutes(part) for part in text.split("-"))
        out.append((start, end if end > start else end + 24 * 60))  # past midnight
    return out


def _weekly(hours: dict[str, list[str]]) -> list[list[Window]]:
    week: list[list[Window]] = [[] for _ in DAY_NAMES]
    for key, texts in hours.items():
        for part in key.replace(" ", "").split(","):
            first, _, last = part.partition("-")
            day = DAY_NAMES.index(first)
            while True:
                week[day] = _windows(texts)
                if DAY_NAMES[day] == (last or first):
                    break
                day = (day + 1) % 7
    return week


class Hours:
    """One calendar: which instants are working time."""

    def __init__(self, document: dict[str, Any]) -> None:
        """``document`` is a Calendar as YAML gives it: timezone, hours, holidays, overrides."""
        self.zone = ZoneInfo(document.get("timezone", "UTC"))
        self._week = _weekly(document.get("hours", {}))
        self._china = document.get("holidays") == "CN"
        assert document.get("holidays") in {None, "CN"}, "the oracle knows China's holidays only"
        self._overrides = {date.fromisoformat(str(day)): _windows(texts) for day, texts in document.get("overrides", {}).items()}
        self.of_date = cache(self._of_date)

    def _of_date(self, day: date) -> tuple[tuple[int, int], ...]:
        """The windows that open on a date, as instants [from, to); those that a daylight-saving gap empties are dropped."""
        spans = sorted((wall(day, start, self.zone), wall(day, end, self.zone)) for start, end in self._plan(day))
        return tuple((a, b) for a, b in spans if a < b)

    def _plan(self, day: date) -> list[Window]:
        if day in self._overrides:
            return self._overrides[day]
        if self._china and day in cn.workdays:
            return next(windows for windows in self._week if windows)
        if self._china and day in cn.holidays:
            return []
        return self._week[day.weekday()]

    def dates_from(self, at: int) -> Iterator[date]:
        """Dates in order, from the earliest whose windows may reach ``at``."""
        first = local(at, self.zone).date() - timedelta(days=2)
        for step in range(FAR):
            yield first + timedelta(days=step)

    def _spans(self, frm: int) -> Iterator[tuple[int, int]]:
        """Working time from ``frm`` on, in disjoint pieces in order; touching windows may give touching pieces."""
        seen = frm
        waiting: list[tuple[int, int]] = []
        for day in self.dates_from(frm):
            midnight = wall(day, 0, self.zone)
            ready = sorted(span for span in waiting if span[0] < midnight)
            waiting = [span for span in waiting if span[0] >= midnight] + list(self.of_date(day))
            for start, end in ready:
                if end > seen:
                    yield max(start, seen), end
                    seen = end
        raise AssertionError("no working time for years")

    def worked(self, frm: int, to: int) -> int:
        """Working milliseconds of [frm, to)."""
        total = 0
        if frm >= to:
            return 0
        for start, end in self._spans(frm):
            if start >= to:
                return total
            total += min(end, to) - start
        raise AssertionError

    def after(self, frm: int, work: int) -> int:
        """The earliest instant at or after ``frm`` by which ``work`` milliseconds were worked since then."""
        if work <= 0:
            return frm
        for start, end in self._spans(frm):
            if end - start >= work:
                return start + work
            work -= end - start
        raise AssertionError

    def open_at(self, at: int) -> bool:
        """Whether the instant is working time."""
        return any(a <= at < b for day, _ in zip(self.dates_from(at), range(5), strict=False) for a, b in self.of_date(day))

    def opening(self, at: int) -> int:
        """``at`` itself if it is working time, else the next opening."""
        return next(start for start, _ in self._spans(at))

    def shift_date(self, at: int) -> date:
        """The date an instant belongs to: that of the shift it lies in (the one opened last, where shifts overlap), else its own."""
        days = (day for day, _ in zip(self.dates_from(at), range(5), strict=False) if any(a <= at < b for a, b in self.of_date(day)))
        return max(days, default=local(at, self.zone).date())

    def working_day_after(self, day: date, count: int) -> date:
        """The ``count``-th date after ``day`` on which a window opens."""
        for _ in range(FAR):
            day += timedelta(days=1)
            count -= bool(self.of_date(day))
            if count == 0:
                return day
        raise AssertionError

    def close_of(self, day: date) -> int:
        """Close of business of a working date."""
        return max(end for _, end in self.of_date(day))


def always(zone: str) -> Hours:
    """The built-in `24x7`, its dates those of the agreement's zone."""
    return Hours({"timezone": zone, "hours": {"mon-sun": ["00:00-24:00"]}})


def same_wall_time(start: datetime, anchor: date, day: date, zone: ZoneInfo) -> int:
    """The wall time ``start`` has, counted from the date ``anchor``, on the date ``day``: milliseconds kept."""
    offset = start - datetime.combine(anchor, time.min)
    minutes, rest = divmod(offset, timedelta(minutes=1))
    return wall(day, minutes, zone) + rest // timedelta(milliseconds=1)
