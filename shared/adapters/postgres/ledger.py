"""`shared.ports.ledger.Ledger` and `shared.ports.deliveries.Deliveries` in PostgreSQL."""

import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.adapters.postgres.alert_tables import told
from shared.adapters.postgres.alerts import (
    any_of,
    hold_groups,
    stop_steps,
    tell_acknowledged,
    texts_of,
    write_deliveries,
    write_groups,
)
from shared.adapters.postgres.breach_rows import BREACH_COLUMNS, breach_of
from shared.adapters.postgres.columns import upsert
from shared.adapters.postgres.guarding import clean, guarded
from shared.adapters.postgres.ledger_tables import breach_actions, breaches, deliveries, disabled_channels, risks, verdicts
from shared.ports.casework import correction_of
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
    RiskRow,
    Standing,
    Stated,
    StatementRow,
    Totals,
    Wanted,
)
from shared.sla.instants import MINUTE, parse_instant
from shared.wire.verdicts import VerdictData


def _or_none(text: str | None) -> str | None:
    return None if text is None else clean(text)


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
        "agreement": clean(data.agreement),
        "objective": clean(data.objective),
        "vendor": clean(data.vendor),
        "service": clean(data.service),
        "case": _or_none(data.case),
        "severity": clean(data.severity),
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


_LOCK_EACH: Final = sa.text(
    "SELECT pg_advisory_xact_lock(k) FROM "
    "(SELECT DISTINCT hashtextextended(b, 0) AS k FROM unnest(CAST(:b AS text[])) AS b ORDER BY 1) AS ordered"
)
_RISK_COLUMNS: Final = tuple(risks.c[name] for name in RiskRow.__struct_fields__)
_OF_BOTH: Final = ("agreement", "objective", "vendor", "service", "case", "severity", "started", "due")
_OF_BREACHES: Final = ("revision", "standing", "version", "cycle", "cause", "stopped", "target_s", "late_s", "overdue_s", "changed_at")
_UPSERT_BREACHES: Final = upsert(breaches, ["breach_id"], [*_OF_BOTH, *_OF_BREACHES])
_UPSERT_RISKS: Final = upsert(risks, ["breach_id", "kind"], [*_OF_BOTH, "threshold", "since"])
_DELIVERY_COLUMNS: Final = tuple(deliveries.c[name] for name in DeliveryRow._fields if name != "verdict_id")
FOREVER: Final = 1 << 62


