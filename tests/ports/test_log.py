"""The log: writer, group reader and scanner, one suite for the memory and the Kafka adapters."""

import asyncio
import contextlib
import os
import signal
import threading
import time
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from itertools import chain
from typing import Any, Protocol

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import KafkaException
from msgspec import structs

from shared.adapters.kafka import bulk_consumer, fast_reader, fast_writer
from shared.adapters.kafka import reader as kafka_reader
from shared.adapters.kafka.administration import hand_over
from shared.adapters.kafka.bulk_producer import BulkProducer, is_there
from shared.adapters.kafka.connection import librdkafka
from shared.adapters.kafka.fast_reader import FastGroupReader
from shared.adapters.kafka.fast_writer import FastWriter
from shared.adapters.kafka.reader import KafkaGroupReader, KafkaScanner
from shared.adapters.kafka.topics import EVENTS, OTHERS, Topic, WrongTopic, ensure, verify, verify_count
from shared.adapters.kafka.writer import KafkaWriter
from shared.adapters.memory.log import MemoryGroupReader, MemoryLog, MemoryScanner, MemoryWriter
from shared.adapters.postgres.database import connect, migrate
from shared.adapters.postgres.topics import first_partitions
from shared.adapters.system_time import SystemTime
from shared.local.stack import Stack
from shared.ports.log import (
    Batch,
    BulkWriter,
    Entry,
    GroupReader,
    HoldingReader,
    LogScanner,
    LogUnavailable,
    LogWriter,
    RebalanceHandler,
    Record,
    RecordTooLarge,
    Run,
)
from shared.runtime.settings import Settings
from shared.wire.topics import partition_of

PARTITIONS = 3


class Broker(Protocol):
    """One topic of three partitions, and clients for it."""

    topic: str
    writer: LogWriter
    scanner: LogScanner

    def reader(
        self, group: str, on_assigned: RebalanceHandler | None = None, on_revoked: RebalanceHandler | None = None
    ) -> GroupReader: ...


class Memory:
    def __init__(self) -> None:
        self.topic = "events"
        self._log = MemoryLog(SystemTime(), {self.topic: PARTITIONS})
        self.bulk = MemoryWriter(self._log)
        self.writer: LogWriter = self.bulk
        self.scanner: LogScanner = MemoryScanner(self._log, batch=7)

    def reader(self, group: str, on_assigned: RebalanceHandler | None = None, on_revoked: RebalanceHandler | None = None) -> GroupReader:
        return MemoryGroupReader(self._log, [self.topic], group, on_assigned=on_assigned, on_revoked=on_revoked)

    def holding_reader(self, group: str, on_assigned: RebalanceHandler) -> HoldingReader:
        return MemoryGroupReader(self._log, [self.topic], group, on_assigned=on_assigned)


class Real:
    def __init__(self, bootstrap: str, topic: str, writer: LogWriter) -> None:
        self._options = {"bootstrap_servers": bootstrap}
        self.topic, self.writer = topic, writer
        self.scanner: LogScanner = KafkaScanner(self._options)

    def reader(self, group: str, on_assigned: RebalanceHandler | None = None, on_revoked: RebalanceHandler | None = None) -> GroupReader:
        return KafkaGroupReader(self._options, [self.topic], group, on_assigned=on_assigned, on_revoked=on_revoked)


class Fast(Real):
    """With librdkafka."""

    def __init__(self, bootstrap: str, topic: str, writer: FastWriter, *, is_native: bool) -> None:
        super().__init__(bootstrap, topic, writer)
        self.bulk: BulkWriter = writer
        self.is_native = is_native
        self._fast = librdkafka(Settings(), bootstrap)

    def reader(self, group: str, on_assigned: RebalanceHandler | None = None, on_revoked: RebalanceHandler | None = None) -> GroupReader:
        return FastGroupReader(self._fast, self.topic, group, on_assigned=on_assigned, on_revoked=on_revoked)

    def holding_reader(self, group: str, on_assigned: RebalanceHandler) -> HoldingReader:
        return FastGroupReader(self._fast, self.topic, group, on_assigned=on_assigned)


async def _made(options: dict[str, Any], topic: str) -> bool:
    try:
        await ensure(options, [Topic(topic, PARTITIONS, 1, EVENTS)])
    except LogUnavailable:
        return False
    return True


