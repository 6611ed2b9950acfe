"""The demo's script through the engine, with arrivals: what a newcomer is told within two minutes."""

from collections import Counter
from functools import cache
from itertools import takewhile

import pytest

from examples.simulator.script import script
from shared.sla.instants import SECOND, parse_instant
from shared.sla.statements import Statement
from tests.unit.examples.replaying import EXAMPLES, by_arrival

START = parse_instant("2026-03-02T08:00:00Z")
SEEDS = (1, 2, 7, 42)
TRAVEL = 5  # ms from the vendor to the log


@cache
def told(seed: int, within_s: int) -> list[Statement]:
    until = START + within_s * SECOND
    steps = takewhile(lambda step: step.offset_s <= within_s, script(seed, START))
    arriving = [(START + int(step.offset_s * SECOND) + TRAVEL, step.event) for step in steps]
    said = by_arrival(EXAMPLES / "demo" / "agreements.yaml", arriving, until + TRAVEL)
    return [statement for statement in said if statement.decided_at <= until]


def counts(seed: int, within_s: int) -> Counter[str]:
    return Counter(statement.type for statement in told(seed, within_s))


@pytest.mark.parametrize("seed", SEEDS)
def test_first_breach_comes_within_a_quarter_of_a_minute(seed: int) -> None:
    assert counts(seed, 15)["slawatch.breach.opened"] >= 1
    assert counts(seed, 15)["slawatch.clock.warning"] >= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_two_minutes_show_everything_that_can_be_said_about_a_deadline(seed: int) -> None:
    said = counts(seed, 120)
    assert said["slawatch.clock.warning"] >= 10
    assert said["slawatch.breach.opened"] >= 6
    assert said["slawatch.breach.closed"] >= 5
    assert said["slawatch.breach.retracted"] >= 1
    assert said["slawatch.clock.met"] >= 10
    assert said["slawatch.clock.cancelled"] >= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_breaches_are_called_by_every_vendor(seed: int) -> None:
    vendors = {statement.vendor for statement in told(seed, 120) if statement.type == "slawatch.breach.opened"}
    assert vendors == {"acme-desk", "swift-parcels", "payday", "northhost", "campus-move"}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_retracted_breach_was_called_first(seed: int) -> None:
    retracted = [statement for statement in told(seed, 120) if statement.type == "slawatch.breach.retracted"]
    opened = {statement.breach_id: statement.decided_at for statement in told(seed, 120) if statement.type == "slawatch.breach.opened"}
    assert all(opened[statement.breach_id] < statement.decided_at for statement in retracted)


def test_most_promises_are_kept_in_the_long_run() -> None:
    said = counts(1, 1800)
    assert said["slawatch.clock.met"] > 2 * said["slawatch.breach.opened"] > 0
