"""Breaches and their cases as the API tells them."""

from typing import Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from services.notifier.cases import correction_state
from shared.ports.casework import Priority, Status, Work
from shared.ports.ledger import BreachRow, Case, Standing
from shared.runtime.problems import Problem
from shared.sla.instants import format_instant, or_none_instant


class Body(BaseModel):
    """What is sent. A field that is not known is refused: somebody meant something by it."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Acknowledgement(BaseModel):
    """Who has taken the breach on."""

    at: str
    by: str


class CorrectionView(BaseModel):
    """What is done so that it does not happen again, and its own deadline."""

    action: str
    due: str | None
    done_at: str | None
    state: Literal["running", "overdue", "done", "done_late"]


class ExcuseView(BaseModel):
    """Why the breach is not held against the vendor."""

    reason: str
    approver: str = Field(description="who agreed")
    by: str
    at: str


class DisputeView(BaseModel):
    """Why somebody says that it is no breach."""

    reason: str
    by: str
    at: str


class Breach(BaseModel):
    """Where a breach stands, and its case."""

    model_config = ConfigDict(populate_by_name=True)

    breach_id: str
    revision: int = Field(description="of the last statement")
    state: Standing = Field(description="open; closed: done, late; retracted: evidence disproved it")
    agreement: str
    version: int
    objective: str
    vendor: str
    service: str
    case: str | None = Field(description="null: a level, which has no case")
    cycle: int | None
    severity: str
    cause: str | None
    started: str | None
    due: str | None
    stopped: str | None
    target_s: float | None
    late_s: float | None = Field(description="working time from due to the end")
    overdue_s: float | None = Field(description="wall time after due, as of the last statement")
    opened_at: str
    changed_at: str
    contested: bool = Field(description="late evidence awaits review by a person")
    final: bool
    acknowledged: Acknowledgement | None
    status: Status = Field(description="where the case stands; a withdrawn breach closes its case")
    class_: str | None = Field(alias="class", description="what sort of problem it is, in your words")
    priority: Priority | None
    owner: str | None
    root_cause: str | None = Field(description="what people found out; `cause` is the clock's")
    correction: CorrectionView | None
    excuse: ExcuseView | None
    dispute: DisputeView | None


class Breaches(BaseModel):
    """A page of breaches, newest first; `next` is the cursor of the following page, null on the last."""

    breaches: list[Breach]
    next: str | None


class Entry(BaseModel):
    """One line of a breach's timeline: a statement, an attempt to tell someone, or what a person did."""

    at: str
    kind: Literal["statement", "delivery", "action"]
    type: str = Field(description="type of the verdict; or acknowledge, assign, note, correct, dispute, excuse, close, reopen")
    revision: int | None = None
    verdict: dict[str, Any] | None = Field(default=None, description="statements: the verdict as it was stated")
    channel: str | None = None
    state: str | None = Field(default=None, description="deliveries: pending, sent, failed, disabled, inhibited")
    attempts: int | None = None
    error: str | None = None
    by: str | None = Field(default=None, description="actions: name of the token")
    text: str | None = None
    changes: dict[str, Any] | None = Field(default=None, description="actions: field to what it was and what it is")


class BreachCase(Breach):
    """A breach with all that is known of it."""

    evidence: list[str] = Field(description="ids of the events that led to the last statement")
    timeline: list[Entry]


def breach_of(row: BreachRow, now: int) -> Breach:
    """The API's form of a breach as of `now` (ms since 1970)."""
    return Breach(**_breach_fields(row, now))


def _breach_fields(row: BreachRow, now: int) -> dict[str, Any]:
    fields = msgspec.structs.asdict(row)
    acknowledged_at, acknowledged_by = fields.pop("acknowledged_at"), fields.pop("acknowledged_by")
    fields["state"] = fields.pop("standing")
    fields["class"] = fields.pop("category")
    for name in ("seq", "stage", "work"):
        del fields[name]
    for name in ("started", "due", "stopped", "opened_at", "changed_at"):
        fields[name] = or_none_instant(fields[name])
    fields["acknowledged"] = acknowledged_at and {"at": format_instant(acknowledged_at), "by": acknowledged_by}
    return fields | _work_fields(row.work, now)


def _work_fields(work: Work, now: int) -> dict[str, Any]:
    fields: dict[str, Any] = {"root_cause": work.root_cause}
    for name, part in (("excuse", work.excuse), ("dispute", work.dispute)):
        fields[name] = part and msgspec.structs.asdict(part) | {"at": format_instant(part.at)}
    correction = work.correction
    fields["correction"] = correction and CorrectionView(
        action=correction.action,
        due=or_none_instant(correction.due),
        done_at=or_none_instant(correction.done_at),
        state=correction_state(correction, now),
    )
    return fields


def case_of(case: Case, now: int) -> BreachCase:
    """The API's form of a breach with its timeline."""
    bodies = {row.id: msgspec.json.decode(row.body) for row in case.statements}
    types = {row.id: row.type for row in case.statements}
    lines: list[tuple[int, Entry]] = []
    for row in case.statements:
        at = format_instant(row.decided_at)
        lines.append((row.decided_at, Entry(at=at, kind="statement", type=row.type, revision=row.revision, verdict=bodies[row.id])))
    for sent in case.deliveries:
        instant = sent.settled_at or sent.next_attempt_at or case.breach.changed_at
        entry = Entry(at=format_instant(instant), kind="delivery", type=types.get(sent.verdict_id, ""), channel=sent.channel)
        lines.append((instant, entry.model_copy(update={"state": sent.state, "attempts": sent.attempts, "error": sent.error or None})))
    for done in case.actions:
        entry = Entry(at=format_instant(done.at), kind="action", type=done.action, by=done.actor, text=done.text or None)
        lines.append((done.at, entry.model_copy(update={"changes": done.changes})))
    lines.sort(key=lambda line: line[0])
    return BreachCase(**_breach_fields(case.breach, now), evidence=evidence_of(case), timeline=[entry for _, entry in lines])


def evidence_of(case: Case) -> list[str]:
    """Ids of the events behind the last statement."""
    for row in reversed(case.statements):
        if row.type.startswith("slawatch.breach."):
            evidence = msgspec.json.decode(row.body)["data"].get("evidence", [])
            return [str(event) for event in evidence]
    return []


def no_such(breach_id: str) -> Problem:
    """The answer for a breach that is not there, and for another vendor's: nobody learns which."""
    return Problem(404, "no-such-breach", "No such breach", f"no breach {breach_id[:80]!r} that this token may see")
