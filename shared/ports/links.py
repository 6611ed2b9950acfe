"""Links that work once: which were used."""

from typing import Protocol


class UsedLinks(Protocol):
    """Every method raises `shared.ports.ledger.LedgerUnavailable` while the database is away, in bounded time."""

    async def use(self, link: str, at: int, expires: int) -> bool:
        """Mark a link (the hash of its text) as used at `at` (ms); False if it was used before. Marks are kept at least until `expires`."""

    async def release(self, link: str) -> None:
        """Undo `use`: what the link was used for did not happen."""
