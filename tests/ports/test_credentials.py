"""The store of keys and tokens, one suite for the memory and the PostgreSQL adapter."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.adapters.memory.credentials import MemoryCredentials
from shared.adapters.postgres.credentials import PostgresCredentials
from shared.adapters.postgres.database import connect, migrate
from shared.ports.credentials import Credential, CredentialStore, CredentialsUnavailable, TooManyKeys


@pytest.fixture(params=["memory", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """Of the database; empty: in memory."""
    return "" if request.param == "memory" else str(request.getfixturevalue("database_url"))


@pytest.fixture
async def store(url: str) -> AsyncIterator[CredentialStore]:
    if not url:
        yield MemoryCredentials()
        return
    engine = connect(url)
    await migrate(engine)
    yield PostgresCredentials(engine, timeout=10)
    await engine.dispose()


def credential(number: int, *vendors: str, role: str = "vendor") -> Credential:
    return Credential(
        id=f"{number:012x}",
        kind="key",
        role=role,
        vendors=vendors,
        name=f"n{number}",
        hash=bytes(range(32)),
        created_at=1_700_000_000_123 + number,
    )


async def test_what_is_stored_comes_back_as_it_was(store: CredentialStore) -> None:
    made = credential(1, "acme", "グローベックス", role="customer")
    await store.add(made)
    assert await store.by_id(made.id) == made
    assert await store.by_id("nobody") is None


async def test_all_oldest_first(store: CredentialStore) -> None:
    for number in (3, 1, 2):
        await store.add(credential(number, role="operator"))
    assert [c.name for c in await store.all()] == ["n1", "n2", "n3"]


async def test_revoked_once_and_still_there(store: CredentialStore) -> None:
    await store.add(credential(1, "acme"))
    assert await store.revoke(credential(1).id, 1_700_000_009_999)
    assert not await store.revoke(credential(1).id, 1_800_000_000_000)
    assert not await store.revoke("nobody", 1)
    found = await store.by_id(credential(1).id)
    assert found is not None
    assert (found.active, found.revoked_at) == (False, 1_700_000_009_999)


async def test_no_more_active_keys_of_one_vendor_than_the_limit(store: CredentialStore) -> None:
    await store.add(credential(1, "acme"), most_active=2)
    await store.add(credential(2, "acme"), most_active=2)
    await store.add(credential(3, "globex"), most_active=2)
    with pytest.raises(TooManyKeys, match=r"n1, n2"):
        await store.add(credential(4, "acme"), most_active=2)
    await store.revoke(credential(1).id, 1_700_000_009_999)
    await store.add(credential(4, "acme"), most_active=2)


async def test_the_limit_holds_when_many_try_at_once(store: CredentialStore) -> None:
    tried = await asyncio.gather(*(store.add(credential(n, "acme"), most_active=2) for n in range(8)), return_exceptions=True)
    assert sum(one is None for one in tried) == 2
    assert sum(isinstance(one, TooManyKeys) for one in tried) == 6


async def test_a_store_that_is_not_there_says_so() -> None:
    engine = connect("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(CredentialsUnavailable):
        await PostgresCredentials(engine).by_id("x")
    await engine.dispose()
    memory = MemoryCredentials()
    memory.available = False
    with pytest.raises(CredentialsUnavailable):
        await memory.by_id("x")
