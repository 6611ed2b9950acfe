"""The real things, once a session: Apache Kafka and PostgreSQL in a directory of the session's own, with the project's cache of jars."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from hypothesis import settings
from sqlalchemy.engine import make_url

from shared.local.stack import Stack, start_stack

settings.register_profile("same every time", derandomize=True)  # `make test` draws what it drew before; `make nightly` draws anew
settings.load_profile("same every time")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Real Kafka and PostgreSQL. Tests may kill, stop and restart them, but leave them running."""
    running = start_stack(tmp_path_factory.mktemp("stack"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def kafka(stack: Stack) -> str:
    """Bootstrap servers. Topics are shared by the session: give yours names of their own, or use `unique`."""
    return stack.kafka


@pytest.fixture
def unique() -> str:
    """A word that no other test has, for names of topics and groups."""
    return secrets.token_hex(6)


@pytest.fixture
async def database_url(stack: Stack, unique: str) -> AsyncIterator[str]:
    """An empty database of this test's own, as a SQLAlchemy URL for asyncpg."""
    name = f"test_{unique}"
    admin = make_url(stack.database)
    plain = admin.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(plain)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    yield admin.set(database=name).render_as_string(hide_password=False)
    async with asyncio.timeout(30):
        connection = await asyncpg.connect(plain)
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await connection.close()
