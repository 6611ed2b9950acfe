"""Runs the engine over examples, as `slawatch replay` does."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shared.language import bundles, load_or_raise
from shared.sla.engine import Engine
from shared.sla.statements import Statement
from shared.wire.events import to_evidence
from shared.wire.reports import case_line, level_line
from tests.saying import unwritten
from tests.whole import Whole

EXAMPLES = Path(__file__).parents[3] / "examples"
Line = dict[str, Any]


def in_event_time(agreement: Path, events: Iterable[Any], until: int) -> Engine:
    """The engine after a history in which every event arrives when it happens, and log time ends at `until` (ms)."""
    engine = _engine("event", agreement)
    for event in events:
        engine.take(to_evidence(event))
    engine.advance(until)
    return engine


def cases_of(engine: Engine) -> list[Line]:
    """The lines of cases.ndjson."""
    return [case_line(line) for line in engine.case_lines()]


def levels_of(engine: Engine) -> list[Line]:
    """The lines of levels.ndjson."""
    return [level_line(line) for line in engine.level_lines()]


def by_arrival(agreement: Path, arriving: Iterable[tuple[int, Any]], until: int) -> list[Statement]:
    """What is said live: each event arrives at its instant (ms), and a last tick at `until`."""
    engine = _engine("log", agreement)
    said: list[Statement] = []
    for arrival, event in arriving:
        statements, refused = engine.take(to_evidence(event), arrival)
        assert refused is None, refused
        said += unwritten(statements)
    return said + unwritten(engine.tick(until))


def _engine(clock: Any, agreement: Path) -> Engine:
    engine = Whole(clock)
    for bundle in bundles(load_or_raise([agreement])):
        engine.activate(bundle, f"{bundle.agreement.name}/{bundle.agreement.version}")
    return engine
