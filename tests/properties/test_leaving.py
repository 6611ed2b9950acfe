"""Cases that leave memory: nobody can tell when they were looked at, nor whether the engine was written down meanwhile."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.cli.spilling import Spill
from shared.language import bundles, load_text
from shared.sla import keeping
from shared.sla.engine import Engine
from shared.sla.instants import DAY, HOUR, MINUTE, format_instant, parse_instant
from shared.wire.events import decode
from shared.wire.reports import case_line, level_line
from tests.oracle.leaving import case_lines
from tests.properties.engine_side import run_engine
from tests.properties.histories import History
from tests.properties.test_oracle import comparable
from tests.properties.test_plain import enriched, told

IN_TEST = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NIGHTLY = settings(IN_TEST, max_examples=4_000, derandomize=False)
Step = tuple[str, int, Any]  # what arrives, when, and the event
_WINDOW: dict[str, Any] = {"window": "period", "on_empty": "met"}
EXTRA: list[dict[str, Any]] = [
    {"name": "up", "kind": "availability", "down": "opened", "up": "done", "target": ">= 99%", **_WINDOW, "window": "tumbling 2d"},
    {"name": "marks", "kind": "ratio", "of": {"events": {"on": "changed", "good": "data.p == 1"}}, "target": ">= 90%", **_WINDOW},
    {"name": "worst", "kind": "aggregate", "of": {"events": {"on": ["changed", "done"]}}, "field": "data.p", "aggregate": "max"}
    | {"target": "<= 2", **_WINDOW, "window": "rolling 1d"},
    {"name": "never", "kind": "violation", "on": "paused", "unless": "data.p != 2"},
    {"name": "beats", "kind": "heartbeat", "on": "noise", "every": "1d"},
    {"name": "second", "kind": "deadline", "start": "changed", "stop": "reopened", "targets": [{"within": "5h"}]},
]


@st.composite
def with_silences(draw: st.DrawFn) -> History:
    """Histories of all kinds of promises under short horizons, with silences in which cases leave."""
    history = draw(enriched())
    history.agreement["horizon"] = draw(st.sampled_from(["1m", "30m", "90m", "5h", "1d"]))
    history.agreement["max_lateness"] = "60d"
    history.agreement["objectives"] += [
        dict(one) for one in draw(st.lists(st.sampled_from(EXTRA), max_size=3, unique_by=lambda one: str(one["name"])))
    ]
    silence, moved = 0, []
    for event in sorted(history.events, key=lambda event: parse_instant(event["time"])):
        silence += draw(st.sampled_from([0, 0, 0, HOUR, DAY, 3 * DAY, 9 * DAY]))
        moved.append(event | {"time": format_instant(parse_instant(event["time"]) + silence)})
    again = draw(st.lists(st.sampled_from(moved), max_size=3))  # sent again, perhaps when its case has left
    return History(history.agreement, history.calendars, moved + again, format_instant(parse_instant(history.until) + silence))


class Told:
    """An engine, and the lines of all its cases; it may be written down and read back."""

    def __init__(self, history: History, clock: Any, slice_: int) -> None:
        self._documents = "\n---\n".join(json.dumps(document) for document in [*history.calendars, history.agreement])
        self._clock, self._slice, self._spill = clock, slice_, Spill()
        self.engine = self._fresh()

    def _fresh(self) -> Engine:
        engine = Engine(self._clock, farewell=self._spill.left, leaving_slice=self._slice)
        for bundle in bundles(load_text("drawn.yaml", self._documents).or_raise()):
            engine.activate(bundle, "drawn")
        return engine

    def through_bytes(self) -> None:
        fresh = self._fresh()
        restoring = keeping.Restoring(fresh)
        for block in keeping.blocks(self.engine):
            for _ in restoring.read(block):
                pass
        self.engine = fresh

    def take(self, step: Step) -> list[dict[str, Any]]:
        what, at, event = step
        if what == "event":
            said, refused = self.engine.take(decode(json.dumps(event).encode()), at)
            return [*told(said), {} if refused is None else {"refused": refused.reason}]
        if what == "advance":
            return told(self.engine.advance(at))
        return told(self.engine.pulse(at) if what == "pulse" else self.engine.tick(at))

    def lines(self) -> tuple[list[Any], list[Any], Any]:
        cases = self._spill.merged(list(self.engine.case_lines()))
        return list(map(case_line, cases)), list(map(level_line, self.engine.level_lines())), self.engine.counts


def _steps(history: History, clock: str, data: st.DataObject) -> list[Step]:
    end = parse_instant(history.until)
    if clock == "event":
        order = data.draw(st.sampled_from([list(history.events), data.draw(st.permutations(history.events))]))
        return [("event", 0, event) for event in order] + [("advance", end, None), ("advance", end + 60 * DAY, None)]
    steps: list[Step] = []
    for event in history.events:
        late = data.draw(st.sampled_from([0, 0, 500, 10 * MINUTE, 2 * HOUR, 30 * HOUR, 5 * DAY]))
        steps.append(("event", parse_instant(event["time"]) + late, event))
    for _ in range(data.draw(st.integers(0, 8))):
        near = data.draw(st.sampled_from(steps))[1]
        moved = near + data.draw(st.sampled_from([1, 2_001, 15 * MINUTE, HOUR + 2_001, 4 * HOUR, 26 * HOUR, 8 * DAY]))
        steps.append((data.draw(st.sampled_from(["tick", "tick", "pulse"])), moved, None))
    return [*sorted(steps, key=lambda step: step[1]), ("tick", max([end, *(step[1] for step in steps)]) + 60 * DAY, None)]


def _agree(history: History, clock: str, data: st.DataObject) -> None:
    """All at once; one case beside a record; written down and read back after every third record."""
    whole, sliced, broken = Told(history, clock, 10**9), Told(history, clock, 1), Told(history, clock, 1)
    for number, step in enumerate(_steps(history, clock, data), 1):
        said = whole.take(step)
        assert said == sliced.take(step), step
        assert said == broken.take(step), step
        if number % 3 == 0:
            broken.through_bytes()
    assert whole.lines() == sliced.lines()
    assert whole.lines() == broken.lines()


@pytest.mark.parametrize("clock", ["event", "log"])
@IN_TEST
@given(with_silences(), st.data())
def test_nobody_can_tell_when_a_case_was_looked_at(clock: str, history: History, data: st.DataObject) -> None:
    _agree(history, clock, data)


@pytest.mark.nightly
@pytest.mark.parametrize("clock", ["event", "log"])
@NIGHTLY
@given(with_silences(), st.data())
def test_nobody_can_tell_when_a_case_was_looked_at_at_length(clock: str, history: History, data: st.DataObject) -> None:
    _agree(history, clock, data)


def _never_twice(history: History, clock: str, data: st.DataObject) -> None:
    engine, seen = Told(history, clock, 1), dict[str, Any]()
    for step in _steps(history, clock, data):
        for statement in engine.take(step):
            if "id" in statement:
                assert seen.setdefault(statement["id"], statement) is statement, "an id is said twice"


@pytest.mark.parametrize("clock", ["event", "log"])
@IN_TEST
@given(with_silences(), st.data())
def test_no_id_is_said_twice(clock: str, history: History, data: st.DataObject) -> None:
    _never_twice(history, clock, data)


@IN_TEST
@given(with_silences())
def test_engine_and_oracle_agree_about_what_is_too_late(history: History) -> None:
    """In order of time: then the horizon of corrections, which the oracle does not know, plays no part."""
    kept = [one for one in history.agreement["objectives"] if one["kind"] == "deadline"]
    agreement = history.agreement | {"objectives": kept}
    in_order = sorted(history.events, key=lambda event: parse_instant(event["time"]))
    engine = run_engine(agreement, history.calendars, in_order, history.until)
    oracle = case_lines(agreement, history.calendars, in_order, history.until)
    assert comparable(engine) == comparable(oracle)
