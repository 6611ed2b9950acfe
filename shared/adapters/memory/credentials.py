"""`shared.ports.credentials.CredentialStore` in memory."""

import msgspec

from shared.ports.credentials import Credential, CredentialsUnavailable, TooManyKeys


class MemoryCredentials:
    """Set `available` to false to have the store be away."""

    def __init__(self) -> None:
        self.available = True
        self._rows: dict[str, Credential] = {}

    def _ask(self) -> dict[str, Credential]:
        if not self.available:
            raise CredentialsUnavailable("the store is away")
        return self._rows

    async def add(self, credential: Credential, *, most_active: int | None = None) -> None:
        rows = self._ask()
        if most_active is not None:
            who = (credential.kind, credential.role, credential.vendors)
            names = [c.name for c in rows.values() if c.active and (c.kind, c.role, c.vendors) == who]
            if len(names) >= most_active:
                raise TooManyKeys(f"{', '.join(credential.vendors)} has {len(names)} active keys ({', '.join(names)}): revoke one first")
        rows[credential.id] = credential

    async def by_id(self, id: str) -> Credential | None:  # noqa: A002  # the port's name
        return self._ask().get(id)

    async def all(self) -> list[Credential]:
        return sorted(self._ask().values(), key=lambda c: (c.created_at, c.id))

    async def revoke(self, id: str, at: int) -> bool:  # noqa: A002  # the port's name
        found = self._ask().get(id)
        if found is None or not found.active:
            return False
        self._rows[id] = msgspec.structs.replace(found, revoked_at=at)
        return True
