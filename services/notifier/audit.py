"""Who was refused: a line in the log for each, with the request's id, never with a secret."""

from typing import Final

import structlog
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REFUSALS: Final = (401, 403, 404, 409, 429)
TEXT_MAX: Final = 300
log = structlog.get_logger()


class AuditRefusals:
    """Logs answers that refuse: status, method, path, from where, and the id of the token, if it is one of ours."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in REFUSALS:
                state = scope.get("state", {})
                log.warning(
                    "refused",
                    status=message["status"],
                    method=scope["method"],
                    path=scope["path"][:TEXT_MAX],
                    address=(scope.get("client") or ("",))[0],
                    credential=state.get("credential", ""),
                    request_id=state.get("request_id", ""),
                )
            await send(message)

        await self._app(scope, receive, noting)


def install(app: FastAPI) -> None:
    """Log the refusals of this application."""
    app.add_middleware(AuditRefusals)
