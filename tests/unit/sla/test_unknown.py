"""semantics.md, "Cases and evidence": a missing or null field makes a condition unknown, and it is counted, each event once."""

from typing import Any

import pytest

from shared.sla.engine import ClockMode
from tests.unit.sla.timeline import BY_PRIORITY, Timeline, agreement

CLOCK = ("terms", "clock")
TABLE = "[{when: 'data.p == \"P1\"', within: 1h}, {when: 'data.p == \"P2\"', within: 2h}, {within: 4h}]"
OTHERS = """
apiVersion: slawatch/v1
kind: Agreement
name: others
version: 1
vendor: vendor
objectives:
  - {name: good, kind: ratio, of: {events: {on: parcel, good: data.damaged == false}}, target: ">= 95%", window: period, on_empty: met}
  - {name: up, kind: availability, down: {on: down, when: data.real == true}, up: up, target: ">= 99%", window: period, on_empty: met}
  - {name: beat, kind: heartbeat, on: {on: report, when: data.final == true}, every: 7d}
  - {name: lot, kind: violation, on: inspection, unless: data.defects <= 3}
"""


def counted(history: Timeline, key: tuple[str, str] = CLOCK) -> int:
    return history.engine.unknown[key]


@pytest.mark.parametrize(
    ("keys", "data", "is_unknown"),
    [
        ({"when": "data.p == 1"}, {}, True),
        ({"when": "data.p == 1"}, {"p": None}, True),
        ({"when": "data.p == 1"}, {"p": 2}, False),
        ({"targets": BY_PRIORITY}, {}, True),
        ({"targets": BY_PRIORITY}, {"p": 3}, False),
        ({"targets": TABLE}, {}, True),
        ({"targets": TABLE}, {"p": None}, True),
        ({"targets": TABLE}, {"p": "P3"}, False),
        ({"start": "{on: opened, when: data.p == 1}"}, {}, True),
        ({"start": "{on: opened, when: event.tier == 'gold'}"}, {}, True),
        ({"pause": "{while: data.wait == true}", "resume": ""}, {}, True),
        ({"pause": "{while: data.wait == true}", "resume": ""}, {"wait": False}, False),
        ({}, {}, False),
    ],
)
def test_an_event_of_which_a_condition_cannot_tell_is_counted(
    keys: dict[str, str], data: dict[str, Any], is_unknown: bool, clock: ClockMode
) -> None:
    history = Timeline(agreement(**keys), clock=clock)
    history.at("10:00", "opened", data)
    assert counted(history) == is_unknown


def test_events_are_counted_once_however_many_conditions_ask_and_however_often_they_are_folded() -> None:
    history = Timeline(agreement(when="data.p != 9", targets=BY_PRIORITY, warn_at="[50%]"))
    history.at("10:00", "opened", id="1")  # no clock: `when` is unknown
    assert counted(history) == 1
    history.at("10:10", "opened", {"p": 1}, id="2")
    history.at("10:30", "paused", dated="10:20")  # late: all is folded again
    history.at("10:31", "resumed", dated="10:20")  # of one instant: again
    history.at("10:40", "done")
    assert counted(history) == 1


def test_evidence_out_of_order_is_counted_too() -> None:
    history = Timeline(agreement(change="{on: changed, when: data.q == 1}"))
    history.at("10:00", "opened")
    history.at("10:30", "noise")
    history.at("10:40", "changed", dated="10:20")
    assert counted(history) == 1
    history.at("10:50", "noise", dated="10:10")
    assert counted(history) == 1


def test_what_only_the_merged_data_tell_is_known() -> None:
    """The order of one instant is that of each event's own data; what cannot be told for that is not counted."""
    history = Timeline(agreement(stop="{on: done, when: data.p == 1}"))
    history.at("10:00", "opened", {"p": 1})
    history.at("10:30", "done", id="1")
    history.at("10:30", "noise", id="2")
    assert (history.line()["state"], counted(history)) == ("met", 0)


def test_every_kind_of_promise_counts_its_own() -> None:
    history = Timeline(OTHERS)
    history.at("10:00", "parcel", subject="a")
    history.at("10:01", "parcel", {"damaged": False}, subject="b")
    history.at("10:02", "down", subject="c")
    history.at("10:03", "report", subject="d")
    history.at("10:04", "inspection", subject="e")
    history.at("10:05", "inspection", {"defects": None}, subject="e")
    assert dict(history.engine.unknown) == {("others", "good"): 1, ("others", "up"): 1, ("others", "beat"): 1, ("others", "lot"): 2}
    history.at("10:06", "noise", {"damaged": True}, subject="e", dated="10:04:30")  # folds the case again
    assert counted(history, ("others", "lot")) == 2


def test_with_and_without_the_fast_path_the_same_is_counted() -> None:
    """A plain clock that is unfolded by an event asks again of that event, which is counted once."""
    history = Timeline(agreement(when="'!has(data.p) || data.q == 1'", cancel="cancelled"))
    history.at("10:00", "opened")
    history.at("10:10", "paused", {"p": 1})  # `when` is unknown from here on
    history.at("10:20", "resumed")
    history.at("10:30", "cancelled")
    assert counted(history) == 3
