"""The breach ledger: what was stated, where each breach stands, who acted on it. Instants are ms since 1970."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from shared.alerting.groups import Facts, Group
from shared.ports.alerts import GroupChanges, Text
from shared.ports.casework import Priority, Stage, Status, Work
from shared.ports.deliveries import DeliveryRow, Planned
from shared.wire.verdicts import Verdict

Standing = Literal["open", "closed", "retracted"]
Action = Literal["acknowledge", "note"]


class LedgerUnavailable(Exception):
    """PostgreSQL is away, too busy, or made this transaction yield: nothing was written, the same call may be tried again."""


class LedgerRefused(Exception):
    """PostgreSQL will never take this: trying again is useless. Nothing was written."""


class Stated(NamedTuple):
    """A verdict as it was read: its bytes, where it stood, when the broker appended it."""

    verdict: Verdict
    body: bytes
    appended: int
    partition: int = 0
    offset: int = 0

    @property
    def id(self) -> str:
        return self.verdict.id

    @property
    def breach_id(self) -> str:
        return self.verdict.data.breach_id


class Known(NamedTuple):
    """What the ledger holds of a batch already: verdict ids, the last revision of each breach, and, where groups were asked for, those
    with the facts that decide about them."""

    ids: Collection[str]
    revisions: dict[str, int]
    groups: dict[str, Group] | None = None
    facts: Facts | None = None


class Changes(msgspec.Struct):
    """What one batch does to the ledger; made by the notifier's core, written in one transaction.

    `breaches`: the newest statement per breach. `cleared` risks go before the new `risks` (one per clock or level and kind) come.
    `inhibited`: breach ids whose waiting warnings need not be sent any more.
    """

    statements: list[Stated] = []
    breaches: dict[str, Stated] = {}
    reopened: set[str] = set()
    contested: set[str] = set()
    final: set[str] = set()
    cleared: set[str] = set()
    risks: dict[tuple[str, str], Stated] = {}
    inhibited: set[str] = set()
    deliveries: list[Planned] = []
    alerts: GroupChanges = msgspec.field(default_factory=GroupChanges)
    now: int = 0  # when it was decided
    texts: dict[str, Text] = {}  # filled by the ledger: verdicts that deliveries show and that are not among `statements`
    acknowledged: dict[str, str] = {}  # filled by the ledger: who has taken on breaches of `statements` that deliveries show


Decide = Callable[[Known], Changes]


class BreachRow(msgspec.Struct, kw_only=True, frozen=True):
    """Where a breach stands. `seq` grows in the order in which breaches were first recorded; durations are seconds."""

    seq: int
    breach_id: str
    revision: int
    standing: Standing
    agreement: str
    version: int
    objective: str
    vendor: str
    service: str
    case: str | None
    cycle: int | None
    severity: str
    cause: str | None
    started: int | None
    due: int | None
    stopped: int | None
    target_s: float | None
    late_s: float | None
    overdue_s: float | None
    opened_at: int
    changed_at: int
    contested: bool
    final: bool
    acknowledged_at: int | None
    acknowledged_by: str | None
    status: Status = "open"  # by stage, standing and acknowledgement; the others are what people made of it
    stage: Stage = "open"
    category: str | None = None
    priority: Priority | None = None
    owner: str | None = None
    work: Work = Work()


class RiskRow(msgspec.Struct, kw_only=True, frozen=True):
    """A clock or level at risk. `kind`: warning, at_risk or burning; `threshold` as the agreement wrote it."""

    breach_id: str
    kind: str
    agreement: str
    objective: str
    vendor: str
    service: str
    case: str | None
    severity: str
    due: int | None
    started: int | None
    threshold: str | None
    since: int


class StatementRow(NamedTuple):
    """One statement in a breach's history, `body` as it stood on the topic."""

    id: str
    type: str
    revision: int | None
    decided_at: int
    appended: int
    body: str


class Actor(NamedTuple):
    """Who acts: the name, id and role of the token."""

    name: str
    credential: str
    role: str


class ActionRow(NamedTuple):
    """What a person did: the audit trail of a breach."""

    at: int
    actor: str
    role: str
    action: str
    text: str
    changes: dict[str, list[Any]] | None = None  # field to what it was and what it is


class Case(NamedTuple):
    """All that is known of one breach, histories oldest first."""

    breach: BreachRow
    statements: list[StatementRow]
    deliveries: list[DeliveryRow]
    actions: list[ActionRow]


class Wanted(msgspec.Struct, kw_only=True, frozen=True):
    """Which breaches to list; None leaves a field open. `vendor` is also how a vendor's token is held to its own data."""

    vendor: str | None = None
    agreement: str | None = None
    objective: str | None = None
    standing: Standing | None = None
    severity: str | None = None
    acknowledged: bool | None = None
    since: int | None = None  # changed at or after
    status: Status | None = None
    owner: str | None = None
    priority: Priority | None = None
    category: str | None = None


class Count(NamedTuple):
    """How many are open, or at risk, with these labels."""

    vendor: str
    agreement: str
    objective: str
    severity: str
    number: int


class Totals(NamedTuple):
    """Head counts for a page."""

    open: int
    unacknowledged: int
    at_risk: int


class Ledger(Protocol):
    """Every method raises LedgerUnavailable while the database is away, in bounded time."""

    async def record(
        self, verdict_ids: Sequence[str], breach_ids: Sequence[str], decide: Decide, lease_until: int, groups: Sequence[str] | None = None
    ) -> Changes:
        """One transaction: give `decide` what is known of these ids, write the changes that it returns, return them.

        `groups`: keys of the alert groups that the batch may touch; those that hold one of the breaches come beside them.

        Concurrent calls over the same breaches take turns. New deliveries are not claimable before `lease_until`: until then
        they are the caller's, from memory. Raises LedgerRefused where the database will never take one of the rows.
        """

    async def breaches(self, wanted: Wanted, *, limit: int, before: int | None = None) -> list[BreachRow]:
        """Newest first (by `seq`), only those with seq < `before`."""

    async def case(self, breach_id: str, vendor: str | None = None) -> Case | None:
        """A breach with its histories; None where there is none, or where it is not of `vendor`."""

    async def recent(self, standings: Sequence[Standing], *, vendor: str | None = None, limit: int) -> list[BreachRow]:
        """Breaches that stand so now, the last changed first."""

    async def risks(self, *, vendor: str | None = None, limit: int) -> list[RiskRow]:
        """Clocks and levels at risk, the first due first."""

    async def totals(self, vendor: str | None = None) -> Totals:
        """How many are open, open and not acknowledged, at risk."""

    async def counts(self) -> tuple[list[Count], list[Count]]:
        """Open breaches and risks by vendor, agreement, objective and severity, for metrics."""

    async def act(self, breach_id: str, action: Action, by: Actor, at: int, text: str = "", tell: Collection[str] = ()) -> BreachRow | None:
        """Write into the audit trail what a person did, and acknowledge if that is it. The first acknowledgement stands:
        a second changes nothing and is not written. Those of the channels `tell` that were told of the breach hear of its
        acknowledgement while it is open: a delivery that is due at once. None where there is no such breach."""
