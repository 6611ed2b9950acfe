"""Exact numbers: what levels are made of, and how they compare with their targets."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sla.measures import EXACT_MAX, Goal, Percentile, as_number, bucket_of, middle_of, number_of, tally_of
from shared.sla.terms import Bound

numbers = st.one_of(st.integers(-1_000, 1_000), st.decimals(-1_000, 1_000, places=3))
FUNCTIONS = ["avg", "sum", "min", "max", "count", "p50", "p90", "p99.9"]
NAIVE: dict[str, Callable[[list[Fraction]], Fraction]] = {
    "avg": lambda values: sum(values, Fraction(0)) / len(values),
    "sum": lambda values: sum(values, Fraction(0)),
    "min": min,
    "max": max,
    "count": lambda values: Fraction(len(values)),
    "p50": lambda values: sorted(values)[-(-len(values) * 50 // 100) - 1],
    "p90": lambda values: sorted(values)[-(-len(values) * 90 // 100) - 1],
    "p99.9": lambda values: sorted(values)[-(-len(values) * 999 // 1000) - 1],
}


@given(st.sampled_from(FUNCTIONS), st.lists(numbers, min_size=1), st.lists(numbers), st.lists(numbers))
def test_marks_come_go_and_merge_without_a_trace(function: str, kept: list[Any], merged: list[Any], gone: list[Any]) -> None:
    tally, other = tally_of(function), tally_of(function)
    for mark in kept + gone:
        tally.add(mark)
    for mark in gone:
        tally.remove(mark)
    for mark in merged:
        other.add(mark)
    tally.absorb(other)
    assert tally.measure().value == NAIVE[function]([Fraction(mark) for mark in kept + merged])
    assert tally.measure().total == len(kept + merged)


@pytest.mark.parametrize("function", [name for name in FUNCTIONS if name != "count"])
def test_nothing_has_no_value(function: str) -> None:
    assert tally_of(function).measure()[:3] == (None, 0, None)


def test_a_percentile_is_the_nearest_rank() -> None:
    tally = tally_of("p95")
    for value in range(1, 21):
        tally.add(value)
    assert tally.measure().value == 19  # the 19th of 20
    tally.add(21)
    assert tally.measure().value == 20  # 19.95, rounded up


def test_a_percentile_is_exact_up_to_its_limit_and_marked_approximate_beyond() -> None:
    values = [Decimal(Random(1).randrange(1, 10_000_000)) / 1000 for _ in range(EXACT_MAX)]
    tally = Percentile("p99")
    for value in values:
        tally.add(value)
    exact = tally.measure()
    assert not exact.approximate
    tally.add(Decimal(5))
    sketched = tally.measure()
    assert sketched.approximate
    assert sketched.total == EXACT_MAX + 1
    assert exact.value is not None
    assert sketched.value is not None
    assert abs(sketched.value - exact.value) <= exact.value / 100


@given(st.one_of(st.floats(-1e300, 1e300).filter(lambda value: abs(value) > 1e-300), st.integers(-(10**30), 10**30)))
def test_the_sketch_is_within_one_percent(value: float) -> None:
    assert abs(middle_of(bucket_of(Decimal(value))) - Fraction(value)) <= abs(Fraction(value)) / 100


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_the_sketch_keeps_the_order(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert bucket_of(Decimal(low)) <= bucket_of(Decimal(high))


@pytest.mark.parametrize(
    ("op", "target", "value", "met"),
    [
        (">=", "4.2", Fraction(42, 10), True),
        (">=", "4.2", sum((Fraction(number_of(x) or 0) for x in (4.1, 4.3)), Fraction(0)) / 2, True),  # doubles, read as they are written
        (">", "4.2", Fraction(42, 10), False),
        (">=", "0.999", Fraction(999, 1000), True),
        (">=", "0.999", Fraction(999, 1000) - Fraction(1, 10**15), False),
        ("<=", "0.3", Fraction(number_of(0.1) or 0) + Fraction(number_of(0.2) or 0), True),
        ("==", "0", Fraction(0), True),
    ],
)
def test_comparisons_are_exact(op: Any, target: str, value: Fraction, met: bool) -> None:
    assert Goal(Bound(op=op, value=target)).is_met(value) is met


@pytest.mark.parametrize("value", [None, True, "4", [1], {}, float("inf"), 10**400])
def test_what_is_no_number_does_not_count(value: Any) -> None:
    assert number_of(value) is None


@pytest.mark.parametrize(
    ("value", "shown"), [(Fraction(6, 3), 2), (Fraction(2, 3), 0.666666666667), (Fraction(19, 20), 0.95), (None, None)]
)
def test_numbers_are_shown_whole_or_to_twelve_decimals(value: Fraction | None, shown: float | None) -> None:
    assert as_number(value) == shown
