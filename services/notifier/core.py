"""What becomes of a verdict, and when a failed delivery is tried again: pure decisions, each with its reason."""

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from shared.alerting.groups import Alert, Group, Notification, Status
from shared.alerting.terms import BREACH
from shared.alerting.turns import Turn
from shared.ports.alerts import GroupChanges, Kept
from shared.ports.casework import breach_behind
from shared.ports.deliveries import PUT_OFF, Claimed, DeliveryState, Outcome, Planned
from shared.ports.ledger import Changes, Known, Stated
from shared.sla.instants import HOUR, MINUTE, SECOND
from shared.wire.verdicts import BREACH_TYPES, CLOCK_TYPES, CORRECTION_TYPES, LEVEL_TYPES

KNOWN_TYPES: Final = frozenset((*BREACH_TYPES, *CLOCK_TYPES, *LEVEL_TYPES))
REPEATING: Final = frozenset(("slawatch.breach.contested", "slawatch.breach.final"))  # they repeat the last revision
RISK_KINDS: Final = {"slawatch.clock.warning": "warning", "slawatch.level.at_risk": "at_risk", "slawatch.level.burning": "burning"}
OVERDUE, CLEARED = CORRECTION_TYPES
CLEARING: Final = frozenset(("slawatch.clock.met", "slawatch.clock.cancelled", "slawatch.level.met", "slawatch.level.no_data", CLEARED))
TAKEN_BACK: Final = frozenset((*RISK_KINDS, OVERDUE))  # not sent any more if it is over while it waits
TOLD: Final = frozenset(BREACH_TYPES) - {"slawatch.breach.final"} | TAKEN_BACK  # what people are told: the rest is bookkeeping


class Reason(StrEnum):
    """Why a verdict is told to people, or is not."""

    told = "told"
    recorded = "recorded: good news and finality wake nobody"
    seen = "dropped: this verdict id was read before"
    stale = "dropped: a later revision of the breach is known"


class Ruling(NamedTuple):
    """What was decided about one verdict of a batch."""

    stated: Stated
    reason: Reason

    @property
    def kept(self) -> bool:
        return self.reason in (Reason.told, Reason.recorded)


def settle(batch: Sequence[Stated], known: Known, channels: Sequence[str], off: Collection[str] = ()) -> tuple[Changes, list[Ruling]]:
    """What a batch, in the order of the log, does to the ledger that holds `known`; what is told goes to every one of `channels`
    that is not `off`.

    A reader drops ids it has seen and `slawatch.breach.*`, except `final` and `contested`, at revisions up to the last it has.
    A breach, and news that the danger is over, take back warnings of the same clock or level that still wait.
    """
    changes, rulings = Changes(), []
    seen, revisions = set(known.ids), dict(known.revisions)
    for stated in batch:
        reason = _reason(stated, seen, revisions)
        rulings.append(Ruling(stated, reason))
        if reason in (Reason.seen, Reason.stale):
            continue
        seen.add(stated.id)
        if stated.verdict.type in BREACH_TYPES or stated.verdict.type in CLEARING:
            _danger_over(changes, stated.breach_id)
        if stated.verdict.type in CORRECTION_TYPES:
            changes.statements.append(stated)
        if stated.verdict.type in CLEARING:
            continue
        if stated.verdict.type in RISK_KINDS:
            changes.statements.append(stated)
            changes.risks[stated.breach_id, RISK_KINDS[stated.verdict.type]] = stated
        elif stated.verdict.type in BREACH_TYPES:
            changes.statements.append(stated)
            _breach(changes, stated, revisions)
        if reason is Reason.told:
            warning = stated.verdict.type in TAKEN_BACK
            for channel in channels:
                state: DeliveryState = "disabled" if channel in off else "pending"
                changes.deliveries.append(Planned(stated.id, stated.breach_id, channel, warning, state))
    return changes, rulings


