"""The evaluator as a process, on real Kafka and PostgreSQL."""

import asyncio
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from shared.adapters.kafka.reader import KafkaScanner
from shared.adapters.kafka.topics import EVENTS, OTHERS, Topic, ensure
from shared.adapters.kafka.writer import KafkaWriter
from shared.language import bundles, load_text
from shared.local.stack import Stack
from shared.ports.log import Entry, Record
from shared.wire import controls, verdicts
from tests.acceptance.installation import Installation, free_port

PARTITIONS = 4
RUBBISH = b"of somebody else"
VENDORS = [f"vendor-{number}" for number in range(8)]
TERMS = """
apiVersion: slawatch/v1
kind: Agreement
name: quick
vendor: "*"
grace: 500ms
objectives: [{name: done, kind: deadline, start: opened, stop: done, targets: [{within: 2s}]}]
"""


class Site(Installation):
    """Evaluators only, and the way to their topics."""

    def __init__(self, directory: Path, kafka: str, database: str, **settings: str) -> None:
        self.word = secrets.token_hex(6)
        agreements = directory / "terms.yaml"
        agreements.write_text(TERMS, "utf-8")
        super().__init__(directory, kafka, database, self.word, AGREEMENTS=str(agreements), **settings)
        self.options: dict[str, Any] = {"bootstrap_servers": kafka}
        self.writer = KafkaWriter(self.options, timeout=20)

    async def prepare(self) -> None:
        """Topics and credentials."""
        await self.make_credentials()
        topics = [Topic(f"{self.word}.events", PARTITIONS, 1, EVENTS)]
        await ensure(self.options, topics + [Topic(f"{self.word}.{name}", PARTITIONS, 1, OTHERS) for name in ("breaches", "quarantine")])

    async def append(self, *entries: Entry) -> None:
        await self.writer.append(f"{self.word}.events", entries)

    async def open(self, *cases: str) -> None:
        """Cases that open now, each with a vendor of its own choice."""
        await self.append(*(self.event(case, "opened") for case in cases))

    def event(self, case: str, kind: str, when: datetime | None = None) -> Entry:
        vendor = VENDORS[sum(case.encode()) % len(VENDORS)]
        event = {
            "specversion": "1.0",
            "id": f"{case}-{kind}",
            "source": "/s",
            "type": kind,
            "subject": case,
            "vendor": vendor,
            "service": "d",
        }
        return Entry(vendor.encode(), msgspec.json.encode(event | {"time": (when or datetime.now(UTC)).isoformat()}))

    async def read(self, topic: str) -> list[Record]:
        """All that stands in a topic."""
        found: list[Record] = []
        scanner = KafkaScanner(self.options)
        for number, (first, end) in (await scanner.bounds(f"{self.word}.{topic}")).items():
            await scanner.scan(f"{self.word}.{topic}", number, first, end, found.extend)
        return found

    async def said(self) -> Counter[tuple[str | None, str]]:
        """(case, type) -> how often it was said, of all verdicts; other records there are passed over."""
        found = [verdicts.decode(record.value) for record in await self.read("breaches") if record.value != RUBBISH]
        return Counter((verdict.data.case, verdict.type.removeprefix("slawatch.")) for verdict in found)

    async def until_said(self, count: int, seconds: float = 40) -> Counter[tuple[str | None, str]]:
        """Once so many different things were said."""
        until = time.monotonic() + seconds
        while len(said := await self.said()) < count:
            assert time.monotonic() < until, f"{len(said)} of {count} were said: {said}"
            await asyncio.sleep(0.2)
        return said

    def another(self, name: str) -> None:
        """Start one more evaluator, under this name."""
        self.ports[name] = free_port()
        with (self.directory / f"{name}.log").open("ab") as log:
            command = [sys.executable, "-m", "shared.cli", "serve", "evaluator"]
            environment = self.environment | {"SLAWATCH_EVALUATOR_PORT": str(self.ports[name])}
            self._running[name] = subprocess.Popen(command, env=environment, stderr=log, stdout=log)

    def terminate(self, name: str) -> None:
        """SIGTERM; it has ended in good order within 5 seconds."""
        process = self._running.pop(name)
        process.terminate()
        assert process.wait(5) == 0

    async def until_owned(self, partitions: dict[str, float]) -> None:
        """Once each evaluator says that it owns so many partitions."""
        for name in partitions:
            await self.ready(name)
        until = time.monotonic() + 30
        while (owned := {name: await self.metric(name, "slawatch_partitions_owned") for name in partitions}) != partitions:
            assert time.monotonic() < until, f"the partitions are not shared: {owned}"
            await asyncio.sleep(0.2)

    async def metric(self, service: str, name: str) -> float:
        """A metric without labels."""
        text = (await self.http.get(self.url(service, "/metrics"))).text
        return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")))


