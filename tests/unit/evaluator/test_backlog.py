"""A long way to the log's end: checkpoints are taken on it too, so that an end on the way does not cost all of it."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from services.evaluator import keeper, pipeline
from services.evaluator.keeper import Keeper
from services.evaluator.metrics import Metrics
from services.evaluator.pipeline import Pipeline, Topics
from shared.adapters.memory.checkpoints import MemoryCheckpoints, MemorySnapshots
from shared.adapters.memory.log import MemoryGroupReader, MemoryLog, MemoryScanner, MemoryWriter
from shared.adapters.memory.time import VirtualTime
from shared.language import bundles, load_text
from shared.ports.checkpoints import Checkpoint
from shared.ports.log import Entry
from shared.sla.instants import format_instant
from shared.wire import verdicts

CASES = 100
TOPICS = Topics("events", "breaches", "quarantine")
TERMS = """
apiVersion: slawatch/v1
kind: Agreement
name: terms
vendor: acme
objectives: [{name: done, kind: deadline, start: opened, stop: done, targets: [{within: 1h}]}]
"""


class Noted(MemoryCheckpoints):
    """Checkpoints, with the offsets at which they were saved."""

    def __init__(self) -> None:
        super().__init__()
        self.offsets: list[int] = []

    async def save(self, partition: int, epoch: int, checkpoint: Checkpoint, blocks: AsyncIterator[bytes]) -> None:
        """As the port says."""
        await super().save(partition, epoch, checkpoint, blocks)
        self.offsets.append(checkpoint.offset)


class Desk:
    """An evaluator that begins behind a backlog: cases that were opened and done, and a record that is none in the middle."""

    def __init__(self) -> None:
        self.time, self.checkpoints = VirtualTime(1_800_000_000_000), Noted()
        self.log = MemoryLog(self.time, {"events": 1, "breaches": 1, "quarantine": 1})
        entries = [Entry(b"acme", self.event(f"c{case}", kind)) for case in range(CASES) for kind in ("opened", "done")]
        self.log.append("events", [*entries[:CASES], Entry(b"acme", b"rubbish"), *entries[CASES:]])

    def event(self, case: str, kind: str) -> bytes:
        event = {"specversion": "1.0", "id": f"{case}-{kind}", "source": "/s", "type": kind, "subject": case, "vendor": "acme"}
        return msgspec.json.encode(event | {"service": "desk", "time": format_instant(self.time.wall())})

    async def run(self, until: int) -> None:
        """A process, killed once so many verdicts stand in the log."""
        metrics, standing = Metrics(), [("standing", bundle) for bundle in bundles(load_text("terms.yaml", TERMS).or_raise())]
        evaluator = Pipeline(
            topics=TOPICS,
            clock="log",
            max_skew=300_000,
            bundles=standing,
            writer=MemoryWriter(self.log),
            scanner=MemoryScanner(self.log),
            time=self.time,
            metrics=metrics,
            idle=0,
            keeper=Keeper(self.checkpoints, MemorySnapshots(), self.time, metrics, fingerprint="rules", layout="code"),
        )
        evaluator.reader = MemoryGroupReader(self.log, ["events"], "g", on_assigned=evaluator.on_assigned, on_revoked=evaluator.on_revoked)
        await evaluator.reader.start()
        running = asyncio.ensure_future(evaluator.run())
        while len(self.said) < until:
            assert not running.done(), running.exception()
            await asyncio.sleep(0)
        running.cancel()
        await evaluator.reader.stop()

    @property
    def said(self) -> list[str]:
        return [verdicts.decode(record.value).id for record in self.log.records("breaches", 0)]


async def test_a_backlog_is_checkpointed_on_the_way_by_its_successor_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "EVERY_WORK", 1)
    monkeypatch.setattr(pipeline, "FETCH_RECORDS", 5)
    desk = Desk()
    await desk.run(until=CASES * 2 // 5)
    first = list(desk.checkpoints.offsets)
    assert first, "none was taken"
    assert max(first) < 2 * CASES, "it had come to the end"
    await desk.run(until=CASES)
    second = desk.checkpoints.offsets[len(first) :]
    assert len(second) >= 3, "what was said before is met within a few records; from then on it may be taken"
    assert second == sorted(second)
    assert len(desk.said) == len(set(desk.said)) == CASES, "each is said once"
    assert len(desk.log.records("quarantine", 0)) == 1
