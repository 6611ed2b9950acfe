"""Kind `violation`: each matching event that fails its test is a breach."""

from shared.sla.engine import ClockMode
from tests.unit.sla.level_timeline import objective, promise, types
from tests.unit.sla.timeline import Timeline

DEFECT = {"name": "defect", "kind": "violation", "on": "inspected", "unless": "data.defects <= 2"}


def violated(clock: ClockMode = "log", **keys: str) -> Timeline:
    """One lot of three defects."""
    history = Timeline(promise(objective(DEFECT), **keys), clock=clock)
    history.at("10:00", "inspected", {"defects": 3}, id="bad")
    return history


def test_an_event_that_fails_is_a_breach_at_once(clock: ClockMode) -> None:
    history = Timeline(promise(objective(DEFECT)), clock=clock)
    assert history.at("10:00", "inspected", {"defects": 3}, id="bad") == [
        ("breach.opened", "10:00", 0, "10:00", "breached"),
        ("breach.closed", "10:00", 1, "10:00", "breached_closed"),
    ]
    line = history.line()
    assert (line["state"], line["cycle"], line["case"], line["event"], line["revision"]) == ("breached_closed", 1, "case", "bad", 1)


def test_an_event_that_passes_or_cannot_be_tested_is_nowhere() -> None:
    history = Timeline(promise(objective(DEFECT)))
    assert history.at("10:00", "inspected", {"defects": 2}) == []
    assert history.at("11:00", "inspected") == []
    assert history.lines() == []


def test_each_event_of_a_case_is_a_breach_of_its_own() -> None:
    history = violated()
    history.at("11:00", "inspected", {"defects": 4}, id="worse")
    assert [line["event"] for line in history.lines()] == ["bad", "worse"]
    assert len({statement.breach_id for statement in history.statements}) == 2


def test_breaches_of_one_case_stand_by_their_instants() -> None:
    history = violated()
    history.at("11:00", "inspected", {"defects": 4}, id="worse", dated="09:00")
    assert [line["event"] for line in history.lines()] == ["worse", "bad"]


def test_the_objectives_condition_sees_the_cases_data_and_the_test_the_event_alone() -> None:
    history = Timeline(promise(objective(DEFECT, when="data.kind == 'final'")))
    history.at("09:00", "noise", {"kind": "final", "defects": 9})
    assert history.at("10:00", "inspected") == []  # no defects of its own: unknown
    assert len(history.at("11:00", "inspected", {"defects": 3})) == 2


def test_late_data_that_takes_the_event_out_of_the_objective_retracts() -> None:
    history = Timeline(promise(objective(DEFECT, when="\"!has(data.kind) || data.kind == 'final'\"")))
    history.at("10:00", "inspected", {"defects": 3})
    assert types(history.at("11:00", "noise", {"kind": "trial"}, dated="09:00")) == ["breach.retracted"]
    assert history.lines() == []


def test_a_corrected_event_retracts_the_breach(clock: ClockMode) -> None:
    history = violated(clock)
    assert types(history.at("11:00", "inspected", {"defects": 1}, id="good", replaces="bad")) == ["breach.retracted"]
    assert history.lines() == []


def test_beyond_the_horizon_it_stands_and_back_dated_it_awaits_review() -> None:
    history = violated(horizon="1h")
    history.until("12:00")
    assert history.at("12:00", "inspected", {"defects": 1}, id="good", replaces="bad") == []
    assert len(history.lines()) == 1
    history = violated(max_lateness="1h")
    assert types(history.at("12:00", "inspected", {"defects": 1}, id="good", replaces="bad")) == ["breach.contested"]
    assert len(history.lines()) == 1


def test_it_is_final_after_the_horizon() -> None:
    assert violated(horizon="1h").until("11:00:01") == [("breach.final", "11:00", 1, "11:00", "breached_closed")]


def test_each_version_tests_the_events_of_its_time() -> None:
    first = promise(objective(DEFECT, unless="data.defects <= 2"), version="1", effective="{from: 2026-03-02, to: 2026-03-02}")
    second = promise(objective(DEFECT, unless="data.defects <= 5"), version="2", effective="{from: 2026-03-03}")
    history = Timeline(first, second, clock="event")
    for day in ("Mon", "Tue"):
        history.at(f"{day} 10:00", "inspected", {"defects": 3})
    assert [(line["started"], line["version"]) for line in history.lines()] == [("10:00", 1)]


def test_what_replaces_a_correction_is_judged_by_itself() -> None:
    history = violated(horizon="1h")
    history.at("10:30", "inspected", {"defects": 1}, id="good", replaces="bad")
    assert types(history.at("12:00", "inspected", {"defects": 4}, id="other", dated="10:00", replaces="good")) == [
        "breach.opened",
        "breach.closed",
    ]
    assert [line["event"] for line in history.lines()] == ["other"]
