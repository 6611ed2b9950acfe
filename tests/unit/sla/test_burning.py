"""Burn rates: both windows must burn faster than the factor; said once an onset."""

from decimal import Decimal
from fractions import Fraction

import pytest

from shared.language import load_text
from shared.language.checks import standard_pairs
from shared.sla.burning import burns
from shared.sla.engine import ClockMode
from shared.sla.instants import DAY, HOUR, MINUTE
from shared.sla.level_rules import limit_of
from shared.sla.terms import BurnPair
from tests.unit.sla.level_timeline import UPTIME, objective, promise, types
from tests.unit.sla.timeline import Timeline, instant, shown

PAIR = BurnPair(long=HOUR, short=5 * MINUTE, factor="5", severity="page")
BURN = "[{long: 1h, short: 5m, factor: 5, severity: page}]"
RATIO = {"target": '">= 90%"', "window": "period", "burn_rate": BURN}


@pytest.mark.parametrize(
    ("period", "factors"),
    [
        (30, ["14.4", "6", "3", "1"]),
        (28, ["13.44", "5.6", "2.8", "0.9333"]),
    ],  # SRE workbook; slok/sloth alert_test.go (vectors/levels.yaml)
)
def test_standard_thresholds_of_a_period(period: int, factors: list[str]) -> None:
    pairs = standard_pairs(period * DAY)
    assert [pair["factor"] for pair in pairs] == factors
    assert [pair["severity"] for pair in pairs] == ["page", "page", "ticket", "ticket"]
    assert [(pair["long"] // MINUTE, pair["short"] // MINUTE) for pair in pairs] == [(60, 5), (360, 30), (1440, 120), (4320, 360)]


def test_a_rule_that_can_never_fire_is_rejected() -> None:
    """kcp-dev: 14.4 times a budget of 50 % is never exceeded (vectors/levels.yaml)."""
    problems = load_text("x.yaml", promise(objective(target='">= 50%"', window="period", burn_rate="standard"))).problems
    assert ["can never fire" in problem.message for problem in problems] == [True]


@pytest.mark.parametrize(
    ("bad", "total", "expected"),
    [(50, 100, False), (51, 100, True), (0, 0, False), (9, 9, True)],  # five times a budget of a tenth is half
)
def test_it_burns_when_the_rate_exceeds_the_factor(bad: int, total: int, expected: bool) -> None:
    assert burns((bad, total), limit_of(PAIR, Fraction(Decimal("0.1")))) is expected


def test_it_needs_events_enough_to_tell() -> None:
    assert not burns((9, 9), limit_of(PAIR, Fraction(1, 10)), min_events=10)


def test_a_burst_of_bad_ones_is_told_at_the_next_edge_of_the_grid(clock: ClockMode) -> None:
    history = Timeline(promise(objective(**RATIO)), clock=clock)
    history.at("10:00:01", "checked", {"ok": False})
    said = [statement for statement in history.until("10:00:08") if statement.type == "level.burning"]
    assert said == [("level.burning", "10:00:05", None, "10:00:07", "burning")]
    statement = history.statements[-1]
    assert (statement.severity, statement.cause) == ("page", "burn_rate")
    assert len(statement.evidence) == 1  # the bad one, although the window of the level began long before
    assert (statement.detail["threshold"], statement.detail["total"]) == ("5x over 1h and 5m", 1)


def test_it_is_told_once_an_onset() -> None:
    history = Timeline(promise(objective(**RATIO)), clock="event")
    for minute in (0, 2, 4):
        history.at(f"10:{minute:02}:01", "checked", {"ok": False})
    history.until("11:30")
    assert types(history.statements).count("slawatch.level.burning") == 1
    history.at("12:00:01", "checked", {"ok": False})
    history.until("12:30")
    onsets = [statement for statement in history.statements if statement.type == "slawatch.level.burning"]
    assert len({statement.id for statement in onsets}) == 2


@pytest.mark.parametrize("minutes", [2, 61, 400])
def test_late_evidence_never_keeps_a_burn_rate_from_being_looked_at(minutes: int, clock: ClockMode) -> None:
    """An outage lasts; ten seconds later another one is told that ended so many minutes ago."""
    history = Timeline(promise(objective(UPTIME, window="period", burn_rate=BURN)), clock=clock)
    history.at("00:30", "down", subject="old")
    history.at("00:31", "up", subject="old")
    history.until("12:29")
    began = instant("12:30") - minutes * MINUTE
    history.at("12:30:01", "down", dated="12:30")
    history.at("12:30:10", "down", subject="late", dated=shown(began))
    history.at("12:30:11", "up", subject="late", dated=shown(began + 10_000))
    assert "level.burning" in types(history.until("13:30"))


def test_an_outage_that_is_told_long_after_it_began_burns_at_once() -> None:
    history = Timeline(promise(objective(UPTIME, window="period", burn_rate=BURN)))
    history.at("00:30", "up")
    history.until("12:00")
    history.at("12:00:01", "down", dated="11:00")
    assert ("level.burning", "12:00") in [(s.type, s.time) for s in history.until("12:00:10")]


def test_a_long_window_that_is_good_enough_keeps_quiet() -> None:
    history = Timeline(promise(objective(**RATIO)), clock="event")
    for second in range(10):
        history.at(f"09:30:{second:02}", "checked", {"ok": True})
    history.at("10:00:01", "checked", {"ok": False})
    assert "level.burning" not in types(history.until("10:30"))


def test_downtime_burns_the_budget_of_availability() -> None:
    history = Timeline(promise(objective(UPTIME, burn_rate=BURN)), clock="event")
    history.at("09:00", "up")
    history.at("10:00", "down")
    burning = [statement for statement in history.until("11:00") if statement.type == "level.burning"]
    assert [statement.time for statement in burning] == ["10:30:05"]  # more than half of the hour is lost
