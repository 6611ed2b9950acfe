"""What stands in the log goes into a line of a history and comes out of it as it was."""

from typing import Any

import msgspec
import pytest

from shared.wire import events
from shared.wire.history import BadLine, RawLine, export_line

EVENT = {"specversion": "1.0", "id": "1", "source": "/s", "type": "opened", "subject": "c", "vendor": "acme", "service": "desk"}
PLACE = (1_772_438_400_000, 3, 42)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"arrival": "gate 4"},
        {"partition": 7, "offset": "x", "believed": True},
        {"control": "yes"},
        {"event": "e"},
        {"event": {"specversion": "1.0"}},
        {"unreadable": "u"},
    ],
)
def test_an_event_keeps_its_attributes_whatever_they_are_called(attributes: dict[str, Any]) -> None:
    value = msgspec.json.encode(EVENT | {"time": "2026-03-02T08:00:00Z", "data": {"x": 1}} | attributes)
    line = RawLine(1, export_line(PLACE, None, value, PLACE[0] + 5)).read()
    assert not isinstance(line, BadLine), line
    assert repr(line.content) == repr(events.decode(value))
    assert (line.arrival, line.partition, line.believed) == (PLACE[0], 3, PLACE[0] + 5)


@pytest.mark.parametrize("value", [b"\xff", b"[1]", b"null", b"{}", b'{"event":{"specversion":"1.0"}}', b'{"control":"tick"}'])
def test_what_is_no_event_stays_none(value: bytes) -> None:
    assert isinstance(RawLine(1, export_line(PLACE, None, value)).read(), BadLine)
