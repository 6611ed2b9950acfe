"""Breach cases: what people make of a breach. A case is the row of its breach; each change has an audit row. Instants: ms since 1970."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from shared.ports.casework import Facts
from shared.ports.deliveries import DeliveryState
from shared.ports.ledger import Actor, BreachRow
from shared.sla.terms import Penalty


class Change(NamedTuple):
    """A change that was decided: what the case is afterwards, and how the audit trail tells it (`changed`: field to old and new)."""

    facts: Facts
    action: str
    text: str
    changed: dict[str, tuple[object, object]]


Decide = Callable[[BreachRow], Change | None]


class VendorRow(msgspec.Struct, frozen=True, kw_only=True):
    """One vendor at a glance. `daily`: breaches opened per day (UTC), oldest first, the last day is today."""

    vendor: str
    open: int
    unacknowledged: int
    at_risk: int
    withdrawn: int
    total: int
    daily: Sequence[int]


class ObjectiveRow(msgspec.Struct, frozen=True, kw_only=True):
    """One promise of a vendor: how often it was broken since the day asked for."""

    agreement: str
    objective: str
    service: str
    open: int
    withdrawn: int
    total: int


class SentRow(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery in a list: of one breach or warning (`vendor`, `objective`, `case` are its), or of a group (they are None).
    `known`: there is a breach of this id."""

    breach_id: str
    known: bool
    channel: str
    reason: str
    warning: bool
    state: DeliveryState
    attempts: int
    total: int
    next_attempt_at: int | None
    settled_at: int | None
    error: str
    vendor: str | None
    objective: str | None
    case: str | None


class Cases(Protocol):
    """Every method raises `shared.ports.ledger.LedgerUnavailable` while the database is away, in bounded time."""

    async def change(self, breach_id: str, vendor: str | None, decide: Decide, by: Actor, at: int) -> BreachRow | None:
        """One transaction: give `decide` the breach, write the change that it returns and its audit row. What `decide` raises
        is raised, with nothing written. None where there is no such breach, or it is not of `vendor`. Concurrent calls take turns."""

    async def corrections(self, *, vendor: str | None = None, limit: int) -> list[BreachRow]:
        """Cases with a corrective action that is not done, the first due first."""

    async def overdue(self, now: int, limit: int) -> list[BreachRow]:
        """Cases, not closed, whose corrective action was due by now and is not done, if nothing was stated of that since."""

    async def cleared(self, now: int, limit: int) -> list[tuple[BreachRow, str]]:
        """Cases of which it was last stated that the corrective action is overdue, which it is no longer, with that statement's id."""

    async def vendors(self, now: int, days: int, vendor: str | None = None) -> list[VendorRow]:
        """Each vendor with a breach or risk in the ledger; figures over the last `days` days but `open`, `unacknowledged`, `at_risk`."""

    async def credits(self, agreement: str, version: int, objective: str, penalty: Penalty, since: int) -> dict[str, float]:
        """By vendor, what breaches of a promise cost that were opened since then, neither withdrawn nor excused, each by its penalty
        per breach and per working hour late so far."""

    async def objectives(self, vendor: str, since: int) -> list[ObjectiveRow]:
        """The vendor's promises that were broken since then (ms), the most broken first."""

    async def sent(self, *, channel: str | None, state: DeliveryState | None, limit: int) -> list[SentRow]:
        """Deliveries: those that wait, the first due first, then the others, the last settled first."""
