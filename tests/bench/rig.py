"""What the benchmarks on the real stack share: a stack of their own, evaluators as processes, records in, statements out, CPU seconds.

An evaluator's job is timed from the first record folded (its metric, looked at every 100 ms) to the append of its last statement, by the
broker's clock, which is this machine's.
"""

import asyncio
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import httpx2
import psutil
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from sqlalchemy.engine import make_url

from shared.adapters.kafka.topics import ARRIVALS, EVENTS, OTHERS, Topic, ensure
from shared.cli.stack import HUGE_PAGES
from shared.local.stack import Stack, start_stack
from shared.ports.log import Record
from shared.wire import verdicts
from shared.wire.verdicts import Verdict
from tests.acceptance.installation import Installation, free_port

LOOK_S = 0.1
PATIENCE_S = 0.25  # between two looks at an evaluator at work: a look costs it a millisecond or two
LIMIT_S = 900


class Spent(NamedTuple):
    """What a job took: seconds by the clock, CPU seconds of all evaluators together, and of their threads by name (the largest first)."""

    seconds: float
    cpu: float
    threads: dict[str, float]


class Bench(Installation):
    """Evaluators and nothing else, on topics and in a database of their own; statements are stamped by the broker."""

    def __init__(self, directory: Path, kafka: str, database: str, *, agreement: str, partitions: int, **settings: str) -> None:
        self.word = secrets.token_hex(4)
        directory.mkdir(parents=True, exist_ok=True)
        terms = directory / f"{self.word}.yaml"
        terms.write_text(agreement, "utf-8")
        super().__init__(
            directory,
            kafka,
            database,
            f"bench.{self.word}",
            AGREEMENTS=str(terms),
            PARTITIONS=str(partitions),
            **{"LOG_LEVEL": "info"} | settings,
        )
        self.kafka, self._partitions = kafka, partitions

    @property
    def events(self) -> str:
        """The topic it reads."""
        return self.variables["SLAWATCH_TOPIC_EVENTS"]

    @property
    def breaches(self) -> str:
        """The topic it writes."""
        return self.variables["SLAWATCH_TOPIC_BREACHES"]

    async def prepare(self) -> None:
        """Topics and tables."""
        await self.make_credentials()
        topics = [Topic(self.events, self._partitions, 1, EVENTS)]
        topics += [
            Topic(self.variables[f"SLAWATCH_TOPIC_{name}"], self._partitions, 1, OTHERS | ARRIVALS) for name in ("BREACHES", "QUARANTINE")
        ]
        await ensure({"bootstrap_servers": self.kafka}, topics)

    def begin(self, name: str = "evaluator", profile: Path | None = None) -> None:
        """Start an evaluator under this name; its output goes to a file of that name. `profile`: where cProfile writes at its end."""
        self.ports.setdefault(name, free_port())
        with self.log_of(name).open("ab") as log:
            watched = [] if profile is None else ["-m", "cProfile", "-o", str(profile)]
            command = [sys.executable, *watched, "-m", "shared.cli", "serve", "evaluator"]
            environment = self.environment | {"SLAWATCH_EVALUATOR_PORT": str(self.ports[name]), "GLIBC_TUNABLES": HUGE_PAGES}
            self._running[name] = subprocess.Popen(command, env=environment, stderr=log, stdout=log)

    def log_of(self, name: str) -> Path:
        """The file of its output."""
        return self.directory / f"{self.word}-{name}.log"

    async def metric(self, service: str, name: str) -> float:
        """A metric without labels; 0 while nobody answers. Raises AssertionError when the process has ended."""
        process = self._running[service]
        assert process.poll() is None, f"{service} has ended:\n{self.log_of(service).read_text('utf-8', 'replace')[-3_000:]}"
        try:
            text = (await self.http.get(self.url(service, "/metrics"))).text
        except httpx2.TransportError:
            return 0.0
        return next((float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} ")), 0.0)

    async def until_metric(self, name: str, least: float, services: Iterable[str], every: float = PATIENCE_S) -> None:
        """Once the evaluators' sum of a metric has come that far."""
        until = time.monotonic() + LIMIT_S
        names = list(services)
        while sum([await self.metric(service, name) for service in names]) < least:
            assert time.monotonic() < until, f"{name} did not come to {least}"
            await asyncio.sleep(every)

    def cpu(self) -> tuple[float, dict[str, float]]:
        """CPU seconds of all its evaluators so far, and of their threads by name."""
        threads = defaultdict[str, float](float)
        total = 0.0
        for process in self._running.values():
            spent = psutil.Process(process.pid)
            times = spent.cpu_times()
            total += times.user + times.system
            for thread in spent.threads():
                name = Path(f"/proc/{process.pid}/task/{thread.id}/comm").read_text("utf-8").strip()
                kind = "event loop" if thread.id == process.pid else "librdkafka" if name.startswith("rdk:") else "other threads of Python"
                threads[kind] += thread.user_time + thread.system_time
        return total, threads

    async def job(self, records: int, services: Iterable[str] = ("evaluator",)) -> Spent:
        """Wait until so many records are folded and all is said: what that took. The evaluators have been begun."""
        names = list(services)
        await self.until_metric("slawatch_events_folded_total", 1, names, LOOK_S)
        begun, (before, threads_before) = time.time(), self.cpu()
        await self.until_metric("slawatch_events_folded_total", records, names)
        after, threads = self.cpu()
        topics = (self.breaches, self.variables["SLAWATCH_TOPIC_QUARANTINE"])
        said = ends_of(self.kafka, *topics)
        while True:
            await asyncio.sleep(0.3)
            if said == (said := ends_of(self.kafka, *topics)):
                break
        last = max((last_stamp(self.kafka, topic) for topic in topics), default=0)
        return Spent(last / 1000 - begun, after - before, {name: spent - threads_before.get(name, 0) for name, spent in threads.items()})

    def statements(self) -> list[Verdict]:
        """All that was said, in order per partition."""
        return [verdicts.decode(record.value) for record in read(self.kafka, self.breaches)]


# -- Kafka, plainly --------------------------------------------------------------------------------------------------


def _consumer(kafka: str) -> Consumer:
    return Consumer({"bootstrap.servers": kafka, "group.id": "bench-looks", "enable.auto.commit": False, "enable.partition.eof": False})


def _bounds(consumer: Consumer, topic: str) -> dict[int, tuple[int, int]]:
    found = {}
    for number in consumer.list_topics(topic, 20).topics[topic].partitions:
        bounds = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=20)
        assert bounds is not None, topic
        found[number] = bounds
    return found