@pytest.fixture
async def site(tmp_path: Path, kafka: str, database_url: str) -> AsyncIterator[Site]:
    made = Site(tmp_path, kafka, database_url)
    try:
        await made.prepare()
        yield made
    finally:
        made.stop()
        await made.writer.__aexit__()
        await made.http.aclose()


async def test_poison_goes_to_quarantine_and_the_partition_goes_on(site: Site) -> None:
    vendor = VENDORS[0].encode()
    poison = [b"", b"\xff\xfe", b"[" * 50_000, b'{"specversion": "1.0"}']
    await site.append(*(Entry(vendor, value, [("trace", b"\xff")]) for value in poison))
    await site.append(Entry(None, b"{}", [("slw-control", b"nonsense")], 0))
    await site.append(*(Entry(vendor, msgspec.json.encode(event)) for event in [_of(vendor, "c", "opened"), _of(vendor, "c", "done")]))
    await site.start(["evaluator"])
    assert await site.until_said(1) == {("c", "clock.met"): 1}
    quarantined = await site.read("quarantine")
    assert sorted(record.value for record in quarantined) == sorted([*poison, b"{}"])
    for record in quarantined:
        assert record.header("slw-topic") == f"{site.word}.events".encode()
        assert record.header("slw-reason") in {b"NotAnEvent", b"NotAControl"}
        assert record.header("slw-detail")
        assert record.header("slw-offset") is not None
    assert {record.header("trace") for record in quarantined if record.key == vendor} == {b"\xff"}
    assert await site.metric("evaluator", "slawatch_emit_dropped_total") == 0


def _of(vendor: bytes, case: str, kind: str) -> dict[str, str]:
    event = {"specversion": "1.0", "id": f"{case}-{kind}", "source": "/s", "type": kind, "subject": case, "vendor": vendor.decode()}
    return event | {"service": "d", "time": datetime.now(UTC).isoformat()}


async def test_a_restart_rebuilds_the_state_and_says_nothing_twice(site: Site) -> None:
    await site.start(["evaluator"])
    await site.open(*(f"c{number}" for number in range(20)))
    await site.until_said(20)
    await site.writer.append(f"{site.word}.breaches", [Entry(None, RUBBISH, (), 0)])
    site.kill("evaluator")
    done = datetime.now(UTC) - timedelta(seconds=10)
    await site.append(*(site.event(f"c{number}", "done") for number in range(10)), site.event("late", "opened", done))
    site.launch("evaluator")
    await site.ready("evaluator")
    said = await site.until_said(31)
    assert said == Counter(
        {(f"c{n}", "breach.opened"): 1 for n in range(20)}
        | {(f"c{n}", "breach.closed"): 1 for n in range(10)}
        | {("late", "breach.opened"): 1}
    )


async def test_two_share_the_partitions_and_one_takes_over_when_the_other_is_killed(site: Site) -> None:
    await site.start(["evaluator"])
    site.another("second")
    await site.ready("second")
    await site.until_owned({"evaluator": PARTITIONS / 2, "second": PARTITIONS / 2})
    cases = [f"c{number}" for number in range(24)]
    await site.open(*cases)
    site.kill("second")  # its clocks fall due while nobody owns them
    said = await site.until_said(len(cases))
    assert said == {(case, "breach.opened"): 1 for case in cases}
    await site.until_owned({"evaluator": PARTITIONS})


