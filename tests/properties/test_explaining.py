"""What `slawatch explain` tells of a window adds up to the level, whatever the history."""

from typing import Any

from hypothesis import HealthCheck, given, settings

from shared.sla.engine import Engine
from shared.sla.explaining_levels import counted_of, explain_level
from shared.sla.levels import LevelBook
from tests.properties.engine_side import run_whole
from tests.properties.histories import History
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
    engine = run_whole(history.agreement, history.calendars, history.events, history.until)
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
