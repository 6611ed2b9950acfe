"""Fault rows of reliability.md that concern alerts: nothing is lost or told twice without need, pages do not wait for PostgreSQL."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from services.notifier.core import Failed, Gone, Sent
from shared.adapters.postgres.database import connect, migrate
from shared.alerting.terms import Match
from shared.local.stack import Stack
from shared.ports.ledger import Actor, LedgerUnavailable, Wanted
from shared.sla.instants import HOUR, MINUTE, SECOND
from tests.integration.alerting_kit import Clock, Inside, Noting, Topic, inside, routing_file, settled, until
from tests.integration.notifier_kit import START, Notifier, notifier, receiver, verdict

DUE = START + 3_600 * SECOND


@pytest.fixture
async def database(database_url: str) -> str:
    engine = connect(database_url)
    await migrate(engine)
    await engine.dispose()
    return database_url


@contextlib.contextmanager
def suspended(stack: Stack) -> Iterator[None]:
    """PostgreSQL hangs: the connections stand, nothing answers."""
    processes = [psutil.Process(stack.postgres_pid), *psutil.Process(stack.postgres_pid).children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


async def eventually(it: Inside, case: str) -> list[tuple[str, str, int]]:
    """Channel, state and attempts of each delivery of a case, as soon as none is pending."""
    rows = await settled(it, verdict("opened", case, revision=0).data.breach_id)
    return [(row.channel, row.state, row.attempts) for row in rows]


@pytest.mark.parametrize("grouped", [False, True], ids=["each by itself", "grouped"])
async def test_row_9_pages_go_out_while_postgresql_hangs_and_the_ledger_is_reconciled(
    database: str, stack: Stack, tmp_path: Path, grouped: bool
) -> None:
    by = "group_by: [vendor], group_wait: 1s" if grouped else "group_by: breach"
    file = routing_file(tmp_path, f"route: {{receiver: chat, {by}, routes: [{{match: {{severity: ticket}}, receiver: boss}}]}}")
    topic, clock = Topic(), Clock()
    chat, boss = Noting("chat/webhook"), Noting("boss/webhook")
    async with inside(database, topic, [chat, boss], file, time=clock, timeout=3) as it:
        silenced = Match(labels={"case": ("quiet",)})
        await it.silences.add(silenced, None, clock.wall() + HOUR, "Ann", "known")
        await it.desk.refresh()
        topic.say(verdict("opened", "before", revision=0))
        await until(lambda: chat.notices)
        await eventually(it, "before")
        with suspended(stack):
            began = it.time.monotonic()
            topic.say(verdict("opened", "first", revision=0), verdict("opened", "quiet", revision=0))
            await until(lambda: len(chat.notices) == 2)
            topic.say(verdict("opened", "second", revision=0), verdict("opened", "later", revision=0, severity="ticket"))
            await until(lambda: len(chat.notices) == 3)
            assert it.time.monotonic() - began < 5
            await asyncio.sleep(4)  # the ledger is tried again and again
            assert [notice.key for notice in chat.notices[1:]] == [
                verdict("opened", case, revision=0).id for case in ("first", "second")
            ], "each once, what is silenced not at all"
            assert not boss.notices, "a ticket waits for the ledger"
            assert "postgres" in it.pipeline.missing
        await until(lambda: boss.notices, within_s=30)
        for case in ("first", "second"):
            found = await eventually(it, case)
            assert ("chat/webhook", "sent", 1) in found
            if not grouped:
                assert len(found) == 1
        if not grouped:
            assert len(chat.notices) == 3, "the same key is not sent again"
        assert len(await it.ledger.breaches(Wanted(), limit=10)) == 5


async def test_row_11_deadlocks_and_lost_connections_are_retried(database: str, tmp_path: Path) -> None:
    """People acknowledge, groups wake and verdicts come in at once; now and then somebody cuts all connections."""
    text = """