async def test_a_broker_that_restarts_while_clocks_fall_due_costs_no_verdict(site: Site, stack: Stack) -> None:
    await site.start(["evaluator"])
    cases = [f"c{number}" for number in range(12)]
    await site.open(*cases)
    await asyncio.to_thread(stack.restart_kafka)
    said = await site.until_said(len(cases), 90)
    assert set(said) == {(case, "breach.opened") for case in cases}
    records = {verdicts.decode(record.value).id: record.value for record in await site.read("breaches")}
    assert all(records[verdicts.decode(record.value).id] == record.value for record in await site.read("breaches"))
    await site.ready("evaluator")


async def test_an_agreement_applied_under_another_clock_is_refused_with_a_clear_word(site: Site) -> None:
    (bundle,) = bundles(load_text("terms.yaml", TERMS).or_raise())
    record = controls.Activation("a", bundle, clock="event")
    await site.append(*(Entry(None, controls.encode(record), controls.headers_of(record), number) for number in range(PARTITIONS)))
    site.launch("evaluator")
    process = site._running["evaluator"]
    assert await asyncio.to_thread(process.wait, 30) == 1
    last = (site.directory / "evaluator.log").read_text("utf-8").strip().splitlines()[-1]
    assert last.startswith("agreement quick was applied under SLAWATCH_CLOCK=event")
    assert "set it to event" in last


async def test_agreements_that_are_wrong_are_told_with_their_place(site: Site) -> None:
    wrong = site.directory / "wrong.yaml"
    wrong.write_text(TERMS.replace("stop:", "stopp:"), "utf-8")
    site.launch("evaluator", AGREEMENTS=str(wrong))
    assert await asyncio.to_thread(site._running["evaluator"].wait, 30) == 1
    said = (site.directory / "evaluator.log").read_text("utf-8")
    assert f"SLAWATCH_AGREEMENTS: {wrong}:" in said
    assert "Traceback" not in said


async def test_a_log_that_does_not_reach_back_is_refused_with_what_to_do(site: Site) -> None:
    await site.append(*(site.event(f"c{number}", "opened") for number in range(40)))
    topic = f"{site.word}.events"
    ends = await KafkaScanner(site.options).bounds(topic)
    gone = [TopicPartition(topic, number, end) for number, (_, end) in ends.items()]
    admin = AdminClient({"bootstrap.servers": site.options["bootstrap_servers"]})
    for answer in admin.delete_records(gone).values():
        await asyncio.to_thread(answer.result, 20)
    site.launch("evaluator")
    assert await asyncio.to_thread(site._running["evaluator"].wait, 30) == 1
    last = (site.directory / "evaluator.log").read_text("utf-8").strip().splitlines()[-1]
    assert last.startswith(f"the log does not reach back: {topic}/")
    assert "bring them back from the archive" in last


async def test_a_restatement_is_asked_for_and_corrects_what_was_said(site: Site) -> None:
    await site.start(["evaluator"])
    await site.open("c1")
    await site.until_said(1)
    longer = site.directory / "longer.yaml"
    longer.write_text(TERMS.replace("name: quick", "name: quick\nversion: 2").replace("2s", "1h"), "utf-8")
    await site.command("agreements", "apply", str(longer))
    await site.open("c2")
    await asyncio.sleep(3)  # c2 is under the new version, c1 stays where it was
    assert set(await site.said()) == {("c1", "breach.opened")}
    assert "the past restated" in await site.command("agreements", "apply", "--restate", str(longer))
    assert set(await site.until_said(2)) == {("c1", "breach.opened"), ("c1", "breach.retracted")}


async def test_sigterm_under_load_ends_it_within_five_seconds(site: Site) -> None:
    await site.start(["evaluator"])
    await site.open(*(f"c{number}" for number in range(2_000)))
    await asyncio.sleep(2.4)  # the deadlines fall due about now
    process = site._running["evaluator"]
    begun = time.monotonic()
    process.terminate()
    assert await asyncio.to_thread(process.wait, 10) == 0
    assert time.monotonic() - begun < 5
    site.launch("evaluator")
    said = await site.until_said(2_000)
    assert set(said.values()) == {1}


