"""What goes wrong is a page for people and a problem document for programs."""

import httpx2
import pytest
from fastapi import FastAPI, HTTPException, Request, Response

from services.notifier.console import faults
from services.notifier.console.rendering import Pages
from shared.ports.ledger import LedgerUnavailable
from shared.runtime import problems

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def application() -> httpx2.AsyncClient:
    app = FastAPI()
    problems.install(app)

    async def on_away(request: Request, wrong: Exception) -> Response:
        return problems.document(request, problems.unavailable("the ledger is away"))

    app.add_exception_handler(LedgerUnavailable, on_away)
    faults.install(app, Pages("test"))

    @app.get("/page/{what}")
    @app.get("/v1/page/{what}")
    async def page(what: str, number: int = 0) -> None:
        raise {"fault": ZeroDivisionError("a secret of ours"), "away": LedgerUnavailable("gone"), "method": HTTPException(405)}[what]

    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://console")


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/page/fault", 500, "a fault of slawatch; it is in its logs under abc123"),
        ("/page/away", 503, "The ledger cannot be read right now"),
        ("/page/fault?number=x", 422, "Something in the form"),
        ("/nowhere", 404, "There is no such page"),
        ("/page/method", 405, "There is no such page"),
    ],
)
async def test_a_browser_gets_a_page_that_says_what_to_do(path: str, status: int, words: str) -> None:
    async with application() as client:
        answer = await client.get(path, headers=BROWSER | {"x-request-id": "abc123"})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert words in answer.text
        assert "secret" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        chinese = await client.get(path, headers=BROWSER | {"accept-language": "zh-CN"})
        assert 'lang="zh' in chinese.text


async def test_a_program_gets_a_problem_document() -> None:
    async with application() as client:
        for path, headers in (("/v1/page/fault", BROWSER), ("/page/fault", {}), ("/nowhere", {}), ("/v1/nowhere", BROWSER)):
            answer = await client.get(path, headers=headers)
            assert answer.headers["content-type"] == problems.MEDIA_TYPE, path
