"""The agreements that verdicts speak of: read from the store and from files, looked up by name and version."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import structlog

from shared.language.loading import bundles, load_text
from shared.ports.agreements import AgreementStore, AgreementsUnavailable
from shared.ports.time import TimeSource
from shared.sla.calendars import Calendar
from shared.sla.instants import SECOND
from shared.sla.terms import Bundle, Objective, Penalty
from shared.wire.verdicts import VerdictData

REFRESH_S: Final = 5.0
INTERVALS_MAX: Final = 400
log = structlog.get_logger()


class Catalogue:
    """Empty until it was read; what cannot be read is left out, and said."""

    def __init__(self, store: AgreementStore, files: Sequence[str], time: TimeSource) -> None:
        self._store, self._files, self._time = store, files, time
        self._bundles: dict[tuple[str, int], Bundle] = {}
        self._calendars: dict[tuple[str, int, str], Calendar] = {}

    async def run(self) -> None:
        """Read again and again, until cancelled."""
        while True:
            await self._time.sleep(REFRESH_S)
            await self.read()

    async def read(self) -> None:
        """Read what is new; those known stay where that cannot be."""
        try:
            await self.refresh()
        except (AgreementsUnavailable, OSError) as wrong:
            log.warning("agreements cannot be read: those known stay", error=str(wrong))

    async def refresh(self) -> None:
        """Read what is new. Raises AgreementsUnavailable, OSError."""
        texts = [(path, await asyncio.to_thread(Path(path).read_text, "utf-8")) for path in self._files]
        texts += [
            (f"{row.name} {row.version}", row.document) for row in await self._store.all() if (row.name, row.version) not in self._bundles
        ]
        for name, text in texts:
            loaded = await asyncio.to_thread(load_text, name, text)
            if loaded.problems:
                log.warning("an agreement cannot be read", name=name, problem=str(loaded.problems[0]))
                continue
            for bundle in bundles(loaded):
                self._bundles[bundle.agreement.name, bundle.agreement.version] = bundle

    def objective_of(self, agreement: str, version: int, objective: str) -> Objective | None:
        """The terms of an objective; None where they are not known."""
        bundle = self._bundles.get((agreement, version))
        return next((o for o in bundle.agreement.objectives if o.name == objective), None) if bundle else None

    def penalties(self) -> Iterator[tuple[str, int, str, Penalty, str]]:
        """Agreement, version, objective, penalty and its currency, where breaches cost something each."""
        for (name, version), bundle in list(self._bundles.items()):
            for objective in bundle.agreement.objectives:
                penalty = objective.penalty
                money = (penalty.per_breach or penalty.per_hour_late) if penalty is not None else None
                if penalty is not None and money is not None:
                    yield name, version, objective.name, penalty, money.currency

    def working_hours(self, data: VerdictData, start: int, end: int) -> list[tuple[int, int]] | None:
        """When the clock's calendar was open between two instants (ms); None where it is not known which calendar it ran on."""
        objective = self.objective_of(data.agreement, data.version, data.objective)
        if objective is None or data.case is None:
            return None
        fitting = {
            target.calendar
            for target in getattr(objective, "targets", ())
            if target.within is not None
            and (target.within.unit != "ms" or data.target_s is None or target.within.amount == round(data.target_s * SECOND))
        }
        if len(fitting) != 1:
            return None
        [name] = fitting
        key = (data.agreement, data.version, name)
        if key not in self._calendars:
            self._calendars[key] = Calendar(self._bundles[key[:2]].calendars[name])
        found = self._calendars[key].intervals(start, end)
        return found if len(found) <= INTERVALS_MAX else None
