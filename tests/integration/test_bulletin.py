"""The bulletin between notifiers, and a database that goes while something is posted."""

import asyncio

import pytest
from sqlalchemy import make_url

from shared.adapters.postgres.bulletin import PostgresBulletin
from shared.ports.bulletin import BulletinAway
from tests.chaos.proxy import Proxy
from tests.integration.notifier_kit import free_port

FAREWELL = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to unexpected postmaster exit\0\0"


async def _until(heard: list[str], said: str) -> None:
    async with asyncio.timeout(10):
        while said not in heard:
            await asyncio.sleep(0.01)


async def test_what_is_posted_is_heard_and_a_server_that_says_farewell_is_away(database_url: str) -> None:
    url, heard = make_url(database_url), list[str]()
    assert url.port is not None
    async with Proxy(free_port(), url.port) as proxy:
        through = url.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
        bulletin = PostgresBulletin(through, timeout=2)
        await bulletin.open(heard.append)
        await bulletin.post("first")
        await _until(heard, "first")
        proxy.forge(
            b"E" + (len(FAREWELL) + 4).to_bytes(4, "big") + FAREWELL
        )  # killed: it still says so, and the connection's end comes later
        await asyncio.sleep(0.1)
        with pytest.raises(BulletinAway):
            await bulletin.post("second")
        await bulletin.close()
        await bulletin.open(heard.append)
        await bulletin.post("third")
        await _until(heard, "third")
        await bulletin.close()
