"""`shared.ports.alerts.Alerts` in PostgreSQL, and what the ledger's transactions do to groups.

Locks are taken in one order everywhere: breaches, groups (advisory, then rows), deliveries.
"""

import contextlib
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.adapters.postgres.alert_tables import groups, members, overrides, silences, sources, told
from shared.adapters.postgres.columns import upsert
from shared.adapters.postgres.guarding import clean, guarded
from shared.adapters.postgres.ledger_tables import STATING, breach_actions, breaches, deliveries, verdicts
from shared.alerting.decisions import decoded, encoded
from shared.alerting.groups import Facts, Group, Silence
from shared.alerting.terms import Match
from shared.ports.alerts import DecideGroups, GroupChanges, StoredOverride, StoredSilence, Text, Woken
from shared.ports.deliveries import PUT_OFF, Planned
from shared.sla.instants import MINUTE

TEXTS: Final = sa.ARRAY(sa.Text)
_CHUNK: Final = 5_000  # rows of one INSERT by arrays
_LOCK_GROUPS: Final = sa.text(
    "SELECT pg_advisory_xact_lock(k) FROM "
    "(SELECT DISTINCT hashtextextended(b, 1) AS k FROM unnest(CAST(:b AS text[])) AS b ORDER BY 1) AS ordered"
)
_TAKE_DUE: Final = sa.text(
    "WITH due AS MATERIALIZED (SELECT key FROM alert_groups WHERE next_at <= :now ORDER BY next_at LIMIT :most) "
    "SELECT key FROM due WHERE pg_try_advisory_xact_lock(hashtextextended(key, 1))"
).bindparams(sa.bindparam("now", type_=groups.c.next_at.type))
_JOIN: Final = insert(members).on_conflict_do_nothing()
_DELIVER: Final = insert(deliveries).on_conflict_do_nothing()
_UPSERT_GROUPS: Final = upsert(groups, ["key"], ["state", "next_at", "held"])
_UPSERT_SOURCES: Final = upsert(sources, ["breach_id"], ["labels"])
_SILENCE_COLUMNS: Final = tuple(silences.c)
_OVERRIDE_COLUMNS: Final = tuple(overrides.c[name] for name in StoredOverride._fields)


def any_of(column: sa.Column[str], values: Iterable[str]) -> sa.ColumnElement[bool]:
    """The column is one of the values, as one parameter however many there are."""
    return column == sa.any_(sa.literal(list(values), TEXTS))


# ---- parts of transactions


async def hold_groups(
    connection: AsyncConnection, keys: Collection[str], breach_ids: Sequence[str], now: int
) -> tuple[dict[str, Group], Facts]:
    """Lock the groups with these keys and those that hold these breaches, and read them with what decides about them."""
    held = await connection.execute(sa.select(members.c.key).distinct().where(any_of(members.c.breach_id, breach_ids)))
    wanted = sorted({*keys, *held.scalars()})
    await connection.execute(_LOCK_GROUPS, {"b": wanted})
    found = await _read_groups(connection, wanted)
    return found, await _facts(connection, {*breach_ids, *(name for group in found.values() for name in group.members)}, now)


async def _read_groups(connection: AsyncConnection, keys: Collection[str]) -> dict[str, Group]:
    rows = await connection.execute(sa.select(groups.c.key, groups.c.state).where(any_of(groups.c.key, keys)))
    return {row.key: decoded(row.state) for row in rows}


async def _facts(connection: AsyncConnection, breach_ids: Collection[str], now: int) -> Facts:
    recent = silences.c.ends_at > now - MINUTE  # whether one is over is for the decision to say
    quiet = await connection.execute(sa.select(*_SILENCE_COLUMNS).where(recent))
    columns = (breaches.c.breach_id, breaches.c.acknowledged_at, breaches.c.stage.in_(("excused", "closed")))
    taken = sa.select(*columns, sa.cast(sa.null(), sources.c.labels.type)).where(
        any_of(breaches.c.breach_id, breach_ids), breaches.c.acknowledged_at.is_not(None)
    )
    inhibiting = sa.select(sources.c.breach_id, sa.null(), sa.false(), sources.c.labels)
    facts = Facts(silences=tuple(_silence(row).silence for row in quiet))
    for breach_id, acknowledged_at, dealt_with, labels in await connection.execute(sa.union_all(taken, inhibiting)):
        if acknowledged_at is None:
            facts.sources[breach_id] = labels
        else:
            facts.acknowledged[breach_id] = acknowledged_at
            if dealt_with:
                facts.dealt_with.add(breach_id)
    return facts


