"""Calendars compile to tables: hours, holidays, make-up working days, zones; checked against published calendars."""

import json
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import chinese_calendar  # type: ignore[import-untyped]  # it has no stubs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.language.public_holidays import country_days
from shared.language.zones import transitions, zone
from shared.sla.instants import DAY, HOUR, MINUTE
from shared.sla.terms import CalendarTable
from tests.unit.language.samples import CALENDAR, loaded

PUBLISHED = Path(__file__).parents[4] / "shared" / "data" / "holiday_cn_2007_2023.json"
NINE_TO_SIX = ((9 * HOUR, 18 * HOUR),)


def table(*lines: str) -> CalendarTable:
    """A calendar of the office with other lines for its hours and holidays."""
    return loaded(CALENDAR.rsplit("hours", 1)[0] + "".join(f"{line}\n" for line in lines)).calendars["office"]


def windows_of(calendar: CalendarTable, day: date) -> tuple[tuple[int, int], ...]:
    """The order of semantics.md: overrides, then holidays and make-up days, then weekly hours."""
    text = day.isoformat()
    if text in calendar.overrides:
        return calendar.overrides[text]
    if text in calendar.workdays:
        return calendar.workdays[text]
    return () if text in calendar.holidays else calendar.hours[day.weekday()]


def days_of(first_year: int, last_year: int) -> list[date]:
    first, after = date(first_year, 1, 1), date(last_year + 1, 1, 1)
    return [first + timedelta(days=n) for n in range((after - first).days)]


def test_hours_of_days_ranges_and_lists() -> None:
    calendar = table('hours: {mon-tue: ["09:00-12:00", "13:30-18:00"], "wed,fri": "10:00-11:00", sat-sun: []}')
    split = ((9 * HOUR, 12 * HOUR), (13 * HOUR + 30 * MINUTE, 18 * HOUR))
    short = ((10 * HOUR, 11 * HOUR),)
    assert calendar.hours == (split, split, short, (), short, (), ())


def test_windows_over_midnight_and_to_the_end_of_the_day() -> None:
    calendar = table('hours: {mon: ["22:00-06:00"], tue: ["00:00-24:00"], fri-mon: []}'.replace(", fri-mon: []", ""))
    assert calendar.hours[0] == ((22 * HOUR, DAY + 6 * HOUR),)
    assert calendar.hours[1] == ((0, DAY),)


def test_a_range_may_pass_the_end_of_the_week() -> None:
    assert [bool(day) for day in table('hours: {sat-mon: ["09:00-10:00"]}').hours] == [True, False, False, False, False, True, True]


def test_overrides_and_own_holidays() -> None:
    calendar = table(
        'hours: {mon-fri: ["09:00-18:00"]}',
        "holidays: [DE-BY, {2026-05-04: Company day}]",
        'overrides: {2026-12-25: ["09:00-12:00"], 2026-12-28: []}',
    )
    assert calendar.holidays["2026-05-04"] == "Company day"
    assert "2026-06-04" in calendar.holidays  # Corpus Christi, a holiday in Bavaria and not in all of Germany
    assert "2026-06-04" not in table('hours: {mon: ["09:00-18:00"]}', "holidays: DE").holidays
    assert calendar.overrides == {"2026-12-25": ((9 * HOUR, 12 * HOUR),), "2026-12-28": ()}


def test_make_up_days_have_the_hours_of_the_first_weekday_that_has_any() -> None:
    calendar = table('hours: {tue-fri: ["09:00-18:00"], sat: ["10:00-11:00"]}', "holidays: CN")
    assert calendar.workdays["2026-02-14"] == NINE_TO_SIX


def test_a_date_of_ones_own_wins_over_a_make_up_day() -> None:
    calendar = table('hours: {mon-fri: ["09:00-18:00"]}', "holidays: [CN, {2026-02-14: We stay closed}]")
    assert windows_of(calendar, date(2026, 2, 14)) == ()


