"""semantics.md, "Windowed levels": what is measured, when it is stated, how it is corrected."""

import pytest

from shared.sla.engine import ClockMode
from shared.sla.instants import MINUTE
from tests.unit.sla.level_timeline import OFFICE, UPTIME, levels, objective, promise, types
from tests.unit.sla.timeline import Timeline, instant, shown

DOWN = {**UPTIME, "window": "tumbling 1d"}
SCORE = {
    "name": "score",
    "kind": "aggregate",
    "of": "{events: {on: answered}}",
    "field": "data.score",
    "aggregate": "avg",
    "target": '">= 4.2"',
    "window": "tumbling 1d",
    "on_empty": "no_data",
}
CLOCK = {"name": "clock", "kind": "deadline", "start": "opened", "stop": "done", "cancel": "cancelled", "targets": "[{within: 1h}]"}
IN_TIME = objective(of="{objective: clock}", target='">= 50%"')


def checks(history: Timeline, *oks: bool, day: str = "Mon") -> None:
    """One check an hour from 01:00 on."""
    for hour, ok in enumerate(oks, 1):
        history.at(f"{day} {hour:02}:00", "checked", {"ok": ok})


# -- stating ---------------------------------------------------------------------------------------------------------


def test_a_window_is_stated_once_its_end_and_the_grace_have_passed(clock: ClockMode) -> None:
    history = Timeline(promise(objective()), clock=clock)
    checks(history, True, False)
    assert history.until("Tue 00:00:02") == []
    assert history.until("Tue 00:00:03") == [("level.met", "Tue 00:00", None, "Tue 00:00:02", "met")]
    assert levels(history) == [("00:00", "Tue 00:00", 1, 2, 0.5, "met")]


def test_a_missed_level_is_a_breach_with_an_id_and_revisions(clock: ClockMode) -> None:
    history = Timeline(promise(objective(target='"> 50%"')), clock=clock)
    checks(history, True, False)
    assert history.until("Tue 00:00:03") == [("breach.opened", "Tue 00:00", 0, "Tue 00:00:02", "breached")]
    statement = history.statements[-1]
    assert statement.detail == {
        "kind": "ratio",
        "window_start": "2026-03-02T00:00:00Z",
        "window_end": "2026-03-03T00:00:00Z",
        "good": 1,
        "total": 2,
        "value": 0.5,
        "target": 0.5,
    }
    assert (statement.evidence, statement.case, statement.cause) == (("checked Mon 02:00",), None, "level")


def test_an_event_of_the_last_instant_counts_and_one_of_the_end_is_the_next_windows() -> None:
    history = Timeline(promise(objective()), clock="event")
    history.at("23:59:59.999", "checked", {"ok": True})
    history.at("Tue 00:00", "checked", {"ok": False})
    history.until("Wed 00:01")
    assert [line[2:] for line in levels(history)] == [(1, 1, 1, "met"), (0, 1, 0, "breached")]


def test_levels_are_kept_for_each_vendor_and_service() -> None:
    history = Timeline(promise(objective(), vendor='"*"', service='"*"'), clock="event")
    history.at("10:00", "checked", {"ok": True})
    history.at("10:00", "checked", {"ok": False}, service="line", id="2")
    history.at("10:00", "checked", {"ok": False}, vendor="other")
    history.until("Tue 00:01")
    assert [line[5] for line in levels(history)] == ["breached", "met", "breached"]  # other desk, vendor desk, vendor line


@pytest.mark.parametrize(("on_empty", "state"), [("met", "met"), ("no_data", "no_data"), ("breach", "breached")])
def test_a_window_of_nothing_is_what_the_agreement_says(on_empty: str, state: str) -> None:
    history = Timeline(promise(objective(on_empty=on_empty)), clock="event")
    history.at("10:00", "noise")
    assert types(history.until("Tue 00:01"))[0] == ("breach.opened" if state == "breached" else f"level.{state}")
    assert levels(history) == [("00:00", "Tue 00:00", 0, 0, None, state)]


def test_fewer_than_min_events_are_no_data_good_or_bad() -> None:
    history = Timeline(promise(objective(min_events="3")), clock="event")
    checks(history, False, False)
    checks(history, False, False, False, day="Tue")
    history.until("Wed 00:01")
    assert [line[3:] for line in levels(history)] == [(2, 0, "no_data"), (3, 0, "breached")]


