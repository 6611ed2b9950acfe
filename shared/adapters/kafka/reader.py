"""Reading from Kafka: as a member of a group, and stretches of a topic outside any group."""

import contextlib
from collections.abc import Callable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, TopicAuthorizationFailedError
from aiokafka.structs import ConsumerRecord

from shared.adapters.kafka.bounded import AWAY, START_S, STOP_S, ended, within
from shared.ports.log import Batch, LogUnavailable, RebalanceHandler, Record

STALL_S: Final = 60  # a rebalance keeps a fetch waiting, for no longer than the others' sessions last


def _record(message: "ConsumerRecord[bytes | None, bytes | None]") -> Record:
    return Record(
        message.topic, message.partition, message.offset, message.timestamp, message.key, message.value or b"", tuple(message.headers)
    )


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka's base class is untyped
    def __init__(self, on_assigned: RebalanceHandler | None, on_revoked: RebalanceHandler | None) -> None:
        self._on_assigned, self._on_revoked = on_assigned, on_revoked

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        if self._on_assigned is not None:
            await self._on_assigned({(tp.topic, tp.partition) for tp in assigned})

    async def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:
        if self._on_revoked is not None:
            await self._on_revoked({(tp.topic, tp.partition) for tp in revoked})


class KafkaGroupReader:
    """`shared.ports.log.GroupReader`. Starts from the group's committed offsets, else from the beginning."""

    def __init__(
        self,
        options: dict[str, Any],
        topics: list[str],
        group: str,
        *,
        on_assigned: RebalanceHandler | None = None,
        on_revoked: RebalanceHandler | None = None,
        instance: str | None = None,
        timeout: float = 5,
    ) -> None:
        """`instance`: static membership under this name; `timeout`: how long, in s, commits, questions and the end may take."""
        self._timeout = timeout
        self._options, self._topics, self._group, self._instance = options, topics, group, instance
        self._listener = _Listener(on_assigned, on_revoked)
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        consumer = AIOKafkaConsumer(
            group_id=self._group,
            group_instance_id=self._instance,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=10_000,
            heartbeat_interval_ms=1_000,
            max_poll_interval_ms=300_000,
            fetch_max_wait_ms=250,
            max_partition_fetch_bytes=2_000_000,
            **self._options,
        )
        try:
            await within(consumer.start(), START_S)
        except AWAY as wrong:
            await ended(consumer.stop())
            raise LogUnavailable(f"group {self._group}: {wrong!r}") from wrong
        consumer.subscribe(self._topics, listener=self._listener)
        self._consumer = consumer

    async def stop(self) -> None:
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await ended(consumer.stop(), min(self._timeout, STOP_S))

    @property
    def _running(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise LogUnavailable(f"group {self._group}: not started")
        return self._consumer

    async def fetch(self, timeout: float, limit: int) -> list[Batch]:
        consumer = self._running
        try:
            found = await within(consumer.getmany(timeout_ms=round(timeout * 1000), max_records=limit), timeout + STALL_S)
        except AWAY as wrong:
            raise LogUnavailable(f"group {self._group}: {wrong!r}") from wrong
        if not found and consumer._fetcher._fetch_task.done():  # it broke: aiokafka logs that, and gives nothing ever after
            raise LogUnavailable(f"group {self._group}: fetching has ended")
        return [Batch.of([_record(message) for message in messages]) for messages in found.values() if messages]

    def seek(self, topic: str, partition: int, offset: int) -> None:
        with contextlib.suppress(IllegalStateError):  # not assigned any more
            self._running.seek(TopicPartition(topic, partition), offset)

    async def end_offset(self, topic: str, partition: int) -> int:
        known = self._running.highwater(TopicPartition(topic, partition))  # told with every fetch
        if known is not None:
            return int(known)
        return await self._offset(self._running.end_offsets, topic, partition)

    async def beginning_offset(self, topic: str, partition: int) -> int:
        return await self._offset(self._running.beginning_offsets, topic, partition)

    async def _offset(self, ask: Callable[[list[TopicPartition]], Any], topic: str, partition: int) -> int:
        where = TopicPartition(topic, partition)
        try:
            return int((await within(ask([where]), self._timeout))[where])
        except AWAY as wrong:
            raise LogUnavailable(f"{topic}/{partition}: {wrong!r}") from wrong

    async def commit(self, offsets: dict[tuple[str, int], int]) -> None:
        committing = self._running.commit({TopicPartition(*where): offset for where, offset in offsets.items()})
        try:
            await within(committing, self._timeout)
        except AWAY as wrong:
            raise LogUnavailable(f"group {self._group}: offsets not committed: {wrong!r}") from wrong


class KafkaScanner:
    """`shared.ports.log.LogScanner`."""

    def __init__(self, options: dict[str, Any], *, stall: float = 30) -> None:
        self._options, self._stall = options, stall

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        consumer = AIOKafkaConsumer(enable_auto_commit=False, **self._options)
        try:
            await within(consumer.start(), START_S)
            await consumer._client.set_topics([topic])  # asks the broker for this one only
            if not consumer.partitions_for_topic(topic):
                await consumer._client.force_metadata_update()  # an answer that was on its way may be of other topics
            if topic in consumer._client.cluster.unauthorized_topics:  # not an empty topic, of which there is nothing to tell
                raise TopicAuthorizationFailedError(topic)
            where = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]
            first, last = await consumer.beginning_offsets(where), await consumer.end_offsets(where)
            return {tp.partition: (first[tp], last[tp]) for tp in where}
        except AWAY as wrong:
            raise LogUnavailable(f"{topic}: {wrong!r}") from wrong
        finally:
            await ended(consumer.stop())

    async def scan(self, topic: str, partition: int, start: int, end: int, on_records: Callable[[list[Record]], None]) -> None:
        if start >= end:
            return
        where = TopicPartition(topic, partition)
        consumer = AIOKafkaConsumer(enable_auto_commit=False, max_partition_fetch_bytes=4_000_000, **self._options)
        try:
            await within(consumer.start(), START_S)
            consumer.assign([where])
            consumer.seek(where, start)
            while await consumer.position(where) < end:
                found = await within(consumer.getmany(where, timeout_ms=1_000, max_records=5_000), self._stall)
                batch = found.get(where, [])
                on_records([_record(message) for message in batch if message.offset < end])
        except AWAY as wrong:
            raise LogUnavailable(f"{topic}/{partition}: {wrong!r}") from wrong
        finally:
            await ended(consumer.stop())