def test_decreed_calendars_know_where_they_end() -> None:
    china = table('hours: {mon-fri: ["09:00-18:00"]}', "holidays: CN")
    assert china.valid_from == "2001-01-01"
    assert china.valid_through is not None
    assert "2026-12-31" <= china.valid_through < "2035"
    germany = table('hours: {mon-fri: ["09:00-18:00"]}', "holidays: DE")
    assert (germany.valid_from, germany.valid_through) == ("2000-01-01", "2050-12-31")
    plain = table('hours: {mon-fri: ["09:00-18:00"]}')
    assert (plain.valid_from, plain.valid_through) == (None, None)


@pytest.fixture(scope="module")
def published() -> dict[str, str]:
    """What the State Council's notices say of single days: holiday or workday."""
    if not PUBLISHED.exists():
        pytest.skip(f"no folder of real histories: {PUBLISHED} is absent")
    return {day: kind for days in json.loads(PUBLISHED.read_text("utf-8")).values() for day, kind in days.items()}


def test_every_day_of_china_is_as_the_state_council_published_it(published: dict[str, str]) -> None:
    calendar = table('hours: {mon-fri: ["09:00-18:00"]}', "holidays: CN")
    wrong = [
        day.isoformat()
        for day in days_of(2007, 2023)
        if bool(windows_of(calendar, day)) != {"holiday": False, "workday": True}.get(published.get(day.isoformat(), ""), day.weekday() < 5)
    ]
    assert wrong == []
    assert sum(bool(windows_of(calendar, day)) for day in days_of(2023, 2023)) == 249


def test_what_is_open_at_weekends_is_closed_on_the_days_that_the_state_council_gave_off(published: dict[str, str]) -> None:
    calendar = table('hours: {mon-sun: ["09:00-18:00"]}', "holidays: CN")
    wrong = [
        day.isoformat() for day in days_of(2007, 2023) if bool(windows_of(calendar, day)) == (published.get(day.isoformat()) == "holiday")
    ]
    assert wrong == []


def test_weekends_inside_chinas_holidays_are_off() -> None:
    calendar = table('hours: {mon-sun: ["09:00-18:00"]}', "holidays: CN")
    assert [day.isoformat() for day in days_of(2026, 2026) if day.weekday() >= 5 and not windows_of(calendar, day)] == [
        *("2026-01-03", "2026-02-15", "2026-02-21", "2026-02-22", "2026-04-04", "2026-04-05", "2026-05-02", "2026-05-03"),
        *("2026-06-20", "2026-06-21", "2026-09-26", "2026-09-27", "2026-10-03", "2026-10-04"),
    ]


def test_china_agrees_with_another_package() -> None:
    calendar = table('hours: {mon-fri: ["09:00-18:00"]}', "holidays: CN")
    differing = [day.isoformat() for day in days_of(2004, 2026) if bool(windows_of(calendar, day)) != chinese_calendar.is_workday(day)]
    # The notice for 2006 made Saturday 31 December 2005 a working day; chinese_calendar has only what it says of 2006 itself.
    assert differing == ["2005-12-31"]


@pytest.mark.parametrize("code", ["CN", "DE", "US", "IN", "SA", "TW", "JP"])
def test_the_table_of_a_country_stays_small(code: str) -> None:
    assert len(country_days(code).holidays) < 2_000


zones = st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Africa/Casablanca", "Australia/Lord_Howe", "UTC"])
instants = st.datetimes(datetime(1970, 1, 2), datetime(2099, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 (the strategy adds the zone)


@given(zones, instants)
def test_transitions_say_what_the_zone_says(name: str, at: datetime) -> None:
    instant = int(at.timestamp() * 1_000)
    offset = [shift for begin, shift in transitions(name) if begin <= instant][-1]
    known = at.astimezone(zone(name)).utcoffset()
    assert known is not None
    assert offset == known / timedelta(milliseconds=1)


def test_transitions_ascend_and_change_something() -> None:
    pairs = transitions("Europe/Berlin")
    assert list(pairs) == sorted(pairs)
    assert all(before[1] != after[1] for before, after in pairwise(pairs))
