"""What goes wrong, as a page for people: programs get the problem document, browsers a page that says what to do."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from services.notifier.console.rendering import Pages, texts_of
from shared.ports.ledger import LedgerUnavailable

KINDS: Final = (HTTPException, RequestValidationError, LedgerUnavailable, Exception)
_WORDS: Final = {404: "refused.page", 405: "refused.page", 422: "refused.form", 503: "page.unavailable"}
Answer = Callable[[Request, Any], Awaitable[Response]]


def install(app: FastAPI, pages: Pages) -> None:
    """Give browsers pages, where the application has answers for programs."""
    for kind in KINDS:
        given = app.exception_handlers.get(kind)
        if given is not None:
            app.add_exception_handler(kind, _with_pages(given, pages))


def _with_pages(given: Any, pages: Pages) -> Answer:
    async def answer(request: Request, wrong: Any) -> Response:
        said: Response = await given(request, wrong)
        if request.url.path.startswith("/v1/") or "text/html" not in request.headers.get("accept", ""):
            return said
        texts, key = texts_of(request), _WORDS.get(said.status_code)
        if said.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
            text = texts("refused.fault", id=request.state.request_id)
        else:
            text = texts(key) if key else HTTPStatus(said.status_code).phrase
        return pages.page(request, "error.html", None, said.status_code, text=text)

    return answer