@pytest.fixture(params=["memory", "kafka", "fast", "fast without native code"])
async def broker(request: pytest.FixtureRequest, unique: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Broker]:
    if request.param == "memory":
        yield Memory()
        return
    bootstrap, topic = request.getfixturevalue("kafka"), f"ports-{unique}"
    options = {"bootstrap_servers": bootstrap}
    async with asyncio.timeout(30):
        while not await _made(options, topic):  # the test before may have stopped the broker for a while
            pass
    if request.param == "kafka":
        async with KafkaWriter(options, timeout=5) as writer:
            yield Real(bootstrap, topic, writer)
    else:
        if request.param != "fast":
            monkeypatch.setattr(fast_reader, "is_there", lambda: False)
        elif not bulk_consumer.is_there():
            pytest.skip("native code is not built here")
        async with FastWriter(librdkafka(Settings(), bootstrap), timeout=5) as fast:
            yield Fast(bootstrap, topic, fast, is_native=request.param == "fast")


async def fetch(reader: GroupReader, timeout: float, limit: int) -> list[Record]:
    """The records of one fetch."""
    return list(chain.from_iterable(await reader.fetch(timeout, limit)))


async def take(reader: GroupReader, count: int) -> list[Record]:
    """At least so many records, within 20 s."""
    taken: list[Record] = []
    async with asyncio.timeout(20):
        while len(taken) < count:
            taken += await fetch(reader, 0.5, 1_000)
    return taken


