"""What alerts remember: groups, silences, overrides of rotas. Decisions are `shared.alerting`'s. Instants are ms since 1970."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from shared.alerting.groups import Facts, Group, Silence
from shared.ports.deliveries import Planned


class Kept(NamedTuple):
    """A group after a decision. `group` None: forget it. `next_at`: decide again then. `held`: other facts may set something free."""

    group: Group | None
    next_at: int | None = None
    held: bool = False


class GroupChanges(msgspec.Struct):
    """What a turn does to the groups, by key. `began` and `ended`: alerts that inhibit others from now on, or no longer.
    `expired`: breaches whose acknowledgement holds no longer."""

    groups: dict[str, Kept] = {}
    began: dict[str, dict[str, str]] = {}
    ended: set[str] = set()
    expired: set[str] = set()
    deliveries: list[Planned] = []


DecideGroups = Callable[[dict[str, Group], Facts], GroupChanges]


class Text(NamedTuple):
    """A verdict as it stood on the topic, when the broker appended it, and who has taken on its breach (empty: nobody)."""

    body: bytes
    appended: int
    acknowledged_by: str = ""


class Woken(NamedTuple):
    """What was decided, and the verdicts that its deliveries show."""

    changes: GroupChanges
    texts: dict[str, Text]
    more: bool  # there are more groups whose time has come


class StoredSilence(NamedTuple):
    """A silence and who ended it early, if anybody did."""

    silence: Silence
    ended_by: str | None


class StoredOverride(NamedTuple):
    """Somebody stands in from `starts_at` until before `ends_at`."""

    id: str
    rota: str
    person: str
    starts_at: int
    ends_at: int
    author: str


class Alerts(Protocol):
    """Every method raises `shared.ports.ledger.LedgerUnavailable` while the database is away, in bounded time."""

    async def wake(self, now: int, decide: DecideGroups, lease_until: int, limit: int) -> Woken:
        """One transaction: groups whose time has come and that nobody else holds are given to `decide`, what it says is written."""

    async def stir(self, now: int, *, only_held: bool) -> None:
        """Facts or routes have changed: look at all groups, or at those that hold something back, as soon as possible."""

    async def facts(self, now: int) -> Facts:
        """Silences that are not over, and what inhibits; no acknowledgements."""

    async def silences(self, now: int, *, over: bool, limit: int) -> list[StoredSilence]:
        """Those that are not over, the first to end first; with `over`, those that are, the last to end first."""

    async def silence(self, silence: Silence) -> None:
        """Write a new one."""

    async def unsilence(self, silence_id: str, by: str, now: int) -> StoredSilence | None:
        """End it now, if it is not over; what it held back is looked at. None where there is none."""

    async def overrides(self, now: int) -> list[StoredOverride]:
        """Those that are not over, in the order in which they were made."""

    async def override(self, override: StoredOverride) -> None:
        """Write a new one."""

    async def remove_override(self, override_id: str) -> bool:
        """Take it back; False where there is none."""
