"""Built-in accounts: a name and a password that stand for a token, so that people need not type one."""

from typing import Protocol

import msgspec


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """`credential` is the id of the token that says who it is and what it may: revoked, it opens nothing. `password`: salt, scrypt."""

    name: str
    credential: str
    password: bytes


class AccountStore(Protocol):
    """Every method raises `shared.ports.credentials.CredentialsUnavailable` while the store is away, in bounded time."""

    async def account(self, name: str) -> Account | None:
        """The account of this name."""

    async def put_account(self, account: Account) -> None:
        """Make the account, or give it a new password and token."""

    async def remove_account(self, name: str) -> bool:
        """Remove it; false where there is none. Its token stays."""
