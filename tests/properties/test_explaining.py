"""What `slawatch explain` tells adds up: of a window to the level, of a case to its line, event for event, whatever the history."""

from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.sla.engine import Engine, books_of
from shared.sla.explaining import explain_case
from shared.sla.explaining_levels import counted_of, explain_level
from shared.sla.levels import LevelBook
from shared.wire.reports import case_line
from tests.oracle.units import instant
from tests.properties.engine_side import run_whole
from tests.properties.histories import History, histories
from tests.properties.level_histories import level_histories


def explained(engine: Engine) -> list[dict[str, Any]]:
    """Every window that is listed."""
    told: list[dict[str, Any]] = []
    for desk in engine.desks():
        for book in desk.books.values():
            if isinstance(book, LevelBook):
                log_time = desk.lane.log_time or 0
                counted = [counted_of(book, case) for case in sorted(book.cases())]
                for line in book.lines(log_time):
                    told += explain_level(book, line.window_start, log_time, counted, [])
    return told


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(level_histories())
def test_it_adds_up(history: History) -> None:
    engine = run_whole([history.agreement], history.calendars, history.events, history.until)
    told = explained(engine)
    assert len(told) == len(list(engine.level_lines()))
    for level in told:
        if level["kind"] == "availability":
            down = sum(piece["s"] for piece in level["intervals"] if piece["what"] == "down")
            assert round(down, 3) == round(level["total"] - level["good"], 3)
        else:
            assert len(level["evidence"]) == level["total"]
        if level["kind"] == "ratio":
            assert sum(mark["counts"] is True for mark in level["evidence"]) == level["good"]


def seconds(pieces: list[dict[str, Any]]) -> float:
    """Working time of all."""
    return float(round(sum(piece["s"] for piece in pieces), 3))


@st.composite
def later_versions(draw: st.DrawFn, history: History) -> dict[str, Any]:
    """Another version of a history's agreement, under which open clocks go on."""
    begins = draw(st.sampled_from([event["time"] for event in history.events]))
    terms = draw(histories()).agreement["objectives"]
    return history.agreement | {"version": 2, "apply_to": "open", "effective": {"from": begins}, "objectives": terms}


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), histories())
def test_a_case_adds_up_to_its_line_and_tells_every_event(data: st.DataObject, history: History) -> None:
    versions = [history.agreement, *data.draw(st.lists(later_versions(history), max_size=1))]
    engine = run_whole(versions, history.calendars, history.events, history.until)
    until = instant(history.until)
    lines = {(line["case"], line["cycle"]): line for line in map(case_line, engine.case_lines())}
    for case in engine.desk("acme", "desk").cases.values():
        for book in books_of(case):
            told = explain_case(book, case.events, until, None)
            for cycle in told:
                if cycle["cycle"] is not None:
                    check_cycle(cycle, lines.pop((case.name, cycle["cycle"])), until)
            assert {one["event"] for cycle in told for one in (*cycle["steps"], *cycle["idle"])} - {None} == {e.id for e in case.events}
            assert all(one["why"] for cycle in told for one in cycle["idle"])
    assert not lines


def check_cycle(told: dict[str, Any], line: dict[str, Any], until: int) -> None:
    """One cycle against its line of `cases.ndjson`."""
    same = ("state", "started", "due", "stopped", "elapsed_s", "paused_s", "target_s", "late_s", "overdue_s")
    assert [told[key] for key in same] == [line[key] for key in same]
    assert [step["at"] for step in told["steps"]] == sorted((step["at"] for step in told["steps"]), key=instant)
    pieces = told["intervals"]
    assert all(one["to"] == other["from"] for one, other in pairwise(pieces))
    assert all(instant(piece["from"]) < instant(piece["to"]) for piece in pieces)
    if line["state"] == "skipped":
        assert {piece["what"] for piece in pieces} <= {"skipped"}
        return
    assert seconds([piece for piece in pieces if piece["what"] == "counted"]) == line["elapsed_s"]
    assert seconds([piece for piece in pieces if piece["what"] == "paused"]) == line["paused_s"]
    assert seconds(told["pauses"]) == line["paused_s"]
    start, end = instant(line["started"]), max(until, instant(line["started"])) if line["stopped"] is None else instant(line["stopped"])
    assert [instant(edge) for piece in pieces for edge in (piece["from"], piece["to"])][:: max(1, 2 * len(pieces) - 1)] == (
        [start, end] if start < end else []
    )
