"""Who may call: keys of systems and tokens of people. Real adapter: PostgreSQL; memory adapter: tests and the simulator."""

from typing import Literal, Protocol

import msgspec

Kind = Literal["key", "token"]  # keys belong to systems, tokens to people


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A key or token as it is stored: never its secret text, only the hash. Instants are ms since 1970."""

    id: str
    kind: Kind
    role: str
    vendors: tuple[str, ...]  # role vendor: exactly one; customer: those it may post for, none: any
    name: str
    hash: bytes
    created_at: int
    revoked_at: int | None = None

    @property
    def active(self) -> bool:
        """Whether it is still accepted."""
        return self.revoked_at is None

    def may_act_for(self, vendor: str) -> bool:
        """Whether this vendor's data is open to the holder."""
        return vendor in self.vendors or (self.role != "vendor" and not self.vendors)


class CredentialsUnavailable(Exception):
    """The store cannot be asked right now: who it is stays unknown, so answer 503, not 401."""


class TooManyKeys(Exception):
    """The vendor has as many active keys as it may have; the message names them."""


class CredentialStore(Protocol):
    async def add(self, credential: Credential, *, most_active: int | None = None) -> None:
        """Store it. With `most_active`, raises TooManyKeys if as many active keys of the same role and vendors exist already;
        concurrent calls cannot pass the limit together. Raises CredentialsUnavailable."""

    async def by_id(self, id: str) -> Credential | None:  # noqa: A002  # the field's name
        """The credential, revoked or not. Raises CredentialsUnavailable within seconds, however the database hangs."""

    async def all(self) -> list[Credential]:
        """Every credential, oldest first. Raises CredentialsUnavailable."""

    async def revoke(self, id: str, at: int) -> bool:  # noqa: A002  # the field's name
        """Revoke an active one as of `at` (ms since 1970); false where there is none such. Raises CredentialsUnavailable."""
