"""semantics.md, "Breaches and corrections": the difference between before and after, its revisions, ids and evidence."""

from shared.sla.engine import ClockMode
from shared.sla.statements import breach_identity
from tests.unit.sla.timeline import BY_PRIORITY, Timeline, agreement, instant

OPENED = ("breach.opened", "11:00", 0, "11:00:02", "breached")


def breached(clock: ClockMode = "log", **keys: str) -> Timeline:
    """Opened at 10:00, due at 11:00, called."""
    history = Timeline(agreement(**keys), clock=clock)
    history.at("10:00", "opened")
    assert history.until("11:30") == [OPENED]
    return history


# -- which statement -------------------------------------------------------------------------------------------------


def test_breached_then_done_is_opened_then_closed(clock: ClockMode) -> None:
    history = breached(clock)
    assert history.at("12:00", "done") == [("breach.closed", "12:00", 1, "12:00", "breached_closed")]
    assert history.until("13:00") == []


def test_a_stop_that_proves_lateness_needs_no_timer(clock: ClockMode) -> None:
    history = Timeline(agreement(grace="10m"), clock=clock)
    history.at("10:00", "opened")
    assert history.at("11:05", "done") == [
        ("breach.opened", "11:00", 0, "11:05", "breached_closed"),
        ("breach.closed", "11:05", 1, "11:05", "breached_closed"),
    ]
    assert history.until("12:00") == []


def test_a_whole_case_posted_late_is_opened_and_closed_at_once() -> None:
    history = Timeline(agreement())
    assert history.at("15:00", "done", dated="12:00") == []
    assert [said.type for said in history.at("15:00", "opened", dated="10:00")] == ["breach.opened", "breach.closed"]


def test_evidence_of_timely_work_retracts(clock: ClockMode) -> None:
    history = breached(clock)
    assert [said[:3] for said in history.at("11:40", "done", dated="10:55")] == [
        ("breach.retracted", "11:00", 1),
        ("clock.met", "10:55", 1),
    ]
    assert history.line()["revision"] == 1


def test_a_pause_dated_before_due_retracts_and_the_clock_is_armed_again() -> None:
    history = breached()
    assert history.at("11:40", "paused", dated="10:30") == [("breach.retracted", "11:00", 1, "11:40", "paused")]
    assert history.at("11:50", "resumed") == []  # half an hour is left
    assert history.until("13:00") == [("breach.reopened", "12:20", 2, "12:20:02", "breached")]


def test_a_pause_that_moves_due_but_not_beyond_now_amends(clock: ClockMode) -> None:
    history = breached(clock)
    history.at("11:40", "noise")
    said = [*history.at("11:41", "resumed", dated="10:20"), *history.at("11:42", "paused", dated="10:10")]
    assert [(s.type, s.time, s.revision, s.state) for s in said] == [("breach.amended", "11:10", 1, "breached")]
    assert history.line()["due"] == "11:10"


def test_a_retracted_breach_that_is_done_late_is_reopened_and_closed() -> None:
    history = breached()
    history.at("11:40", "paused", dated="10:59")
    assert history.at("11:45", "resumed", dated="11:30") == []  # a minute was left: due 11:31
    assert [said[:3] for said in history.at("11:45:01", "done", dated="11:40")] == [
        ("breach.reopened", "11:31", 2),
        ("breach.closed", "11:40", 3),
    ]


def test_another_stop_of_a_late_clock_amends() -> None:
    history = breached(stop="{on: done, take: last}")
    history.at("12:00", "done")
    assert history.at("13:00", "done") == [("breach.amended", "11:00", 2, "13:00", "breached_closed")]
    assert history.statements[-1].stopped == instant("13:00")


def test_a_late_clock_reopened_is_reopened_and_closed_again() -> None:
    history = breached()
    history.at("12:00", "done")
    assert [said[0] for said in history.at("12:30", "reopened")] == ["breach.reopened"]
    assert history.statements[-1].revision == 2
    assert [said[:3] for said in history.at("13:00", "done")] == [("breach.closed", "13:00", 3)]


def test_a_stop_that_proved_it_late_still_does_after_a_reopening_whichever_arrives_first() -> None:
    for reopened_first in (False, True):
        history = Timeline(agreement(grace="1h"), clock="event")
        history.at("10:00", "opened")
        told = [("11:20", "reopened"), ("11:10", "done")]  # due 11:00; called at 12:00, were it not for the stop
        for at, kind in told if reopened_first else reversed(told):
            history.at(at, kind)
        assert history.line()["state"] == "breached"
        assert history.statements[-1].state == "breached"
        assert [said.type for said in history.statements].count("slawatch.breach.opened") == 1


