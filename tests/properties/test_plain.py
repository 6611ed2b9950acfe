"""The fast path of plain clocks says, at every step, what the general fold says: the same statements, ids and order."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.language import bundles, load_text
from shared.sla.engine import ClockMode, Engine
from shared.sla.instants import HOUR, MINUTE, parse_instant
from shared.sla.statements import Statement
from shared.wire import verdicts
from shared.wire.events import decode
from shared.wire.reports import case_line, level_line
from tests.properties.histories import History, histories
from tests.whole import Whole

IN_TEST = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NIGHTLY = settings(IN_TEST, max_examples=4_000, derandomize=False)
Step = tuple[str, int, Any]  # what arrives, when, and the event
LATE = [0, 0, 0, 500, 3_000, 10 * MINUTE, 2 * HOUR, 30 * HOUR]


def _twins(history: History, clock: ClockMode) -> tuple[Engine, Engine]:
    documents = [json.dumps(document) for document in [*history.calendars, history.agreement]]
    engines = Whole(clock), Whole(clock, with_plain=False)
    for bundle in bundles(load_text("drawn.yaml", "\n---\n".join(documents)).or_raise()):
        for engine in engines:
            engine.activate(bundle, "drawn")
    return engines


def told(statements: Any) -> list[dict[str, Any]]:
    said: list[Statement] = list(statements)
    return [msgspec.to_builtins(verdicts.verdict_of(statement)) for statement in said]


def _take(engine: Engine, step: Step) -> list[dict[str, Any]]:
    what, arrival, event = step
    if what == "event":
        said, refused = engine.take(decode(json.dumps(event).encode()), arrival)
        return [*told(said), {} if refused is None else {"refused": refused.reason}]
    return told(engine.pulse(arrival) if what == "pulse" else engine.tick(arrival))


def _agree(history: History, clock: ClockMode, steps: list[Step]) -> None:
    fast, general = _twins(history, clock)
    for step in steps:
        assert _take(fast, step) == _take(general, step), step
    end = parse_instant(history.until)
    if clock == "event":
        assert told(fast.advance(end)) == told(general.advance(end))
    else:
        assert told(fast.tick(end)) == told(general.tick(end))
    assert list(map(case_line, fast.case_lines())) == list(map(case_line, general.case_lines()))
    assert list(map(level_line, fast.level_lines())) == list(map(level_line, general.level_lines()))
    assert (fast.counts, fast.unknown) == (general.counts, general.unknown)


@st.composite
def enriched(draw: st.DrawFn) -> History:
    """Histories with warnings, a ratio over the clocks, short horizons; many that are as plain as most are."""
    history = draw(histories())
    objective = history.agreement["objectives"][0]
    if draw(st.booleans()):
        short = all(target.get("within") in ("30m", "90s") for target in objective["targets"])
        early, late = ("1m", "1m") if short else ("30m", "10m")  # a lead of every target never comes: refused
        objective["warn_at"] = draw(st.sampled_from([["50%"], ["50%", "80%", early], [late]]))
    if draw(st.booleans()):
        for key in ("pause", "resume", "stop"):
            trigger = objective.get(key)
            if isinstance(trigger, str | list):
                asked = draw(st.sampled_from([{}, {"when": "data.x == true"}, {"when": "data.y != 1"}, {"by": "customer"}]))
                objective[key] = {"on": trigger, **asked}
        for event in history.events:
            event.update(draw(st.sampled_from([{}, {"slwrole": "customer"}])))
    if draw(st.booleans()):
        history.agreement["horizon"] = draw(st.sampled_from(["1h", "1d", "7d"]))
    if draw(st.booleans()):
        history.agreement["max_lateness"] = draw(st.sampled_from(["5m", "1d"]))
    if draw(st.booleans()):
        share = {"name": "share", "kind": "ratio", "of": {"objective": "clock"}, "target": ">= 90%", "on_empty": "met"}
        history.agreement["objectives"].append(share | {"window": draw(st.sampled_from(["tumbling 1d", "rolling 6h", "period"]))})
        history.agreement["period"] = "month"
    if draw(st.booleans()):
        kept = {"opened", "paused", "resumed", "done"}
        history.events[:] = [event for event in history.events if event["type"] in kept] or history.events
    if draw(st.booleans()):
        history.events.sort(key=lambda event: parse_instant(event["time"]))
    return history


def _in_event_time(history: History) -> None:
    _agree(history, "event", [("event", 0, event) for event in history.events])


def _live(history: History, data: st.DataObject) -> None:
    """Each event arrives some time after it happened; ticks and pulses stand between."""
    steps: list[Step] = []
    for event in history.events:
        steps.append(("event", parse_instant(event["time"]) + data.draw(st.sampled_from(LATE)), event))
    for _ in range(data.draw(st.integers(0, 6))):
        near = data.draw(st.sampled_from(steps))[1]
        moved = near + data.draw(st.sampled_from([1, 2_001, 15 * MINUTE, HOUR + 2_001, 4 * HOUR, 26 * HOUR]))
        steps.append((data.draw(st.sampled_from(["tick", "tick", "pulse"])), moved, None))
    steps.sort(key=lambda step: step[1])
    _agree(history, "log", steps)


@IN_TEST
@given(enriched())
def test_nobody_can_tell_in_event_time(history: History) -> None:
    _in_event_time(history)


@IN_TEST
@given(enriched(), st.data())
def test_nobody_can_tell_live(history: History, data: st.DataObject) -> None:
    _live(history, data)


@pytest.mark.nightly
@NIGHTLY
@given(enriched())
def test_nobody_can_tell_in_event_time_at_length(history: History) -> None:
    _in_event_time(history)


@pytest.mark.nightly
@NIGHTLY
@given(enriched(), st.data())
def test_nobody_can_tell_live_at_length(history: History, data: st.DataObject) -> None:
    _live(history, data)
