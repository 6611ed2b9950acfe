"""`shared.ports.accounts.AccountStore` in PostgreSQL: the table `accounts`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.adapters.postgres.credentials import credentials
from shared.adapters.postgres.database import metadata
from shared.ports.accounts import Account
from shared.ports.credentials import CredentialsUnavailable

accounts: Final = sa.Table(
    "accounts",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("credential", sa.Text, sa.ForeignKey(credentials.c.id), nullable=False),
    sa.Column("password", sa.LargeBinary, nullable=False),
)


class PostgresAccounts:
    """`timeout` bounds each call, in seconds."""

    def __init__(self, engine: AsyncEngine, *, timeout: float = 2) -> None:
        self._engine, self._timeout = engine, timeout

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with asyncio.timeout(self._timeout), self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as wrong:
            raise CredentialsUnavailable(f"accounts: {wrong!r}") from wrong

    async def account(self, name: str) -> Account | None:
        async with self._transaction() as connection:
            row = (await connection.execute(sa.select(accounts).where(accounts.c.name == name.replace("\0", "")))).one_or_none()
        return None if row is None else Account(**row._mapping)

    async def put_account(self, account: Account) -> None:
        new = insert(accounts).values(name=account.name, credential=account.credential, password=account.password)
        anew = {"credential": new.excluded.credential, "password": new.excluded.password}
        async with self._transaction() as connection:
            await connection.execute(new.on_conflict_do_update(index_elements=["name"], set_=anew))

    async def remove_account(self, name: str) -> bool:
        async with self._transaction() as connection:
            gone = await connection.execute(sa.delete(accounts).where(accounts.c.name == name))
        return gone.rowcount == 1
