"""ingest as a process of its own, before real Kafka and PostgreSQL: what only the real things can show."""

import asyncio
import gzip
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.adapters.kafka.reader import KafkaScanner
from shared.adapters.postgres.credentials import PostgresCredentials
from shared.adapters.postgres.database import connect
from shared.adapters.system_time import SystemTime
from shared.local.stack import Stack
from shared.ports.log import Record
from shared.runtime.credentials import create_credential, revoke
from shared.wire import controls, events
from shared.wire.topics import partition_of
from tests.unit.ingest.world import BATCH, NDJSON, STRUCTURED, event, ndjson, post

PEPPER = "pepper of the integration tests"
PARTITIONS = 4
TIMEOUT_S = 1.0


class Service:
    """A running ingest."""

    def __init__(self, stack: Stack, url: str, database: str, topic: str) -> None:
        self.stack, self.url, self.database, self.topic = stack, url, database, topic
        self.process: asyncio.subprocess.Process
        self.errors = ""

    async def key(self, role: str = "vendor", vendor: str = "acme", name: str = "test") -> str:
        """The text of a new key; former ones of that name are revoked."""
        engine = connect(self.database)
        store = PostgresCredentials(engine, timeout=10)
        now = SystemTime().wall()
        await revoke(store, name, now)
        vendors = [vendor] if role == "vendor" else []
        made = await create_credential(store, PEPPER.encode(), "local", "key", role, vendors, name, now)
        await engine.dispose()
        return made[1]

    async def revoke(self, name: str) -> None:
        engine = connect(self.database)
        await revoke(PostgresCredentials(engine, timeout=10), name, SystemTime().wall())
        await engine.dispose()

    @asynccontextmanager
    async def client(self, key: str = "") -> AsyncIterator[httpx2.AsyncClient]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=60) as client:
            yield client

    async def records(self) -> list[Record]:
        """All that stands in the topic."""
        scanner = KafkaScanner({"bootstrap_servers": self.stack.kafka})
        found: list[Record] = []
        for partition, (first, last) in (await scanner.bounds(self.topic)).items():
            await scanner.scan(self.topic, partition, first, last, found.extend)
        return found

    async def written(self) -> list[Record]:
        """The events among them."""
        return [record for record in await self.records() if record.header("slw-control") is None]

    async def until_ready(self) -> None:
        async with asyncio.timeout(30), self.client() as client:
            while True:
                try:
                    if (await client.get("/readyz")).status_code == 200:
                        return
                except httpx2.TransportError:
                    assert self.process.returncode is None, "ingest did not start"
                await asyncio.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def running(stack: Stack, database: str, topic: str, home: Path, **changes: str) -> AsyncIterator[Service]:
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "SLAWATCH_KAFKA": stack.kafka,
        "SLAWATCH_DATABASE": database,
        "SLAWATCH_HOME": str(home),
        "SLAWATCH_TOPIC_EVENTS": topic,
        "SLAWATCH_PARTITIONS": str(PARTITIONS),
        "SLAWATCH_INGEST_PORT": str(port),
        "SLAWATCH_PEPPER": PEPPER,
        "SLAWATCH_PRODUCE_TIMEOUT_S": str(TIMEOUT_S),
        **changes,
    }
    service = Service(stack, f"http://127.0.0.1:{port}", database, topic)
    log = (home / "ingest.log").open("wb")
    service.process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.ingest", env=environment, stderr=log)
    try:
        await service.until_ready()
        yield service
    finally:
        if service.process.returncode is None:
            service.process.terminate()
        await service.process.wait()
        log.close()
        service.errors = (home / "ingest.log").read_text()


@pytest.fixture
async def ingest(stack: Stack, database_url: str, unique: str, tmp_path: Path) -> AsyncIterator[Service]:
    async with running(stack, database_url, f"events-{unique}", tmp_path) as service:
        yield service
    assert "Traceback" not in service.errors, service.errors
    assert service.process.returncode == 0