def _danger_over(changes: Changes, breach_id: str) -> None:
    """Warnings before this, in the ledger or in this batch, hold no longer and are not sent any more."""
    changes.cleared.add(breach_id)
    changes.inhibited.add(breach_id)
    changes.risks = {key: stated for key, stated in changes.risks.items() if key[0] != breach_id}
    for place, planned in enumerate(changes.deliveries):
        if planned.breach_id == breach_id and planned.warning and planned.state == "pending":
            changes.deliveries[place] = planned._replace(state="inhibited")


def _breach(changes: Changes, stated: Stated, revisions: dict[str, int]) -> None:
    breach_id = stated.breach_id
    match stated.verdict.type:
        case "slawatch.breach.contested":
            changes.contested.add(breach_id)
        case "slawatch.breach.final":
            changes.final.add(breach_id)
        case kind:
            revisions[breach_id] = stated.verdict.data.revision or 0
            changes.breaches[breach_id] = stated
            if kind == "slawatch.breach.reopened":
                changes.reopened.add(breach_id)


def _reason(stated: Stated, seen: set[str], revisions: dict[str, int]) -> Reason:
    verdict = stated.verdict
    if verdict.id in seen:
        return Reason.seen
    if verdict.type in BREACH_TYPES and verdict.type not in REPEATING:
        last = revisions.get(verdict.data.breach_id)
        if last is not None and (verdict.data.revision or 0) <= last:
            return Reason.stale
    return Reason.told if verdict.type in TOLD else Reason.recorded


# ---- alerts

STATUSES: Final[dict[str, Status]] = {
    **dict.fromkeys(RISK_KINDS, "warning"),
    **dict.fromkeys(CLEARING, "cleared"),
    "slawatch.breach.final": "final",
    OVERDUE: "overdue",
}
STANDINGS: Final[dict[str, Status]] = {"breached": "open", "breached_closed": "closed"}
SHOWN_MAX: Final = 20  # verdicts that a notice shows; it tells how many there are
URGENT: Final = ("slawatch.breach.opened", "slawatch.breach.reopened")


def alert_of(stated: Stated, labels: Mapping[str, str]) -> Alert:
    """A verdict as routes see it. `labels`: those of its objective."""
    data, type_ = stated.verdict.data, stated.verdict.type
    own = {
        "vendor": data.vendor,
        "service": data.service,
        "agreement": data.agreement,
        "objective": data.objective,
        "severity": data.severity,
        "kind": data.kind if isinstance(data.kind, str) else "deadline",
        "type": RISK_KINDS.get(type_, BREACH),
        "case": data.case or "",
        BREACH: breach_behind(stated.breach_id),
    }
    status = STATUSES.get(type_) or STANDINGS.get(data.state, "retracted")
    return Alert(breach_id=stated.breach_id, verdict_id=stated.id, status=status, labels={**labels, **own})


class Addressed(NamedTuple):
    """Where notifications go. `channels_of`: names of the channels of a recipient; `off`: those disabled; `by_breach`: those that are
    told of each breach by itself."""

    channels_of: Callable[[str], Sequence[str]]
    off: Collection[str]
    by_breach: Collection[str] = ()


def deliveries_of(notices: Sequence[Notification], addressed: Addressed, warnings: Collection[str]) -> list[Planned]:
    """One per notice and channel, or per breach and channel, each once, whoever is reached by it. `warnings`: verdict ids that a
    breach takes back."""
    found: dict[tuple[str, str], Planned] = {}
    for notice in notices:
        ids = tuple(notice.verdicts.values())
        single = len(ids) == 1 and notice.thread in notice.verdicts
        for channel in addressed.channels_of(notice.recipient):
            state: DeliveryState = "disabled" if channel in addressed.off else "pending"
            if channel in addressed.by_breach and not single:
                some = _each_by_itself(notice, channel, state, warnings)
            else:
                warning, told = single and ids[0] in warnings, () if single else tuple(notice.verdicts.items())
                place = (notice.key, notice.thread, channel, warning, state, notice.thread, notice.reason)
                some = [Planned(*place, ids[:SHOWN_MAX], notice.total, told)]
            for planned in some:
                found.setdefault((planned.key, planned.channel), planned)
    return list(found.values())


