"""What every channel is."""

from typing import NamedTuple, Protocol

from services.notifier.core import Result
from services.notifier.messages import Message


class Notice(NamedTuple):
    """One verdict to be told: as it stood on the topic, and in words. `verdict_id` is the same on every retry."""

    verdict_id: str
    body: bytes
    message: Message


class Channel(Protocol):
    """A way to a person or a system. Each has its own queue and workers, so that none can delay another."""

    @property
    def name(self) -> str:
        """Stable, unique, without secrets: it is stored, shown, and a metric's label."""

    @property
    def lanes(self) -> int:
        """How many notices may be under way at once; those of one breach share a lane and keep their order."""

    async def send(self, notice: Notice) -> Result:
        """Try once, in bounded time. Whatever the receiver or the network does becomes a result, never an exception."""

    async def close(self) -> None:
        """Let go of connections."""
