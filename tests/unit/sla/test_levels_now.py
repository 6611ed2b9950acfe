"""Levels, error budgets and burn rates as they stand now, for the gauges: never by other arithmetic than that of verdicts."""

import pytest

from shared.sla.engine import ClockMode
from shared.sla.levels import LevelNow
from tests.unit.sla.level_timeline import UPTIME, objective, promise
from tests.unit.sla.timeline import Timeline

BURN = "[{long: 1h, short: 5m, factor: 4, severity: page}]"


def now(history: Timeline) -> LevelNow:
    [level] = history.engine.levels_now()
    return level


def test_a_share_and_what_is_left_of_its_budget(clock: ClockMode) -> None:
    history = Timeline(promise(objective(target='">= 80%"', window="period", burn_rate=BURN)), clock=clock)
    for minute in range(9):
        history.at(f"10:0{minute}", "checked", {"ok": True})
    history.at("10:09", "checked", {"ok": False})

    level = now(history)

    assert (level.target, level.value, level.is_kept) == (0.8, 0.9, True)
    assert level.budget_left == pytest.approx(0.5)  # a tenth is bad, a fifth may be
    assert level.burn_rates == {"1h": pytest.approx(0.5), "5m": pytest.approx(1.0)}  # one of ten; one of the last five


def test_a_broken_promise_is_overdrawn(clock: ClockMode) -> None:
    history = Timeline(promise(objective(target='">= 80%"', window="rolling 1h")), clock=clock)
    history.at("10:00", "checked", {"ok": False})
    history.at("10:01", "checked", {"ok": True})

    level = now(history)

    assert (level.value, level.is_kept) == (0.5, False)
    assert level.budget_left == pytest.approx(-1.5)
    assert level.burn_rates == {}  # none was asked for


def test_downtime_that_goes_on_counts(clock: ClockMode) -> None:
    history = Timeline(promise(objective(UPTIME, window="tumbling 1d", burn_rate=BURN)), clock=clock)
    history.at("00:00", "up")
    history.at("10:00", "down")
    history.until("11:12")

    level = now(history)

    assert level.value == pytest.approx(1 - 1.2 / 24, abs=1e-3)
    assert level.budget_left == pytest.approx(0.5, abs=1e-3)  # 1.2 of the 2.4 hours that a tenth of a day is
    assert level.burn_rates["5m"] == pytest.approx(10, rel=0.02)  # all of it down


def test_an_average_has_no_budget_and_an_empty_window_no_value(clock: ClockMode) -> None:
    terms = {"name": "score", "kind": "aggregate", "of": "{events: {on: checked}}", "field": "data.score", "aggregate": "avg"}
    history = Timeline(promise(objective(terms, target='">= 4.2"', window="tumbling 1h", on_empty="no_data")), clock=clock)
    history.at("10:00", "checked", {"score": 4.5})
    assert (now(history).value, now(history).budget_left) == (4.5, None)

    history.until("11:30")
    assert (now(history).value, now(history).is_kept) == (None, False)
