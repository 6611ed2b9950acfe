"""Blind time: what falls due while our own door is shut waits for the catch-up; all times in seconds of log time."""

import json
from typing import Any

import pytest

from shared.language import bundles, load_text
from shared.sla.blindness import CATCH_UP, PULSE_LATE, Blind, Door
from shared.sla.engine import Engine
from shared.sla.instants import format_instant, parse_instant
from shared.sla.statements import Statement
from shared.wire.events import to_evidence
from shared.wire.verdicts import verdict_of
from tests.saying import unwritten

ZERO = parse_instant("2026-03-02T08:00:00Z")
OBJECTIVE = {"name": "done", "kind": "deadline", "start": "opened", "stop": "done", "targets": [{"within": "60s"}], "warn_at": ["50%"]}
AGREEMENT = {"apiVersion": "slawatch/v1", "kind": "Agreement", "name": "terms", "version": 1, "vendor": "*", "objectives": [OBJECTIVE]}


def at(seconds: float) -> int:
    return ZERO + round(seconds * 1000)


class Log:
    """A partition's log: each call is a record that arrives at that second; `said` is (type, decided_at in seconds) of all statements."""

    def __init__(self, objective: dict[str, Any] = OBJECTIVE) -> None:
        self.engine = Engine("log")
        for bundle in bundles(load_text("terms.yaml", json.dumps(AGREEMENT | {"objectives": [objective]})).or_raise()):
            self.engine.activate(bundle, "standing")
        self.statements: list[Statement] = []

    @property
    def said(self) -> list[tuple[str, float]]:
        return [(s.type.removeprefix("slawatch."), (s.decided_at - ZERO) / 1000) for s in self.statements]

    def pulses(self, *seconds: float) -> None:
        for second in seconds:
            self.statements += unwritten(self.engine.pulse(at(second)))

    def open(self, start: int, end: int) -> None:
        """A pulse every 5 s, both ends included."""
        self.pulses(*range(start, end + 1, 5))

    def tick(self, second: float) -> None:
        self.statements += unwritten(self.engine.tick(at(second)))

    def event(self, kind: str, happened: float, arrived: float, case: str = "c") -> None:
        event: dict[str, Any] = {"id": f"{case}-{kind}", "source": "/s", "type": kind, "subject": case, "vendor": "v", "service": "s"}
        self.statements += unwritten(self.engine.take(to_evidence(event | {"time": format_instant(at(happened))}), at(arrived))[0])


def breaches(log: Log) -> list[tuple[str, float]]:
    return [(kind, decided) for kind, decided in log.said if kind.startswith("breach.")]


@pytest.mark.parametrize(
    "objective",
    [
        {"name": "beat", "kind": "heartbeat", "on": "reported", "every": "10m"},
        {"name": "share", "kind": "ratio", "of": {"events": {"on": "x", "good": "true"}}, "target": ">= 1%", "window": "tumbling 10m",
         "on_empty": "breach"},
    ],
    ids=["slots", "windows"],
)  # fmt: skip
def test_all_that_falls_due_in_blind_time_waits_and_what_does_not_is_called_in_its_time(objective: dict[str, Any]) -> None:
    log = Log(objective)
    log.event("noise", 1, 1)
    log.open(0, 605)
    log.open(1_800, 2_430)  # shut from 620: what is due at 1200 and at 1800 waits; at 1800 the door opens
    assert [
        (s.time - ZERO, (s.decided_at - ZERO) / 1000, "held" in (s.detail or {})) for s in log.statements if s.type.endswith("opened")
    ] == [
        (600_000, 602, False),
        (1_800_000, 1_802, False),
        (1_200_000, 1_920, True),
        (2_400_000, 2_402, False),
    ]


def test_without_pulses_the_rule_rests() -> None:
    log = Log()
    log.event("opened", 0, 0)
    log.tick(600)
    assert breaches(log) == [("breach.opened", 62)]


def test_with_the_door_open_a_breach_is_called_at_due_and_grace() -> None:
    log = Log()
    log.event("opened", 0, 0)
    log.open(0, 65)
    assert breaches(log) == [("breach.opened", 62)]


@pytest.mark.parametrize(("last_pulse", "called"), [(45, 62), (44.999, 520)])
def test_the_first_fifteen_seconds_may_be_called(last_pulse: float, called: float) -> None:
    log = Log()
    log.event("opened", 0, 0)
    log.open(0, 40)
    log.pulses(last_pulse)
    log.tick(100)
    log.open(400, 525)
    assert breaches(log) == [("breach.opened", called)]


