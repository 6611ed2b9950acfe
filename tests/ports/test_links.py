"""Used links, one suite for the memory and the PostgreSQL adapter."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.adapters.memory.links import MemoryLinks
from shared.adapters.postgres.database import connect, migrate
from shared.adapters.postgres.links import PostgresLinks
from shared.ports.links import UsedLinks

NOW = 1_772_442_010_000


@pytest.fixture(params=["memory", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """Of the database; empty: in memory."""
    return "" if request.param == "memory" else str(request.getfixturevalue("database_url"))


@pytest.fixture
async def used(url: str) -> AsyncIterator[UsedLinks]:
    if not url:
        yield MemoryLinks()
        return
    engine = connect(url)
    await migrate(engine)
    yield PostgresLinks(engine)
    await engine.dispose()


async def test_a_link_works_once_also_for_two_at_once(used: UsedLinks) -> None:
    both = await asyncio.gather(used.use("a", NOW, NOW + 1_000), used.use("a", NOW, NOW + 1_000))
    assert sorted(both) == [False, True]
    assert not await used.use("a", NOW + 500, NOW + 1_000)
    assert await used.use("b", NOW, NOW + 1_000)


async def test_released_it_works_again(used: UsedLinks) -> None:
    assert await used.use("a", NOW, NOW + 1_000)
    await used.release("a")
    await used.release("never")
    assert await used.use("a", NOW, NOW + 1_000)


async def test_marks_go_when_their_links_are_dead_and_not_before(used: UsedLinks) -> None:
    assert await used.use("short", NOW, NOW + 1_000)
    assert await used.use("long", NOW, NOW + 9_000)
    assert await used.use("other", NOW + 5_000, NOW + 9_000)
    assert not await used.use("long", NOW + 5_000, NOW + 9_000)
    assert await used.use("short", NOW + 5_000, NOW + 9_000)
