"""Corrective actions that are late wake somebody, once; receivers that keep incidents hear when they are late no longer.

The ledger knows what is due. Whoever looks first states it: the statement's id is a function of breach and due instant, so that two
notifiers, or one that was killed, say it once.
"""

from collections.abc import Sequence
from typing import Final

import structlog

from services.notifier.alerts import Desk
from services.notifier.core import CLEARED, OVERDUE
from services.notifier.dispatch import Dispatcher
from services.notifier.live import Change, Hub
from services.notifier.metrics import Metrics
from services.notifier.pipeline import summary
from shared.ports.cases import Cases
from shared.ports.casework import correction_of
from shared.ports.ledger import BreachRow, Changes, Known, Ledger, LedgerUnavailable, Stated
from shared.ports.time import TimeSource
from shared.sla.instants import format_instant, or_none_instant
from shared.sla.statements import identity
from shared.wire import verdicts
from shared.wire.verdicts import Verdict, VerdictData

LOOK_S: Final = 5.0
MOST: Final = 200  # statements in one transaction

log = structlog.get_logger()


class Corrections:
    """Watches over them, until cancelled."""

    def __init__(
        self, cases: Cases, ledger: Ledger, desk: Desk, dispatcher: Dispatcher, hub: Hub, metrics: Metrics, time: TimeSource
    ) -> None:
        self._cases, self._ledger, self._desk, self._dispatcher = cases, ledger, desk, dispatcher
        self._hub, self._metrics, self._time = hub, metrics, time

    async def run(self) -> None:
        """Look again and again."""
        while True:
            more = False
            try:
                more = await self.look()
            except LedgerUnavailable as wrong:
                log.warning("corrective actions cannot be looked up: the ledger is away", error=str(wrong))
            if not more:
                await self._time.sleep(LOOK_S)

    async def look(self) -> bool:
        """State what is late now, and what is late no longer; whether there may be more. Raises LedgerUnavailable."""
        now = self._time.wall()
        late = [overdue(breach, now) for breach in await self._cases.overdue(now, MOST)]
        over = [cleared(breach, stated, now) for breach, stated in await self._cases.cleared(now, MOST)]
        for batch in (late, over):
            if batch:
                await self._state(batch)
        return max(len(late), len(over)) == MOST

    async def _state(self, batch: Sequence[Stated]) -> None:
        lease_until = self._dispatcher.lease()
        kept: list[Stated] = []

        def decide(known: Known) -> Changes:
            changes, rulings = self._desk.settle(batch, known)
            kept[:] = [ruling.stated for ruling in rulings if ruling.kept]
            return changes

        ids, alert_ids = [stated.id for stated in batch], sorted({stated.breach_id for stated in batch})
        changes = await self._ledger.record(ids, alert_ids, decide, lease_until, self._desk.keys_of(batch))
        self._dispatcher.recorded(changes, lease_until)
        for stated in kept:
            verdict, data = stated.verdict, stated.verdict.data
            if verdict.type == OVERDUE:
                labels = (self._metrics.vendor(data.vendor), data.agreement, data.objective, data.severity, "overdue")
                self._metrics.warnings.labels(*labels).inc()
            self._hub.publish(Change("verdict", data.vendor, data.breach_id, frozenset({"open"}), summary(verdict, stated.appended)))


def overdue(breach: BreachRow, now: int) -> Stated:
    """That the corrective action of a case was not done when it was due (ms)."""
    due = breach.work.correction.due if breach.work.correction is not None else None
    assert due is not None, "the ledger gives those that are due"
    return _stated(breach, OVERDUE, now, due, str(due))


def cleared(breach: BreachRow, overdue_id: str, now: int) -> Stated:
    """That what a statement said is so no longer: it was done, put off, taken back, or its case was closed."""
    correction = breach.work.correction
    return _stated(breach, CLEARED, now, correction.due if correction is not None else None, overdue_id)


def _stated(breach: BreachRow, type_: str, now: int, due: int | None, which: str) -> Stated:
    alert_id, correction = correction_of(breach.breach_id), breach.work.correction
    data = VerdictData(
        breach_id=alert_id,
        revision=None,
        agreement=breach.agreement,
        version=breach.version,
        objective=breach.objective,
        vendor=breach.vendor,
        service=breach.service,
        case=breach.case,
        cycle=breach.cycle,
        state=type_.rpartition(".")[2],
        severity=breach.severity,
        due=or_none_instant(due),
        decided_at=format_instant(now),
        action=correction.action if correction is not None else "",
        owner=breach.owner or breach.acknowledged_by,
    )
    verdict = Verdict(
        id=identity(alert_id, type_, which),
        source="/slawatch/notifier",
        type=type_,
        subject=f"{breach.agreement}/{breach.objective}/{breach.case or breach.breach_id}",
        time=format_instant(now if due is None or type_ == CLEARED else due),
        vendor=breach.vendor,
        service=breach.service,
        data=data,
    )
    return Stated(verdict, verdicts.encode(verdict), now)
