"""`shared.ports.cases.Cases` in PostgreSQL: columns of the breach's own row, and the audit trail beside it."""

import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.adapters.postgres.alerts import stir_breach
from shared.adapters.postgres.breach_rows import BREACH_COLUMNS, breach_of
from shared.adapters.postgres.guarding import clean, guarded
from shared.adapters.postgres.ledger_tables import CORRECTING, breach_actions, breaches, deliveries, risks, verdicts
from shared.ports.cases import Decide, ObjectiveRow, SentRow, VendorRow
from shared.ports.casework import CORRECTION, Facts, Work
from shared.ports.deliveries import DeliveryState
from shared.ports.ledger import Actor, BreachRow
from shared.sla.instants import DAY
from shared.sla.terms import Money, Penalty

_OF_BREACHES: Final = ("vendor", "objective", "case")
_COUNT: Final = sa.func.count()
_OPEN: Final = breaches.c.standing == "open"
_WITHDRAWN: Final = breaches.c.standing == "retracted"


def _open_correction(work: Work) -> int | None:
    correction = work.correction
    return None if correction is None or correction.done_at is not None else correction.due


def _values(facts: Facts) -> dict[str, Any]:
    names = {name: None if value is None else clean(value) for name, value in (("category", facts.category), ("owner", facts.owner))}
    rest = {"stage": facts.stage, "priority": facts.priority, "work": facts.work, "correction_due": _open_correction(facts.work)}
    return names | rest


def _amount(money: Money | None) -> float:
    return float(money.amount) if money is not None else 0.0


