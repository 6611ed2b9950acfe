"""The test of a channel: one message that says that it is one, sent at once, with the receiver's answer."""

import secrets
from collections.abc import Callable, Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from services.notifier.channels.base import Channel, Notice
from services.notifier.core import Sent
from services.notifier.messages import Composer
from shared.ports.credentials import Credential
from shared.ports.time import TimeSource
from shared.runtime import problems
from shared.runtime.auth import require_role
from shared.runtime.problems import Problem
from shared.sla.instants import HOUR, SECOND, format_instant
from shared.wire import verdicts
from shared.wire.verdicts import Verdict, VerdictData

PAUSE_S: Final = 5.0  # between two tests of one channel
_ERRORS: Final = problems.responses(
    s401="no acceptable token", s403="a role that may not do this", s404="no such channel", s429="tested a moment ago: see Retry-After"
)


class Tested(BaseModel):
    """What the receiver answered."""

    channel: str
    delivered: bool
    error: str | None = Field(description="why not")
    took_ms: int


class TooSoon(Exception):
    """The channel was tested a moment ago."""


class Trials:
    """Tests channels. `channels` gives those of the moment."""

    def __init__(self, channels: Callable[[], Sequence[Channel]], composer: Composer, time: TimeSource) -> None:
        self._channels, self._composer, self._time = channels, composer, time
        self._last: dict[str, float] = {}

    async def test(self, name: str) -> Tested | None:
        """Send the test message; None where there is no such channel. Raises TooSoon."""
        channel = next((each for each in self._channels() if each.name == name), None)
        if channel is None:
            return None
        began = self._time.monotonic()
        if began - self._last.get(name, float("-inf")) < PAUSE_S:
            raise TooSoon
        self._last = {each.name: self._last[each.name] for each in self._channels() if each.name in self._last} | {name: began}
        result = await channel.send(test_notice(self._composer, self._time.wall()))
        took = round((self._time.monotonic() - began) * 1000)
        return Tested(
            channel=name, delivered=isinstance(result, Sent), error=None if isinstance(result, Sent) else result.error, took_ms=took
        )


def test_notice(composer: Composer, now: int) -> Notice:
    """A notice of a breach that never was, under a breach id of its own; its links lead to the console's first page only."""
    name = f"test-{secrets.token_hex(8)}"
    data = VerdictData(
        breach_id=name,
        revision=0,
        agreement="slawatch-test",
        version=1,
        objective="test-of-the-channel",
        vendor="slawatch",
        service="notifier",
        case=name.upper(),
        cycle=1,
        state="breached",
        severity="info",
        started=format_instant(now - HOUR - SECOND),
        due=format_instant(now - SECOND),
        target_s=3_600,
        decided_at=format_instant(now),
    )
    verdict = Verdict(
        id=name,
        type="slawatch.breach.opened",
        subject=f"slawatch-test/test-of-the-channel/{name}",
        time=format_instant(now),
        vendor=data.vendor,
        service=data.service,
        data=data,
    )
    message = composer(verdict, now=now)._replace(acknowledge="", snooze="")
    return Notice(name, name, "test", (message,), (verdicts.encode(verdict),))


def routes(trials: Trials) -> APIRouter:
    """The API's route."""
    router = APIRouter(tags=["channels"])

    @router.post("/v1/channels/{channel:path}/test", summary="Send a test message", responses=_ERRORS)
    async def test(channel: str, _credential: Annotated[Credential, Depends(require_role("operator"))]) -> Tested:
        """One message that says that it is a test, sent at once; the answer tells what the receiver said."""
        try:
            tested = await trials.test(channel)
        except TooSoon:
            headers = {"Retry-After": str(round(PAUSE_S))}
            raise Problem(429, "too-soon", "Tested a moment ago", f"wait {PAUSE_S:g} s between tests", headers=headers) from None
        if tested is None:
            raise Problem(404, "no-such-channel", "No such channel", f"{channel[:80]!r} is not a channel of this installation")
        return tested

    return router