def test_an_unknown_good_and_a_field_that_is_no_number_do_not_count() -> None:
    history = Timeline(promise(objective(), objective(SCORE)), clock="event")
    history.at("10:00", "checked", {"ok": None})
    history.at("10:00", "checked", {}, id="2")
    history.at("11:00", "answered", {"score": "5"})
    history.at("12:00", "answered", {"score": 4.2})
    history.until("Tue 00:01")
    assert [line[2:] for line in levels(history)] == [(None, 1, 4.2, "met"), (0, 0, None, "no_data")]


def test_conditions_see_the_cases_merged_data_and_good_sees_the_event_alone() -> None:
    rules = objective(of="{events: {on: checked, when: data.p == 1, good: has(data.p)}}")
    history = Timeline(promise(rules), clock="event")
    history.at("10:00", "noise", {"p": 1})
    history.at("11:00", "checked")  # the case has p, the event has not
    history.until("Tue 00:01")
    assert levels(history) == [("00:00", "Tue 00:00", 0, 1, 0, "breached")]


# -- at risk ---------------------------------------------------------------------------------------------------------


def test_a_level_below_its_target_is_at_risk_until_it_is_not(clock: ClockMode) -> None:
    history = Timeline(promise(objective()), clock=clock)
    assert history.at("10:00", "checked", {"ok": False}) == [("level.at_risk", "10:00", None, "10:00", "at_risk")]
    assert levels(history) == [("00:00", "Tue 00:00", 0, 1, 0, "at_risk")]
    assert history.at("11:00", "checked", {"ok": True}) == []
    assert levels(history) == []  # the current window is listed only while at risk
    assert history.at("12:00", "checked", {"ok": False}) == []  # and it is said once


def test_causes_tell_what_can_no_longer_be_met_from_a_forecast() -> None:
    history = Timeline(promise(objective(target='">= 100%"'), objective(SCORE)), clock="event")
    history.at("10:00", "checked", {"ok": False})
    history.at("10:00", "answered", {"score": 4})
    assert [statement.cause for statement in history.statements] == ["can_no_longer_be_met", "forecast"]


def test_a_count_is_forecast_from_the_part_of_the_window_that_has_passed() -> None:
    complaints = objective(SCORE, of="{events: {on: complained}}", field="", aggregate="count", target='"<= 4"')
    history = Timeline(promise(complaints), clock="event")
    assert history.at("06:00", "complained") == []  # one in a quarter of the day: four
    assert types(history.at("11:59", "complained")) == ["level.at_risk"]  # two in less than half
    history.until("13:00")
    assert levels(history) == []  # two in 13 hours: fewer than four


def test_a_count_that_grows_too_slowly_is_at_risk_although_nothing_happens(clock: ClockMode) -> None:
    visits = objective(SCORE, of="{events: {on: visited}}", field="", aggregate="count", target='">= 4"')
    history = Timeline(promise(visits), clock=clock)
    assert history.at("06:00", "visited") == []
    assert history.until("06:00:02.001") == []
    assert history.until("06:00:02.002") == [("level.at_risk", "06:00:00.001", None, "06:00:02.001", "at_risk")]


def test_warnings_by_share_of_the_error_budget_are_said_once_each() -> None:
    rules = objective(target='">= 50%"', warn_at="[50%, 80%]")
    history = Timeline(promise(rules), clock="event")
    checks(history, True, True, True)
    assert types(history.at("05:00", "checked", {"ok": False})) == ["level.at_risk"]  # a quarter bad: half of the budget
    assert history.statements[-1].detail["threshold"] == "50%"
    assert history.at("06:00", "checked", {"ok": True}) == []
    assert types(history.at("07:00", "checked", {"ok": False}, id="2")) == []  # a third: 67 %
    assert types(history.at("08:00", "checked", {"ok": False}, id="3")) == ["level.at_risk"]
    assert history.statements[-1].detail["threshold"] == "80%"


# -- availability ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("month", "down", "state"),
    [
        ("2026-02", "00:43:12", "breached"),
        ("2026-04", "00:43:12", "met"),
        ("2026-04", "00:43:12.001", "breached"),
        ("2026-03", "00:44:38.400", "met"),
    ],
)
def test_published_vectors_of_a_month_at_99_9_percent(month: str, down: str, state: str) -> None:
    """43.2 minutes are the budget of a 30-day month, to the millisecond (vectors/levels.yaml)."""
    rules = objective(DOWN, target='">= 99.9%"', window="period")
    history = Timeline(promise(rules, effective="{from: 2026-01-01}"), clock="event")
    history.at(f"{month}-10T00:00:00Z", "down")
    history.at(f"{month}-10T{down}Z", "up")
    history.until("2026-05-01T00:01:00Z")
    assert levels(history)[0][5] == state