async def until(condition: Callable[[], bool], *readers: GroupReader) -> None:
    """Keep reading until the condition holds, at most 20 s."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.gather(*(reader.fetch(0.05, 10) for reader in readers))


async def test_appended_where_the_key_belongs_with_arrival_and_offset(broker: Broker) -> None:
    before = time.time_ns() // 1_000_000
    entries = [Entry(name.encode(), b"v") for name in ("acme", "globex", "工单", "acme")]
    done = await broker.writer.append(broker.topic, entries)
    assert [a.partition for a in done] == [partition_of(e.key or b"", PARTITIONS) for e in entries]
    assert (done[0].offset, done[3].offset) == (0, 1)
    assert all(before - 5 <= a.timestamp <= time.time_ns() // 1_000_000 + 5 for a in done)


async def test_a_named_partition_headers_and_no_key(broker: Broker) -> None:
    (done,) = await broker.writer.append(broker.topic, [Entry(None, b"tick", [("slw-control", b"tick")], 2)])
    records: list[Record] = []
    await broker.scanner.scan(broker.topic, 2, 0, 1, records.extend)
    (record,) = records
    assert record == Record(broker.topic, 2, 0, done.timestamp, None, b"tick", (("slw-control", b"tick"),))
    assert record.header("slw-control") == b"tick"
    assert record.header("other") is None


async def test_a_batch_in_columns(broker: Broker, unique: str) -> None:
    head = ("h", b"1")
    entries = [Entry(b"k%d" % n, b"" if n == 3 else b"v%d" % n, [head] if n % 4 == 1 else (), 1) for n in range(10)]
    done = await broker.writer.append(broker.topic, entries)
    reader, found = broker.reader(unique), list[Batch]()
    await reader.start()
    async with asyncio.timeout(20):
        while not found:
            found = await reader.fetch(0.5, 8)
    (batch,) = found
    await reader.stop()
    assert (batch.topic, batch.partition, len(batch)) == (broker.topic, 1, 8)
    assert (list(batch.offsets), list(batch.timestamps)) == ([a.offset for a in done[:8]], [a.timestamp for a in done[:8]])
    assert (batch.block, list(batch.ends)) == (b"v0v1v2v4v5v6v7", [2, 4, 6, 6, 8, 10, 12, 14])
    assert {at: list(headers) for at, headers in batch.headers.items()} == {1: [head], 5: [head]}
    records = list(batch)
    assert [(r.offset, r.key, r.value, list(r.headers)) for r in records] == [
        (n, e.key, e.value, list(e.headers)) for n, e in enumerate(entries[:8])
    ]
    assert (batch[-1], list(batch[3:6]), batch[3:6].headers) == (records[7], records[3:6], {2: batch.headers[5]})
    with pytest.raises(IndexError):
        batch[8]


async def test_appending_in_bulk(broker: Broker) -> None:
    if not isinstance(broker, Memory | Fast):
        pytest.skip("it has no such way")
    entries = [Entry(b"acme" if n % 2 else None, b"%d" % n, [("n", b"%d" % n)], n % PARTITIONS) for n in range(3_000)]
    runs = [entries[n : n + 500] for n in range(0, 3_000, 500)]
    await asyncio.gather(*(broker.bulk.append_all(broker.topic, runs[n : n + 2]) for n in range(0, 6, 2)))
    await broker.bulk.append_all(broker.topic, [])
    for partition in range(PARTITIONS):
        records: list[Record] = []
        await broker.scanner.scan(broker.topic, partition, 0, 1_000, records.extend)
        assert [Entry(r.key, r.value, list(r.headers), partition) for r in records] == entries[partition::PARTITIONS]
    with pytest.raises(RecordTooLarge):
        await broker.bulk.append_all(broker.topic, [[Entry(b"k", b"small"), Entry(b"k", bytes(1_200_000))]])
    assert sum(last for _, last in (await broker.scanner.bounds(broker.topic)).values()) == 3_000


def run(partition: int | None, *values: bytes) -> Run:
    """Entries in columns, of the keys k0, k1 and so on."""
    return Run([b"k%d" % n for n in range(len(values))], array("I", map(len, values)), b"".join(values), partition)


async def test_appending_in_columns(broker: Broker) -> None:
    if not isinstance(broker, Memory | Fast):
        pytest.skip("it has no such way")
    columns = [run(n % PARTITIONS, *(b"%d" % (n * m) for m in range(1, 300))) for n in range(1, 5)]
    by_key = run(None, *(b"by key %d" % n for n in range(20)))
    between = [Entry(None, b"between", [("h", b"1")], 1)]
    assert (len(by_key), by_key[3], by_key[-2:]) == (20, Entry(b"k3", b"by key 3"), list(by_key)[18:])
    bulk = broker.bulk
    await asyncio.gather(bulk.append_all(broker.topic, [columns[0], columns[1]]), bulk.append_all(broker.topic, [columns[2]]))
    await bulk.append_all(broker.topic, [columns[3], between, run(1), by_key])
    for partition in range(PARTITIONS):
        records: list[Record] = []
        _, end = (await broker.scanner.bounds(broker.topic))[partition]
        await broker.scanner.scan(broker.topic, partition, 0, end, records.extend)
        expected = [structs.replace(e, partition=partition) for one in (*columns, between) for e in one if e.partition == partition]
        expected += [structs.replace(e, partition=partition) for e in by_key if partition_of(e.key or b"", PARTITIONS) == partition]
        assert [Entry(r.key, r.value, tuple(r.headers), partition) for r in records] == [
            structs.replace(e, headers=tuple(e.headers)) for e in expected
        ]
    with pytest.raises(RecordTooLarge):
        await bulk.append_all(broker.topic, [run(0, b"small", bytes(1_200_000))])


async def test_columns_are_appended_where_librdkafka_is_not_to_be_called(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    if not isinstance(broker, Fast):
        pytest.skip("it never calls it")
    monkeypatch.setattr(fast_writer, "is_there", lambda: False)
    await broker.bulk.append_all(broker.topic, [run(1, b"one", b"two")])
    records: list[Record] = []
    await broker.scanner.scan(broker.topic, 1, 0, 2, records.extend)
    assert [(record.key, record.value) for record in records] == [(b"k0", b"one"), (b"k1", b"two")]


async def test_a_producer_that_is_closed_meanwhile_does_nothing(kafka: str, unique: str) -> None:
    if not is_there():
        pytest.skip("librdkafka is not to be called here")
    producer = BulkProducer(librdkafka(Settings(), kafka))
    producer.close()
    producer.put(unique, run(0, b"one"))
    producer.poll(0)
    assert (len(producer), producer.failures) == (0, [])


async def test_what_nobody_holds_any_more_arrives_as_it_was(kafka: str, unique: str) -> None:
    if not is_there():
        pytest.skip("librdkafka is not to be called here")
    topic = Topic(unique, 1, 1, {})
    await ensure({"bootstrap_servers": kafka}, [topic])
    producer = BulkProducer(librdkafka(Settings(), kafka) | {"linger.ms": 200})
    for n in range(8):
        producer.put(topic.name, run(0, bytes([n]) * 100_000))
    others = [bytes([255]) * 100_000 for _ in range(64)]  # where those lay, if they are let go of too early
    async with asyncio.timeout(20):
        while len(producer):
            await asyncio.sleep(0.05)
            producer.poll(0)
    producer.close()
    records: list[Record] = []
    await KafkaScanner({"bootstrap_servers": kafka}).scan(topic.name, 0, 0, 8, records.extend)
    assert [(record.value[:1], len(set(record.value))) for record in records] == [(bytes([n]), 1) for n in range(8)]
    assert len(others) == 64


def test_a_setting_that_librdkafka_does_not_know_is_told() -> None:
    if not is_there():
        pytest.skip("librdkafka is not to be called here")
    with pytest.raises(KafkaException, match=r"no\.such\.setting"):
        BulkProducer({"no.such.setting": 1})


async def test_what_the_broker_refuses_is_told_in_bulk_too(kafka: str, unique: str) -> None:
    topic = Topic(f"small-{unique}", PARTITIONS, 1, {"max.message.bytes": "1000"})
    await ensure({"bootstrap_servers": kafka}, [topic])

    async def in_columns(writer: FastWriter, entries: list[Entry]) -> None:
        await writer.append_all(topic.name, [run(entry.partition, entry.value) for entry in entries])

    async def in_bulk(writer: FastWriter, entries: list[Entry]) -> None:
        await writer.append_all(topic.name, [entries])

    async def at_length(writer: FastWriter, entries: list[Entry]) -> None:
        await writer.append(topic.name, entries)

    async with FastWriter(librdkafka(Settings(), kafka), timeout=5) as writer:
        for append in (at_length, in_bulk, in_columns):
            with pytest.raises(RecordTooLarge):
                await append(writer, [Entry(None, b"small", (), 0), Entry(None, bytes(5_000), (), 1), Entry(None, b"small", (), 2)])
            with pytest.raises(LogUnavailable):
                await append(writer, [Entry(None, b"nowhere", (), PARTITIONS)])
            await append(writer, [Entry(None, b"small", (), 1)])


async def test_partitions(broker: Broker) -> None:
    assert await broker.writer.partitions(broker.topic) == PARTITIONS
    with pytest.raises(LogUnavailable):
        await broker.writer.partitions("no-such-topic")


async def test_a_record_too_large_is_refused_and_nothing_is_sent(broker: Broker) -> None:
    with pytest.raises(RecordTooLarge):
        await broker.writer.append(broker.topic, [Entry(b"k", b"small"), Entry(b"k", bytes(1_200_000))])
    assert all(last == 0 for _, last in (await broker.scanner.bounds(broker.topic)).values())


async def test_concurrent_appends_all_arrive_each_in_its_order(broker: Broker) -> None:
    await asyncio.gather(
        *(broker.writer.append(broker.topic, [Entry(None, f"{n} {i}".encode(), (), n % PARTITIONS) for i in range(20)]) for n in range(30))
    )
    for partition, (first, last) in (await broker.scanner.bounds(broker.topic)).items():
        records: list[Record] = []
        await broker.scanner.scan(broker.topic, partition, first, last, records.extend)
        assert [record.offset for record in records] == list(range(200))
        for n in range(partition, 30, PARTITIONS):
            mine = [record.value for record in records if record.value.startswith(f"{n} ".encode())]
            assert mine == [f"{n} {i}".encode() for i in range(20)]


async def test_scanning_a_stretch(broker: Broker) -> None:
    await broker.writer.append(broker.topic, [Entry(None, str(n).encode(), (), 1) for n in range(50)])
    assert await broker.scanner.bounds(broker.topic) == {0: (0, 0), 1: (0, 50), 2: (0, 0)}
    records: list[Record] = []
    await broker.scanner.scan(broker.topic, 1, 10, 30, records.extend)
    assert [int(record.value) for record in records] == list(range(10, 30))
    await broker.scanner.scan(broker.topic, 1, 30, 30, records.extend)
    assert len(records) == 20


async def test_a_group_of_one_reads_everything_from_the_beginning(broker: Broker, unique: str) -> None:
    await broker.writer.append(broker.topic, [Entry(None, str(n).encode(), (), n % PARTITIONS) for n in range(30)])
    reader = broker.reader(unique)
    await reader.start()
    records = await take(reader, 30)
    assert sorted(int(record.value) for record in records) == list(range(30))
    for partition in range(PARTITIONS):
        assert [r.offset for r in records if r.partition == partition] == list(range(10))
        assert await reader.end_offset(broker.topic, partition) == 10
        assert await reader.beginning_offset(broker.topic, partition) == 0
    assert await reader.fetch(0.05, 10) == []
    await reader.stop()


async def test_fetch_gives_no_more_than_asked_for_and_waits_for_what_comes(broker: Broker, unique: str) -> None:
    await broker.writer.append(broker.topic, [Entry(None, b"x", (), 0)] * 10)
    reader = broker.reader(unique)
    await reader.start()
    async with asyncio.timeout(20):
        while not (first := await fetch(reader, 0.5, 4)):
            pass
    assert len(first) == 4
    assert len(await take(reader, 6)) == 6
    waiting = asyncio.ensure_future(fetch(reader, 10, 4))
    await asyncio.sleep(0.05)
    await broker.writer.append(broker.topic, [Entry(None, b"late", (), 0)])
    assert [r.value for r in await waiting] == [b"late"]
    await reader.stop()


async def test_seek_and_commit(broker: Broker, unique: str) -> None:
    await broker.writer.append(broker.topic, [Entry(None, str(n).encode(), (), 0) for n in range(10)])
    reader = broker.reader(unique)
    await reader.start()
    await take(reader, 10)
    reader.seek(broker.topic, 0, 7)
    assert [int(r.value) for r in await take(reader, 3)] == [7, 8, 9]
    await reader.commit({(broker.topic, 0): 4})
    await reader.stop()
    again = broker.reader(unique)
    await again.start()
    assert [int(r.value) for r in await take(again, 6)] == [4, 5, 6, 7, 8, 9]
    await again.stop()


async def test_partitions_move_to_a_member_that_comes_and_back_when_it_goes(broker: Broker, unique: str) -> None:
    owned: dict[str, set[int]] = {"a": set(), "b": set()}

    def member(name: str) -> GroupReader:
        async def assigned(places: set[tuple[str, int]]) -> None:
            owned[name] |= {partition for _, partition in places}

        async def revoked(places: set[tuple[str, int]]) -> None:
            owned[name] -= {partition for _, partition in places}

        return broker.reader(unique, assigned, revoked)

    first, second = member("a"), member("b")
    await first.start()
    await until(lambda: owned["a"] == {0, 1, 2}, first)
    await second.start()
    await until(lambda: bool(owned["b"]) and len(owned["a"] | owned["b"]) == PARTITIONS, first, second)
    assert not owned["a"] & owned["b"]
    await second.stop()
    await until(lambda: owned["a"] == {0, 1, 2}, first)
    await first.stop()


async def test_a_seek_voids_what_was_read_ahead(broker: Broker, unique: str) -> None:
    await broker.writer.append(broker.topic, [Entry(None, str(n).encode(), (), 0) for n in range(100)])
    reader = broker.reader(unique)
    await reader.start()
    async with asyncio.timeout(20):
        while not await reader.fetch(0.5, 10):
            pass
    reader.seek(broker.topic, 0, 90)
    assert [int(r.value) for r in await take(reader, 10)] == list(range(90, 100))
    reader.seek(broker.topic, 0, 5)
    reader.seek(broker.topic, 0, 50)
    assert [int(r.value) for r in await take(reader, 50)] == list(range(50, 100))
    await reader.stop()


async def test_a_partition_that_is_held_gives_nothing_until_it_is_said_from_where(broker: Broker, unique: str) -> None:
    if not isinstance(broker, Memory | Fast):
        pytest.skip("it cannot hold")
    await broker.writer.append(broker.topic, [Entry(None, str(n).encode(), (), n % PARTITIONS) for n in range(30)])

    async def assigned(places: set[tuple[str, int]]) -> None:
        for topic, partition in places - {(broker.topic, 0)}:
            reader.hold(topic, partition)

    reader = broker.holding_reader(unique, assigned)
    await reader.start()
    assert {record.partition for record in await take(reader, 10)} == {0}
    assert await fetch(reader, 0.3, 100) == []
    reader.hold(broker.topic, 0)
    await broker.writer.append(broker.topic, [Entry(None, b"more", (), partition) for partition in range(PARTITIONS)])
    assert await fetch(reader, 0.3, 100) == []
    reader.seek(broker.topic, 0, 8)
    reader.seek(broker.topic, 1, 4)
    found = [(record.partition, record.offset) for record in await take(reader, 10)]
    assert sorted(found) == [(0, 8), (0, 9), (0, 10), *((1, offset) for offset in range(4, 11))]
    await reader.stop()


async def test_where_a_handler_seeks_is_where_reading_begins(broker: Broker, unique: str) -> None:
    await broker.writer.append(broker.topic, [Entry(None, str(n).encode(), (), n % PARTITIONS) for n in range(30)])

    async def assigned(places: set[tuple[str, int]]) -> None:
        for topic, partition in places:
            reader.seek(topic, partition, 8)

    reader = broker.reader(unique, assigned)
    await reader.start()
    assert {record.offset for record in await take(reader, 6)} == {8, 9}
    await reader.stop()


def stand_still(stack: Stack) -> None:
    """The broker does nothing any more."""
    os.kill(stack.kafka_pid, signal.SIGSTOP)
    while psutil.Process(stack.kafka_pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.005)


async def test_a_broker_that_hangs_costs_a_bounded_wait(broker: Broker, unique: str, stack: Stack) -> None:
    if isinstance(broker, Memory):
        pytest.skip("it never hangs")
    await broker.writer.append(broker.topic, [Entry(None, b"before", (), 0)])
    reader = broker.reader(unique)
    await reader.start()
    await take(reader, 1)
    stand_still(stack)
    try:
        questions: list[Callable[[], Awaitable[Any]]] = [
            lambda: broker.writer.append(broker.topic, [Entry(None, b"during", (), 0)]),
            lambda: broker.writer.partitions(broker.topic),
            lambda: reader.commit({(broker.topic, 0): 1}),
        ]
        if isinstance(broker, Fast):
            bulk = broker.bulk
            questions.append(lambda: bulk.append_all(broker.topic, [run(0, b"during")]))
        for question in questions:
            began = asyncio.get_running_loop().time()
            with pytest.raises(LogUnavailable):
                await question()
            assert asyncio.get_running_loop().time() - began < 8  # all were given 5
        assert await reader.fetch(0.1, 10) == []
    finally:
        os.kill(stack.kafka_pid, signal.SIGCONT)
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(LogUnavailable):
                await broker.writer.append(broker.topic, [Entry(None, b"after", (), 0)])
                break
        while b"after" not in {record.value for record in await fetch(reader, 0.5, 10)}:
            pass
    began = asyncio.get_running_loop().time()
    await reader.stop()
    assert asyncio.get_running_loop().time() - began < 5


async def test_a_reader_whose_fetching_broke_says_so_and_reads_on_when_it_is_started_anew(kafka: str, unique: str) -> None:
    """uvloop raises RuntimeError for connections that are closed already; aiokafka's fetching ends by it, and getmany gives nothing."""
    options = {"bootstrap_servers": kafka}
    await ensure(options, [Topic(unique, 1, 1, EVENTS)])
    reader, writer = KafkaGroupReader(options, [unique], unique), KafkaWriter(options, timeout=5)
    await reader.start()
    await writer.append(unique, [Entry(None, b"one", (), 0)])
    await take(reader, 1)
    assert reader._consumer is not None
    broken = reader._consumer._fetcher._fetch_task
    broken.cancel()
    await asyncio.wait({broken})
    await writer.append(unique, [Entry(None, b"two", (), 0)])

    async def read_on() -> None:
        while True:
            await reader.fetch(0.1, 10)  # what was on its way comes yet

    with pytest.raises(LogUnavailable, match="fetching has ended"):
        await read_on()
    await reader.stop()
    await reader.start()
    assert b"two" in {record.value for record in await take(reader, 2)}
    await reader.stop()
    await writer.__aexit__()


