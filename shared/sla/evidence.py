"""A piece of evidence: one event of a case, as the engine reads it."""

from typing import Any

import msgspec


class Evidence(msgspec.Struct, gc=False, eq=False):
    """What the engine needs of a CloudEvent. `attributes` is what conditions see as `event`, `data` what they see as `data`.

    `time` is milliseconds since 1970; `digest` identifies the content (same id and same digest: a duplicate).
    """

    vendor: str
    service: str
    case: str  # the CloudEvents subject
    type: str
    source: str
    id: str
    time: int
    attributes: dict[str, Any]
    data: dict[str, Any]
    digest: bytes
    role: str = "vendor"
    sequence: str | None = None
    replaces: str | None = None
    arrival: int = 0  # set by the engine: when it arrived, and how many activations had been folded by then
    known: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """(source, id): what identifies it within its vendor."""
        return (self.source, self.id)
