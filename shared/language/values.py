"""The small notations of agreements: durations, shares, money, bounds, dates, times of day. Each parser raises Wrong with a hint.

Durations are milliseconds; shares and numbers are decimal texts (`"0.95"`), as `shared.sla.terms` wants them.
"""

import re
from datetime import date
from decimal import Decimal
from typing import Any, Final

from shared.language.problems import Wrong, nearest
from shared.sla.conditions import ConditionError, compile_condition, compile_path, refuse_hopeless
from shared.sla.instants import DAY, HOUR, MINUTE, SECOND

UNITS: Final = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
DURATION_MAX: Final = 36_525 * DAY  # a hundred years
NAME_LENGTH_MAX: Final = 200
DAYS_MAX: Final = 36_525
YEARS: Final = (1900, 2999)  # of dates; beyond them no zone and no calendar knows anything
_LONG_UNITS: Final = {
    "ms": ("milliseconds", "millis", "msec"),
    "s": ("seconds", "second", "secs", "sec"),
    "m": ("minutes", "minute", "mins", "min"),
    "h": ("hours", "hour", "hrs", "hr"),
    "d": ("days", "day"),
    "bd": ("business days", "working days", "workdays", "wd", "b"),
    "cd": ("calendar days", "c"),
}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+\Z", re.ASCII)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])", re.ASCII)
_DAYS = re.compile(r"(\d+)(bd|cd)\Z", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?\Z", re.ASCII)
_BOUND = re.compile(r"(>=|<=|==|>|<)\s*(\S+)\Z")
_MONEY = re.compile(r"(\d+(?:\.\d+)?) ([A-Z]{3})\Z", re.ASCII)
_TIME = re.compile(r"(\d\d):(\d\d)(?::(\d\d))?\Z", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_AGGREGATE = re.compile(r"p(\d{1,2})(\.\d{1,2})?\Z", re.ASCII)

DURATION_PATTERN: Final = r"^(\d+(\.\d+)?(ms|s|m|h|d))+$"
WITHIN_PATTERN: Final = r"^((\d+(\.\d+)?(ms|s|m|h|d))+|\d+(bd|cd))$"
SHARE_PATTERN: Final = r"^\d+(\.\d+)?%$"
BOUND_PATTERN: Final = r"^(>=|<=|==|>|<)\s*-?\d+(\.\d+)?%?$"
MONEY_PATTERN: Final = r"^\d+(\.\d+)? [A-Z]{3}$"
WINDOW_PATTERN: Final = r"^(period|(rolling|tumbling) (\d+(\.\d+)?(ms|s|m|h|d))+)$"
AGGREGATE_PATTERN: Final = r"^(avg|sum|min|max|count|p\d{1,2}(\.\d{1,2})?)$"
DATE_PATTERN: Final = r"^\d{4}-\d\d-\d\d"


def duration(text: str) -> int:
    """`90s`, `30m`, `4h`, `2d`, `500ms`, `1.5h`, `1h30m` in milliseconds; more than nothing."""
    if _DAYS.match(text):
        raise Wrong(f"{text} cannot stand here: business and civil days are for `within:`", "write hours or days, such as 48h or 2d")
    if not _DURATION.match(text):
        raise Wrong(f"{text!r} is not a duration", _unit_hint(text))
    total = sum((Decimal(number) * UNITS[unit] for number, unit in _DURATION_PART.findall(text)), Decimal(0))
    if total <= 0:
        raise Wrong(f"{text} is no time at all", "write a duration of more than zero")
    if total > DURATION_MAX:
        raise Wrong(f"{text} is longer than a hundred years")
    if total != int(total):
        raise Wrong(f"{text} is not a whole number of milliseconds")
    return int(total)


def duration_of_a_second(text: str) -> int:
    """As `duration`, at least a second: what comes again and again."""
    length = duration(text)
    if length < SECOND:
        raise Wrong(f"{text} is too short to come again and again", "write at least 1s")
    return length


def duration_or_none_at_all(text: str) -> int:
    """As `duration`, but `0s` is allowed."""
    return 0 if re.fullmatch(r"0+(ms|[smhd])", text) else duration(text)


def weight(text: str) -> str:
    """A number of at least zero."""
    number = decimal(text)
    if number.startswith("-"):
        raise Wrong(f"{text} is less than nothing", "write a number of at least 0")
    return number


def within(text: str) -> dict[str, Any]:
    """A target: a duration, `3bd` or `7cd`, as the fields of terms.Within."""
    days = _DAYS.match(text)
    if days is None:
        if re.fullmatch(r"\d+\.\d+(bd|cd)", text):
            raise Wrong(f"{text}: business and civil days are whole", "write a whole number, or hours")
        return {"amount": duration(text)}
    amount = int(days[1])
    if not 0 < amount <= DAYS_MAX:
        raise Wrong(f"{text}: from 1 to {DAYS_MAX} days are possible")
    return {"amount": amount, "unit": days[2]}


def _unit_hint(text: str) -> str:
    general = "write a number and a unit: 500ms, 90s, 30m, 4h, 2d, or 1h30m"
    if _NUMBER.match(text):
        return f"a unit is missing, such as {text.lstrip('+-')}h or {text.lstrip('+-')}m"
    split = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z ]+)", text.strip())
    if split is None:
        return "a duration cannot be negative" if text.startswith("-") else general
    word = split[2].strip().lower()
    unit = next((unit for unit, names in _LONG_UNITS.items() if word == unit or word in names), None)
    if word in ("w", "week", "weeks"):
        return f"write {int(float(split[1]) * 7)}d"
    return f"write {split[1]}{unit}" if unit else general


