"""semantics.md, "Warnings": shares of the target and absolute leads in working time."""

import pytest

from shared.sla.engine import ClockMode
from tests.unit.sla.timeline import BY_PRIORITY, OFFICE, Said, Timeline, agreement, instant


def warned(said: list[Said]) -> list[tuple[str | None, str | None]]:
    """(time, decided_at) of the warnings among what was said."""
    return [(s.time, s.decided_at) for s in said if s.type == "clock.warning"]


def test_a_share_of_the_target(clock: ClockMode) -> None:
    history = Timeline(agreement(warn_at="[50%, 80%]"), clock=clock)
    history.at("10:00", "opened")
    assert history.until("10:59") == [
        ("clock.warning", "10:30", None, "10:30:02", "running"),
        ("clock.warning", "10:48", None, "10:48:02", "running"),
    ]
    assert [s.detail["threshold"] for s in history.statements] == ["50%", "80%"]
    assert {s.due for s in history.statements} == {instant("11:00")}


def test_an_absolute_lead_is_working_time_before_due() -> None:
    history = Timeline(agreement(OFFICE, calendar="office", targets="[{within: 4h}]", warn_at="[90m]"))
    history.at("16:00", "opened")  # due Tuesday 12:00
    assert warned(history.until("Tue 11:59")) == [("Tue 10:30", "Tue 10:30:02")]
    history = Timeline(agreement(OFFICE, calendar="office", targets="[{within: 4h}]", warn_at="[3h30m]"))
    history.at("16:00", "opened")
    assert warned(history.until("Tue 11:59")) == [("16:30", "16:30:02")]  # not during the night


def test_every_warning_has_an_id_of_its_own() -> None:
    history = Timeline(agreement(warn_at="[50%, 80%, 5m]"))
    history.at("10:00", "opened")
    history.until("12:00")
    assert len({s.id for s in history.statements}) == 4


def test_pauses_move_it() -> None:
    history = Timeline(agreement(warn_at="[50%]"))
    history.at("10:00", "opened")
    history.at("10:10", "paused")
    assert history.until("12:00") == []
    history.at("12:00", "resumed")
    assert warned(history.until("12:30")) == [("12:20", "12:20:02")]


def test_a_target_change_moves_it() -> None:
    history = Timeline(agreement(warn_at="[50%]", targets=BY_PRIORITY))
    history.at("10:00", "opened", {"p": 2})
    history.at("10:20", "changed", {"p": 1})
    assert warned(history.until("10:59")) == [("10:30", "10:30:02")]


def test_once_for_each_target() -> None:
    history = Timeline(agreement(warn_at="[50%]", targets=BY_PRIORITY))
    history.at("10:00", "opened", {"p": 1})
    assert warned(history.until("10:40")) == [("10:30", "10:30:02")]
    history.at("10:40", "changed", {"p": 2})
    assert warned(history.until("11:20")) == [("11:00", "11:00:02")]
    history.at("11:20", "changed", {"p": 3})
    assert warned(history.until("11:30")) == []
    history.at("11:30", "changed", {"p": 2})  # had its warning
    assert warned(history.until("11:59")) == []


def test_once_although_a_pause_makes_it_lie_ahead_again() -> None:
    history = Timeline(agreement(warn_at="[50%]"))
    history.at("10:00", "opened")
    assert len(warned(history.until("10:40"))) == 1
    history.at("10:40", "paused", dated="10:20")
    history.at("10:50", "resumed")
    assert warned(history.until("11:29")) == []


def test_a_new_cycle_warns_anew() -> None:
    history = Timeline(agreement(warn_at="[50%]"))
    history.at("10:00", "opened")
    history.until("10:40")
    history.at("10:40", "rejected")
    assert warned(history.until("11:39")) == [("11:10", "11:10:02")]


@pytest.mark.parametrize("lead", ["1h", "2h"])
def test_skipped_if_past_when_the_clock_starts(lead: str) -> None:
    history = Timeline(agreement(targets="[{when: data.slow, within: 8h}, {within: 1h}]", warn_at=f"[{lead}, 50%]"))
    history.at("10:00", "opened", {"slow": False})
    assert warned(history.until("10:59")) == [("10:30", "10:30:02")]


def test_a_promised_instant_has_warnings_too() -> None:
    history = Timeline(agreement(targets="[{until: data.promised}]", warn_at="[50%, 10m]"))
    history.at("10:00", "opened", {"promised": "2026-03-02T12:00:00Z"})
    assert [at for at, _ in warned(history.until("12:00"))] == ["11:00", "11:50"]


def test_a_promise_already_past_warns_of_nothing() -> None:
    history = Timeline(agreement(targets="[{until: data.promised}]", warn_at="[50%, 10m]"))
    history.at("10:00", "opened", {"promised": "2026-03-02T09:00:00Z"})
    assert [said.type for said in history.until("12:00")] == ["breach.opened"]


def test_the_breach_inhibits_it() -> None:
    history = Timeline(agreement(warn_at="[50%]"))
    history.at("12:00", "opened", dated="10:00")  # warning and breach come to be called together
    assert [said.type for said in history.until("13:00")] == ["breach.opened"]


@pytest.mark.parametrize("kind", ["done", "cancelled"])
def test_a_clock_that_ended_does_not_warn(kind: str) -> None:
    history = Timeline(agreement(warn_at="[50%]"))
    history.at("10:00", "opened")
    history.at("10:30:01", kind)
    assert warned(history.until("12:00")) == []


def test_evidence_within_its_grace_does_not_put_it_off() -> None:
    history = Timeline(agreement(warn_at="[50%]"))
    history.at("10:00", "opened")
    said = []
    for second in range(1, 10):  # a chatty case: an event every second
        said += history.at(f"10:30:{second:02}", "noise")
    assert warned(said) == [("10:30", "10:30:02")]


def test_a_pause_after_it_was_reached_does_not_take_it_back(clock: ClockMode) -> None:
    history = Timeline(agreement(warn_at="[50%]"), clock=clock)
    history.at("10:00", "opened")
    history.at("10:30:01", "paused")
    assert warned(history.until("10:40")) == [("10:30", "10:30:02")]


def test_a_pause_at_its_very_instant_does_not_take_it_back() -> None:
    history = Timeline(agreement(warn_at="[50%]"))
    history.at("10:00", "opened")
    history.at("10:30", "paused")
    assert warned(history.until("10:40")) == [("10:30", "10:30:02")]


def test_a_late_start_warns_by_its_arrival() -> None:
    history = Timeline(agreement(warn_at="[50%]"))
    history.at("10:40", "opened", dated="10:00")
    assert warned(history.until("10:59")) == [("10:40", "10:40:02")]


def test_a_downgrade_of_time_already_used_warns_at_once() -> None:
    history = Timeline(agreement(warn_at="[50%]", targets=BY_PRIORITY))
    history.at("10:00", "opened", {"p": 2})
    history.at("10:45", "changed", {"p": 1})  # 45 of 60 minutes are used
    assert warned(history.until("10:59")) == [("10:45", "10:45:02")]


def test_a_warning_carries_the_clock() -> None:
    history = Timeline(agreement(warn_at="[50%]", severity="page"))
    history.at("10:00", "opened")
    history.until("10:40")
    (warning,) = history.statements
    assert (warning.severity, warning.state, warning.elapsed, warning.target) == ("page", "running", 1_802_000, 3_600_000)
    assert (warning.cause, warning.revision, warning.evidence) == (None, None, ("opened 10:00",))