def test_nothing_new_is_nothing_said(clock: ClockMode) -> None:
    history = breached(clock)
    for kind in ("noise", "paused", "resumed", "changed", "opened", "reopened"):
        assert history.at("11:45", kind) == []
    history.at("12:00", "done")
    for kind in ("noise", "paused", "resumed", "cancelled", "opened"):
        assert history.at("12:15", kind) == []


def test_the_cause_is_the_deadline_the_target_or_the_reopening() -> None:
    history = breached()
    assert history.statements[-1].cause == "deadline"
    history = Timeline(agreement(targets=BY_PRIORITY))
    history.at("10:00", "opened", {"p": 3})
    history.at("12:30", "changed", {"p": 1})
    assert history.until("13:00") == [("breach.opened", "12:30", 0, "12:30:02", "breached")]
    assert history.statements[-1].cause == "target_changed"
    history = Timeline(agreement(reopen="{on: reopened, as: count_all}"))
    history.at("10:00", "opened")
    history.at("10:30", "done")
    history.at("12:00", "reopened")
    history.until("13:00")
    assert (history.statements[-1].cause, history.statements[-1].due) == ("reopened", instant("11:00"))


# -- cancel and reset ------------------------------------------------------------------------------------------------


def test_a_cancel_before_due_is_said_once(clock: ClockMode) -> None:
    history = Timeline(agreement(), clock=clock)
    history.at("10:00", "opened")
    assert history.at("10:30", "cancelled") == [("clock.cancelled", "10:30", None, "10:30", "cancelled")]
    assert history.until("12:00") == []


def test_a_cancel_at_due_cancels() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened")
    assert [said.type for said in history.at("11:00", "cancelled")] == ["clock.cancelled"]
    assert history.line()["due"] is None


def test_a_cancel_after_due_closes_the_breach(clock: ClockMode) -> None:
    history = breached(clock)
    assert history.at("12:00", "cancelled") == [("breach.closed", "12:00", 1, "12:00", "breached_closed")]


def test_a_cancel_within_grace_but_after_due_opens_and_closes() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened")
    assert [said.type for said in history.at("11:00:01", "cancelled")] == ["breach.opened", "breach.closed"]


def test_a_cancel_dated_before_due_retracts() -> None:
    history = breached()
    assert [said[:3] for said in history.at("11:40", "cancelled", dated="10:40")] == [
        ("breach.retracted", "11:00", 1),
        ("clock.cancelled", "10:40", 1),
    ]


def test_a_condition_that_no_longer_holds_cancels_and_counts() -> None:
    history = Timeline(agreement(when="data.category != 'test'"))
    history.at("10:00", "opened", {"category": "real"})
    assert history.at("10:30", "noise", {"category": "test"}) == [("clock.cancelled", "10:30", None, "10:30", "cancelled")]


def test_a_reset_cancels_one_cycle_and_opens_the_next(clock: ClockMode) -> None:
    history = Timeline(agreement(), clock=clock)
    history.at("10:00", "opened")
    assert history.at("10:30", "rejected") == [("clock.cancelled", "10:30", None, "10:30", "cancelled")]
    assert [(s.type, s.time) for s in history.until("12:00")] == [("breach.opened", "11:30")]
    assert [line["cycle"] for line in history.lines()] == [1, 2]


def test_a_reset_after_due_closes_the_breach_and_opens_the_next_cycle(clock: ClockMode) -> None:
    history = breached(clock)
    assert history.at("12:00", "rejected") == [("breach.closed", "12:00", 1, "12:00", "breached_closed")]
    assert history.until("14:00") == [("breach.opened", "13:00", 0, "13:00:02", "breached")]


# -- ids -------------------------------------------------------------------------------------------------------------


def test_a_breach_id_is_of_the_promise_and_the_case_and_no_more() -> None:
    live, replay, other_version = breached(), breached("event"), breached(version="7", grace="2s", horizon="9d")
    ids = {history.statements[-1].breach_id for history in (live, replay, other_version)}
    assert ids == {breach_identity("terms", "clock", "vendor", "desk", ("case",))}


def test_a_later_cycle_is_named_by_the_event_that_opened_it() -> None:
    history = breached()
    history.at("12:00", "rejected", id="R1", source="/reviews")
    history.until("14:00")
    assert history.statements[-1].breach_id == breach_identity("terms", "clock", "vendor", "desk", ("case", "/reviews", "R1"))


