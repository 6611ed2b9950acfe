"""Row 12's alarm on the real stack: arrivals leap an hour ahead under a running evaluator, and the alert about it fires, then ends.

The machine's clock cannot be turned; so the topic is made to take its producers' stamps, and ours are of another hour.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource

from shared.adapters.kafka.topics import EVENTS, OTHERS, Topic, ensure
from shared.sla.instants import format_instant
from tests.acceptance.installation import Installation
from tests.observability.watchers import prometheus

HOUR_MS = 3_600_000
ALERT = 'ALERTS{alertname="SlawatchBrokerTimeLeap",alertstate="firing"}'
HELD = "max(slawatch_broker_time_leap_held_seconds)"
SECONDS = 60
TERMS = """
apiVersion: slawatch/v1
kind: Agreement
name: slow
vendor: "*"
objectives: [{name: done, kind: deadline, start: opened, stop: done, targets: [{within: 30m}]}]
"""


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not await condition():
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}"
        await asyncio.sleep(0.2)


async def test_arrivals_that_leap_an_hour_ring_the_alarm_and_break_no_promise(
    tmp_path: Path, kafka: str, database_url: str, unique: str
) -> None:
    terms, topic = tmp_path / "terms.yaml", f"{unique}.events"
    terms.write_text(TERMS, "utf-8")
    site = Installation(tmp_path, kafka, database_url, unique, AGREEMENTS=str(terms), PARTITIONS="1")
    producer = Producer({"bootstrap.servers": kafka, "acks": "all"})

    def open_case(case: str, ahead_ms: int) -> None:
        now = time.time_ns() // 1_000_000
        event = {"specversion": "1.0", "id": case, "source": "/s", "type": "opened", "subject": case, "time": format_instant(now)}
        value = json.dumps(event | {"vendor": "acme", "service": "desk"}).encode()
        producer.produce(topic, value, b"acme", partition=0, timestamp=now + ahead_ms)
        producer.flush(10)

    try:
        await site.make_credentials()
        others = [Topic(f"{unique}.{name}", 1, 1, OTHERS) for name in ("breaches", "quarantine")]
        await ensure({"bootstrap_servers": kafka}, [Topic(topic, 1, 1, EVENTS), *others])
        await site.start(["evaluator"])
        async with prometheus(tmp_path, {"slawatch-evaluator": site.ports["evaluator"]}) as watcher:
            open_case("before", 0)
            await until(lambda: _at_least(site, "slawatch_events_folded_total", 1), "the first event is folded")
            assert await watcher.query(ALERT) == []
            _take_stamps_of_producers(kafka, topic)

            async def it_fires() -> bool:
                open_case(f"leapt-{time.monotonic_ns()}", HOUR_MS)
                return bool(await watcher.query(ALERT))

            await until(it_fires, "the alert")
            (sample,) = await watcher.query(HELD)
            assert 3_000 < float(sample["value"][1]) < 4_000

            async def it_ends() -> bool:  # the evaluator's own tick agrees with its stamp again
                return not await watcher.query(ALERT)

            await until(it_ends, "its end")
        said = await site.command("quarantine", "list")
        assert "future" not in said, "an event's own time is right, whatever became of its stamp"
        assert not await _at_least(site, "slawatch_statements_total", 1), "a promise of thirty minutes was broken by a leap"
        assert await _at_least(site, "slawatch_ticks_total", 1)
        assert not await _at_least(site, "slawatch_ticks_total", 50), "a storm of ticks"
    finally:
        site.stop()
        await site.http.aclose()


async def _at_least(site: Installation, metric: str, least: float) -> bool:
    """Of all its series together."""
    lines = (await site.http.get(site.url("evaluator", "/metrics"))).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith((f"{metric} ", f"{metric}{{"))) >= least


def _take_stamps_of_producers(kafka: str, topic: str) -> None:
    entry = ConfigEntry("message.timestamp.type", "CreateTime", incremental_operation=AlterConfigOpType.SET)
    late = ConfigEntry("message.timestamp.after.max.ms", str(10 * HOUR_MS), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry, late])
    admin = AdminClient({"bootstrap.servers": kafka})
    for answer in admin.incremental_alter_configs([resource]).values():
        answer.result(20)
