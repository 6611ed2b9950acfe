"""kill -9 of each service at random instants while events flow: nothing lost, nothing doubled, the ledger as a single-run replay says."""

import asyncio
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.wire import verdicts
from tests.acceptance.installation import SERVICES, Event, Installation, installed, read_ndjson, replay

AGREEMENT = """
apiVersion: slawatch/v1
kind: Agreement
name: quick
vendor: "*"
grace: 1s
objectives:
  - name: done
    kind: deadline
    start: opened
    pause: paused
    resume: resumed
    stop: done
    targets: [{within: 2s}]
    warn_at: [50%]
"""


class Traffic:
    """Cases of all sorts, posted as they happen: in time, late, never, paused, told late, told twice."""

    def __init__(self, installation: Installation, seed: int) -> None:
        self._installation, self._random = installation, random.Random(seed)
        self.acknowledged: set[str] = set()
        self.cases = 0

    async def flow(self, seconds: float) -> None:
        """Open a case every 50 ms or so."""
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            while time.monotonic() < until:
                self.cases += 1
                group.create_task(self._case(f"case-{self.cases}", f"vendor-{self._random.randrange(8)}"))
                await asyncio.sleep(self._random.uniform(0.02, 0.08))

    async def _case(self, case: str, vendor: str) -> None:
        kind = self._random.choice(("in time", "late", "never", "paused", "told late", "told twice"))
        opened = datetime.now(UTC)
        await self._post(case, vendor, "opened", opened)
        if kind == "never":
            return
        if kind == "paused":
            await asyncio.sleep(0.5)
            await self._post(case, vendor, "paused", datetime.now(UTC))
            await asyncio.sleep(3)
            await self._post(case, vendor, "resumed", datetime.now(UTC))
        takes = {"late": 4.5, "told late": 1.2}.get(kind, 1.0)
        await asyncio.sleep(takes)
        done = datetime.now(UTC)
        if kind == "told late":  # the breach is called, then disproved
            await asyncio.sleep(4)
            done = opened + timedelta(seconds=1)
        for _ in range(2 if kind == "told twice" else 1):
            await self._post(case, vendor, "done", done)

    async def _post(self, case: str, vendor: str, kind: str, when: datetime) -> None:
        event: Event = {
            "specversion": "1.0",
            "id": f"{case}-{kind}",
            "source": "/test",
            "type": kind,
            "subject": case,
            "time": when.isoformat(),
            "vendor": vendor,
            "service": "desk",
        }
        await self._installation.post([event])
        self.acknowledged.add(event["id"])


async def _kill_now_and_then(installation: Installation, times: int, seed: int) -> None:
    """Kill each service `times` times, in a shuffled order at random instants, and start it again at once."""
    rng = random.Random(seed)
    order = [name for name in SERVICES for _ in range(times)]
    rng.shuffle(order)
    for name in order:
        await installation.ready(name)
        await asyncio.sleep(rng.uniform(0.1, 0.8))
        installation.kill(name)
        installation.launch(name)


def _statements(out: Path) -> dict[str, list[tuple[int, str, str | None, str | None]]]:
    """Breach id -> (revision, type, due, stopped) of each statement, in order."""
    found: dict[str, list[tuple[int, str, str | None, str | None]]] = {}
    for line in read_ndjson(out / "verdicts.ndjson"):
        if line["type"] in verdicts.BREACH_TYPES:
            data = line["data"]
            found.setdefault(data["breach_id"], []).append((data["revision"], line["type"], data["due"], data["stopped"]))
    return found


async def _told(installation: Installation) -> dict[str, list[tuple[int, str, str | None, str | None]]]:
    """The same from the ledger's timelines."""
    found = {}
    for breach_id in await installation.ledger():
        headers = {"authorization": f"Bearer {installation.token}"}
        answer = await installation.http.get(installation.url("notifier", f"/v1/breaches/{breach_id}"), headers=headers)
        stated = [entry["verdict"] for entry in answer.json()["timeline"] if entry["kind"] == "statement"]
        found[breach_id] = [
            (v["data"]["revision"], v["type"], v["data"]["due"], v["data"]["stopped"]) for v in stated if v["type"] in verdicts.BREACH_TYPES
        ]
    return found


async def _run(directory: Path, kafka: str, database_url: str, *, kills: int, seed: int) -> None:
    agreements = directory / "agreements.yaml"
    agreements.write_text(AGREEMENT, "utf-8")
    async with installed(directory, kafka, database_url, AGREEMENTS=str(agreements)) as installation:
        traffic = Traffic(installation, seed)
        async with asyncio.TaskGroup() as group:
            killing = group.create_task(_kill_now_and_then(installation, kills, seed))
            while not killing.done():
                await traffic.flow(5)
        for name in SERVICES:
            await installation.ready(name)

        told: dict[str, Any] = {}
        expected: dict[str, Any] = {"not": "yet"}
        deadline = time.monotonic() + 60
        while told != expected and time.monotonic() < deadline:  # the last clocks fall due, then all is said
            await asyncio.sleep(2)
            export = directory / "export.ndjson"
            export.write_text(await installation.command("export"), "utf-8")
            expected = _statements(replay(directory, "--agreements", agreements, "--events", export))
            told = await _told(installation)

        in_log = {line.get("id") for line in read_ndjson(directory / "export.ndjson")}
        assert traffic.acknowledged <= in_log, "an acknowledged event is missing"
        assert told == expected, f"seed {seed}"
        kinds = {statement[1].rsplit(".", 1)[1] for statements in expected.values() for statement in statements}
        assert {"opened", "closed", "retracted"} <= kinds, "the traffic is too tame to show anything"


async def test_killed_services_lose_and_double_nothing(tmp_path: Path, kafka: str, database_url: str) -> None:
    await _run(tmp_path, kafka, database_url, kills=3, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [2, 3])
async def test_ten_kills_of_each_service(tmp_path: Path, kafka: str, database_url: str, seed: int) -> None:
    await _run(tmp_path, kafka, database_url, kills=10, seed=seed)
