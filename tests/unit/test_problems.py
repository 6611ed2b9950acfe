"""Every error is a problem document, whoever raises it."""

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, Field

from shared.runtime import problems
from shared.runtime.problems import Problem


class Note(BaseModel):
    text: str
    tags: list[str] = Field([], alias="a/b~c")


@pytest.fixture
def client() -> httpx2.AsyncClient:
    app = FastAPI(redirect_slashes=False)
    problems.install(app)

    @app.post("/notes")
    async def notes(note: Note, n: int = 0) -> str:
        return note.text * n

    @app.get("/crash")
    async def crash() -> None:
        raise ZeroDivisionError("a secret")

    @app.get("/gone")
    async def gone() -> None:
        raise Problem(410, "gone", "Gone", "it was here", errors=[("/x", "y")], headers={"X-Y": "z"}, more={"since": 3})

    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app, raise_app_exceptions=False), base_url="http://test")


async def test_what_the_code_raises(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/gone", headers={"X-Request-Id": "r-1"})
    assert (answer.status_code, answer.headers["x-y"], answer.headers["x-request-id"]) == (410, "z", "r-1")
    assert answer.json() == {
        "type": "urn:slawatch:problem:gone",
        "title": "Gone",
        "status": 410,
        "detail": "it was here",
        "request_id": "r-1",
        "errors": [{"pointer": "/x", "detail": "y"}],
        "since": 3,
    }


async def test_a_crash_tells_nothing_but_the_request_id(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/crash")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json()["request_id"]
    assert "secret" not in answer.text


async def test_validation_says_where_by_json_pointer(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/notes", json={"a/b~c": [1]})
    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/text", "/a~1b~0c/0"}
    assert (await client.post("/notes?n=x", json={"text": ""})).json()["errors"][0]["pointer"] == "/query/n"


async def test_what_is_not_json(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/notes", content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:slawatch:problem:not-json")


async def test_unknown_routes_and_methods(client: httpx2.AsyncClient) -> None:
    for method, path, status, name in (
        ("GET", "/x", 404, "not-found"),
        ("PUT", "/gone", 405, "method-not-allowed"),
        ("GET", "/gone/", 404, "not-found"),
    ):
        answer = await client.request(method, path)
        assert (answer.status_code, answer.json()["type"]) == (status, f"urn:slawatch:problem:{name}")