class PostgresLedger:
    """Both ledgers over one pool. `timeout` bounds every call, in seconds."""

    def __init__(self, engine: AsyncEngine, *, timeout: float = 10) -> None:
        self._engine, self._timeout = engine, timeout

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        async with guarded(self._timeout), self._engine.begin() as connection:
            yield connection

    # ---- the breach ledger

    async def record(
        self, verdict_ids: Sequence[str], breach_ids: Sequence[str], decide: Decide, lease_until: int, groups: Sequence[str] | None = None
    ) -> Changes:
        async with self._transaction() as connection:
            # An advisory lock per breach rather than row locks: a breach's first statement has no row to lock yet. In order: no deadlock.
            await connection.execute(
                _LOCK_EACH,
                {"b": list(breach_ids)},
            )
            known, acknowledged = await self._known(connection, verdict_ids, breach_ids)
            if groups is not None:
                held, facts = await hold_groups(connection, groups, breach_ids, lease_until - MINUTE)
                known = known._replace(groups=held, facts=facts)
            changes = decide(known)
            await self._write(connection, changes)
            if groups is not None:
                await write_groups(connection, changes.alerts, breach_ids, changes.now)
            await write_deliveries(connection, changes.deliveries, lease_until)
            here = {stated.id for stated in changes.statements}
            changes.texts = await texts_of(connection, {shown for each in changes.deliveries for shown in each.shown} - here)
            asked_anew = changes.reopened | changes.alerts.expired
            changes.acknowledged = {breach_id: name for breach_id, name in acknowledged.items() if breach_id not in asked_anew}
        return changes

    @staticmethod
    async def _known(connection: AsyncConnection, verdict_ids: Sequence[str], breach_ids: Sequence[str]) -> tuple[Known, dict[str, str]]:
        """What is on record of these, and who has taken on which of the breaches; one question, as each costs as much."""
        seen = sa.select(verdicts.c.id, sa.null(), sa.null()).where(any_of(verdicts.c.id, verdict_ids))
        last = sa.select(breaches.c.breach_id, breaches.c.revision, breaches.c.acknowledged_by).where(
            any_of(breaches.c.breach_id, breach_ids)
        )
        ids, revisions, acknowledged = set[str](), dict[str, int](), dict[str, str]()
        for name, revision, by in await connection.execute(sa.union_all(last, seen)):
            if revision is None:
                ids.add(name)
            else:
                revisions[name] = revision
                if by is not None:
                    acknowledged[name] = by
        return Known(ids, revisions), acknowledged

    async def _write(self, connection: AsyncConnection, changes: Changes) -> None:
        if changes.statements:
            await connection.execute(sa.insert(verdicts), [_verdict_values(stated) for stated in changes.statements])
        if changes.breaches:
            await connection.execute(_UPSERT_BREACHES, [_breach_values(stated) for stated in changes.breaches.values()])
        if changes.reopened:
            stage = sa.case((breaches.c.stage == "closed", "open"), else_=breaches.c.stage)  # its case is not over any more
            anew = self._of(changes.reopened).values(acknowledged_at=None, acknowledged_by=None, final=False, stage=stage)
            await connection.execute(anew)
        if changes.contested:
            await connection.execute(self._of(changes.contested).values(contested=True))
        if changes.final:
            await connection.execute(self._of(changes.final).values(final=True))
        if changes.cleared:
            await connection.execute(sa.delete(risks).where(risks.c.breach_id == sa.any_(sa.literal(list(changes.cleared), _TEXTS))))
        if changes.risks:
            rows = [_risk_values(kind, stated) for (_, kind), stated in changes.risks.items()]
            await connection.execute(_UPSERT_RISKS, rows)
        if changes.inhibited:
            await connection.execute(
                sa.update(deliveries)
                .where(deliveries.c.breach_id == sa.any_(sa.literal(list(changes.inhibited), _TEXTS)))
                .where(deliveries.c.warning, deliveries.c.state == "pending")
                .values(state="inhibited", next_attempt_at=None)
            )

    @staticmethod
    def _of(breach_ids: set[str]) -> sa.Update:
        return sa.update(breaches).where(breaches.c.breach_id == sa.any_(sa.literal(list(breach_ids), _TEXTS)))

    async def breaches(self, wanted: Wanted, *, limit: int, before: int | None = None) -> list[BreachRow]:
        query = sa.select(*BREACH_COLUMNS).order_by(breaches.c.seq.desc()).limit(limit)
        for name in ("vendor", "agreement", "objective", "standing", "severity", "status", "owner", "priority", "category"):
            value = getattr(wanted, name)
            if value is not None:
                query = query.where(breaches.c[name] == clean(value))
        if wanted.acknowledged is not None:
            query = query.where(breaches.c.acknowledged_at.is_not(None) if wanted.acknowledged else breaches.c.acknowledged_at.is_(None))
        if wanted.since is not None:
            query = query.where(breaches.c.changed_at >= wanted.since)
        if before is not None:
            query = query.where(breaches.c.seq < before)
        async with self._transaction() as connection:
            return [breach_of(row) for row in await connection.execute(query)]

    async def case(self, breach_id: str, vendor: str | None = None) -> Case | None:
        query = sa.select(*BREACH_COLUMNS).where(breaches.c.breach_id == clean(breach_id))
        if vendor is not None:
            query = query.where(breaches.c.vendor == clean(vendor))
        async with self._transaction() as connection:
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                return None
            names = (row.breach_id, correction_of(row.breach_id))
            said = await connection.execute(
                sa.select(*(verdicts.c[name] for name in StatementRow._fields))
                .where(verdicts.c.breach_id.in_(names))
                .order_by(verdicts.c.decided_at, verdicts.c.revision.nulls_first(), verdicts.c.partition, verdicts.c.offset)
            )
            together = sa.select(told.c.verdict_id, *_DELIVERY_COLUMNS).join(deliveries, deliveries.c.notice == told.c.notice)
            alone = sa.select(deliveries.c.verdicts[1], *_DELIVERY_COLUMNS).where(deliveries.c.breach_id.in_(names))
            sent = await connection.execute(sa.union_all(alone, together.where(told.c.breach_id.in_(names))))
            rows = sorted((DeliveryRow(*each) for each in sent), key=lambda each: (each.settled_at or FOREVER, each.channel))
            done = await connection.execute(
                sa.select(*(breach_actions.c[name] for name in ActionRow._fields))
                .where(breach_actions.c.breach_id == row.breach_id)
                .order_by(breach_actions.c.id)
            )
            return Case(
                breach_of(row),
                [StatementRow(*each) for each in said],
                rows,
                [ActionRow(*each) for each in done],
            )

    async def recent(self, standings: Sequence[Standing], *, vendor: str | None = None, limit: int) -> list[BreachRow]:
        query = (
            sa.select(*BREACH_COLUMNS)
            .where(breaches.c.standing.in_(standings))
            .order_by(breaches.c.changed_at.desc(), breaches.c.seq.desc())
            .limit(limit)
        )
        if vendor is not None:
            query = query.where(breaches.c.vendor == clean(vendor))
        async with self._transaction() as connection:
            return [breach_of(row) for row in await connection.execute(query)]

    async def risks(self, *, vendor: str | None = None, limit: int) -> list[RiskRow]:
        query = sa.select(*_RISK_COLUMNS).order_by(risks.c.due.nulls_last(), risks.c.breach_id).limit(limit)
        if vendor is not None:
            query = query.where(risks.c.vendor == clean(vendor))
        async with self._transaction() as connection:
            return [RiskRow(**row._mapping) for row in await connection.execute(query)]

    async def totals(self, vendor: str | None = None) -> Totals:
        count = sa.func.count()
        open_ = sa.select(count, count.filter(breaches.c.acknowledged_at.is_(None))).where(breaches.c.standing == "open")
        risky = sa.select(sa.func.count(sa.distinct(risks.c.breach_id)))
        if vendor is not None:
            open_, risky = open_.where(breaches.c.vendor == clean(vendor)), risky.where(risks.c.vendor == clean(vendor))
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

    async def act(self, breach_id: str, action: Action, by: Actor, at: int, text: str = "", tell: Collection[str] = ()) -> BreachRow | None:
        mine = breaches.c.breach_id == clean(breach_id)
        async with self._transaction() as connection:
            row = (await connection.execute(sa.select(*BREACH_COLUMNS).where(mine).with_for_update())).one_or_none()
            if row is None:
                return None
            breach = breach_of(row)
            if action == "acknowledge":
                if breach.acknowledged_at is not None:
                    return breach
                await connection.execute(sa.update(breaches).where(mine).values(acknowledged_at=at, acknowledged_by=clean(by.name)))
                status = "acknowledged" if breach.status == "open" else breach.status  # as the column reckons it
                breach = msgspec.structs.replace(breach, acknowledged_at=at, acknowledged_by=by.name, status=status)
                await stop_steps(connection, breach.breach_id, at)
                if breach.standing == "open":
                    await tell_acknowledged(connection, breach.breach_id, breach.revision, tell, at)
            written = {"breach_id": breach.breach_id, "at": at, "action": action, "text": text.replace("\0", "")}
            written |= {"actor": clean(by.name), "credential": by.credential, "role": by.role}
            await connection.execute(sa.insert(breach_actions).values(written))
            return breach

    # ---- the delivery ledger

    async def claim(self, channel: str, now: int, lease_until: int, limit: int) -> list[Claimed]:
        due = (
            sa.select(deliveries.c.notice)
            .where(deliveries.c.channel == channel, deliveries.c.state == "pending", deliveries.c.next_attempt_at <= now)
            .order_by(deliveries.c.next_attempt_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        names = ("notice", "attempts", "thread", "reason", "total", "verdicts")
        take = (
            sa.update(deliveries)
            .where(deliveries.c.notice.in_(due), deliveries.c.channel == channel)
            .values(next_attempt_at=lease_until)
            .returning(*(deliveries.c[name] for name in names))
        )
        async with self._transaction() as connection:
            rows = (await connection.execute(take)).all()
            texts = await texts_of(connection, {verdict_id for row in rows for verdict_id in row.verdicts})
        found = []
        for row in rows:
            shown = [texts[verdict_id] for verdict_id in row.verdicts]
            bodies, appended = tuple(text.body for text in shown), max(text.appended for text in shown)
            taken_on = tuple(text.acknowledged_by for text in shown)
            found.append(
                Claimed(row.notice, channel, row.attempts, appended, bodies, lease_until, row.thread, row.reason, row.total, taken_on)
            )
        return sorted(found, key=lambda claimed: claimed.appended)

    async def renew(self, key: str, channel: str, lease_until: int, new_lease_until: int) -> bool:
        take = (
            sa.update(deliveries)
            .where(deliveries.c.notice == key, deliveries.c.channel == channel)
            .where(deliveries.c.state == "pending", deliveries.c.next_attempt_at == lease_until)
            .values(next_attempt_at=new_lease_until)
            .returning(deliveries.c.notice)
        )
        async with self._transaction() as connection:
            return (await connection.execute(take)).one_or_none() is not None

    async def settle(self, outcomes: Sequence[Outcome]) -> None:
        if not outcomes:
            return
        write = (
            sa.update(deliveries)
            .where(deliveries.c.notice == sa.bindparam("k"), deliveries.c.channel == sa.bindparam("c"))
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
            {"k": o.key, "c": o.channel, "s": o.state, "n": o.attempts, "next": o.next_attempt_at, "at": o.at, "e": clean(o.error)}
            for o in sorted(outcomes)  # in one order everywhere: no deadlock
        ]
        async with self._transaction() as connection:
            await connection.execute(write, values)

    async def disable(self, channel: str, reason: str, at: int) -> None:
        async with self._transaction() as connection:
            await connection.execute(
                insert(disabled_channels).values(channel=channel, reason=clean(reason), at=at).on_conflict_do_nothing()
            )
            await connection.execute(
                sa.update(deliveries)
                .where(deliveries.c.channel == channel, deliveries.c.state == "pending")
                .values(state="disabled", next_attempt_at=None, error=clean(reason))
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
