"""Recurrences of deliverables: the part of RFC 5545 that slawatch takes, and whether a rule ever gives a day.

The rule says the days, `at:` the time of day, and the agreement how long it holds.
"""

import re
from functools import lru_cache
from typing import Final

from shared.language.problems import Wrong, nearest
from shared.sla.instants import DAY
from shared.sla.recurring import rule_days

_SAMPLE: Final = 'such as "FREQ=MONTHLY;BYMONTHDAY=5"'
_FREQUENCIES: Final = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_DAY: Final = "MO|TU|WE|TH|FR|SA|SU"
_WEEKDAY = re.compile(rf"(?:([+-]?)(\d{{1,2}}))?({_DAY})\Z", re.ASCII)
_NUMBER = re.compile(r"([+-]?)(\d{1,3})\Z", re.ASCII)
_INTERVAL = re.compile(r"0*[1-9]\d{0,3}\Z", re.ASCII)

_MOST: Final = {"BYMONTH": 12, "BYMONTHDAY": 31, "BYYEARDAY": 366, "BYWEEKNO": 53, "BYSETPOS": 366}  # of parts that list numbers
_GOES_WITH: Final = {"BYMONTHDAY": ("DAILY", "MONTHLY", "YEARLY"), "BYYEARDAY": ("YEARLY",), "BYWEEKNO": ("YEARLY",)}
_PARTS: Final = ("FREQ", "INTERVAL", "WKST", "BYDAY", *_MOST)
_TIMES: Final = ("BYHOUR", "BYMINUTE", "BYSECOND")
_ENDS: Final = ("UNTIL", "COUNT")


def recurrence(text: str) -> str:
    """An RRULE (RFC 5545) of days: FREQ of DAILY, WEEKLY, MONTHLY or YEARLY; the time of day stands in `at:`."""
    rule = re.sub(r"^RRULE:", "", text, flags=re.IGNORECASE)
    parts = _parts(rule.upper())
    frequency = parts.get("FREQ", "")
    if frequency not in _FREQUENCIES:
        raise Wrong("the recurrence needs FREQ=DAILY, WEEKLY, MONTHLY or YEARLY", _SAMPLE)
    for key, value in parts.items():
        if frequency not in _GOES_WITH.get(key, _FREQUENCIES):
            raise Wrong(f"{key} does not go with FREQ={frequency}", f"it goes with FREQ={' or '.join(_GOES_WITH[key])}")
        if key in _MOST:
            _refuse_numbers(key, value)
    if not _INTERVAL.match(parts.get("INTERVAL", "1")):
        raise Wrong("INTERVAL is a whole number of at least 1, and at most 9999", "leave it out, or write such as INTERVAL=2")
    if not re.fullmatch(_DAY, parts.get("WKST", "MO")):
        raise Wrong(f"WKST={parts['WKST']} is not a day of the week", "write WKST=MO, TU, WE, TH, FR, SA or SU")
    if "BYDAY" in parts:
        _refuse_days(parts, parts["BYDAY"].split(","))
    if "BYSETPOS" in parts and not any(key in parts for key in ("BYDAY", *_MOST) if key != "BYSETPOS"):
        raise Wrong("BYSETPOS picks from the days of another part, and there is none", "such as BYDAY=MO,TU,WE,TH,FR;BYSETPOS=5")
    return rule


def _parts(rule: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in rule.split(";"):
        key, _, value = part.partition("=")
        if not part:
            raise Wrong("the recurrence has an empty part", "write one semicolon between parts, none at the end")
        if key in _TIMES:
            raise Wrong(f"{key} says a time of day", 'leave it out; the time of day stands in at: "18:00"')
        if key in _ENDS:
            raise Wrong("a recurrence has no end of its own", "leave out UNTIL and COUNT; `effective.to` ends it")
        if key not in _PARTS:
            raise Wrong(f"the recurrence has an unknown part {key}", nearest(key, _PARTS))
        if not value:
            raise Wrong(f"the part {key} of the recurrence says nothing", f"write {key}=…, or leave it out")
        if key in found:
            raise Wrong(f"the recurrence says {key} twice", "write each part once; several values stand behind commas")
        found[key] = value
    return found


def _refuse_numbers(key: str, value: str) -> None:
    most, signed = _MOST[key], key != "BYMONTH"
    for item in value.split(","):
        number = _NUMBER.match(item)
        if number is None or not 1 <= int(number[2]) <= most or (number[1] and not signed):
            ends = f", or -1 to -{most} from the end" if signed else ""
            raise Wrong(f"{item!r} is not possible in {key}", f"write whole numbers from 1 to {most}{ends}, only commas between")


def _refuse_days(parts: dict[str, str], listed: list[str]) -> None:
    of_years = parts["FREQ"] == "YEARLY" and "BYMONTH" not in parts
    days = [_WEEKDAY.match(item) for item in listed]
    for item, day in zip(listed, days, strict=True):
        if day is None:
            raise Wrong(f"{item!r} is not possible in BYDAY", "write MO, TU, WE, TH, FR, SA, SU, only commas between")
        if day[2] is None:
            continue
        if parts["FREQ"] not in ("MONTHLY", "YEARLY") or "BYWEEKNO" in parts:
            with_what = "BYWEEKNO" if "BYWEEKNO" in parts else f"FREQ={parts['FREQ']}"
            raise Wrong(f"{item} is a numbered day of a month or year, which does not go with {with_what}", f"write {day[3]}")
        if not 1 <= int(day[2]) <= (53 if of_years else 5):
            raise Wrong(f"there is no day {item}", f"a {'year has 53' if of_years else 'month has 5'} of each week day at most")
    if len({day is None or day[2] is None for day in days}) > 1:
        raise Wrong(
            "BYDAY mixes numbered and plain days, which cannot be told apart here", "number all or none; or make two objectives of them"
        )


@lru_cache(maxsize=1_024)
def occurs(rule: str, anchor: int) -> bool:
    """Whether a rule that runs from the date of a wall time ever gives a day."""
    return next(rule_days(rule, anchor // DAY), None) is not None
