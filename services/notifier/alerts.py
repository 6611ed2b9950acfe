"""Who is told: the routes of the moment, the groups whose time has come, and what goes out while the ledger is away.

Routing file ──► Routes ──┐
verdicts ──► Desk.settle ─┼─► turn over the groups ──► deliveries, in the ledger's transaction
time ──────► Desk.run ────┘
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from services.notifier.channels.base import Channel
from services.notifier.core import CLEARING, TAKEN_BACK, URGENT, Addressed, Ruling, alert_of, cleared_of, deliveries_of, kept_of, settle
from services.notifier.dispatch import Dispatcher
from services.notifier.metrics import Metrics
from shared.alerting.decisions import Alerting
from shared.alerting.groups import Facts, Group
from shared.alerting.terms import Override, Routing
from shared.alerting.turns import Turn
from shared.language import load
from shared.ports.alerts import Alerts, GroupChanges
from shared.ports.deliveries import Planned
from shared.ports.ledger import Changes, Known, LedgerUnavailable, Stated
from shared.ports.time import TimeSource
from shared.runtime.settings import BadSettings
from shared.sla.instants import MINUTE, SECOND
from shared.wire.verdicts import VerdictData

WAKE_S: Final = 0.2  # how often groups whose time has come are looked for
LEAP: Final = MINUTE  # of the machine's clock, that is told and looked into
WAKE_MAX: Final = 200  # groups in one transaction
REFRESH_S: Final = 5.0  # how often silences and overrides are read, for when the ledger is away
RELOAD_S: Final = 1.0  # how often it is looked whether the Routing file has changed

log = structlog.get_logger()
MakeChannels = Callable[[Routing], Sequence[Channel]]
LabelsOf = Callable[[VerdictData], Mapping[str, str]]


def no_labels(_data: VerdictData) -> Mapping[str, str]:
    """Where labels of objectives are not known."""
    return {}


def load_routing(files: Sequence[str]) -> Routing:
    """The one Routing document of these files. Raises BadSettings, which names file, line and column of each problem."""
    loaded = load([Path(file) for file in files])
    if loaded.problems:
        raise BadSettings("\n".join(map(str, loaded.problems)))
    if len(loaded.routings) != 1:
        raise BadSettings(f"SLAWATCH_ROUTES: one document of kind Routing is wanted, there are {len(loaded.routings)}")
    return loaded.routings[0]


class Routes:
    """The routing of the moment; None: everything goes to every channel. A file that is wrong changes nothing but `error`."""

    def __init__(self, files: Sequence[str], make_channels: MakeChannels, time: TimeSource) -> None:
        """Raises BadSettings where the files cannot be used."""
        self._files, self._make_channels, self._time = list(files), make_channels, time
        self.error = ""
        self.alerting: Alerting | None = None
        self._seen = _stamps(self._watched)
        self.first_channels: Sequence[Channel] = ()
        if files:
            routing = load_routing(files)
            self.first_channels = make_channels(routing)
            self.alerting = Alerting(routing)
            self._seen = _stamps(self._watched) | self._seen

    def override(self, overrides: dict[str, tuple[Override, ...]]) -> None:
        """Who stands in, by rota, says the ledger."""
        if self.alerting is not None and overrides != self.alerting.overrides:
            self.alerting = self.alerting.with_overrides(overrides)

    async def watch(self, use: Callable[[Sequence[Channel]], Awaitable[None]], changed: Callable[[], Awaitable[None]]) -> None:
        """Read the files again when they or their templates change, or were wrong, until cancelled. `use` takes the new channels; then
        `changed`."""
        while self._files:
            await self._time.sleep(RELOAD_S)
            stamps = await asyncio.to_thread(_stamps, self._watched)
            if stamps != self._seen or self.error:
                await self._reload(use, changed)
                self._seen = _stamps(self._watched) | stamps

    async def _reload(self, use: Callable[[Sequence[Channel]], Awaitable[None]], changed: Callable[[], Awaitable[None]]) -> None:
        try:
            routing = await asyncio.to_thread(load_routing, self._files)
            channels = self._make_channels(routing)
        except BadSettings as wrong:
            if str(wrong) != self.error:
                log.error("the Routing file is wrong: the last good one stays", error=str(wrong))
            self.error = str(wrong)
            return
        overrides = self.alerting.overrides if self.alerting is not None else {}
        self.alerting, self.error = Alerting(routing, overrides), ""
        await use(channels)
        log.info("routes read again", name=routing.name, channels=[channel.name for channel in channels])
        await changed()

    @property
    def _watched(self) -> list[Path]:
        """The files, and the templates that they name."""
        routing = self.alerting.routing if self.alerting is not None else None
        channels = [channel for listed in routing.receivers.values() for channel in listed] if routing is not None else []
        named = {channel.template: None for channel in channels if channel.template is not None}
        return [*map(Path, self._files), *(Path(routing.folder) / name for name in named if routing is not None)]


def _stamps(files: Sequence[Path]) -> dict[Path, tuple[int, int] | None]:
    """When each was changed, and its size."""
    found: dict[Path, tuple[int, int] | None] = {}
    for file in files:
        try:
            status = file.stat()
        except OSError:
            found[file] = None
        else:
            found[file] = (status.st_mtime_ns, status.st_size)
    return found


class Desk:
    """Decides by the routes of the moment. `labels_of`: labels of a verdict's objective."""

    def __init__(
        self, routes: Routes, alerts: Alerts, dispatcher: Dispatcher, metrics: Metrics, time: TimeSource, labels_of: LabelsOf = no_labels
    ) -> None:
        self.routes = routes
        self._alerts, self._dispatcher, self._metrics, self._time, self._labels_of = alerts, dispatcher, metrics, time, labels_of
        self._facts = Facts()

    # ---- verdicts

    def keys_of(self, batch: Sequence[Stated]) -> list[str] | None:
        """Keys of the groups that a batch may touch; None: there are no routes."""
        alerting = self.routes.alerting
        if alerting is None:
            return None
        return sorted({key for stated in batch for key in alerting.keys_of(alert_of(stated, self._labels_of(stated.verdict.data)))})

    def settle(self, batch: Sequence[Stated], known: Known) -> tuple[Changes, list[Ruling]]:
        """What a batch does to the ledger, and who is told."""
        now, alerting = self._time.wall(), self.routes.alerting
        if alerting is None or known.groups is None or known.facts is None:
            changes, rulings = settle(batch, known, self._dispatcher.names, self._dispatcher.off)
        else:
            changes, rulings = settle(batch, known, ())
            turn, addressed = Turn(alerting, known.groups, known.facts, now), self._addressed(alerting)
            for stated in (ruling.stated for ruling in rulings if ruling.kept):
                if stated.verdict.type in CLEARING and (forgotten := cleared_of(stated, turn.groups, addressed)):
                    if stated not in changes.statements:
                        changes.statements.append(stated)  # the ledger keeps what deliveries tell
                    changes.deliveries += forgotten
                reopened = stated.verdict.type == "slawatch.breach.reopened"
                turn.take(alert_of(stated, self._labels_of(stated.verdict.data)), reopened=reopened)
            turn.finish()
            changes.alerts = kept_of(turn)
            changes.deliveries += self._deliveries(alerting, turn, batch)
        changes.now = now
        changes.deliveries = self._dispatcher.reconciled(changes.deliveries, {stated.id for stated in changes.statements})
        return changes, rulings

    def urgent(self, batch: Sequence[Stated]) -> None:
        """The ledger is away: pages go out from memory, to be written when it is back."""
        now = self._time.wall()
        for stated in batch:
            if stated.verdict.data.severity != "page" or stated.verdict.type not in URGENT:
                continue
            for channel in self._urgent_channels(stated, now):
                planned = Planned(stated.id, stated.breach_id, channel, False, thread=stated.breach_id, verdicts=(stated.id,))
                self._dispatcher.send_early(planned, stated.verdict, stated.body, stated.appended)

    def _urgent_channels(self, stated: Stated, now: int) -> list[str]:
        alerting = self.routes.alerting
        if alerting is None:
            return self._dispatcher.names
        recipients = alerting.urgent(alert_of(stated, self._labels_of(stated.verdict.data)), self._facts, now)
        return list(dict.fromkeys(terms.name for recipient in recipients for terms in alerting.channels_of(recipient)))

    def _deliveries(self, alerting: Alerting, turn: Turn, batch: Sequence[Stated] = ()) -> list[Planned]:
        warnings = {stated.id for stated in batch if stated.verdict.type in TAKEN_BACK}
        last = {stated.breach_id: stated.verdict.type for stated in batch}
        over = {breach_id for breach_id, type_ in last.items() if type_ not in TAKEN_BACK}  # what came behind takes warnings back
        found = deliveries_of(turn.notices, self._addressed(alerting), warnings)
        return [each._replace(state="inhibited") if each.warning and each.breach_id in over else each for each in found]

    def _addressed(self, alerting: Alerting) -> Addressed:
        def channels_of(recipient: str) -> list[str]:
            return [terms.name for terms in alerting.channels_of(recipient)]

        return Addressed(channels_of, self._dispatcher.off, self._dispatcher.by_breach)

    # ---- time

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._wake())
            tasks.create_task(self._refresh())
            tasks.create_task(self.routes.watch(self._dispatcher.use, self._rerouted))

    async def look(self) -> bool:
        """Decide about groups whose time has come; whether there are more. Raises LedgerUnavailable."""
        alerting = self.routes.alerting
        if alerting is None:
            return False
        lease_until, now = self._dispatcher.lease(), self._time.wall()

        def decide(groups: dict[str, Group], facts: Facts) -> GroupChanges:
            turn = Turn(alerting, groups, facts, now)
            turn.wake()
            changes = kept_of(turn)
            changes.deliveries = self._deliveries(alerting, turn)
            steps[:] = [notice.route for notice in turn.notices if notice.reason == "escalation"]
            return changes

        steps: list[str] = []
        woken = await self._alerts.wake(now, decide, lease_until, WAKE_MAX)
        self._dispatcher.dispatch(woken.changes.deliveries, woken.texts, lease_until, since=now)
        for route in steps:
            self._metrics.escalations.labels(route).inc()
        return woken.more

    async def _wake(self) -> None:
        ahead = self._ahead()
        while True:
            more = False
            try:
                if abs(self._ahead() - ahead) > LEAP:
                    log.error("this machine's clock has leapt: all groups are looked at anew", by_ms=self._ahead() - ahead)
                    await self._alerts.stir(self._time.wall(), only_held=False)
                    ahead = self._ahead()
                more = await self.look()
            except LedgerUnavailable as wrong:
                log.warning("groups cannot be looked up: the ledger is away", error=str(wrong))
            if not more:
                await self._time.sleep(WAKE_S)

    def _ahead(self) -> int:
        """The wall clock against the one that only moves forward, ms."""
        return self._time.wall() - round(self._time.monotonic() * SECOND)

    async def _refresh(self) -> None:
        while True:
            try:
                await self.refresh()
            except LedgerUnavailable as wrong:
                log.warning("silences and overrides cannot be read: those known hold", error=str(wrong))
            await self._time.sleep(REFRESH_S)

    async def refresh(self) -> None:
        """Read silences and overrides. Raises LedgerUnavailable."""
        now = self._time.wall()
        if self.routes.alerting is None:
            return
        self._facts = await self._alerts.facts(now)
        overrides: dict[str, tuple[Override, ...]] = {}
        for each in await self._alerts.overrides(now):
            made = Override(person=each.person, start=each.starts_at, end=each.ends_at)
            overrides[each.rota] = (*overrides.get(each.rota, ()), made)
        self.routes.override(overrides)

    async def _rerouted(self) -> None:
        try:
            await self._alerts.stir(self._time.wall(), only_held=False)
        except LedgerUnavailable as wrong:
            log.warning("groups follow the new routes when something happens: the ledger is away", error=str(wrong))