async def test_what_does_not_end_though_it_is_cancelled_is_left_alone(kafka: str, unique: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka's ends may swallow a cancellation and wait on: a notifier stood still for good after connections had been half open."""

    left: set[Any] = set()

    async def stubborn(client: Any) -> None:
        left.add(client)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3_600)
        await asyncio.sleep(3_600)

    options = {"bootstrap_servers": kafka}
    await ensure(options, [Topic(unique, 1, 1, EVENTS)])
    reader, writer = KafkaGroupReader(options, [unique], unique), KafkaWriter(options, timeout=2)
    await reader.start()
    await writer.append(unique, [Entry(None, b"one", (), 0)])
    with monkeypatch.context() as patched:
        for kind in (AIOKafkaConsumer, AIOKafkaProducer):
            patched.setattr(kind, "start", stubborn)
            patched.setattr(kind, "stop", stubborn)
        patched.setattr(kafka_reader, "START_S", 0.5)
        async with asyncio.timeout(12):
            await reader.stop()
            with pytest.raises(LogUnavailable):
                await reader.start()
            await writer.__aexit__()
            with pytest.raises(LogUnavailable):
                await KafkaWriter(options, timeout=0.5).append(unique, [Entry(None, b"none", (), 0)])
    for client in left:  # a live member would go on in the group
        with contextlib.suppress(Exception):  # those that never started
            await client.stop()
    await reader.start()
    assert [record.value for record in await take(reader, 1)] == [b"one"]
    await reader.stop()


