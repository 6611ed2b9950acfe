"""The oracle itself is held to the same vectors as the engine."""

from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.acceptance.clock_vectors import FILES, Vector, vectors
from tests.oracle.oracle import case_lines, levels
from tests.oracle.units import instant, written

LEVELS = (FILES[0].parent / "levels.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector.name)
def test_oracle_gives_the_known_answer(vector: Vector) -> None:
    line = case_lines([vector.agreement], [vector.calendar], vector.events, vector.until)[-1]
    expect = {key: value for key, value in vector.expect.items() if key != "revision"}  # the oracle tells final states only
    assert {key: line[key] for key in expect} == expect


@pytest.mark.parametrize("entry", YAML(typ="safe", pure=True).load(LEVELS)["availability"], ids=lambda entry: entry["month"])
def test_oracle_counts_downtime_exactly(entry: dict[str, Any]) -> None:
    objective = {"name": "uptime", "kind": "availability", "down": "down", "up": "up", "window": "period", "on_empty": "met"}
    agreement = {"name": "hosting", "version": 1, "vendor": "acme", "service": "web", "timezone": "UTC", "period": "month"}
    agreement |= {"objectives": [objective | {"target": f">= {entry['target']}"}]}
    started = instant(f"{entry['month']}-10T00:00:00Z")
    ended = started + round(entry["down_minutes"] * 60_000)
    common: dict[str, Any] = {"source": "/monitor", "subject": "outage", "vendor": "acme", "service": "web"}
    events: list[dict[str, Any]] = [
        common | {"id": kind, "type": kind, "time": written(at)} for kind, at in (("down", started), ("up", ended))
    ]
    (line,) = levels([agreement], [], events, written(started + 40 * 86_400_000))[:1]
    assert line["state"] == entry["expect"]


def test_oracle_closes_a_missed_report_with_the_first_event_after() -> None:
    objective = {"name": "report", "kind": "heartbeat", "on": "report", "every": "1d"}
    agreement = {"name": "payroll", "version": 1, "vendor": "acme", "service": "pay", "timezone": "UTC", "objectives": [objective]}
    agreement |= {"effective": {"from": "2026-03-01"}}
    common = {"type": "report", "source": "/a", "subject": "r", "vendor": "acme", "service": "pay"}
    times = ["2026-03-02T00:00:00Z", "2026-03-03T01:00:00Z", "2026-03-04T12:00:00Z"]
    lines = case_lines([agreement], [], [common | {"id": time, "time": time} for time in times], "2026-03-04T13:00:00Z")
    assert [(line["due"], line["state"], line["stopped"]) for line in lines] == [
        ("2026-03-02T00:00:00Z", "met", "2026-03-02T00:00:00Z"),
        ("2026-03-03T00:00:00Z", "breached_closed", "2026-03-03T01:00:00Z"),
        ("2026-03-04T00:00:00Z", "breached_closed", "2026-03-04T12:00:00Z"),  # the late one does not count for this slot
        ("2026-03-05T00:00:00Z", "running", None),
    ]