def _each_by_itself(notice: Notification, channel: str, state: DeliveryState, warnings: Collection[str]) -> list[Planned]:
    """A group's notice for a receiver that remembers each breach: under the verdict's id, as if it stood alone, unless it repeats it."""
    return [
        Planned(
            f"{notice.key}/{breach_id}" if notice.reason in PUT_OFF else verdict_id,
            breach_id,
            channel,
            verdict_id in warnings,
            state,
            breach_id,
            notice.reason,
            (verdict_id,),
        )
        for breach_id, verdict_id in notice.verdicts.items()
    ]


def cleared_of(stated: Stated, groups: Mapping[str, Group], addressed: Addressed) -> list[Planned]:
    """A danger that is over wakes nobody, but receivers that remember each breach, and were told of it, are to forget it."""
    told = {
        recipient
        for group in groups.values()
        if (member := group.members.get(stated.breach_id)) is not None and member.alert.status in ("warning", "overdue")
        for recipient, told in group.told.items()
        if stated.breach_id in told.verdicts
    }
    channels = {channel for recipient in told for channel in addressed.channels_of(recipient) if channel in addressed.by_breach}
    return [
        Planned(stated.id, stated.breach_id, channel, False, reason="resolved", verdicts=(stated.id,))
        for channel in sorted(channels.difference(addressed.off))
    ]


def kept_of(turn: Turn) -> GroupChanges:
    """What the ledger stores of a turn."""
    groups = {
        key: Kept(None if decision.gone else turn.groups[key], decision.next_at, decision.held) for key, decision in turn.decisions.items()
    }
    return GroupChanges(groups=groups, began=turn.began, ended=turn.ended, expired=turn.expired)


# ---- deliveries

# After the n-th failed attempt, ms (Standard Webhooks): 10 attempts in all, over three days and a half.
RETRY_AFTER: Final = (5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR)
JITTER: Final = 0.2  # a retry comes up to this share later, so that receivers that come back are not met by all at once
ASKED_MAX: Final = 24 * HOUR  # the longest Retry-After that is believed


class Sent(NamedTuple):
    """The channel took it."""


class Failed(NamedTuple):
    """The channel did not take it; `retry_after` is how long it asked for (ms); a `permanent` failure is not tried again."""

    error: str
    retry_after: int | None = None
    permanent: bool = False


class HeldBack(NamedTuple):
    """It was not tried, and may be after `wait` ms: no attempt, so none of those that a delivery has is used up."""

    error: str
    wait: int


class Gone(NamedTuple):
    """The receiver says that it is no more, and wants nothing further."""

    error: str


Result = Sent | Failed | HeldBack | Gone


def outcome(claimed: Claimed, result: Result, now: int, jitter: float) -> Outcome:
    """What an attempt that ended at `now` (ms) means for its delivery; `jitter` is a random number in [0, 1)."""
    attempts = claimed.attempts + (not isinstance(result, HeldBack))
    state: DeliveryState = "sent"
    error, again = "", None
    match result:
        case Gone(error):
            state = "disabled"
        case HeldBack(error, wait):
            state, again = "pending", now + wait + round(wait * JITTER * jitter)
        case Failed(error, retry_after, permanent):
            again = None if permanent else next_attempt(attempts, retry_after, now, jitter)
            state = "failed" if again is None else "pending"
    return Outcome(claimed.key, claimed.channel, state, attempts, now, again, error)


def next_attempt(attempts: int, retry_after: int | None, now: int, jitter: float) -> int | None:
    """When to try again after so many failed attempts (ms); None: never. The receiver's wish only ever makes it later."""
    if attempts > len(RETRY_AFTER):
        return None
    wait = max(RETRY_AFTER[attempts - 1], min(retry_after or 0, ASKED_MAX))
    return now + wait + round(wait * JITTER * jitter)