def test_downtime_is_united_over_cases_and_split_at_the_edges_of_windows() -> None:
    history = Timeline(promise(objective(DOWN)), clock="event")
    history.at("22:00", "down", subject="A")
    history.at("23:00", "down", subject="B")
    history.at("Tue 01:00", "up", subject="A")
    history.at("Tue 02:00", "up", subject="B")
    history.until("Wed 00:01")
    assert [line[2:] for line in levels(history)] == [(79200, 86400, 0.916666666667, "met"), (79200, 86400, 0.916666666667, "met")]


def test_only_service_hours_count_and_exclusions_leave_both_sides() -> None:
    rules = objective(DOWN, exclude="{from: works, to: ready}", calendar="office")
    history = Timeline(promise(rules, calendars=OFFICE), clock="event")
    history.at("08:00", "down")
    history.at("10:00", "works", subject="plan")
    history.at("11:00", "up")
    history.at("12:00", "ready", subject="plan")
    history.until("Tue 00:01")
    assert levels(history) == [("00:00", "Tue 00:00", 18000, 21600, 0.833333333333, "breached")]  # 09:00-10:00 of eight hours less two


def test_what_is_still_down_at_the_end_counts_to_the_end_and_on() -> None:
    history = Timeline(promise(objective(DOWN)), clock="event")
    history.at("12:00", "down")
    history.until("Wed 00:01")
    assert [line[4:] for line in levels(history)][:2] == [(0.5, "breached"), (0, "breached")]


def test_what_is_down_when_the_agreement_begins_is_down() -> None:
    history = Timeline(promise(objective(DOWN), effective="{from: 2026-03-03}"), clock="event")
    history.at("12:00", "down")
    history.at("Tue 12:00", "up")
    history.until("Wed 00:01")
    assert levels(history) == [("Tue 00:00", "Wed 00:00", 43200, 86400, 0.5, "breached")]


def test_a_day_without_any_news_is_what_on_empty_says_unless_it_was_down() -> None:
    history = Timeline(promise(objective(DOWN, on_empty="no_data")), clock="event")
    history.at("10:00", "up")
    history.at("Wed 23:00", "down")
    history.until("Fri 00:01")
    assert [line[4:] for line in levels(history)][:4] == [(1, "met"), (1, "no_data"), (0.958333333333, "met"), (0, "breached")]


def test_while_down_the_risk_is_told_the_moment_the_budget_is_used(clock: ClockMode) -> None:
    rules = objective(DOWN, warn_at="[50%, 30m]")
    history = Timeline(promise(rules), clock=clock)
    history.at("20:00", "down")  # until then 20 h of 24 h up: 2 h 24 min may be lost
    said = history.until("23:00")
    told = [(s.time, history.statements[i].cause, history.statements[i].detail.get("threshold")) for i, s in enumerate(said)]
    assert [(cause, label) for _, cause, label in told] == [
        ("budget_used", "50%"),
        ("budget_used", "30m"),
        ("forecast", None),
    ]
    assert said[0].time == "21:12"
    assert said[1].time == "21:54"
    assert said[2].time == "22:13:20.001"  # 2 h 13 min of 22 h 13 min: a tenth


@pytest.mark.parametrize("end", ["11:12", "11:12:00.001", "11:12:01"])
def test_a_risk_is_told_also_when_it_is_over_at_that_moment(end: str, clock: ClockMode) -> None:
    history = Timeline(promise(objective(DOWN, warn_at="50%")), clock=clock)
    history.at("08:00", "up")
    history.at("10:00", "down")  # 1 h 12 min is half of what may be lost
    history.at(end, "up")
    history.until("12:00")
    assert [shown(s.time) for s in history.statements if s.cause == "budget_used"] == ["11:12"]


# -- outcomes of clocks and slots ------------------------------------------------------------------------------------


def test_a_clock_counts_in_the_window_of_its_stop_or_of_its_due() -> None:
    history = Timeline(promise(objective(CLOCK), IN_TIME), clock="event")
    history.at("23:30", "opened", subject="met")
    history.at("23:20", "opened", subject="late")
    history.at("Tue 00:10", "done", subject="met")
    history.at("Tue 02:00", "done", subject="late")
    history.at("Tue 23:30", "opened", subject="open")
    history.until("Wed 00:01")
    assert [line[2:] for line in levels(history)] == [(0, 0, None, "no_data"), (1, 2, 0.5, "met")]


