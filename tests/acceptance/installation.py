"""A whole installation for a test: topics, database and the three services as processes, on the session's Kafka and PostgreSQL."""

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from shared.adapters.postgres.credentials import PostgresCredentials
from shared.adapters.postgres.database import connect, migrate
from shared.runtime.credentials import create_credential, load_pepper
from shared.runtime.settings import load

SERVICES = ("ingest", "evaluator", "notifier")
Event = dict[str, Any]


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Installation:
    """Its services can be killed and started again; `key` posts for any vendor, `token` reads everything."""

    def __init__(self, directory: Path, kafka: str, database: str, unique: str, **settings: str) -> None:
        self.directory = directory
        self.ports = {name: free_port() for name in SERVICES}
        own = {
            "HOME": str(directory),
            "KAFKA": kafka,
            "DATABASE": database,
            "PEPPER": "pepper of a test",
            "TOPIC_EVENTS": f"{unique}.events",
            "TOPIC_BREACHES": f"{unique}.breaches",
            "TOPIC_QUARANTINE": f"{unique}.quarantine",
            "GROUP": unique,
            "PARTITIONS": "4",
            **{f"{name.upper()}_PORT": str(port) for name, port in self.ports.items()},
            **settings,
        }
        self.variables = {f"SLAWATCH_{name}": value for name, value in own.items()}
        self.key = self.token = ""
        self._database = database
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.http = httpx2.AsyncClient(timeout=30, trust_env=False)

    @property
    def environment(self) -> dict[str, str]:
        """What its processes see."""
        return {**{k: v for k, v in os.environ.items() if not k.startswith("SLAWATCH_")}, **self.variables}

    # -- processes -----------------------------------------------------------------------------------------------

    async def start(self, services: Iterable[str] = SERVICES) -> None:
        """Start services and wait until they are ready."""
        names = list(services)
        for name in names:
            self.launch(name)
        for name in names:
            await self.ready(name)

    def launch(self, service: str, **settings: str) -> None:
        """Start one, with settings of its own, without waiting; `evaluator-2` and so on are further evaluators."""
        kind = service.partition("-")[0]
        port = self.ports.setdefault(service, free_port())
        own = {f"{kind.upper()}_PORT": str(port), **settings}
        environment = {**self.environment, **{f"SLAWATCH_{name}": value for name, value in own.items()}}
        with (self.directory / f"{service}.log").open("ab") as log:
            command = [sys.executable, "-m", "shared.cli", "serve", kind]
            self._running[service] = subprocess.Popen(command, env=environment, stderr=log, stdout=log)

    async def ready(self, service: str, seconds: float = 60) -> None:
        """Wait until it says so."""
        until = time.monotonic() + seconds
        said = "nothing"
        while time.monotonic() < until:
            process = self._running[service]
            if process.poll() is not None:
                break
            try:
                answer = await self.http.get(self.url(service, "/readyz"))
                said = answer.text
                if answer.status_code == 200:
                    return
            except httpx2.TransportError as wrong:
                said = repr(wrong)
            await asyncio.sleep(0.05)
        log = (self.directory / f"{service}.log").read_text("utf-8", "replace")[-3_000:]
        raise AssertionError(f"{service} is not ready: {said}\n{log}")

    def kill(self, service: str) -> None:
        """kill -9."""
        process = self._running.pop(service)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """SIGTERM to all, and wait for their end."""
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        for process in self._running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    # -- using it ------------------------------------------------------------------------------------------------

    def url(self, service: str, path: str) -> str:
        """An address of one of its services."""
        return f"http://127.0.0.1:{self.ports[service]}{path}"

    async def make_credentials(self) -> None:
        """A customer's key for any vendor, and an operator's token."""
        engine = connect(self._database, pool=1)
        try:
            await migrate(engine)
            store, pepper, now = PostgresCredentials(engine), load_pepper(load(self.variables)), time.time_ns() // 1_000_000
            _, self.key = await create_credential(store, pepper, "local", "key", "customer", [], "test", now)
            _, self.token = await create_credential(store, pepper, "local", "token", "operator", [], "test", now)
            self.variables["SLAWATCH_EVALUATOR_TOKEN"] = self.token
        finally:
            await engine.dispose()

    async def post(self, events: Sequence[Event]) -> dict[str, Any]:
        """Post events as NDJSON, and again for as long as the door is shut; what ingest answered."""
        body = "\n".join(json.dumps(event) for event in events).encode()
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/x-ndjson"}
        while True:
            try:
                answer = await self.http.post(self.url("ingest", "/v1/events"), content=body, headers=headers)
            except httpx2.TransportError:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code in (429, 503):
                await asyncio.sleep(0.1)
                continue
            assert answer.status_code == 202, answer.text
            result: dict[str, Any] = answer.json()
            return result

    async def command(self, *words: str) -> str:
        """Run `slawatch …` in this installation; its stdout."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "shared.cli", *words, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode()

    async def ledger(self) -> dict[str, dict[str, Any]]:
        """Every breach of the ledger by its id, through the API's pages."""
        found: dict[str, dict[str, Any]] = {}
        cursor: str | None = None
        while True:
            query = {"limit": "500", **({"cursor": cursor} if cursor else {})}
            headers = {"authorization": f"Bearer {self.token}"}
            answer = await self.http.get(self.url("notifier", "/v1/breaches"), params=query, headers=headers)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            for breach in page["breaches"]:
                assert breach["breach_id"] not in found, "a breach stands in the ledger twice"
                found[breach["breach_id"]] = breach
            cursor = page.get("next")
            if not cursor:
                return found

    async def ledger_of(self, count: int, seconds: float = 60) -> dict[str, dict[str, Any]]:
        """The ledger, once it holds `count` breaches."""
        until = time.monotonic() + seconds
        while True:
            found = await self.ledger()
            if len(found) >= count:
                return found
            assert time.monotonic() < until, f"{len(found)} breaches in the ledger, not {count}"
            await asyncio.sleep(0.1)


@asynccontextmanager
async def installed(directory: Path, kafka: str, database: str, **settings: str) -> AsyncIterator[Installation]:
    """An installation with all services ready; stopped at the end."""
    installation = Installation(directory, kafka, database, secrets.token_hex(6), **settings)
    try:
        await installation.make_credentials()
        await installation.start()
        yield installation
    finally:
        installation.stop()
        await installation.http.aclose()


def as_ndjson(lines: Iterable[dict[str, Any]]) -> str:
    """Lines of JSON."""
    return "".join(json.dumps(line) + "\n" for line in lines)


def read_ndjson(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def replay(directory: Path, *words: str | Path) -> Path:
    """Run `slawatch replay …`; the directory with its results."""
    out = directory / "replayed"
    command = [sys.executable, "-m", "shared.cli", "replay", *map(str, words), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out
