"""Alerts: from a verdict on the topic to the webhook with one channel hanging, a storm of breaches, and a ledger of a million rows."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from rich.console import Console
from sqlalchemy.engine import make_url

from shared.adapters.postgres.database import connect, migrate
from shared.local.stack import Stack, start_stack
from shared.sla.instants import format_instant
from shared.wire import verdicts
from tests.integration.notifier_kit import Notifier, Receiver, notifier, receiver, verdict

RATE = 200  # verdicts a second
SECONDS = 20
STORM = 10_000
ROWS = 1_000_000
REQUESTS = 100
THEIRS = "breach_id IN (SELECT breach_id FROM breaches WHERE vendor = 'storm')"
ROUTING = """
apiVersion: slawatch/v1
kind: Routing
name: bench
receivers:
  ops: [{{kind: webhook, url: "{ops}"}}]
  hanging: [{{kind: webhook, url: "{hanging}"}}]
  robot: [{{kind: webhook, url: "{robot}", rate: 20 per 1m}}]
route:
  receiver: ops
  group_by: breach
  routes: [{{match: {{vendor: storm}}, receiver: [ops, robot]}}, {{receiver: [ops, hanging]}}]
"""


def quantile(values: list[float], share: float) -> float:
    """The value below which the share lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def paced(it: Notifier, hook: Receiver) -> list[float]:
    """Milliseconds from the hand-over of each verdict to the topic until its webhook came."""
    came: dict[str, float] = {}
    hook.on_request = lambda request: came.setdefault(request.headers["webhook-id"], time.perf_counter())
    sent: dict[str, float] = {}
    tasks = []
    begin = time.perf_counter()
    for number in range(RATE * SECONDS):
        await asyncio.sleep(max(0.0, begin + number / RATE - time.perf_counter()))
        said = verdict("opened", f"paced-{number}", revision=0, vendor=f"v{number % 40}")
        sent[said.id] = time.perf_counter()
        tasks.append(asyncio.ensure_future(it.say(said)))
    await asyncio.gather(*tasks)
    async with asyncio.timeout(60):
        while len(came.keys() & sent.keys()) < len(sent):
            await asyncio.sleep(0.05)
    return [(came[name] - at) * 1000 for name, at in sent.items()]


async def storm(it: Notifier, hook: Receiver, robot: Receiver, out: Console) -> None:
    """All at once: when the first page comes, when all have, and what the robot gets."""
    before, stormed = len(hook.requests), len(robot.requests)
    said = [verdict("opened", f"storm-{number}", revision=0, vendor="storm") for number in range(STORM)]
    begin = time.perf_counter()
    saying = asyncio.ensure_future(it.say(*said))
    await hook.wait_for(before + 1, within_s=60)
    first = time.perf_counter() - begin
    await saying
    await hook.wait_for(before + STORM, within_s=300)
    everything = time.perf_counter() - begin

    async def told() -> bool:
        told_of = set[str]()
        for request in robot.requests[stormed:]:
            body = msgspec.json.decode(request.body)
            told_of |= {each["id"] for each in (body if isinstance(body, list) else [body])}
        return len(told_of) > 0

    await it.until(told, within_s=60)
    async with asyncio.timeout(120):
        while (pending := await _count(it, f"state = 'pending' AND {THEIRS}")) > 0:
            await asyncio.sleep(0.5)
    written = await _count(it, f"state = 'sent' AND {THEIRS}")
    out.print(f"storm of {STORM} breaches at once: first page after {first * 1000:.0f} ms (goal: under 1 s), all after {everything:.1f} s")
    out.print(
        f"  the robot (20 a minute) got {len(robot.requests) - stormed} messages; {written} deliveries of {2 * STORM} on record as sent, "
        f"{pending} pending"
    )


async def _count(it: Notifier, where: str) -> int:
    connection = await asyncpg.connect(it.database)
    try:
        return int(await connection.fetchval(f"SELECT count(*) FROM deliveries WHERE {where}"))
    finally:
        await connection.close()


FILL = """
INSERT INTO verdicts (id, breach_id, revision, type, decided_at, appended, partition, "offset", body)
  SELECT 'v' || n, 'b' || n, 0, 'slawatch.breach.opened', t, t, 0, n, $1 FROM
    (SELECT n, timestamptz '2025-01-01' + n * interval '30 seconds' AS t FROM generate_series(1, $2::int) n) s;
"""
FILL_BREACHES = """
INSERT INTO breaches
  (breach_id, revision, standing, agreement, version, objective, vendor, service, "case", severity, due, opened_at, changed_at)
  SELECT 'b' || n, 0, CASE WHEN n % 500 = 0 THEN 'open' ELSE 'closed' END, 'agreement-' || n % 20, 1, 'objective-' || n % 7,
    'vendor-' || n % 50, 'helpdesk', 'INC-' || n, CASE WHEN n % 10 = 0 THEN 'page' ELSE 'ticket' END, t, t, t FROM
    (SELECT n, timestamptz '2025-01-01' + n * interval '30 seconds' AS t FROM generate_series(1, $1::int) n) s;
"""
FILL_DELIVERIES = """
INSERT INTO deliveries (notice, channel, breach_id, warning, state, attempts, settled_at, thread, verdicts)
  SELECT 'v' || n, 'ops/webhook', 'b' || n, false, 'sent', 1, timestamptz '2025-01-01' + n * interval '30 seconds', 'b' || n,
    ARRAY['v' || n] FROM generate_series(1, $1::int) n;
"""