escalations: {e: {steps: [{notify: chat}, {after: 1s, notify: boss}]}}
route: {escalation: e, group_by: vendor, group_wait: 0s, group_interval: 0s}
"""
    file, topic = routing_file(tmp_path, text), Topic()
    chat, boss = Noting("chat/webhook"), Noting("boss/webhook")
    said = [verdict("opened", f"c-{n}", revision=0, vendor=f"v{n % 5}") for n in range(100)]
    admin = connect(database)
    async with inside(database, topic, [chat, boss], file) as it:

        def told() -> set[str]:
            return {message.breach_id for notice in chat.notices for message in notice.messages}

        async def acknowledge(breach_id: str) -> None:
            await until(lambda: breach_id in told(), within_s=60)
            while True:
                with contextlib.suppress(LedgerUnavailable):
                    if await it.ledger.act(breach_id, "acknowledge", Actor("Ann", "c", "responder"), it.time.wall()):
                        return
                await asyncio.sleep(0.05)

        acting = [asyncio.ensure_future(acknowledge(each.data.breach_id)) for each in said]
        for start in range(0, 100, 20):
            topic.say(*said[start : start + 20])
            await asyncio.sleep(0.2)
            async with admin.begin() as connection:
                await connection.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        await asyncio.gather(*acting)
        await until(lambda: topic.committed == 100)

        async def acknowledged() -> int:
            while True:
                with contextlib.suppress(LedgerUnavailable):  # the last of the connections that were cut may be found out only now
                    return len(await it.ledger.breaches(Wanted(acknowledged=True), limit=200))
                await asyncio.sleep(0.05)

        assert await acknowledged() == 100
        assert told() == {each.data.breach_id for each in said}
    await admin.dispose()


async def test_row_9_a_connection_that_the_server_has_ended_is_not_handed_out_again(database: str) -> None:
    """Not even once: pages and the API do without an error after a restart, although nothing is asked before each use."""
    admin, engine = connect(database), connect(database, pool=3)
    async with engine.begin() as one, engine.begin() as two:  # both go back into the pool
        for connection in (one, two):
            await connection.exec_driver_sql("SELECT 1")
    async with admin.begin() as connection:
        await connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    await asyncio.sleep(0.2)  # the sockets tell
    async with engine.begin() as one, engine.begin() as two:
        for connection in (one, two):
            await connection.exec_driver_sql("SELECT 1")
    await engine.dispose()
    await admin.dispose()


async def test_verdicts_do_not_wait_for_offsets_to_be_committed(database: str, tmp_path: Path) -> None:
    file, topic = routing_file(tmp_path, "route: {receiver: chat, group_by: breach}"), Topic()
    chat, commits = Noting("chat/webhook"), asyncio.Event()
    async with inside(database, topic, [chat], file) as it:
        topic.hold = commits
        for number in range(3):
            topic.say(verdict("opened", f"c-{number}", revision=0))
            await until(lambda told=number + 1: len(chat.notices) == told)  # type: ignore[misc]  # the default is the loop's
        assert topic.committed == 0
        await eventually(it, "c-2")
        commits.set()
        await until(lambda: topic.committed == 3)


def _told(*channels: Noting) -> list[str]:
    """The breaches that notices were about; one that is sent again under its own key (its lease ran out meanwhile) is the same notice."""
    notices = {(channel.name, notice.key): notice for channel in channels for notice in channel.notices}
    return [message.breach_id for notice in notices.values() for message in notice.messages]


@pytest.mark.parametrize("hours", [1, -1])
async def test_row_12_a_clock_that_jumps_an_hour_starts_no_storm(database: str, tmp_path: Path, hours: int) -> None:
    text = """
