"""A circuit breaker before a channel: a receiver that fails again and again is left alone for a while, so that its queue goes back to the
delivery ledger at once instead of hanging attempt by attempt.

    closed ──5 failures in a row, or a Retry-After──► open ──time over──► one attempt ──fails──► open, for twice as long
       ▲                                                                     │
       └─────────────────────────────── works ◄──────────────────────────────┘
"""

from typing import Final

import structlog

from services.notifier.channels.base import Channel, Notice, keeps_breaches
from services.notifier.core import Failed, HeldBack, Result
from shared.ports.time import TimeSource

FAILURES_MAX: Final = 5
OPEN_S: Final = 10.0
OPEN_S_MAX: Final = 300.0
ASKED_S_MAX: Final = 600.0  # the longest Retry-After that closes the channel for others too

log = structlog.get_logger()


class Breaker:
    """`services.notifier.channels.base.Channel` around another. What it holds back is no attempt."""

    def __init__(self, channel: Channel, time: TimeSource) -> None:
        self.channel, self._time = channel, time
        self.name, self.lanes, self.limit, self.by_breach = channel.name, channel.lanes, channel.limit, keeps_breaches(channel)
        self._failures = 0
        self._open_until: float | None = None  # monotonic seconds; None: closed
        self._wait_s = OPEN_S
        self._trying = False

    @property
    def resend(self) -> int | None:
        """See `services.notifier.channels.alertmanager.Alertmanager`: every how many ms open alerts are told again; None: not at all."""
        found: int | None = getattr(self.channel, "resend", None)
        return found

    async def send(self, notice: Notice) -> Result:
        if self._open_until is not None:
            left = self._open_until - self._time.monotonic()
            if left > 0 or self._trying:
                wait_s = max(left, 1.0)
                return HeldBack(f"not tried: the channel failed again and again, next attempt in {wait_s:.0f} s", round(wait_s * 1000))
        self._trying = self._open_until is not None
        try:
            result = await self.channel.send(notice)
        finally:
            self._trying = False
        self._note(result)
        return result

    async def close(self) -> None:
        await self.channel.close()

    def _note(self, result: Result) -> None:
        if not isinstance(result, Failed) or result.permanent:  # a permanent failure is the message's, not the receiver's
            if self._open_until is not None:
                log.info("channel works again", channel=self.name)
            self._failures, self._open_until, self._wait_s = 0, None, OPEN_S
            return
        self._failures += 1
        if result.retry_after is not None:
            self._open(min(result.retry_after / 1000, ASKED_S_MAX), result.error)
        elif self._open_until is not None:
            self._wait_s = min(OPEN_S_MAX, self._wait_s * 2)
            self._open(self._wait_s, result.error)
        elif self._failures >= FAILURES_MAX:
            self._open(self._wait_s, result.error)

    def _open(self, seconds: float, why: str) -> None:
        self._open_until = self._time.monotonic() + seconds
        log.warning("channel left alone for a while", channel=self.name, seconds=round(seconds), error=why)