def test_cancelled_skipped_and_retracted_clocks_leave_the_count() -> None:
    clock = objective(CLOCK, targets="[{when: data.p == 1, within: 1h}]")
    history = Timeline(promise(clock, IN_TIME), clock="event")
    history.at("10:00", "opened", {"p": 1}, subject="cancelled", id="1")
    history.at("10:10", "cancelled", subject="cancelled")
    history.at("10:00", "opened", {"p": 2}, subject="skipped", id="2")
    history.at("10:00", "opened", {"p": 1}, subject="late")
    history.until("12:00")
    assert [line[2:] for line in levels(history)] == [(0, 1, 0, "at_risk")]
    history.at("10:30", "cancelled", subject="late")
    assert levels(history) == []
    history.until("Tue 00:01")
    assert [line[2:] for line in levels(history)] == [(0, 0, None, "no_data")]


def test_a_cycle_that_a_reset_ends_in_time_counts_nowhere_and_one_that_it_ends_too_late_is_bad(clock: ClockMode) -> None:
    history = Timeline(promise(objective(CLOCK, reset="rejected"), IN_TIME), clock=clock)
    history.at("10:00", "opened")
    history.at("10:30", "rejected")
    history.at("10:50", "rejected")  # of three cycles two are cancelled
    history.at("12:00", "done")  # and the third is late
    history.at("13:00", "opened", subject="in time")
    history.at("13:30", "rejected", subject="in time")
    history.at("13:40", "done", subject="in time")
    history.at("14:00", "opened", subject="too late")
    history.at("15:30", "cancelled", subject="too late")
    history.until("Tue 00:01")
    assert [line[2:] for line in levels(history)] == [(1, 3, 0.333333333333, "breached")]


def test_a_correction_moves_an_outcome_from_one_window_to_another() -> None:
    history = Timeline(promise(objective(CLOCK), IN_TIME))
    history.at("22:30", "opened")
    said = history.until("Tue 00:01")
    assert types(said) == ["breach.opened", "level.at_risk", "breach.opened"]
    assert types(history.at("Tue 01:00", "done", dated="23:10")) == ["breach.retracted", "clock.met", "breach.retracted", "level.met"]
    assert [line[2:] for line in levels(history)] == [(1, 1, 1, "met")]


def test_slots_of_a_heartbeat_count_too() -> None:
    beat = objective({"name": "beat", "kind": "heartbeat", "on": "reported", "every": "12h"})
    history = Timeline(promise(beat, objective(of="{objective: beat}")), clock="event")
    history.at("10:00", "reported")
    history.until("Tue 12:01")
    history.at("Tue 13:00", "reported")
    history.until("Wed 00:01")
    # Monday: met at ten. Tuesday: the slots due at 00:00 and 12:00 were missed. The report at one closed both, and was none of the next
    assert [line[2:] for line in levels(history)] == [(1, 1, 1, "met"), (0, 2, 0, "breached"), (0, 1, 0, "at_risk")]


# -- corrections -----------------------------------------------------------------------------------------------------


def missed(**keys: str) -> Timeline:
    """A day of one bad check, stated as breached."""
    history = Timeline(promise(objective(), **keys))
    history.at("10:00", "checked", {"ok": False})
    assert types(history.until("Tue 00:01")) == ["breach.opened"]
    return history


def test_late_evidence_disproves_a_missed_level_and_another_makes_it_a_breach_again() -> None:
    history = missed()
    assert history.at("Tue 10:00", "checked", {"ok": True}, dated="11:00") == [
        ("breach.retracted", "Tue 00:00", 1, "Tue 10:00", "met"),
        ("level.met", "Tue 00:00", 1, "Tue 10:00", "met"),
    ]
    assert types(history.at("Tue 11:00", "checked", {"ok": False}, dated="12:00")) == ["breach.reopened"]
    assert types(history.at("Tue 12:00", "checked", {"ok": False}, dated="13:00")) == ["breach.amended"]
    assert [line[2:] for line in levels(history)] == [(1, 4, 0.25, "breached")]


def test_late_evidence_makes_a_met_level_a_breach() -> None:
    history = Timeline(promise(objective()))
    history.at("10:00", "checked", {"ok": True})
    history.until("Tue 00:01")
    history.at("Tue 10:00", "checked", {"ok": False}, dated="11:00")
    assert types(history.at("Tue 10:00", "checked", {"ok": False}, dated="12:00")) == ["breach.opened"]


