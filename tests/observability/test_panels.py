"""The real three services under the vendor simulator, scraped by a real Prometheus: every panel of every dashboard shows something.

The project's alerting rules are in force there, and what fires goes through a real Alertmanager.
"""

import asyncio
import json
import math
import os
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.grafana.dashboards import documents
from shared.adapters.kafka.connection import connection
from shared.adapters.kafka.writer import KafkaWriter
from shared.local.demo import AGREEMENTS, simulator
from shared.ports.log import Entry
from shared.runtime.settings import load
from tests.acceptance.installation import SERVICES, Event, Installation, free_port, installed
from tests.acceptance.receiver import Receiver
from tests.observability.section_8 import missing
from tests.observability.watchers import Watcher, alertmanager, prometheus, promtool, tool

SECONDS = 120  # the simulator's first minute is always the same; by the end of it all has been said
VARIABLES = {"$job": "slawatch-.+", "$vendor": ".+", "$agreement": ".+", "$objective": ".+", "$__rate_interval": "1m", "$__range": "10m"}
VENDOR_QUIRKS: list[dict[str, Any]] = [
    {"id": "twice"},
    {"id": "twice"},
    {"id": "other content"},
    {"id": "other content", "data": {"n": 1}},
    {},
]


def written_out(query: str) -> str:
    """A panel's query, its variables replaced as Grafana does."""
    for name, value in sorted(VARIABLES.items(), reverse=True):
        query = query.replace(name, value)
    assert "$" not in query, query
    return query


def panels() -> list[tuple[str, str]]:
    """(where it stands, query) of all dashboards."""
    return [
        (f"{board['title']} / {panel['title']} / {target['refId']}", written_out(target["expr"]))
        for board in map(json.loads, documents().values())
        for panel in board["panels"]
        for target in panel.get("targets", ())
    ]


@asynccontextmanager
async def played(installation: Installation) -> AsyncIterator[None]:
    """The vendor simulator, while it lasts."""
    vendors = ("acme-desk", "swift-parcels", "payday", "northhost", "campus-move")
    command, environment = simulator(installation.url("ingest", ""), dict.fromkeys(vendors, installation.key))
    with (installation.directory / "simulator.log").open("ab") as out:
        process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environment}, stdout=out, stderr=out)
        try:
            yield
        finally:
            process.terminate()
            await process.wait()


async def misbehave(installation: Installation) -> None:
    """What the simulated vendors never do: events sent twice, other content, no event at all, and a record that is none."""
    usual = {
        "specversion": "1.0",
        "source": "/acme/quirks",
        "type": "ticket.noted",
        "subject": "Q-1",
        "vendor": "acme-desk",
        "service": "helpdesk",
    }
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    events: list[Event] = [{**usual, "time": now, **quirk} for quirk in VENDOR_QUIRKS]
    await installation.post(events)
    settings = load(installation.variables)
    async with KafkaWriter(connection(settings, settings.kafka), timeout=10) as writer:
        await writer.append(settings.topic_events, [Entry(b"acme-desk", b"no event")])


async def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """What an awaitable condition gives, once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := await condition()):
        assert time.monotonic() < deadline, "it does not come"
        await asyncio.sleep(0.5)
    return found


async def shows(watcher: Watcher, query: str) -> bool:
    """Whether a query gives a number."""
    return any(not math.isnan(float(sample["value"][1])) for sample in await watcher.query(query))


@pytest.mark.timeout(300)
async def test_every_panel_shows_something_and_alerts_get_through(tmp_path: Path, kafka: str, database_url: str) -> None:
    tool("prometheus", "prometheus")
    tool("prometheus-alertmanager", "prometheus-alertmanager")
    receiver, delivered = Receiver(free_port()), Receiver(free_port())
    serving = [asyncio.ensure_future(each.serve()) for each in (receiver, delivered)]
    settings = {"AGREEMENTS": str(AGREEMENTS), "WEBHOOKS": delivered.url, "ALLOW_PRIVATE_WEBHOOKS": "true"}
    try:
        async with installed(tmp_path, kafka, database_url, **settings) as installation:
            jobs = {f"slawatch-{name}": installation.ports[name] for name in SERVICES}
            async with alertmanager(tmp_path, receiver.url) as manager, prometheus(tmp_path, jobs, manager.port) as watcher:
                async with played(installation):
                    await misbehave(installation)
                    await everything_shows(watcher)
                await the_pages_are_clean(installation)
                installation.kill("ingest")  # now an alert is due, and is to arrive where the watchdog did
                await arrived(receiver, "SlawatchWatchdog", "none")
                await arrived(receiver, "SlawatchBlindTime", "critical")
    finally:
        for each in (receiver, delivered):
            each.stop()
        await asyncio.gather(*serving)


async def everything_shows(watcher: Watcher) -> None:
    """Wait until every panel has shown something: some, such as open breaches, have nothing to show at times."""
    deadline = time.monotonic() + SECONDS
    missing = dict(panels())
    while missing:
        missing = {where: query for where, query in missing.items() if not await shows(watcher, query)}
        assert time.monotonic() < deadline, f"{len(missing)} of {len(panels())} panels show nothing:\n" + json.dumps(missing, indent=1)
        await asyncio.sleep(1)
    told = await watcher.get("/api/v1/rules")
    wrong = [rule["lastError"] for group in told["data"]["groups"] for rule in group["rules"] if rule.get("lastError")]
    assert wrong == []


async def the_pages_are_clean(installation: Installation) -> None:
    """`promtool check metrics`, no series with a case in it, and every metric that interfaces.md asks for."""
    pages = {name: (await installation.http.get(installation.url(name, "/metrics"))).text for name in SERVICES}
    assert missing(pages) == []
    for name, text in pages.items():
        done = promtool("check", "metrics", given=text)
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        assert not re.search(r'"(INC|PKG|RUN|QRY|OUT|SET|SPILL)-', text)


async def arrived(receiver: Receiver, name: str, severity: str) -> None:
    """Wait for an alert at the end of the way."""

    async def found() -> list[Any]:
        alerts = [alert for got in receiver.received for alert in got.body["alerts"]]
        return [alert for alert in alerts if alert["labels"]["alertname"] == name]

    [first, *_] = await until(found, 90)
    assert first["labels"]["severity"] == severity
    assert first["annotations"]["runbook_url"].endswith(f"/{name}.md")
