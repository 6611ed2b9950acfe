"""`shared.ports.links.UsedLinks` in PostgreSQL: the table `used_links`."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.adapters.postgres.columns import Instant
from shared.adapters.postgres.database import metadata
from shared.adapters.postgres.guarding import guarded

used_links: Final = sa.Table(
    "used_links",
    metadata,
    sa.Column("link", sa.Text, primary_key=True),
    sa.Column("used_at", Instant, nullable=False),
    sa.Column("expires", Instant, nullable=False, index=True),
)


class PostgresLinks:
    """`timeout` bounds each call, in seconds."""

    def __init__(self, engine: AsyncEngine, *, timeout: float = 5) -> None:
        self._engine, self._timeout = engine, timeout

    async def use(self, link: str, at: int, expires: int) -> bool:
        mark = insert(used_links).values(link=link, used_at=at, expires=expires).on_conflict_do_nothing().returning(used_links.c.link)
        async with guarded(self._timeout), self._engine.begin() as connection:
            await connection.execute(sa.delete(used_links).where(used_links.c.expires < at))
            return (await connection.execute(mark)).one_or_none() is not None

    async def release(self, link: str) -> None:
        async with guarded(self._timeout), self._engine.begin() as connection:
            await connection.execute(sa.delete(used_links).where(used_links.c.link == link))