class PostgresCases:
    """`timeout` bounds every call, in seconds."""

    def __init__(self, engine: AsyncEngine, *, timeout: float = 10) -> None:
        self._engine, self._timeout = engine, timeout

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        async with guarded(self._timeout), self._engine.begin() as connection:
            yield connection

    async def change(self, breach_id: str, vendor: str | None, decide: Decide, by: Actor, at: int) -> BreachRow | None:
        mine = sa.select(*BREACH_COLUMNS).where(breaches.c.breach_id == clean(breach_id))
        if vendor is not None:
            mine = mine.where(breaches.c.vendor == clean(vendor))
        async with self._transaction() as connection:
            row = (await connection.execute(mine.with_for_update())).one_or_none()
            if row is None:
                return None
            breach = breach_of(row)
            change = decide(breach)
            if change is None:
                return breach
            written = {"breach_id": breach.breach_id, "at": at, "action": change.action, "text": change.text.replace("\0", "")}
            written |= {"actor": clean(by.name), "credential": by.credential, "role": by.role}
            written |= {"changes": msgspec.to_builtins(change.changed) or None}
            await connection.execute(sa.insert(breach_actions).values(written))
            write = sa.update(breaches).where(breaches.c.breach_id == breach.breach_id).values(_values(change.facts))
            written_row = (await connection.execute(write.returning(*BREACH_COLUMNS))).one()
            if change.facts.stage != breach.stage:
                await stir_breach(connection, breach.breach_id, at)
            return breach_of(written_row)

    async def corrections(self, *, vendor: str | None = None, limit: int) -> list[BreachRow]:
        query = sa.select(*BREACH_COLUMNS).where(breaches.c.correction_due.is_not(None)).order_by(breaches.c.correction_due).limit(limit)
        if vendor is not None:
            query = query.where(breaches.c.vendor == clean(vendor))
        async with self._transaction() as connection:
            return [breach_of(row) for row in await connection.execute(query)]

    async def overdue(self, now: int, limit: int) -> list[BreachRow]:
        since = sa.select(sa.literal(1)).where(
            verdicts.c.breach_id == breaches.c.breach_id + CORRECTION, CORRECTING, verdicts.c.decided_at >= breaches.c.correction_due
        )
        late = sa.select(*BREACH_COLUMNS).where(breaches.c.correction_due <= now, breaches.c.status != "closed", ~since.exists())
        async with self._transaction() as connection:
            return [breach_of(row) for row in await connection.execute(late.order_by(breaches.c.correction_due).limit(limit))]

    async def cleared(self, now: int, limit: int) -> list[tuple[BreachRow, str]]:
        newest = (
            sa.select(verdicts.c.breach_id, verdicts.c.id, verdicts.c.type)
            .ext(distinct_on(verdicts.c.breach_id))
            .where(CORRECTING)
            .order_by(verdicts.c.breach_id, verdicts.c.decided_at.desc(), verdicts.c.appended.desc())
            .subquery()
        )
        due = breaches.c.correction_due
        query = (
            sa.select(newest.c.id.label("stated"), *BREACH_COLUMNS)
            .join(breaches, breaches.c.breach_id + CORRECTION == newest.c.breach_id)
            .where(newest.c.type == "slawatch.correction.overdue", sa.or_(due.is_(None), due > now, breaches.c.status == "closed"))
            .limit(limit)
        )
        async with self._transaction() as connection:
            rows = (await connection.execute(query)).mappings()
            return [(BreachRow(**{name: row[name] for name in BreachRow.__struct_fields__}), row["stated"]) for row in rows]

    async def vendors(self, now: int, days: int, vendor: str | None = None) -> list[VendorRow]:
        today = now // DAY
        first = today - days + 1
        day = sa.cast(sa.func.floor(sa.extract("epoch", breaches.c.opened_at) / 86_400), sa.BigInteger)
        recent = sa.select(breaches.c.vendor, day, _COUNT, _COUNT.filter(_WITHDRAWN)).where(breaches.c.opened_at >= first * DAY)
        standing = sa.select(breaches.c.vendor, _COUNT, _COUNT.filter(breaches.c.acknowledged_at.is_(None))).where(_OPEN)
        risky = sa.select(risks.c.vendor, sa.func.count(sa.distinct(risks.c.breach_id)))
        if vendor is not None:
            recent, standing = (query.where(breaches.c.vendor == clean(vendor)) for query in (recent, standing))
            risky = risky.where(risks.c.vendor == clean(vendor))
        daily: defaultdict[str, list[int]] = defaultdict(lambda: [0] * days)
        withdrawn: defaultdict[str, int] = defaultdict(int)
        async with self._transaction() as connection:
            for name, number, total, back in await connection.execute(recent.group_by(breaches.c.vendor, day)):
                daily[name][min(int(number) - first, days - 1)] += total  # decided by another clock: at most today
                withdrawn[name] += back
            open_ = {row[0]: (row[1], row[2]) for row in await connection.execute(standing.group_by(breaches.c.vendor))}
            at_risk: dict[str, int] = {row[0]: row[1] for row in await connection.execute(risky.group_by(risks.c.vendor))}
        return [
            VendorRow(
                vendor=name,
                open=open_.get(name, (0, 0))[0],
                unacknowledged=open_.get(name, (0, 0))[1],
                at_risk=at_risk.get(name, 0),
                withdrawn=withdrawn[name],
                total=sum(daily[name]),
                daily=tuple(daily[name]),
            )
            for name in sorted({*daily, *open_, *at_risk})
        ]

    async def credits(self, agreement: str, version: int, objective: str, penalty: Penalty, since: int) -> dict[str, float]:
        hours = sa.func.coalesce(breaches.c.late_s, 0) / 3_600
        if penalty.per_started_hour:
            hours = sa.func.ceil(hours)
        cost = _amount(penalty.per_breach) + _amount(penalty.per_hour_late) * hours
        if penalty.at_most is not None:
            cost = sa.func.least(cost, _amount(penalty.at_most))
        query = (
            sa.select(breaches.c.vendor, sa.func.sum(cost))
            .where(breaches.c.agreement == clean(agreement), breaches.c.version == version, breaches.c.objective == clean(objective))
            .where(breaches.c.opened_at >= since, ~_WITHDRAWN, breaches.c.stage != "excused")
            .group_by(breaches.c.vendor)
        )
        async with self._transaction() as connection:
            return {vendor: float(total) for vendor, total in await connection.execute(query)}

    async def objectives(self, vendor: str, since: int) -> list[ObjectiveRow]:
        promise = (breaches.c.agreement, breaches.c.objective, breaches.c.service)
        query = (
            sa.select(*promise, _COUNT.filter(_OPEN), _COUNT.filter(_WITHDRAWN), _COUNT)
            .where(breaches.c.vendor == clean(vendor), sa.or_(breaches.c.opened_at >= since, _OPEN))
            .group_by(*promise)
            .order_by(_COUNT.desc(), *promise)
        )
        names = ObjectiveRow.__struct_fields__
        async with self._transaction() as connection:
            return [ObjectiveRow(**dict(zip(names, row, strict=True))) for row in await connection.execute(query)]

    async def sent(self, *, channel: str | None, state: DeliveryState | None, limit: int) -> list[SentRow]:
        names = [name for name in SentRow.__struct_fields__ if name not in ("breach_id", "known", *_OF_BREACHES)]
        shown = sa.func.coalesce(breaches.c.breach_id, deliveries.c.breach_id).label("breach_id")
        behind = sa.func.regexp_replace(deliveries.c.breach_id, f"{CORRECTION}$", "")
        said = sa.cast(verdicts.c.body, JSONB)["data"]  # a warning's, which has no breach yet; a group speaks of many
        about = [sa.func.coalesce(breaches.c[name], said[name].astext).label(name) for name in _OF_BREACHES]
        alone = sa.and_(verdicts.c.id == deliveries.c.verdicts[1], deliveries.c.total == 1, breaches.c.breach_id.is_(None))
        both = deliveries.outerjoin(breaches, breaches.c.breach_id == behind).outerjoin(verdicts, alone)
        known = breaches.c.breach_id.is_not(None).label("known")
        query = sa.select(shown, known, *(deliveries.c[name] for name in names), *about).select_from(both).limit(limit)
        if channel is not None:
            query = query.where(deliveries.c.channel == clean(channel))
        waiting = query.where(deliveries.c.state == "pending").order_by(deliveries.c.next_attempt_at)
        over = query.where(deliveries.c.settled_at.is_not(None)).order_by(deliveries.c.settled_at.desc())
        over = over.where(deliveries.c.state == state if state is not None else deliveries.c.state != "pending")
        async with self._transaction() as connection:
            rows = list(await connection.execute(waiting)) if state in (None, "pending") else []
            if state != "pending":
                rows += list(await connection.execute(over))
        return [SentRow(**row._mapping) for row in rows[:limit]]
