"""What people may do to a case, and what becomes of it: pure decisions, each with its reason.

          ┌────────────── reopen ───────────────┐
          ▼                                     │
open ──► acknowledged ──► in correction ──► closed
  │           │                │                ▲
  └───────────┴───── disputed ─┴──► excused ────┘ (a withdrawn breach closes its case by itself)
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final, Literal, NamedTuple

import msgspec

from shared.ports.cases import Change
from shared.ports.casework import Correction, Dispute, Excuse, Facts, Priority, Work
from shared.ports.ledger import BreachRow

Verb = Literal["assign", "note", "correct", "dispute", "excuse", "close", "reopen"]
RESPONDERS: Final = ("responder", "manager", "operator")
APPROVERS: Final = ("manager", "operator")
MAY: Final[dict[Verb, tuple[str, ...]]] = {
    "assign": RESPONDERS,
    "note": RESPONDERS,
    "correct": RESPONDERS,
    "dispute": (*RESPONDERS, "vendor"),  # who is accused may answer
    "excuse": APPROVERS,  # it costs the customer the credit
    "close": RESPONDERS,
    "reopen": RESPONDERS,
}
TAKES_ON: Final[frozenset[Verb]] = frozenset(("correct", "excuse", "close"))  # who does this has it: nobody needs to be woken any more


class Reason(StrEnum):
    """Why a request about a case was carried out, or was not."""

    done = "done"
    nothing_new = "nothing to change: it is so already"
    withdrawn = "the breach was withdrawn: its case is closed"
    closed = "the case is closed: reopen it first"
    excused = "the breach is excused: reopen the case first"
    not_closed = "only a closed, excused or disputed case can be reopened"
    correcting = "the corrective action is not done: mark it done, or take it back"
    no_action = "there is no corrective action yet: say what is done, and by when"
    not_yours = "the role may not do this"


class Request(NamedTuple):
    """What somebody wants done. Fields that are `UNSET` stay as they are; None takes them back."""

    verb: Verb
    by: str
    role: str
    at: int
    text: str = ""
    approver: str = ""
    owner: str | msgspec.UnsetType | None = msgspec.UNSET
    priority: Priority | msgspec.UnsetType | None = msgspec.UNSET
    category: str | msgspec.UnsetType | None = msgspec.UNSET
    root_cause: str | msgspec.UnsetType | None = msgspec.UNSET
    action: str | msgspec.UnsetType | None = msgspec.UNSET
    due: int | msgspec.UnsetType | None = msgspec.UNSET
    done: bool | msgspec.UnsetType = msgspec.UNSET


class Refused(Exception):
    """The request cannot be carried out; `reason` says why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


def facts_of(breach: BreachRow) -> Facts:
    """What people made of a breach so far."""
    return Facts(**{name: getattr(breach, name) for name in Facts.__struct_fields__})


def decide(breach: BreachRow, request: Request) -> tuple[Reason, Change | None]:
    """What a request does to a case; no change but for `done`."""
    if request.role not in MAY[request.verb]:
        return Reason.not_yours, None
    refused = _refusal(breach, request)
    if refused is not None:
        return refused, None
    old = facts_of(breach)
    new = _MOVES[request.verb](old, request)
    if isinstance(new, Reason):
        return new, None
    changed = _difference(old, new)
    if not changed and request.verb != "note":
        return Reason.nothing_new, None
    return Reason.done, Change(new, request.verb, request.text, changed)


def correction_state(correction: Correction, now: int) -> Literal["running", "overdue", "done", "done_late"]:
    """Where the corrective action's own clock stands; done at its due instant is in time."""
    late = correction.due is not None and (now if correction.done_at is None else correction.done_at) > correction.due
    if correction.done_at is None:
        return "overdue" if late else "running"
    return "done_late" if late else "done"


