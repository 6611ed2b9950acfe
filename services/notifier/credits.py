"""What this month's breaches will cost by their penalties, as a gauge: an estimate; the statement of credits is what counts."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Final

import structlog

from services.notifier.catalogue import Catalogue
from services.notifier.metrics import Metrics
from shared.ports.cases import Cases
from shared.ports.ledger import LedgerUnavailable
from shared.ports.time import TimeSource
from shared.sla.instants import SECOND

EVERY_S: Final = 30.0
log = structlog.get_logger()


class Credits:
    """Adds up, until cancelled, what breaches recorded since the month began (UTC) cost; what was withdrawn or excused costs nothing.
    Penalties by tiers are of whole periods, and not in it."""

    def __init__(self, cases: Cases, catalogue: Catalogue, metrics: Metrics, time: TimeSource) -> None:
        self._cases, self._catalogue, self._metrics, self._time = cases, catalogue, metrics, time

    async def run(self) -> None:
        """Look again and again."""
        while True:
            try:
                await self.look()
            except LedgerUnavailable as wrong:
                log.warning("credits cannot be estimated: the ledger is away", error=str(wrong))
            await self._time.sleep(EVERY_S)

    async def look(self) -> None:
        """Set the gauge. Raises LedgerUnavailable."""
        began = datetime.fromtimestamp(self._time.wall() / SECOND, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        since = round(began.timestamp() * SECOND)
        sums: defaultdict[tuple[str, str, str], float] = defaultdict(float)
        for agreement, version, objective, penalty, currency in self._catalogue.penalties():
            for vendor, amount in (await self._cases.credits(agreement, version, objective, penalty, since)).items():
                sums[self._metrics.vendor(vendor), agreement, currency] += amount
        self._metrics.credits.clear()
        for labels, total in sums.items():
            self._metrics.credits.labels(*labels).set(total)