async def large_ledger(it: Notifier, out: Console) -> None:
    """Milliseconds of list and page over a million breaches, each with a statement and a delivery."""
    connection = await asyncpg.connect(it.database)
    body = verdicts.encode(verdict("opened", "INC-1", revision=0)).decode()
    await connection.execute("SET synchronous_commit = off")
    await connection.execute(FILL, body, ROWS, timeout=600)
    await connection.execute(FILL_BREACHES, ROWS, timeout=600)
    await connection.execute(FILL_DELIVERIES, ROWS, timeout=600)
    await connection.execute("ANALYZE", timeout=600)
    await connection.close()
    first = await it.get("/v1/breaches", limit=100)
    deep = first["next"]
    asked: dict[str, dict[str, Any]] = {
        "list": {},
        "list, a page on": {"cursor": deep},
        "list of a vendor": {"vendor": "vendor-7"},
        "open of a vendor": {"vendor": "vendor-0", "state": "open"},
        "open and not acknowledged": {"state": "open", "acknowledged": "false"},
        "one objective": {"objective": "objective-3"},
        "page severity, an agreement": {"severity": "page", "agreement": "agreement-10"},
        "status": {"status": "open"},
        "since": {"since": format_instant(1_750_000_000_000)},
        "a vendor that has none": {"vendor": "nobody"},
        "an agreement that has none": {"agreement": "nobody"},
    }
    for name, params in asked.items():
        out.print(_line(name, await _times(partial(it.get, "/v1/breaches", limit=100, **params))))
    out.print(_line("one breach", await _times(lambda: it.get("/v1/breaches/b500000"))))
    signed_in = await it.client.post("/login", data={"token": it.tokens["viewer"]})
    cookie = {"cookie": signed_in.headers["set-cookie"].split(";")[0]}

    async def page(path: str) -> None:
        answer = await it.client.get(path, headers=cookie)
        assert answer.status_code == 200, answer.status_code

    for path in ("/", "/breaches", "/vendors", "/breaches/b500000"):
        out.print(_line(f"console {path}", await _times(partial(page, path))))


async def _times(ask: Callable[[], Awaitable[object]]) -> list[float]:
    found = []
    for _ in range(REQUESTS):
        begin = time.perf_counter()
        await ask()
        found.append((time.perf_counter() - begin) * 1000)
    return found


def _line(name: str, found: list[float]) -> str:
    return f"  {name:<30} p50 {quantile(found, 0.5):7.1f} ms   p95 {quantile(found, 0.95):7.1f} ms"


async def measure(out: Console, stack: Stack, directory: Path, which: set[str]) -> None:
    """Those named, on one notifier."""
    url = make_url(stack.database)
    name = "bench_alerting"
    admin = await asyncpg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    database = url.set(database=name)
    engine = connect(database.render_as_string(hide_password=False))
    await migrate(engine)
    await engine.dispose()
    async with receiver() as ops, receiver(lambda _: None) as hanging, receiver() as robot:
        file = directory / "routing.yaml"
        file.write_text(ROUTING.format(ops=ops.url, hanging=hanging.url, robot=robot.url))
        async with notifier(stack.kafka, database.render_as_string(hide_password=False), "bench", directory, routes=str(file)) as it:
            it.database = database.set(drivername="postgresql").render_as_string(hide_password=False)
            await it.say(verdict("opened", "warm-up", revision=0))
            await ops.wait_for(1, within_s=60)
            if "paced" in which:
                found = await paced(it, ops)
                out.print(
                    f"{RATE} verdicts/s for {SECONDS} s, one channel hanging: verdict to webhook median {quantile(found, 0.5):.0f} ms, "
                    f"p99 {quantile(found, 0.99):.0f} ms, worst {max(found):.0f} ms   (goal: p99 under 100 ms)"
                )
            if "storm" in which:
                await storm(it, ops, robot, out)
            if "ledger" in which:
                out.print(f"{ROWS:,} breaches in the ledger (goal: p95 under 100 ms):")
                await large_ledger(it, out)


def report(out: Console, *which: str) -> None:
    """Those of paced, storm and ledger that are named; none: all."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        stack = start_stack(directory / "stack")
        try:
            asyncio.run(measure(out, stack, directory, set(which or ("paced", "storm", "ledger"))))
        finally:
            stack.stop()
