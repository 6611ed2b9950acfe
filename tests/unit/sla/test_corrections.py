"""semantics.md, "Breaches and corrections": how long a verdict may be corrected, by what, and when it is final."""

from typing import Any

import pytest

from shared.sla.engine import ClockMode
from tests.unit.sla.timeline import Timeline, agreement, shown

OPENED = ("breach.opened", "11:00", 0, "11:00:02", "breached")
LENIENT: dict[str, Any] = {"max_lateness": "30d"}


def breached(clock: ClockMode = "log", **keys: str) -> Timeline:
    """Opened at 10:00, due at 11:00, called at 11:00:02."""
    history = Timeline(agreement(**keys), clock=clock)
    history.at("10:00", "opened")
    assert history.until("11:30") == [OPENED]
    return history


# -- the horizon -----------------------------------------------------------------------------------------------------


def test_within_the_horizon_a_verdict_is_corrected_at_once(clock: ClockMode) -> None:
    history = breached(clock, horizon="2h", **LENIENT)
    history.at("13:00:02", "noise")  # the last instant of the horizon
    assert history.at("13:00:02", "done", dated="10:55")[0].type == "breach.retracted"


def test_beyond_the_horizon_evidence_is_too_late_and_kept_out(clock: ClockMode) -> None:
    history = breached(clock, horizon="2h", **LENIENT)
    history.at("13:00:03", "noise")
    assert history.at("13:00:03", "done", dated="10:55") == []
    assert (history.line()["state"], history.engine.counts["late"]) == ("breached", 1)


def test_what_is_too_late_stays_out_when_later_evidence_is_folded() -> None:
    history = breached(horizon="2h", **LENIENT)
    history.at("13:30", "done", dated="10:55")
    history.at("13:40", "noise", dated="10:20")  # folds everything again
    assert history.line()["state"] == "breached"
    history.at("14:00", "done", id="2")
    assert (history.line()["state"], history.line()["stopped"]) == ("breached_closed", "14:00")


def test_beyond_the_horizon_a_breach_may_still_be_closed(clock: ClockMode) -> None:
    history = breached(clock, horizon="2h", **LENIENT)
    history.until("15:00")
    assert history.at("15:00", "done") == [("breach.closed", "15:00", 1, "15:00", "breached_closed")]


def test_the_horizon_runs_from_the_statement_to_be_changed() -> None:
    history = breached(horizon="2h", **LENIENT)
    history.at("12:30", "done")  # closed, revision 1: two hours from here
    assert history.at("14:00", "done", dated="10:55", id="2")[0].type == "breach.retracted"


def test_the_horizon_bounds_the_correction_of_a_retraction_too() -> None:
    history = breached(horizon="2h", **LENIENT)
    assert history.at("12:00", "done", dated="10:55", id="1")[0].type == "breach.retracted"
    assert history.at("14:30", "done", dated="11:10", id="2", replaces="1") == []
    assert (history.line()["state"], history.engine.counts["late"]) == ("met", 1)


def test_in_event_time_the_horizon_counts_in_log_time() -> None:
    history = breached("event", horizon="2h")
    history.at("Fri 10:00", "noise")
    assert history.at("Fri 10:00", "done", dated="10:55") == []
    assert history.line()["state"] == "breached"


def test_the_seven_days_are_the_default() -> None:
    history = breached(**LENIENT)
    assert history.until("2026-03-09T11:00:02Z") == []
    assert history.at("2026-03-09T11:00:02Z", "paused", dated="10:30")[0].type == "breach.retracted"
    history = breached(**LENIENT)
    assert history.at("2026-03-09T11:00:03Z", "paused", dated="10:30")[1:] == []  # nothing after `final`
    assert history.line()["due"] == "11:00"


@pytest.mark.parametrize(("arrival", "state"), [("12:30", "met"), ("13:30", "breached")])
def test_a_replacement_corrects_within_the_horizon_only(arrival: str, state: str) -> None:
    history = Timeline(agreement(horizon="2h", **LENIENT))
    history.at("10:00", "opened")
    history.at("10:30", "noise", id="1")
    history.until("11:30")
    history.at(arrival, "done", dated="10:30", id="2", replaces="1")
    assert history.line()["state"] == state


def test_a_replacement_beyond_the_horizon_removes_nothing() -> None:
    history = breached(horizon="2h", **LENIENT)
    assert history.at("13:30", "noise", dated="10:00", id="2", replaces="opened 10:00") == [
        ("breach.final", "13:00:02", 0, "13:00:02", "breached")
    ]
    assert (history.line()["state"], history.engine.counts["late"]) == ("breached", 1)


# -- max_lateness and review -----------------------------------------------------------------------------------------


def test_evidence_older_than_max_lateness_awaits_review(clock: ClockMode) -> None:
    history = breached(clock, max_lateness="1h")
    said = history.at("11:55:01", "done", dated="10:55")
    if clock == "event":  # there it never bites
        assert said[0].type == "breach.retracted"
        return
    assert said == [("breach.contested", "10:55", 0, "11:55:01", "breached")]
    assert (history.statements[-1].evidence, history.statements[-1].cycle) == (("done 10:55",), 1)
    assert (history.line()["state"], history.line()["revision"]) == ("breached", 0)


