"""Appending to Kafka with librdkafka, the evaluator's way: idempotent, acks=all, the key's partition as Kafka's own clients choose it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from itertools import chain, groupby
from operator import add
from typing import Any, Final, Generic, Self, TypeVar, cast, overload

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from shared.adapters.kafka.bulk_producer import BulkProducer, is_there
from shared.ports.log import Appended, Entry, LogUnavailable, RecordTooLarge, Run

STOP_S: Final = 2  # at the end nobody waits for an append any more
POLL_S: Final = 0.0005  # between the first two looks at what is delivered; then half as long again each time, for a look costs 40 µs
POLL_MAX_S: Final = 0.002
TEND_S: Final = 1  # between two looks at what librdkafka has to say, while none does
HANDED_MAX: Final = 32_000_000  # bytes of runs that the producer holds before it is waited for
_NAMED_BY_KEY: Final = -1

Report = Callable[[KafkaError | None, Message], None]
P = TypeVar("P", Producer, BulkProducer)


class _Places(Sequence[Appended]):
    """Where delivered messages stand, made when it is asked for."""

    def __init__(self, messages: list[Message]) -> None:
        self._messages = messages

    def __len__(self) -> int:
        return len(self._messages)

    @overload
    def __getitem__(self, index: int) -> Appended: ...
    @overload
    def __getitem__(self, index: slice) -> "_Places": ...
    def __getitem__(self, index: int | slice) -> "Appended | _Places":
        if isinstance(index, slice):
            return _Places(self._messages[index])
        message = self._messages[index]
        return Appended(message.partition(), message.offset(), message.timestamp()[1])  # type: ignore[arg-type]  # they are delivered


class _Deliveries:
    """What is reported of the entries of one append."""

    def __init__(self) -> None:
        self.error: KafkaError | None = None
        self.messages: dict[int, Message] = {}  # by entry
        self.told = 0

    def reported(self, index: int, error: KafkaError | None, message: Message) -> None:
        """Called once for every entry."""
        self.told += 1
        self.messages[index] = message
        self.error = error or self.error


class _Client(Generic[P]):
    """A producer, made when it is first needed, and anew after it broke.

    Deliveries are reported on the event loop, by whoever waits for them: a thread of its own would wait for the interpreter's lock 5 ms
    each time, while the loop has work.
    """

    def __init__(self, make: Callable[[], P], timeout: float) -> None:
        """`timeout` in s."""
        self._make: Callable[[], P] = make
        self._timeout = timeout
        self._producer: P | None = None
        self._chores: set[asyncio.Task[None]] = set()

    def ready(self) -> P:
        if self._producer is None:
            self._producer = self._make()
            self._chore(self._tend(self._producer))
        return self._producer

    async def send(self, topic: str, work: Callable[[P], Awaitable[KafkaError | None]]) -> None:
        """Have entries handed over and delivered; `work` tells what was wrong. Raises LogUnavailable, RecordTooLarge."""
        producer = self.ready()
        try:
            async with asyncio.timeout(self._timeout):
                wrong = await work(producer)
            if wrong is not None:
                raise KafkaException(wrong)
        except KafkaException as refused:
            error: KafkaError = refused.args[0]
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                raise RecordTooLarge(f"{topic}: {error}") from refused
            if error.fatal() and producer is self._producer:
                self._producer = None  # it will never take anything again
                self._chore(asyncio.to_thread(_discard, producer, 0))
            raise LogUnavailable(f"{topic}: {error}") from refused
        except TimeoutError as late:
            raise LogUnavailable(f"{topic}: not acknowledged in {self._timeout} s") from late

    async def _tend(self, producer: P) -> None:
        """Have what librdkafka says logged, also while nothing is appended."""
        while producer is self._producer:
            producer.poll(0)
            await asyncio.sleep(TEND_S)

    def _chore(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await asyncio.to_thread(_discard, producer, min(self._timeout, STOP_S))
        for task in self._chores:
            task.cancel()


def _discard(producer: Producer | BulkProducer, timeout: float) -> None:
    """In a thread."""
    producer.flush(timeout)
    producer.purge()  # they were never acknowledged
    producer.poll(0)
    if isinstance(producer, BulkProducer):
        producer.close()


async def _until(producer: Producer | BulkProducer, is_done: Callable[[], bool]) -> None:
    wait = POLL_S
    while not is_done():
        await asyncio.sleep(wait)
        wait = min(wait * 1.5, POLL_MAX_S)
        producer.poll(0)


async def _hand_over(producer: Producer, topic: str, entries: Sequence[Entry], reports: Sequence[Report]) -> None:
    for entry, report in zip(entries, reports, strict=True):
        where = _NAMED_BY_KEY if entry.partition is None else entry.partition
        headers: Any = list(entry.headers) if entry.headers else None
        while True:
            try:
                producer.produce(topic, entry.value, entry.key, where, report, None, 0, headers)  # by position: half the time
                break
            except BufferError:  # it is full
                producer.poll(0)
                await asyncio.sleep(POLL_MAX_S)


def _sizes(entries: Sequence[Entry]) -> Iterable[int]:
    if isinstance(entries, Run):
        return map(add, entries.lengths, map(len, entries.keys))
    return (len(entry.value) + len(entry.key or b"") for entry in entries)


class FastWriter:
    """`shared.ports.log.BulkWriter`. An append that is given up may still arrive within the time limit, never later."""

    def __init__(self, options: dict[str, Any], *, timeout: float, max_record_bytes: int = 1_100_000, linger_ms: int = 0) -> None:
        """`options`: `connection.librdkafka`; `timeout` in s."""
        self._timeout, self._max_record_bytes = timeout, max_record_bytes
        limit_ms = round(timeout * 1000)
        config = {
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2",
            "linger.ms": linger_ms,
            "batch.size": 1_000_000,
            "message.max.bytes": max_record_bytes,
            "delivery.timeout.ms": limit_ms,
            "request.timeout.ms": limit_ms,
            "socket.timeout.ms": max(limit_ms, 1_000),
            **options,
        }
        told = {**config, "queue.buffering.max.kbytes": 65_536}
        bulk = {**config, "queue.buffering.max.messages": 0, "queue.buffering.max.kbytes": 2_000_000}  # never full: see _append_runs
        self._told = _Client(lambda: Producer(told, logger=logging.getLogger("librdkafka")), timeout)
        self._bulk = _Client(lambda: BulkProducer(bulk), timeout)
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._told.ready()  # a new producer asks for its id, half a second if the broker is busy: not when there is something to say
        if is_there():
            self._bulk.ready()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.gather(self._told.close(), self._bulk.close())

    async def append(self, topic: str, entries: Sequence[Entry]) -> Sequence[Appended]:
        self._check(entries)
        found = _Deliveries()

        async def work(producer: Producer) -> KafkaError | None:
            await _hand_over(producer, topic, entries, [partial(found.reported, index) for index in range(len(entries))])
            await _until(producer, lambda: found.told == len(entries))
            return found.error

        await self._told.send(topic, work)
        return _Places([found.messages[index] for index in range(len(entries))])

    async def append_all(self, topic: str, runs: Sequence[Sequence[Entry]]) -> None:
        """Those in columns are handed over in bulk, where that can be."""
        for run in runs:
            self._check(run)
        for in_columns, those in groupby(runs, lambda run: isinstance(run, Run) and is_there()):
            if in_columns:
                await self._append_runs(topic, cast(list[Run], list(those)))
            else:
                await self.append(topic, [*chain.from_iterable(those)])

    async def _append_runs(self, topic: str, runs: Sequence[Run]) -> None:
        """All are through once the producer holds nothing any more. It takes what it is given: what that may be is bounded here."""

        async def work(producer: BulkProducer) -> KafkaError | None:
            def is_empty() -> bool:
                return not len(producer)

            async with self._turn:
                await _until(producer, is_empty)  # of what was given up before
                producer.failures.clear()
                handed = 0
                for run in runs:
                    if handed > HANDED_MAX:
                        await _until(producer, is_empty)
                        handed = 0
                    producer.put(topic, run)
                    handed += len(run.values)
                await _until(producer, is_empty)
                return next(iter(producer.failures), None)

        await self._bulk.send(topic, work)

    def _check(self, entries: Sequence[Entry]) -> None:
        """Raises RecordTooLarge."""
        limit = self._max_record_bytes - 1_000
        if (largest := max(_sizes(entries), default=0)) > limit:
            raise RecordTooLarge(f"{largest} bytes; at most {limit}")

    async def partitions(self, topic: str) -> int:
        try:
            found = (await asyncio.to_thread(self._told.ready().list_topics, topic, self._timeout)).topics[topic]
        except KafkaException as wrong:
            raise LogUnavailable(f"{topic}: {wrong}") from wrong
        if found.error is not None:
            raise LogUnavailable(f"{topic}: {found.error}")
        return len(found.partitions)
