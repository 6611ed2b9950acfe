"""Errors over HTTP: RFC 9457 problem documents, the same in every service, each with a request id.

`type` is `urn:slawatch:problem:<name>`: stable, so programs may branch on it; `title` goes with it, `detail` is about this occurrence.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TYPE_PREFIX: Final = "urn:slawatch:problem:"
MEDIA_TYPE: Final = "application/problem+json"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z", re.ASCII)


class Place(BaseModel):
    """One thing that is wrong, and where."""

    pointer: str = Field(description="JSON Pointer into the body, or the parameter's place", examples=["/time"])
    detail: str


class ProblemDocument(BaseModel):
    """RFC 9457 problem document."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=[TYPE_PREFIX + "not-an-event"])
    title: str
    status: int
    detail: str
    request_id: str = Field(description="also in the header X-Request-Id and in the logs")
    errors: list[Place] = []


class Problem(Exception):
    """Ends a request with a problem document. `name` is the last part of its `type`; `more` are extension members."""

    def __init__(
        self,
        status: int,
        name: str,
        title: str,
        detail: str,
        *,
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status, self.name, self.title, self.detail = status, name, title, detail
        self.errors, self.headers, self.more = errors, headers, more


def unavailable(detail: str, *, retry_after_s: int = 2, more: Mapping[str, Any] | None = None) -> Problem:
    """503 with `Retry-After`: nothing was done that is not said in `more`; try again."""
    headers = {"Retry-After": str(retry_after_s)}
    return Problem(503, "unavailable", "Temporarily unavailable", detail, headers=headers, more=more)


def too_many(detail: str, *, retry_after_s: int) -> Problem:
    """429 with `Retry-After`."""
    return Problem(429, "too-many-requests", "Too many requests", detail, headers={"Retry-After": str(retry_after_s)})


def request_id_of(request: Request) -> str:
    """The id of the request that is being answered."""
    return str(request.scope.get("state", {}).get("request_id", ""))


def document(request: Request, problem: Problem) -> Response:
    """The answer that a problem stands for."""
    body: dict[str, Any] = {
        "type": TYPE_PREFIX + problem.name,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "request_id": request_id_of(request),
    }
    if problem.errors:
        body["errors"] = [{"pointer": pointer, "detail": detail} for pointer, detail in problem.errors]
    body.update(problem.more or {})
    return Response(msgspec.json.encode(body), problem.status, dict(problem.headers or {}), MEDIA_TYPE)


def responses(**descriptions: str) -> dict[int | str, dict[str, Any]]:
    """For `responses=` of a route: `responses(s401="no key", s404="no such breach")`, all problem documents."""
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    return {
        int(status[1:]): {"model": ProblemDocument, "description": text, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status, text in descriptions.items()
    }


class _RequestIds:
    """Gives each request an id (the caller's `X-Request-Id` if it is a harmless one) and says it in the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), "")
        request_id = given if _REQUEST_ID.match(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        await self._app(scope, receive, send_with_id)


def _pointer(place: Sequence[int | str]) -> str:
    parts = place[1:] if place and place[0] == "body" else place
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def install(app: FastAPI) -> None:
    """Make every error of this application a problem document, unknown routes and crashes included."""

    async def on_problem(request: Request, problem: Exception) -> Response:
        assert isinstance(problem, Problem)
        return document(request, problem)

    async def on_http(request: Request, wrong: Exception) -> Response:
        assert isinstance(wrong, HTTPException)
        phrase = HTTPStatus(wrong.status_code).phrase
        name = phrase.lower().replace(" ", "-")
        detail = str(wrong.detail) if wrong.detail != phrase else f"{request.method} {request.url.path}"
        return document(request, Problem(wrong.status_code, name, phrase, detail, headers=wrong.headers))

    async def on_invalid(request: Request, wrong: Exception) -> Response:
        assert isinstance(wrong, RequestValidationError)
        errors = [(_pointer(error["loc"]), str(error["msg"])) for error in wrong.errors()]
        syntax = any(error["type"] == "json_invalid" for error in wrong.errors())
        if syntax:
            return document(request, Problem(400, "not-json", "Not JSON", errors[0][1], errors=errors))
        return document(request, Problem(422, "invalid", "Not acceptable", "; ".join(f"{p}: {d}" for p, d in errors), errors=errors))

    async def on_crash(request: Request, wrong: Exception) -> Response:
        return document(
            request, Problem(500, "internal", "Internal error", "this is a fault of slawatch; the request id finds it in the logs")
        )

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(Exception, on_crash)
    app.add_middleware(_RequestIds)
