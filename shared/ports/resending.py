"""What receivers that forget are to be told again."""

from typing import NamedTuple, Protocol


class Standing(NamedTuple):
    """The newest statement of a breach, as on the topic, and who has taken it on (empty: nobody)."""

    body: bytes
    acknowledged_by: str = ""


class Told(Protocol):
    """Every method raises `shared.ports.ledger.LedgerUnavailable` while the database is away, in bounded time."""

    async def told(self, channel: str, since: int, limit: int) -> list[Standing]:
        """Each breach that this channel was told of and that is open, or has changed at or after `since` (ms); the oldest first."""
