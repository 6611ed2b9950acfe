"""Calendars: the document, and its compilation to the table that working time is computed from."""

from typing import Any, Final

from shared.language import values
from shared.language.nodes import Listing, Node, Table, Text
from shared.language.problems import Report, Wrong, nearest
from shared.language.public_holidays import country_code, country_days
from shared.language.readers import BAD, ByShape, Fields, Key, Leaf, Many, OneOf, Pairs, Record
from shared.language.zones import transitions, zone_name
from shared.sla.instants import DAY
from shared.sla.terms import CalendarTable

API_VERSION: Final = "slawatch/v1"
ALWAYS: Final = "24x7"
DAY_NAMES: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAYS_PATTERN: Final = r"^(mon|tue|wed|thu|fri|sat|sun)([-,](mon|tue|wed|thu|fri|sat|sun))*$"

Window = tuple[int, int]
Windows = tuple[Window, ...]


def days(text: str) -> tuple[int, ...]:
    """`mon`, `mon-fri`, `sat,sun`, `fri-mon` as week days, Monday 0."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        begin = _day(first)
        end = _day(last) if dash else begin
        found += [(begin + step) % 7 for step in range((end - begin) % 7 + 1)]
    if len(set(found)) < len(found):
        raise Wrong(f"{text} names a day twice", "name each day once")
    return tuple(found)


def _day(text: str) -> int:
    name = text.strip()
    if name in DAY_NAMES:
        return DAY_NAMES.index(name)
    short = name[:3].lower()
    hint = f"write {short}" if short in DAY_NAMES else "write mon, tue, wed, thu, fri, sat or sun, or a range such as mon-fri"
    raise Wrong(f"{name!r} is not a day of the week", hint)


def window(text: str) -> Window:
    """`09:00-12:00` in milliseconds of the day; `22:00-06:00` ends on the next day, beyond 24:00."""
    parts = text.replace("\N{EN DASH}", "-").split("-")
    if len(parts) != 2:
        raise Wrong(f"{text!r} is not a window of time", "write it as 09:00-17:00")
    opens, closes = (values.time_of_day(part.strip()) for part in parts)
    if opens == closes:
        raise Wrong(f"{text} is empty", "write 00:00-24:00 for the whole day, [] for a day that is closed")
    if opens >= DAY:
        raise Wrong(f"{text} opens at 24:00", "write 00:00 of the next day")
    return (opens, closes if closes > opens else closes + DAY)


class _Holidays:
    """`CN`, `DE-BY`, `{2026-05-01: Labour Day}`, or a list of these, as a list of codes and of lists of (date, name)."""

    def __init__(self) -> None:
        code = Leaf(country_code, {"pattern": "^[A-Z]{2,3}(-.+)?$", "examples": ["CN", "DE-BY"]})
        own = Pairs(values.calendar_date, Leaf(values.any_text), values.DATE_PATTERN)
        self._reader = ByShape(text=code, listing=Many(ByShape(text=code, table=own)), table=own)

    def read(self, node: Node, report: Report) -> Any:
        value = self._reader.read(node, report)
        if value is BAD:
            return BAD
        return value if isinstance(node, Listing) else [value]

    def schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return self._reader.schema(defs)


_WINDOW = Leaf(window, {"pattern": r"^\d\d:\d\d(:\d\d)?\s*-\s*\d\d:\d\d(:\d\d)?$", "examples": ["09:00-17:00"]})
_WINDOWS = Many(_WINDOW, least=0, single=True)


def header(kind: str) -> tuple[Key, ...]:
    """The first keys of every document."""
    return (
        Key("apiVersion", OneOf(API_VERSION), f"write {API_VERSION}", required=True),
        Key("kind", OneOf(kind), "what the document is", required=True),
        Key("name", Leaf(values.name), "the name others use for it", required=True),
        Key("description", Leaf(values.any_text), "for people"),
    )


def _check(fields: Fields, report: Report) -> None:
    if fields.get("name") == ALWAYS:
        report.at(fields.place("name"), f"the calendar {ALWAYS} is built in", "choose another name")
    _check_days(fields, report)
    if not any(_windows_written(fields.place(key)) for key in ("hours", "overrides") if fields.has_key(key)):
        place = fields.place("hours")
        report.at(place, "the calendar has no working time at all", 'write hours: {mon-fri: ["09:00-17:00"]}, or use calendar 24x7')


def _windows_written(days: Node) -> bool:
    """Whether any window stands there, well or badly; a bad one has its own problem."""
    if not isinstance(days, Table):
        return True
    return any(not isinstance(listed, Listing) or listed.items for _, listed in days.entries.values())


def _check_days(fields: Fields, report: Report) -> None:
    hours = fields.place("hours")
    if "hours" not in fields or not isinstance(hours, Table):
        return
    seen: dict[int, Text] = {}
    for key_node, _ in hours.entries.values():
        try:
            named = days(key_node.text)
        except Wrong:
            continue  # reported when it was read
        twice = next((day for day in named if day in seen), None)
        if twice is not None:
            report.at(key_node, f"{DAY_NAMES[twice]} is in {seen[twice].text!r} and in {key_node.text!r}", "name each day once")
        seen |= dict.fromkeys(named, key_node)


_HOURS_KEYS: Final = (
    Key("timezone", Leaf(zone_name, {"examples": ["Asia/Shanghai"]}), "IANA zone of the hours (default UTC)"),
    Key("hours", Pairs(days, _WINDOWS, _DAYS_PATTERN), 'windows of work by week day, such as mon-fri: ["09:00-12:00", "13:30-18:00"]'),
    Key("holidays", _Holidays(), "public holidays, with make-up working days: a country (CN, DE-BY), own dates, or a list of both"),
    Key("overrides", Pairs(values.calendar_date, _WINDOWS, values.DATE_PATTERN), "hours of single dates, above all else; [] is closed"),
)
HOURS: Final = Record("hours", _HOURS_KEYS, check=_check)
CALENDAR = Record("Calendar", (*header("Calendar"), *_HOURS_KEYS), check=_check, extras=True)


def compile_calendar(fields: Fields) -> CalendarTable:
    """The table of a calendar document that was read without a problem."""
    zone = fields.get("timezone", "UTC")
    hours: list[Windows] = [()] * 7
    for named, windows in fields.get("hours", ()):
        for day in named:
            hours[day] = tuple(sorted(windows))
    holidays, workdays, years = _holidays(fields.get("holidays", ()))
    usual = next((windows for windows in hours if windows), ())
    return CalendarTable(
        name=fields["name"],
        timezone=zone,
        transitions=transitions(zone),
        hours=tuple(hours),
        holidays=holidays,
        workdays=dict.fromkeys(sorted(workdays), usual) if usual else {},
        overrides={day.isoformat(): tuple(sorted(windows)) for day, windows in fields.get("overrides", ())},
        valid_from=f"{years[0]}-01-01" if years else None,
        valid_through=f"{years[1]}-12-31" if years else None,
    )


def _holidays(sources: list[Any]) -> tuple[dict[str, str], set[str], tuple[int, int] | None]:
    """(holidays, make-up working days, years that all the sources are sure of); dates written in the document win."""
    listed: dict[str, str] = {}
    worked: set[str] = set()
    countries = [country_days(source) for source in sources if isinstance(source, str)]
    for country in countries:
        listed |= country.holidays
        worked |= country.workdays
    own = {day.isoformat(): label for source in sources if not isinstance(source, str) for day, label in source}
    for day in worked & listed.keys():
        del listed[day]
    years = (max(country.first for country in countries), min(country.last for country in countries)) if countries else None
    return listed | own, worked - own.keys(), years


def always(zone: str) -> CalendarTable:
    """The built-in calendar 24x7, whose days are those of `zone`."""
    return CalendarTable(name=ALWAYS, timezone=zone, transitions=transitions(zone), hours=(((0, DAY),),) * 7, always=True)


def unknown_calendar(name: str, known: list[str]) -> tuple[str, str]:
    """(message, hint) for a calendar that no document declares."""
    return f"there is no calendar {name!r}", nearest(name, [*known, ALWAYS]) or "add a document of kind Calendar"
