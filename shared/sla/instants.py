"""Instants and durations as the domain counts them: whole milliseconds.

An instant is milliseconds since 1970-01-01T00:00:00Z, a duration is milliseconds; both are plain ``int``.
Finer fractions of an instant are cut off (semantics: "milliseconds kept").
"""

import re
from calendar import timegm
from datetime import UTC, datetime, timedelta, tzinfo

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
FOREVER = 1 << 62  # later than any instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(?:([Zz])|([+-])(\d\d):(\d\d))?\Z", re.ASCII)


def instant_or(instant: int | None, otherwise: int) -> int:
    """An instant where there is one: such as FOREVER for an end that is not set."""
    return otherwise if instant is None else instant


class BadInstant(ValueError):
    """A text that is not an RFC 3339 instant; the message says what is wrong."""


def parse_instant(text: str, zone: tzinfo | None = None) -> int:
    """Milliseconds of an RFC 3339 text. A text without offset is read in ``zone``; without ``zone`` it raises BadInstant."""
    match = _RFC3339.match(text)
    if match is None:
        raise BadInstant(f"{text!r} is not an RFC 3339 instant such as 2026-03-02T08:30:00+08:00")
    year, month, day, hour, minute, second, fraction, zulu, sign, off_h, off_m = match.groups()
    millis = int((fraction or "0")[:3].ljust(3, "0"))
    whole_second = int(second or 0)
    leap = whole_second == 60  # RFC 3339 allows :60; it counts as the first instant of the next minute
    try:
        wall = datetime(int(year), int(month), int(day), int(hour), int(minute), 0 if leap else whole_second)  # noqa: DTZ001 - the offset follows
    except ValueError as wrong:
        raise BadInstant(f"{text!r} is not a date and time: {wrong}") from None
    if wall.year in (1, 9999):
        raise BadInstant(f"{text!r} is at the edge of the calendar, where an offset leads outside")
    if leap:
        wall, millis = wall + timedelta(minutes=1), 0
    if zulu or sign:
        offset = 0
        if sign:
            if int(off_h) > 23 or int(off_m) > 59:
                raise BadInstant(f"{text!r} has an impossible offset")
            offset = (int(off_h) * 3600 + int(off_m) * 60) * (1 if sign == "+" else -1)
        return (timegm(wall.timetuple()) - offset) * SECOND + millis
    if zone is None:
        raise BadInstant(f"{text!r} lacks an offset: end it with Z or, for example, +08:00")
    return from_datetime(wall.replace(tzinfo=zone)) + millis


def from_datetime(value: datetime) -> int:
    """Milliseconds of an aware datetime; wall time in a gap moves forward by the gap, of an ambiguous pair the first is taken."""
    return (value.astimezone(UTC) - _EPOCH) // _MILLISECOND


def format_instant(instant: int) -> str:
    """RFC 3339 in UTC, fractions only where there are any: ``2026-03-02T10:00:00Z``, ``2026-03-02T10:00:00.250Z``."""
    minutes, rest = divmod(instant, MINUTE)
    return _minutes[minutes] + _rests[rest]


class _Minutes(dict[int, str]):
    """How instants begin. What is said is mostly about a few days."""

    def __missing__(self, minutes: int) -> str:
        if len(self) >= _KEPT_MAX:
            self.clear()
        text = self[minutes] = (_EPOCH + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:")
        return text


class _Rests(dict[int, str]):
    """How instants end: one text for each millisecond of a minute."""

    def __missing__(self, rest: int) -> str:
        seconds, millis = divmod(rest, SECOND)
        text = self[rest] = f"{seconds:02d}.{millis:03d}Z" if millis else f"{seconds:02d}Z"
        return text


_KEPT_MAX = 65_536
_minutes, _rests = _Minutes(), _Rests()


def as_seconds(duration: int) -> int | float:
    """A duration in seconds, a whole number where it is one."""
    whole, rest = divmod(duration, SECOND)
    return duration / SECOND if rest else whole


def or_none_instant(instant: int | None) -> str | None:
    """``format_instant`` where there is one."""
    return None if instant is None else format_instant(instant)


def or_none_seconds(duration: int | None) -> int | float | None:
    """``as_seconds`` where there is one."""
    return None if duration is None else as_seconds(duration)
