"""The office-hours and Chinese-calendar vectors, posted over HTTP to the running services in event-time mode."""

import asyncio
import time
from pathlib import Path

from tests.acceptance.clock_vectors import Vector, as_yaml, vectors
from tests.acceptance.installation import Installation, installed

WITH_CALENDAR = [vector for vector in vectors() if "hours" in vector.calendar and vector.until is None]


async def _line(installation: Installation, vector: Vector) -> dict[str, object]:
    """The vector's last cycle as the evaluator has it, once all its events are folded."""
    headers, deadline = {"authorization": f"Bearer {installation.token}"}, time.monotonic() + 20
    line: dict[str, object] = {}
    while time.monotonic() < deadline:
        answer = await installation.http.get(installation.url("evaluator", "/v1/clocks"), params={"vendor": vector.vendor}, headers=headers)
        lines = answer.json()["clocks"]
        if lines:
            line = lines[-1]
            if {key: line[key] for key in vector.expect} == vector.expect:
                break
        await asyncio.sleep(0.05)
    return {key: line.get(key) for key in vector.expect}


async def test_vectors_come_out_right_over_http(tmp_path: Path, kafka: str, database_url: str) -> None:
    agreements = tmp_path / "agreements.yaml"
    agreements.write_text(as_yaml([d for vector in WITH_CALENDAR for d in (vector.calendar, vector.agreement)]), "utf-8")
    async with installed(tmp_path, kafka, database_url, CLOCK="event", AGREEMENTS=str(agreements)) as installation:
        for vector in WITH_CALENDAR:
            answer = await installation.post(vector.events)
            assert answer["rejected"] == []
        found = {vector.name: await _line(installation, vector) for vector in WITH_CALENDAR}

    assert found == {vector.name: vector.expect for vector in WITH_CALENDAR}
    assert any("Spring Festival" in name for name in found), "the Chinese calendar is among them"
