"""Leaps of broker time: a broker's or an evaluator's clock that jumps makes no false breach, no stuck timer and no storm of ticks."""

import pytest

from services.evaluator.ticks import ASK_S, TickPlan, Waiting
from shared.language import bundles, load_text
from shared.sla.broker_time import BrokerTime
from shared.sla.engine import Engine
from shared.sla.evidence import Evidence
from shared.sla.instants import HOUR, MINUTE, SECOND, parse_instant
from shared.wire import events
from tests.saying import unwritten

TEN = parse_instant("2026-03-02T10:00:00Z")
TERMS = """
apiVersion: slawatch/v1
kind: Agreement
name: terms
vendor: "*"
objectives: [{name: done, kind: deadline, start: opened, stop: done, targets: [{within: 30m}]}]
"""


def _opened(case: str, at: int) -> Evidence:
    return events.to_evidence(
        {"id": case, "source": "/s", "type": "opened", "subject": case, "vendor": "acme", "service": "desk", "time": _iso(at)}
    )


def _iso(at: int) -> str:
    seconds = (at - TEN) // 1000
    return f"2026-03-02T{10 + seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}Z"


class Site:
    """One partition with the broker's clock and the evaluator's, both of which may be wrong, in virtual time."""

    def __init__(self) -> None:
        self.now = TEN  # what is true
        self.broker = self.own = self.ingest = 0  # how far the three clocks are off, ms
        self.time, self.plan, self.offset = BrokerTime(), TickPlan(), 0
        self.engine = Engine("log")
        (bundle,) = bundles(load_text("terms.yaml", TERMS).or_raise())
        self.engine.activate(bundle, "standing")
        self.called: list[tuple[str | None, int]] = []  # (case, when in truth)
        self.ticks: list[int] = []
        self.alarms: set[int] = set()

    def post(self, case: str) -> None:
        """A vendor's event of now."""
        arrival = self.time.believe(self.now + self.broker)
        said, refused = self.engine.take(_opened(case, self.now), arrival, self.now + self.broker)
        assert refused is None
        self._folded(arrival)
        self.called += [(statement.case, self.now) for statement in unwritten(said)]

    def _folded(self, arrival: int) -> None:
        self.offset += 1
        self.plan.saw(0, arrival, self.now / 1000)
        self.alarms.add(self.time.held)

    def run(self, span: int) -> None:
        """The evaluator's loop, ten times a second."""
        for _ in range(span // 100):
            self.now += 100
            wake_at, doubt = self.engine.wake_at, self.time.held != 0
            waiting = {0: Waiting(wake_at, self.offset, doubt)} if wake_at is not None or doubt else {}
            if self.plan.plan(waiting, self.now / 1000).now:
                self._tick(wake_at)

    def _tick(self, wake_at: int | None) -> None:
        self.ticks.append(self.now)
        stamp, reading = self.now + self.broker, self.now + self.own
        believed = self.time.expect(stamp, reading)
        self.plan.sent(0, self.offset, believed, reading if wake_at is None else wake_at, self.now / 1000)
        assert self.time.believe(stamp, reading) == believed
        self.called += [(statement.case, self.now) for statement in unwritten(self.engine.tick(believed))]
        self._folded(believed)

    def pulse(self, *, counts: bool = False) -> None:
        """What ingest's do: the log does not fall silent. `counts`: for blind time, too."""
        believed = self.time.believe(self.now + self.broker, self.now + self.ingest)
        if counts:
            self.called += [(statement.case, self.now) for statement in unwritten(self.engine.pulse(believed))]
        self._folded(believed)


def _busy(site: Site, span: int, *, counts: bool = False) -> None:
    for _ in range(span // (5 * SECOND)):
        site.run(5 * SECOND)
        site.pulse(counts=counts)


def _shut(after: int, *, own: int, ingest: int) -> tuple[Site, int]:
    """A clock falls due after 30 minutes; the door is shut for ten, `after` so long; clocks are wrong. When it is called, after its due."""
    site = Site()
    site.own, site.ingest = own, ingest
    site.post("c")
    _busy(site, after, counts=True)
    site.run(10 * MINUTE)
    _busy(site, 45 * MINUTE - after, counts=True)
    ((case, at),) = site.called
    assert case == "c"
    return site, at - (TEN + 30 * MINUTE)


def test_a_broker_an_hour_ahead_calls_nothing_early_and_nothing_late() -> None:
    site = Site()
    site.post("before")
    _busy(site, 10 * MINUTE)
    site.broker = HOUR
    _busy(site, 5 * MINUTE)
    site.post("during")
    _busy(site, 60 * MINUTE)
    assert [case for case, _ in site.called] == ["before", "during"]
    for (_, at), opened in zip(site.called, (TEN, TEN + 15 * MINUTE), strict=True):
        assert 0 <= at - (opened + 30 * MINUTE + 2 * SECOND) <= 6 * SECOND
    assert 0 <= site.time.held - HOUR <= 5 * SECOND, "held but for what passed between two records, and an alarm raised"


def test_a_broker_an_hour_behind_leaves_no_timer_stuck() -> None:
    site = Site()
    site.post("before")
    _busy(site, 10 * MINUTE)
    site.broker = -HOUR
    _busy(site, 30 * MINUTE)
    ((case, at),) = site.called
    assert case == "before"
    assert 0 <= min(site.alarms) + HOUR <= 5 * SECOND
    assert 0 <= at - (TEN + 30 * MINUTE + 2 * SECOND) <= 6 * SECOND


def test_a_clock_that_is_set_right_again_ends_the_alarm() -> None:
    site = Site()
    site.post("c")
    _busy(site, MINUTE)
    site.broker = HOUR
    _busy(site, MINUTE)
    site.broker = 0
    _busy(site, 31 * MINUTE)
    assert site.time.held == 0
    assert [case for case, _ in site.called] == ["c"]


def test_ticks_ask_now_and_then_while_a_leap_is_held_and_are_no_storm() -> None:
    site = Site()
    site.post("c")
    site.broker = HOUR
    _busy(site, 20 * MINUTE)
    assert len(site.ticks) <= 20 * MINUTE / 1000 / ASK_S + 2


def test_a_log_that_was_silent_for_hours_goes_on_as_soon_as_a_tick_agrees() -> None:
    site = Site()
    site.post("before")
    site.run(31 * MINUTE)
    assert [(case, at - TEN - 30 * MINUTE - 2 * SECOND) for case, at in site.called] == [("before", 100)], (
        "an idle partition's own tick agrees"
    )
    site.run(5 * HOUR)
    site.post("after")
    assert site.time.held > 4 * HOUR
    site.run(200)
    assert site.time.held == 0
    site.run(31 * MINUTE)
    assert [case for case, _ in site.called] == ["before", "after"]


def test_an_evaluators_clock_that_jumps_changes_nothing_while_records_come() -> None:
    site = Site()
    site.post("c")
    _busy(site, MINUTE)
    site.own = HOUR
    _busy(site, 31 * MINUTE)
    ((_, at),) = site.called
    assert 0 <= at - (TEN + 30 * MINUTE + 2 * SECOND) <= 200
    assert site.alarms == {0}


def test_what_is_believed_is_a_function_of_the_log_and_goes_on_from_its_state() -> None:
    records = [(TEN, None), (TEN + HOUR, None), (TEN + HOUR + SECOND, TEN), (TEN + HOUR + 2 * SECOND, None), (TEN + HOUR, TEN + HOUR)]
    whole, believed = BrokerTime(), []
    for arrival, reading in records:
        believed.append(whole.believe(arrival, reading))
    assert believed == [TEN, TEN, TEN + SECOND, TEN + 2 * SECOND, TEN + HOUR]
    half = BrokerTime()
    for arrival, reading in records[:3]:
        half.believe(arrival, reading)
    resumed = BrokerTime(half.arrival, half.held)
    assert [resumed.believe(arrival, reading) for arrival, reading in records[3:]] == believed[3:]


@pytest.mark.parametrize(("own", "ingest"), [(0, 0), (HOUR, 0), (-HOUR, 0), (0, HOUR), (0, -HOUR)])
def test_one_right_clock_is_enough_for_blind_time(own: int, ingest: int) -> None:
    """Ingest's or the evaluator's: what fell due while the door was shut is called two minutes after it opens."""
    site, after = _shut(25 * MINUTE, own=own, ingest=ingest)
    assert 0 <= after - (5 * MINUTE + 2 * MINUTE) <= (ASK_S + 5) * SECOND
    assert site.time.held == 0


def test_with_both_clocks_wrong_minutes_that_nobody_vouches_for_do_not_pass_and_the_alarm_stays() -> None:
    """Dues behind a shut door move by its length (decision 16): late, and told, until a clock is set right."""
    site, after = _shut(10 * MINUTE, own=2 * MINUTE, ingest=-2 * MINUTE)
    assert 0 <= after - 10 * MINUTE <= 10 * SECOND
    assert 0 <= site.time.held - 10 * MINUTE <= 5 * SECOND
    site.ingest = 0
    site.pulse(counts=True)
    assert site.time.held == 0


def test_with_both_clocks_wrong_a_due_behind_the_shut_door_waits_for_the_catch_up_all_the_same() -> None:
    """The tick at the first due ends the standstill: from there on it is blind time."""
    site, after = _shut(25 * MINUTE, own=2 * MINUTE, ingest=-2 * MINUTE)
    assert 0 <= after - (5 * MINUTE + 2 * MINUTE) <= 10 * SECOND
    assert 0 <= site.time.held - 5 * MINUTE <= 10 * SECOND


def test_with_both_clocks_wrong_a_second_due_may_be_called_without_the_catch_up() -> None:
    """The hole that is left, as decision 16 tells it: who was done in time and tells so late sees a breach, and its retraction."""
    site = Site()
    site.own, site.ingest = 2 * MINUTE, -2 * MINUTE
    site.post("first")
    site.run(30 * SECOND)
    site.post("second")
    _busy(site, 25 * MINUTE - 30 * SECOND, counts=True)
    site.run(10 * MINUTE)
    opened = site.now
    _busy(site, 5 * MINUTE, counts=True)
    called = dict(site.called)
    assert called["first"] - opened >= 2 * MINUTE
    assert 0 < called["second"] - opened < MINUTE
