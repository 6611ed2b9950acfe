"""The terms of an agreement, as data: what the language compiles to, what an activation record carries, what the engine folds under.

Every struct here is plain, JSON-able (msgspec) and complete: no name in it needs a look-up elsewhere but calendars, which
travel beside it (`Bundle`). Texts of conditions are CEL; `shared.sla.conditions` compiles them.
Durations are milliseconds, instants milliseconds since 1970 (see `shared.sla.instants`); shares and numbers are decimal texts.
"""

from typing import Final, Literal, get_args

import msgspec

Role = Literal["vendor", "customer", "operator"]
ROLES: Final = get_args(Role)


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Common settings of all the structs of this module."""


class Trigger(Terms, frozen=True, kw_only=True):
    """`on: type`, `on: [types]`, `{on, when, by}`: which events do the thing. No types: never."""

    on: tuple[str, ...] = ()
    when: str | None = None  # CEL over `event` and the case's merged `data`
    by: Literal["any", "vendor", "customer", "operator"] = "any"


class Stop(Trigger, frozen=True, kw_only=True):
    take: Literal["first", "last"] = "first"


class Pause(Trigger, frozen=True, kw_only=True):
    at_most: int | None = None  # ms of working time that each pause may count
    reason: str | None = None  # a path such as data.reason
    while_: str | None = msgspec.field(default=None, name="while")  # a condition that any event of the case decides


class Reopen(Trigger, frozen=True, kw_only=True):
    as_: Literal["continue", "new_cycle", "count_all"] = msgspec.field(default="continue", name="as")


class Change(Trigger, frozen=True, kw_only=True):
    as_: Literal["carry", "retroactive", "restart"] = msgspec.field(default="carry", name="as")


class Within(Terms, frozen=True, kw_only=True):
    """`4h` -> 14_400_000 ms; `3bd` -> 3 bd; `7cd` -> 7 cd."""

    amount: int
    unit: Literal["ms", "bd", "cd"] = "ms"
    same_time: bool = False  # `within: 2bd, at: same_time`


class Target(Terms, frozen=True, kw_only=True):
    """Exactly one of `within` and `until`."""

    calendar: str  # resolved: the target's own, else the objective's, else the agreement's
    when: str | None = None
    within: Within | None = None
    until: str | None = None  # a path such as data.promised_at
    pausable: bool = False


class Warn(Terms, frozen=True, kw_only=True):
    """A share of the target (decimal text, "0.5") or a lead before due (ms of working time); `label` is what the agreement wrote."""

    label: str
    share: str | None = None
    lead: int | None = None


class Bound(Terms, frozen=True, kw_only=True):
    """`">= 95%"` -> `>=`, "0.95"."""

    op: Literal[">=", ">", "<=", "<", "=="]
    value: str


class Window(Terms, frozen=True, kw_only=True):
    """`period`, `rolling 30d`, `tumbling 1h`. `length` is civil ms, None for the contract period."""

    kind: Literal["period", "rolling", "tumbling"] = "period"
    length: int | None = None


class EventsOf(Terms, frozen=True, kw_only=True, tag_field="of", tag="events"):
    """`events: {on, when, by, good}`."""

    events: Trigger
    good: str | None = None  # CEL over that event alone


class ObjectiveOf(Terms, frozen=True, kw_only=True, tag_field="of", tag="objective"):
    """`of: {objective: name}`."""

    objective: str


class BurnPair(Terms, frozen=True, kw_only=True, cache_hash=True):
    """Long and short window in ms, the factor of the budget they must both exceed (decimal text), and what it does."""

    long: int
    short: int
    factor: str
    severity: Literal["page", "ticket", "info"]


class Money(Terms, frozen=True, kw_only=True):
    """`"500 CNY"` -> "500", "CNY"."""

    amount: str
    currency: str


class Tier(Terms, frozen=True, kw_only=True):
    """`{below: 95%, credit: 5%}` -> `<`, "0.95", a share of the fee; credit or bonus is either a share or an amount."""

    op: Literal["<", ">", ">=", "<="]
    value: str
    share: str | None = None
    amount: Money | None = None


class Penalty(Terms, frozen=True, kw_only=True):
    """What a breach costs. `per_hour_late` is pro rata unless `per_started_hour`; `at_most` caps one breach; tiers are for levels."""

    per_breach: Money | None = None
    per_hour_late: Money | None = None
    per_started_hour: bool = False
    at_most: Money | None = None
    tiers: tuple[Tier, ...] = ()


class Reward(Terms, frozen=True, kw_only=True):
    tiers: tuple[Tier, ...]


class EarnBack(Terms, frozen=True, kw_only=True):
    """A credit is given back when the level of each of the next `periods` passes the test."""

    periods: int
    op: Literal[">=", "<="]
    value: str


class Objective(Terms, frozen=True, kw_only=True, tag_field="kind"):
    """What all kinds share."""

    name: str
    severity: Literal["page", "ticket", "info"] = "ticket"
    calendar: str = "24x7"
    when: str | None = None
    labels: dict[str, str] = {}
    weight: str | None = None
    penalty: Penalty | None = None
    reward: Reward | None = None
    earn_back: EarnBack | None = None
    runbook: str | None = None
    description: str | None = None


class Deadline(Objective, frozen=True, kw_only=True, tag="deadline"):
    start: Trigger
    stop: Stop
    targets: tuple[Target, ...]  # first match wins
    pause: Pause = Pause()
    resume: Trigger = Trigger()
    cancel: Trigger = Trigger()
    reset: Trigger = Trigger()
    reopen: Reopen = Reopen()
    change: Change = Change()
    warn_at: tuple[Warn, ...] = ()
    boundary: Literal["close", "next_open"] = "close"


class Level(Objective, frozen=True, kw_only=True):
    """What the windowed kinds share. `min_events` below which a window is `no_data`; `on_empty` decides a window of none."""

    target: Bound
    window: Window = Window()
    min_events: int = 0
    on_empty: Literal["met", "no_data", "breach"] = "no_data"
    warn_at: tuple[Warn, ...] = ()


class Ratio(Level, frozen=True, kw_only=True, tag="ratio"):
    of: EventsOf | ObjectiveOf
    burn_rate: tuple[BurnPair, ...] = ()


class Aggregate(Level, frozen=True, kw_only=True, tag="aggregate"):
    of: EventsOf
    field: str | None = None  # a path such as data.score; not for count
    aggregate: str  # avg sum min max count pNN


class Availability(Level, frozen=True, kw_only=True, tag="availability"):
    down: Trigger
    up: Trigger
    exclude_from: Trigger = Trigger()
    exclude_to: Trigger = Trigger()
    burn_rate: tuple[BurnPair, ...] = ()


class Heartbeat(Objective, frozen=True, kw_only=True, tag="heartbeat"):
    """One of `every` (ms of civil time, anchored at effective.from) and `rrule` + `at`."""

    on: Trigger
    every: int | None = None
    rrule: str | None = None
    at: str | None = None  # "18:00" in the agreement's zone
    on_closed: Literal["next", "previous", "same"] = "same"
    warn_at: tuple[Warn, ...] = ()


class Violation(Objective, frozen=True, kw_only=True, tag="violation"):
    on: Trigger
    unless: str


AnyObjective = Deadline | Ratio | Aggregate | Availability | Heartbeat | Violation


class Agreement(Terms, frozen=True, kw_only=True):
    name: str
    version: int
    vendor: tuple[str, ...]  # ("*",) for any
    service: tuple[str, ...]
    timezone: str
    objectives: tuple[AnyObjective, ...]
    effective_from: int | None = None  # the first instant, inclusive; None: since ever
    effective_to: int | None = None  # the first instant after the last day; None: for ever
    calendar: str = "24x7"
    period: Literal["week", "month", "quarter", "year"] = "month"
    fee: Money | None = None
    at_risk: str | None = None  # decimal share
    grace: int = 2_000
    horizon: int = 7 * 86_400_000
    max_lateness: int = 86_400_000
    apply_to: Literal["new", "open"] = "new"


class CalendarTable(Terms, frozen=True, kw_only=True):
    """A compiled calendar: all that working time depends on, so that no library update can change a verdict.

    `transitions` are the zone's [instant ms, offset ms] pairs, ascending, the first one standing for all time before.
    `hours` are seven lists (Monday first) of [from, to] in ms of the local day; `to` may exceed a day (over midnight).
    `holidays` and `workdays` (make-up working days, with their own windows) and `overrides` are by ISO date.
    """

    name: str
    timezone: str
    transitions: tuple[tuple[int, int], ...]
    hours: tuple[tuple[tuple[int, int], ...], ...]
    holidays: dict[str, str] = {}
    workdays: dict[str, tuple[tuple[int, int], ...]] = {}
    overrides: dict[str, tuple[tuple[int, int], ...]] = {}
    valid_from: str | None = None  # first and last ISO date the holiday table knows; outside it a due is provisional
    valid_through: str | None = None
    always: bool = False  # 24x7


class Bundle(Terms, frozen=True, kw_only=True):
    """What an activation carries: one version of an agreement and the calendars it names (with the built-in `24x7` of its zone)."""

    agreement: Agreement
    calendars: dict[str, CalendarTable]
