"""Events as they stand in the log: CloudEvents JSON to evidence, and back to bytes.

ingest has refused what is malformed before it is written; still, whatever stands in a topic may come from elsewhere,
so `decode` checks what the engine relies on and raises `NotAnEvent` for the poison-message boundary.
"""

import hashlib
from typing import Any, Final, get_args

import msgspec

from shared.sla.evidence import Evidence
from shared.sla.instants import BadInstant, parse_instant
from shared.sla.terms import Role
from shared.wire.topics import RESERVED_TYPE_PREFIX, ROLE_ATTRIBUTE

REQUIRED: Final = ("id", "source", "type", "subject", "time", "vendor", "service")
_ROLES: Final = frozenset(get_args(Role))
_NO_DATA: Final[dict[str, Any]] = {}
_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder().decode


class NotAnEvent(ValueError):
    """A record or object that is not an acceptable event. `pointer` is the JSON Pointer of the place."""

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.pointer = pointer


def decode(value: bytes) -> Evidence:
    """The evidence in a record's value. Raises NotAnEvent."""
    try:
        event = _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise NotAnEvent(f"not JSON: {wrong}") from None
    return to_evidence(event)


def to_evidence(event: Any) -> Evidence:
    """Evidence of a CloudEvents object (a parsed JSON value). Raises NotAnEvent, which says where."""
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
        data = _NO_DATA
    elif not isinstance(data, dict):
        raise NotAnEvent("data must be a JSON object", "/data")
    sequence, replaces = get("sequence"), get("replaces")
    for name, value in (("sequence", sequence), ("replaces", replaces)):
        if value is not None and value.__class__ is not str:
            raise NotAnEvent(f"{name} must be a string", f"/{name}")
    role = get(ROLE_ATTRIBUTE, "vendor")
    if role not in _ROLES:
        raise NotAnEvent(f"{ROLE_ATTRIBUTE} must be one of {', '.join(sorted(_ROLES))}", f"/{ROLE_ATTRIBUTE}")
    attributes = event.copy()
    attributes.pop("data", None)
    return Evidence(
        vendor=event["vendor"],
        service=event["service"],
        case=event["subject"],
        type=event["type"],
        source=event["source"],
        id=event["id"],
        time=time,
        attributes=attributes,
        data=data,
        digest=hashlib.blake2b(_encode(event), digest_size=8).digest(),
        role=role,
        sequence=sequence,
        replaces=replaces,
    )


def encode(event: dict[str, Any]) -> bytes:
    """The bytes of an event as they are written to the log: compact JSON, UTF-8."""
    return msgspec.json.encode(event)
