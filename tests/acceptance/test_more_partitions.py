"""'More partitions' of the operator's guide, word by word: nothing that was said changes, nobody is told twice, and life goes on."""

import asyncio
import json
import re
import shlex
import time
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.kafka.copying import targets
from shared.adapters.kafka.reader import KafkaScanner
from shared.adapters.kafka.topics import EVENTS, Topic, ensure
from shared.adapters.kafka.writer import KafkaWriter
from shared.ports.log import Entry, Record
from shared.runtime.settings import PROJECT
from shared.sla.instants import format_instant
from shared.wire.topics import CONTROL_HEADER, partition_of
from tests.acceptance.installation import SERVICES, Event, Installation, installed

GUIDE = (PROJECT / "docs" / "guide" / "operator.md").read_text("utf-8")
VENDORS = [f"vendor-{n}" for n in range(12)]
TERMS = """
apiVersion: slawatch/v1
kind: Agreement
name: quick
vendor: "*"
grace: 500ms
objectives: [{name: done, kind: deadline, start: opened, stop: done, targets: [{within: 1s}], warn_at: [50%]}]
"""


def _event(vendor: str, case: str, kind: str) -> Event:
    event = {"specversion": "1.0", "id": f"{case}-{kind}", "source": "/s", "type": kind, "subject": case, "vendor": vendor}
    return event | {"service": "desk", "time": format_instant(time.time_ns() // 1_000_000)}


def _word_by_word(section: str, into: str) -> list[str]:
    """The guide's command, for four partitions in place of its 128, and a topic of the test's own."""
    (command,) = re.findall(r"`slawatch (repartition [^`]*)`", GUIDE[GUIDE.index(section) :])[:1]
    return shlex.split(command.replace("--partitions 128", "--partitions 4").replace("slawatch.events.2", into))


async def _said(site: Installation, topic: str) -> list[dict[str, Any]]:
    found = list[Record]()
    scanner = KafkaScanner({"bootstrap_servers": site.variables["SLAWATCH_KAFKA"]})
    for number, (first, end) in (await scanner.bounds(topic)).items():
        await scanner.scan(topic, number, first, end, found.extend)
    return [json.loads(record.value) for record in found]


async def test_a_history_moves_to_more_partitions_as_the_guide_says(tmp_path: Path, kafka: str, database_url: str) -> None:
    terms = tmp_path / "terms.yaml"
    terms.write_text(TERMS, "utf-8")
    async with installed(tmp_path, kafka, database_url, PARTITIONS="2") as site:
        await site.command("agreements", "apply", str(terms))
        await site.post([_event(vendor, f"{vendor}-late", "opened") for vendor in VENDORS])
        await site.post([event for vendor in VENDORS[:6] for event in (_event(vendor, f"{vendor}-met", k) for k in ("opened", "done"))])
        before = await site.ledger_of(len(VENDORS))
        await asyncio.sleep(1)  # a pulse or two behind it
        await site.post([_event(VENDORS[0], "closing", "opened"), _event(VENDORS[0], "closing", "done")])
        site.stop()
        old = {name: site.variables[f"SLAWATCH_TOPIC_{name}"] for name in ("EVENTS", "BREACHES", "QUARANTINE")}
        said = await _said(site, old["BREACHES"])

        await site.command(*_word_by_word("## More partitions", f"{old['EVENTS']}.2"))
        site.variables |= {f"SLAWATCH_TOPIC_{name}": f"{topic}.2" for name, topic in old.items()}
        await site.start(SERVICES)

        open_by = time.monotonic() + 30
        while len(again := await _said(site, f"{old['BREACHES']}.2")) < len(said):
            assert time.monotonic() < open_by, f"{len(again)} of {len(said)} verdicts were said again"
            await asyncio.sleep(0.2)
        assert sorted(again, key=lambda verdict: verdict["id"])[: len(said)] == sorted(said, key=lambda verdict: verdict["id"])
        assert len({record["id"] for record in again}) == len(again)
        assert await site.ledger() == before

        await site.post([_event(vendor, f"{vendor}-after", "opened") for vendor in VENDORS])
        after = await site.ledger_of(2 * len(VENDORS))
        assert {key: after[key] for key in before} == before
        assert sorted(b["case"] for key, b in after.items() if key not in before) == sorted(f"{vendor}-after" for vendor in VENDORS)


async def test_what_cannot_be_copied_exactly_is_refused(tmp_path: Path, kafka: str, database_url: str, unique: str) -> None:
    site = Installation(tmp_path, kafka, database_url, unique)
    options = {"bootstrap_servers": kafka}
    await ensure(options, [Topic(f"{unique}.events", 4, 1, EVENTS)])
    async with KafkaWriter(options, timeout=20) as writer:
        await writer.append(f"{unique}.events", [Entry(b"acme", b"{}", partition=3)])
    for words, why in (
        (("--partitions", "6", "--into", f"{unique}.new"), "multiple"),
        (("--partitions", "8", "--into", f"{unique}.events"), "exists"),
        (("--partitions", "4", "--into", f"{unique}.new", "--had", "2"), "two places"),
    ):
        with pytest.raises(AssertionError, match=why):
            await site.command("repartition", *words)
    await site.http.aclose()


@pytest.mark.parametrize("before", [1, 3, 64])
@pytest.mark.parametrize("times", [1, 2, 5])
def test_each_vendor_keeps_its_neighbours(before: int, times: int) -> None:
    """A vendor's new partition gets the control records of its old one, and no other's."""
    after = before * times
    for n in range(200):
        key = f"vendor-{n}".encode()
        old = partition_of(key, before)
        (new,) = targets(Record("events", old, 0, 0, key, b"{}", ()), before, after)
        assert new == partition_of(key, after)
        fed = [number for number in range(before) if new in targets(_control(number), before, after)]
        assert fed == [old]


def _control(partition: int) -> Record:
    return Record("events", partition, 0, 0, None, b"{}", ((CONTROL_HEADER, b"pulse"),))
