"""semantics.md, "Time": when what is due is called, and by which clock."""

import pytest

from shared.sla.engine import ClockMode
from tests.unit.sla.timeline import BY_PRIORITY, Timeline, agreement

OPENED = ("breach.opened", "11:00", 0, "11:00:02", "breached")


def test_a_deadline_is_called_at_due_plus_grace_although_nothing_happens(clock: ClockMode) -> None:
    history = Timeline(agreement(), clock=clock)
    assert history.at("10:00", "opened") == []
    assert history.until("12:00") == [OPENED]


def test_at_equality_the_record_goes_first(clock: ClockMode) -> None:
    history = Timeline(agreement(), clock=clock)
    history.at("10:00", "opened")
    assert history.until("11:00:02") == []
    assert history.until("11:00:02.001") == [OPENED]


def test_evidence_that_arrives_at_due_plus_grace_is_folded_before_the_timer() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened")
    assert history.at("11:00:02", "done", dated="11:00") == [("clock.met", "11:00", None, "11:00:02", "met")]
    assert history.until("12:00") == []


def test_evidence_a_moment_later_finds_the_breach_called() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened")
    assert history.at("11:00:02.001", "done", dated="11:00") == [
        OPENED,
        ("breach.retracted", "11:00", 1, "11:00:02.001", "met"),
        ("clock.met", "11:00", 1, "11:00:02.001", "met"),
    ]


def test_a_wrong_guess_of_the_grace_would_show() -> None:
    history = Timeline(agreement(grace="30s"))
    history.at("10:00", "opened")
    assert history.until("11:00:30") == []
    assert history.until("11:00:31") == [("breach.opened", "11:00", 0, "11:00:30", "breached")]


def test_timers_of_one_record_fire_in_order_of_instant_then_key(clock: ClockMode) -> None:
    history = Timeline(agreement(), clock=clock)
    for case, opened in (("b", "10:00"), ("c", "09:00"), ("a", "10:00")):
        history.at("10:00", "opened", subject=case, id=case, dated=opened)
    history.until("12:00")
    assert [(s.case, s.type) for s in history.statements] == [(case, "slawatch.breach.opened") for case in ("c", "a", "b")]


def test_verdicts_do_not_depend_on_how_often_log_time_is_told() -> None:
    def run(ticks: list[str]) -> Timeline:
        history = Timeline(agreement(warn_at="[50%, 10m]", horizon="1h"))
        moments = [("10:00", "opened"), ("10:20", "paused"), ("10:40", "resumed"), ("12:30", "done")]
        for arrival, kind in sorted(moments + [(tick, "") for tick in ticks]):
            if kind:
                history.at(arrival, kind)
            else:
                history.until(arrival)
        history.until("18:00")
        return history

    seldom, often = (
        run([]),
        run([f"{hour}:{minute:02}:{second:02}" for hour in (10, 11, 12) for minute in range(60) for second in (1, 2, 3)]),
    )
    assert seldom.statements == often.statements
    assert len(seldom.statements) == 6  # two warnings, opened, final, closed, final


def test_decided_at_of_a_record_is_its_arrival() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened")
    assert history.at("11:00:01.500", "done", dated="11:00:01") == [
        ("breach.opened", "11:00", 0, "11:00:01.500", "breached_closed"),
        ("breach.closed", "11:00:01", 1, "11:00:01.500", "breached_closed"),
    ]


def test_log_time_never_goes_back() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened")
    history.until("11:00:02")
    assert history.at("10:59", "noise") == []  # a broker's clock was set back
    assert history.until("11:00:03") == [OPENED]


@pytest.mark.parametrize(("arrival", "called"), [("11:30", "11:30:02"), ("10:59:59", "11:00:02")])
def test_evidence_that_comes_after_due_gets_a_grace_of_its_own(arrival: str, called: str) -> None:
    history = Timeline(agreement())
    assert history.at(arrival, "opened", dated="10:00") == []
    assert history.until(called) == []
    assert [(said.type, said.decided_at) for said in history.until("12:00")] == [("breach.opened", called)]


def test_a_backlog_posted_within_the_grace_breaches_nothing() -> None:
    history = Timeline(agreement())
    assert history.at("15:00", "opened", dated="10:00") == []
    assert history.at("15:00:01", "done", dated="10:30") == [("clock.met", "10:30", None, "15:00:01", "met")]
    assert history.until("Tue 10:00") == []


def test_a_change_that_puts_due_into_the_past_gets_a_grace_of_its_own() -> None:
    history = Timeline(agreement(targets=BY_PRIORITY, change="{on: changed, as: retroactive}"))
    history.at("10:00", "opened", {"p": 3})
    assert history.at("12:30", "changed", {"p": 1}, dated="10:30") == []  # due was 11:00 then, nobody knew
    assert history.until("12:30:02") == []
    assert history.until("12:31") == [("breach.opened", "11:00", 0, "12:30:02", "breached")]


