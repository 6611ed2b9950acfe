"""The routes of the notifier's API: breaches, who acknowledged them, and the feed of what happens."""

import base64
import binascii
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import StreamingResponse
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, Field

from services.notifier.actions import NOTE_CHARACTERS_MAX, READERS, RESPONDERS, Actions, vendor_of
from services.notifier.live import Hub, feed
from shared.ports.credentials import Credential
from shared.ports.deliveries import Deliveries
from shared.ports.ledger import BreachRow, Case, Ledger, LedgerUnavailable, RiskRow, Standing, Wanted
from shared.runtime import auth, problems
from shared.runtime.auth import require_role
from shared.runtime.credentials import Authenticator
from shared.runtime.problems import Problem, unavailable
from shared.runtime.serving import Readiness, add_health
from shared.sla.instants import BadInstant, format_instant, or_none_instant, parse_instant

DESCRIPTION: Final = """\
The breach ledger: every statement about every breach, where each stands, who was told and who acknowledged. A token of role *vendor* sees
its own vendor's data only. Instants are RFC 3339 in UTC, durations are seconds. Errors are RFC 9457 problem documents.
"""
PAGE_MAX: Final = 500
_ERRORS: Final = problems.responses(
    s401="no acceptable token", s403="a role that may not do this", s422="wrong parameters", s503="the ledger is away: see Retry-After"
)
_ERRORS_ONE: Final = _ERRORS | problems.responses(s404="no such breach, or another vendor's")


class Acknowledgement(BaseModel):
    """Who has taken the breach on."""

    at: str
    by: str


class Breach(BaseModel):
    """Where a breach stands."""

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


class Breaches(BaseModel):
    """A page of breaches, newest first; `next` is the cursor of the following page, null on the last."""

    breaches: list[Breach]
    next: str | None


class Entry(BaseModel):
    """One line of a breach's timeline: a statement, an attempt to tell someone, or what a person did."""

    at: str
    kind: Literal["statement", "delivery", "action"]
    type: str = Field(description="type of the verdict; or acknowledge, note")
    revision: int | None = None
    verdict: dict[str, Any] | None = Field(default=None, description="statements: the verdict as it was stated")
    channel: str | None = None
    state: str | None = Field(default=None, description="deliveries: pending, sent, failed, disabled, inhibited")
    attempts: int | None = None
    error: str | None = None
    by: str | None = Field(default=None, description="actions: name of the token")
    text: str | None = None


class BreachCase(Breach):
    """A breach with all that is known of it."""

    evidence: list[str] = Field(description="ids of the events that led to the last statement")
    timeline: list[Entry]


class Risk(BaseModel):
    """A clock or level at risk."""

    breach_id: str = Field(description="the id that a breach would have")
    kind: str = Field(description="warning, at_risk or burning")
    agreement: str
    objective: str
    vendor: str
    service: str
    case: str | None
    severity: str
    started: str | None
    due: str | None
    threshold: str | None = Field(description="as the agreement wrote it, such as 80% or 30m")
    since: str


class Risks(BaseModel):
    """What is at risk, the first due first."""

    risks: list[Risk]


class Note(BaseModel):
    """A person's words."""

    text: str = Field(min_length=1, max_length=NOTE_CHARACTERS_MAX)


class ChannelState(BaseModel):
    """A channel and whether it is on."""

    channel: str
    enabled: bool
    reason: str | None = Field(description="why it is off")


class Channels(BaseModel):
    """The channels of this installation."""

    channels: list[ChannelState]


def breach_of(row: BreachRow) -> Breach:
    """The API's form of a breach."""
    return Breach(**_breach_fields(row))


def _breach_fields(row: BreachRow) -> dict[str, Any]:
    fields = msgspec.structs.asdict(row)
    acknowledged_at, acknowledged_by = fields.pop("acknowledged_at"), fields.pop("acknowledged_by")
    fields["state"] = fields.pop("standing")
    del fields["seq"]
    for name in ("started", "due", "stopped", "opened_at", "changed_at"):
        fields[name] = or_none_instant(fields[name])
    fields["acknowledged"] = acknowledged_at and {"at": format_instant(acknowledged_at), "by": acknowledged_by}
    return fields


def case_of(case: Case) -> BreachCase:
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
        lines.append((done.at, Entry(at=format_instant(done.at), kind="action", type=done.action, by=done.actor, text=done.text or None)))
    lines.sort(key=lambda line: line[0])
    return BreachCase(**_breach_fields(case.breach), evidence=evidence_of(case), timeline=[entry for _, entry in lines])


def evidence_of(case: Case) -> list[str]:
    """Ids of the events behind the last statement."""
    for row in reversed(case.statements):
        if row.type.startswith("slawatch.breach."):
            evidence = msgspec.json.decode(row.body)["data"].get("evidence", [])
            return [str(event) for event in evidence]
    return []


def _risk_of(row: RiskRow) -> Risk:
    fields = msgspec.structs.asdict(row)
    for name in ("started", "due", "since"):
        fields[name] = or_none_instant(fields[name])
    return Risk(**fields)


def _cursor(seq: int) -> str:
    return base64.urlsafe_b64encode(str(seq).encode()).decode().rstrip("=")


