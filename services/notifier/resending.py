"""Receivers that forget when they restart (Alertmanager) are told again what is open, and for a while what is over."""

from collections.abc import Callable, Collection, Sequence
from typing import Final

import structlog

from services.notifier.channels.alertmanager import RESOLVED_FOR
from services.notifier.channels.base import Channel, Notice
from services.notifier.core import Sent
from services.notifier.messages import Composer
from shared.ports.ledger import LedgerUnavailable
from shared.ports.resending import Told
from shared.ports.time import TimeSource
from shared.sla.instants import SECOND
from shared.wire import verdicts

LOOK_S: Final = 5.0
BREACHES_MAX: Final = 20_000  # per channel and turn
BATCH: Final = 500  # alerts in one request
log = structlog.get_logger()


class Resender:
    """Outside of the delivery ledger: what was decided was delivered, this only refreshes it. `channels` gives those of the moment,
    `off` those that are turned off. Two notifiers that both do it do no harm."""

    def __init__(
        self,
        channels: Callable[[], Sequence[Channel]],
        off: Callable[[], Collection[str]],
        told: Told,
        composer: Composer,
        time: TimeSource,
    ) -> None:
        self._channels, self._off, self._told, self._composer, self._time = channels, off, told, composer, time
        self._last: dict[str, float] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._time.sleep(LOOK_S)
            for channel in self._channels():
                pause: int | None = getattr(channel, "resend", None)
                now = self._time.monotonic()
                if pause is None or channel.name in self._off() or now - self._last.get(channel.name, float("-inf")) < pause / SECOND:
                    continue
                self._last[channel.name] = now
                try:
                    await self.resend(channel)
                except LedgerUnavailable as wrong:
                    log.warning("open alerts are not told again: the ledger is away", channel=channel.name, error=str(wrong))

    async def resend(self, channel: Channel) -> None:
        """Once, to one channel; stops at the first failure. Raises LedgerUnavailable."""
        now = self._time.wall()
        standing = await self._told.told(channel.name, now - RESOLVED_FOR, BREACHES_MAX)
        for start in range(0, len(standing), BATCH):
            batch = standing[start : start + BATCH]
            messages = tuple(self._composer(verdicts.decode(body), channel=channel.name, now=now, acknowledged_by=by) for body, by in batch)
            bodies = tuple(each.body for each in batch)
            result = await channel.send(Notice(f"resend-{now}-{start}", "resend", "repeat", messages, bodies, len(batch)))
            if not isinstance(result, Sent):
                log.warning("open alerts could not be told again", channel=channel.name, error=result.error)
                return
