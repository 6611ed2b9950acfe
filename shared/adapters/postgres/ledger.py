"""`shared.ports.ledger.Ledger` and `shared.ports.deliveries.Deliveries` in PostgreSQL."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from asyncpg import DataError as ClientDataError
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.adapters.postgres.ledger_tables import breach_actions, breaches, deliveries, disabled_channels, risks, verdicts
from shared.ports.deliveries import Claimed, DeliveryRow, Outcome
from shared.ports.ledger import (
    Action,
    ActionRow,
    Actor,
    BreachRow,
    Case,
    Changes,
    Count,
    Decide,
    Known,
    LedgerRefused,
    LedgerUnavailable,
    RiskRow,
    Standing,
    Stated,
    StatementRow,
    Totals,
    Wanted,
)
from shared.sla.instants import parse_instant
from shared.wire.verdicts import VerdictData

_REFUSALS: Final = ("22", "23", "54")  # SQLSTATE classes: data exception, integrity violation, program limit
_OUR_FAULT: Final = "42"  # syntax, missing table, missing right: waiting would hide it
_CHARACTERS_MAX: Final = 500  # of a name in an indexed or listed column; the body keeps it whole


def _clean(text: str) -> str:
    """PostgreSQL's text holds no NUL; a name is cut to a length that an index can hold."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:_CHARACTERS_MAX]


def _or_none(text: str | None) -> str | None:
    return None if text is None else _clean(text)


def _instant(text: str | None) -> int | None:
    return None if text is None else parse_instant(text)


def standing_of(data: VerdictData) -> Standing:
    """Where a breach stands by the state that its statement tells: not breached is retracted."""
    standing: dict[str, Standing] = {"breached": "open", "breached_closed": "closed"}
    return standing.get(data.state, "retracted")


def _verdict_values(stated: Stated) -> dict[str, Any]:
    verdict = stated.verdict
    return {
        "id": verdict.id,
        "breach_id": verdict.data.breach_id,
        "revision": verdict.data.revision,
        "type": verdict.type,
        "decided_at": parse_instant(verdict.data.decided_at),
        "appended": stated.appended,
        "partition": stated.partition,
        "offset": stated.offset,
        "body": stated.body.decode(),
    }


def _place(data: VerdictData) -> dict[str, Any]:
    return {
        "breach_id": data.breach_id,
        "agreement": _clean(data.agreement),
        "objective": _clean(data.objective),
        "vendor": _clean(data.vendor),
        "service": _clean(data.service),
        "case": _or_none(data.case),
        "severity": _clean(data.severity),
        "started": _instant(data.started),
        "due": _instant(data.due),
    }


def _breach_values(stated: Stated) -> dict[str, Any]:
    data = stated.verdict.data
    decided_at = parse_instant(data.decided_at)
    return _place(data) | {
        "revision": data.revision,
        "standing": standing_of(data),
        "version": data.version,
        "cycle": data.cycle,
        "cause": _or_none(data.cause),
        "stopped": _instant(data.stopped),
        "target_s": data.target_s,
        "late_s": data.late_s,
        "overdue_s": data.overdue_s,
        "opened_at": decided_at,
        "changed_at": decided_at,
    }


def _risk_values(kind: str, stated: Stated) -> dict[str, Any]:
    data = stated.verdict.data
    threshold = data.threshold if isinstance(data.threshold, str) else None
    return _place(data) | {"kind": kind, "threshold": _or_none(threshold), "since": parse_instant(data.decided_at)}