async def eventually(condition: Callable[[], Awaitable[bool]], within_s: float = 20) -> None:
    """Ask until it is so."""
    async with asyncio.timeout(within_s):
        while not await condition():  # another process tells no event
            await asyncio.sleep(0.02)


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """The process and its children hang."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            process.resume()


async def test_what_was_answered_with_202_stands_in_the_log_in_its_vendors_partition(ingest: Service) -> None:
    customer = await ingest.key("customer")
    binary = {"ce-specversion": "1.0", "ce-id": "4", "ce-source": "/s", "ce-type": "t", "ce-subject": "c", "ce-service": "s"}
    async with ingest.client(customer) as client:
        for body, content_type, headers in (
            (event(id="1", vendor="acme"), STRUCTURED, {}),
            ([event(id="2", vendor="globex"), event(id="3", vendor="工单")], BATCH, {}),
            ({"x": 1}, "application/json", {**binary, "ce-time": "2026-03-02T09:00:00Z", "ce-vendor": "initech"}),
            (gzip.compress(ndjson([event(id="5", vendor="acme")])), NDJSON, {"Content_Encoding": "gzip"}),
        ):
            assert (await post(client, body, content_type, **headers)).status_code == 202
    written = await ingest.written()
    assert sorted(events.decode(record.value).id for record in written) == ["1", "2", "3", "4", "5"]
    for record in written:
        evidence = events.decode(record.value)
        assert record.key == evidence.vendor.encode()
        assert record.partition == partition_of(record.key, PARTITIONS)
        assert evidence.role == "customer"


async def test_a_pulse_stands_in_every_partition_soon_after_the_start(ingest: Service) -> None:
    found: list[Record] = []

    async def pulses() -> bool:
        found[:] = [record for record in await ingest.records() if record.header("slw-control") == b"pulse"]
        return len(found) >= PARTITIONS

    await eventually(pulses)
    assert {record.partition for record in found} == set(range(PARTITIONS))
    assert all(isinstance(controls.decode("pulse", record.value), controls.Pulse) for record in found)


async def test_a_broker_that_hangs(ingest: Service) -> None:
    loop = asyncio.get_running_loop()
    async with ingest.client(await ingest.key()) as client:
        assert (await post(client, event(id="before"))).status_code == 202
        with paused(ingest.stack.kafka_pid):
            began = loop.time()
            answers = await asyncio.gather(*(post(client, event(id=f"during {n}")) for n in range(20)))
            assert loop.time() - began < TIMEOUT_S + 2
            assert {answer.status_code for answer in answers} == {503}
            assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)

            async def not_ready() -> bool:
                return (await client.get("/readyz")).status_code == 503

            await eventually(not_ready)
            assert (await client.get("/healthz")).status_code == 200
        await ingest.until_ready()
        assert (await post(client, event(id="after"))).status_code == 202
    ids = {events.decode(record.value).id for record in await ingest.written()}
    assert {"before", "after"} <= ids


async def test_a_broker_killed_while_events_flow_loses_nothing_acknowledged(ingest: Service) -> None:
    acknowledged: set[str] = set()
    refused = 0
    stop = asyncio.Event()

    async def send(worker: int, client: httpx2.AsyncClient) -> None:
        nonlocal refused
        number = 0
        while not stop.is_set():
            batch = [event(id=f"{worker}-{number}-{n}") for n in range(10)]
            answer = await post(client, batch, BATCH)
            if answer.status_code == 202:
                acknowledged.update(one["id"] for one in batch)
                number += 1
            else:
                assert answer.status_code == 503
                assert "retry-after" in answer.headers
                refused += 1
                await asyncio.sleep(0.1)

    def at_least(count: int) -> Callable[[], Awaitable[bool]]:
        async def reached() -> bool:
            return len(acknowledged) >= count

        return reached

    async def is_refused() -> bool:
        return refused > 0

    async with ingest.client(await ingest.key()) as client:
        workers = [asyncio.ensure_future(send(worker, client)) for worker in range(4)]
        await eventually(at_least(100))
        os.kill(ingest.stack.kafka_pid, signal.SIGKILL)
        await eventually(is_refused)
        ingest.stack.restart_kafka()
        await eventually(at_least(len(acknowledged) + 100), 30)
        stop.set()
        await asyncio.gather(*workers)
    assert acknowledged <= {events.decode(record.value).id for record in await ingest.written()}


async def test_sigterm_under_load_drains(stack: Stack, database_url: str, unique: str, tmp_path: Path) -> None:
    acknowledged: set[str] = set()
    async with running(stack, database_url, f"events-{unique}", tmp_path) as service:
        key = await service.key()

        async def send(worker: int) -> None:
            number = 0
            async with service.client(key) as client:
                while True:
                    one = event(id=f"{worker}-{number}")
                    try:
                        answer = await post(client, one)
                    except httpx2.TransportError:
                        return
                    assert answer.status_code == 202
                    acknowledged.add(one["id"])
                    number += 1

        workers = [asyncio.ensure_future(send(worker)) for worker in range(8)]

        async def loaded() -> bool:
            return len(acknowledged) >= 200

        await eventually(loaded)
        service.process.terminate()
        async with asyncio.timeout(15):
            assert await service.process.wait() == 0
            await asyncio.gather(*workers)
        assert acknowledged <= {events.decode(record.value).id for record in await service.written()}
    assert "Traceback" not in service.errors, service.errors


async def test_the_database_away(ingest: Service) -> None:
    known, unknown = await ingest.key(name="known"), await ingest.key(name="unknown")
    async with ingest.client(known) as client, ingest.client(unknown) as stranger:
        assert (await post(client, event(id="1"))).status_code == 202
        with paused(ingest.stack.postgres_pid):
            await asyncio.sleep(3.1)  # until what is known is no longer fresh
            assert (await post(client, event(id="2"))).status_code == 202
            answer = await post(stranger, event(id="3"))
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0

        async def let_in() -> bool:
            return (await post(stranger, event(id="3"))).status_code == 202

        await eventually(let_in)


async def test_a_revoked_key_is_refused_within_seconds(ingest: Service) -> None:
    async with ingest.client(await ingest.key(name="short-lived")) as client:
        assert (await post(client, event())).status_code == 202
        await ingest.revoke("short-lived")

        async def refused() -> bool:
            return (await post(client, event())).status_code == 401

        await eventually(refused, 5)


async def test_a_long_stream_is_taken_with_flat_memory(ingest: Service) -> None:
    line = json.dumps(event(id="%07d", data={"text": "x" * 300}))
    process = psutil.Process(ingest.process.pid)
    peak = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal peak
        for first in range(0, 100_000, 500):
            peak = max(peak, process.memory_info().rss)
            yield "".join(line.replace("%07d", f"{n:07d}") + "\n" for n in range(first, first + 500)).encode()

    async with ingest.client(await ingest.key()) as client:
        await post(client, ndjson([event(id="warm")]), NDJSON)
        before = process.memory_info().rss
        answer = await client.post("/v1/events", content=body(), headers={"Content-Type": NDJSON})
    assert answer.json() == {"accepted": 100_000, "duplicates": 0, "rejected_count": 0, "rejected": [], "lines": 100_000}
    assert peak - before < 60_000_000  # the body has 55 MB; what is remembered of 100,000 ids has about 20 MB
    assert len(await ingest.written()) == 100_001


async def test_a_connection_that_only_dribbles_is_closed(ingest: Service) -> None:
    host, port = ingest.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /v1/events HTTP/1.1\r\n" + b"".join(b"x-%d: %s\r\n" % (n, b"y" * 1_000) for n in range(100)))
    async with asyncio.timeout(5):
        assert (await reader.read()).startswith(b"HTTP/1.1 431")
    writer.close()
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(5):
        assert (await reader.read(12)).startswith(b"HTTP/1.1 4")
    writer.close()


def mutations() -> st.SearchStrategy[bytes]:
    """Events with something wrong in them, and plain rubbish."""
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
        max_leaves=8,
    )
    names = st.sampled_from([*event(), "sequence", "replaces", "slwrole", "data_base64", "datacontenttype", "x y"]) | st.text(max_size=10)
    changed = st.dictionaries(names, values, max_size=3).map(lambda change: json.dumps({**event(), **change}).encode())
    return changed | values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200)


async def test_no_body_makes_a_500(ingest: Service) -> None:
    key = await ingest.key()
    examples: list[tuple[bytes, str]] = []

    @settings(max_examples=150, database=None, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(mutations(), st.sampled_from([STRUCTURED, BATCH, NDJSON, "application/json"]))
    def collect(body: bytes, content_type: str) -> None:
        examples.append((b"[" + body + b"]" if content_type == BATCH else body, content_type))

    collect()
    async with ingest.client(key) as client:
        for body, content_type in examples:
            headers = {"ce-specversion": "1.0", "ce-id": "x"} if content_type == "application/json" else {}
            answer = await post(client, body, content_type, **headers)
            assert answer.status_code in (202, 400, 403, 409, 413, 415, 422), (body, content_type, answer.text)


async def test_answers_conform_to_the_openapi_document(ingest: Service) -> None:
    key = await ingest.key()
    schema = await asyncio.to_thread(schemathesis.openapi.from_url, f"{ingest.url}/openapi.json")
    operation = schema["/v1/events"]["POST"]
    checks = [
        schemathesis.checks.not_a_server_error,
        schemathesis.checks.CHECKS.get_one("status_code_conformance"),
        schemathesis.checks.CHECKS.get_one("content_type_conformance"),
        schemathesis.checks.CHECKS.get_one("response_schema_conformance"),
    ]

    seen: set[int] = set()

    @settings(max_examples=40, database=None, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(case=operation.as_strategy())
    def conforms(case: Any) -> None:
        answer = case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, checks=checks, timeout=10)
        seen.add(answer.status_code)

    await asyncio.to_thread(conforms)
    assert 202 in seen
    assert len(seen) > 2, "the examples do not reach the validation"