async def test_clocks_are_shown_to_whom_they_concern(site: Site) -> None:
    await site.start(["evaluator"])
    await site.open("c1", "c2", "c3")
    await site.until_said(3)

    async def ask(token: str | None, **query: str) -> Any:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return await site.http.get(site.url("evaluator", "/v1/clocks"), params=query, headers=headers)

    assert (await ask(None)).status_code == 401
    assert (await ask("slw_local_nobody_x_y")).status_code == 401
    assert (await ask(site.key)).status_code == 403, "a customer's key posts, and reads nothing"
    everything = (await ask(site.token)).json()
    assert [line["case"] for line in everything["clocks"]] == sorted(
        ["c1", "c2", "c3"], key=lambda case: (VENDORS[sum(case.encode()) % len(VENDORS)], case)
    )
    assert everything["total"] == 3
    assert {line["state"] for line in everything["clocks"]} == {"breached"}
    (one,) = (await ask(site.token, case="c2")).json()["clocks"]
    assert (one["case"], one["objective"]) == ("c2", "done")
    assert (await ask(site.token, state="met")).json() == {"clocks": [], "total": 0, "next": None, "elsewhere": []}
    assert (await ask(site.token, state="nonsense")).status_code == 422
    paged, cursor = [], None
    for left in (2, 1, 0):
        page = (await ask(site.token, limit="1", **({} if cursor is None else {"cursor": cursor}))).json()
        paged += page["clocks"]
        cursor = page["next"]
        assert (len(page["clocks"]), page["total"], cursor is None) == (1, 3, left == 0)
    assert paged == everything["clocks"]
    assert (await ask(site.token, cursor="nonsense")).status_code == 400
    assert (await ask(site.token, limit="0")).status_code == 422


async def test_another_evaluator_says_who_has_a_vendor(site: Site) -> None:
    await site.start(["evaluator"])
    site.another("second")
    await site.until_owned({"evaluator": PARTITIONS / 2, "second": PARTITIONS / 2})
    await site.open("c1", "c2", "c3", "c4", "c5", "c6")
    await site.until_said(6)
    headers = {"authorization": f"Bearer {site.token}"}
    addresses = {name: site.url(name, "").rstrip("/") for name in ("evaluator", "second")}
    seen = Counter[str]()
    for vendor in sorted({str(record.key, "utf-8") for record in await site.read("breaches") if record.key}):
        answers = {
            name: await site.http.get(site.url(name, "/v1/clocks"), params={"vendor": vendor}, headers=headers) for name in addresses
        }
        (owner,) = (name for name, answer in answers.items() if answer.status_code == 200)
        (other,) = (name for name in answers if name != owner)
        assert answers[owner].json()["total"] > 0
        assert (answers[other].status_code, answers[other].json()["owner"]) == (421, addresses[owner])
        seen[owner] += 1
    for name, (address,) in {"evaluator": [addresses["second"]], "second": [addresses["evaluator"]]}.items():
        assert (await site.http.get(site.url(name, "/v1/clocks"), headers=headers)).json()["elsewhere"] == [address]
    assert set(seen) == set(addresses)


async def test_topics_that_would_make_verdicts_wrong_end_it_with_what_mends_them(site: Site, kafka: str) -> None:
    await ensure(site.options, [Topic(f"{site.word}.stamped", PARTITIONS, 1, {"message.timestamp.type": "CreateTime"})])
    site.variables["SLAWATCH_TOPIC_EVENTS"] = f"{site.word}.stamped"
    site.launch("evaluator")
    assert await asyncio.to_thread(site._running["evaluator"].wait, 30) != 0
    said = (site.directory / "evaluator.log").read_text("utf-8")
    assert f"--entity-name {site.word}.stamped --add-config message.timestamp.type=LogAppendTime" in said
    site.variables["SLAWATCH_CLOCK"] = "event"
    await site.start(["evaluator"])  # a backfill takes any


