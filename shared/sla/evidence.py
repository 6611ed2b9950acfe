"""A piece of evidence: one event of a case, as the engine reads it."""

import re
from typing import Annotated, Any, Final, Literal

import msgspec

from shared.sla.instants import format_instant
from shared.sla.terms import Role

ATTRIBUTE_BYTES_MAX: Final = 1_024
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_read = msgspec.json.Decoder(dict[str, Any]).decode
_NO_DATA: dict[str, Any] = {}  # never written to
_NOTHING = msgspec.Raw(b"")
_Word = Annotated[str, msgspec.Meta(min_length=1)]

# Fields are named as CloudEvents names them, so that a decoder fills them directly; a blank before a name is in no CloudEvent
_NAMES = {
    "case": "subject",
    "text": "time",
    "content": "data",
    "role": "slwrole",
    "time": " time",
    "extra": " extra",
    "arrival": " arrival",
    "known": " known",
}


def wrong_with_text(name: str, text: str) -> str:
    """What is wrong with the text of an attribute, by whatever door it comes; empty: nothing."""
    if not text.isprintable() and _CONTROL.search(text):
        return f"{name} holds a control character"
    if len(text) * 4 > ATTRIBUTE_BYTES_MAX and len(text.encode()) > ATTRIBUTE_BYTES_MAX:
        return f"{name} is longer than {ATTRIBUTE_BYTES_MAX} bytes"
    return ""


class Evidence(msgspec.Struct, gc=False, eq=False, forbid_unknown_fields=True, rename=_NAMES):
    """What the engine needs of a CloudEvent. Most events are only folded, so what conditions see of them is made when asked for.

    `time` is milliseconds since 1970, `text` the same as it was posted (empty: as `format_instant` tells it, but for zeros at its end).
    """

    vendor: _Word
    service: _Word
    case: _Word  # the CloudEvents subject
    type: _Word
    source: _Word
    id: _Word
    text: _Word
    content: msgspec.Raw = _NOTHING  # `data`: JSON text of an object, or nothing
    datacontenttype: str | None = None
    role: Role = "vendor"
    sequence: str | None = None
    replaces: str | None = None
    specversion: Literal["1.0"] = "1.0"
    extra: dict[str, Any] | None = None  # attributes beyond those above
    time: int = 0
    arrival: int = 0  # set by the engine: when it arrived, and how many activations had been folded by then
    known: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """(source, id): what identifies it within its vendor."""
        return (self.source, self.id)

    @property
    def data(self) -> dict[str, Any]:
        """What conditions see as `data`."""
        content = self.content
        return _read(content) if content else _NO_DATA

    @property
    def attributes(self) -> dict[str, Any]:
        """What conditions see as `event`: the attributes as they were posted."""
        found: dict[str, Any] = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.case,
            "time": self.text or format_instant(self.time),
            "vendor": self.vendor,
            "service": self.service,
        }
        for name in ("datacontenttype", "sequence", "replaces"):
            value = getattr(self, name)
            if value is not None:
                found[name] = value
        return found if self.extra is None else found | self.extra

    def says_the_same(self, other: "Evidence") -> bool:
        """Whether another event of its identity has the same content."""
        return (
            self.role == other.role and (self.content == other.content or self.data == other.data) and self.attributes == other.attributes
        )
