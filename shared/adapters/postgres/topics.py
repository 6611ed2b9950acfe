"""What is remembered of topics: the table `topics`."""

from typing import Final

from sqlalchemy import Column, Integer, Table, Text, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.adapters.postgres.database import metadata

topics: Final = Table("topics", metadata, Column("name", Text, primary_key=True), Column("partitions", Integer, nullable=False))


async def first_partitions(engine: AsyncEngine, topic: str, partitions: int) -> int:
    """How many partitions the topic had when it was first used; `partitions` if that is now. Raises SQLAlchemyError, OSError."""
    async with engine.begin() as connection:
        await connection.execute(insert(topics).values(name=topic, partitions=partitions).on_conflict_do_nothing())
        return int((await connection.execute(select(topics.c.partitions).where(topics.c.name == topic))).scalar_one())
