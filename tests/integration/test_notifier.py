"""The notifier as a process, on real Kafka and PostgreSQL: what was said is in the ledger once, and whoever must know is told."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import signal
from collections.abc import AsyncIterator, Sequence
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from prometheus_client import CollectorRegistry

from services.notifier.alerts import Desk, Routes
from services.notifier.channels.base import Notice
from services.notifier.core import Result, settle
from services.notifier.dispatch import Dispatcher
from services.notifier.live import Hub
from services.notifier.messages import Composer
from services.notifier.metrics import Metrics
from services.notifier.pipeline import Pipeline
from shared.adapters.kafka.reader import KafkaScanner
from shared.adapters.postgres.alerts import PostgresAlerts
from shared.adapters.postgres.database import connect, migrate
from shared.adapters.postgres.ledger import PostgresLedger
from shared.adapters.system_time import SystemTime
from shared.local.stack import Stack
from shared.ports.ledger import Stated, Wanted
from shared.ports.log import Appended, Batch, Entry, Record
from shared.sla.instants import SECOND
from shared.wire import verdicts
from tests.integration.notifier_kit import START, WEBHOOK_SECRET, Notifier, Receiver, free_port, notifier, receiver, verdict

DUE = START + 3_600 * SECOND
TIME = SystemTime()


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with receiver() as it:
        yield it


@pytest.fixture
async def running(kafka: str, database_url: str, unique: str, tmp_path: Path, hook: Receiver) -> AsyncIterator[Notifier]:
    async with notifier(kafka, database_url, unique, tmp_path, webhooks=[hook.url]) as it:
        yield it


async def all_breaches(it: Notifier, **params: Any) -> list[dict[str, Any]]:
    answer = await it.get("/v1/breaches", **params)
    return list(answer["breaches"])


async def settled(it: Notifier, number: int) -> list[dict[str, Any]]:
    """The breaches, as soon as there are so many."""

    async def enough() -> list[dict[str, Any]]:
        found = await all_breaches(it)
        return found if len(found) >= number else []

    return list(await it.until(enough))


async def test_a_verdict_is_in_the_ledger_and_delivered_signed_within_a_moment(running: Notifier, hook: Receiver) -> None:
    opened = verdict("opened", revision=0)
    await running.say(verdict("opened", "warm-up", revision=0))
    await hook.wait_for(1)
    started = TIME.monotonic()
    await running.say(opened)
    request = (await hook.wait_for(2))[1]
    elapsed = TIME.monotonic() - started
    assert elapsed < 1, f"{elapsed:.3f} s from verdict to webhook"

    assert json.loads(request.body) == json.loads(verdicts.encode(opened))
    key = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == expected
    assert request.headers["webhook-id"] == opened.id

    [breach] = [b for b in await settled(running, 2) if b["case"] == "INC-42"]
    assert (breach["state"], breach["revision"], breach["due"], breach["acknowledged"]) == ("open", 0, "2026-03-02T09:00:00Z", None)

    async def sent() -> list[Any]:
        case = await running.get(f"/v1/breaches/{breach['breach_id']}")
        return [line for line in case["timeline"] if line["kind"] == "delivery" and line["state"] == "sent"]

    assert len(await running.until(sent)) == 1


async def test_repeated_and_late_revisions_change_nothing(running: Notifier, hook: Receiver) -> None:
    opened = verdict("opened", revision=0)
    closed = verdict("closed", revision=1, stopped=DUE + 90 * SECOND)
    reopened = verdict("reopened", revision=2)
    await running.say(opened, closed, opened, closed, reopened, closed, opened)
    await running.say(verdict("opened", "last", revision=0))
    requests = await hook.wait_for(4)
    case = await running.get(f"/v1/breaches/{opened.data.breach_id}")
    assert [line["revision"] for line in case["timeline"] if line["kind"] == "statement"] == [0, 1, 2]
    assert (case["state"], case["revision"]) == ("open", 2)
    told = [json.loads(request.body)["type"].rpartition(".")[2] for request in requests if b'"INC-42"' in request.body]
    assert told == ["opened", "closed", "reopened"]


async def test_a_kill_at_any_moment_loses_and_doubles_nothing(running: Notifier, hook: Receiver) -> None:
    cases = [f"case-{number}" for number in range(120)]
    for start in range(0, len(cases), 30):
        await running.say(*(verdict("opened", case, revision=0) for case in cases[start : start + 30]))
        await running.say(*(verdict("closed", case, revision=1, stopped=DUE + SECOND) for case in cases[start : start + 30]))
        await running.stop(signal.SIGKILL)
        await running.start()

    async def all_closed() -> bool:
        return len(await all_breaches(running, state="closed", limit=500)) == len(cases)

    await running.until(all_closed)
    for breach in await all_breaches(running, limit=500):
        case = await running.get(f"/v1/breaches/{breach['breach_id']}")
        assert [line["revision"] for line in case["timeline"] if line["kind"] == "statement"] == [0, 1]
        assert len([line for line in case["timeline"] if line["kind"] == "delivery"]) == 2


async def test_poison_is_set_aside_and_the_partition_goes_on(running: Notifier, hook: Receiver, kafka: str, unique: str) -> None:
    nul = verdict("opened", "NUL \0 in a case", revision=0)
    await running.writer.append(running.topic, [Entry(b"acme", b"rubbish"), Entry(b"acme", b'{"id": 1}'), Entry(b"acme", b"")])
    huge = verdict("opened", "INC-7", revision=2**70)
    await running.say(huge, nul, verdict("opened", "after", revision=0))
    await hook.wait_for(2)
    assert {b["case"] for b in await settled(running, 2)} == {"NUL \N{REPLACEMENT CHARACTER} in a case", "after"}

    scanner = KafkaScanner({"bootstrap_servers": kafka})
    records: list[Record] = []

    async def quarantined() -> bool:
        records.clear()
        for partition, (first, last) in (await scanner.bounds(f"quarantine-{unique}")).items():
            await scanner.scan(f"quarantine-{unique}", partition, first, last, records.extend)
        return len(records) == 4

    await running.until(quarantined)
    by_value: dict[bytes, Record] = {record.value: record for record in records}
    rubbish = by_value[b"rubbish"]
    assert rubbish.header("slw-reason") == b"not-a-verdict"
    assert rubbish.header("slw-topic") == running.topic.encode()
    assert rubbish.header("slw-offset") is not None
    assert by_value[verdicts.encode(huge)].header("slw-reason") in (b"refused", b"not-a-verdict")


async def test_a_breach_takes_its_warnings_back(running: Notifier, hook: Receiver) -> None:
    warning = verdict("clock.warning", threshold="80%", decided_at=DUE - 600 * SECOND)
    await running.say(warning)
    await hook.wait_for(1)
    risks = (await running.get("/v1/risks"))["risks"]
    assert [(risk["case"], risk["threshold"]) for risk in risks] == [("INC-42", "80%")]
    await running.say(verdict("opened", revision=0), verdict("clock.warning", "INC-43", threshold="80%"), verdict("clock.met", "INC-43"))
    await settled(running, 1)
    assert (await running.get("/v1/risks"))["risks"] == []
    told = [json.loads(request.body)["data"]["case"] for request in await hook.wait_for(2)]
    assert told == ["INC-42", "INC-42"], "the warning of INC-43 was over before it could be sent"


async def test_channels_do_not_wait_for_each_other(kafka: str, database_url: str, unique: str, tmp_path: Path) -> None:
    async with receiver(lambda _: None) as hangs, receiver(lambda n: (500, {}) if n == 0 else (200, {})) as fails, receiver() as works:
        hooks = [hangs.url, fails.url, works.url]
        async with notifier(kafka, database_url, unique, tmp_path, webhooks=hooks) as running:
            await running.say(*(verdict("opened", f"case-{n}", revision=0) for n in range(50)))
            await works.wait_for(50, within_s=5)
            retried = await fails.wait_for(51, within_s=15)  # the first comes again after five seconds and jitter, the same id
            ids = [request.headers["webhook-id"] for request in retried]
            assert ids.count(ids[0]) == 2
            assert len(set(ids)) == 50
            metrics = (await running.client.get("/metrics")).text
            assert 'outcome="retried"} 1.0' in metrics
            assert "slawatch_verdict_to_delivery_seconds_bucket" in metrics
            assert 'slawatch_breaches_total{agreement="acme-helpdesk",objective="resolution",severity="page",type="opened"' in metrics


async def test_a_receiver_that_is_gone_is_asked_no_more(kafka: str, database_url: str, unique: str, tmp_path: Path) -> None:
    async with receiver(lambda _: (410, {})) as gone, notifier(kafka, database_url, unique, tmp_path, webhooks=[gone.url]) as running:
        await running.say(verdict("opened", "first", revision=0))
        await gone.wait_for(1)

        async def off() -> list[dict[str, Any]]:
            channels = (await running.get("/v1/channels", "responder"))["channels"]
            return [channel for channel in channels if not channel["enabled"]]

        [channel] = await running.until(off)
        await running.say(verdict("opened", "second", revision=0))
        second = next(b for b in await settled(running, 2) if b["case"] == "second")
        case = await running.get(f"/v1/breaches/{second['breach_id']}")
        assert [line["state"] for line in case["timeline"] if line["kind"] == "delivery"] == ["disabled"]
        assert len(gone.requests) == 1
        name = channel["channel"]
        assert (await running.client.post(f"/v1/channels/{name}/enable", headers=running.bearer("viewer"))).status_code == 403
        assert (await running.client.post(f"/v1/channels/{name}/enable", headers=running.bearer("operator"))).status_code == 200


class _Mailbox:
    """aiosmtpd's handler: keeps what it is handed."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # aiosmtpd's name
        assert isinstance(envelope.content, bytes)
        self.mails.append(envelope.content)
        return "250 OK"


