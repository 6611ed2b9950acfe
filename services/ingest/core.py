"""Which events are let in, and what is written of them: pure functions of bytes, poster and `now`."""

import json
import math
import re
from collections.abc import Collection
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from shared.sla.evidence import ATTRIBUTE_BYTES_MAX, wrong_with_text
from shared.sla.instants import SECOND
from shared.wire import events
from shared.wire.events import NotAnEvent
from shared.wire.topics import ROLE_ATTRIBUTE

MAX_DEPTH: Final = 32  # levels of objects and arrays in an event
_ATTRIBUTE_NAME = re.compile(r"[a-z0-9]+\Z", re.ASCII)
_USUAL: Final = frozenset(("specversion", "datacontenttype", "sequence", "replaces", *events.REQUIRED))  # their names are good
_NEVER: Final = {
    ROLE_ATTRIBUTE: f"{ROLE_ATTRIBUTE} is stamped by slawatch",
    "data_base64": "binary data is not taken: send a JSON object in data",
}
_JSON_TYPE = re.compile(r"[a-z0-9.+-]+/([a-z0-9.-]+\+)?json\s*(;.*)?\Z", re.IGNORECASE | re.ASCII)


class Reason(NamedTuple):
    """Why something is refused: `name` ends the problem's type and labels the metric; `status` is that of a single event."""

    name: str
    status: int
    title: str


NOT_JSON: Final = Reason("not-json", 400, "Not JSON")
TOO_LARGE: Final = Reason("too-large", 413, "Too large")
NOT_AN_EVENT: Final = Reason("not-an-event", 422, "Not an acceptable event")
FUTURE_TIME: Final = Reason("future-time", 422, "Time lies in the future")
FOREIGN_VENDOR: Final = Reason("foreign-vendor", 403, "Not this key's vendor")
CONFLICT: Final = Reason("conflict", 409, "Same id, other content")


class Refused(Exception):
    """Not let in. `pointer` is the JSON Pointer of the place, `event_id` and `vendor` are the event's own, as far as known."""

    def __init__(self, reason: Reason, detail: str, pointer: str = "", event_id: str | None = None, vendor: str | None = None) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.pointer, self.event_id, self.vendor = reason, detail, pointer, event_id, vendor


class Poster(NamedTuple):
    """Who posts: the role of the key, and the vendors it may post for (none: any, unless the role is vendor)."""

    role: str
    vendors: tuple[str, ...] = ()


class Rules(NamedTuple):
    """What is acceptable here. `max_skew_ms` None: no time is too far ahead (event-time mode)."""

    max_event_bytes: int
    max_skew_ms: int | None


class Admitted(NamedTuple):
    """An event as it goes to the log. `identity` and `digest` tell duplicates (same both) from conflicts (other digest)."""

    vendor: str
    id: str
    time: int  # ms since 1970
    identity: str
    digest: bytes
    value: bytes


def is_json_type(media_type: str) -> bool:
    """Whether data of this media type is JSON: `application/json`, `…+json`."""
    return _JSON_TYPE.match(media_type) is not None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        raise Refused(NOT_JSON, f"the member {next(n for n in names if names.count(n) > 1)!r:.100} stands twice in one object")
    return members


def _constant(text: str) -> Any:
    raise Refused(NOT_JSON, f"{text} is not JSON")


def _integer(text: str) -> int:
    if len(text) > 18:
        raise Refused(NOT_JSON, f"the number {text:.40} has more than 18 digits: send it as a string")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise Refused(NOT_JSON, f"the number {text:.40} is out of range")
    return number


_decoder = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_constant, parse_int=_integer, parse_float=_float)


def _deeper_than(value: Any, levels: int) -> bool:
    nested = [value] if isinstance(value, dict | list) else []
    for _ in range(levels):
        inner = (item for one in nested for item in (one.values() if isinstance(one, dict) else one))
        nested = [item for item in inner if isinstance(item, dict | list)]
        if not nested:
            return False
    return True


def parse(raw: bytes, rules: Rules) -> Any:
    """The JSON value in these bytes, stricter than JSON asks: no duplicate members, no NaN, bounded depth and numbers. Raises Refused."""
    if len(raw) > rules.max_event_bytes:
        raise Refused(TOO_LARGE, f"an event has at most {rules.max_event_bytes} bytes; this one has {len(raw)}")
    try:
        value = _decoder.decode(raw.decode())
    except UnicodeDecodeError as wrong:
        raise Refused(NOT_JSON, f"not UTF-8 at byte {wrong.start}") from None
    except json.JSONDecodeError as wrong:
        raise Refused(NOT_JSON, f"{wrong.msg} at character {wrong.pos}") from None
    except RecursionError:
        raise Refused(NOT_JSON, f"more than {MAX_DEPTH} levels of objects and arrays") from None
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _deeper_than(value, MAX_DEPTH):
        raise Refused(NOT_JSON, f"more than {MAX_DEPTH} levels of objects and arrays")
    return value