def test_a_new_cycle_by_a_reopen_is_named_likewise() -> None:
    history = Timeline(agreement(reopen="{on: reopened, as: new_cycle}"))
    history.at("10:00", "opened")
    history.at("10:30", "done")
    history.at("11:00", "reopened", id="R1", source="/reviews")
    history.until("14:00")
    assert history.statements[-1].breach_id == breach_identity("terms", "clock", "vendor", "desk", ("case", "/reviews", "R1"))


def test_every_revision_has_an_id_of_its_own() -> None:
    history = breached()
    history.at("11:40", "paused", dated="10:59")
    history.at("11:45", "resumed", dated="11:30")
    history.at("11:50", "done")
    history.at("11:55", "reopened")
    history.at("12:00", "done")
    history.until("Mon 23:00")
    assert len({s.id for s in history.statements}) == len(history.statements)
    revisions = [s.revision for s in history.statements if s.type.startswith("slawatch.breach.")]
    assert revisions == list(range(len(revisions)))


def test_ids_are_the_same_in_every_run() -> None:
    assert breached().statements == breached().statements
    assert breached("event").statements == breached("log").statements


# -- what a statement carries ----------------------------------------------------------------------------------------


def test_a_statement_carries_the_whole_clock() -> None:
    history = Timeline(agreement(severity="page", version="3"))
    history.at("10:00", "opened")
    history.at("10:10", "paused")
    history.at("10:20", "resumed")
    history.at("11:40", "done")
    opened, closed = history.statements
    assert (opened.agreement, opened.version, opened.objective, opened.vendor, opened.service) == ("terms", 3, "clock", "vendor", "desk")
    assert (opened.case, opened.cycle, opened.severity, opened.cause, opened.provisional) == ("case", 1, "page", "deadline", False)
    assert (opened.started, opened.due, opened.stopped) == (instant("10:00"), instant("11:10"), None)
    assert (opened.elapsed, opened.target, opened.paused) == (3_602_000, 3_600_000, 600_000)
    assert (opened.late, opened.overdue) == (2_000, 2_000)
    assert (closed.stopped, closed.late, closed.overdue) == (instant("11:40"), 1_800_000, 1_800_000)


def test_evidence_names_the_events_that_led_to_the_verdict_and_no_others() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened", id="1")
    history.at("10:05", "noise", id="2")
    history.at("10:10", "paused", id="3")
    history.at("10:15", "paused", id="4")  # ignored: pauses do not nest
    history.at("10:20", "resumed", id="5")
    history.until("11:20")
    history.at("11:30", "done", id="6")
    opened, closed = history.statements
    assert (opened.evidence, closed.evidence) == (("1", "3", "5"), ("1", "3", "5", "6"))


def test_a_retraction_names_the_evidence_that_disproved_the_breach() -> None:
    history = breached()
    history.at("11:40", "done", dated="10:55", id="proof")
    assert "proof" in history.statements[1].evidence


def test_a_retraction_of_a_clock_that_never_ran_names_what_superseded_it() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened", id="1")
    history.until("11:30")
    assert history.at("11:40", "noise", id="2", replaces="1") == [("breach.retracted", "11:00", 1, "11:40", "retracted")]
    assert history.statements[-1].evidence == ("2",)


def test_a_met_clock_is_said_once(clock: ClockMode) -> None:
    history = Timeline(agreement(), clock=clock)
    history.at("10:00", "opened")
    assert history.at("10:30", "done") == [("clock.met", "10:30", None, "10:30", "met")]
    history.at("10:40", "reopened")
    assert history.at("10:50", "done") == []  # its id is that of the first, and a reader would drop it


def test_done_at_due_is_met(clock: ClockMode) -> None:
    history = Timeline(agreement(), clock=clock)
    history.at("10:00", "opened")
    assert [said.type for said in history.at("11:00", "done")] == ["clock.met"]


def test_a_case_without_a_target_says_nothing() -> None:
    history = Timeline(agreement(targets="[{until: data.promised}]"))
    history.at("10:00", "opened")
    history.at("10:30", "done")
    assert history.statements == []
    assert history.line()["state"] == "skipped"


def test_revision_is_null_where_no_breach_was_ever_stated() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened")
    assert history.line()["revision"] is None
    history.at("10:30", "done")
    assert history.line()["revision"] is None
