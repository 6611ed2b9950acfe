"""semantics.md, "Calendars": working time, against a reference that walks minute by minute."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.language import load_text
from shared.sla.calendars import Calendar, civil_days_later
from shared.sla.instants import DAY, HOUR, MINUTE, SECOND, format_instant, from_datetime, parse_instant

OFFICE = "{mon-fri: ['09:00-17:00']}"
ALL_DAY = "{mon-sun: ['00:00-24:00']}"


@lru_cache(maxsize=64)
def calendar(zone: str, hours: str, more: str = "") -> Calendar:
    """The calendar of a short text."""
    text = f"apiVersion: slawatch/v1\nkind: Calendar\nname: c\ntimezone: {zone}\nhours: {hours}\n{more}\n"
    return Calendar(load_text("c.yaml", text).or_raise().calendars["c"])


def at(text: str, zone: str = "UTC") -> int:
    """The instant of a wall time; the first of an ambiguous pair."""
    return parse_instant(text, ZoneInfo(zone))


def due(found: Calendar, start: str, amount: int) -> str | None:
    instant = found.advance(at(start, found.zone_name), amount)
    return None if instant is None else f"{datetime.fromtimestamp(instant / 1000, ZoneInfo(found.zone_name)):%Y-%m-%d %H:%M}"


# -- windows ---------------------------------------------------------------------------------------------------------


def test_lunch_breaks_do_not_count() -> None:
    office = calendar("UTC", "{mon-fri: ['09:00-12:00', '13:00-17:00']}")
    assert due(office, "2026-03-02T11:30", HOUR) == "2026-03-02 13:30"
    assert office.worked(at("2026-03-02T00:00"), at("2026-03-03T00:00")) == 7 * HOUR


def test_a_window_that_ends_at_24_00_touches_the_next_day() -> None:
    evenings = calendar("UTC", "{mon-fri: ['20:00-24:00']}")
    assert due(evenings, "2026-03-02T23:00", 2 * HOUR) == "2026-03-03 21:00"
    assert calendar("UTC", ALL_DAY).intervals(at("2026-03-02T00:00"), at("2026-03-09T00:00")) == [
        (at("2026-03-02T00:00"), at("2026-03-09T00:00"))
    ]


def test_a_window_over_midnight_belongs_to_the_date_it_opens_on() -> None:
    nights = calendar("UTC", "{fri: ['22:00-06:00']}")
    assert nights.is_open(at("2026-03-07T05:59"))
    assert not nights.is_open(at("2026-03-07T06:00"))
    assert nights.day_of(at("2026-03-07T03:00")) == date(2026, 3, 6).toordinal()
    assert nights.day_of(at("2026-03-07T07:00")) == date(2026, 3, 7).toordinal()
    assert due(nights, "2026-03-06T23:00", 6 * HOUR) == "2026-03-07 05:00"


def test_windows_that_touch_or_overlap_are_united() -> None:
    mixed = calendar("UTC", "{mon: ['09:00-12:00', '12:00-15:00', '14:00-17:00'], sun: ['22:00-10:00']}")
    assert mixed.intervals(at("2026-03-01T00:00"), at("2026-03-03T00:00")) == [(at("2026-03-01T22:00"), at("2026-03-02T17:00"))]
    assert mixed.worked(at("2026-03-01T00:00"), at("2026-03-03T00:00")) == 19 * HOUR


def test_due_at_closing_time_stays_there_or_moves_to_the_next_opening() -> None:
    office = calendar("UTC", OFFICE)
    assert due(office, "2026-03-06T16:00", HOUR) == "2026-03-06 17:00"
    assert office.advance(at("2026-03-06T16:00"), HOUR, next_open=True) == at("2026-03-09T09:00")


def test_nothing_to_use_is_used_at_once() -> None:
    office = calendar("UTC", OFFICE)
    assert due(office, "2026-03-07T12:00", 0) == "2026-03-07 12:00"
    assert office.advance(at("2026-03-07T12:00"), 0, next_open=True) == at("2026-03-09T09:00")


def test_a_closing_instant_is_not_working_time_an_opening_instant_is() -> None:
    office = calendar("UTC", OFFICE)
    assert [office.is_open(at(f"2026-03-02T{wall}")) for wall in ("08:59", "09:00", "16:59", "17:00")] == [False, True, True, False]


def test_no_time_between_an_instant_and_an_earlier_one() -> None:
    office = calendar("UTC", OFFICE)
    assert office.worked(at("2026-03-02T12:00"), at("2026-03-02T10:00")) == 0
    assert office.intervals(at("2026-03-02T12:00"), at("2026-03-02T10:00")) == []


# -- overrides, holidays, make-up days -------------------------------------------------------------------------------


def test_an_override_beats_a_holiday_beats_weekly_hours() -> None:
    german = calendar("Europe/Berlin", OFFICE, "holidays: DE\noverrides: {2026-12-25: ['10:00-11:00'], 2026-12-28: []}")
    assert due(german, "2026-12-24T16:30", HOUR) == "2026-12-25 10:30"  # Christmas Day, but for the override
    assert due(german, "2026-12-25T10:30", HOUR) == "2026-12-29 09:30"  # the weekend, then closed by an override


def test_an_override_replaces_the_windows_that_open_on_its_date() -> None:
    nights = calendar("UTC", "{mon-fri: ['22:00-06:00']}", "overrides: {2026-03-03: []}")
    assert nights.is_open(at("2026-03-03T05:00"))  # Monday's shift
    assert not nights.is_open(at("2026-03-04T05:00"))  # Tuesday's


def test_a_make_up_day_has_the_hours_of_the_first_weekday_that_has_any() -> None:
    chinese = calendar("Asia/Shanghai", "{tue-fri: ['10:00-16:00']}", "holidays: CN")
    assert due(chinese, "2026-02-13T15:00", 2 * HOUR) == "2026-02-14 11:00"  # a Saturday, worked for the Spring Festival
    own = calendar("Asia/Shanghai", "{tue-fri: ['10:00-16:00']}", "holidays: CN\noverrides: {2026-02-14: ['12:00-13:00']}")
    assert due(own, "2026-02-13T15:30", HOUR) == "2026-02-14 12:30"


def test_a_holiday_has_a_name() -> None:
    assert "Christmas" in calendar("America/New_York", OFFICE, "holidays: US").reason("2026-12-25")


# -- daylight saving -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "start", "end", "hours"),
    [
        ("Europe/Berlin", "2026-03-29T00:00", "2026-03-30T00:00", 23),
        ("Europe/Berlin", "2026-10-25T00:00", "2026-10-26T00:00", 25),
        ("America/New_York", "2026-03-08T00:00", "2026-03-09T00:00", 23),
        ("America/New_York", "2026-11-01T00:00", "2026-11-02T00:00", 25),
        ("Australia/Lord_Howe", "2026-10-04T00:00", "2026-10-05T00:00", 23.5),
        ("Australia/Lord_Howe", "2026-04-05T00:00", "2026-04-06T00:00", 24.5),
    ],
)
def test_a_day_has_as_many_hours_as_it_has(zone: str, start: str, end: str, hours: float) -> None:
    assert calendar(zone, ALL_DAY).worked(at(start, zone), at(end, zone)) == hours * HOUR


@pytest.mark.parametrize(
    ("zone", "day", "boundary", "moved"),
    [
        ("Europe/Berlin", "2026-03-29", "02:30", "2026-03-29T01:30:00Z"),  # 03:30 summer time
        ("America/New_York", "2026-03-08", "02:15", "2026-03-08T07:15:00Z"),  # 03:15
        ("Australia/Lord_Howe", "2026-10-04", "02:10", "2026-10-03T15:40:00Z"),  # 02:40
    ],
)
def test_a_boundary_in_the_gap_moves_forward_by_the_gap(zone: str, day: str, boundary: str, moved: str) -> None:
    opened = calendar(zone, f"{{sun: ['{boundary}-12:00']}}").intervals(at(f"{day}T00:00", zone), at(f"{day}T12:00", zone))
    assert [format_instant(start) for start, _ in opened] == [moved]
    closed = calendar(zone, f"{{sun: ['00:00-{boundary}']}}").intervals(at(f"{day}T00:00", zone), at(f"{day}T12:00", zone))
    assert [format_instant(end) for _, end in closed] == [moved]


@pytest.mark.parametrize(
    ("zone", "day", "boundary", "first"),
    [
        ("Europe/Berlin", "2026-10-25", "02:30", "2026-10-25T00:30:00Z"),
        ("America/New_York", "2026-11-01", "01:30", "2026-11-01T05:30:00Z"),
        ("Australia/Lord_Howe", "2026-04-05", "01:45", "2026-04-04T14:45:00Z"),
    ],
)
def test_an_ambiguous_boundary_is_the_first(zone: str, day: str, boundary: str, first: str) -> None:
    opened = calendar(zone, f"{{sun: ['{boundary}-12:00']}}").intervals(at(f"{day}T00:00", zone), at(f"{day}T12:00", zone))
    assert [format_instant(start) for start, _ in opened] == [first]


def test_a_window_emptied_by_the_gap_is_dropped() -> None:
    nights = calendar("Europe/Berlin", "{mon-sun: ['02:10-02:50', '10:00-11:00']}")
    midnight = at("2026-03-29T00:00", "Europe/Berlin")
    assert [format_instant(start) for start, _ in nights.intervals(midnight, midnight + 23 * HOUR)] == [
        "2026-03-29T01:10:00Z",  # 02:10-02:50 has become 03:10-03:50
        "2026-03-29T08:00:00Z",
    ]
    odd = calendar("Europe/Berlin", "{mon-sun: ['02:30-03:30']}")  # 03:30-03:30
    assert odd.intervals(midnight, midnight + 23 * HOUR) == []
    assert odd.close_of_business(midnight - DAY, 1) == at("2026-03-30T03:30", "Europe/Berlin")  # that Sunday is no working day


# -- business and civil days -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "count", "close"),
    [
        ("2026-03-02T10:00", 1, "2026-03-03T17:00"),
        ("2026-03-06T10:00", 1, "2026-03-09T17:00"),  # over the weekend
        ("2026-03-06T23:00", 1, "2026-03-09T17:00"),  # after hours: still Friday's
        ("2026-03-07T10:00", 1, "2026-03-09T17:00"),  # from a Saturday the first working day after is Monday
        ("2026-03-02T10:00", 5, "2026-03-09T17:00"),
        ("2026-03-02T10:00", 250, "2027-02-15T17:00"),
    ],
)
def test_close_of_business_on_the_nth_working_day_after(start: str, count: int, close: str) -> None:
    assert calendar("UTC", OFFICE).close_of_business(at(start), count) == at(close)


def test_a_shift_over_midnight_counts_for_the_date_it_opens_on() -> None:
    nights = calendar("UTC", "{mon-fri: ['22:00-06:00']}")
    assert nights.close_of_business(at("2026-03-03T02:00"), 1) == at("2026-03-04T06:00")  # Monday's shift, so Tuesday's closes
    assert nights.close_of_business(at("2026-03-03T12:00"), 1) == at("2026-03-05T06:00")  # Tuesday


def test_the_same_time_some_working_days_later() -> None:
    office = calendar("UTC", OFFICE)
    assert office.same_time(at("2026-03-05T10:30"), 2) == at("2026-03-09T10:30")
    assert office.same_time(at("2026-03-07T10:30"), 2) == at("2026-03-11T09:00")  # from Monday's opening


def test_the_same_time_over_a_change_of_clocks() -> None:
    berlin = calendar("Europe/Berlin", OFFICE)
    assert berlin.same_time(at("2026-03-27T10:30", "Europe/Berlin"), 1) == at("2026-03-30T10:30", "Europe/Berlin")


@pytest.mark.parametrize(
    ("start", "count", "end"),
    [
        ("2026-03-22T12:00", 7, "2026-03-29T12:00"),  # summer time has begun that morning
        ("2026-03-22T02:30", 7, "2026-03-29T03:30"),  # into the gap: forward by it
        ("2026-10-18T02:30", 7, "2026-10-25T02:30"),  # twice that night: the first
    ],
)
def test_civil_days_keep_the_wall_time(start: str, count: int, end: str) -> None:
    berlin = calendar("Europe/Berlin", OFFICE)
    assert civil_days_later(berlin.zone, at(start, "Europe/Berlin"), count) == at(end, "Europe/Berlin")


# -- far away --------------------------------------------------------------------------------------------------------


def test_years_far_apart_are_reckoned_on_demand() -> None:
    office = Calendar(
        load_text("c.yaml", f"{{apiVersion: slawatch/v1, kind: Calendar, name: c, timezone: Europe/Berlin, hours: {OFFICE}}}")
        .or_raise()
        .calendars["c"]
    )
    for year in (2026, 1931, 2300, 1999, 2100):
        start = at(f"{year}-06-01T00:00", "Europe/Berlin")
        assert office.worked(start, start + 28 * DAY) == 20 * 8 * HOUR
        far = office.advance(start, 8 * HOUR)
        assert far is not None
        assert office.worked(start, far) == 8 * HOUR


def test_beyond_the_last_year_nothing_becomes_due() -> None:
    office = calendar("UTC", OFFICE)
    assert office.advance(at("2399-12-31T12:00"), 100 * HOUR) is None
    assert office.advance(at("2026-03-02T12:00"), 10**15) is None
    assert office.close_of_business(at("2399-12-30T12:00"), 300) is None


def test_a_calendar_whose_time_runs_out_says_so() -> None:
    once = calendar("UTC", "{}", "overrides: {2026-03-02: ['09:00-10:00']}")
    assert due(once, "2026-03-01T00:00", HOUR) == "2026-03-02 10:00"
    assert due(once, "2026-03-01T00:00", HOUR + 1) is None
    assert once.close_of_business(at("2026-03-02T09:30"), 1) is None
    assert once.same_time(at("2026-03-02T12:00"), 1) is None


# -- against minutes -------------------------------------------------------------------------------------------------

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Shanghai")
HOURS: tuple[dict[str, list[str]], ...] = (
    {"mon-fri": ["09:00-17:00"]},
    {"mon-fri": ["09:00-12:00", "13:30-18:00"], "sat": ["10:00-14:00"]},
    {"mon-sun": ["22:00-06:00"]},
    {"mon-sun": ["00:00-24:00"]},
    {"mon-wed": ["20:00-24:00"], "thu": ["00:00-02:30"], "sun": ["01:30-03:10"]},
    {"mon-sun": ["02:15-02:45", "01:00-02:20"]},
)
AROUND = ("2026-03-06", "2026-03-27", "2026-04-03", "2026-10-02", "2026-10-23", "2026-10-30", "2026-06-10")
NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def windows_of(day: date, hours: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    for key, windows in hours.items():
        first, _, last = key.partition("-")
        if NAMES.index(first) <= day.weekday() <= NAMES.index(last or first):
            for window in windows:
                begin, _, end = window.partition("-")
                yield begin, end


def open_minutes(zone: str, hours: dict[str, list[str]], first: date, days: int) -> set[int]:
    """Every working minute, as minutes since 1970; walls become instants by the standard library."""

    def moment(day: date, wall: str) -> datetime:
        late, (hour, minute) = wall == "24:00", map(int, wall.split(":"))
        day += timedelta(days=late)
        return datetime(day.year, day.month, day.day, 0 if late else hour, minute, tzinfo=ZoneInfo(zone)).astimezone(UTC)

    found: set[int] = set()
    for day in (first + timedelta(days=n) for n in range(days)):
        for begin, end in windows_of(day, hours):
            last = day if begin < end else day + timedelta(days=1)
            found.update(range(from_datetime(moment(day, begin)) // MINUTE, from_datetime(moment(last, end)) // MINUTE))
    return found


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(ZONES),
    st.sampled_from(HOURS),
    st.sampled_from(AROUND),
    st.integers(0, 4 * 1440),
    st.integers(1, 4000),
    st.integers(1, 3000),
)
def test_working_time_is_what_a_walk_minute_by_minute_finds(
    zone: str, hours: dict[str, list[str]], around: str, skip: int, length: int, amount: int
) -> None:
    found = calendar(zone, str(hours))
    first = date.fromisoformat(around)
    minutes = open_minutes(zone, hours, first - timedelta(days=2), 28)
    start = from_datetime(datetime(first.year, first.month, first.day, tzinfo=UTC)) // MINUTE + skip
    assert found.worked(start * MINUTE, (start + length) * MINUTE) == MINUTE * sum(start <= minute < start + length for minute in minutes)
    assert found.is_open(start * MINUTE) == (start in minutes)
    ahead = sorted(minute for minute in minutes if minute >= start)
    if len(ahead) > amount:
        assert found.advance(start * MINUTE, amount * MINUTE) == (ahead[amount - 1] + 1) * MINUTE
        assert found.advance(start * MINUTE, amount * MINUTE, next_open=True) == ahead[amount] * MINUTE


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(ZONES), st.sampled_from(HOURS), st.integers(-2 * 10**12, 6 * 10**12), st.integers(1, 40 * DAY))
def test_advance_is_the_inverse_of_worked(zone: str, hours: dict[str, list[str]], start: int, amount: int) -> None:
    found = calendar(zone, str(hours))
    end = found.advance(start, amount)
    assert end is not None
    assert found.worked(start, end) == amount
    assert found.worked(start, end - 1) < amount  # the earliest instant
    after = found.advance(start, amount, next_open=True)
    assert after is not None
    assert found.worked(start, after) == amount
    assert found.is_open(after)
    intervals = found.intervals(start, end)
    assert sum(stop - begin for begin, stop in intervals) == amount
    assert all(low < high for low, high in zip([stop for _, stop in intervals], [begin for begin, _ in intervals[1:]], strict=False))


def test_seconds_count_too() -> None:
    office = calendar("UTC", OFFICE)
    assert office.advance(at("2026-03-02T16:59:59"), 2 * SECOND) == at("2026-03-03T09:00:01")
