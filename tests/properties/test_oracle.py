"""Engine and oracle, written apart from each other, say the same of any history."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.oracle.oracle import case_lines
from tests.properties.engine_side import run_engine
from tests.properties.histories import History, histories

IN_TEST = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NIGHTLY = settings(IN_TEST, max_examples=20_000, derandomize=False)


def comparable(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """In one order, without what only the engine tells."""
    kept = [{key: value for key, value in line.items() if key != "revision"} for line in lines]
    return sorted(kept, key=lambda line: (line["objective"], line["case"], line["cycle"], line["started"] or "", line["event"] or ""))


def agree(history: History) -> None:
    """Engine and oracle give the same final lines, every field."""
    engine = run_engine(history.agreement, history.calendars, history.events, history.until)
    oracle = case_lines([history.agreement], history.calendars, history.events, history.until)
    assert comparable(engine) == comparable(oracle)


@IN_TEST
@given(histories())
def test_engine_and_oracle_agree(history: History) -> None:
    agree(history)


@pytest.mark.nightly
@NIGHTLY
@given(histories())
def test_engine_and_oracle_agree_at_length(history: History) -> None:
    agree(history)


@pytest.mark.nightly
@NIGHTLY
@given(histories(kinds=["until"]))
def test_they_agree_on_promised_instants_at_length(history: History) -> None:
    agree(history)


@IN_TEST
@given(histories(), st.data())
def test_order_of_arrival_and_duplicates_do_not_matter(history: History, data: st.DataObject) -> None:
    doubled = history.events + data.draw(st.lists(st.sampled_from(history.events), max_size=4))
    shuffled = data.draw(st.permutations(doubled))
    first = run_engine(history.agreement, history.calendars, history.events, history.until)
    second = run_engine(history.agreement, history.calendars, shuffled, history.until)
    assert comparable(first) == comparable(second)
