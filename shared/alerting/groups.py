"""What a group of alerts is, as it is stored: plain state, changed by `shared.alerting.decisions` alone. Instants are ms since 1970."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Literal

import msgspec

from shared.alerting.terms import BREACH, Match, Route

Status = Literal["warning", "open", "closed", "retracted", "cleared", "final", "overdue"]
Why = Literal["first", "update", "repeat", "resolved", "retracted", "escalation"]
FIRING = ("warning", "open")


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """The newest word on one breach, or on the danger of one.

    `status`: warning (not broken yet), open, closed (done, late), retracted (disproved), cleared (the danger is over), final (no
    more comes), overdue (a corrective action is late: told once to whoever is first, and nobody is engaged after).
    `labels` always holds vendor, service, agreement, objective, severity, kind, type and case, and those of the objective.
    """

    breach_id: str
    verdict_id: str
    status: Status
    labels: dict[str, str]

    @property
    def firing(self) -> bool:
        return self.status in FIRING


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody is told of matching alerts from `starts_at` until before `ends_at`, says `author`, because of `reason`."""

    id: str
    match: Match
    starts_at: int
    ends_at: int
    author: str
    reason: str


class Facts(msgspec.Struct, kw_only=True):
    """What decisions depend on beside the group. `sources`: labels of the firing alerts that may inhibit others, by breach id.
    `acknowledged`: since when, by breach id. `dealt_with`: those whose case people excused or closed: this acknowledgement holds."""

    silences: tuple[Silence, ...] = ()
    sources: dict[str, dict[str, str]] = {}
    acknowledged: dict[str, int] = {}
    dealt_with: set[str] = set()


class Member(msgspec.Struct, kw_only=True):
    """One alert of a group. `since`: when it began to fire, or came; `at`: its newest word."""

    alert: Alert
    since: int
    at: int


class Told(msgspec.Struct, kw_only=True):
    """What a recipient knows: the verdict last told of each breach. `round` and `step` of escalation: the last that named it."""

    at: int
    round: int
    step: int
    verdicts: dict[str, str] = {}
    broken: bool = False  # was told of a breach, not only of warnings


class Group(msgspec.Struct, kw_only=True):
    """Alerts that one route tells together. A *round* of escalation begins when something waits to be acknowledged and nothing did."""

    key: str
    route: str
    single: bool
    members: dict[str, Member] = {}
    told: dict[str, Told] = {}
    pending: bool = False  # something fires, is told and not acknowledged
    round: int = 0
    started: int = 0  # when the round began
    step: int = 0  # steps of the round that were taken
    notices: int = 0


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """Tell `recipient` about these breaches, the most severe first. `key` is the same on every retry; `total` counts what fires too."""

    key: str
    thread: str
    reason: Why
    recipient: str
    verdicts: dict[str, str]  # breach id -> verdict id
    total: int
    route: str = ""


def key_of(route: Route, alert: Alert) -> str:
    """The key of the group that holds an alert under a route."""
    if route.single:
        return f"{route.name}|{alert.breach_id}"
    values = "\0".join(alert.labels.get(name, "") for name in route.group_by)
    return f"{route.name}|{sha256(values.encode()).hexdigest()[:24]}"  # labels may be longer than what an index holds


def new_group(route: Route, alert: Alert) -> Group:
    """The empty group for an alert."""
    return Group(key=key_of(route, alert), route=route.name, single=route.single)


def put(group: Group, alert: Alert, now: int) -> None:
    """The newest word on an alert."""
    member = group.members.get(alert.breach_id)
    over = {"cleared": ("warning", "overdue"), "final": ("closed", "retracted")}.get(alert.status)
    if over is not None:
        if member is not None and member.alert.status in over:
            forget(group, [alert.breach_id])
        return
    if member is None:
        group.members[alert.breach_id] = Member(alert=alert, since=now, at=now)
        return
    broken = member.alert.status == "warning" and alert.status == "open"
    if alert.firing and (broken or not member.alert.firing):
        member.since = now
        group.pending = group.pending and not broken  # a breach is not acknowledged by whoever took on its warning
    member.alert, member.at = alert, now


def forget(group: Group, breach_ids: Iterable[str]) -> None:
    """Drop members and what was told of them."""
    for breach_id in breach_ids:
        group.members.pop(breach_id, None)
        for told in group.told.values():
            told.verdicts.pop(breach_id, None)


def is_breach(labels: Mapping[str, str]) -> bool:
    """Whether an alert is a breach, and not only the danger of one."""
    return labels.get("type") == BREACH