async def write_groups(connection: AsyncConnection, changes: GroupChanges, breach_ids: Collection[str], now: int) -> None:
    """Groups after a turn; `breach_ids` are those that may have become members."""
    if changes.expired:
        await _expire(connection, changes.expired, now)
    gone = [key for key, kept in changes.groups.items() if kept.group is None]
    stay = {key: kept for key, kept in sorted(changes.groups.items()) if kept.group is not None}
    if gone:
        await connection.execute(sa.delete(groups).where(any_of(groups.c.key, gone)))
    if stay:
        values = [
            {"key": key, "state": encoded(kept.group), "next_at": kept.next_at, "held": kept.held}
            for key, kept in stay.items()
            if kept.group
        ]
        await connection.execute(_UPSERT_GROUPS, values)
        joined = [
            {"breach_id": breach_id, "key": key}
            for key, kept in stay.items()
            if kept.group
            for breach_id in (kept.group.members if len(kept.group.members) < len(breach_ids) else breach_ids)
            if breach_id in kept.group.members
        ]
        if joined and breach_ids:
            await connection.execute(_JOIN, joined)
    if changes.began:
        await connection.execute(
            _UPSERT_SOURCES,
            [{"breach_id": breach_id, "labels": labels} for breach_id, labels in changes.began.items()],
        )
    if changes.ended:
        await connection.execute(sa.delete(sources).where(any_of(sources.c.breach_id, changes.ended)))
        await _stir(connection, now, groups.c.held)


async def _expire(connection: AsyncConnection, breach_ids: Collection[str], now: int) -> None:
    """Acknowledgements that hold no longer; the audit trail says so."""
    expire = (
        sa.update(breaches)
        .where(any_of(breaches.c.breach_id, breach_ids), breaches.c.acknowledged_at.is_not(None))
        .values(acknowledged_at=None, acknowledged_by=None)
        .returning(breaches.c.breach_id)
    )
    expired = (await connection.execute(expire)).scalars().all()
    written = {"at": now, "actor": "slawatch", "credential": "", "role": "", "action": "acknowledgement-timed-out", "text": ""}
    if expired:
        await connection.execute(sa.insert(breach_actions), [written | {"breach_id": breach_id} for breach_id in expired])


async def _stir(connection: AsyncConnection, now: int, which: sa.ColumnElement[bool]) -> None:
    later = sa.or_(groups.c.next_at.is_(None), groups.c.next_at > now)
    await connection.execute(sa.update(groups).where(which, later).values(next_at=now))


async def stir_breach(connection: AsyncConnection, breach_id: str, now: int) -> None:
    """Its groups decide again: what people made of it has changed."""
    await _stir(connection, now, groups.c.key.in_(sa.select(members.c.key).where(members.c.breach_id == breach_id)))


async def stop_steps(connection: AsyncConnection, breach_id: str, now: int) -> None:
    """Somebody has acknowledged: what waits to be delivered for want of that is not, and its groups decide again."""
    waiting = (deliveries.c.breach_id == breach_id, deliveries.c.state == "pending", deliveries.c.reason.in_(PUT_OFF))
    await stir_breach(connection, breach_id, now)
    await connection.execute(sa.update(deliveries).where(*waiting).values(state="inhibited", next_attempt_at=None))


async def write_deliveries(connection: AsyncConnection, planned: Sequence[Planned], lease_until: int) -> None:
    """New rows of the delivery ledger; what is there already stays as it is."""
    if not planned:
        return
    rows = [
        {
            "notice": each.key,
            "channel": each.channel,
            "breach_id": each.breach_id,
            "warning": each.warning,
            "state": each.state,
            "attempts": int(each.state == "sent"),
            "next_attempt_at": lease_until if each.state == "pending" else None,
            "thread": each.thread or each.breach_id,
            "reason": each.reason,
            "verdicts": list(each.shown),
            "total": each.total,
        }
        for each in planned
    ]
    await connection.execute(_DELIVER, rows)
    several = {(breach_id, each.key): verdict_id for each in planned for breach_id, verdict_id in each.told}
    values = [{"breach_id": breach_id, "notice": key, "verdict_id": verdict_id} for (breach_id, key), verdict_id in several.items()]
    for start in range(0, len(values), _CHUNK):
        await connection.execute(insert(told).on_conflict_do_nothing(), values[start : start + _CHUNK])


async def texts_of(connection: AsyncConnection, verdict_ids: Collection[str]) -> dict[str, Text]:
    """Verdicts as they stood on the topic, and who has taken on their breaches."""
    if not verdict_ids:
        return {}
    columns = (verdicts.c.id, verdicts.c.body, verdicts.c.appended, breaches.c.acknowledged_by)
    both = verdicts.outerjoin(breaches, breaches.c.breach_id == verdicts.c.breach_id)
    rows = await connection.execute(sa.select(*columns).select_from(both).where(any_of(verdicts.c.id, verdict_ids)))
    return {row.id: Text(row.body.encode(), row.appended, row.acknowledged_by or "") for row in rows}


