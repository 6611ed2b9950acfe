"""`shared.ports.agreements.AgreementStore` in PostgreSQL: the table `agreements`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import Column, Integer, Table, Text, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.adapters.postgres.columns import Instant
from shared.adapters.postgres.database import DRIVERS_OWN, metadata
from shared.ports.agreements import AgreementsUnavailable, AppliedAgreement, OtherTerms

agreements: Final = Table(
    "agreements",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("applied_by", Text, nullable=False),
    Column("applied_at", Instant, nullable=False),
    Column("activated_at", Instant),
)


class PostgresAgreements:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, *DRIVERS_OWN, OSError) as wrong:
            raise AgreementsUnavailable(f"agreements: {wrong!r}") from wrong

    async def put(self, agreement: AppliedAgreement) -> None:
        values = {name: getattr(agreement, name) for name in agreement.__struct_fields__}
        same = (agreements.c.name == agreement.name) & (agreements.c.version == agreement.version)
        async with self._transaction() as connection:
            await connection.execute(insert(agreements).values(values).on_conflict_do_nothing())
            stored = (await connection.execute(select(agreements.c.digest, agreements.c.document).where(same))).one()
            if stored.digest != agreement.digest and stored.document == agreement.document:
                await connection.execute(update(agreements).where(same).values(values))  # the table of public holidays is another now
                return
        if stored.digest != agreement.digest:
            raise OtherTerms(
                f"agreement {agreement.name} version {agreement.version} was applied with other terms: "
                "give the changed one a higher version"
            )

    async def activated(self, name: str, version: int, at: int) -> None:
        async with self._transaction() as connection:
            same = (agreements.c.name == name) & (agreements.c.version == version)
            await connection.execute(update(agreements).where(same).values(activated_at=at))

    async def all(self) -> list[AppliedAgreement]:
        async with self._transaction() as connection:
            rows = await connection.execute(select(agreements).order_by(agreements.c.name, agreements.c.version))
            return [AppliedAgreement(**row._mapping) for row in rows]
