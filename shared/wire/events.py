"""Events as they stand in the log: CloudEvents JSON to evidence, and back to bytes.

ingest has refused what is malformed before it is written; still, whatever stands in a topic may come from elsewhere,
so `decode` checks what the engine relies on and raises `NotAnEvent` for the poison-message boundary.
"""

import hashlib
import re
from sys import intern
from typing import Any, Final, get_args

import msgspec

from shared.sla.evidence import Evidence
from shared.sla.instants import SECOND, BadInstant, parse_instant
from shared.sla.terms import Role
from shared.wire.topics import RESERVED_TYPE_PREFIX, ROLE_ATTRIBUTE

REQUIRED: Final = ("id", "source", "type", "subject", "time", "vendor", "service")
_KNOWN: Final = frozenset((*REQUIRED, "specversion", "data", "datacontenttype", "sequence", "replaces", ROLE_ATTRIBUTE))
_ROLES: Final = frozenset(get_args(Role))
_BRACE: Final = ord("{")
_JSON: Final = "application/json"
_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder().decode


class NotAnEvent(ValueError):
    """A record or object that is not an acceptable event. `pointer` is the JSON Pointer of the place."""

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.pointer = pointer


class _Data(msgspec.Struct, gc=False):
    data: msgspec.Raw = msgspec.Raw(b"")


# Instants repeat: what was read once of the forms "2026-03-02T08:30:" and "25.125Z" is looked up. So are types that are no reserved ones.
_minutes: dict[str, int] = {}
_seconds: dict[str, int] = {}
_types: dict[str, str] = {}
_KEPT_MAX: Final = 100_000
_MINUTE_LENGTH: Final = len("2026-03-02T08:30:")
_SECOND: Final = re.compile(r"[0-5]\d(\.\d{3})?Z\Z", re.ASCII)
_read_usual = msgspec.json.Decoder(Evidence).decode
_read_data = msgspec.json.Decoder(_Data).decode


def decode(value: bytes) -> Evidence:
    """The evidence in a record's value. Raises NotAnEvent.

    Nearly all events have no attributes but those that every event may have, and are read right into evidence; all others, and
    whatever is wrong, go the long way.
    """
    try:
        event = _read_usual(value)
        text = event.text
        minute, second = _minutes.get(text[:_MINUTE_LENGTH]), _seconds.get(text[_MINUTE_LENGTH:])
        event.time = _instant_of(text) if minute is None or second is None else minute + second
        event.text = "" if text[-1] == "Z" else text
        if not value.isascii():
            value.decode()  # `data` was passed over: is it UTF-8?
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, BadInstant):
        return _decode_at_length(value)
    kind, content = _types.get(event.type) or _type_of(event.type), bytes(event.content)  # a Raw would keep the whole record in memory
    if not kind or (content and content[0] != _BRACE):
        return _decode_at_length(value)
    event.source, event.type, event.content, event.extra = intern(event.source), kind, content, None  # type: ignore[assignment]  # as said
    if event.datacontenttype == _JSON:
        event.datacontenttype = _JSON  # one text for all
    return event


def _instant_of(text: str) -> int:
    """An event's time; its parts are remembered, as many events share them. Raises BadInstant."""
    head, tail = text[:_MINUTE_LENGTH], text[_MINUTE_LENGTH:]
    if _SECOND.match(tail) is None:
        return parse_instant(text)
    for kept in (_minutes, _seconds):
        if len(kept) >= _KEPT_MAX:
            kept.clear()
    second = _seconds[tail] = int(tail[:2]) * SECOND + int(tail[3:-1] or 0)
    minute = _minutes.get(head)
    if minute is None:
        minute = parse_instant(text) - second
        _minutes[head] = minute
    return minute + second


def _type_of(text: str) -> str:
    """The one text of a type; empty where it is reserved."""
    if text.startswith(RESERVED_TYPE_PREFIX):
        return ""
    if len(_types) >= _KEPT_MAX:
        _types.clear()
    kept = _types[text] = intern(text)
    return kept


def _decode_at_length(value: bytes) -> Evidence:
    try:
        return to_evidence(_decode(value), bytes(_read_data(value).data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise NotAnEvent(f"not JSON: {wrong}") from None


def to_evidence(event: Any, content: bytes | None = None) -> Evidence:
    """Evidence of a CloudEvents object; `content`: its data as they were written. Raises NotAnEvent, which says where."""
    if not isinstance(event, dict):
        raise NotAnEvent("an event is a JSON object")
    get = event.get
    for name in REQUIRED:
        value = get(name)
        if not value or value.__class__ is not str:
            what = "is missing" if value is None else "must be a non-empty string"
            raise NotAnEvent(f"{name} {what}", f"/{name}")
    if get("specversion", "1.0") != "1.0":
        raise NotAnEvent("specversion must be 1.0", "/specversion")
    if event["type"].startswith(RESERVED_TYPE_PREFIX):
        raise NotAnEvent(f"types that begin with {RESERVED_TYPE_PREFIX} are slawatch's own", "/type")
    try:
        time = parse_instant(event["time"])
    except BadInstant as wrong:
        raise NotAnEvent(str(wrong), "/time") from None
    data = get("data")
    if data is None:
        data = {}
    elif not isinstance(data, dict):
        raise NotAnEvent("data must be a JSON object", "/data")
    sequence, replaces = get("sequence"), get("replaces")
    for name, value in (("sequence", sequence), ("replaces", replaces)):
        if value is not None and value.__class__ is not str:
            raise NotAnEvent(f"{name} must be a string", f"/{name}")
    role = get(ROLE_ATTRIBUTE, "vendor")
    if role not in _ROLES:
        raise NotAnEvent(f"{ROLE_ATTRIBUTE} must be one of {', '.join(sorted(_ROLES))}", f"/{ROLE_ATTRIBUTE}")
    try:
        content = msgspec.json.encode(data) if content is None else content
    except OverflowError as wrong:
        raise NotAnEvent(f"data cannot be written as JSON: {wrong}", "/data") from None
    text = event["time"]
    return Evidence(
        vendor=event["vendor"],
        service=event["service"],
        case=event["subject"],
        type=intern(event["type"]),
        source=intern(event["source"]),
        id=event["id"],
        text="" if text[-1] == "Z" else text,
        content=content if data else b"",  # type: ignore[arg-type]  # as `decode` does
        datacontenttype=get("datacontenttype"),
        role=role,
        sequence=sequence,
        replaces=replaces,
        extra={name: value for name, value in event.items() if name not in _KNOWN} or None,
        time=time,
    )


def digest_of(event: dict[str, Any]) -> bytes:
    """Identifies an event's content (a parsed JSON value), whatever the order of its members."""
    return hashlib.blake2b(_encode(event), digest_size=8).digest()


def encode(event: dict[str, Any]) -> bytes:
    """The bytes of an event as they are written to the log: compact JSON, UTF-8."""
    return msgspec.json.encode(event)
