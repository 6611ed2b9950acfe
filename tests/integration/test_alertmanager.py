"""A real Alertmanager: it takes our alerts, ends them with their breach, and after a restart is told again what is open."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.notifier.channels import alertmanager
from services.notifier.channels.alertmanager import Alertmanager
from services.notifier.channels.base import Notice
from services.notifier.channels.http import PinnedTransport, Poster
from services.notifier.core import Sent
from services.notifier.messages import Composer
from services.notifier.resending import Resender
from shared.adapters.postgres.alert_tables import told
from shared.adapters.postgres.database import connect, migrate
from shared.adapters.postgres.ledger_tables import breaches, deliveries, verdicts
from shared.adapters.postgres.resending import PostgresTold
from shared.adapters.system_time import SystemTime
from shared.sla.instants import HOUR, MINUTE
from shared.wire import verdicts as wire
from shared.wire.verdicts import Verdict
from tests.integration.notifier_kit import free_port, verdict

PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager") or ""
TIME = SystemTime()
COMPOSER = Composer("https://sla.example")
needs_alertmanager = pytest.mark.skipif(not PROGRAM, reason="needs Debian's package prometheus-alertmanager")


@contextlib.asynccontextmanager
async def running(folder: Path, port: int) -> AsyncIterator[httpx2.AsyncClient]:
    """An Alertmanager that remembers nothing of the one before."""
    (folder / "c.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    options = [f"--config.file={folder}/c.yml", f"--storage.path={folder}/{TIME.wall()}", "--cluster.listen-address="]
    with (folder / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(PROGRAM, *options, f"--web.listen-address=127.0.0.1:{port}", stderr=log, stdout=log)
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client, asyncio.timeout(20):
            while True:
                with contextlib.suppress(httpx2.TransportError):
                    if (await client.get("/-/ready")).status_code == 200:
                        break
                await asyncio.sleep(0.05)
            yield client
    finally:
        process.terminate()
        await process.wait()


async def open_cases(client: httpx2.AsyncClient) -> list[str]:
    answer = await client.get("/api/v2/alerts")
    return sorted(alert["labels"]["case"] for alert in answer.json())


def notice(said: Verdict, reason: Any = "first") -> Notice:
    return Notice(said.id, said.data.breach_id, reason, (COMPOSER(said),), (wire.encode(said),))


async def put(engine: AsyncEngine, said: Verdict, standing: str, changed_at: int, **delivered: Any) -> None:
    """A breach of the ledger, and its delivery."""
    data = said.data
    row = {"breach_id": data.breach_id, "revision": data.revision, "standing": standing, "agreement": data.agreement, "version": 1}
    row |= {"objective": data.objective, "vendor": data.vendor, "service": data.service, "case": data.case, "severity": data.severity}
    statement = {"id": said.id, "breach_id": data.breach_id, "revision": data.revision, "type": said.type, "decided_at": changed_at}
    statement |= {"appended": changed_at, "partition": 0, "offset": 0, "body": wire.encode(said).decode()}
    delivery = {"notice": said.id, "channel": "am", "breach_id": data.breach_id, "warning": False, "state": "sent"} | delivered
    async with engine.begin() as connection:
        await connection.execute(sa.insert(breaches).values(**row, opened_at=changed_at, changed_at=changed_at))
        await connection.execute(sa.insert(verdicts).values(**statement))
        await connection.execute(sa.insert(deliveries).values(**delivery))
        if delivery["breach_id"] != data.breach_id:
            await connection.execute(sa.insert(told).values(breach_id=data.breach_id, notice=delivery["notice"], verdict_id=said.id))


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = connect(database_url)
    await migrate(made)
    now = TIME.wall()
    await put(made, verdict("opened", "open", revision=0), "open", now - HOUR)
    await put(made, verdict("opened", "in a group", revision=0), "open", now - HOUR, notice="group-1", breach_id="group")
    await put(made, verdict("closed", "just closed", revision=1, stopped=now), "closed", now - MINUTE)
    await put(made, verdict("closed", "long closed", revision=1, stopped=now), "closed", now - HOUR)
    await put(made, verdict("opened", "never told", revision=0), "open", now - HOUR, state="pending")
    await put(made, verdict("opened", "told elsewhere", revision=0), "open", now - HOUR, channel="other")
    yield made
    await made.dispose()


async def test_told_again_is_what_this_channel_was_told_and_is_open_or_just_over(engine: AsyncEngine) -> None:
    store, now = PostgresTold(engine), TIME.wall()
    cases = [wire.decode(each.body).data.case for each in await store.told("am", now - 5 * MINUTE, 100)]
    assert cases == ["open", "in a group", "just closed"]
    assert len(await store.told("am", now - 5 * MINUTE, 2)) == 2
    assert await store.told("nobody", 0, 100) == []


@needs_alertmanager
async def test_alerts_begin_end_and_come_back_after_alertmanagers_restart(engine: AsyncEngine, tmp_path: Path) -> None:
    port = free_port()
    poster = Poster(f"http://127.0.0.1:{port}{alertmanager.PATH}", PinnedTransport(allow_private=True), TIME, judge=alertmanager.judge)
    channel = Alertmanager("am", poster, TIME)
    resender = Resender(lambda: [channel], lambda: (), PostgresTold(engine), COMPOSER, TIME)
    try:
        async with running(tmp_path, port) as client:
            assert await channel.send(notice(verdict("opened", "INC-1", revision=0))) == Sent()
            assert await channel.send(notice(verdict("opened", "INC-2", revision=0))) == Sent()
            assert await open_cases(client) == ["INC-1", "INC-2"]
            closed = verdict("closed", "INC-1", revision=1, stopped=TIME.wall())
            assert await channel.send(notice(closed, "resolved")) == Sent()
            assert await open_cases(client) == ["INC-2"]
        async with running(tmp_path, port) as client:
            assert await open_cases(client) == [], "it has forgotten"
            await resender.resend(channel)
            assert await open_cases(client) == ["in a group", "open"]
    finally:
        await channel.close()