def _seq(cursor: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        raise Problem(422, "invalid", "Not acceptable", "cursor: take it from `next` of the page before") from None


def _since(text: str | None) -> int | None:
    try:
        return None if text is None else parse_instant(text)
    except BadInstant as wrong:
        raise Problem(422, "invalid", "Not acceptable", f"since: {wrong}", errors=[("/since", str(wrong))]) from None


def no_such(breach_id: str) -> Problem:
    """The answer for a breach that is not there, and for another vendor's: nobody learns which."""
    return Problem(404, "no-such-breach", "No such breach", f"no breach {breach_id[:80]!r} that this token may see")


def build(
    ledger: Ledger,
    deliveries: Deliveries,
    actions: Actions,
    hub: Hub,
    authenticator: Authenticator,
    registry: CollectorRegistry,
    readiness: Readiness,
    channels: Callable[[], dict[str, str | None]],
) -> FastAPI:
    """The notifier's HTTP application without the console. `channels`: each channel, and why it is off."""
    app = FastAPI(title="slawatch notifier", version="1", description=DESCRIPTION, redirect_slashes=False, redoc_url=None)
    problems.install(app)
    auth.install(app, authenticator)
    add_health(app, registry, readiness)

    async def on_away(request: Request, wrong: Exception) -> Response:
        return problems.document(request, unavailable("the ledger cannot be reached right now"))

    app.add_exception_handler(LedgerUnavailable, on_away)
    reader, responder = Depends(require_role(*READERS)), Depends(require_role(*RESPONDERS))
    operator = Depends(require_role("operator"))

    @app.get("/v1/breaches", summary="List breaches", tags=["breaches"], responses=_ERRORS)
    async def list_breaches(
        credential: Annotated[Credential, reader],
        vendor: str | None = None,
        agreement: str | None = None,
        objective: str | None = None,
        state: Standing | None = None,
        severity: str | None = None,
        acknowledged: bool | None = None,
        since: Annotated[str | None, Query(description="changed at or after this instant")] = None,
        cursor: Annotated[str | None, Query(max_length=40, description="`next` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    ) -> Breaches:
        """Newest first, in the order in which they were recorded; new ones never shift the pages that follow."""
        own = vendor_of(credential)
        if own is not None and vendor not in (None, own):
            return Breaches(breaches=[], next=None)
        wanted = Wanted(
            vendor=own or vendor,
            agreement=agreement,
            objective=objective,
            standing=state,
            severity=severity,
            acknowledged=acknowledged,
            since=_since(since),
        )
        rows = await ledger.breaches(wanted, limit=limit + 1, before=None if cursor is None else _seq(cursor))
        more = _cursor(rows[limit - 1].seq) if len(rows) > limit else None
        return Breaches(breaches=[breach_of(row) for row in rows[:limit]], next=more)

    @app.get("/v1/breaches/{breach_id}", summary="One breach with evidence and timeline", tags=["breaches"], responses=_ERRORS_ONE)
    async def get_breach(breach_id: str, credential: Annotated[Credential, reader]) -> BreachCase:
        """Every statement as it was made, every delivery, everything people did."""
        case = await ledger.case(breach_id, vendor_of(credential))
        if case is None:
            raise no_such(breach_id)
        return case_of(case)

    @app.post("/v1/breaches/{breach_id}/acknowledge", summary="Acknowledge a breach", tags=["breaches"], responses=_ERRORS_ONE)
    async def acknowledge(breach_id: str, credential: Annotated[Credential, responder]) -> Breach:
        """Say that you have taken it on. The first acknowledgement stands; a second changes nothing."""
        breach = await actions.act(breach_id, "acknowledge", credential)
        if breach is None:
            raise no_such(breach_id)
        return breach_of(breach)

    @app.post("/v1/breaches/{breach_id}/note", summary="Add a note", tags=["breaches"], status_code=201, responses=_ERRORS_ONE)
    async def note(breach_id: str, words: Note, credential: Annotated[Credential, responder]) -> Breach:
        """Words for whoever looks at the breach next; they stay in its timeline."""
        breach = await actions.act(breach_id, "note", credential, words.text)
        if breach is None:
            raise no_such(breach_id)
        return breach_of(breach)

    @app.get("/v1/risks", summary="Clocks and levels at risk", tags=["breaches"], responses=_ERRORS)
    async def list_risks(credential: Annotated[Credential, reader], limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100) -> Risks:
        """Warned of, and neither kept nor broken yet."""
        return Risks(risks=[_risk_of(row) for row in await ledger.risks(vendor=vendor_of(credential), limit=limit)])

    @app.get(
        "/v1/feed",
        summary="What happens, as it happens",
        tags=["feed"],
        response_class=StreamingResponse,
        responses=_ERRORS | {200: {"content": {"text/event-stream": {}}}},
    )
    async def get_feed(credential: Annotated[Credential, reader]) -> StreamingResponse:
        """Server-sent events `verdict`, `delivery`, `action`, each with JSON data; `missed` if you read too slowly. Nothing of the past."""
        return StreamingResponse(feed(hub, vendor_of(credential)), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    @app.get("/v1/channels", summary="Channels and whether they are on", tags=["channels"], responses=_ERRORS)
    async def list_channels(_credential: Annotated[Credential, responder]) -> Channels:
        """A channel goes off when its receiver answers 410."""
        rows = [ChannelState(channel=name, enabled=why is None, reason=why) for name, why in channels().items()]
        return Channels(channels=rows)

    @app.post("/v1/channels/{channel}/enable", summary="Turn a channel on again", tags=["channels"], responses=_ERRORS_ONE)
    async def enable(channel: str, _credential: Annotated[Credential, operator]) -> ChannelState:
        """From the next verdict on; within a second."""
        if not await deliveries.enable(channel):
            raise Problem(404, "no-such-channel", "No such channel", f"{channel!r} is not a channel that is off")
        return ChannelState(channel=channel, enabled=True, reason=None)

    return app
