"""`vectors/clocks.yaml` and `vectors/corners.yaml` as agreements, calendars and events: one agreement and one vendor for each vector."""

import json
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ruamel.yaml import YAML

from tests.oracle.units import instant, written

Document = dict[str, Any]
FILES = [Path(__file__).parent / "vectors" / name for name in ("clocks.yaml", "corners.yaml")]
TRIGGERS = {"start": "opened", "pause": "paused", "resume": "resumed", "stop": "done", "cancel": "cancelled", "reopen": {"on": "reopened"}}
INSTANTS = {"started", "due", "stopped"}


@dataclass(frozen=True)
class Vector:
    """One entry: what to feed, under which documents, and the fields its last line must show."""

    name: str
    vendor: str
    agreement: Document
    calendar: Document
    events: list[Document]
    until: str | None
    expect: dict[str, Any]


def _events(lines: list[str], vendor: str, zone: ZoneInfo) -> list[Document]:
    out = []
    for line in lines:
        at, kind, *data = line.split(" ", 2)
        event = {
            "specversion": "1.0",
            "id": line,
            "source": "/vectors",
            "type": kind,
            "subject": "case",
            "vendor": vendor,
            "service": "desk",
        }
        out.append(event | {"time": written(instant(at, zone)), "data": json.loads(data[0]) if data else {}})
    return out


def _vector(index: int, entry: Document) -> Vector:
    vendor = f"vendor-{index:03d}"
    calendar = {"apiVersion": "slawatch/v1", "kind": "Calendar", "name": f"calendar-{index:03d}"}
    calendar |= dict(entry.get("calendar", {"timezone": "UTC", "hours": {"mon-sun": ["00:00-24:00"]}}))
    zone = ZoneInfo(calendar["timezone"])
    objective = {"name": "clock", "kind": "deadline"} | TRIGGERS | dict(entry["objective"])
    if isinstance(objective["pause"], dict) and "while" in objective["pause"]:
        del objective["resume"]  # such a pause ends by itself
    header = {
        "apiVersion": "slawatch/v1",
        "kind": "Agreement",
        "name": f"vector-{index:03d}",
        "version": 1,
        "vendor": vendor,
        "service": "desk",
    }
    agreement = header | {"timezone": calendar["timezone"], "calendar": calendar["name"], "objectives": [objective]}
    expect = {key: written(instant(value, zone)) if key in INSTANTS and value else value for key, value in entry["expect"].items()}
    until = written(instant(entry["until"], zone)) if "until" in entry else None
    return Vector(entry["name"], vendor, agreement, calendar, _events(entry["events"], vendor, zone), until, expect)


def vectors() -> list[Vector]:
    """All entries: other systems' answers, then the sentences of the semantics."""
    yaml = YAML(typ="safe", pure=True)
    entries = [entry for file in FILES for entry in yaml.load(file.read_text(encoding="utf-8"))]
    return [_vector(index, entry) for index, entry in enumerate(entries)]


def as_yaml(documents: list[Document]) -> str:
    """Documents as a YAML 1.2 stream."""
    out = StringIO()
    YAML(typ="safe", pure=True).dump_all(documents, out)
    return out.getvalue()