async def test_a_member_that_was_fenced_joins_anew(kafka: str, unique: str) -> None:
    """Its group had given it up: librdkafka's consumer is of no use then, and an evaluator must not stand by for ever."""
    await ensure({"bootstrap_servers": kafka}, [Topic(unique, 1, 1, EVENTS)])
    first, second = (FastGroupReader(librdkafka(Settings(), kafka), unique, unique, instance="one") for _ in range(2))
    writer = KafkaWriter({"bootstrap_servers": kafka}, timeout=5)
    await writer.append(unique, [Entry(None, b"before", (), 0)])
    await first.start()
    await take(first, 1)
    await second.start()
    await take(second, 1)  # the broker knows one member of this name, and it is this one
    await second.stop()
    await writer.append(unique, [Entry(None, b"after", (), 0)])
    fenced, found = 0, list[Record]()
    async with asyncio.timeout(40):
        while b"after" not in {record.value for record in found} or not fenced:
            try:
                found += await fetch(first, 0.5, 10)
                await first.commit({(unique, 0): 1})
            except LogUnavailable as wrong:
                fenced += "fenced" in str(wrong)
    await first.stop()
    await writer.__aexit__()


async def test_who_leaves_for_good_hands_over_at_once_if_there_are_others(kafka: str, unique: str) -> None:
    options, owned = {"bootstrap_servers": kafka}, dict[str, int]()
    await ensure(options, [Topic(unique, 2, 1, EVENTS)])

    def member(name: str) -> FastGroupReader:
        async def assigned(places: set[tuple[str, int]]) -> None:
            owned[name] = len(places)

        leave = partial(hand_over, options, unique)
        return FastGroupReader(librdkafka(Settings(), kafka), unique, unique, on_assigned=assigned, instance=name, hand_over=leave)

    async def until(wanted: dict[str, int], *readers: FastGroupReader) -> float:
        began = asyncio.get_running_loop().time()
        async with asyncio.timeout(30):
            while owned != wanted:
                await asyncio.gather(*(fetch(reader, 0.1, 10) for reader in readers))
        return asyncio.get_running_loop().time() - began

    one, two = member("one"), member("two")
    await one.start()
    await until({"one": 2}, one)
    await two.start()
    await until({"one": 1, "two": 1}, one, two)
    await one.stop()
    assert await until({"one": 1, "two": 2}, two) < 6, "the session lasts ten seconds"
    await two.stop()
    owned.clear()
    again = member("two")  # it was alone: its place was kept
    await again.start()
    assert await until({"two": 2}, again) < 6
    await again.stop()


