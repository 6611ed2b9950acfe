"""Apprise: told through a real HTTP server, bounded, and held to public addresses."""

import asyncio
import json
import threading
from typing import Any

import pytest

from services.notifier.channels.anything import Anything, BadAddress
from services.notifier.core import Failed, Sent
from shared.alerting.terms import Rate
from shared.sla.instants import MINUTE
from tests.integration.notifier_kit import receiver
from tests.unit.notifier.kit import EVIL, TOKEN, linked, notice


def anything(url: str, **more: Any) -> Anything:
    return Anything("a", url.replace("http://", "json://"), **{"allow_private": True} | more)


async def test_apprise_gets_title_and_text() -> None:
    async with receiver() as it:
        channel = anything(it.url)
        assert await channel.send(linked()) == Sent()
        await channel.close()
    said = json.loads(it.requests[0].body)
    assert said["title"] == "BREACH: acme broke “resolution” for INC-42"
    assert "Due: 2026-03-02 09:00:00 UTC" in said["message"]
    assert "Acknowledge: https://sla.example/act/AAA" in said["message"]
    assert said["type"] == "failure"


async def test_row_20_what_fails_is_failed_and_one_that_hangs_holds_nobody() -> None:
    async with receiver(lambda _: (500, {})) as it:
        channel = anything(it.url)
        assert await channel.send(notice()) == Failed("Apprise could not deliver it")
        await channel.close()
    async with receiver(lambda _: None) as it:
        channel = anything(it.url + "?rto=1", timeout_s=0.1)
        assert await channel.send(notice()) == Failed("no answer within 0.1 s")
        before = threading.active_count()
        assert await channel.send(notice()) == Failed("the attempt before this one still hangs")
        assert threading.active_count() == before, "no thread piles up"
        await channel.close()
        for thread in [each for each in threading.enumerate() if each.name.startswith("apprise")]:
            await asyncio.to_thread(thread.join, 5)
            assert not thread.is_alive(), "it ends by its own timeout"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
async def test_row_22_apprise_reaches_no_private_address(host: str) -> None:
    async with receiver() as it:
        channel = anything(it.url.replace("127.0.0.1", host), allow_private=False)
        assert await channel.send(notice()) == Failed("Apprise could not deliver it")
        await channel.close()
        assert it.requests == []
        free = anything(it.url)
        assert await free.send(notice()) == Sent(), "the guard is on its own threads only"
        await free.close()


def test_an_address_that_is_none_is_refused_and_not_quoted() -> None:
    with pytest.raises(BadAddress) as refused:
        Anything("a", "nonsense://hunter2", allow_private=True)
    assert "hunter2" not in str(refused.value)


async def test_row_24_hostile_values() -> None:
    async with receiver() as it:
        channel = anything(it.url)
        await channel.send(notice(EVIL))
        await channel.close()
    said = json.loads(it.requests[0].body)
    assert "\n" not in said["title"]
    assert TOKEN[-20:] not in it.requests[0].body.decode()


def test_its_limit() -> None:
    assert Anything("a", "json://127.0.0.1/", allow_private=True).limit == Rate(20, MINUTE)
