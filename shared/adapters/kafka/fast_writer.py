"""Appending to Kafka with librdkafka, the evaluator's way: idempotent, acks=all, the key's partition as Kafka's own clients choose it."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from itertools import repeat
from typing import Any, Final, Self, overload

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from shared.ports.log import Appended, Entry, LogUnavailable, RecordTooLarge

STOP_S: Final = 2  # at the end nobody waits for an append any more
POLL_S: Final = 0.0005  # between the first two looks at what is delivered; then half as long again each time, for a look costs 40 µs
POLL_MAX_S: Final = 0.002
TEND_S: Final = 1  # between two looks at what librdkafka has to say, while none does
_NAMED_BY_KEY: Final = -1

Report = Callable[[KafkaError | None, Message], None]


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

    def failed(self, error: KafkaError | None, message: Message) -> None:
        """Called where only failures are reported."""
        self.error = error

    def reported(self, index: int, error: KafkaError | None, message: Message) -> None:
        """Called once for every entry."""
        self.told += 1
        self.messages[index] = message
        self.error = error or self.error


class _Client:
    """A producer, made when it is first needed, and anew after it broke.

    Deliveries are reported on the event loop, by whoever waits for them. confluent-kafka takes the interpreter's lock anew for every single
    one, even if nobody is told: a thread of its own would wait for it 5 ms each time, while the loop has work.
    """

    def __init__(self, config: dict[str, Any], timeout: float) -> None:
        """`timeout` in s."""
        self._config, self._timeout = config, timeout
        self._producer: Producer | None = None
        self._chores: set[asyncio.Task[None]] = set()

    def ready(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(self._config, logger=logging.getLogger("librdkafka"))
            self._chore(self._tend(self._producer))
        return self._producer

    async def send(
        self, topic: str, entries: Sequence[Entry], reports: Iterable[Report], deliveries: _Deliveries, is_done: Callable[[Producer], bool]
    ) -> None:
        """Hand the entries over, and wait until it is done. Raises LogUnavailable, RecordTooLarge."""
        producer = self.ready()
        try:
            async with asyncio.timeout(self._timeout):
                await self._hand_over(producer, topic, entries, reports)
                wait = POLL_S
                while not is_done(producer):
                    await asyncio.sleep(wait)
                    wait = min(wait * 1.5, POLL_MAX_S)
                    producer.poll(0)
            if deliveries.error is not None:
                raise KafkaException(deliveries.error)
        except KafkaException as wrong:
            error: KafkaError = wrong.args[0]
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                raise RecordTooLarge(f"{topic}: {error}") from wrong
            if error.fatal() and producer is self._producer:
                self._producer = None  # it will never take anything again
                self._chore(asyncio.to_thread(_discard, producer, 0))
            raise LogUnavailable(f"{topic}: {error}") from wrong
        except TimeoutError as wrong:
            raise LogUnavailable(f"{topic}: not acknowledged in {self._timeout} s") from wrong

    @staticmethod
    async def _hand_over(producer: Producer, topic: str, entries: Sequence[Entry], reports: Iterable[Report]) -> None:
        for entry, report in zip(entries, reports, strict=False):
            where = _NAMED_BY_KEY if entry.partition is None else entry.partition
            headers: Any = list(entry.headers) if entry.headers else None
            while True:
                try:
                    producer.produce(topic, entry.value, entry.key, where, report, None, 0, headers)  # by position: half the time
                    break
                except BufferError:  # it is full
                    producer.poll(0)
                    await asyncio.sleep(POLL_MAX_S)

    async def _tend(self, producer: Producer) -> None:
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


def _discard(producer: Producer, timeout: float) -> None:
    """In a thread."""
    producer.flush(timeout)
    producer.purge()  # they were never acknowledged
    producer.poll(0)


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
            "queue.buffering.max.kbytes": 65_536,
            **options,
        }
        self._told, self._bulk = _Client(config, timeout), _Client(config | {"delivery.report.only.error": True}, timeout)

    async def __aenter__(self) -> Self:
        self._bulk.ready()  # a new producer asks for its id, half a second if the broker is busy: not when there is something to say
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.gather(self._told.close(), self._bulk.close())

    async def append(self, topic: str, entries: Sequence[Entry]) -> Sequence[Appended]:
        self._check(entries)
        found = _Deliveries()
        reports = [partial(found.reported, index) for index in range(len(entries))]
        await self._told.send(topic, entries, reports, found, lambda _: found.told == len(entries))
        return _Places([found.messages[index] for index in range(len(entries))])

    async def append_all(self, topic: str, entries: Sequence[Entry]) -> None:
        """All are through once the producer holds nothing any more, reports of failures included."""
        self._check(entries)
        found = _Deliveries()
        await self._bulk.send(topic, entries, repeat(found.failed), found, lambda producer: not len(producer))

    def _check(self, entries: Sequence[Entry]) -> None:
        limit = self._max_record_bytes - 1_000
        for entry in entries:
            if len(entry.value) + len(entry.key or b"") > limit:
                raise RecordTooLarge(f"{len(entry.value)} bytes; at most {limit}")

    async def partitions(self, topic: str) -> int:
        try:
            found = (await asyncio.to_thread(self._told.ready().list_topics, topic, self._timeout)).topics[topic]
        except KafkaException as wrong:
            raise LogUnavailable(f"{topic}: {wrong}") from wrong
        if found.error is not None:
            raise LogUnavailable(f"{topic}: {found.error}")
        return len(found.partitions)
