"""semantics.md, "Correction horizon", and decision 41: when a case leaves memory, what stays of it, and what comes too late."""

from typing import Any

import pytest

from shared.cli.spilling import Spill
from shared.sla.engine import Engine
from shared.sla.leaving import Gone, mark_of
from shared.wire.reports import level_line
from tests.unit.sla.timeline import Timeline, agreement, shown

RATIO = "{name: good, kind: ratio, of: {events: {on: checked, good: data.ok}}, target: '>= 50%', window: period, on_empty: no_data}"
KEPT = "{name: kept, kind: ratio, of: {objective: clock}, target: '>= 50%', window: period, on_empty: no_data}"
UP = "{name: up, kind: availability, down: down, up: up, target: '>= 99.9%', window: period, on_empty: met}"
NEVER = "{name: never, kind: violation, on: checked, unless: data.ok}"
REFUND = "{name: refund, kind: deadline, start: returned, stop: refunded, targets: [{within: 1d}]}"


def promised(*more: str, **keys: str) -> Timeline:
    """A clock of an hour and more promises, under a horizon of two hours."""
    text = agreement(**{"horizon": "2h", "max_lateness": "60d", **keys})
    return Timeline("\n".join([text, *(f"  - {one}" for one in more)]))


def in_memory(history: Timeline) -> tuple[int, int]:
    """(cases, evidence ids)."""
    vendors = history.engine.vendors.values()
    cases = sum(len(desk.cases) for vendor in vendors for desk in vendor.desks.values())
    return cases, sum(len(ids) for vendor in vendors for ids in vendor.posted.values())


def level(history: Timeline, objective: str) -> dict[str, Any]:
    return next(line for line in map(level_line, history.engine.level_lines()) if line["objective"] == objective)


# -- when ------------------------------------------------------------------------------------------------------------


def test_a_closed_case_leaves_at_the_end_of_the_hour_in_which_its_horizon_ends() -> None:
    history = promised()
    history.at("10:00", "opened")
    history.at("10:20", "done")
    history.until("13:00")  # 12:20, rounded up; at equality it is there
    assert in_memory(history) == (1, 2)
    history.until("13:00:01")
    assert in_memory(history) == (0, 0)
    assert history.line()["state"] == "met", "what it was is handed out"


def test_an_open_case_stays_however_long_it_lasts() -> None:
    history = promised()
    history.at("10:00", "opened")
    history.until("2026-05-01T00:00:00Z")
    assert in_memory(history) == (1, 1)
    assert [said.type for said in history.at("2026-05-01T00:00:01Z", "done")] == ["breach.closed"]


def test_evidence_puts_it_off() -> None:
    history = promised()
    history.at("10:00", "opened")
    history.at("10:20", "done")
    history.at("11:30", "noise")
    history.until("13:59")
    assert in_memory(history) == (1, 3)
    history.until("14:00:01")
    assert in_memory(history) == (0, 0)


def test_a_breach_is_final_before_its_case_leaves() -> None:
    history = promised()
    history.at("10:00", "opened")
    history.at("11:30", "done")  # late: said at 11:30
    assert [said.type for said in history.until("Tue 10:00")] == ["breach.final"]
    assert in_memory(history) == (0, 0)


def test_a_final_that_blind_time_holds_is_waited_for() -> None:
    history = promised()
    history.at("10:00", "opened")
    history.engine.pulse(history.engine.log_time or 0)
    history.at("11:30", "done")
    history.engine.tick((history.engine.log_time or 0) + 6 * 3_600_000)  # the door was shut when it should have become final
    assert in_memory(history) == (1, 2)
    said = [one for _ in range(20) for one in history.engine.pulse((history.engine.log_time or 0) + 10_000)]
    assert [one.type for one in said] == ["slawatch.breach.final"]
    history.until("23:00")
    assert in_memory(history) == (0, 0)


def test_what_is_down_stays_until_it_is_up() -> None:
    history = promised(UP)
    history.at("Mon 10:00", "down")
    history.until("Tue 10:00")
    assert in_memory(history) == (1, 1)
    history.at("Tue 10:00", "up")
    history.until("Tue 20:00")
    assert in_memory(history) == (0, 0)
    history.until("2026-04-02T00:00:00Z")
    assert (level(history, "up")["good"], level(history, "up")["total"]) == (2_678_400 - 86_400, 2_678_400)


def test_losing_evidence_begins_the_horizon_anew() -> None:
    history = promised()
    history.at("10:00", "opened")
    history.at("10:20", "done")
    history.at("10:30", "noise", id="n")
    history.at("12:10", "noise", subject="other", id="m", replaces="n")
    history.until("14:00")
    assert history.engine.vendors["vendor"].desks["desk"].cases.keys() == {"case", "other"}
    history.until("15:00:01")
    assert in_memory(history) == (0, 0)
    assert history.engine.superseded == {}


def test_the_longest_horizon_of_the_desk_counts() -> None:
    history = Timeline(agreement(horizon="2h"), agreement(name="others", horizon="1d"))
    history.at("10:00", "opened")
    history.at("10:20", "done")
    history.until("Tue 10:59")
    assert in_memory(history) == (1, 2)
    history.until("Tue 11:00:01")
    assert in_memory(history) == (0, 0)


# -- what comes after ------------------------------------------------------------------------------------------------


