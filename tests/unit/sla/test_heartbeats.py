"""semantics.md, "Heartbeats and deliverables": slots, what meets them, what closes them, and how they move off closed days."""

from typing import Any

import pytest

from shared.sla.engine import ClockMode, Engine
from tests.unit.sla.level_timeline import OFFICE, objective, promise, types
from tests.unit.sla.timeline import Timeline, bundles_of, instant

DAILY = {"name": "beat", "kind": "heartbeat", "on": "reported", "every": "1d"}


def slots(history: Timeline) -> list[tuple[Any, ...]]:
    """(due, state, stopped) of each slot."""
    return [(line["due"], line["state"], line["stopped"]) for line in history.lines()]


def test_a_slot_is_met_by_an_event_after_the_previous_due_up_to_its_own(clock: ClockMode) -> None:
    history = Timeline(promise(objective(DAILY)), clock=clock)
    assert types(history.at("00:00:00.001", "reported")) == ["clock.met"]
    assert types(history.at("Wed 00:00", "reported")) == ["clock.met"]
    assert history.until("Wed 00:01") == []
    assert slots(history) == [
        ("Tue 00:00", "met", "00:00:00.001"),
        ("Wed 00:00", "met", "Wed 00:00"),
        ("Thu 00:00", "running", None),
    ]


def test_a_missed_slot_is_called_at_due_and_closed_by_the_first_event_after_it(clock: ClockMode) -> None:
    history = Timeline(promise(objective(DAILY)), clock=clock)
    history.at("10:00", "noise")
    assert history.until("Tue 00:00:03") == [("breach.opened", "Tue 00:00", 0, "Tue 00:00:02", "breached")]
    assert history.at("Tue 10:00", "reported") == [("breach.closed", "Tue 10:00", 1, "Tue 10:00", "breached_closed")]
    line = history.line(case="2026-03-03T00:00:00Z")
    assert (line["late_s"], line["overdue_s"], line["revision"], line["started"]) == (36000, 36000, 1, "00:00")


def test_the_event_that_closes_a_slot_does_not_count_for_the_next(clock: ClockMode) -> None:
    history = Timeline(promise(objective(DAILY)), clock=clock)
    history.at("10:00", "noise")
    history.at("Tue 10:00", "reported")
    history.at("Wed 01:00", "reported")
    history.at("Wed 02:00", "reported")
    assert slots(history) == [
        ("Tue 00:00", "breached_closed", "Tue 10:00"),
        ("Wed 00:00", "breached_closed", "Wed 01:00"),
        ("Thu 00:00", "met", "Wed 02:00"),
    ]


def test_one_event_closes_all_slots_that_were_missed_before_it() -> None:
    history = Timeline(promise(objective(DAILY)), clock="event")
    history.at("10:00", "noise")
    history.at("Thu 10:00", "reported")
    assert [state for _, state, _ in slots(history)] == ["breached_closed"] * 3 + ["running"]


def test_slots_that_are_heard_of_long_after_their_due_are_decided_then() -> None:
    history = Timeline(promise(objective(DAILY)))
    assert history.at("Thu 12:00", "noise", dated="10:00") == []
    assert history.until("Thu 12:01") == [("breach.opened", f"{day} 00:00", 0, "Thu 12:00:02", "breached") for day in ("Tue", "Wed", "Thu")]


def test_a_report_closes_at_once_all_that_were_due_before_it_though_nothing_was_heard_before() -> None:
    history = Timeline(promise(objective(DAILY), vendor="vendor", service="desk", effective="{from: 2026-03-02}"))
    said = history.at("Thu 10:00", "reported")
    assert [(s[:2], s[3]) for s in said] == [
        ((kind, at), "Thu 10:00")
        for day in ("Tue", "Wed", "Thu")
        for kind, at in (("breach.opened", f"{day} 00:00"), ("breach.closed", "Thu 10:00"))
    ]


def test_slots_that_vanish_with_the_first_event_are_retracted_by_what_replaced_it() -> None:
    history = Timeline(promise(objective(DAILY), vendor='"*"'))
    history.at("10:00", "noise", id="a")
    history.until("Tue 01:00")
    assert history.at("Tue 01:00", "noise", replaces="a") == [("breach.retracted", "Tue 00:00", 1, "Tue 01:00", "retracted")]
    assert history.statements[-1].evidence == ("noise Tue 01:00",)