def test_within_the_horizon_a_level_is_provisional_and_then_final() -> None:
    history = missed(horizon="2d")
    line = next(history.engine.level_lines())
    assert line.provisional
    assert types(history.until("Thu 00:01")).count("breach.final") == 1
    line = next(history.engine.level_lines())
    assert not line.provisional


def test_beyond_the_horizon_evidence_is_too_late() -> None:
    history = missed(horizon="2d")
    history.until("Thu 00:01")
    assert history.at("Thu 10:00", "checked", {"ok": True}, dated="11:00") == []
    assert levels(history)[0][2:] == (0, 1, 0, "breached")
    assert history.engine.counts["late"] == 1


def test_back_dated_evidence_against_a_breach_awaits_review() -> None:
    history = missed(max_lateness="1h")
    assert types(history.at("Tue 10:00", "checked", {"ok": True}, dated="11:00")) == ["breach.contested"]
    assert [line[2:] for line in levels(history)] == [(0, 1, 0, "breached")]


def test_evidence_that_is_replaced_leaves_its_window() -> None:
    history = missed()
    said = history.at("Tue 10:00", "checked", {"ok": True}, dated="10:30", replaces="checked 10:00")
    assert types(said) == ["breach.retracted", "level.met"]
    assert [line[2:] for line in levels(history)] == [(1, 1, 1, "met")]


def test_events_known_before_an_agreement_was_activated_do_not_count() -> None:
    history = Timeline()
    history.at("10:00", "checked", {"ok": False})
    history.activate("11:00", promise(objective()))
    history.at("12:00", "checked", {"ok": True})
    history.until("Tue 00:01")
    assert levels(history) == [("00:00", "Tue 00:00", 1, 1, 1, "met")]


# -- rolling ---------------------------------------------------------------------------------------------------------


def test_a_rolling_window_tells_its_transitions_only() -> None:
    history = Timeline(promise(objective(window="rolling 1h", on_empty="no_data")), clock="event")  # buckets of a minute
    history.at("10:00:30", "checked", {"ok": True})
    assert history.until("10:30") == [("level.met", "10:01", None, "10:01:02", "met")]
    history.at("10:30:10", "checked", {"ok": False}, id="2")
    said = history.at("10:30:20", "checked", {"ok": False}, id="3") + history.until("10:40")
    assert said == [("breach.opened", "10:31", 0, "10:31:02", "breached")]
    said = history.until("12:00")
    assert said == [
        ("breach.closed", "11:31", 1, "11:31:02", "breached_closed"),
        ("level.no_data", "11:31", None, "11:31:02", "no_data"),
    ]
    assert [(line[1], line[5]) for line in levels(history)] == [("10:01", "met"), ("10:31", "breached"), ("11:31", "no_data")]
    assert levels(history)[1][0] == "09:31"


def test_late_evidence_changes_the_current_rolling_window_and_no_other() -> None:
    history = Timeline(promise(objective(window="rolling 1h")), clock="event")
    history.at("10:00:30", "checked", {"ok": False})
    assert types(history.until("10:10:30")) == ["breach.opened"]
    assert types(history.at("10:00:40", "checked", {"ok": True})) == ["breach.closed", "level.met"]
    assert [(line[1], line[5]) for line in levels(history)] == [("10:01", "breached"), ("10:10", "met")]


@pytest.mark.parametrize("minutes", [3, 59, 60, 61, 90, 500])
def test_late_evidence_never_keeps_a_rolling_window_from_being_looked_at(minutes: int, clock: ClockMode) -> None:
    """An outage lasts; ten seconds later another one is told that ended so many minutes ago."""
    history = Timeline(promise(objective(DOWN, target='">= 99%"', window="rolling 1h")), clock=clock)
    history.at("00:30", "down", subject="old")
    history.at("00:31", "up", subject="old")
    history.until("10:29")
    began, ended = (shown(instant("10:30") - minutes * MINUTE + seconds * 1_000) for seconds in (0, 10))
    history.at("10:30:01", "down", dated="10:30")
    history.at("10:30:10", "down", subject="late", dated=began)
    history.at("10:30:11", "up", subject="late", dated=ended)
    told = [(s.type, s.decided_at) for s in history.until("10:33")]
    assert ("breach.opened", "10:31:02") in told
    assert levels(history)[-1][5] == "breached"