def left(*more: str, **keys: str) -> Timeline:
    """A case that was met at 10:20 on Monday, and has left on Tuesday."""
    history = promised(*more, **keys)
    history.at("10:00", "opened")
    history.at("10:20", "done")
    history.until("Tue 10:00")
    assert in_memory(history)[0] == 0
    return history


@pytest.mark.parametrize("kind", ["reopened", "rejected", "opened", "done"])
def test_what_comes_for_a_clock_that_has_left_is_too_late(kind: str) -> None:
    history = left()
    assert history.at("Tue 10:00", kind) == []
    assert history.until("Fri 10:00") == []
    assert history.engine.counts["late"] == 1
    assert [line["state"] for line in history.lines()] == ["met"]


def test_a_clock_that_had_not_begun_may_begin() -> None:
    history = left(REFUND)
    history.at("Tue 10:00", "returned")
    assert [said.type for said in history.until("Wed 11:00")] == ["breach.opened"]
    assert [(line["objective"], line["state"]) for line in history.lines()] == [("clock", "met"), ("refund", "breached")]


def test_evidence_that_was_counted_is_not_counted_again() -> None:
    history = promised(RATIO)
    history.at("10:00", "checked", {"ok": False}, id="1")
    history.at("10:10", "checked", {"ok": True}, id="2", subject="other")
    history.until("Tue 10:00")
    assert in_memory(history) == (0, 0)
    history.at("Tue 10:00", "checked", {"ok": False}, id="1", dated="10:00")
    history.at("Tue 10:01", "checked", {"ok": True}, id="3", subject="other")
    history.until("2026-04-02T00:00:00Z")
    assert (level(history, "good")["good"], level(history, "good")["total"]) == (2, 3)
    assert history.engine.counts["late"] == 1


def test_a_violation_is_not_said_again() -> None:
    history = promised(NEVER)
    assert len(history.at("10:00", "checked", {"ok": False}, id="1")) == 2
    history.until("Tue 10:00")
    assert in_memory(history) == (0, 0)
    assert history.at("Tue 10:00", "checked", {"ok": False}, id="1", dated="10:00") == []
    assert history.at("Tue 10:00", "checked", {"ok": False}, id="1") == [], "nor with another time"
    assert len(history.at("Tue 10:01", "checked", {"ok": False}, id="2")) == 2


def test_what_it_counted_for_stays() -> None:
    """A timer of a clock that has left finds nothing: it does not tell the ratio that there is none."""
    history = promised(KEPT, targets="[{within: 3d}]", warn_at="['50%']")
    history.at("10:00", "opened")
    history.at("10:05", "changed", {"p": 1})  # beyond the fast path: its timers stand in the heap
    history.at("10:20", "done")
    history.until("Tue 10:00")
    assert in_memory(history) == (0, 0)
    history.until("2026-04-02T00:00:00Z")
    assert (level(history, "kept")["good"], level(history, "kept")["total"]) == (1, 1)


def test_a_level_names_the_evidence_of_cases_that_have_left() -> None:
    history = promised(RATIO)
    for hour in range(10, 20):
        history.at(f"{hour}:00", "checked", {"ok": False}, subject=f"case {hour}", id=f"{hour}")
    history.until("Tue 20:00")
    assert in_memory(history) == (0, 0)
    history.until("2026-04-02T00:00:00Z")
    breach = next(said for said in history.statements if said.type == "slawatch.breach.opened")
    assert breach.evidence == tuple(str(hour) for hour in range(10, 20))


def test_windows_go_back_to_the_first_event_though_it_has_left() -> None:
    history = promised(RATIO.replace("period", "tumbling 1d"))
    history.at("Mon 10:00", "noise", subject="first")
    history.at("Tue 10:00", "noise", subject="second", id="s")
    history.at("Tue 10:05", "noise", subject="third", replaces="s")
    history.at("Tue 10:06", "noise", subject="fourth", id="f", dated="Mon 10:00")
    history.at("Tue 10:07", "noise", subject="third", replaces="f", id="g")
    history.until("Thu 10:00")
    starts = [shown(line.window_start) for line in history.engine.level_lines()]
    assert starts[0] == "00:00"


# -- the parts -------------------------------------------------------------------------------------------------------


def test_marks_are_found_in_every_size_and_through_a_checkpoint() -> None:
    gone, again = Gone(), Gone()
    for number in range(5_000):
        gone.add(mark_of(str(number)))
    for count, shards in gone.pieces():
        again.restore(count, shards)
    for one in (gone, again):
        assert one.count == 5_000
        assert all(mark_of(str(number)) in one for number in range(5_000))
        assert not any(mark_of(str(number)) in one for number in range(5_000, 10_000))
    again.add(mark_of("more"))
    assert mark_of("more") in again


def test_lines_come_back_in_order_from_many_runs() -> None:
    spill = Spill(batch=7)
    history = promised()
    history.engine = Engine("log", farewell=spill.left)
    for bundle in promised().engine.enacted:
        history.engine.activate(bundle.bundle, bundle.id)
    for case in range(40):
        name = f"case {case * 7 % 40:02}"
        history.at("10:00", "opened", subject=name, id=f"o{case}")
        history.at("10:20", "done", subject=name, id=f"d{case}")
    history.at("Tue 10:00", "opened", subject="case 15a")
    lines = [line.case for line in spill.merged(history.engine.case_lines())]
    spill.close()
    assert lines == sorted([f"case {case:02}" for case in range(40)] + ["case 15a"])