async def test_mail_goes_out_in_one_thread_and_nobody_adds_headers(kafka: str, database_url: str, unique: str, tmp_path: Path) -> None:
    box = _Mailbox()
    port = free_port()
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    try:
        async with notifier(
            kafka,
            database_url,
            unique,
            tmp_path,
            smtp=f"smtp://127.0.0.1:{port}",
            mail_to="ann@example.com",
            mail_from="slawatch@example.com",
        ) as running:
            evil = "INC-1\r\nBcc: eve@example.com\r\n\r\n<script>alert(1)</script>"
            await running.say(verdict("opened", evil, revision=0), verdict("closed", evil, revision=1, stopped=DUE + 90 * SECOND))

            async def two() -> bool:
                return len(box.mails) == 2

            await running.until(two)
    finally:
        server.stop()
    opened, closed = (message_from_bytes(mail, policy=policy.default) for mail in box.mails)
    assert opened["Subject"].startswith("[slawatch] BREACH: acme broke")
    assert opened["Bcc"] is None
    assert closed["Subject"].startswith("[slawatch] CLOSED: acme")
    assert opened["References"] == closed["References"]
    html = opened.get_body(("html",))
    assert html is not None
    assert "<script>" not in html.get_content()


async def test_roles_and_tenants_see_and_change_only_what_is_theirs(running: Notifier) -> None:
    await running.say(verdict("opened", revision=0), verdict("opened", "secret", vendor="other", revision=0))
    await settled(running, 2)
    own = await all_breaches_of(running, "acme")
    assert [breach["vendor"] for breach in own] == ["acme"]
    foreign = next(b for b in await all_breaches(running) if b["vendor"] == "other")["breach_id"]
    client, path = running.client, f"/v1/breaches/{foreign}"
    assert (await client.get(path, headers=running.bearer("acme"))).status_code == 404
    assert (await client.get("/v1/breaches", params={"vendor": "other"}, headers=running.bearer("acme"))).json()["breaches"] == []
    assert (await client.get(path)).status_code == 401
    assert (await client.get(path, headers=running.bearer("key"))).status_code in (403, 404)
    assert (await client.post(f"{path}/acknowledge", headers=running.bearer("viewer"))).status_code == 403
    assert (await client.post(f"{path}/acknowledge", headers=running.bearer("other"))).status_code == 403
    answer = await client.post(f"{path}/acknowledge", headers=running.bearer("responder"))
    assert answer.json()["acknowledged"]["by"] == "Ann the responder"
    again = await client.post(f"{path}/acknowledge", headers=running.bearer("operator"))
    assert again.json()["acknowledged"] == answer.json()["acknowledged"], "the first acknowledgement stands"
    assert (await client.post(f"{path}/note", json={"text": "called them"}, headers=running.bearer("operator"))).status_code == 201
    case = await running.get(path)
    assert [(line["type"], line["by"], line["text"]) for line in case["timeline"] if line["kind"] == "action"] == [
        ("acknowledge", "Ann the responder", None),
        ("note", "Ann the operator", "called them"),
    ]