async def tell_acknowledged(connection: AsyncConnection, breach_id: str, revision: int, channels: Collection[str], at: int) -> None:
    """Those of the channels that were told of the breach, or are about to be, hear that somebody has it."""
    if not channels:
        return
    newest = sa.select(verdicts.c.id).where(verdicts.c.breach_id == breach_id, verdicts.c.revision == revision, STATING)
    knowing = sa.select(deliveries.c.channel).distinct().where(any_of(deliveries.c.channel, channels), deliveries.c.breach_id == breach_id)
    verdict_id = (await connection.execute(newest)).scalar_one()
    told_ = (await connection.execute(knowing.where(deliveries.c.state.in_(("sent", "pending"))))).scalars().all()
    key = f"{verdict_id}/acknowledged/{at}"
    planned = [Planned(key, breach_id, channel, False, reason="acknowledged", verdicts=(verdict_id,)) for channel in sorted(told_)]
    await write_deliveries(connection, planned, at)


def _silence(row: sa.Row[Any]) -> StoredSilence:
    fields = dict(row._mapping)
    ended_by = fields.pop("ended_by")
    return StoredSilence(Silence(**fields | {"match": msgspec.convert(fields["match"], Match)}), ended_by)


# ---- the port


class PostgresAlerts:
    """`timeout` bounds every call, in seconds."""

    def __init__(self, engine: AsyncEngine, *, timeout: float = 10) -> None:
        self._engine, self._timeout = engine, timeout

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        async with guarded(self._timeout), self._engine.begin() as connection:
            yield connection

    async def wake(self, now: int, decide: DecideGroups, lease_until: int, limit: int) -> Woken:
        async with self._transaction() as connection:
            keys = (await connection.execute(_TAKE_DUE, {"now": now, "most": limit})).scalars().all()
            if not keys:
                return Woken(GroupChanges(), {}, more=False)
            still_due = await connection.execute(sa.select(groups.c.key).where(any_of(groups.c.key, keys), groups.c.next_at <= now))
            found = await _read_groups(connection, still_due.scalars().all())
            changes = decide(found, await _facts(connection, {name for group in found.values() for name in group.members}, now))
            await write_groups(connection, changes, (), now)
            await write_deliveries(connection, changes.deliveries, lease_until)
            texts = await texts_of(connection, {verdict_id for each in changes.deliveries for verdict_id in each.shown})
        return Woken(changes, texts, more=len(keys) == limit)

    async def stir(self, now: int, *, only_held: bool) -> None:
        async with self._transaction() as connection:
            await _stir(connection, now, groups.c.held if only_held else sa.true())

    async def facts(self, now: int) -> Facts:
        async with self._transaction() as connection:
            return await _facts(connection, (), now)

    async def silences(self, now: int, *, over: bool, limit: int) -> list[StoredSilence]:
        when, order = (silences.c.ends_at <= now, silences.c.ends_at.desc()) if over else (silences.c.ends_at > now, silences.c.ends_at)
        async with self._transaction() as connection:
            return [
                _silence(row) for row in await connection.execute(sa.select(*_SILENCE_COLUMNS).where(when).order_by(order).limit(limit))
            ]

    async def silence(self, silence: Silence) -> None:
        values = msgspec.structs.asdict(silence) | {"match": msgspec.to_builtins(silence.match)}
        values |= {"author": clean(silence.author), "reason": clean(silence.reason)}
        async with self._transaction() as connection:
            await connection.execute(sa.insert(silences).values(values))

    async def unsilence(self, silence_id: str, by: str, now: int) -> StoredSilence | None:
        end = sa.update(silences).where(silences.c.id == clean(silence_id), silences.c.ends_at > now)
        starts = sa.func.least(silences.c.starts_at, sa.literal(now, silences.c.ends_at.type))  # it may not have begun yet
        async with self._transaction() as connection:
            await connection.execute(end.values(ends_at=now, starts_at=starts, ended_by=clean(by)))
            found = await connection.execute(sa.select(*_SILENCE_COLUMNS).where(silences.c.id == clean(silence_id)))
            row = found.one_or_none()
            if row is not None:
                await _stir(connection, now, groups.c.held)
            return None if row is None else _silence(row)

    async def overrides(self, now: int) -> list[StoredOverride]:
        query = sa.select(*_OVERRIDE_COLUMNS).where(overrides.c.ends_at > now).order_by(overrides.c.seq)
        async with self._transaction() as connection:
            return [StoredOverride(*row) for row in await connection.execute(query)]

    async def override(self, override: StoredOverride) -> None:
        async with self._transaction() as connection:
            await connection.execute(sa.insert(overrides).values(override._asdict() | {"author": clean(override.author)}))

    async def remove_override(self, override_id: str) -> bool:
        gone = sa.delete(overrides).where(overrides.c.id == clean(override_id)).returning(overrides.c.id)
        async with self._transaction() as connection:
            return (await connection.execute(gone)).one_or_none() is not None
