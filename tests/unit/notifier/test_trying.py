"""The test of a channel: who may, what is sent, and what is said of it."""

import contextlib
import json
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI

from services.notifier import trying
from services.notifier.channels.chat import Chat
from services.notifier.messages import Addresses, Composer
from shared.adapters.memory.credentials import MemoryCredentials
from shared.adapters.memory.time import VirtualTime
from shared.runtime import auth, problems
from shared.runtime.credentials import Authenticator, create_credential
from tests.integration.notifier_kit import Receiver, receiver
from tests.unit.notifier.kit import NOW, PUBLIC_URL, poster_to

NAME = "on-call/slack"


@contextlib.asynccontextmanager
async def client_of(it: Receiver, time: VirtualTime) -> AsyncIterator[tuple[httpx2.AsyncClient, dict[str, dict[str, str]]]]:
    """A client of an application with one channel, and headers by role."""
    store, app = MemoryCredentials(), FastAPI()
    headers = {}
    for role in ("responder", "operator"):
        _, text = await create_credential(store, b"pepper", "local", "token", role, (), role, NOW)
        headers[role] = {"authorization": f"Bearer {text}"}
    problems.install(app)
    auth.install(app, Authenticator(store, b"pepper", "local", time))
    composer = Composer(PUBLIC_URL, addresses=lambda said, channel: Addresses("https://sla.example/act/A", "https://sla.example/act/B"))
    channel = Chat(NAME, poster_to(it.url, time))
    app.include_router(trying.routes(trying.Trials(lambda: [channel], composer, time)))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://n") as client:
        yield client, headers
    await channel.close()


async def test_an_operator_sends_a_message_that_says_that_it_is_a_test() -> None:
    time = VirtualTime(NOW)
    async with receiver() as it, client_of(it, time) as (client, headers):
        answer = await client.post(f"/v1/channels/{NAME}/test", headers=headers["operator"])
        assert (answer.status_code, answer.json() | {"took_ms": 0}) == (
            200,
            {"channel": NAME, "delivered": True, "error": None, "took_ms": 0},
        )
        text = json.loads(it.requests[0].body)["text"]
        assert "*TEST · BREACH*" in text
        assert "This is a test of the channel: nothing is broken." in text
        assert "/act/" not in text, "there is nothing to acknowledge"
        again = await client.post(f"/v1/channels/{NAME}/test", headers=headers["operator"])
        assert (again.status_code, again.headers["retry-after"]) == (429, "5")
        await time.advance(5)
        assert (await client.post(f"/v1/channels/{NAME}/test", headers=headers["operator"])).status_code == 200
        assert len(it.requests) == 2


async def test_what_the_receiver_says_comes_back() -> None:
    async with receiver(lambda _: (500, {})) as it, client_of(it, VirtualTime(NOW)) as (client, headers):
        answer = (await client.post(f"/v1/channels/{NAME}/test", headers=headers["operator"])).json()
    assert (answer["delivered"], answer["error"]) == (False, "500 Whatever")


@pytest.mark.parametrize(("who", "channel", "status"), [("responder", NAME, 403), ("nobody", NAME, 401), ("operator", "another", 404)])
async def test_others_and_unknown_channels(who: str, channel: str, status: int) -> None:
    async with receiver() as it, client_of(it, VirtualTime(NOW)) as (client, headers):
        assert (await client.post(f"/v1/channels/{channel}/test", headers=headers.get(who))).status_code == status
        assert it.requests == []