async def all_breaches_of(it: Notifier, token: str) -> list[dict[str, Any]]:
    return list((await it.get("/v1/breaches", token))["breaches"])


async def test_pages_of_the_list_do_not_shift_when_breaches_come_in(running: Notifier) -> None:
    await running.say(*(verdict("opened", f"case-{n:02}", revision=0) for n in range(10)))
    await settled(running, 10)
    first = await running.get("/v1/breaches", limit=4)
    await running.say(verdict("opened", "newcomer", revision=0))
    await settled(running, 11)
    seen = [breach["case"] for breach in first["breaches"]]
    cursor = first["next"]
    while cursor:
        page = await running.get("/v1/breaches", limit=4, cursor=cursor)
        seen += [breach["case"] for breach in page["breaches"]]
        cursor = page["next"]
    assert sorted(seen) == [f"case-{n:02}" for n in range(10)]
    assert (await running.client.get("/v1/breaches", params={"cursor": "!!"}, headers=running.bearer("viewer"))).status_code == 422


async def test_stops_quickly_although_somebody_looks_on(running: Notifier) -> None:
    async with running.client.stream("GET", "/v1/feed", headers=running.bearer("viewer")) as feed:
        assert feed.status_code == 200
        started = TIME.monotonic()
        assert await running.stop() == 0
        assert TIME.monotonic() - started < 3