def test_late_evidence_retracts_a_missed_slot() -> None:
    history = Timeline(promise(objective(DAILY)))
    history.at("10:00", "noise")
    history.until("Tue 01:00")
    assert types(history.at("Tue 02:00", "reported", dated="23:00")) == ["breach.retracted", "clock.met"]
    assert slots(history)[0] == ("Tue 00:00", "met", "23:00")


def test_beyond_the_horizon_late_evidence_changes_nothing_but_may_still_close() -> None:
    history = Timeline(promise(objective(DAILY), horizon="1d"))
    history.at("10:00", "noise")
    history.until("Wed 01:00")
    assert history.at("Wed 02:00", "reported", dated="23:00") == []
    assert history.engine.counts["late"] == 1
    assert types(history.at("Wed 03:00", "reported")) == ["breach.closed", "breach.closed"]


@pytest.mark.parametrize(("arrival", "state", "late"), [("Tue 20:10", "breached", 0), ("Tue 20:10:01", "met", 1)])
def test_a_slot_that_was_met_may_be_disproved_within_the_horizon_and_unreviewed(arrival: str, state: str, late: int) -> None:
    history = Timeline(promise(objective(DAILY), horizon="1d", max_lateness="1h"))
    history.at("20:10", "reported", id="beat")
    history.until("Tue 20:10")
    history.at(arrival, "noise", id="2", replaces="beat")
    assert (slots(history)[0][1], history.engine.counts["late"]) == (state, late)


def test_back_dated_evidence_awaits_review() -> None:
    history = Timeline(promise(objective(DAILY), max_lateness="1h"))
    history.at("10:00", "noise")
    history.until("Tue 01:00")
    assert history.at("Tue 02:00", "reported", dated="23:00") == [("breach.contested", "23:00", 0, "Tue 02:00", "breached")]
    assert slots(history)[0][1] == "breached"


def test_a_warning_comes_before_it_is_due_unless_it_was_done() -> None:
    history = Timeline(promise(objective(DAILY, warn_at="[50%, 2h]")), clock="event")
    history.at("00:30", "noise")
    assert types(history.until("23:00")) == ["clock.warning", "clock.warning"]
    assert [(s.time, s.detail["threshold"]) for s in history.statements] == [(instant("12:00"), "50%"), (instant("22:00"), "2h")]
    history.at("23:30", "reported")
    history.at("Tue 01:00", "reported")
    assert types(history.until("Tue 23:30")) == []


# -- where slots begin -----------------------------------------------------------------------------------------------


def test_a_named_vendor_and_service_that_never_post_are_called_too() -> None:
    history = Timeline(promise(objective(DAILY)), clock="event")
    assert types(history.until("Wed 01:00")) == ["breach.opened", "breach.opened"]
    assert [state for _, state, _ in slots(history)] == ["breached", "breached", "running"]


@pytest.mark.parametrize("owned", [True, False])
def test_they_are_called_where_their_events_would_come_and_nowhere_else(clock: ClockMode, owned: bool) -> None:
    engine = Engine(clock, owns=lambda _vendor: owned)
    for bundle in bundles_of(promise(objective(DAILY))):
        engine.activate(bundle, "standing")
    said = engine.tick(instant("Tue 01:00")) if clock == "log" else engine.advance(instant("Tue 01:00"))
    assert [statement.type for statement in said] == ["slawatch.breach.opened"] * owned


def test_for_any_vendor_slots_begin_with_the_one_of_its_first_event() -> None:
    history = Timeline(promise(objective(DAILY), vendor='"*"'), clock="event")
    history.until("Fri 00:00")
    history.at("Wed 10:00", "noise")
    history.until("Fri 01:00", vendor="vendor")
    assert [(due, state) for due, state, _ in slots(history)] == [
        ("Thu 00:00", "breached"),
        ("Fri 00:00", "breached"),
        ("Sat 00:00", "running"),
    ]


def test_slots_before_an_activation_are_not_called() -> None:
    history = Timeline()
    history.at("10:00", "noise")
    history.activate("Wed 10:00", promise(objective(DAILY)))
    history.at("Wed 11:00", "noise")
    assert [(s.type, s.time) for s in history.until("Thu 01:00")] == [("breach.opened", "Thu 00:00")]


