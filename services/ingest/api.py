"""The routes of ingest and their documentation."""

from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, FastAPI, Request, Response
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, Field

from services.ingest.intake import Intake
from shared.ports.credentials import Credential
from shared.runtime import auth, problems, reference
from shared.runtime.auth import require_role
from shared.runtime.credentials import Authenticator
from shared.runtime.serving import Readiness, add_health

DESCRIPTION: Final = """\
Vendors' service events in, as [CloudEvents 1.0](https://cloudevents.io). A 202 is a receipt: the broker has every accepted event on all
in-sync replicas. Anything else acknowledges nothing but what the answer says; sending again is always safe, because (vendor, source, id)
identifies an event. Errors are RFC 9457 problem documents.
"""


class Rejected(BaseModel):
    """An event of a batch or stream that was not let in; sending it unchanged again is useless."""

    index: int = Field(description="its place in the batch, or its line in the stream, from 0")
    id: str | None = Field(description="its id, as far as it has one")
    type: str = Field(examples=["urn:slawatch:problem:not-an-event"])
    title: str
    detail: str
    pointer: str = Field(description="JSON Pointer to what is wrong; empty: the event as a whole", examples=["/time"])


class Receipt(BaseModel):
    """What became of the events."""

    accepted: int = Field(description="newly written to the log")
    duplicates: int = Field(description="written before, and remembered: not written again")
    rejected_count: int
    rejected: list[Rejected] = Field(description="the first 1000 of the rejected ones, in order")
    lines: int | None = Field(None, description="streams only: lines dealt with; after an error, go on from this line")


EVENT: Final[dict[str, Any]] = {
    "specversion": "1.0",
    "id": "7f3c0001",
    "source": "/acme/ticketing",
    "type": "ticket.opened",
    "subject": "INC-42",
    "time": "2026-03-02T08:30:00+08:00",
    "vendor": "acme",
    "service": "helpdesk",
    "datacontenttype": "application/json",
    "data": {"priority": "P1", "region": "cn-east"},
}
LATER: Final = {**EVENT, "id": "7f3c0002", "type": "ticket.resolved", "time": "2026-03-02T10:05:00+08:00", "data": {}}
_EVENT_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "subject", "time", "service"],
    "properties": {
        "specversion": {"const": "1.0"},
        **{name: {"type": "string", "minLength": 1, "maxLength": 1024} for name in ("id", "source", "type", "subject", "service")},
        "vendor": {"type": "string", "minLength": 1, "maxLength": 1024, "description": "left out: the vendor of the key"},
        "time": {"type": "string", "format": "date-time", "description": "when it happened, with offset"},
        "datacontenttype": {"type": "string", "examples": ["application/json"]},
        "sequence": {"type": "string", "description": "orders events of one instant and source"},
        "replaces": {"type": "string", "description": "the id of an earlier event that this one corrects"},
        "data": {"type": "object"},
    },
}
_BODY: Final[dict[str, Any]] = {
    "required": False,  # binary mode without data has none
    "content": {
        "application/cloudevents+json": {"schema": _EVENT_SCHEMA, "examples": {"structured": {"summary": "one event", "value": EVENT}}},
        "application/cloudevents-batch+json": {
            "schema": {"type": "array", "items": _EVENT_SCHEMA},
            "examples": {"batch": {"summary": "several events", "value": [EVENT, LATER]}},
        },
        "application/x-ndjson": {
            "schema": {"type": "string"},
            "examples": {
                "stream": {
                    "summary": "one event a line, any number of lines",
                    "value": "".join(msgspec.json.encode(event).decode() + "\n" for event in (EVENT, LATER)),
                }
            },
        },
        "application/json": {
            "schema": {"type": "object", "description": "`data` alone; the attributes come as headers ce-specversion, ce-id, …"},
            "examples": {"binary": {"summary": "binary mode: data in the body, attributes in ce-* headers", "value": EVENT["data"]}},
        },
    },
}
_ERRORS: Final = problems.responses(
    s400="not JSON (or not gzip)",
    s401="no acceptable key",
    s403="a key that may not post this",
    s408="the body did not come in time",
    s409="same id, other content (single event)",
    s413="too large",
    s415="a media type or encoding that is not taken",
    s422="not an acceptable event",
    s429="over the quota: see Retry-After",
    s503="the broker is away: see Retry-After; of a stream, `lines` says where to go on",
)


def build(intake: Intake, authenticator: Authenticator, registry: CollectorRegistry, readiness: Readiness) -> FastAPI:
    """The HTTP application of ingest."""
    app = FastAPI(title="slawatch ingest", version="1", description=DESCRIPTION, redirect_slashes=False, docs_url=None, redoc_url=None)
    problems.install(app)
    reference.install(app)
    auth.install(app, authenticator)
    add_health(app, registry, readiness)
    poster = require_role("vendor", "customer", "operator", kind="key")

    @app.post(
        "/v1/events",
        status_code=202,
        summary="Post events",
        tags=["events"],
        response_model=Receipt,
        responses=_ERRORS,
        openapi_extra={"requestBody": _BODY},
    )
    async def post_events(request: Request, credential: Annotated[Credential, Depends(poster)]) -> Response:
        """One event, a batch, a stream of lines, or one event in binary mode: the Content-Type tells. `Content-Encoding: gzip` is taken.

        A batch or stream is answered with 202 even if some or all of its events are rejected: `rejected` says which, and why.
        """
        receipt = await intake.post(request, credential)
        return Response(msgspec.json.encode(receipt), 202, media_type="application/json")

    return app
