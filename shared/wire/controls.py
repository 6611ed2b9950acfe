"""Control records of the events topic: what else the engine's verdicts depend on (engine.md, "The log is the only input").

A control record has the header `slw-control: <kind>`, no key, a named partition, and JSON as its value.
"""

from typing import Final, Literal

import msgspec

from shared.sla.terms import Bundle
from shared.wire.topics import CONTROL_HEADER

ClockMode = Literal["log", "event"]


class Tick(msgspec.Struct, frozen=True):
    """Makes log time move when nothing else arrives; `aimed` is the instant (ms) its writer meant to pass.

    `reading`: its writer's own clock (ms since 1970): a witness for leaps of broker time (`shared.sla.broker_time`).
    """

    aimed: int
    reading: int | None = None


class Pulse(msgspec.Struct, frozen=True):
    """One ingest says that the door is open; `ingest` names which, `reading` is its own clock (as a tick's)."""

    ingest: str
    reading: int | None = None


class Advance(msgspec.Struct, frozen=True):
    """Event-time mode: log time moves to `to` (ms), of one vendor or of all."""

    to: int
    vendor: str | None = None


class Activation(msgspec.Struct, frozen=True):
    """From here on the bundle's agreement version is in the books. `id` makes appending it twice harmless.

    `rules`: the version of the rules that whoever applied it knew (`shared.sla.version`); 0: it was not said.
    """

    id: str
    bundle: Bundle
    clock: ClockMode = "log"
    restate: bool = False
    rules: int = 0


Control = Tick | Pulse | Advance | Activation
KINDS: Final[dict[str, type[Control]]] = {"tick": Tick, "pulse": Pulse, "advance": Advance, "activation": Activation}
_NAMES: Final = {struct: kind for kind, struct in KINDS.items()}


class NotAControl(ValueError):
    """A record with the control header that cannot be read."""


def headers_of(control: Control) -> list[tuple[str, bytes]]:
    """The Kafka headers of a control record."""
    return [(CONTROL_HEADER, _NAMES[type(control)].encode())]


def kind_of(control: Control) -> str:
    """`tick`, `pulse`, `advance` or `activation`."""
    return _NAMES[type(control)]


def encode(control: Control) -> bytes:
    """The value of a control record."""
    return msgspec.json.encode(control)


def reading_of(kind: bytes | None, value: bytes) -> int | None:
    """The reading of its writer's clock that a record carries, by its control header; None for most."""
    if kind is None:
        return None
    try:
        control = decode(kind.decode("ascii", "replace"), value)
    except NotAControl:
        return None
    return control.reading if isinstance(control, Tick | Pulse) else None


def decode(kind: str, value: bytes) -> Control:
    """A control record's value by the kind that its header names. Raises NotAControl."""
    struct = KINDS.get(kind)
    if struct is None:
        raise NotAControl(f"unknown control record {kind!r}: one of {', '.join(KINDS)}")
    try:
        return msgspec.json.decode(value, type=struct)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as wrong:
        raise NotAControl(f"control record {kind}: {wrong}") from None
