"""The demo's script: what a newcomer sees within two minutes of `make run`."""

import json
from collections import defaultdict
from itertools import takewhile
from typing import Any

import pytest

from examples.simulator.script import Step, script
from examples.simulator.stories import VENDORS
from shared.sla.instants import SECOND, parse_instant
from shared.wire.events import to_evidence

START = parse_instant("2026-03-02T08:00:00Z")
SEEDS = (1, 2, 7)


def minutes(seed: int, count: float, speed: float = 1.0) -> list[Step]:
    return list(takewhile(lambda step: step.offset_s <= count * 60, script(seed, START, speed)))


def test_same_seed_and_start_tell_the_same_story() -> None:
    assert minutes(7, 5) == minutes(7, 5)


def test_another_seed_tells_another_story() -> None:
    assert minutes(7, 5) != minutes(8, 5)


def test_a_second_run_speaks_of_other_events_and_other_cases() -> None:
    first = minutes(1, 2)
    second = list(takewhile(lambda step: step.offset_s <= 120, script(1, START + 3_600 * SECOND)))
    for attribute in ("id", "subject"):
        assert not {str(step.event[attribute]) for step in first} & {str(step.event[attribute]) for step in second}


@pytest.mark.parametrize("seed", SEEDS)
def test_posts_acceptable_events_in_order_with_ids_of_their_own(seed: int) -> None:
    steps = minutes(seed, 10)
    offsets = [step.offset_s for step in steps]
    ids = {step.event["id"] for step in steps}
    assert offsets == sorted(offsets)
    assert len(ids) == len(steps)
    for step in steps:
        evidence = to_evidence(json.loads(json.dumps(step.event)))  # raises for what ingest would refuse
        assert evidence.time < START + round(step.offset_s * SECOND) + 1, "no event is told before it happens"


@pytest.mark.parametrize("seed", SEEDS)
def test_every_vendor_is_heard_within_the_first_half_minute(seed: int) -> None:
    assert {step.event["vendor"] for step in minutes(seed, 0.5)} == set(VENDORS)


def test_goes_on_at_a_calm_pace() -> None:
    cases_by_minute: dict[int, set[Any]] = defaultdict(set)
    seen = set()
    for step in minutes(1, 60):
        if step.event["subject"] not in seen:
            seen.add(step.event["subject"])
            cases_by_minute[int(step.offset_s // 60)].add(step.event["subject"])
    counts = [len(cases_by_minute[minute]) for minute in range(1, 60)]
    assert 6 <= sum(counts) / len(counts) <= 14
    assert max(counts) <= 30


def test_speed_brings_more_cases_but_leaves_the_pace_within_a_case() -> None:
    def lengths(steps: list[Step]) -> float:
        by_case: dict[Any, list[float]] = defaultdict(list)
        for step in steps:
            by_case[step.event["subject"]].append(step.offset_s)
        spans = [max(offsets) - min(offsets) for offsets in by_case.values() if min(offsets) < 540]
        return sum(spans) / len(spans)

    calm, busy = minutes(1, 10), minutes(1, 10, speed=5)
    assert len(busy) > 3 * len(calm)
    assert lengths(busy) == pytest.approx(lengths(calm), rel=0.25)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_delivery_is_told_after_its_promise_and_the_grace_though_it_was_in_time(seed: int) -> None:
    """So that a breach is called and then retracted."""
    promised: dict[Any, int] = {}
    disproved = []
    for step in minutes(seed, 2):
        data: Any = step.event.get("data", {})
        if "promised_at" in data:
            promised[step.event["subject"]] = parse_instant(data["promised_at"])
        if step.event["type"] == "parcel.delivered":
            due = promised[step.event["subject"]]
            if parse_instant(str(step.event["time"])) <= due and START + step.offset_s * SECOND > due + 2 * SECOND:
                disproved.append(step.event["subject"])
    assert disproved