escalations: {e: {acknowledged_for: 30m, steps: [{notify: chat}, {after: 10m, notify: boss}]}}
route: {escalation: e, repeat_interval: 20m}
"""
    file, topic, clock = routing_file(tmp_path, text), Topic(), Clock()
    chat, boss = Noting("chat/webhook"), Noting("boss/webhook")
    async with inside(database, topic, [chat, boss], file, time=clock):
        topic.say(*(verdict("opened", f"c-{n}", revision=0) for n in range(20)))
        await until(lambda: len(chat.notices) == 20)
        clock.forward(hours * HOUR / SECOND)
        topic.say(verdict("opened", "after", revision=0))
        await until(lambda: len(chat.notices) >= 21)
        await asyncio.sleep(1.5)
        by_breach = _told(chat, boss)
        assert max(by_breach.count(name) for name in by_breach) <= 3, "at most a repeat and a step that are due by the new clock"
        clock.forward(-hours * HOUR / SECOND)
        await asyncio.sleep(1.5)
        by_breach = _told(chat, boss)
        assert max(by_breach.count(name) for name in by_breach) <= 3, "and none more often by going back"
        topic.say(verdict("closed", "after", revision=1, stopped=DUE + MINUTE))
        await until(lambda: any(notice.reason == "resolved" for notice in chat.notices))


async def test_row_20_a_channel_that_answers_429_500_and_410_keeps_what_is_not_delivered(database: str, tmp_path: Path) -> None:
    answers: dict[int, Callable[[], Failed]] = {0: lambda: Failed("429", 7_000), 1: lambda: Failed("500")}
    file, topic, clock = routing_file(tmp_path, "route: {receiver: [chat, boss]}"), Topic(), Clock()
    chat = Noting("chat/webhook", answer=lambda n: answers[n]() if n in answers else Sent())
    boss = Noting("boss/webhook", answer=lambda _: Gone("410"))
    async with inside(database, topic, [chat, boss], file, time=clock) as it:
        topic.say(verdict("opened", "a", revision=0))
        await until(lambda: len(chat.notices) == 1)
        clock.forward(6)
        await asyncio.sleep(0.4)
        assert len(chat.notices) == 1, "Retry-After is honoured"
        clock.forward(3)
        await until(lambda: len(chat.notices) == 2)
        await asyncio.sleep(0.2)
        clock.forward(6 * 60)
        await until(lambda: len(chat.notices) == 3)
        assert {notice.key for notice in chat.notices} == {verdict("opened", "a", revision=0).id}
        assert await eventually(it, "a") == [("boss/webhook", "disabled", 1), ("chat/webhook", "sent", 3)]
        topic.say(verdict("opened", "b", revision=0))
        await until(lambda: len(chat.notices) == 4)
        assert await eventually(it, "b") == [("chat/webhook", "sent", 1), ("boss/webhook", "disabled", 0)]
    assert len(boss.notices) == 1


# ---- as processes

ROUTING = """
apiVersion: slawatch/v1
kind: Routing
name: test
receivers: {{ops: [{{kind: webhook, url: "{url}"}}]}}
route: {{receiver: ops, group_by: [vendor], group_wait: 2s, group_interval: 1s}}
"""


async def test_rows_5_and_8_killed_while_a_group_waits_and_started_again(
    kafka: str, database_url: str, unique: str, tmp_path: Path
) -> None:
    """What was decided before the kill is told after it; two members of one group come before and after."""
    async with receiver() as hook:
        file = tmp_path / "routing.yaml"
        file.write_text(ROUTING.format(url=hook.url))
        async with notifier(kafka, database_url, unique, tmp_path, routes=str(file)) as it:
            await it.say(verdict("opened", "a", revision=0))

            async def listed() -> bool:
                return len((await it.get("/v1/breaches"))["breaches"]) == 1

            await it.until(listed)
            await it.stop(signal.SIGKILL)
            assert not hook.requests
            await it.start()
            await it.say(verdict("opened", "b", revision=0))

            def seen(case: str) -> int:
                return b"".join(request.body for request in hook.requests).count(f'"case":"{case}"'.encode())

            await until(lambda: seen("a") and seen("b"), within_s=60)
            assert (seen("a"), seen("b")) == (1, 1)
            await stays(it, len(hook.requests), lambda: len(hook.requests))


async def stays(it: Notifier, number: int, of: Callable[[], int]) -> None:
    await asyncio.sleep(1.5)
    assert of() == number, "nothing is said twice"
    assert (await it.client.get("/healthz")).status_code == 200
