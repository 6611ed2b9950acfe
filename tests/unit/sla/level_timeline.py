"""Timelines of the kinds that are counted over all cases: what is said of levels, and the lines of `levels.ndjson`."""

from typing import Any, Final

from shared.sla.instants import parse_instant
from shared.wire.reports import level_line
from tests.unit.sla.timeline import Timeline, shown

OFFICE: Final = "{apiVersion: slawatch/v1, kind: Calendar, name: office, timezone: UTC, hours: {mon-fri: ['09:00-17:00']}}"
SHARE: Final = {
    "name": "share",
    "kind": "ratio",
    "of": "{events: {on: checked, good: data.ok == true}}",
    "target": '">= 50%"',
    "window": "tumbling 1d",
    "on_empty": "no_data",
}
UPTIME: Final = {"name": "uptime", "kind": "availability", "down": "down", "up": "up", "target": '">= 90%"', "on_empty": "met"}


def objective(base: dict[str, str] | None = None, /, **keys: str) -> str:
    """YAML of one objective: `base` (the ratio `share` unless given) with `keys` added or replaced; empty ones are left out."""
    merged = {**(SHARE if base is None else base), **keys}
    return "  - " + "\n    ".join(f"{key.rstrip('_')}: {value}" for key, value in merged.items() if value)


def promise(*objectives: str, calendars: str = "", **keys: str) -> str:
    """YAML of an agreement `terms` with these objectives; `keys` are the agreement's."""
    top = {"name": "terms", "vendor": "vendor", "service": "desk", "effective": "{from: 2026-03-02}", "max_lateness": "30d", **keys}
    lines = ["apiVersion: slawatch/v1", "kind: Agreement", *(f"{key}: {value}" for key, value in top.items()), "objectives:", *objectives]
    return "\n---\n".join(filter(None, [calendars, "\n".join(lines)]))


def levels(history: Timeline) -> list[tuple[Any, ...]]:
    """(window start, window end, good, total, value, state) of each line of `levels.ndjson`."""
    lines = [level_line(line) for line in history.engine.level_lines()]
    for line in lines:
        for key in ("window_start", "window_end"):
            line[key] = shown(parse_instant(line[key]))
    return [tuple(line[key] for key in ("window_start", "window_end", "good", "total", "value", "state")) for line in lines]


def types(said: list[Any]) -> list[str]:
    """Only the types of what was said."""
    return [statement.type for statement in said]
