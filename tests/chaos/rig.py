"""What the faults befall: a stack of its own behind proxies, and an installation on it with as many evaluators as asked for."""

import asyncio
import json
import secrets
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psutil
from sqlalchemy.engine import make_url

from shared.adapters.kafka.connection import connection as options_of
from shared.adapters.kafka.reader import KafkaScanner
from shared.adapters.kafka.writer import KafkaWriter
from shared.local.stack import Stack, start_stack
from shared.ports.log import Entry, Record
from shared.runtime.settings import load
from shared.sla.instants import format_instant
from tests.acceptance.installation import Event, Installation, free_port
from tests.chaos.proxy import Proxy

PARTITIONS = 4
RECOVERY_S_MAX = 120.0
AGREEMENT: dict[str, Any] = {
    "apiVersion": "slawatch/v1",
    "kind": "Agreement",
    "name": "chaos",
    "version": 1,
    "vendor": "*",
    "service": "*",
    "grace": "1s",
    "objectives": [
        {
            "name": "done",
            "kind": "deadline",
            "start": "opened",
            "pause": "paused",
            "resume": "resumed",
            "stop": "done",
            "cancel": "cancelled",
            "reset": "rejected",
            "reopen": {"on": "reopened", "as": "continue"},
            "change": {"on": "changed", "as": "carry"},
            "targets": [{"when": "data.p == 1", "within": "1s"}, {"within": "2s"}],
            "warn_at": ["50%"],
        },
        {"name": "sound", "kind": "violation", "on": "inspected", "unless": "data.defects <= data.accept"},
    ],
}


@dataclass
class Ground:
    """The embedded stack. Kafka and PostgreSQL are reached through the proxies."""

    stack: Stack
    kafka: Proxy
    postgres: Proxy

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.kafka.port}"

    @property
    def database(self) -> str:
        return make_url(self.stack.database).set(port=self.postgres.port).render_as_string(hide_password=False)

    async def restart_kafka(self) -> None:
        """Whatever became of it."""
        await asyncio.to_thread(self.stack.restart_kafka)

    async def restart_postgres(self) -> None:
        """Likewise."""
        await asyncio.to_thread(self.stack.restart_postgres)

    async def heal(self) -> None:
        """Undo what a round may have left: slow proxies, servers that ended or stand still."""
        self.kafka.delay_s = self.postgres.delay_s = 0
        for child, restart in zip(self.stack.children, (self.restart_kafka, self.restart_postgres), strict=True):
            if child.process is None or not child.alive() or child.process.status() == psutil.STATUS_STOPPED:
                await restart()