def test_what_fell_due_in_blind_time_is_called_when_the_catch_up_is_over_and_says_why() -> None:
    log = Log()
    log.pulses(0)
    log.event("opened", 0, 1)
    log.tick(70)
    assert log.engine.held == 2  # the deadline, and the warning before it
    assert log.engine.wake_at is None, "no tick is needed while the door is shut"
    log.open(300, 420)
    assert breaches(log) == []
    log.pulses(425)
    assert log.said == [("breach.opened", 420)], "the breach inhibits the warning that was held with it"
    verdict = verdict_of(log.statements[-1])
    assert verdict.data.held == {"from": format_instant(at(15)), "until": format_instant(at(300))}
    assert verdict.data.due == format_instant(at(60))


def test_done_in_time_and_told_in_the_catch_up_is_never_called() -> None:
    log = Log()
    log.pulses(0)
    log.event("opened", 0, 1)
    log.open(300, 310)
    log.event("done", 50, 310)
    log.open(315, 500)
    assert log.said == [("clock.met", 310)]


def test_a_case_told_as_a_whole_in_the_catch_up_is_not_called_between_its_events() -> None:
    """Start and stop both waited at the door: the start's grace alone must not call it."""
    log = Log()
    log.pulses(0, 300)
    log.event("opened", 100, 301)  # due 160, in blind time
    log.open(305, 310)
    log.event("done", 150, 312)
    log.open(315, 500)
    assert log.said == [("clock.met", 312)]


def test_what_falls_due_after_the_door_opened_is_called_on_time() -> None:
    log = Log()
    log.pulses(0, 300)
    log.event("opened", 301, 301)
    log.open(305, 365)
    assert breaches(log) == [("breach.opened", 363)]


def test_a_door_that_shuts_again_before_the_catch_up_is_over_holds_on() -> None:
    log = Log()
    log.event("opened", 0, 0)
    log.pulses(0, 300)
    log.tick(430)  # the release, 420, is blind itself
    assert breaches(log) == []
    log.open(600, 725)
    assert breaches(log) == [("breach.opened", 720)]


@pytest.mark.parametrize("ticks", [[], [62.5], [20, 63, 250, 299.999]])
def test_how_often_log_time_is_told_changes_nothing(ticks: list[float]) -> None:
    log = Log()
    log.pulses(0)
    log.event("opened", 0, 1)
    for second in ticks:
        log.tick(second)
    log.pulses(300)
    log.event("opened", 299, 301, "other")  # due 359, with the door open
    log.open(305, 500)
    assert breaches(log) == [("breach.opened", 361), ("breach.opened", 420)]


def test_timers_taken_in_slices_say_the_same() -> None:
    whole, sliced = Log(), Log()
    for log in (whole, sliced):
        log.pulses(0)
        for number in range(20):
            log.event("opened", 0, 1 + number / 10, f"c{number}")
        log.open(300, 420)
    more = True
    while more:
        said, more = sliced.engine.fire(at(500), 3)
        assert len(said) <= 3
        sliced.statements += unwritten(said)
    for log in (whole, sliced):
        log.tick(500)
    assert len(whole.statements) == 20
    assert whole.said == sliced.said


def test_event_mode_has_no_blind_time() -> None:
    engine = Engine("event")
    assert engine.last_pulse is None
    assert engine.held == 0


class TestDoor:
    def test_a_late_pulse_ends_a_stretch_that_begins_fifteen_seconds_after_the_one_before(self) -> None:
        door = Door()
        assert door.pulse(0) is None
        assert door.pulse(PULSE_LATE) is None
        assert door.pulse(3 * PULSE_LATE + 1) == Blind(2 * PULSE_LATE, 3 * PULSE_LATE + 1)
        assert [door.blind_at(t) is not None for t in (2 * PULSE_LATE, 2 * PULSE_LATE + 1, 3 * PULSE_LATE, 3 * PULSE_LATE + 1)] == [
            False,
            True,
            True,
            False,
        ]

    def test_stretches_are_forgotten_when_their_catch_up_is_over(self) -> None:
        door = Door()
        door.pulse(0)
        door.pulse(60_000)
        for pulse in range(60_000, 60_000 + CATCH_UP + 1, 5_000):
            assert door.blind_at(30_000) is not None
            door.pulse(pulse)
        assert door.blind_at(30_000) is None
