"""What the notifier's tests share: sample verdicts, receivers that note what they get, and a notifier process of their own."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from shared.adapters.kafka.topics import OTHERS, Topic, ensure
from shared.adapters.kafka.writer import KafkaWriter
from shared.adapters.postgres.credentials import PostgresCredentials
from shared.adapters.postgres.database import connect, migrate
from shared.ports.log import Entry
from shared.runtime.credentials import create_credential
from shared.sla.instants import SECOND, format_instant, parse_instant
from shared.sla.statements import breach_identity, identity
from shared.wire import verdicts
from shared.wire.verdicts import Verdict, VerdictData

PROJECT = Path(__file__).resolve().parents[2]
PEPPER = "pepper of the notifier's tests"
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
START = parse_instant("2026-03-02T08:00:00Z")


def verdict(
    kind: str,
    case: str | None = "INC-42",
    *,
    revision: int | None = None,
    state: str | None = None,
    vendor: str = "acme",
    objective: str = "resolution",
    agreement: str = "acme-helpdesk",
    due: int = START + 3_600 * SECOND,
    stopped: int | None = None,
    severity: str = "page",
    decided_at: int | None = None,
    **more: Any,
) -> Verdict:
    """A verdict of the short type `kind` (`opened`, `clock.warning` …); its id depends on breach, revision and type, as it must."""
    type_ = f"slawatch.{kind if '.' in kind else 'breach.' + kind}"
    states = {"opened": "breached", "reopened": "breached", "closed": "breached_closed", "retracted": "met", "clock.warning": "running"}
    breach_id = breach_identity(agreement, objective, vendor, "helpdesk", (case or "window",))
    data = VerdictData(
        breach_id=breach_id,
        revision=revision,
        agreement=agreement,
        version=1,
        objective=objective,
        vendor=vendor,
        service="helpdesk",
        case=case,
        cycle=1,
        state=state or states.get(kind, "breached"),
        severity=severity,
        started=format_instant(START),
        due=format_instant(due),
        stopped=None if stopped is None else format_instant(stopped),
        elapsed_s=3600,
        target_s=3600,
        paused_s=0,
        late_s=None if stopped is None else (stopped - due) / SECOND,
        overdue_s=2,
        evidence=["evt-1"],
        decided_at=format_instant(due + 2 * SECOND if decided_at is None else decided_at),
        **more,
    )
    return Verdict(
        id=identity(breach_id, revision, type_, more.get("threshold")),
        type=type_,
        subject=f"{agreement}/{objective}/{case}",
        time=format_instant(due),
        vendor=vendor,
        service="helpdesk",
        data=data,
    )


class Request(NamedTuple):
    """What a receiver got."""

    headers: dict[str, str]
    body: bytes
    target: str = ""


Answer = tuple[int, dict[str, str]] | tuple[int, dict[str, str], bytes] | None  # status, headers and body; None: never answer


class Receiver:
    """An HTTP server that notes each POST and answers what `answer` says for its number (from 0)."""

    def __init__(self, answer: Callable[[int], Answer]) -> None:
        self._answer = answer
        self.requests: list[Request] = []
        self.url = ""
        self.on_request: Callable[[Request], object] = lambda request: None
        self._came = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                number = len(self.requests)
                async with self._came:
                    self.requests.append(Request(headers, body, head[0].split(" ")[1]))
                    self.on_request(self.requests[-1])
                    self._came.notify_all()
                answer = self._answer(number)
                if answer is None:
                    await asyncio.sleep(3600)
                    continue
                status, more, said = (*answer, b"")[:3]
                fields = {"content-length": str(len(said))} | more
                lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in fields.items())]
                writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + said)
                await writer.drain()
        writer.close()

    async def wait_for(self, number: int, within_s: float = 20) -> list[Request]:
        """At least so many requests."""
        async with asyncio.timeout(within_s), self._came:
            await self._came.wait_for(lambda: len(self.requests) >= number)
        return self.requests


@contextlib.asynccontextmanager
async def receiver(answer: Callable[[int], Answer] = lambda _: (204, {})) -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    it = Receiver(answer)
    tasks: set[asyncio.Task[None]] = set()

    def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(it.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(lambda _: writer.close())

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    it.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    try:
        yield it
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Notifier:
    """A notifier process, its topic, database and tokens."""

    def __init__(self, env: dict[str, str], writer: KafkaWriter, tokens: dict[str, str], home: Path) -> None:
        self._env, self.writer, self.tokens, self._home = env, writer, tokens, home
        self.topic = env["SLAWATCH_TOPIC_BREACHES"]
        self.database = env["SLAWATCH_DATABASE"]
        self.url = f"http://127.0.0.1:{env['SLAWATCH_NOTIFIER_PORT']}"
        self._process: asyncio.subprocess.Process | None = None
        self.client = httpx2.AsyncClient(base_url=self.url, trust_env=False, timeout=10)

    @property
    def environment(self) -> dict[str, str]:
        """What the process was started with, for commands that are to work on the same installation."""
        return self._env

    async def start(self) -> None:
        log = (self._home / "notifier.log").open("ab")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.notifier", env=self._env, cwd=PROJECT, stderr=log, stdout=log
        )
        log.close()
        async with asyncio.timeout(40):
            while True:
                if self._process.returncode is not None:
                    raise AssertionError(self.log())
                with contextlib.suppress(httpx2.TransportError):
                    if (await self.client.get("/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.05)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit status."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
        async with asyncio.timeout(20):
            return await self._process.wait()

    def log(self) -> str:
        return (self._home / "notifier.log").read_text()[-4_000:]

    def log_lines(self) -> list[str]:
        """Every line that the process has logged."""
        return (self._home / "notifier.log").read_text().splitlines()

    async def say(self, *said: Verdict) -> None:
        """Verdicts onto the topic."""
        await self.writer.append(self.topic, [Entry(v.vendor.encode(), verdicts.encode(v)) for v in said])

    async def get(self, path: str, token: str = "viewer", **params: Any) -> Any:
        """A JSON answer of the API."""
        answer = await self.client.get(path, params=params, headers=self.bearer(token))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def bearer(self, token: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.tokens[token]}"}

    async def until(self, condition: Callable[[], Any], within_s: float = 20) -> Any:
        """The first true answer of an awaitable condition."""
        async with asyncio.timeout(within_s):
            while not (found := await condition()):  # the condition is another process's
                await asyncio.sleep(0.03)
        return found


@contextlib.asynccontextmanager
async def notifier(
    kafka: str, database_url: str, unique: str, home: Path, *, webhooks: Sequence[str] = (), **settings: str
) -> AsyncIterator[Notifier]:
    """A notifier process on its own topic and database; ended at the end."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("SLAWATCH_")} | {
        "PYTHONPATH": str(PROJECT),
        "SLAWATCH_HOME": str(home),
        "SLAWATCH_KAFKA": kafka,
        "SLAWATCH_DATABASE": database_url.replace("+asyncpg", ""),
        "SLAWATCH_TOPIC_BREACHES": f"breaches-{unique}",
        "SLAWATCH_TOPIC_QUARANTINE": f"quarantine-{unique}",
        "SLAWATCH_GROUP": f"g-{unique}",
        "SLAWATCH_PARTITIONS": "4",
        "SLAWATCH_NOTIFIER_PORT": str(free_port()),
        "SLAWATCH_PEPPER": PEPPER,
        "SLAWATCH_WEBHOOKS": " ".join(webhooks),
        "SLAWATCH_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "SLAWATCH_ALLOW_PRIVATE_WEBHOOKS": "true",
        **{f"SLAWATCH_{name.upper()}": value for name, value in settings.items()},
    }
    await ensure({"bootstrap_servers": kafka}, [Topic(env["SLAWATCH_TOPIC_BREACHES"], 4, 1, OTHERS)])
    engine = connect(database_url)
    tokens = {}
    try:
        await migrate(engine)
        store = PostgresCredentials(engine, timeout=20)
        for role in ("viewer", "responder", "operator"):
            _, tokens[role] = await create_credential(store, PEPPER.encode(), "local", "token", role, (), f"Ann the {role}", START)
        for vendor in ("acme", "other"):
            _, tokens[vendor] = await create_credential(store, PEPPER.encode(), "local", "token", "vendor", (vendor,), vendor, START)
        _, tokens["key"] = await create_credential(store, PEPPER.encode(), "local", "key", "vendor", ("acme",), "acme's system", START)
    finally:
        await engine.dispose()
    async with KafkaWriter({"bootstrap_servers": kafka}, timeout=20) as writer:
        it = Notifier(env, writer, tokens, home)
        await it.start()
        try:
            yield it
        finally:
            await it.client.aclose()
            await it.stop()
