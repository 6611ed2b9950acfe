"""What the tests of messages and channels share: notices of every reason, and hostile values."""

import contextlib
from collections.abc import AsyncIterator, Callable

from services.notifier.channels.base import Channel, Notice, Why
from services.notifier.channels.http import Judge, PinnedTransport, Poster
from services.notifier.core import Result
from services.notifier.messages import Composer, Message, compose
from shared.adapters.memory.time import VirtualTime
from shared.ports.ledger import BreachRow
from shared.wire import verdicts
from shared.wire.verdicts import Verdict
from tests.integration.notifier_kit import START, Answer, Receiver, receiver, verdict

# 2026-03-02 09:00:10 UTC, ten seconds after the due of `verdict()`
NOW = START + 3_610_000
TOKEN = "slw_local_4f0c2a9e61b7_0123456789abcdef0123456789abcdef01234567_1c29fe0a"
EVIL = (
    "INC-1\r\nBcc: eve@example.com\r\n<!channel> <@U1> @all <https://evil.example|click> [x](https://evil.example) *`_~# "
    f"{TOKEN} <script>alert(1)</script>"
)
PUBLIC_URL = "https://sla.example"


def clock() -> VirtualTime:
    return VirtualTime(NOW)


def breach_row(**fields: object) -> BreachRow:
    """A row of the ledger with nothing but these fields."""
    return BreachRow(**(dict.fromkeys(BreachRow.__struct_fields__) | fields))  # type: ignore[arg-type]


def notice_of(said: Verdict, reason: Why = "first", message: Message | None = None) -> Notice:
    return Notice(said.id, said.data.breach_id, reason, (message or compose(said, PUBLIC_URL),), (verdicts.encode(said),))


def notice(case: str = "INC-42", reason: Why = "first") -> Notice:
    """Of a breach that was just opened."""
    return notice_of(verdict("opened", case, revision=0), reason)


def linked(case: str = "INC-42") -> Notice:
    """With links to acknowledge and snooze, a runbook and a dashboard."""
    said = verdict("opened", case, revision=0)
    message = Composer(PUBLIC_URL)(said)._replace(
        acknowledge=f"{PUBLIC_URL}/act/AAA",
        snooze=f"{PUBLIC_URL}/act/BBB",
        runbook="https://wiki.example/run?a=1&b=2",
        dashboard="https://grafana.example/d/1",
    )
    return notice_of(said, "first", message)


def digest(number: int, total: int | None = None) -> Notice:
    """Of so many breaches, every third of them closed."""
    said = [
        verdict("closed", f"case-{each}", revision=1, stopped=NOW) if each % 3 == 2 else verdict("opened", f"case-{each}", revision=0)
        for each in range(number)
    ]
    messages = tuple(compose(each, PUBLIC_URL) for each in said)
    return Notice("digest-1", "group-1", "digest", messages, tuple(verdicts.encode(each) for each in said), total or number)


def poster_to(url: str, time: VirtualTime, judge: Judge = lambda status, body: None, *secrets: str, timeout_s: float = 5) -> Poster:
    return Poster(url, PinnedTransport(allow_private=True), time, judge=judge, secrets=secrets, timeout_s=timeout_s)


@contextlib.asynccontextmanager
async def channel_to(
    make: Callable[[str], Channel], answer: Callable[[int], Answer] = lambda _: (200, {}, b'{"errcode":0,"code":0,"ok":true}')
) -> AsyncIterator[tuple[Channel, Receiver]]:
    """A channel and the stub server that it writes to."""
    async with receiver(answer) as it:
        channel = make(it.url)
        try:
            yield channel, it
        finally:
            await channel.close()


async def answered(make: Callable[[str], Channel], answer: Answer, told: Notice | None = None) -> Result:
    """What one attempt says when the server answers so."""
    async with channel_to(make, lambda _: answer) as (channel, _):
        return await channel.send(told or notice())
