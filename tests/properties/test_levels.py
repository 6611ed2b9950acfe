"""Engine and oracle, written apart from each other, say the same of levels, recurring deliverables and violations."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.oracle.oracle import case_lines, levels
from tests.properties.engine_side import run_engine, run_levels
from tests.properties.histories import History
from tests.properties.level_histories import level_histories
from tests.properties.test_oracle import comparable

IN_TEST = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NIGHTLY = settings(IN_TEST, max_examples=2_000, derandomize=False)
TOLD = ("objective", "vendor", "service", "window_start", "window_end", "good", "total", "value", "state")


def windows(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Closed windows in one order, numbers as `levels.ndjson` shows them."""
    kept = [{key: _shown(line[key]) for key in TOLD} for line in lines if line["state"] != "at_risk"]
    return sorted(kept, key=lambda line: [str(line[key]) for key in TOLD[:4]])


def _shown(value: Any) -> Any:
    return float(round(value, 12)) if isinstance(value, Fraction) else value


def agree(history: History) -> None:
    """Engine and oracle give the same final lines, every field."""
    told = (history.agreement, history.calendars, history.events, history.until)
    documents = ([history.agreement], *told[1:])
    assert comparable(run_engine(*told)) == comparable(case_lines(*documents))
    assert windows(run_levels(*told)) == windows(levels(*documents))


@IN_TEST
@given(level_histories())
def test_engine_and_oracle_agree(history: History) -> None:
    agree(history)


@pytest.mark.nightly
@NIGHTLY
@given(level_histories())
def test_engine_and_oracle_agree_at_length(history: History) -> None:
    agree(history)


@IN_TEST
@given(level_histories(), st.data())
def test_order_of_arrival_and_duplicates_do_not_matter(history: History, data: st.DataObject) -> None:
    doubled = history.events + data.draw(st.lists(st.sampled_from(history.events), max_size=4))
    shuffled = data.draw(st.permutations(doubled))
    first = (history.agreement, history.calendars, history.events, history.until)
    second = (history.agreement, history.calendars, shuffled, history.until)
    assert comparable(run_engine(*first)) == comparable(run_engine(*second))
    assert run_levels(*first) == run_levels(*second)