async def test_a_reader_ends_while_the_broker_hangs(broker: Broker, unique: str, stack: Stack) -> None:
    """With a commit that nobody answers: the process that it is of can end then, too."""
    if not isinstance(broker, Fast) or not broker.is_native:
        pytest.skip("this one waits for the broker")
    await broker.writer.append(broker.topic, [Entry(None, b"before", (), 0)])
    reader, others = broker.reader(unique), set(threading.enumerate())
    await reader.start()
    await take(reader, 1)
    stand_still(stack)
    try:
        with pytest.raises(LogUnavailable):
            await reader.commit({(broker.topic, 0): 1})
        await reader.stop()
        for thread in set(threading.enumerate()) - others:
            if thread.name.startswith("kafka-"):
                await asyncio.to_thread(thread.join, 10)
                assert not thread.is_alive()
    finally:
        os.kill(stack.kafka_pid, signal.SIGCONT)


async def test_a_full_disk_in_memory_is_unavailable_not_too_large() -> None:
    log = MemoryLog(SystemTime(), {"t": 1}, bytes_max=100)
    log.append("t", [Entry(b"k", bytes(90))])
    with pytest.raises(LogUnavailable):
        log.append("t", [Entry(b"k", bytes(90))])


async def test_an_expelled_member_reads_on_and_may_not_commit() -> None:
    log = MemoryLog(SystemTime(), {"t": 2})
    zombie, heir = (MemoryGroupReader(log, ["t"], "g") for _ in range(2))
    await zombie.start()
    await heir.start()
    await log.expel(zombie)
    log.append("t", [Entry(None, b"0", (), 0), Entry(None, b"1", (), 1)])
    assert len(await fetch(heir, 0.1, 10)) == 2
    assert len(await fetch(zombie, 0.1, 10)) == 1
    with pytest.raises(LogUnavailable):
        await zombie.commit({("t", 0): 1})