def test_a_rolling_level_may_be_missed_again_and_again() -> None:
    history = Timeline(promise(objective(window="rolling 1h")), clock="event")
    for hour in ("10", "12", "14"):
        history.at(f"{hour}:00:30", "checked", {"ok": False})
        assert types(history.until(f"{hour}:59")) == ["breach.opened"]
    history.until("16:00")
    opened = [s for s in history.statements if s.type == "slawatch.breach.opened"]
    assert (len({s.breach_id for s in opened}), {s.revision for s in opened}) == (3, {0})
    assert types([s for s in history.statements if s.type == "slawatch.breach.closed"]) == ["slawatch.breach.closed"] * 3


@pytest.mark.parametrize(("on_empty", "said"), [("breach", "breach.opened"), ("no_data", "level.no_data"), ("met", "level.met")])
def test_the_first_rolling_window_is_looked_at_whatever_it_holds(on_empty: str, said: str, clock: ClockMode) -> None:
    history = Timeline(promise(objective(window="rolling 1h", on_empty=on_empty)), clock=clock)
    history.at("10:00:30", "noise")
    history.at("11:00:30", "noise", id="2")
    history.until("13:00")
    assert [(s.type, shown(s.time)) for s in history.statements] == [(f"slawatch.{said}", "10:01")]


def test_a_rolling_window_is_never_empty_because_the_clocks_went_forward() -> None:
    """Berlin, 29 March 2026: at 02:00 it is 03:00; an hour before half past three, by the wall, is half past three."""
    terms = promise(objective(window="rolling 1h", on_empty="breach"), timezone="Europe/Berlin")
    history = Timeline(terms, clock="event")
    for minute in range(0, 180, 10):
        history.at(f"2026-03-29T{minute // 60:02}:{minute % 60:02}:10Z", "checked", {"ok": True}, id=str(minute))
    assert types(history.statements) == ["slawatch.level.met"]


def test_a_rolling_aggregate_is_at_risk_from_a_share_of_its_limit_on() -> None:
    mean = {"name": "mean", "kind": "aggregate", "of": "{events: {on: checked}}", "field": "data.n", "aggregate": "avg", "target": '"<= 2"'}
    history = Timeline(promise(objective(mean, window="rolling 1h", on_empty="no_data", warn_at="40%")), clock="event")
    history.at("10:00:30", "checked", {"n": 1})
    assert types(history.until("10:30")) == ["level.at_risk"]


def test_windows_that_ended_are_not_looked_at_for_the_first_time() -> None:
    history = Timeline(promise(objective(window="rolling 1h")))
    history.at("10:00:30", "checked", {"ok": True})
    assert types(history.until("12:00")) == ["level.met", "level.no_data"]
    assert history.at("12:00:10", "checked", {"ok": False}, dated="10:30") + history.until("13:00") == []
    history.at("13:00:10", "checked", {"ok": False}, dated="12:30", id="2")
    assert history.until("13:00:20") == [("breach.opened", "13:00", 0, "13:00:12", "breached")]


def test_what_is_down_out_of_hours_is_looked_at_when_they_begin(clock: ClockMode) -> None:
    rules = objective(DOWN, window="rolling 1h", calendar="office", burn_rate="[{long: 1h, short: 5m, factor: 5, severity: page}]")
    history = Timeline(promise(rules, calendars=OFFICE), clock=clock)
    history.at("20:00", "down")
    said = history.until("Tue 09:40")
    assert ("breach.opened", "Tue 09:01") in [(s.type, s.time) for s in said]
    assert "level.burning" in types(said)
    assert all((s.time or "") > "Tue 09:00" for s in said[1:])


def test_what_is_down_when_the_agreement_begins_is_looked_at_then(clock: ClockMode) -> None:
    history = Timeline(promise(objective(DOWN, window="rolling 1h")), clock=clock)
    history.at("2026-03-01T20:00:00Z", "down")
    assert ("breach.opened", "00:01") in [(s.type, s.time) for s in history.until("01:00")]


def test_rolling_downtime() -> None:
    history = Timeline(promise(objective(DOWN, window="rolling 1h")), clock="event")
    history.at("10:00", "down")
    assert types(history.until("10:06:02.001")) == ["level.met"]
    assert types(history.until("10:08")) == ["breach.opened"]  # more than six minutes of the last hour
    history.at("10:20", "up")
    history.until("12:00")
    assert [(line[1], line[5]) for line in levels(history)] == [("10:01", "met"), ("10:07", "breached"), ("11:14", "met")]