class _Log:
    """A topic of one partition, read by one group; `commit` fails as often as it is told to."""

    def __init__(self, values: list[bytes]) -> None:
        self.values, self.committed, self.position, self.crashes = values, 0, 0, 0

    async def start(self) -> None:
        self.position = self.committed

    async def stop(self) -> None: ...

    async def fetch(self, timeout: float, limit: int) -> list[Batch]:  # the port's
        found = self.values[self.position : self.position + 3]
        start, self.position = self.position, self.position + len(found)
        records = [Record("t", 0, start + n, DUE + 2 * SECOND, b"acme", value, ()) for n, value in enumerate(found)]
        return [Batch.of(records)] if records else []

    def seek(self, topic: str, partition: int, offset: int) -> None: ...

    async def end_offset(self, topic: str, partition: int) -> int:
        return len(self.values)

    async def beginning_offset(self, topic: str, partition: int) -> int:
        return 0

    async def commit(self, offsets: dict[tuple[str, int], int]) -> None:
        if self.crashes:
            self.crashes -= 1
            raise _Crash
        self.committed = offsets["t", 0]


class _Crash(Exception):
    """The process ends between the ledger's commit and that of the offsets."""


class _NoLog:
    async def append(self, topic: str, entries: Sequence[Entry]) -> Sequence[Appended]:
        raise AssertionError("nothing is set aside here")

    async def partitions(self, topic: str) -> int:
        return 1


async def test_a_crash_between_the_ledger_and_the_offsets_is_absorbed(database_url: str) -> None:
    said = [
        verdict("opened", revision=0),
        verdict("opened", "INC-43", revision=0),
        verdict("closed", revision=1, stopped=DUE + SECOND),
        verdict("retracted", "INC-43", revision=1),
    ]
    log = _Log([verdicts.encode(v) for v in said])
    log.crashes = 2
    engine = connect(database_url)
    try:
        await migrate(engine)
        ledger, metrics, crashed = PostgresLedger(engine), Metrics(CollectorRegistry()), 0
        while log.committed < len(said):
            told = _Told()
            dispatcher = Dispatcher([told], ledger, TIME, metrics, composer=Composer(""), jitter=lambda: 0.0, on_delivery=lambda *_: None)
            desk = Desk(Routes([], lambda _: [], TIME), PostgresAlerts(engine), dispatcher, metrics, TIME)
            pipeline = Pipeline(lambda *_: log, _NoLog(), ledger, dispatcher, desk, Hub(), metrics, TIME, quarantine="q")
            await log.start()
            with contextlib.suppress(_Crash):
                while log.committed < len(said):
                    await pipeline.step()
                    await pipeline.commit()
            crashed += log.committed < len(said)
        assert crashed == 2
        for breach_id, standing in ((said[0].data.breach_id, "closed"), (said[1].data.breach_id, "retracted")):
            case = await ledger.case(breach_id)
            assert case is not None
            assert ([row.revision for row in case.statements], case.breach.standing) == ([0, 1], standing)
            assert len(case.deliveries) == 2, "one per statement, however often it was read"
    finally:
        await engine.dispose()


