"""The routes of the notifier's API: breaches and where their cases stand, risks, channels, and the feed of what happens."""

import base64
import binascii
from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.responses import StreamingResponse
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, Field

from services.notifier import audit, cases_api
from services.notifier.actions import READERS, CaseActions, vendor_of
from services.notifier.cases import RESPONDERS
from services.notifier.live import Hub, feed
from services.notifier.views import BreachCase, Breaches, breach_of, case_of, no_such
from shared.ports.casework import Priority, Status
from shared.ports.credentials import Credential
from shared.ports.deliveries import Deliveries
from shared.ports.ledger import Ledger, LedgerUnavailable, RiskRow, Standing, Wanted
from shared.runtime import auth, problems, reference
from shared.runtime.auth import require_role
from shared.runtime.credentials import Authenticator
from shared.runtime.problems import Problem, unavailable
from shared.runtime.serving import Readiness, add_health
from shared.sla.instants import BadInstant, or_none_instant, parse_instant

DESCRIPTION: Final = """\
The breach ledger: every statement about every breach, where each stands, who was told and who acknowledged. A token of role *vendor* sees
its own vendor's data only. Instants are RFC 3339 in UTC, durations are seconds. Errors are RFC 9457 problem documents.
"""
PAGE_MAX: Final = 500
_ERRORS: Final = problems.responses(
    s401="no acceptable token", s403="a role that may not do this", s422="wrong parameters", s503="the ledger is away: see Retry-After"
)
_ERRORS_ONE: Final = _ERRORS | problems.responses(s404="no such breach, or another vendor's")


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


class ChannelState(BaseModel):
    """A channel and whether it is on."""

    channel: str
    enabled: bool
    reason: str | None = Field(description="why it is off")


class Channels(BaseModel):
    """The channels of this installation."""

    channels: list[ChannelState]


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


def build(
    ledger: Ledger,
    deliveries: Deliveries,
    work: CaseActions,
    hub: Hub,
    authenticator: Authenticator,
    registry: CollectorRegistry,
    readiness: Readiness,
    channels: Callable[[], dict[str, str | None]],
    *more: APIRouter,
) -> FastAPI:
    """The notifier's HTTP application without the console. `channels`: each channel, and why it is off; `more`: routes of other files."""
    app = FastAPI(title="slawatch notifier", version="1", description=DESCRIPTION, redirect_slashes=False, docs_url=None, redoc_url=None)
    audit.install(app)
    problems.install(app)
    reference.install(app)
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
        status: Annotated[Status | None, Query(description="where the case stands")] = None,
        owner: Annotated[str | None, Query(max_length=200, description="whose it is")] = None,
        priority: Priority | None = None,
        class_: Annotated[str | None, Query(alias="class", max_length=100)] = None,
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
            status=status,
            owner=owner,
            priority=priority,
            category=class_,
            since=_since(since),
        )
        rows = await ledger.breaches(wanted, limit=limit + 1, before=None if cursor is None else _seq(cursor))
        more = _cursor(rows[limit - 1].seq) if len(rows) > limit else None
        return Breaches(breaches=[breach_of(row, work.now()) for row in rows[:limit]], next=more)

    @app.get("/v1/breaches/{breach_id}", summary="One breach with evidence and timeline", tags=["breaches"], responses=_ERRORS_ONE)
    async def get_breach(breach_id: str, credential: Annotated[Credential, reader]) -> BreachCase:
        """Every statement as it was made, every delivery, everything people did."""
        case = await ledger.case(breach_id, vendor_of(credential))
        if case is None:
            raise no_such(breach_id)
        return case_of(case, work.now())

    for routes in (cases_api.routes(work), *more):
        app.include_router(routes)

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

    @app.post("/v1/channels/{channel:path}/enable", summary="Turn a channel on again", tags=["channels"], responses=_ERRORS_ONE)
    async def enable(channel: str, _credential: Annotated[Credential, operator]) -> ChannelState:
        """From the next verdict on; within a second."""
        if not await deliveries.enable(channel):
            raise Problem(404, "no-such-channel", "No such channel", f"{channel!r} is not a channel that is off")
        return ChannelState(channel=channel, enabled=True, reason=None)

    return app
