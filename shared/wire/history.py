"""Histories: events, and what `slawatch export` writes, as lines of NDJSON.

A line is an event, or `{"control": kind, "arrival": …, "value": …}`. A line of an export carries `arrival` (RFC 3339), `partition`
and `offset` besides; they are not part of the event. An event with attributes of such names stands whole under `event`.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from shared.sla.broker_time import BrokerTime
from shared.sla.evidence import Evidence
from shared.sla.instants import BadInstant, format_instant, parse_instant
from shared.wire import controls, events
from shared.wire.controls import ClockMode, Control

_OWN: Final = frozenset(("arrival", "partition", "offset", "believed", "control", "event"))  # of a line, beside what it is about


class Line(NamedTuple):
    """One line of a history; `arrival` in ms where it carries one; `believed` of it: see `shared.sla.broker_time`."""

    number: int
    content: Evidence | Control
    arrival: int | None
    partition: int | None
    believed: int | None = None


class BadLine(NamedTuple):
    """A line that cannot be used, and why."""

    number: int
    why: str
    text: str


class RawLine(NamedTuple):
    """One line of a history, as it stands in the file."""

    number: int
    value: bytes

    def read(self) -> Line | BadLine:
        """Parse it."""
        try:
            return read_line(self.number, msgspec.json.decode(self.value))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, events.NotAnEvent, controls.NotAControl, BadInstant) as wrong:
            return BadLine(self.number, str(wrong), self.value.decode("utf-8", "replace").rstrip("\n"))


def raw_lines(lines: Iterable[bytes]) -> Iterator[RawLine]:
    """The lines of NDJSON; empty ones are passed over."""
    return (RawLine(number, raw) for number, raw in enumerate(lines, 1) if not raw.isspace())


def read_lines(lines: Iterable[bytes]) -> Iterator[Line | BadLine]:
    """Parse NDJSON; empty lines are passed over."""
    return map(RawLine.read, raw_lines(lines))


def read_line(number: int, value: Any) -> Line:
    """One line, parsed. Raises NotAnEvent, NotAControl or BadInstant."""
    if not isinstance(value, dict):
        raise events.NotAnEvent("an event is a JSON object")
    arrival, partition = value.pop("arrival", None), value.pop("partition", None)
    value.pop("offset", None)
    instant = None if arrival is None else parse_instant(str(arrival))
    believed = instant if (told := value.pop("believed", None)) is None else parse_instant(str(told))
    content: Evidence | Control
    if isinstance(value.get("event"), dict) and "specversion" not in value:
        content = events.to_evidence(value["event"])
    elif "control" in value:
        content = controls.decode(str(value["control"]), msgspec.json.encode(value.get("value")))
    else:
        content = events.to_evidence(value)
    return Line(number, content, instant, partition, believed)


class Exporter:
    """A partition's records as lines. It has to see all, from the first on: what is believed of an arrival depends on those before."""

    def __init__(self, clock: ClockMode = "log") -> None:
        self._time = BrokerTime() if clock == "log" else None

    def line(self, place: tuple[int, int, int], control: bytes | None, value: bytes) -> bytes:
        """The next record. `place`: arrival in ms, partition, offset; `control`: its control header."""
        arrival = place[0]
        believed = arrival if self._time is None else self._time.believe(arrival, controls.reading_of(control, value))
        return export_line(place, control, value, None if believed == arrival else believed)


def export_line(place: tuple[int, int, int], control: bytes | None, value: bytes, believed: int | None = None) -> bytes:
    """A record of the log as a line of NDJSON. `place`: arrival in ms, partition, offset; `control`: its control header; `believed` of it.

    What is not JSON stands as text under `unreadable`.
    """
    arrival, partition, offset = place
    extra: dict[str, str | int] = {"arrival": format_instant(arrival), "partition": partition, "offset": offset}
    if believed is not None:
        extra["believed"] = format_instant(believed)
    try:
        content = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return msgspec.json.encode({"unreadable": value.decode("utf-8", "replace"), **extra})
    if control is not None:
        return msgspec.json.encode({"control": control.decode("ascii", "replace"), **extra, "value": content})
    if not isinstance(content, dict):
        return msgspec.json.encode({"unreadable": content, **extra})
    return msgspec.json.encode({**content, **extra} if _OWN.isdisjoint(content) else {"event": content, **extra})
