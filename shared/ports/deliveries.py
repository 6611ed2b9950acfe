"""The delivery ledger: one row per (verdict, channel), written with the verdict, so that nothing decided is ever forgotten."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

DeliveryState = Literal["pending", "sent", "failed", "disabled", "inhibited"]


class Planned(NamedTuple):
    """A delivery that was decided; `state` is pending, or why it will not be tried."""

    verdict_id: str
    breach_id: str
    channel: str
    warning: bool
    state: DeliveryState = "pending"


class Claimed(NamedTuple):
    """A delivery that is this process's to try until `lease_until`; `attempts` were made before."""

    verdict_id: str
    channel: str
    attempts: int
    appended: int
    body: bytes
    lease_until: int


class Outcome(NamedTuple):
    """What came of an attempt. `next_attempt_at` (ms) while pending; `error` is empty when sent."""

    verdict_id: str
    channel: str
    state: DeliveryState
    attempts: int
    at: int
    next_attempt_at: int | None = None
    error: str = ""


class DeliveryRow(NamedTuple):
    """Where a delivery stands."""

    verdict_id: str
    channel: str
    state: DeliveryState
    attempts: int
    next_attempt_at: int | None
    settled_at: int | None
    error: str


class Deliveries(Protocol):
    """Every method raises `shared.ports.ledger.LedgerUnavailable` while the database is away, in bounded time."""

    async def claim(self, channel: str, now: int, lease_until: int, limit: int) -> list[Claimed]:
        """Pending deliveries that are due, the oldest first, now nobody else's until `lease_until`. Two claimers never get the same."""

    async def renew(self, verdict_id: str, channel: str, lease_until: int, new_lease_until: int) -> bool:
        """Hold on to a claim whose lease ran out; False if it is another's by now, or settled, or inhibited."""

    async def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Write what came of attempts. Only what is still pending changes: a sent delivery stays sent."""

    async def disable(self, channel: str, reason: str, at: int) -> None:
        """The channel's receiver said that it is gone: nothing more is sent there; what waits becomes `disabled`."""

    async def enable(self, channel: str) -> bool:
        """Undo `disable` for what comes from now on; False if the channel was not disabled."""

    async def disabled(self) -> dict[str, str]:
        """The disabled channels and why."""
