"""`shared.ports.resending.Told` in PostgreSQL: read from the breach ledger and its deliveries."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.adapters.postgres.alert_tables import told
from shared.adapters.postgres.guarding import guarded
from shared.adapters.postgres.ledger_tables import OPEN, STATING, breaches, deliveries, verdicts
from shared.ports.resending import Standing


class PostgresTold:
    """`timeout` bounds each call, in seconds."""

    def __init__(self, engine: AsyncEngine, *, timeout: float = 10) -> None:
        self._engine, self._timeout = engine, timeout

    async def told(self, channel: str, since: int, limit: int) -> list[Standing]:
        sent = sa.select(sa.literal(1)).where(deliveries.c.channel == channel, deliveries.c.state == "sent")
        alone = sent.where(deliveries.c.breach_id == breaches.c.breach_id)
        together = sent.join(told, told.c.notice == deliveries.c.notice).where(told.c.breach_id == breaches.c.breach_id)
        newest = (
            sa.select(verdicts.c.body)
            .where(verdicts.c.breach_id == breaches.c.breach_id, verdicts.c.revision == breaches.c.revision, STATING)
            .limit(1)
            .scalar_subquery()
        )
        standing = sa.select(breaches.c.seq, breaches.c.acknowledged_by, newest.label("body")).where(
            sa.or_(alone.exists(), together.exists())
        )
        wanted = sa.union(standing.where(OPEN), standing.where(breaches.c.changed_at >= since)).subquery()
        query = sa.select(wanted.c.body, wanted.c.acknowledged_by).where(wanted.c.body.is_not(None)).order_by(wanted.c.seq).limit(limit)
        async with guarded(self._timeout), self._engine.connect() as connection:
            return [Standing(row.body.encode(), row.acknowledged_by or "") for row in await connection.execute(query)]