def decimal(text: str) -> str:
    """A number as a plain decimal text."""
    if not _NUMBER.match(text):
        raise Wrong(f"{text!r} is not a number", "write it as 4 or 4.2")
    return _plain(Decimal(text))


def share(text: str) -> str:
    """`95%` as `"0.95"`."""
    if not text.endswith("%") or not _NUMBER.match(text[:-1]):
        raise Wrong(f"{text!r} is not a share", f"write {_percentage(text)}" if _NUMBER.match(text) else "write it as 95%")
    value = Decimal(text[:-1]) / 100
    if not 0 <= value <= 1:
        raise Wrong(f"{text} is not between 0% and 100%", "such as 95%")
    return _plain(value)


def _percentage(number: str) -> str:
    """What was meant by a share without its sign: 0.15 and 15 are both 15%."""
    value = Decimal(number)
    return f"{_plain(value * 100 if 0 < value < 1 else value)}%"


def share_or_number(text: str) -> str:
    """`95%` as `"0.95"`, `4.2` as it is: the edge of a tier, in the measure of its objective."""
    return share(text) if text.endswith("%") else decimal(text)


def bound(text: str) -> dict[str, str]:
    """`">= 95%"` or `"<= 3"` as the fields of terms.Bound."""
    found = _BOUND.match(text.strip())
    if found is None:
        turned = re.fullmatch(r"=([<>])\s*(\S+)", text.strip())
        sample = f'">= {text}"' if re.fullmatch(r"-?\d+(\.\d+)?%?", text) else '">= 95%" or "<= 4.2"'
        sample = sample if turned is None else f'"{turned[1]}= {turned[2]}"'
        raise Wrong(f"{text!r} is not a target", f"write a comparison and a value: {sample}")
    return {"op": found[1], "value": share_or_number(found[2])}


def money(text: str) -> dict[str, str]:
    """`500 CNY` as the fields of terms.Money."""
    found = _MONEY.match(text)
    if found is None:
        turned = re.fullmatch(r"([A-Za-z]{3})\s*(\d+(?:\.\d+)?)|(\d+(?:\.\d+)?)\s*([A-Za-z]{3})", text.replace(",", ""), re.ASCII)
        amount, currency = ("500", "CNY") if turned is None else (turned[2] or turned[3], (turned[1] or turned[4]).upper())
        raise Wrong(f"{text!r} is not an amount of money", f'write the amount, a space and the currency: "{amount} {currency}"')
    return {"amount": _plain(Decimal(found[1])), "currency": found[2]}


