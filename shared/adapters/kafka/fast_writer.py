"""Appending to Kafka with librdkafka, the evaluator's way: idempotent, acks=all, the key's partition as Kafka's own clients choose it."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from threading import Thread
from typing import Any, Final, Self, overload

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from shared.ports.log import Appended, Entry, LogUnavailable, RecordTooLarge

STOP_S: Final = 2  # at the end nobody waits for an append any more
POLL_S: Final = 0.1
FULL_WAIT_S: Final = 0.01
_NAMED_BY_KEY: Final = -1


class _Places(Sequence[Appended]):
    """Where delivered messages stand, made when it is asked for: of ticks it is, of a thousand verdicts it is not."""

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


class _Batch:
    """The entries of one append: counted as they are delivered, in librdkafka's thread; one future for all."""

    def __init__(self, size: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._messages: list[Message | None] = [None] * size
        self._left = size
        self._error: KafkaError | None = None
        self.done: asyncio.Future[Sequence[Appended]] = self._loop.create_future()

    def delivered(self, index: int, error: KafkaError | None, message: Message) -> None:
        """Called once for every entry."""
        if error is None:
            self._messages[index] = message
        else:
            self._error = error
        self._left -= 1
        if not self._left and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if self.done.done():
            return  # given up
        if self._error is None:
            self.done.set_result(_Places([message for message in self._messages if message is not None]))
        else:
            self.done.set_exception(KafkaException(self._error))


class FastWriter:
    """`shared.ports.log.LogWriter`. An append that is given up may still arrive within the time limit, never later."""

    def __init__(self, options: dict[str, Any], *, timeout: float, max_record_bytes: int = 1_100_000, linger_ms: int = 0) -> None:
        """`options`: `connection.librdkafka`; `timeout` in s."""
        self._timeout, self._max_record_bytes = timeout, max_record_bytes
        limit_ms = round(timeout * 1000)
        self._config = {
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
        self._producer: Producer | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._producer is not None:
            await asyncio.to_thread(self._discard, self._producer, min(self._timeout, STOP_S))

    async def append(self, topic: str, entries: Sequence[Entry]) -> Sequence[Appended]:
        if not entries:
            return []
        for entry in entries:
            if len(entry.value) + len(entry.key or b"") > self._max_record_bytes - 1_000:
                raise RecordTooLarge(f"{len(entry.value)} bytes; at most {self._max_record_bytes - 1_000}")
        producer, batch, sent = self._ready(), _Batch(len(entries)), 0
        try:
            async with asyncio.timeout(self._timeout):
                while (sent := self._produce(producer, topic, entries, sent, batch)) < len(entries):  # noqa: ASYNC110
                    await asyncio.sleep(FULL_WAIT_S)  # the buffer is full: librdkafka tells nobody when it no longer is
                return await batch.done
        except KafkaException as wrong:
            error: KafkaError = wrong.args[0]
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                raise RecordTooLarge(f"{topic}: {error}") from wrong
            if error.fatal() and producer is self._producer:
                self._producer = None  # it will never take anything again
                self._discarding = asyncio.ensure_future(asyncio.to_thread(self._discard, producer, 0))
            raise LogUnavailable(f"{topic}: {error}") from wrong
        except TimeoutError as wrong:
            raise LogUnavailable(f"{topic}: not acknowledged in {self._timeout} s") from wrong

    @staticmethod
    def _produce(producer: Producer, topic: str, entries: Sequence[Entry], start: int, batch: _Batch) -> int:
        """Hand over entries from `start` on, until all are (their number) or the buffer is full. Raises KafkaException."""
        for index in range(start, len(entries)):
            key, value, headers, where = entries[index]
            try:
                producer.produce(
                    topic,
                    value,
                    key,
                    partition=_NAMED_BY_KEY if where is None else where,
                    headers=list(headers) if headers else None,
                    on_delivery=partial(batch.delivered, index),
                )
            except BufferError:
                return index
        return len(entries)

    async def partitions(self, topic: str) -> int:
        try:
            found = (await asyncio.to_thread(self._ready().list_topics, topic, self._timeout)).topics[topic]
        except KafkaException as wrong:
            raise LogUnavailable(f"{topic}: {wrong}") from wrong
        if found.error is not None:
            raise LogUnavailable(f"{topic}: {found.error}")
        return len(found.partitions)

    def _ready(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(self._config, logger=logging.getLogger("librdkafka"))
            Thread(target=self._deliver, args=(self._producer,), name="kafka-writer", daemon=True).start()
        return self._producer

    def _deliver(self, producer: Producer) -> None:
        """In a thread: call deliveries back as they come, for as long as the producer is in use."""
        while producer is self._producer:
            producer.poll(POLL_S)

    def _discard(self, producer: Producer, timeout: float) -> None:
        producer.flush(timeout)
        self._producer = None if self._producer is producer else self._producer
        producer.purge()  # they were never acknowledged
        producer.poll(0)
