"""What every channel is."""

from typing import Literal, NamedTuple, Protocol

from services.notifier.core import Result
from services.notifier.messages import Message
from shared.alerting.terms import Rate

Why = Literal["first", "update", "repeat", "resolved", "retracted", "escalation", "acknowledged", "digest", "test"]


class Notice(NamedTuple):
    """One notification: one breach's news, or a group's."""

    key: str  # deduplication key: the same on every retry of this notification
    thread: str  # what messages belong together by: the breach id, or the group's key
    reason: Why
    messages: tuple[Message, ...]  # one per breach (the newest statement of each), at least one; a digest has many
    bodies: tuple[bytes, ...]  # the verdict events, as on the topic, one per message
    total: int = 1  # how many breaches the group holds (a digest may show fewer)


class Channel(Protocol):
    """A way to a person or a system. Each has its own queue and workers, so that none can delay another."""

    @property
    def name(self) -> str:
        """Stable, unique, without secrets: it is stored, shown, and a metric's label."""

    @property
    def lanes(self) -> int:
        """How many notices may be under way at once; those of one thread share a lane and keep their order."""

    @property
    def limit(self) -> Rate | None:
        """What the receiver takes; what waits beyond it is coalesced into a digest. None: as much as comes."""

    async def send(self, notice: Notice) -> Result:
        """Try once, in bounded time. Whatever the receiver or the network does becomes a result, never an exception."""

    async def close(self) -> None:
        """Let go of connections."""


def keeps_breaches(channel: Channel) -> bool:
    """Whether the receiver remembers each breach (`by_breach`): then it gets each by itself, never in a digest, and acknowledgements."""
    return bool(getattr(channel, "by_breach", False))
