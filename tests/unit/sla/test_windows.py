"""Which window an instant lies in: civil time of the agreement's zone, anchored at effective.from, one version after the other."""

from typing import Any

import pytest

from shared.language.zones import transitions
from shared.sla.calendars import Zone
from shared.sla.instants import DAY, HOUR, MINUTE, format_instant, parse_instant
from shared.sla.windows import Periods, Steps, bucket_parts
from tests.unit.sla.level_timeline import levels, objective, promise
from tests.unit.sla.timeline import Timeline


def around(grid: Any, text: str) -> tuple[str, str]:
    start, end = grid.around(parse_instant(text))
    return format_instant(start), format_instant(end)


def steps(zone: str, anchor: str, length: int, parts: int = 1) -> Steps:
    return Steps(Zone(transitions(zone)), parse_instant(anchor), length, parts)


@pytest.mark.parametrize(
    ("period", "instant", "start", "end"),
    [
        ("week", "2026-03-04T12:00:00Z", "2026-03-01T23:00:00Z", "2026-03-08T23:00:00Z"),  # Monday to Monday, in Berlin
        ("month", "2026-03-31T21:59:59.999Z", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"),  # the clocks change in between
        ("month", "2026-03-31T22:00:00Z", "2026-03-31T22:00:00Z", "2026-04-30T22:00:00Z"),
        ("quarter", "2026-03-31T21:00:00Z", "2025-12-31T23:00:00Z", "2026-03-31T22:00:00Z"),
        ("year", "2026-12-31T22:59:59Z", "2025-12-31T23:00:00Z", "2026-12-31T23:00:00Z"),
    ],
)
def test_contract_periods_begin_at_midnight_of_the_zone(period: str, instant: str, start: str, end: str) -> None:
    assert around(Periods(Zone(transitions("Europe/Berlin")), period), instant) == (start, end)


def test_tumbling_windows_count_from_the_anchor_in_civil_time() -> None:
    grid = steps("Europe/Berlin", "2026-03-28T06:00:00Z", DAY)
    assert around(grid, "2026-03-28T05:30:00Z") == ("2026-03-28T05:00:00Z", "2026-03-29T04:00:00Z")  # 23 hours: the clocks go forward
    assert around(grid, "2026-03-29T04:00:00Z") == ("2026-03-29T04:00:00Z", "2026-03-30T04:00:00Z")


def test_boundaries_that_a_gap_brings_together_are_one() -> None:
    grid = steps("Europe/Berlin", "2026-03-29T00:00:00Z", 30 * MINUTE)  # 02:00 and 02:30 do not exist: they are 03:00 and 03:30
    assert around(grid, "2026-03-29T00:59:00Z") == ("2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z")
    assert around(grid, "2026-03-29T01:00:00Z") == ("2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z")


def test_a_repeated_hour_belongs_to_the_window_before() -> None:
    grid = steps("Europe/Berlin", "2026-10-25T00:00:00Z", HOUR)
    assert around(grid, "2026-10-25T01:30:00Z") == ("2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z")  # 02:00 to 03:00, twice


@pytest.mark.parametrize(("length", "parts"), [(30 * DAY, 60), (HOUR, 60), (61_000, 60), (60_000, 60), (10_000, 10), (500, 1)])
def test_a_rolling_window_has_sixty_buckets_of_at_least_a_second(length: int, parts: int) -> None:
    assert bucket_parts(length) == parts


def test_buckets_that_are_no_whole_milliseconds_still_meet() -> None:
    grid = steps("UTC", "2026-03-02T00:00:00Z", 61_000, 60)
    at = parse_instant("2026-03-02T00:00:00Z")
    for _ in range(60):
        start, end = grid.around(at)
        assert start == at
        assert 1016 <= end - start <= 1017
        at = end
    assert at == parse_instant("2026-03-02T00:01:01Z")


# -- which windows there are -----------------------------------------------------------------------------------------


def test_windows_run_from_the_one_of_the_first_event_to_the_last_closed_one() -> None:
    history = Timeline(promise(objective(), effective="{from: 2026-02-01}"), clock="event")
    history.at("Tue 10:00", "checked", {"ok": True})
    history.until("Fri 10:00")
    assert [line[:2] + line[5:] for line in levels(history)] == [
        ("Tue 00:00", "Wed 00:00", "met"),
        ("Wed 00:00", "Thu 00:00", "no_data"),
        ("Thu 00:00", "Fri 00:00", "no_data"),
    ]


def test_the_first_window_is_clipped_by_effective_from_and_the_last_one_by_nothing() -> None:
    history = Timeline(promise(objective(window="period"), effective="{from: 2026-03-04, to: 2026-03-20}"), clock="event")
    history.at("Mon 10:00", "checked", {"ok": True})  # before it begins: not counted
    history.at("2026-03-25T00:00:00Z", "checked", {"ok": True})  # after it ended, in the month it had begun
    history.at("2026-04-02T00:00:00Z", "checked", {"ok": True})  # of no month of it
    history.until("2026-06-01T00:00:00Z")
    assert levels(history) == [("Wed 00:00", "2026-04-01T00:00", 1, 1, 1, "met")]


def test_a_window_is_ruled_by_the_version_in_force_at_its_start() -> None:
    first = promise(objective(window="period", target='">= 50%"'), version="1", effective="{from: 2026-03-01, to: 2026-03-14}")
    second = promise(objective(window="tumbling 7d", target='">= 90%"'), version="2", effective="{from: 2026-03-15}")
    history = Timeline(first, second, clock="event")
    for day in (10, 20):
        history.at(f"2026-03-{day}T10:00:00Z", "checked", {"ok": day == 10})
    history.at("2026-04-02T10:00:00Z", "checked", {"ok": True})
    history.until("2026-04-13T00:00:00Z")
    assert [(line[0], line[1], line[3], line[5]) for line in levels(history)] == [
        ("2026-03-01T00:00", "2026-04-01T00:00", 2, "met"),  # begun under version 1, finished under it
        ("2026-04-01T00:00", "2026-04-05T00:00", 1, "met"),  # version 2's grid from there on
        ("2026-04-05T00:00", "2026-04-12T00:00", 0, "no_data"),
    ]


def test_a_version_activated_in_the_middle_of_a_window_rules_from_the_next_on() -> None:
    history = Timeline(promise(objective()))
    history.at("10:00", "checked", {"ok": True})
    history.at("11:00", "checked", {"ok": False}, id="bad")
    history.activate("12:00", promise(objective(target='">= 90%"'), version="2"))
    history.at("Tue 10:00", "checked", {"ok": True})
    history.at("Tue 11:00", "checked", {"ok": False})
    history.until("Wed 10:00")
    assert [line[4:] for line in levels(history)] == [(0.5, "met"), (0.5, "breached")]


def test_restated_it_rules_the_windows_before_as_well() -> None:
    history = Timeline(promise(objective()))
    history.at("10:00", "checked", {"ok": True})
    history.at("11:00", "checked", {"ok": False})
    history.until("Tue 10:00")
    stricter = promise(objective(target='">= 90%"'), version="2")
    history.activate("Tue 12:00", stricter, restate=True)
    assert [said.type for said in history.until("Tue 13:00")] == ["breach.opened"]
    assert [line[4:] for line in levels(history)] == [(0.5, "breached")]


def test_restated_on_another_grid_the_breach_of_a_window_that_is_no_more_is_retracted() -> None:
    history = Timeline(promise(objective()))
    history.at("10:00", "checked", {"ok": False})
    history.until("Tue 10:00")
    said = history.activate("Tue 12:00", promise(objective(window="tumbling 12h"), version="2"), restate=True)
    assert [statement.type for statement in said] == ["breach.retracted"]
    history.until("Tue 13:00")
    assert [line[:2] + line[5:] for line in levels(history)] == [
        ("00:00", "12:00", "breached"),
        ("12:00", "Tue 00:00", "no_data"),
        ("Tue 00:00", "Tue 12:00", "no_data"),
    ]