@asynccontextmanager
async def ground(home: Path) -> AsyncIterator[Ground]:
    """A stack in `home`; its broker names the proxy as its address, so that clients stay on it."""
    stack = start_stack(home)
    try:
        broker = int(stack.kafka.rpartition(":")[2])
        database = make_url(stack.database).port
        assert database is not None
        async with Proxy(free_port(), broker) as kafka, Proxy(free_port(), database) as postgres:
            properties = home / "kafka" / "server.properties"
            own, proxied = (f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n" for port in (broker, kafka.port))
            text = properties.read_text("utf-8")
            assert own in text
            properties.write_text(text.replace(own, proxied), "utf-8")
            found = Ground(stack, kafka, postgres)
            await found.restart_kafka()
            yield found
    finally:
        stack.stop()


class Rig(Installation):
    """An installation; members of the evaluator's group beside `evaluator` are called `evaluator-2` and so on."""

    def __init__(self, directory: Path, under: Ground, database: str, **settings: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        agreements = directory / "agreements.yaml"
        agreements.write_text(json.dumps(AGREEMENT), "utf-8")
        own = {"AGREEMENTS": str(agreements), "PARTITIONS": str(PARTITIONS), **settings}
        super().__init__(directory, under.bootstrap, database, f"c{secrets.token_hex(5)}", **own)
        self.ground, self.agreements = under, agreements
        self.settings = load(self.variables)
        self.writer = KafkaWriter(options_of(self.settings, under.bootstrap), timeout=20)

    # -- processes -----------------------------------------------------------------------------------------------

    @property
    def running(self) -> list[str]:
        """The names of what runs."""
        return list(self._running)

    def signal(self, service: str, what: signal.Signals) -> None:
        self._running[service].send_signal(what)

    def pid(self, service: str) -> int:
        return self._running[service].pid

    async def ended(self, service: str, seconds: float) -> int | None:
        """The exit code once it has ended by itself; None if it has not within `seconds`, and goes on."""
        process, until = self._running[service], time.monotonic() + seconds
        while time.monotonic() < until:
            if process.poll() is not None:
                del self._running[service]
                return process.returncode
            await asyncio.sleep(0.02)
        return None

    async def terminate(self, service: str, seconds: float = 20) -> float:
        """SIGTERM, and how many seconds it took to end, which it must in good order."""
        self.signal(service, signal.SIGTERM)
        begun = time.monotonic()
        code = await self.ended(service, seconds)
        assert code is not None, f"{service} has not ended {seconds} s after SIGTERM"
        assert code == 0, f"{service} ended with {code} after SIGTERM"
        return time.monotonic() - begun

    # -- using it ------------------------------------------------------------------------------------------------

    async def recovered(self) -> float:
        """Seconds until everything works: all services ready, and a violation posted now stands in the ledger."""
        begun = time.monotonic()
        async with asyncio.timeout(RECOVERY_S_MAX):
            for service in self.running:
                await self.ready(service, RECOVERY_S_MAX)
            case = f"probe-{secrets.token_hex(4)}"
            await self.post([event_of("probe", case, "inspected", time.time(), {"defects": 1, "accept": 0})])
            while case not in await self._newest("probe"):
                await asyncio.sleep(0.05)
        return time.monotonic() - begun

    async def _newest(self, vendor: str) -> list[str]:
        answer = await self.http.get(
            self.url("notifier", "/v1/breaches"),
            params={"limit": "5", "vendor": vendor},
            headers={"authorization": f"Bearer {self.token}"},
        )
        return [breach["case"] for breach in answer.json()["breaches"]] if answer.status_code == 200 else []

    async def produce(self, vendor: str, value: bytes, headers: tuple[tuple[str, bytes], ...] = ()) -> None:
        """Past the door, straight into the topic of events."""
        await self.writer.append(self.settings.topic_events, [Entry(vendor.encode(), value, headers)])

    async def records(self, topic: str) -> list[Record]:
        """All that stands on a topic."""
        scanner, found = KafkaScanner(options_of(self.settings, self.ground.bootstrap)), list[Record]()
        for number, (first, end) in (await scanner.bounds(topic)).items():
            await scanner.scan(topic, number, first, end, found.extend)
        return found


@asynccontextmanager
async def rigged(directory: Path, under: Ground, **settings: str) -> AsyncIterator[Rig]:
    """All services ready, with topics and a database of their own; stopped at the end."""
    rig = Rig(directory, under, await new_database(under), **settings)
    async with AsyncExitStack() as closing:
        closing.push_async_callback(rig.http.aclose)
        await closing.enter_async_context(rig.writer)
        closing.push_async_callback(asyncio.to_thread, rig.stop)  # the proxies go on meanwhile
        await rig.make_credentials()
        await rig.start()
        yield rig


async def new_database(under: Ground) -> str:
    """The URL of an empty database, by way of the proxy."""
    name, url = f"chaos_{secrets.token_hex(5)}", make_url(under.database)
    connection = await asyncpg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return url.set(database=name).render_as_string(hide_password=False)


def event_of(vendor: str, case: str, kind: str, at: float, data: dict[str, Any] | None = None, name: str = "") -> Event:
    """An event dated `at` (Unix seconds); `name` makes ids of the same kind in one case differ."""
    event: Event = {"specversion": "1.0", "id": f"{case}.{kind}{name}", "source": f"/{vendor}", "type": kind, "subject": case}
    return event | {"time": format_instant(round(at * 1000)), "vendor": vendor, "service": "desk", "data": data or {}}