def test_evidence_as_old_as_max_lateness_corrects() -> None:
    history = breached(max_lateness="1h")
    assert history.at("11:55", "done", dated="10:55")[0].type == "breach.retracted"


@pytest.mark.parametrize("dated", ["11:20", "11:10"])
def test_what_removes_the_stop_of_a_late_case_or_reopens_it_long_after_awaits_review(dated: str) -> None:
    history = breached(max_lateness="1h")
    history.at("11:20", "done", id="stop")
    said = history.at("12:20:01", "noise", dated=dated, replaces="stop")
    assert [(s.type, s.revision) for s in said] == [("breach.contested", 1)]
    assert history.line()["state"] == "breached_closed"
    assert [s.type for s in history.at("12:21:01", "reopened", dated="11:19:59")] == []  # the same revision is contested once
    assert history.line()["state"] == "breached_closed"


def test_nothing_is_decided_before_what_it_corrects(clock: ClockMode) -> None:
    history = Timeline(agreement(), clock=clock)
    history.at("10:00", "opened")
    history.at("12:00", "noise")
    history.at("12:00:10", "paused", dated="10:30")
    said = history.at("12:00:20", "resumed", dated="10:40") + history.until("12:10")
    assert [s.type for s in history.statements] == ["slawatch.breach.opened", "slawatch.breach.retracted", "slawatch.breach.reopened"]
    assert (said[-1].decided_at or "") >= "12:00"


def test_a_day_is_the_default() -> None:
    history = breached()
    assert history.at("Tue 10:55", "done", dated="10:55")[0].type == "breach.retracted"
    history = breached()
    assert [said.type for said in history.at("Tue 10:55:01", "done", dated="10:55")] == ["breach.contested"]


def test_a_contested_breach_goes_on_as_if_the_evidence_were_not_there() -> None:
    history = breached(max_lateness="30m")
    history.at("11:55", "done", dated="10:55")
    assert history.at("12:10", "done", id="2") == [("breach.closed", "12:10", 1, "12:10", "breached_closed")]
    assert "done 10:55" not in history.statements[-1].evidence


def test_back_dated_evidence_that_changes_no_verdict_is_taken() -> None:
    history = breached(max_lateness="30m")
    assert history.at("11:55", "noise", {"note": "x"}, dated="10:55") == []
    assert history.engine.counts["late"] == 0


def test_a_back_dated_stop_after_due_closes_and_is_no_correction() -> None:
    history = breached(max_lateness="30m")
    assert [said.type for said in history.at("12:30", "done", dated="11:15")] == ["breach.closed"]


def test_a_back_dated_pause_after_due_corrects_nothing() -> None:
    history = breached(max_lateness="30m")
    assert history.at("12:30", "paused", dated="11:15") == []
    assert history.line()["paused_s"] == 4500


@pytest.mark.parametrize(
    ("kind", "dated"), [("paused", "10:30"), ("cancelled", "10:30"), ("done", "10:30"), ("changed", "10:30"), ("rejected", "10:30")]
)
def test_no_back_dated_evidence_erases_a_breach_unseen(kind: str, dated: str) -> None:
    history = Timeline(agreement(max_lateness="30m", targets="[{when: data.p == 3, within: 8h}, {within: 1h}]"))
    history.at("10:00", "opened")
    history.until("11:30")
    assert [said.type for said in history.at("11:40", kind, {"p": 3} if kind == "changed" else None, dated=dated)] == ["breach.contested"]
    assert history.line()["state"] == "breached"


def test_a_back_dated_replacement_does_not_either() -> None:
    history = breached(max_lateness="30m")
    assert [s.type for s in history.at("12:30", "noise", dated="10:00", id="2", replaces="opened 10:00")] == ["breach.contested"]
    assert history.line()["state"] == "breached"


def test_a_vendor_cannot_back_date_by_replacing_with_a_fresh_time() -> None:
    """The replacement's own time is now, but it takes away what happened long ago."""
    history = Timeline(agreement(max_lateness="30m"))
    history.at("10:00", "opened", id="1")
    history.until("11:30")
    assert [s.type for s in history.at("12:30", "noise", id="2", replaces="1")] == ["breach.contested"]
    assert history.line()["state"] == "breached"


def test_an_earlier_stop_of_a_closed_breach_is_a_correction() -> None:
    history = breached(max_lateness="30m")
    history.at("13:00", "done")
    assert [said.type for said in history.at("13:10", "done", dated="11:30", id="2")] == ["breach.contested"]
    assert history.line()["stopped"] == "13:00"


def test_what_a_verdict_says_does_not_depend_on_evidence_that_is_not_late() -> None:
    history = Timeline(agreement(max_lateness="30m"))
    history.at("12:30", "opened", dated="10:00")  # no verdict stands yet: nothing to correct
    assert history.at("12:30:01", "done", dated="10:55") == [("clock.met", "10:55", None, "12:30:01", "met")]