def test_slots_go_on_under_the_next_version_after_those_begun_before() -> None:
    first = promise(objective(DAILY, every="2d"), version="1", effective="{from: 2026-03-02, to: 2026-03-04}")
    second = promise(objective(DAILY), version="2", effective="{from: 2026-03-05}")
    history = Timeline(first, second, clock="event")
    history.until("Sat 12:00")
    assert [(line["due"], line["version"]) for line in history.lines()] == [
        ("Wed 00:00", 1),
        ("Fri 00:00", 1),
        ("Sat 00:00", 2),
        ("Sun 00:00", 2),
    ]


# -- recurrences and closed days -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_closed", "dues"),
    [
        ("same", ["Sat 00:00", "2026-03-12T00:00"]),
        ("next", ["2026-03-09T09:00", "2026-03-12T00:00"]),
        ("previous", ["Fri 09:00", "2026-03-12T00:00"]),
    ],
)
def test_a_due_on_a_closed_day_moves_to_an_opening(on_closed: str, dues: list[str]) -> None:
    rules = promise(objective(DAILY, every="5d", on_closed=on_closed), calendars=OFFICE, calendar="office")
    history = Timeline(rules, clock="event")
    history.until("2026-03-09T12:00:00Z")
    assert [due for due, _, _ in slots(history)] == dues


def test_dues_that_move_to_one_opening_are_one_slot() -> None:
    rules = promise(objective(DAILY, on_closed="next"), calendars=OFFICE, calendar="office")
    history = Timeline(rules, clock="event")
    history.until("2026-03-10T01:00:00Z")
    assert [due for due, _, _ in slots(history)][-4:] == ["2026-03-09T00:00", "2026-03-09T09:00", "2026-03-10T00:00", "2026-03-11T00:00"]


def test_the_report_of_the_fifth_weekday_at_six_and_after_a_holiday_at_the_next_opening() -> None:
    china = (
        "{apiVersion: slawatch/v1, kind: Calendar, name: office, timezone: Asia/Shanghai, "
        "hours: {mon-fri: ['09:00-12:00', '13:30-18:00']}, overrides: {2026-05-07: []}}"
    )
    due = '{rrule: "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=5", at: "18:00"}'
    report = objective(DAILY, every="", due=due, on_closed="next")
    rules = promise(report, calendars=china, timezone="Asia/Shanghai", calendar="office", effective="{from: 2026-02-01}")
    history = Timeline(rules, clock="event")
    history.until("2026-05-10T00:00:00Z")
    assert [line["case"] for line in history.lines()] == [
        "2026-02-06T10:00:00Z",
        "2026-03-06T10:00:00Z",
        "2026-04-07T10:00:00Z",
        "2026-05-08T01:00:00Z",  # the fifth weekday, 7 May, is closed: Friday at nine
        "2026-06-05T10:00:00Z",
    ]


def test_intervals_are_civil_time_over_a_change_of_clocks() -> None:
    rules = promise(objective(DAILY), timezone="Europe/Berlin", effective="{from: 2026-03-28}")
    history = Timeline(rules, clock="event")
    history.until("2026-03-30T12:00:00Z")
    assert [line["case"] for line in history.lines()] == ["2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", "2026-03-30T22:00:00Z"]


def test_every_second_monday_counts_from_effective_from() -> None:
    report = objective(DAILY, every="", due='{rrule: "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", at: "12:00"}')
    history = Timeline(promise(report), clock="event")
    history.until("2026-03-30T13:00:00Z")
    assert [line["case"][:10] for line in history.lines()] == ["2026-03-02", "2026-03-16", "2026-03-30", "2026-04-13"]


def test_fresh_evidence_that_removes_old_evidence_is_back_dated() -> None:
    history = Timeline(promise(objective(DAILY), max_lateness="1h"))
    history.at("10:00", "noise")
    history.until("Tue 01:00")
    history.at("Tue 01:30", "reported", id="1")  # closes the first slot
    assert types(history.at("Tue 04:00", "noise", id="2", replaces="1")) == ["breach.contested"]
    assert slots(history)[0] == ("Tue 00:00", "breached_closed", "Tue 01:30")