def test_a_time_too_far_ahead_is_quarantined_and_changes_nothing() -> None:
    history = Timeline(agreement())
    assert history.at("10:00", "opened", dated="10:05:00.001") == []
    assert [refused.reason for refused in history.refused] == ["future"]
    assert history.lines() == []
    history.at("10:00", "opened", dated="10:05")  # five minutes are allowed
    assert history.line()["due"] == "11:05"
    assert len(history.refused) == 1


def test_the_id_of_a_quarantined_event_is_not_taken() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened", dated="10:30", id="1")
    history.at("10:10", "opened", dated="10:10", id="1")
    assert history.line()["started"] == "10:10"


def test_event_time_knows_no_future() -> None:
    history = Timeline(agreement(), clock="event")
    history.at("10:00", "opened", dated="Sun 10:00")
    assert history.refused == []
    assert history.line()["started"] == "Sun 10:00"


def test_in_event_time_arrival_is_the_time_of_the_event() -> None:
    history = Timeline(agreement(), clock="event")
    history.at("Fri 10:00", "opened", dated="10:00")
    history.at("09:00", "done", dated="10:30")
    assert [s.decided_at - s.time for s in history.statements] == [0]
    assert history.until("12:00") == []


def test_in_event_time_another_vendors_events_change_no_verdict() -> None:
    history = Timeline(agreement(vendor="[vendor, other]"), clock="event")
    history.at("10:00", "opened")
    assert history.at("Tue 10:00", "opened", vendor="other", id="other") == []
    assert history.line(vendor="vendor")["state"] == "running"
    assert history.at("10:30", "done") == [("clock.met", "10:30", None, "10:30", "met")]


def test_in_log_mode_another_vendors_records_tell_the_time_too() -> None:
    history = Timeline(agreement(vendor="[vendor, other]"))
    history.at("10:00", "opened")
    assert history.at("11:01", "noise", vendor="other", id="other") == [OPENED]


def test_in_event_time_timers_fire_against_the_larger_of_arrival_and_log_time() -> None:
    history = Timeline(agreement(), clock="event")
    history.at("15:00", "noise")
    assert history.at("15:00", "opened", dated="10:00") == []
    assert history.at("15:00", "noise", dated="10:01", id="late") == [OPENED]  # its time lies before due, log time does not


def test_what_late_evidence_armed_fires_at_the_end_of_the_history() -> None:
    history = Timeline(agreement(), clock="event")
    history.at("15:00", "noise")
    history.at("15:00", "opened", dated="10:00")
    assert history.settle() == [OPENED]
    assert history.settle() == []


def test_without_more_events_log_time_ends_at_the_last() -> None:
    history = Timeline(agreement(), clock="event")
    history.at("10:00", "opened")
    assert history.settle() == []
    assert history.line()["state"] == "running"


def test_an_advance_moves_one_vendor_or_all() -> None:
    history = Timeline(agreement(vendor="[vendor, other]"), clock="event")
    history.at("10:00", "opened")
    history.at("10:00", "opened", vendor="other", id="other")
    assert history.until("12:00", vendor="other") == [OPENED]
    assert history.line(vendor="vendor")["state"] == "running"
    assert history.until("11:30") == [OPENED]
    assert {line["state"] for line in history.lines()} == {"breached"}
    assert history.line(vendor="other")["overdue_s"] == 3600  # its log time did not go back


def test_replay_of_the_arrivals_says_everything_again_id_by_id() -> None:
    def run() -> Timeline:
        history = Timeline(agreement(warn_at="[50%]", horizon="2h"))
        history.at("10:00", "opened")
        history.at("11:30", "done", dated="10:50")
        history.at("12:00", "reopened")
        history.at("14:00", "done")
        history.until("18:00")
        return history

    first, second = run(), run()
    assert first.statements == second.statements
    assert len({s.id for s in first.statements}) == len(first.statements)


def test_event_time_ends_in_the_states_that_live_ends_in() -> None:
    arrivals = [("10:00", "opened", "10:00"), ("10:45", "resumed", "10:30"), ("11:20", "paused", "10:10"), ("11:30", "done", "11:25")]
    live, replay = Timeline(agreement()), Timeline(agreement(), clock="event")
    for arrival, kind, dated in arrivals:
        live.at(arrival, kind, dated=dated)
        replay.at(arrival, kind, dated=dated)
    live.until("12:00")
    replay.until("12:00")
    for a, b in zip(live.lines(), replay.lines(), strict=True):
        assert {**a, "revision": None} == {**b, "revision": None}
