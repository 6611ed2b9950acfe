"""`shared.ports.bulletin.Bulletin` by PostgreSQL's LISTEN and NOTIFY, over a connection of its own."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

import asyncpg
from sqlalchemy.engine import make_url

from shared.adapters.postgres.database import DRIVERS_OWN
from shared.ports.bulletin import BulletinAway

CHANNEL: Final = "slawatch_changes"
_WRONG: Final = (*DRIVERS_OWN, OSError, TimeoutError)


class PostgresBulletin:
    """`timeout` bounds every call, in seconds."""

    bytes_max = 7_900  # PostgreSQL's bound is 8000

    def __init__(self, url: str, *, timeout: float = 5) -> None:
        self._url = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._timeout = timeout
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def open(self, heard: Callable[[str], None]) -> None:
        def on_notice(_connection: Any, _pid: int, _channel: str, payload: object) -> None:
            heard(str(payload))

        try:
            self._connection = await asyncpg.connect(self._url, timeout=self._timeout, command_timeout=self._timeout)
            await self._connection.add_listener(CHANNEL, on_notice)
        except _WRONG as wrong:
            raise BulletinAway(str(wrong)) from wrong

    async def post(self, notice: str) -> None:
        if self._connection is None:
            raise BulletinAway("not connected")
        try:
            await self._connection.execute("SELECT pg_notify($1, $2)", CHANNEL, notice)
        except _WRONG as wrong:
            raise BulletinAway(str(wrong)) from wrong

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*_WRONG):
                async with asyncio.timeout(self._timeout):
                    await connection.close()