def _refusal(breach: BreachRow, request: Request) -> Reason | None:
    """What stands in the way, whatever is asked in detail. A note is always taken."""
    if request.verb == "note":
        return None
    if breach.standing == "retracted":
        return Reason.withdrawn
    if request.verb == "reopen":
        return _reopening_refused(breach, request)
    if breach.stage == "closed" and request.verb != "excuse":  # the manager may excuse at the end of the month
        return Reason.closed
    if breach.stage == "excused":
        return Reason.excused
    return None


def _reopening_refused(breach: BreachRow, request: Request) -> Reason | None:
    if breach.stage not in ("closed", "excused", "disputed"):
        return Reason.not_closed
    excused = breach.work.excuse is not None  # who may give it may take it back
    return Reason.not_yours if excused and request.role not in APPROVERS else None


def _assign(facts: Facts, request: Request) -> Facts:
    given = {name: getattr(request, name) for name in ("owner", "priority", "category")}
    return msgspec.structs.replace(facts, **{name: value for name, value in given.items() if value is not msgspec.UNSET})


def _note(facts: Facts, _request: Request) -> Facts:
    return facts


def _correct(facts: Facts, request: Request) -> Facts | Reason:
    work, correction = facts.work, facts.work.correction
    if request.root_cause is not msgspec.UNSET:
        work = msgspec.structs.replace(work, root_cause=request.root_cause)
    if request.action is not msgspec.UNSET:
        kept = correction.due if correction else None
        correction = None if request.action is None else Correction(action=request.action, due=kept)
    if request.due is not msgspec.UNSET:
        if correction is None:
            return Reason.no_action
        correction = msgspec.structs.replace(correction, due=request.due)
    if request.done is not msgspec.UNSET:
        if correction is None:
            return Reason.no_action
        at = (correction.done_at or request.at) if request.done else None
        correction = msgspec.structs.replace(correction, done_at=at)
    work = msgspec.structs.replace(work, correction=correction)
    stage = facts.stage
    if facts.work.correction is None and correction is not None:
        stage = "in_correction"
    elif correction is None and stage == "in_correction":
        stage = "open"
    return msgspec.structs.replace(facts, stage=stage, work=work)


def _dispute(facts: Facts, request: Request) -> Facts:
    dispute = Dispute(reason=request.text, by=request.by, at=request.at)
    return msgspec.structs.replace(facts, stage="disputed", work=msgspec.structs.replace(facts.work, dispute=dispute))


def _excuse(facts: Facts, request: Request) -> Facts:
    excuse = Excuse(reason=request.text, approver=request.approver or request.by, by=request.by, at=request.at)
    return msgspec.structs.replace(facts, stage="excused", work=msgspec.structs.replace(facts.work, excuse=excuse))


def _close(facts: Facts, _request: Request) -> Facts | Reason:
    correction = facts.work.correction
    if correction is not None and correction.done_at is None:
        return Reason.correcting
    return msgspec.structs.replace(facts, stage="closed")


def _reopen(facts: Facts, _request: Request) -> Facts:
    """The excuse and the dispute hold no longer; the audit trail keeps them."""
    work = msgspec.structs.replace(facts.work, excuse=None, dispute=None)
    correcting = work.correction is not None and work.correction.done_at is None
    return msgspec.structs.replace(facts, stage="in_correction" if correcting else "open", work=work)


_MOVES: Final[dict[Verb, Callable[[Facts, Request], Facts | Reason]]] = {
    "assign": _assign,
    "note": _note,
    "correct": _correct,
    "dispute": _dispute,
    "excuse": _excuse,
    "close": _close,
    "reopen": _reopen,
}


def _difference(old: Facts, new: Facts) -> dict[str, tuple[object, object]]:
    """Field to what it was and what it is, as the audit trail keeps it."""
    changed: dict[str, tuple[object, object]] = {}
    for names, before, after in ((Facts.__struct_fields__, old, new), (Work.__struct_fields__, old.work, new.work)):
        for name in names:
            was, is_ = getattr(before, name), getattr(after, name)
            if name != "work" and was != is_:
                changed[name] = (was, is_)
    return changed