async def test_clocks_are_counted_by_state(site: Site) -> None:
    await site.start(["evaluator"])
    await site.append(*(site.event(case, "opened") for case in ("c1", "c2", "c3")), site.event("c1", "done"))
    await site.until_said(3)
    until = time.monotonic() + 10
    while True:
        text = (await site.http.get(site.url("evaluator", "/metrics"))).text
        found = {
            line.split('state="')[1].split('"')[0]: float(line.split()[-1]) for line in text.splitlines() if "slawatch_clocks{" in line
        }
        if found == {"met": 1, "breached": 2}:
            break
        assert time.monotonic() < until, found
        await asyncio.sleep(0.2)


async def test_what_was_quarantined_is_shown_and_tried_again_once(site: Site) -> None:
    await site.start(["evaluator"])
    early = site.event("c1", "opened", datetime.now(UTC) + timedelta(minutes=10))
    await site.append(early, Entry(VENDORS[0].encode(), b"rubbish"))
    until = time.monotonic() + 20
    while len(await site.read("quarantine")) < 2:
        assert time.monotonic() < until
        await asyncio.sleep(0.2)

    async def slawatch(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "shared.cli", "quarantine", *arguments]
        return await asyncio.to_thread(subprocess.run, command, env=site.environment, capture_output=True, text=True, check=False)

    listed = (await slawatch("list")).stdout
    assert "future" in listed
    assert "NotAnEvent" in listed
    (place,) = (line.split()[0] for line in listed.splitlines() if "future" in line)
    shown = (await slawatch("show", place)).stdout
    assert '"id":"c1-opened"' in shown
    assert "slw-reason: future" in shown
    assert (await slawatch("show", "3/999")).returncode == 1

    assert "1 redriven, 0 left" in (await slawatch("redrive", "--all", "--reason", "future")).stderr
    (again,) = (record for record in await site.read("events") if record.header("slw-redriven") is not None)
    assert (again.key, again.value, again.header("slw-redriven")) == (early.key, early.value, place.encode())
    assert again.header("slw-reason") is None
    assert "redriven:" in (await slawatch("show", place)).stdout
    assert "0 redriven, 0 left" in (await slawatch("redrive", "--all", "--vendor", VENDORS[0], "--reason", "nothing")).stderr
    until = time.monotonic() + 20
    while len([line for line in (await slawatch("list", "--reason", "future")).stdout.splitlines() if "future" in line]) < 2:
        assert time.monotonic() < until, "its time still lies ahead, so it comes back"
        await asyncio.sleep(0.2)


async def test_a_successor_goes_on_from_the_checkpoint_and_says_nothing_twice(site: Site) -> None:
    await site.start(["evaluator"])
    await site.open("c1", "c2", "c3")
    await site.until_said(3)
    await site.append(site.event("late", "opened", datetime.now(UTC) + timedelta(seconds=4)))
    site.terminate("evaluator")
    await site.start(["evaluator"])
    log = [msgspec.json.decode(line) for line in (site.directory / "evaluator.log").read_bytes().splitlines() if line.startswith(b"{")]
    assert sum(line["offset"] for line in log if line["event"] == "partition restoring") >= 3, "it goes on, and does not begin anew"
    assert any(line["cases"] for line in log if line["event"] == "checkpoint loaded")
    said = await site.until_said(4)
    assert set(said.values()) == {1}


async def test_a_checkpoint_of_other_rules_is_refused_with_the_way_out(site: Site) -> None:
    await site.start(["evaluator"])
    await site.open("c1")
    await site.until_said(1)
    site.terminate("evaluator")
    terms = site.directory / "terms.yaml"
    terms.write_text(TERMS.replace("within: 2s", "within: 3s"), "utf-8")
    site.another("other")
    assert site._running["other"].wait(60) != 0
    assert "slawatch checkpoints forget" in (site.directory / "other.log").read_text("utf-8")
