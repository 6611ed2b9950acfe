"""What the text of a cell is turned into: a number, a boolean, an instant."""

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from shared.language.zones import zone
from shared.sla.instants import SECOND, BadInstant, format_instant, from_datetime, parse_instant

Kind = Literal["text", "number", "boolean", "instant"]
EPOCHS: Final = {"epoch_s": SECOND, "epoch_ms": 1}  # formats of dates that count from 1970 on, and their milliseconds
_NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\Z", re.ASCII)
_OFFSET: Final = re.compile(r"(?:[Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)
_COUNT: Final = re.compile(r"\d{1,18}(?:\.\d{1,18})?\Z", re.ASCII)
_COUNT_MAX: Final = 100_000_000_000  # of seconds: the year 5138; as many milliseconds: March 1973
_YEARS: Final = (1000, 9998)  # those that RFC 3339 can write in any zone
_TRUE, _FALSE = ("true", "yes", "t", "y", "1"), ("false", "no", "f", "n", "0")


class Dated(NamedTuple):
    """An instant as RFC 3339. `comes_twice`: it was a local time that clocks show twice as they go back; it is the first of both."""

    text: str
    comes_twice: bool = False


class _OtherUnit(ValueError):
    """A count from 1970 on that makes sense in another unit only."""


def converted(text: str, kind: Kind, dates: tuple[str, ...], zone_name: str) -> str | int | float | bool | Dated:
    """The value that a text stands for. Raises ValueError, which says why it is none of that kind."""
    if kind == "instant":
        return instant(text, dates, zone_name)
    return number(text) if kind == "number" else boolean(text) if kind == "boolean" else text


def number(text: str) -> int | float:
    """A number as JSON writes them, with blanks around, a plus, zeros in front or a bare point if need be. Raises ValueError."""
    stripped = text.strip()
    value = float(stripped) if _NUMBER.match(stripped) else None
    if value is None or value in (float("inf"), float("-inf")):
        raise ValueError(f"{text!r} is not a number")
    return int(value) if value.is_integer() and abs(value) < 2**53 and "." not in text and "e" not in text.lower() else value


def boolean(text: str) -> bool:
    """Raises ValueError for what is neither true nor false."""
    word = text.strip().lower()
    if word not in (*_TRUE, *_FALSE):
        raise ValueError(f"{text!r} is neither true nor false")
    return word in _TRUE


@lru_cache(maxsize=65_536)  # tables repeat their dates
def instant(text: str, dates: tuple[str, ...], zone_name: str) -> Dated:
    """A date in one of the formats. A wall time that a change of clocks skips moves forward; of two, the first is taken."""
    text, known, why = text.strip(), zone(zone_name), ""
    for pattern in dates:
        try:
            return _dated(text, pattern, known)
        except _OtherUnit as wrong:
            why = f": {wrong}"
        except (BadInstant, ValueError, OverflowError):  # the last: a local time at the edge of the calendar
            continue
    if not why and _COUNT.match(text) and EPOCHS.keys().isdisjoint(dates):
        why = ": for a count from 1970 on, write dates: epoch_s or epoch_ms in the mapping"
    raise ValueError(f"{text!r} is not a date of the form {' or '.join(dates)}{why}")


def _dated(text: str, pattern: str, known: tzinfo) -> Dated:
    if pattern in EPOCHS:
        return Dated(format_instant(_counted(text, pattern)))
    if pattern == "rfc3339":
        at = parse_instant(text, known)
        if _OFFSET.search(text):
            return Dated(format_instant(at))
        wall = datetime.fromtimestamp(at // SECOND, UTC).astimezone(known)
        return Dated(format_instant(at), _comes_twice(wall, known))
    read = datetime.strptime(text, pattern)  # noqa: DTZ007 (the zone follows below)
    if not _YEARS[0] <= read.year <= _YEARS[1]:
        raise ValueError(f"{text!r} is at the edge of the calendar")
    if read.tzinfo:
        return Dated(format_instant(from_datetime(read)))
    wall = read.replace(tzinfo=known)
    return Dated(format_instant(from_datetime(wall)), _comes_twice(wall, known))


def _comes_twice(wall: datetime, known: tzinfo) -> bool:
    """Whether clocks show it again after they went back; of a time that they skip, the second reading is the earlier one."""
    return _change_near(wall.date(), known) and _offset(wall, known) > _offset(wall.replace(fold=1), known)


@lru_cache(maxsize=4_096)
def _change_near(day: date, known: tzinfo) -> bool:
    start = datetime(day.year, day.month, day.day, tzinfo=known)
    return _offset(start - timedelta(days=1), known) != _offset(start + timedelta(days=2), known)


def _offset(wall: datetime, known: tzinfo) -> timedelta:
    return known.utcoffset(wall) or timedelta(0)


def _counted(text: str, pattern: str) -> int:
    """Milliseconds of a count from 1970 on. Units are told apart by size: no history reaches back to 1973 or up to the year 5138."""
    if _COUNT.match(text) is None:
        raise ValueError(f"{text!r} is not a count")
    count = Decimal(text)
    if pattern == "epoch_s" and count >= _COUNT_MAX:
        raise _OtherUnit("so many seconds end after the year 5000; if they are milliseconds, write epoch_ms")
    if pattern == "epoch_ms" and count < _COUNT_MAX:
        raise _OtherUnit("so few milliseconds end before March 1973; if they are seconds, write epoch_s")
    if pattern == "epoch_ms" and count >= _COUNT_MAX * SECOND:
        raise _OtherUnit("so many milliseconds end after the year 5000; it may be a count of microseconds")
    return int(count * EPOCHS[pattern])
