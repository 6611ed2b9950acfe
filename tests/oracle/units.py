"""Instants and durations of the oracle: whole milliseconds, read and written by its own few lines."""

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def instant(text: str, zone: ZoneInfo | None = None) -> int:
    """Milliseconds since 1970 of an ISO 8601 text; one without offset is a wall time of ``zone``."""
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        assert zone is not None, f"{text} lacks an offset"
        value = value.replace(tzinfo=zone)
    return (value.astimezone(UTC) - EPOCH) // timedelta(milliseconds=1)


def written(at: int | None) -> str | None:
    """RFC 3339 in UTC, fractions only where there are any."""
    if at is None:
        return None
    value = EPOCH + timedelta(milliseconds=at)
    return value.strftime("%Y-%m-%dT%H:%M:%S") + (f".{at % 1000:03d}Z" if at % 1000 else "Z")


def seconds(duration: int | None) -> int | float | None:
    """Seconds of a duration in milliseconds, whole where they are."""
    if duration is None:
        return None
    return duration // 1000 if duration % 1000 == 0 else duration / 1000


def duration(text: str) -> int:
    """Milliseconds of `90s`, `30m`, `4h`, `2d`."""
    match = re.fullmatch(r"(\d+)(ms|s|m|h|d)", text)
    assert match, f"{text!r} is no duration"
    return int(match[1]) * UNITS[match[2]]


def days(text: str, unit: str) -> int | None:
    """3 of `3bd` where the unit is bd; None where the text has another unit."""
    match = re.fullmatch(rf"(\d+){unit}", text)
    return int(match[1]) if match else None


def wall(day: date, minutes: int, zone: ZoneInfo) -> int:
    """The instant ``minutes`` of wall time after the midnight of ``day``: in a gap forward by the gap, of an ambiguous pair the first."""
    naive = datetime.combine(day, time.min) + timedelta(minutes=minutes)
    return (naive.replace(tzinfo=zone, fold=0).astimezone(UTC) - EPOCH) // timedelta(milliseconds=1)


def local(at: int, zone: ZoneInfo) -> datetime:
    """The naive wall time of an instant."""
    return (EPOCH + timedelta(milliseconds=at)).astimezone(zone).replace(tzinfo=None)