def ends_of(kafka: str, *topics: str) -> dict[tuple[str, int], int]:
    """Where the partitions of topics end."""
    consumer = _consumer(kafka)
    try:
        return {(topic, number): end for topic in topics for number, (_, end) in _bounds(consumer, topic).items()}
    finally:
        consumer.close()


def read(kafka: str, topic: str, last: int | None = None) -> list[Record]:
    """What stands in a topic; `last`: only so many of each partition."""
    consumer = _consumer(kafka)
    found: list[Record] = []
    try:
        bounds = _bounds(consumer, topic)
        starts = {number: first if last is None else max(first, end - last) for number, (first, end) in bounds.items()}
        left = sum(end - starts[number] for number, (_, end) in bounds.items())
        consumer.assign([TopicPartition(topic, number, start) for number, start in starts.items()])
        until = time.monotonic() + 120
        while len(found) < left:
            assert time.monotonic() < until, f"{topic}: {len(found)} of {left} records came"
            for m in consumer.consume(min(left - len(found), 10_000), 0.2):
                assert m.error() is None, m.error()
                found.append(Record(topic, m.partition() or 0, m.offset() or 0, m.timestamp()[1], m.key(), m.value() or b"", ()))
        return found
    finally:
        consumer.close()


def last_stamp(kafka: str, topic: str) -> int:
    """When the topic's last record was appended, ms since 1970; 0: it is empty."""
    return max((record.timestamp for record in read(kafka, topic, last=1)), default=0)


def producer(kafka: str, **settings: Any) -> Producer:
    """One that loads in bulk."""
    return Producer(
        {
            "bootstrap.servers": kafka,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 50,
            "batch.size": 1_000_000,
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 500_000,
            "queue.buffering.max.kbytes": 1_000_000,
        }
        | settings
    )


def load(kafka: str, topic: str, records: Iterable[tuple[bytes, bytes]]) -> int:
    """Append (key, value) in order; how many they were."""
    to, failed, count = producer(kafka), list[KafkaError](), 0

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    for key, value in records:
        while True:
            try:
                to.produce(topic, value, key, on_delivery=delivered)
                break
            except BufferError:
                to.poll(0.2)
        count += 1
        if count % 5_000 == 0:
            to.poll(0)
    to.flush()
    assert not failed, failed[0]
    return count


# -- where it runs ---------------------------------------------------------------------------------------------------


class Place(NamedTuple):
    """A running stack and a directory for files."""

    directory: Path
    stack: Stack

    async def database(self) -> str:
        """An empty database."""
        url, name = make_url(self.stack.database), f"bench_{secrets.token_hex(4)}"
        admin = await asyncpg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))
        await admin.execute(f"CREATE DATABASE {name}")
        await admin.close()
        return url.set(database=name).render_as_string(hide_password=False)

    @asynccontextmanager
    async def bench(self, agreement: str, partitions: int = 8, **settings: str) -> AsyncIterator[Bench]:
        """Topics, tables and settings for evaluators; what was begun is ended."""
        bench = Bench(
            self.directory / "bench", self.stack.kafka, await self.database(), agreement=agreement, partitions=partitions, **settings
        )
        try:
            await bench.prepare()
            yield bench
        finally:
            bench.stop()
            await bench.http.aclose()


@contextmanager
def place() -> Iterator[Place]:
    """A stack of the benchmark's own, gone at the end."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        stack = start_stack(Path(name) / "stack")
        try:
            yield Place(Path(name), stack)
        finally:
            stack.stop()
