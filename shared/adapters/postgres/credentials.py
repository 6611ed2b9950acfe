"""`shared.ports.credentials.CredentialStore` in PostgreSQL: the table `credentials`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from sqlalchemy import ARRAY, Column, LargeBinary, Row, Table, Text, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.adapters.postgres.columns import Instant
from shared.adapters.postgres.database import DRIVERS_OWN, metadata
from shared.ports.credentials import Credential, CredentialsUnavailable, TooManyKeys

credentials: Final = Table(
    "credentials",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("vendors", ARRAY(Text), nullable=False),
    Column("name", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
)
_ADDING: Final = 0x51A7C4ED  # advisory lock: keys are made rarely, one after the other


def _credential(row: Row[Any]) -> Credential:
    return Credential(**{**row._mapping, "vendors": tuple(row.vendors)})


@asynccontextmanager
async def transaction(engine: AsyncEngine, timeout: float, what: str) -> AsyncIterator[AsyncConnection]:
    """A transaction of at most `timeout` seconds about `what`. Raises CredentialsUnavailable where the database does not take it."""
    try:
        async with asyncio.timeout(timeout), engine.begin() as connection:
            yield connection
    except (SQLAlchemyError, *DRIVERS_OWN, OSError, TimeoutError) as wrong:
        raise CredentialsUnavailable(f"{what}: {wrong!r}") from wrong


class PostgresCredentials:
    """`timeout` bounds each call, in seconds."""

    def __init__(self, engine: AsyncEngine, *, timeout: float = 2) -> None:
        self._engine, self._timeout = engine, timeout

    def _transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return transaction(self._engine, self._timeout, "credentials")

    async def add(self, credential: Credential, *, most_active: int | None = None) -> None:
        same = select(credentials.c.name).where(
            credentials.c.kind == credential.kind,
            credentials.c.role == credential.role,
            credentials.c.vendors == list(credential.vendors),
            credentials.c.revoked_at.is_(None),
        )
        async with self._transaction() as connection:
            if most_active is not None:
                await connection.execute(select(func.pg_advisory_xact_lock(_ADDING)))
                names = (await connection.scalars(same)).all()
                if len(names) >= most_active:
                    raise TooManyKeys(
                        f"{', '.join(credential.vendors)} has {len(names)} active keys ({', '.join(names)}): revoke one first"
                    )
            values = {column.name: getattr(credential, column.name) for column in credentials.c}
            await connection.execute(insert(credentials).values({**values, "vendors": list(credential.vendors)}))

    async def by_id(self, id: str) -> Credential | None:  # noqa: A002  # the port's name
        async with self._transaction() as connection:
            row = (await connection.execute(select(credentials).where(credentials.c.id == id))).one_or_none()
        return None if row is None else _credential(row)

    async def all(self) -> list[Credential]:
        async with self._transaction() as connection:
            rows = (await connection.execute(select(credentials).order_by(credentials.c.created_at, credentials.c.id))).all()
        return [_credential(row) for row in rows]

    async def revoke(self, id: str, at: int) -> bool:  # noqa: A002  # the port's name
        active = (credentials.c.id == id) & credentials.c.revoked_at.is_(None)
        async with self._transaction() as connection:
            done = await connection.execute(update(credentials).where(active).values(revoked_at=at))
        return done.rowcount == 1