@contextlib.asynccontextmanager
async def _guarded(seconds: float) -> AsyncIterator[None]:
    """Bound the time, and give the database's troubles their two names."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except DBAPIError as wrong:
        cause = getattr(wrong.orig, "__cause__", None)
        state = str(getattr(wrong.orig, "sqlstate", None) or getattr(cause, "sqlstate", None) or "")
        if state.startswith(_REFUSALS) or isinstance(cause, ClientDataError):
            raise LedgerRefused(f"{type(cause or wrong.orig).__name__}: {wrong.orig}") from wrong
        if state.startswith(_OUR_FAULT):
            raise
        raise LedgerUnavailable(f"{type(cause or wrong.orig).__name__}: {wrong.orig}") from wrong
    except (SQLAlchemyError, OSError, TimeoutError) as wrong:
        raise LedgerUnavailable(f"{type(wrong).__name__}: {wrong}") from wrong


_LOCK_EACH: Final = sa.text(
    "SELECT pg_advisory_xact_lock(k) FROM "
    "(SELECT DISTINCT hashtextextended(b, 0) AS k FROM unnest(CAST(:b AS text[])) AS b ORDER BY 1) AS ordered"
)
_BREACH_COLUMNS: Final = tuple(breaches.c[name] for name in BreachRow.__struct_fields__)
_RISK_COLUMNS: Final = tuple(risks.c[name] for name in RiskRow.__struct_fields__)
_DELIVERY_COLUMNS: Final = tuple(deliveries.c[name] for name in DeliveryRow._fields)


def _breach(row: sa.Row[Any]) -> BreachRow:
    return BreachRow(**row._mapping)


class PostgresLedger:
    """Both ledgers over one pool. `timeout` bounds every call, in seconds."""

    def __init__(self, engine: AsyncEngine, *, timeout: float = 10) -> None:
        self._engine, self._timeout = engine, timeout

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        async with _guarded(self._timeout), self._engine.begin() as connection:
            yield connection

    # ---- the breach ledger

    async def record(self, verdict_ids: Sequence[str], breach_ids: Sequence[str], decide: Decide, lease_until: int) -> Changes:
        async with self._transaction() as connection:
            # An advisory lock per breach rather than row locks: a breach's first statement has no row to lock yet. In order: no deadlock.
            await connection.execute(
                _LOCK_EACH,
                {"b": list(breach_ids)},
            )
            ids = await connection.execute(sa.select(verdicts.c.id).where(verdicts.c.id == sa.any_(sa.literal(list(verdict_ids), _TEXTS))))
            last = await connection.execute(
                sa.select(breaches.c.breach_id, breaches.c.revision).where(
                    breaches.c.breach_id == sa.any_(sa.literal(list(breach_ids), _TEXTS))
                )
            )
            changes = decide(Known(set(ids.scalars()), {row.breach_id: row.revision for row in last}))
            await self._write(connection, changes, lease_until)
        return changes

    async def _write(self, connection: AsyncConnection, changes: Changes, lease_until: int) -> None:
        if changes.statements:
            await connection.execute(sa.insert(verdicts), [_verdict_values(stated) for stated in changes.statements])
        if changes.breaches:
            new = insert(breaches)
            kept = ("breach_id", "opened_at")
            values = [_breach_values(stated) for stated in changes.breaches.values()]
            statement = new.on_conflict_do_update(
                index_elements=["breach_id"], set_={name: new.excluded[name] for name in values[0] if name not in kept}
            )
            await connection.execute(statement, values)
        if changes.reopened:
            await connection.execute(self._of(changes.reopened).values(acknowledged_at=None, acknowledged_by=None, final=False))
        if changes.contested:
            await connection.execute(self._of(changes.contested).values(contested=True))
        if changes.final:
            await connection.execute(self._of(changes.final).values(final=True))
        if changes.cleared:
            await connection.execute(sa.delete(risks).where(risks.c.breach_id == sa.any_(sa.literal(list(changes.cleared), _TEXTS))))
        if changes.risks:
            at_risk = insert(risks)
            rows = [_risk_values(kind, stated) for (_, kind), stated in changes.risks.items()]
            await connection.execute(
                at_risk.on_conflict_do_update(
                    index_elements=["breach_id", "kind"],
                    set_={name: at_risk.excluded[name] for name in rows[0] if name not in ("breach_id", "kind")},
                ),
                rows,
            )
        if changes.inhibited:
            await connection.execute(
                sa.update(deliveries)
                .where(deliveries.c.breach_id == sa.any_(sa.literal(list(changes.inhibited), _TEXTS)))
                .where(deliveries.c.warning, deliveries.c.state == "pending")
                .values(state="inhibited", next_attempt_at=None)
            )
        if changes.deliveries:
            planned = [
                delivery._asdict() | {"next_attempt_at": lease_until if delivery.state == "pending" else None}
                for delivery in changes.deliveries
            ]
            await connection.execute(sa.insert(deliveries), planned)

    @staticmethod
    def _of(breach_ids: set[str]) -> sa.Update:
        return sa.update(breaches).where(breaches.c.breach_id == sa.any_(sa.literal(list(breach_ids), _TEXTS)))

    async def breaches(self, wanted: Wanted, *, limit: int, before: int | None = None) -> list[BreachRow]:
        query = sa.select(*_BREACH_COLUMNS).order_by(breaches.c.seq.desc()).limit(limit)
        for name in ("vendor", "agreement", "objective", "standing", "severity"):
            value = getattr(wanted, name)
            if value is not None:
                query = query.where(breaches.c[name] == _clean(value))
        if wanted.acknowledged is not None:
            query = query.where(breaches.c.acknowledged_at.is_not(None) if wanted.acknowledged else breaches.c.acknowledged_at.is_(None))
        if wanted.since is not None:
            query = query.where(breaches.c.changed_at >= wanted.since)
        if before is not None:
            query = query.where(breaches.c.seq < before)
        async with self._transaction() as connection:
            return [_breach(row) for row in await connection.execute(query)]

    async def case(self, breach_id: str, vendor: str | None = None) -> Case | None:
        query = sa.select(*_BREACH_COLUMNS).where(breaches.c.breach_id == _clean(breach_id))
        if vendor is not None:
            query = query.where(breaches.c.vendor == _clean(vendor))
        async with self._transaction() as connection:
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                return None
            said = await connection.execute(
                sa.select(*(verdicts.c[name] for name in StatementRow._fields))
                .where(verdicts.c.breach_id == row.breach_id)
                .order_by(verdicts.c.decided_at, verdicts.c.revision.nulls_first(), verdicts.c.partition, verdicts.c.offset)
            )
            sent = await connection.execute(
                sa.select(*_DELIVERY_COLUMNS)
                .where(deliveries.c.breach_id == row.breach_id)
                .order_by(deliveries.c.settled_at.nulls_last(), deliveries.c.channel)
            )
            done = await connection.execute(
                sa.select(*(breach_actions.c[name] for name in ActionRow._fields))
                .where(breach_actions.c.breach_id == row.breach_id)
                .order_by(breach_actions.c.id)
            )
            return Case(
                _breach(row),
                [StatementRow(*each) for each in said],
                [DeliveryRow(*each) for each in sent],
                [ActionRow(*each) for each in done],
            )

    async def recent(self, standings: Sequence[Standing], *, vendor: str | None = None, limit: int) -> list[BreachRow]:
        query = (
            sa.select(*_BREACH_COLUMNS)
            .where(breaches.c.standing.in_(standings))
            .order_by(breaches.c.changed_at.desc(), breaches.c.seq.desc())
            .limit(limit)
        )
        if vendor is not None:
            query = query.where(breaches.c.vendor == _clean(vendor))
        async with self._transaction() as connection:
            return [_breach(row) for row in await connection.execute(query)]

    async def risks(self, *, vendor: str | None = None, limit: int) -> list[RiskRow]:
        query = sa.select(*_RISK_COLUMNS).order_by(risks.c.due.nulls_last(), risks.c.breach_id).limit(limit)
        if vendor is not None:
            query = query.where(risks.c.vendor == _clean(vendor))
        async with self._transaction() as connection:
            return [RiskRow(**row._mapping) for row in await connection.execute(query)]

    async def totals(self, vendor: str | None = None) -> Totals:
        count = sa.func.count()
        open_ = sa.select(count, count.filter(breaches.c.acknowledged_at.is_(None))).where(breaches.c.standing == "open")
        risky = sa.select(sa.func.count(sa.distinct(risks.c.breach_id)))
        if vendor is not None:
            open_, risky = open_.where(breaches.c.vendor == _clean(vendor)), risky.where(risks.c.vendor == _clean(vendor))
        async with self._transaction() as connection:
            number, unacknowledged = (await connection.execute(open_)).one()
            return Totals(number, unacknowledged, (await connection.execute(risky)).scalar_one())

    async def counts(self) -> tuple[list[Count], list[Count]]:
        labels = ("vendor", "agreement", "objective", "severity")
        async with self._transaction() as connection:
            columns = [breaches.c[name] for name in labels]
            open_ = await connection.execute(sa.select(*columns, sa.func.count()).where(breaches.c.standing == "open").group_by(*columns))
            columns = [risks.c[name] for name in labels]
            risky = await connection.execute(sa.select(*columns, sa.func.count(sa.distinct(risks.c.breach_id))).group_by(*columns))
            return [Count._make(row) for row in open_], [Count._make(row) for row in risky]

    async def act(self, breach_id: str, action: Action, by: Actor, at: int, text: str = "") -> BreachRow | None:
        mine = breaches.c.breach_id == _clean(breach_id)
        async with self._transaction() as connection:
            row = (await connection.execute(sa.select(*_BREACH_COLUMNS).where(mine).with_for_update())).one_or_none()
            if row is None:
                return None
            breach = _breach(row)
            if action == "acknowledge":
                if breach.acknowledged_at is not None:
                    return breach
                await connection.execute(sa.update(breaches).where(mine).values(acknowledged_at=at, acknowledged_by=_clean(by.name)))
                breach = msgspec.structs.replace(breach, acknowledged_at=at, acknowledged_by=by.name)
            written = {"breach_id": breach.breach_id, "at": at, "action": action, "text": text.replace("\0", "")}
            written |= {"actor": _clean(by.name), "credential": by.credential, "role": by.role}
            await connection.execute(sa.insert(breach_actions).values(written))
            return breach

    # ---- the delivery ledger

    async def claim(self, channel: str, now: int, lease_until: int, limit: int) -> list[Claimed]:
        due = (
            sa.select(deliveries.c.verdict_id)
            .where(deliveries.c.channel == channel, deliveries.c.state == "pending", deliveries.c.next_attempt_at <= now)
            .order_by(deliveries.c.next_attempt_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        take = (
            sa.update(deliveries)
            .where(deliveries.c.verdict_id.in_(due), deliveries.c.channel == channel, deliveries.c.verdict_id == verdicts.c.id)
            .values(next_attempt_at=lease_until)
            .returning(deliveries.c.verdict_id, deliveries.c.attempts, verdicts.c.appended, verdicts.c.body, verdicts.c.offset)
        )
        async with self._transaction() as connection:
            rows = sorted(await connection.execute(take), key=lambda row: (row.appended, row.offset))
        return [Claimed(row.verdict_id, channel, row.attempts, row.appended, row.body.encode(), lease_until) for row in rows]

    async def renew(self, verdict_id: str, channel: str, lease_until: int, new_lease_until: int) -> bool:
        take = (
            sa.update(deliveries)
            .where(deliveries.c.verdict_id == verdict_id, deliveries.c.channel == channel)
            .where(deliveries.c.state == "pending", deliveries.c.next_attempt_at == lease_until)
            .values(next_attempt_at=new_lease_until)
            .returning(deliveries.c.verdict_id)
        )
        async with self._transaction() as connection:
            return (await connection.execute(take)).one_or_none() is not None

    async def settle(self, outcomes: Sequence[Outcome]) -> None:
        if not outcomes:
            return
        write = (
            sa.update(deliveries)
            .where(deliveries.c.verdict_id == sa.bindparam("v"), deliveries.c.channel == sa.bindparam("c"))
            .where(deliveries.c.state == "pending")
            .values(
                state=sa.bindparam("s"),
                attempts=sa.bindparam("n"),
                next_attempt_at=sa.bindparam("next"),
                settled_at=sa.bindparam("at"),
                error=sa.bindparam("e"),
            )
        )
        values = [
            {"v": o.verdict_id, "c": o.channel, "s": o.state, "n": o.attempts, "next": o.next_attempt_at, "at": o.at, "e": _clean(o.error)}
            for o in sorted(outcomes)  # in one order everywhere: no deadlock
        ]
        async with self._transaction() as connection:
            await connection.execute(write, values)

    async def disable(self, channel: str, reason: str, at: int) -> None:
        async with self._transaction() as connection:
            await connection.execute(
                insert(disabled_channels).values(channel=channel, reason=_clean(reason), at=at).on_conflict_do_nothing()
            )
            await connection.execute(
                sa.update(deliveries)
                .where(deliveries.c.channel == channel, deliveries.c.state == "pending")
                .values(state="disabled", next_attempt_at=None, error=_clean(reason))
            )

    async def enable(self, channel: str) -> bool:
        gone = sa.delete(disabled_channels).where(disabled_channels.c.channel == channel).returning(disabled_channels.c.channel)
        async with self._transaction() as connection:
            return (await connection.execute(gone)).one_or_none() is not None

    async def disabled(self) -> dict[str, str]:
        async with self._transaction() as connection:
            rows = await connection.execute(sa.select(disabled_channels.c.channel, disabled_channels.c.reason))
            return {row.channel: row.reason for row in rows}


_TEXTS: Final = sa.ARRAY(sa.Text)
