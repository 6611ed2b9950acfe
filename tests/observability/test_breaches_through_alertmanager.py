"""The Alertmanager channel against a real Alertmanager: routed, inhibited, delivered, resolved by the project's example configuration."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.notifier.channels import alertmanager as channel_module
from services.notifier.channels.alertmanager import PATH, Alertmanager
from services.notifier.channels.http import PinnedTransport, Poster
from services.notifier.core import Sent
from shared.adapters.system_time import SystemTime
from tests.acceptance.installation import free_port
from tests.acceptance.receiver import Receiver
from tests.integration.notifier_kit import verdict
from tests.observability.watchers import Watcher, alertmanager, tool
from tests.unit.notifier.kit import notice_of


def channel_to(port: int) -> Alertmanager:
    clock = SystemTime()
    transport = PinnedTransport(allow_private=True)
    return Alertmanager("am", Poster(f"http://127.0.0.1:{port}{PATH}", transport, clock, judge=channel_module.judge), clock)


async def states(manager: Watcher) -> dict[tuple[str, str], str]:
    """(alert, case) -> active, suppressed."""
    alerts = await manager.get("/api/v2/alerts")
    return {(alert["labels"]["alertname"], alert["labels"]["case"]): alert["status"]["state"] for alert in alerts}


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        await asyncio.sleep(0.05)


async def test_a_breach_is_routed_inhibits_its_warning_and_is_resolved(tmp_path: Path) -> None:
    tool("prometheus-alertmanager", "prometheus-alertmanager")
    receiver = Receiver(free_port())
    serving = asyncio.ensure_future(receiver.serve())
    try:
        async with alertmanager(tmp_path, receiver.url) as manager:
            channel = channel_to(manager.port)
            opened = verdict("opened", "INC-42", revision=0)
            for said in (verdict("clock.warning", "INC-42", threshold="80%"), opened, verdict("opened", "INC-43", revision=0)):
                assert await channel.send(notice_of(said)) == Sent()

            def told(status: str) -> list[Any]:
                """Breaches of INC-42, as delivered."""
                alerts = [alert for got in receiver.received for alert in got.body["alerts"] if alert["status"] == status]
                return [a for a in alerts if (a["labels"]["alertname"], a["labels"]["case"]) == ("SlawatchBreach", "INC-42")]

            await until(lambda: bool(told("firing")))
            assert await states(manager) == {
                ("SlawatchWarning", "INC-42"): "suppressed",
                ("SlawatchBreach", "INC-42"): "active",
                ("SlawatchBreach", "INC-43"): "active",
            }
            assert receiver.received[-1].body["receiver"] == "wake-someone"  # its severity is page
            first = told("firing")[0]
            assert first["labels"]["breach_id"] == opened.data.breach_id
            assert "acme" in first["annotations"]["summary"]

            done = verdict("closed", "INC-42", revision=1, stopped=SystemTime().wall())
            assert await channel.send(notice_of(done, "resolved")) == Sent()
            await until(lambda: bool(told("resolved")))
            assert ("SlawatchBreach", "INC-43") in await states(manager)
            await channel.close()
    finally:
        receiver.stop()
        await serving
