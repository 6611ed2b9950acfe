"""`shared.ports.links.UsedLinks` in memory."""

from shared.ports.ledger import LedgerUnavailable


class MemoryLinks:
    """Set `available` to false to have the store be away."""

    def __init__(self) -> None:
        self.available = True
        self._used: dict[str, int] = {}

    async def use(self, link: str, at: int, expires: int) -> bool:
        used = self._ask()
        for old in [known for known, until in used.items() if until < at]:
            del used[old]
        if link in used:
            return False
        used[link] = expires
        return True

    async def release(self, link: str) -> None:
        self._ask().pop(link, None)

    def _ask(self) -> dict[str, int]:
        if not self.available:
            raise LedgerUnavailable("the store is away")
        return self._used
