"""`shared.ports.accounts.AccountStore` in PostgreSQL: the table `accounts`."""

from contextlib import AbstractAsyncContextManager
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.adapters.postgres.credentials import credentials, transaction
from shared.adapters.postgres.database import metadata
from shared.ports.accounts import Account

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

    def _transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return transaction(self._engine, self._timeout, "accounts")

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