def calendar_date(text: str) -> date:
    """`2026-10-01`."""
    try:
        if not _DATE.match(text):
            raise ValueError
        day = date.fromisoformat(text)
    except ValueError:
        raise Wrong(f"{text!r} is not a date", "write it as 2026-10-01") from None
    if not YEARS[0] <= day.year <= YEARS[1]:
        raise Wrong(f"{text} lies outside the years {YEARS[0]} to {YEARS[1]}", "leave out the key where there is no end")
    return day


def time_of_day(text: str) -> int:
    """`18:00` or `18:00:30` in milliseconds from midnight; up to `24:00`."""
    found = _TIME.match(text)
    if found is None:
        raise Wrong(f"{text!r} is not a time of day", "write it as 09:00")
    hours, minutes, seconds = int(found[1]), int(found[2]), int(found[3] or 0)
    value = hours * HOUR + minutes * MINUTE + seconds * SECOND
    if minutes > 59 or seconds > 59 or value > DAY:
        raise Wrong(f"{text} is not a time of day", "from 00:00 to 24:00")
    return value


def name(text: str) -> str:
    """A name that may stand in subjects and addresses: no slash, no control characters, at most 200 characters."""
    if len(text) > NAME_LENGTH_MAX:
        raise Wrong(f"a name of {len(text)} characters", f"write {NAME_LENGTH_MAX} at most")
    if control := _CONTROL.search(text):
        raise Wrong(f"{text!r} cannot be a name: it has the control character U+{ord(control[0]):04X}", "leave it out")
    if not text or "/" in text or text != text.strip():
        raise Wrong(f"{text!r} cannot be a name", "at least one character, no slash, no space at the ends")
    return text


def any_text(text: str) -> str:
    """A text that says something."""
    if not text.strip():
        raise Wrong("the text is empty")
    return text


def event_type(text: str) -> str:
    """A CloudEvents type; those of slawatch itself cannot be triggers."""
    if text.startswith("slawatch."):
        raise Wrong(f"{text}: types that begin with slawatch. are reserved", "name the event of your own system")
    return any_text(text)


def condition(text: str) -> str:
    """A CEL condition over `event` and `data`, compiled to see that it is one, and that it can be answered."""
    try:
        compile_condition(text)
        refuse_hopeless(text)
    except ConditionError as wrong:
        raise Wrong(f"condition: {wrong.message}", wrong.hint, wrong.offset or 0) from None
    return text


def path(text: str) -> str:
    """A path such as data.score."""
    try:
        compile_path(text)
    except ConditionError as wrong:
        raise Wrong(wrong.message, wrong.hint, wrong.offset or 0) from None
    return text


def aggregate(text: str) -> str:
    """avg, sum, min, max, count, or a percentile such as p95."""
    found = _AGGREGATE.match(text)
    if text in ("avg", "sum", "min", "max", "count") or (found and float(text[1:]) > 0):
        return text
    raise Wrong(f"{text!r} is not an aggregate", nearest(text, ("avg", "sum", "min", "max", "count", "p50", "p90", "p95", "p99")))


def window(text: str) -> dict[str, Any]:
    """`period`, `rolling 30d`, `tumbling 1h` as the fields of terms.Window."""
    kind, _, length = text.partition(" ")
    if text == "period":
        return {"kind": "period"}
    if kind in ("rolling", "tumbling") and length:
        try:
            return {"kind": kind, "length": duration_of_a_second(length)}
        except Wrong as wrong:
            raise Wrong(wrong.message, wrong.hint, len(kind) + 1) from None
    raise Wrong(f"{text!r} is not a window", "write period, rolling 30d or tumbling 1h")


def warning(text: str) -> dict[str, str | int]:
    """`80%` of the target or `30m` before due, as the fields of terms.Warn."""
    if _NUMBER.match(text):
        raise Wrong(f"{text!r} is neither a share nor a duration", f"write {text}% of the target, or a time before due such as {text}m")
    if not text.endswith("%"):
        return {"label": text, "lead": duration(text)}
    value = share(text)
    if not 0 < Decimal(value) < 1:
        raise Wrong(f"{text} is no warning: it must lie between 0% and 100% of the target")
    return {"label": text, "share": value}


def _plain(value: Decimal) -> str:
    text = format(value, "f")
    if value == 0:
        return "0"
    return text.rstrip("0").rstrip(".") if "." in text else text
