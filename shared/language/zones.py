"""Time zones from the locked `tzdata` package, never from the machine, as the plain pairs that a compiled calendar carries."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from shared.language.problems import Wrong, nearest
from shared.sla.instants import from_datetime

_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_STEP: Final = timedelta(days=1)  # shorter than any two changes of a zone's offset since 1970 that undo each other
_SECOND: Final = timedelta(seconds=1)
_MILLISECOND: Final = timedelta(milliseconds=1)

_A_PLACE: Final = "write an IANA name such as Asia/Shanghai or Europe/Berlin"
_OTHER_PLACES: Final = {  # cities that people look for and the IANA list leaves out
    **dict.fromkeys(("beijing", "bejing", "peking", "shenzhen", "guangzhou", "hangzhou", "chengdu", "china"), "Asia/Shanghai"),
    **dict.fromkeys(("mumbai", "delhi", "new_delhi", "bangalore", "india"), "Asia/Kolkata"),
    **dict.fromkeys(("san_francisco", "seattle", "pacific"), "America/Los_Angeles"),
    **dict.fromkeys(("washington", "boston", "eastern"), "America/New_York"),
    **dict.fromkeys(("munich", "frankfurt", "hamburg", "germany"), "Europe/Berlin"),
}

Transitions = tuple[tuple[int, int], ...]


def zone_name(text: str) -> str:
    """An IANA zone name; raises Wrong with the nearest one."""
    if text in _names():
        return text
    raise Wrong(f"the time zone {text!r} is not known", _zone_hint(text))


def _zone_hint(text: str) -> str:
    place = text.replace(" ", "_").lower()
    if (city := place.rsplit("/", 1)[-1]) in _OTHER_PLACES:
        return f"write {_OTHER_PLACES[city]}"
    if offset := re.fullmatch(r"(?:utc|gmt)?([+-])0?(\d{1,2})(?::?00)?", place):
        turned = f"Etc/GMT{'-' if offset[1] == '+' else '+'}{offset[2]}"  # POSIX counts westwards
        return f"write a place such as Asia/Shanghai, or {turned} (its sign is turned round)" if turned in _names() else _A_PLACE
    if re.fullmatch("[a-z]{2,4}", place):
        return f"abbreviations mean several zones; {_A_PLACE}"
    same_place = sorted(name for name in _names() if name.rsplit("/", 1)[-1].lower() == place.rsplit("/", 1)[-1])
    if same_place:
        return f"did you mean {same_place[0]}?"
    return nearest(text, _names()) or _A_PLACE


@cache
def _names() -> frozenset[str]:
    return frozenset(files("tzdata").joinpath("zones").read_text("utf-8").split())


@cache
def zone(name: str) -> tzinfo:
    """The zone of a known name."""
    with files("tzdata.zoneinfo").joinpath(*name.split("/")).open("rb") as stored:
        return ZoneInfo.from_file(stored, key=name)


@cache
def transitions(name: str) -> Transitions:
    """[instant ms, offset ms] from 1970 to 2100, ascending; the first stands for all time before, the last for all after."""
    known = zone(name)
    found = [_pair(_FIRST, known)]
    at = _FIRST
    while at < _LAST:
        after = at + _STEP
        if _offset(after, known) != _offset(at, known):
            found.append(_pair(_change_between(at, after, known), known))
        at = after
    return tuple(found)


def _change_between(before: datetime, after: datetime, known: tzinfo) -> datetime:
    """The first second at which the offset is that of `after`."""
    while after - before > _SECOND:
        middle = before + (after - before) // 2 // _SECOND * _SECOND
        if _offset(middle, known) == _offset(before, known):
            before = middle
        else:
            after = middle
    return after


def _pair(at: datetime, known: tzinfo) -> tuple[int, int]:
    return from_datetime(at), _offset(at, known) // _MILLISECOND


def _offset(at: datetime, known: tzinfo) -> timedelta:
    return at.astimezone(known).utcoffset() or timedelta(0)
