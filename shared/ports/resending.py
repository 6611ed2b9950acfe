"""What receivers that forget are to be told again."""

from typing import Protocol


class Told(Protocol):
    """Every method raises `shared.ports.ledger.LedgerUnavailable` while the database is away, in bounded time."""

    async def told(self, channel: str, since: int, limit: int) -> list[bytes]:
        """The newest statement (as on the topic) of each breach that this channel was told of and that is open, or has changed at or
        after `since` (ms); the oldest breaches first."""
