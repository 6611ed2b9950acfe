"""Appending to Kafka: idempotent, acks=all, the partition of the key as Kafka's own clients choose it."""

import asyncio
from collections.abc import Sequence
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from shared.adapters.kafka.bounded import AWAY, STOP_S, ended, within
from shared.ports.log import Appended, Entry, LogUnavailable, RecordTooLarge
from shared.wire.topics import partition_of


class KafkaWriter:
    """`shared.ports.log.LogWriter`. One producer, replaced when an append is given up: a batch of unknown fate must block no later ones."""

    def __init__(self, options: dict[str, Any], *, timeout: float, max_record_bytes: int = 1_100_000, linger_ms: int = 0) -> None:
        self._options = options
        self._timeout = timeout
        self._max_record_bytes = max_record_bytes
        self._linger_ms = linger_ms
        self._producer: AIOKafkaProducer | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._starting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._producer is not None:
            await _discard(self._producer, min(self._timeout, STOP_S))

    async def append(self, topic: str, entries: Sequence[Entry]) -> list[Appended]:
        for entry in entries:
            if len(entry.value) + len(entry.key or b"") > self._max_record_bytes - 1_000:
                raise RecordTooLarge(f"{len(entry.value)} bytes; at most {self._max_record_bytes - 1_000}")
        used: list[AIOKafkaProducer] = []

        async def work() -> list[Any]:
            used.append(producer := await self._ready())
            partitions = len(await producer.partitions_for(topic))
            waiting = [await self._send(producer, topic, entry, partitions) for entry in entries]
            return await asyncio.gather(*waiting)

        try:
            done = await within(work(), self._timeout)
        except (MessageSizeTooLargeError, RecordListTooLargeError) as wrong:
            raise RecordTooLarge(str(wrong)) from wrong
        except AWAY as wrong:
            if used and used[0] is self._producer:
                self._producer = None
                self._give_up(used[0])
            raise LogUnavailable(f"{topic}: {wrong!r}") from wrong
        return [Appended(meta.partition, meta.offset, meta.timestamp) for meta in done]

    async def partitions(self, topic: str) -> int:
        async def work() -> int:
            producer = await self._ready()
            count = len(await producer.partitions_for(topic))
            if not await producer.client.force_metadata_update():  # what is cached says nothing about the broker
                raise LogUnavailable(f"{topic}: the brokers do not answer")
            return count

        try:
            return await within(work(), self._timeout)
        except AWAY as wrong:
            raise LogUnavailable(f"{topic}: {wrong!r}") from wrong

    async def _send(self, producer: AIOKafkaProducer, topic: str, entry: Entry, partitions: int) -> "asyncio.Future[Any]":
        where = entry.partition
        if where is None:
            where = partition_of(entry.key or b"", partitions)
        future: asyncio.Future[Any] = await producer.send(topic, entry.value, entry.key, partition=where, headers=list(entry.headers))
        return future

    async def _ready(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=self._linger_ms,
                    max_batch_size=262_144,
                    max_request_size=self._max_record_bytes,
                    request_timeout_ms=round(self._timeout * 1000),
                    **self._options,
                )
                try:
                    await producer.start()
                except BaseException:
                    self._give_up(producer)
                    raise
                self._producer = producer
            return self._producer

    def _give_up(self, producer: AIOKafkaProducer) -> None:
        closing = asyncio.ensure_future(_discard(producer, 1))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


async def _discard(producer: AIOKafkaProducer, timeout: float) -> None:
    try:
        await within(producer.stop(), timeout)
    except AWAY:
        producer._closed = True  # stop() waits for a broker that is away: give the batches up, they were never acknowledged
        await ended(producer.client.close(), timeout)
