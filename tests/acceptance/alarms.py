"""Clocks that fall due although nothing more happens: how long from due + grace until a person is told by webhook."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.acceptance.installation import Installation, free_port, installed
from tests.acceptance.receiver import Receiver

CLOCKS = 20
AGREEMENT = """
apiVersion: slawatch/v1
kind: Agreement
name: alarm
vendor: "*"
objectives:
  - {name: answered, kind: deadline, start: opened, stop: done, targets: [{within: 3s}]}
"""


async def delays(directory: Path, kafka: str, database: str) -> list[float]:
    """Milliseconds from due + grace to the webhook's arrival, one a clock, sorted."""
    agreements = directory / "alarm.yaml"
    agreements.write_text(AGREEMENT, "utf-8")
    receiver = Receiver(free_port())
    serving = asyncio.ensure_future(receiver.serve())
    settings = {"AGREEMENTS": str(agreements), "WEBHOOKS": receiver.url, "ALLOW_PRIVATE_WEBHOOKS": "true", "PARTITIONS": "64"}
    try:
        async with installed(directory, kafka, database, **settings) as installation:
            await _open(installation)
            deadline = time.monotonic() + 30
            while len(receiver.received) < CLOCKS and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
    finally:
        receiver.stop()
        await serving
    found = [r for r in receiver.received if r.body["type"] == "slawatch.breach.opened"]
    assert len({r.body["id"] for r in found}) == len(found) == CLOCKS, f"{len(found)} of {CLOCKS} alarms came"
    return sorted((r.at - datetime.fromisoformat(r.body["data"]["decided_at"]).timestamp()) * 1000 for r in found)


async def _open(installation: Installation) -> None:
    """Open the clocks, one every 150 ms, of seven vendors."""
    for i in range(CLOCKS):
        event = {
            "id": f"open-{i}",
            "type": "opened",
            "subject": f"case-{i}",
            "time": datetime.now(UTC).isoformat(),
            "vendor": f"vendor-{i % 7}",
        }
        await installation.post([{"specversion": "1.0", "source": "/alarm", "service": "desk", **event}])
        await asyncio.sleep(0.15)
