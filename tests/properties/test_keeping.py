"""An engine that is written down and read back goes on as if nothing had been."""

import json
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.language import bundles, load, load_text
from shared.sla import keeping
from shared.sla.engine import Engine
from shared.sla.instants import DAY
from shared.sla.terms import Bundle
from shared.wire.events import decode
from shared.wire.reports import case_line, level_line
from tests.properties.histories import History
from tests.properties.test_plain import enriched, told

EXAMPLES = Path(__file__).parents[2] / "examples"
TRADES = ("helpdesk", "parcels", "payroll", "hosting", "campus", "cards")
IN_TEST = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _again(engine: Engine, standing: list[Bundle]) -> Engine:
    """The engine, through bytes."""
    fresh = Engine(engine.clock)
    for i, bundle in enumerate(standing):
        fresh.activate(bundle, f"standing/{i}")
    restoring = keeping.Restoring(fresh)
    for block in keeping.blocks(engine):
        for _ in restoring.read(block):
            pass
    return fresh


def _same(one: Engine, other: Engine) -> None:
    assert list(map(case_line, one.case_lines())) == list(map(case_line, other.case_lines()))
    assert list(map(level_line, one.level_lines())) == list(map(level_line, other.level_lines()))
    assert one.counts == other.counts
    assert one.wake_at == other.wake_at
    assert one.log_time == other.log_time


def _through(standing: list[Bundle], clock: str, events: list[dict[str, Any]], every: int) -> None:
    """Fold events, in one go and with the engine written down and read back after each `every` of them."""
    whole, broken = Engine(clock), Engine(clock)  # type: ignore[arg-type]  # a clock mode
    for i, bundle in enumerate(standing):
        whole.activate(bundle, f"standing/{i}")
        broken.activate(bundle, f"standing/{i}")
    for number, event in enumerate(events, 1):
        raw = json.dumps(event).encode()
        assert told(whole.take(decode(raw))[0]) == told(broken.take(decode(raw))[0])
        if number % every == 0:
            broken = _again(broken, standing)
    if whole.log_time is not None:
        end = whole.log_time + 400 * DAY
        ends = [engine.advance(end) if clock == "event" else engine.tick(end) for engine in (whole, broken)]
        assert told(ends[0]) == told(ends[1])
    _same(whole, broken)


@IN_TEST
@given(enriched(), st.integers(1, 4))
def test_drawn_histories_go_on_the_same(history: History, every: int) -> None:
    documents = "\n---\n".join(json.dumps(document) for document in [*history.calendars, history.agreement])
    _through(list(bundles(load_text("drawn.yaml", documents).or_raise())), "event", history.events, every)


@pytest.mark.parametrize("clock", ["event", "log"])
@pytest.mark.parametrize("trade", TRADES)
def test_every_kind_of_promise_goes_on_the_same(trade: str, clock: str) -> None:
    loaded = load([EXAMPLES / trade / "agreement.yaml"])
    events = [json.loads(line) for line in (EXAMPLES / trade / "events.ndjson").read_text().splitlines()]
    if clock == "log":
        events.sort(key=lambda event: decode(json.dumps(event).encode()).time)
    _through(list(bundles(loaded.or_raise())), clock, events, 1 if len(events) < 200 else len(events) // 20)


def test_bytes_from_elsewhere_run_nothing() -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return print, ("run",)

    piece = pickle.dumps(Evil())
    with pytest.raises(keeping.Unreadable, match=r"builtins\.print"):
        list(keeping.Restoring(Engine("log")).read(zlib.compress(len(piece).to_bytes(4, "big") + piece)))


def test_another_clock_mode_is_refused() -> None:
    with pytest.raises(keeping.Unreadable, match="SLAWATCH_CLOCK=event"):
        list(keeping.Restoring(Engine("log")).read(next(keeping.blocks(Engine("event")))))


@pytest.mark.parametrize("damage", [lambda block: b"none", lambda block: block[:-5], lambda block: block[:40] + b"\0" * 8 + block[48:]])
def test_a_damaged_block_is_told(damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(keeping.Unreadable, match="cannot be unpacked"):
        list(keeping.Restoring(Engine("log")).read(damage(next(keeping.blocks(Engine("log"))))))
