"""Checkpoints in PostgreSQL: the tables `checkpoints` and `checkpoint_blocks`, one transaction a save."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table, Text, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.adapters.postgres.database import metadata
from shared.ports.checkpoints import Acquired, Checkpoint, CheckpointsUnavailable, Stale

_PLACE: Final = ("topic", "partition")
checkpoints: Final = Table(
    "checkpoints",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("meta", LargeBinary),
)
blocks: Final = Table(
    "checkpoint_blocks",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)


def log_name(topic: str, group: str) -> str:
    """How checkpoints name a log and who folds it."""
    return f"{topic} {group}"


class PostgresCheckpoints:
    """`shared.ports.checkpoints.Checkpoints` of one topic and group."""

    def __init__(self, engine: AsyncEngine, topic: str) -> None:
        """`topic`: see `log_name`."""
        self._engine, self._topic = engine, topic

    async def acquire(self, partition: int) -> Acquired:
        """As the port says."""
        raised = insert(checkpoints).values(topic=self._topic, partition=partition, epoch=1)
        raised = raised.on_conflict_do_update(index_elements=_PLACE, set_={"epoch": checkpoints.c.epoch + 1})
        try:
            async with self._engine.begin() as connection:
                row = (await connection.execute(raised.returning(checkpoints.c.epoch, checkpoints.c.meta))).one()
        except (SQLAlchemyError, OSError, TimeoutError) as wrong:
            raise CheckpointsUnavailable(str(wrong)) from wrong
        return Acquired(row.epoch, None if row.meta is None else msgspec.msgpack.decode(row.meta, type=Checkpoint))

    async def blocks(self, partition: int) -> AsyncIterator[bytes]:
        """As the port says."""
        mine = (blocks.c.topic == self._topic) & (blocks.c.partition == partition)
        try:
            async with self._engine.connect() as connection:
                count = (await connection.execute(select(func.count()).select_from(blocks).where(mine))).scalar_one()
                for number in range(count):
                    body = (await connection.execute(select(blocks.c.body).where(mine & (blocks.c.number == number)))).scalar_one()
                    yield body
        except (SQLAlchemyError, OSError, TimeoutError) as wrong:
            raise CheckpointsUnavailable(str(wrong)) from wrong

    async def save(self, partition: int, epoch: int, checkpoint: Checkpoint, written: AsyncIterator[bytes]) -> None:
        """As the port says."""
        try:
            async with self._engine.begin() as connection:
                await self._claim(connection, partition, epoch, checkpoint)
                await connection.execute(delete(blocks).where(blocks.c.topic == self._topic, blocks.c.partition == partition))
                number = 0
                async for body in written:
                    await connection.execute(insert(blocks).values(topic=self._topic, partition=partition, number=number, body=body))
                    number += 1
        except (SQLAlchemyError, OSError, TimeoutError) as wrong:
            raise CheckpointsUnavailable(str(wrong)) from wrong

    async def _claim(self, connection: AsyncConnection, partition: int, epoch: int, checkpoint: Checkpoint) -> None:
        mine = (checkpoints.c.topic == self._topic) & (checkpoints.c.partition == partition) & (checkpoints.c.epoch == epoch)
        changed = await connection.execute(update(checkpoints).where(mine).values(meta=msgspec.msgpack.encode(checkpoint)))
        if changed.rowcount != 1:
            raise Stale(f"partition {partition}: epoch {epoch} is not the newest")

    # -- for operators -------------------------------------------------------------------------------------------

    async def all(self) -> dict[int, Checkpoint | None]:
        """The newest checkpoint of each partition. Raises SQLAlchemyError, OSError."""
        mine = select(checkpoints.c.partition, checkpoints.c.meta).where(checkpoints.c.topic == self._topic)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(mine)).all()
        return {row.partition: None if row.meta is None else msgspec.msgpack.decode(row.meta, type=Checkpoint) for row in rows}

    async def forget(self) -> None:
        """Remove them all; epochs stay, and rise, so that nobody saves the old state again. Raises SQLAlchemyError, OSError."""
        async with self._engine.begin() as connection:
            mine = checkpoints.c.topic == self._topic
            await connection.execute(update(checkpoints).where(mine).values(meta=None, epoch=checkpoints.c.epoch + 1))
            await connection.execute(delete(blocks).where(blocks.c.topic == self._topic))
