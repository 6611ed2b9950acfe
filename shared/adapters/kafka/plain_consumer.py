"""A consumer as confluent-kafka has it: an object for each record, of which columns are made. Where native code is not built."""

import logging
from array import array
from collections.abc import Iterable
from itertools import accumulate, groupby
from typing import Any

from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka import Consumer as Confluent

from shared.adapters.kafka.consumers import OnAssigned, OnRevoked, Taken
from shared.ports.log import Batch


class PlainConsumer:
    """`shared.adapters.kafka.consumers.Consumer`.

    confluent-kafka lets one call at a time into a consumer: questions wait until the thread has taken what it is taking. A commit that
    waits for a rebalance even keeps out who would serve it, until `socket.timeout.ms` is over.
    """

    def __init__(self, config: dict[str, Any], topic: str, on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        """`config`: librdkafka's. Raises KafkaException."""
        self._topic, self._on_assigned, self._on_revoked = topic, on_assigned, on_revoked
        self._consumer = Confluent(config, logger=logging.getLogger("librdkafka"))
        self._ends: dict[int, int] = {}

    def reach(self, timeout: float) -> None:
        self._consumer.list_topics(self._topic, timeout)

    def join(self) -> None:
        self._consumer.subscribe([self._topic], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke)

    def _assign(self, consumer: Confluent, partitions: list[TopicPartition]) -> None:
        begins = self._on_assigned({place.partition for place in partitions})
        for place in partitions:
            place.offset = begins.get(place.partition, OFFSET_INVALID)
        consumer.incremental_assign(partitions)

    def _revoke(self, consumer: Confluent, partitions: list[TopicPartition]) -> None:
        gone = {place.partition for place in partitions}
        self._on_revoked(gone)
        self._ends = {partition: end for partition, end in self._ends.items() if partition not in gone}
        consumer.incremental_unassign(partitions)

    def take(self, limit: int, timeout: float) -> Taken:
        messages = self._consumer.consume(limit, 0)  # it would wait for all of them
        if not messages and (messages := self._consumer.consume(1, timeout)):
            messages += self._consumer.consume(limit, 0)
        trouble = next((error for message in messages if (error := message.error()) is not None), None)
        taken = Taken(_columns(self._topic, [message for message in messages if message.error() is None]), trouble)
        for batch in taken.batches:
            known = self._consumer.get_watermark_offsets(TopicPartition(self._topic, batch.partition), cached=True)
            if known is not None and known[1] >= 0:
                self._ends[batch.partition] = known[1]
        return taken

    def seek(self, partition: int, offset: int | None) -> None:
        place = TopicPartition(self._topic, partition)
        if offset is None:
            self._consumer.pause([place])
            return
        self._consumer.resume([place])
        place.offset = offset
        self._consumer.seek(place)

    def member(self) -> str:
        return self._consumer.memberid() or ""

    def end_seen(self, partition: int) -> int | None:
        return self._ends.get(partition)  # asking the consumer would wait for the thread

    def bounds(self, partition: int, timeout: float) -> tuple[int, int]:
        found = self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), timeout=timeout)
        if found is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return found

    def commit(self, offsets: dict[int, int], timeout: float) -> None:
        places = [TopicPartition(self._topic, partition, offset) for partition, offset in offsets.items()]
        for place in self._consumer.commit(offsets=places, asynchronous=False) or ():
            if place.error is not None:
                raise KafkaException(place.error)

    def close(self) -> None:
        self._consumer.close()


def _columns(topic: str, messages: list[Message]) -> list[Batch]:
    """A tenth of a microsecond a record counts here: all that is done for each is done by methods of C, mapped."""
    by_partition: dict[int, list[Message]] = {}
    for partition, run in groupby(messages, Message.partition):  # a partition's come in long runs
        by_partition.setdefault(partition, []).extend(run)  # type: ignore[arg-type]  # only errors lack it
    return [_batch(topic, partition, those) for partition, those in by_partition.items()]


def _batch(topic: str, partition: int, messages: list[Message]) -> Batch:
    values: list[Any] = list(map(Message.value, messages))
    if not all(values):
        values = [value or b"" for value in values]
    offsets: Iterable[Any] = map(Message.offset, messages)  # only errors lack it
    keys: list[Any] = list(map(Message.key, messages))
    stamps = (stamp for _, stamp in map(Message.timestamp, messages))
    found = any(map(Message.headers, messages))
    headers: dict[int, Any] = {at: those for at, message in enumerate(messages) if (those := message.headers())} if found else {}
    ends = array("q", accumulate(map(len, values)))
    return Batch(topic, partition, array("q", offsets), array("q", stamps), keys, b"".join(values), ends, headers)
