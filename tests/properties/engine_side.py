"""The engine, called the way `slawatch replay` calls it, for the property tests."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from shared.language import bundles, load_text
from shared.sla.engine import Engine
from shared.sla.instants import parse_instant
from shared.sla.terms import Bundle
from shared.wire.events import to_evidence
from shared.wire.reports import case_line, level_line
from tests.whole import Whole

Document = dict[str, Any]


def run_engine(agreement: Document, calendars: list[Document], events: list[Document], until: str | None) -> list[Document]:
    """The lines of `cases.ndjson` for documents as YAML gives them and events in order of arrival, in event-time mode."""
    return [case_line(line) for line in run_whole([agreement], calendars, events, until).case_lines()]


def run_levels(agreement: Document, calendars: list[Document], events: list[Document], until: str | None) -> list[Document]:
    """The lines of `levels.ndjson`, likewise."""
    return [level_line(line) for line in run_whole([agreement], calendars, events, until).level_lines()]


def run_whole(agreements: Sequence[Document], calendars: list[Document], events: list[Document], until: str | None) -> Engine:
    """The engine after a history, likewise."""
    engine = Whole("event")
    for number, bundle in enumerate(bundles_of("\n---\n".join(json.dumps(document) for document in [*calendars, *agreements]))):
        engine.activate(bundle, f"drawn/{number}")
    for event in events:
        engine.take(to_evidence(event))
    if until is not None:
        engine.advance(parse_instant(until))
    engine.settle()
    return engine


@lru_cache(maxsize=64)
def bundles_of(text: str) -> tuple[Bundle, ...]:
    """What activations of these documents carry. JSON is YAML, and quicker to write."""
    return bundles(load_text("drawn.yaml", text).or_raise())