async def _verify(options: dict[str, Any], **topics: str) -> None:
    """As services do: again while topics made a moment ago are not known yet."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(LogUnavailable):
                await verify(options, **topics)
                return


class TestTopics:
    async def test_made_once_as_wanted(self, kafka: str, unique: str) -> None:
        options, events, breaches = {"bootstrap_servers": kafka}, f"made-{unique}", f"said-{unique}"
        for _ in range(2):
            await ensure(options, [Topic(events, 2, 1, EVENTS), Topic(breaches, 2, 1, OTHERS)])
        await _verify(options, events=events, breaches=breaches)

    @pytest.mark.parametrize(
        ("config", "mend"),
        [
            ({"retention.ms": "-1"}, "message.timestamp.type=LogAppendTime"),
            ({"message.timestamp.type": "LogAppendTime", "retention.ms": "1000"}, "retention.ms=-1"),
            ({"message.timestamp.type": "LogAppendTime", "retention.ms": "-1", "cleanup.policy": "compact"}, "cleanup.policy=delete"),
        ],
    )
    async def test_a_wrong_events_topic_is_refused_with_what_mends_it(
        self, kafka: str, unique: str, config: dict[str, str], mend: str
    ) -> None:
        options, name = {"bootstrap_servers": kafka}, f"wrong-{unique}"
        await ensure(options, [Topic(name, 1, 1, config)])
        with pytest.raises(WrongTopic) as refused:
            await _verify(options, events=name)
        (command,) = (line for line in str(refused.value).splitlines() if line.startswith("  "))
        assert command.split() == (
            f"kafka-configs.sh --bootstrap-server {kafka} --alter --entity-type topics --entity-name {name} --add-config {mend}".split()
        )

    async def test_verdicts_that_may_be_deleted_or_lie_elsewhere_are_refused(self, kafka: str, unique: str) -> None:
        options, events, few, many = {"bootstrap_servers": kafka}, f"events-{unique}", f"few-{unique}", f"many-{unique}"
        await ensure(options, [Topic(events, 3, 1, EVENTS), Topic(few, 2, 1, {"retention.ms": "5000"}), Topic(many, 4, 1, OTHERS)])
        with pytest.raises(WrongTopic, match=rf"(?s)add-config retention.ms=-1.*--alter --topic {few} --partitions 3"):
            await _verify(options, events=events, breaches=few)
        with pytest.raises(WrongTopic, match="SLAWATCH_TOPIC_BREACHES"):
            await _verify(options, events=events, breaches=many)
        with pytest.raises(WrongTopic, match="retention"):
            await _verify(options, breaches=few)

    async def test_a_topic_that_grew_is_refused(self, database_url: str, unique: str) -> None:
        engine = connect(database_url)
        try:
            await migrate(engine)
            assert [await first_partitions(engine, unique, count) for count in (64, 64, 96)] == [64, 64, 64]
        finally:
            await engine.dispose()
        verify_count(unique, 64, 64)
        with pytest.raises(WrongTopic, match="slawatch repartition --had 64 --partitions 128"):
            verify_count(unique, 96, 64)
