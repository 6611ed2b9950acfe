"""Row 4 of the reliability bar for the notifier: slow, half-open and reset connections to the broker and to PostgreSQL.

Whatever the network does, every verdict is in the ledger once and its webhook comes once: what is not answered is given up in
bounded time and tried again, and what is tried again is known by its id.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.chaos.proxy import Proxy
from tests.chaos.rig import Ground, ground, new_database
from tests.integration.notifier_kit import Notifier, Receiver, notifier, receiver, verdict

ROUND = 15  # verdicts said before, during and after a fault
HALF_OPEN_S = 4.0
WITHIN_S = 60.0  # of the end of a fault, everything has been told


@pytest.fixture(scope="module")
async def under(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    async with ground(tmp_path_factory.mktemp("network")) as it:
        yield it


async def slow(proxy: Proxy) -> None:
    proxy.delay_s = 0.3
    await asyncio.sleep(4)
    proxy.delay_s = 0.0


async def half_open(proxy: Proxy) -> None:
    await proxy.half_open(HALF_OPEN_S)


async def cut(proxy: Proxy) -> None:
    for _ in range(6):
        proxy.reset()
        await asyncio.sleep(0.4)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("side", "fault"),
    [
        ("kafka", half_open),
        ("postgres", cut),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (("kafka", slow), ("kafka", cut), ("postgres", slow), ("postgres", half_open))
        ),
    ],
)
async def test_row_4_a_bad_network_loses_and_doubles_nothing(
    under: Ground, tmp_path: Path, unique: str, side: str, fault: Callable[[Proxy], Awaitable[None]]
) -> None:
    proxy = under.kafka if side == "kafka" else under.postgres
    async with (
        receiver() as hook,
        notifier(under.bootstrap, await new_database(under), unique, tmp_path, webhooks=[hook.url]) as it,
    ):
        said = [verdict("opened", f"case-{n}", revision=0) for n in range(3 * ROUND)]
        await it.say(*said[:ROUND])
        await hook.wait_for(ROUND)
        faulty = asyncio.ensure_future(fault(proxy))
        for each in said[ROUND : 2 * ROUND]:  # those that go through the same bad network wait for it, or are said again by their client
            await it.say(each)
            await asyncio.sleep(0.1)
        await faulty
        await it.say(*said[2 * ROUND :])
        await hook.wait_for(len(said), WITHIN_S)
        await told_and_written_once(it, hook, {each.id for each in said})
        assert (await it.client.get("/readyz")).status_code == 200


async def told_and_written_once(it: Notifier, hook: Receiver, ids: set[str]) -> None:
    """Each webhook came once, and the ledger has each breach with one delivery of one attempt, or knows of the one made from memory."""

    async def settled() -> bool:
        found = (await it.get("/v1/breaches", limit=200))["breaches"]
        assert len(found) <= len(ids)
        cases = [await it.get(f"/v1/breaches/{breach['breach_id']}") for breach in found]
        deliveries = [[line["state"] for line in case["timeline"] if line["kind"] == "delivery"] for case in cases]
        assert all(len(states) <= 1 for states in deliveries)
        return len(found) == len(ids) and all(states == ["sent"] for states in deliveries)

    await it.until(settled, WITHIN_S)
    came = [request.headers["webhook-id"] for request in hook.requests]
    assert sorted(came) == sorted(ids)


@pytest.mark.timeout(120)
async def test_row_4_a_half_open_database_is_noticed_and_pages_do_not_wait_for_it(under: Ground, tmp_path: Path, unique: str) -> None:
    async with (
        receiver() as hook,
        notifier(under.bootstrap, await new_database(under), unique, tmp_path, webhooks=[hook.url]) as it,
    ):
        await it.say(verdict("opened", "before", revision=0))
        await hook.wait_for(1)
        silence = asyncio.ensure_future(under.postgres.half_open(14))
        await it.say(verdict("opened", "meanwhile", revision=0))
        await hook.wait_for(2, within_s=8)

        async def unready() -> bool:
            return "postgres" in (await it.client.get("/readyz")).text

        await it.until(unready, 14)
        await silence
        await told_and_written_once(it, hook, {verdict("opened", case, revision=0).id for case in ("before", "meanwhile")})