class _Told:
    """A channel that only exists."""

    name, lanes, limit = "told", 1, None

    async def send(self, notice: Notice) -> Result:
        raise AssertionError("its workers do not run")

    async def close(self) -> None: ...


async def test_two_at_once_neither_double_nor_lose_a_statement(database_url: str) -> None:
    """A zombie and its successor write the same verdicts at the same time."""
    engine = connect(database_url, pool=8)
    try:
        await migrate(engine)
        ledger = PostgresLedger(engine)
        batch = [
            Stated(v, verdicts.encode(v), START)
            for n in range(40)
            for v in (verdict("opened", f"c-{n}", revision=0), verdict("closed", f"c-{n}", revision=1, stopped=DUE + 1))
        ]

        async def write(some: list[Stated]) -> int:
            changes = await ledger.record(
                [s.id for s in some], sorted({s.breach_id for s in some}), lambda known: settle(some, known, ["w"])[0], START
            )
            return len(changes.statements)

        written = await asyncio.gather(*(write(some) for some in (batch, list(batch), batch[20:], batch[:50])))
        assert sum(written) == len(batch)
        assert len(await ledger.breaches(Wanted(standing="closed"), limit=100)) == 40
        first, second = await asyncio.gather(*(ledger.claim("w", START + 1, START + 30_000, 60) for _ in range(2)))
        ids = [claimed.key for claimed in (*first, *second)]
        assert len(set(ids)) == len(ids) == len(batch), "two claimers never get the same delivery"
    finally:
        await engine.dispose()


async def test_the_database_may_go_away_and_come_back(stack: Stack, running: Notifier, hook: Receiver) -> None:
    await running.say(verdict("opened", "before", revision=0))
    await hook.wait_for(1)
    processes = [psutil.Process(stack.postgres_pid), *psutil.Process(stack.postgres_pid).children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        await running.say(verdict("opened", "meanwhile", revision=0))

        async def not_ready() -> bool:
            answer = await running.client.get("/readyz")
            return answer.status_code == 503 and "postgres" in answer.json()["missing"]

        await running.until(not_ready, within_s=30)
        assert (await running.client.get("/healthz")).status_code == 200
        answer = await running.client.get("/v1/breaches", headers=running.bearer("viewer"), timeout=30)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    finally:
        for process in processes:
            process.resume()
    requests = await hook.wait_for(2, within_s=30)
    assert b"meanwhile" in requests[1].body

    async def ready() -> bool:
        return (await running.client.get("/readyz")).status_code == 200

    await running.until(ready)

    async def both() -> bool:
        answer = await running.client.get("/v1/breaches", headers=running.bearer("viewer"))
        return answer.status_code == 200 and len(answer.json()["breaches"]) == 2

    await running.until(both)


async def test_half_of_all_webhooks_come_within_fifty_milliseconds(running: Notifier, hook: Receiver) -> None:
    """From the broker's stamp on the verdict to the receiver's 204, by the notifier's own histogram, one at a time."""
    for number in range(40):
        await running.say(verdict("opened", f"case-{number}", revision=0))
        await hook.wait_for(number + 1)

    async def buckets() -> dict[str, float]:
        text = (await running.client.get("/metrics")).text
        lines = [line.rpartition(" ") for line in text.splitlines() if line.startswith("slawatch_verdict_to_delivery_seconds_bucket")]
        found = {name.partition('le="')[2].partition('"')[0]: float(value) for name, _, value in lines}
        return found if found.get("+Inf") == 40 else {}

    found = await running.until(buckets)
    assert found["0.05"] >= 20, found
