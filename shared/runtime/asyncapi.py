"""What stands on the topics, as an AsyncAPI document made from the code; `python -m shared.runtime.asyncapi` writes it anew."""

import json
from pathlib import Path
from typing import Any, Final, get_args

import msgspec

from shared.ports.quarantine import HEADERS
from shared.sla.terms import Role
from shared.wire import controls, events, verdicts
from shared.wire.topics import CONTROL_HEADER, RESERVED_TYPE_PREFIX, ROLE_ATTRIBUTE

FILE: Final = Path(__file__).parents[2] / "docs" / "reference" / "asyncapi.json"
_SCHEMAS: Final = "#/components/schemas/"
_JSON: Final = "application/json"
_TEXT: Final = {"type": "string"}


def _event() -> dict[str, Any]:
    attributes = {name: {**_TEXT, "minLength": 1} for name in events.REQUIRED}
    return {
        "description": f"A CloudEvent of a vendor's service, as ingest lets it in; its type does not begin with {RESERVED_TYPE_PREFIX}",
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            **attributes,
            "time": {**_TEXT, "format": "date-time"},
            "datacontenttype": _TEXT,
            "data": {"type": "object"},
            "sequence": {**_TEXT, "description": "orders events of one instant"},
            "replaces": {**_TEXT, "description": "the id of an earlier event that this one corrects"},
            ROLE_ATTRIBUTE: {"enum": list(get_args(Role)), "description": "the role of the key that posted it, stamped by ingest"},
        },
        "required": ["specversion", *events.REQUIRED],
        "additionalProperties": {"description": "extension attributes"},
    }


def _message(summary: str, schema: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"summary": summary, "contentType": _JSON, "payload": {"$ref": _SCHEMAS + schema}}
    return found if headers is None else found | {"headers": {"type": "object", "properties": headers, "required": list(headers)}}


def document() -> dict[str, Any]:
    """AsyncAPI 3.0.0."""
    kinds = controls.KINDS
    _, schemas = msgspec.json.schema_components([verdicts.Verdict, *kinds.values()], ref_template=_SCHEMAS + "{name}")
    of_events = {"event": _message("what happened; key: the vendor", "Event")} | {
        kind: _message(f"a control record of slawatch's own: {kind}; no key", struct.__name__, {CONTROL_HEADER: {"const": kind}})
        for kind, struct in kinds.items()
    }
    aside = {"summary": "what could not be used, as it was", "headers": {"type": "object", "properties": dict.fromkeys(HEADERS, _TEXT)}}
    channels = {
        "events": {"address": "slawatch.events", "messages": of_events},
        "breaches": {"address": "slawatch.breaches", "messages": {"verdict": _message("what was decided; key: the vendor", "Verdict")}},
        "quarantine": {"address": "slawatch.quarantine", "messages": {"aside": aside}},
    }
    operations = {
        f"{name} {channel}": {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": who}
        for name, action, channel, who in (
            ("write", "send", "events", "ingest: events and pulses; the evaluator: ticks; the command line: activations and advances"),
            ("read", "receive", "events", "the evaluator"),
            ("write", "send", "breaches", "the evaluator"),
            ("read", "receive", "breaches", "the notifier, and whoever else wants verdicts: a reader drops ids and revisions that it has"),
            ("write", "send", "quarantine", "the evaluator and the notifier"),
        )
    }
    info = {"title": "slawatch's topics", "version": "1", "description": "Written by `python -m shared.runtime.asyncapi`; do not edit."}
    return {
        "asyncapi": "3.0.0",
        "info": info,
        "defaultContentType": _JSON,
        "channels": channels,
        "operations": operations,
        "components": {"schemas": {"Event": _event(), **schemas}},
    }


def text() -> str:
    """The text of the file."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
