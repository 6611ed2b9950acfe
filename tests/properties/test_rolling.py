"""Rolling windows and burn rates: the engine says what walking every edge of the grid finds, in order and with evidence that comes late."""

import json
from fractions import Fraction
from itertools import groupby
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from shared.sla.engine import ClockMode
from shared.sla.instants import format_instant
from shared.sla.statements import Statement
from shared.wire.events import to_evidence
from shared.wire.reports import level_line
from tests.oracle.levels import Line
from tests.oracle.rolling import Level, course, listed, onsets
from tests.oracle.units import instant
from tests.properties.engine_side import bundles_of
from tests.properties.rolling_histories import Heard, heard
from tests.saying import unwritten
from tests.whole import Whole

IN_TEST = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NIGHTLY = settings(IN_TEST, max_examples=2_000, derandomize=False)
SHOWN = ("window_start", "window_end", "good", "total", "value", "state")


class Ran:
    """What the engine said of a history."""

    def __init__(self, history: Heard, mode: ClockMode) -> None:
        engine = Whole(mode)
        for bundle in bundles_of("\n---\n".join(json.dumps(document) for document in [*history.calendars, history.agreement])):
            engine.activate(bundle, "drawn")
        self.statements: list[Statement] = []
        steps: list[tuple[int, dict[str, Any] | None]] = [*history.arrivals, *((tick, None) for tick in history.ticks)]
        for at, event in sorted(steps, key=lambda step: (step[0], step[1] is None)):
            if event is not None:
                said, refused = engine.take(to_evidence(event), at)
                assert refused is None
                self.statements += unwritten(said)
            elif mode == "log" and at <= history.until:
                self.statements += unwritten(engine.tick(at))
        self.statements += unwritten(engine.tick(history.until) if mode == "log" else engine.advance(history.until))
        self.statements += unwritten(engine.settle())
        self.lines = [level_line(line) for line in engine.level_lines()]

    def transitions(self, name: str) -> list[Line]:
        """The lines of a rolling objective."""
        return [{key: line[key] for key in SHOWN} for line in self.lines if line["objective"] == name]

    def begun(self, name: str) -> int | None:
        """Log time when the first state of a rolling objective was said."""
        return next((s.decided_at for s in self.statements if s.objective == name and s.state != "burning"), None)

    def said(self, name: str, kind: str) -> list[Statement]:
        """The statements of a type, or of a family of types, about an objective."""
        return [s for s in self.statements if s.objective == name and s.type.startswith(f"slawatch.{kind}")]

    def burning(self, name: str, pair: dict[str, Any]) -> list[int]:
        """The instants at which the pair is said to begin to burn."""
        threshold = f"{pair['factor']}x over {pair['long']} and {pair['short']}"
        return [statement.time for statement in self.said(name, "level.burning") if statement.detail["threshold"] == threshold]


def _shown(line: Line) -> Line:
    return {key: float(round(value, 12)) if isinstance(value, Fraction) else value for key, value in line.items()}


def _missed(lines: list[Line]) -> list[tuple[str, str | None]]:
    """(first edge, edge of recovery) of each breach."""
    out: list[tuple[str, str | None]] = []
    for line in lines:
        if line["state"] == "breached" and (not out or out[-1][1] is not None):
            out.append((line["window_end"], None))
        elif line["state"] != "breached" and out and out[-1][1] is None:
            out[-1] = (out[-1][0], line["window_end"])
    return out


def agree_in_order(history: Heard, mode: ClockMode) -> None:
    """All transitions, all breaches and all onsets are those of every edge."""
    ran = Ran(history, mode)
    first = min(instant(event["time"]) for event in history.events)
    for objective in history.levels:
        name, level = objective["name"], Level(history.agreement, objective["name"], history.calendars)
        if objective["window"] != "period":
            lines = course(level, history.arrivals, history.until, ran.begun(name))
            assert ran.transitions(name) == [_shown(line) for line in listed(lines)]
            breaches: dict[str, list[str]] = {}
            for statement in ran.said(name, "breach."):
                breaches.setdefault(statement.breach_id, []).append(f"{statement.type.split('.')[-1]} {format_instant(statement.time)}")
            wanted = [[f"opened {begin}"] + ([f"closed {end}"] if end else []) for begin, end in _missed(lines)]
            assert list(breaches.values()) == wanted
            if name != "share":  # a clock that is opened again changes the window looked at last
                assert {s.decided_at - s.time for s in ran.said(name, "") if s.state != "burning"} <= {level.grace}
            states = [s.state for s in ran.said(name, "level.") if s.state != "burning"]
            assert states == [state for state, _ in groupby(line["state"] for line in lines) if state != "breached"]
        facts = level.facts(history.events, history.until)
        for pair in objective.get("burn_rate", []):
            assert ran.burning(name, pair) == onsets(level, pair, facts, first, history.until), pair


def agree_in_the_end(history: Heard) -> None:
    """Whatever came late: the last state is that of the last edge passed, and no onset after the last arrival is left out."""
    ran = Ran(history, "log")
    first = min(instant(event["time"]) for event in history.events)
    for objective in history.levels:
        name, level = objective["name"], Level(history.agreement, objective["name"], history.calendars)
        facts = level.facts(history.events, history.until)
        if objective["window"] != "period":
            begun, late = ran.begun(name), [at for at, event in history.arrivals if at > instant(event["time"])]
            is_told_whole = begun is not None and begun < min(late, default=history.until)
            if is_told_whole and name != "share":  # the breach of a clock may be called late, too
                lines = course(level, history.arrivals, history.until, begun)
                assert ran.transitions(name) == [_shown(line) for line in listed(lines)]
            last = list(level.windows(first, history.until))[-1:]
            wanted = [level.line(facts, window)["state"] for window in last if begun is not None or not facts(*window).is_silent]
            assert [line["state"] for line in ran.transitions(name)][-1:] == wanted
            stands = {statement.breach_id: statement.type.split(".")[-1] for statement in ran.said(name, "breach.")}
            is_open = [breach for breach, kind in stands.items() if kind in {"opened", "reopened", "amended"}]
            assert len(is_open) == (wanted == ["breached"])
        settled = history.arrivals[-1][0] + level.grace
        for pair in objective.get("burn_rate", []):
            after = {edge for edge in onsets(level, pair, facts, first, history.until) if edge > settled}
            assert after <= set(ran.burning(name, pair)), pair


@pytest.mark.parametrize("mode", ["event", "log"])
@IN_TEST
@given(history=heard())
def test_in_order_every_edge_counts(mode: ClockMode, history: Heard) -> None:
    agree_in_order(history, mode)


@pytest.mark.nightly
@pytest.mark.parametrize("mode", ["event", "log"])
@NIGHTLY
@given(history=heard())
def test_in_order_every_edge_counts_at_length(mode: ClockMode, history: Heard) -> None:
    agree_in_order(history, mode)


@IN_TEST
@given(heard(late=True))
def test_what_comes_late_is_in_the_last_state(history: Heard) -> None:
    agree_in_the_end(history)


@pytest.mark.nightly
@NIGHTLY
@given(heard(late=True))
def test_what_comes_late_is_in_the_last_state_at_length(history: Heard) -> None:
    agree_in_the_end(history)