def split_batch(raw: bytes) -> list[msgspec.Raw]:
    """The elements of a JSON array, each still as bytes, so that each is parsed and judged for itself. Raises Refused."""
    try:
        return msgspec.json.decode(raw, type=list[msgspec.Raw])
    except msgspec.ValidationError:
        raise Refused(NOT_AN_EVENT, "a batch is a JSON array of events") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise Refused(NOT_JSON, str(wrong)) from None
    except RecursionError:
        raise Refused(NOT_JSON, f"more than {MAX_DEPTH} levels of objects and arrays") from None


def from_headers(headers: Collection[tuple[str, bytes]], content_type: str, body: bytes, rules: Rules) -> dict[str, Any]:
    """The event of binary mode: attributes from `ce-*` headers (percent-decoded), data from the body. Raises Refused."""
    event: dict[str, Any] = {}
    for header, raw in headers:
        if not header.startswith("ce-"):
            continue
        name = header[3:]
        if name in event or name in ("data", "data_base64", "datacontenttype"):
            raise Refused(NOT_AN_EVENT, f"the header {header} stands twice or may not be sent", f"/{name}")
        text = raw.strip()
        if len(text) > 1 and text[:1] == text[-1:] == b'"':
            text = re.sub(rb"\\(.)", rb"\1", text[1:-1])
        try:
            event[name] = unquote_to_bytes(text).decode()
        except UnicodeDecodeError:
            raise Refused(NOT_AN_EVENT, f"the header {header} is not UTF-8, percent-encoded", f"/{name}") from None
    if body:
        event["datacontenttype"] = content_type
        event["data"] = parse(body, rules)
    return event


def admit(event: Any, poster: Poster, rules: Rules, now: int) -> Admitted:
    """Judge a parsed event; `now` is ms since 1970. Raises Refused, which says where and why."""
    if not isinstance(event, dict):
        raise Refused(NOT_AN_EVENT, "an event is a JSON object")
    event_id, vendor = event.get("id"), event.get("vendor")
    try:
        return _admit(event, poster, rules, now)
    except Refused as wrong:
        wrong.event_id = _printable(event_id[:ATTRIBUTE_BYTES_MAX]) if isinstance(event_id, str) else None
        wrong.vendor = vendor if isinstance(vendor, str) else None
        raise
    except UnicodeEncodeError:
        raise Refused(NOT_JSON, "a string holds half of a surrogate pair") from None


def _admit(event: dict[str, Any], poster: Poster, rules: Rules, now: int) -> Admitted:
    event = {name: value for name, value in event.items() if value is not None}  # CloudEvents: null is absent
    if poster.role == "vendor":
        event.setdefault("vendor", poster.vendors[0])
    _check_attributes(event)
    if event.get("specversion") != "1.0":
        raise Refused(NOT_AN_EVENT, "specversion must be 1.0", "/specversion")
    event[ROLE_ATTRIBUTE] = poster.role
    try:
        evidence = events.to_evidence(event)
        value = events.encode(event)
    except NotAnEvent as wrong:
        raise Refused(NOT_AN_EVENT, str(wrong), wrong.pointer) from None
    if len(value) > rules.max_event_bytes:
        raise Refused(TOO_LARGE, f"an event has at most {rules.max_event_bytes} bytes; this one has {len(value)}")
    vendor = evidence.vendor
    if vendor not in poster.vendors and (poster.vendors or poster.role == "vendor"):
        raise Refused(FOREIGN_VENDOR, f"this key does not post for the vendor {vendor}", "/vendor")
    if rules.max_skew_ms is not None and evidence.time > now + rules.max_skew_ms:
        ahead = f"{(evidence.time - now) / SECOND:.0f} s ahead; at most {rules.max_skew_ms / SECOND:.0f} s"
        raise Refused(FUTURE_TIME, f"{event['time']} is {ahead}", "/time")
    # no attribute holds a control character, so NUL separates them for certain
    return Admitted(vendor, evidence.id, evidence.time, f"{vendor}\0{evidence.source}\0{evidence.id}", events.digest_of(event), value)


def _check_attributes(event: dict[str, Any]) -> None:
    for name, value in event.items():
        if name == "data":
            continue
        wrong = _wrong_with(name, value)
        if wrong:
            pointer = "/" + _printable(name[:ATTRIBUTE_BYTES_MAX]).replace("~", "~0").replace("/", "~1")
            raise Refused(NOT_AN_EVENT, wrong, pointer)
    declared = event.get("datacontenttype")
    if declared is not None and "data" in event and not (isinstance(declared, str) and is_json_type(declared)):
        raise Refused(NOT_AN_EVENT, "data is JSON: datacontenttype must be application/json", "/datacontenttype")


def _wrong_with(name: str, value: Any) -> str:
    """What is wrong with an attribute; empty: nothing."""
    if name in _NEVER:
        return _NEVER[name]
    if name not in _USUAL and not _ATTRIBUTE_NAME.match(name):
        return "names of attributes are lower-case letters and digits"
    if isinstance(value, str):
        return wrong_with_text(name, value)
    return "" if isinstance(value, bool | int) else f"{name} must be a string, an integer or a boolean"


def _printable(text: str) -> str:
    """The text, with what is no character (half a surrogate pair) as a question mark."""
    return text.encode(errors="replace").decode()