# -- clocks that were met or cancelled ---------------------------------------------------------------------------------


def ended(clock: ClockMode, by: str = "done") -> Timeline:
    """Opened at 10:00, due at 11:00, ended at 10:30; horizon two hours, all lateness allowed but half an hour without review."""
    history = Timeline(agreement(horizon="2h", max_lateness="30m"), clock=clock)
    history.at("10:00", "opened")
    history.at("10:30", by, id="end")
    return history


def breach_of(history: Timeline, at: str) -> list[str]:
    """Evidence takes the end away: it was half an hour after due."""
    return [said.type for said in history.at(at, "done", dated="11:30", id="2", replaces="end")]


@pytest.mark.parametrize("by", ["done", "cancelled"])
def test_within_the_horizon_a_met_clock_turns_to_breached_at_once_and_unreviewed(clock: ClockMode, by: str) -> None:
    history = ended(clock, by)
    history.until("12:30")  # the last instant of the horizon
    assert breach_of(history, "12:30") == ["breach.opened", "breach.closed"]


@pytest.mark.parametrize(("by", "state"), [("done", "met"), ("cancelled", "cancelled")])
def test_beyond_the_horizon_a_met_clock_stays_met(clock: ClockMode, by: str, state: str) -> None:
    history = ended(clock, by)
    history.until("12:30:01")
    assert breach_of(history, "12:30:01") == []
    assert (history.line()["state"], history.line()["stopped"], history.engine.counts["late"]) == (state, "10:30", 1)


@pytest.mark.parametrize(("kind", "dated"), [("paused", "10:10"), ("done", "10:20"), ("cancelled", "10:20"), ("rejected", "10:20")])
def test_beyond_the_horizon_nothing_back_dated_moves_when_it_was_done_or_due(clock: ClockMode, kind: str, dated: str) -> None:
    history = ended(clock)
    before = history.line()
    history.until("12:30:01")
    assert history.at("12:30:01", kind, dated=dated) == []
    assert (history.line(), history.engine.counts["late"]) == (before, 1)


def test_beyond_the_horizon_evidence_that_changes_no_verdict_is_taken() -> None:
    history = ended("log")
    history.until("12:30:01")
    assert history.at("12:30:01", "noise", {"note": "x"}, dated="10:10") == []
    assert history.engine.counts["late"] == 0


def test_the_horizon_of_a_met_clock_runs_from_the_arrival_of_its_end() -> None:
    history = Timeline(agreement(horizon="2h"))
    history.at("10:00", "opened")
    history.at("11:00", "done", dated="10:30", id="end")
    assert breach_of(history, "13:00") == ["breach.opened", "breach.closed"]


def test_a_later_reopening_is_no_correction() -> None:
    history = Timeline(agreement(horizon="30m"))
    history.at("10:00", "opened")
    history.at("10:10", "done")
    history.until("10:50")
    history.at("10:51", "reopened")
    assert (history.line()["state"], history.line()["due"]) == ("running", "11:41")
    history.at("11:00", "done", id="2")
    history.until("11:20")  # within the horizon of the second end
    assert history.at("11:20", "paused", dated="10:55") == []
    assert (history.line()["state"], history.line()["paused_s"]) == ("met", 41 * 60 + 5 * 60)


# -- final -----------------------------------------------------------------------------------------------------------


def test_a_breach_is_final_when_its_horizon_has_passed(clock: ClockMode) -> None:
    history = breached(clock, horizon="2h")
    history.at("12:00", "done")
    assert history.until("14:00") == []
    assert history.until("14:00:01") == [("breach.final", "14:00", 1, "14:00", "breached_closed")]
    assert history.until("Fri 10:00") == []


def test_a_breach_with_a_horizon_of_seconds_is_final_too(clock: ClockMode) -> None:
    history = Timeline(agreement(horizon="7s"), clock=clock)
    history.at("10:00", "opened")
    assert history.until("11:00:10") == [OPENED, ("breach.final", "11:00:09", 0, "11:00:09", "breached")]


def test_a_breach_corrected_meanwhile_is_final_later() -> None:
    history = breached(horizon="2h", **LENIENT)
    history.at("11:40", "noise", dated="10:01")
    history.at("12:00", "done")
    history.at("13:30", "done", dated="11:45", id="2")
    assert [(s.type, s.revision, s.decided_at) for s in history.until("18:00")] == [("breach.final", 2, "15:30")]


def test_a_retracted_breach_is_not_final() -> None:
    history = breached(horizon="2h")
    history.at("12:00", "done", dated="10:55")
    assert history.until("18:00") == []


def test_final_speaks_of_the_instant_the_horizon_ended() -> None:
    history = breached()
    history.until("2026-03-10T00:00Z")
    assert (history.statements[-1].type, shown(history.statements[-1].time)) == ("slawatch.breach.final", "2026-03-09T11:00:02")
