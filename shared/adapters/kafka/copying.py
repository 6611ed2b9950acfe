"""A log into more partitions: every record with the arrival it had, and for each vendor in the order it had (decision 19).

2 partitions            4 partitions
0: A1 p B1 A2 p    ──►  0: A1 p A2 p          each new partition is filled from one old one, of which it is a multiple;
                        2: p B1 p             control records (p) go into all that are
"""

import logging
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource

from shared.adapters.kafka.reader import KafkaScanner
from shared.adapters.kafka.topics import EVENTS, Topic, ensure, partitions_of
from shared.ports.log import LogUnavailable, Record
from shared.wire.topics import CONTROL_HEADER, partition_of

_TYPE: Final = "message.timestamp.type"
_FULL_WAIT_S: Final = 1.0
_FLUSH_S: Final = 120.0
_ADMIN_S: Final = 20.0


class NotCopied(Exception):
    """The log cannot be copied as asked; the message says why and what to do."""


def targets(record: Record, before: int, after: int) -> list[int]:
    """Where a record goes: a control record into each partition that is filled from its own, any other to its vendor's."""
    mine = range(record.partition, after, before)
    if record.header(CONTROL_HEADER) is not None:
        return list(mine)
    place = partition_of(record.key or b"", after)
    return [place if place in mine else record.partition]  # what never lay where its key belongs stays with what it lay beside


class _Copy:
    """Records on their way into the new topic."""

    def __init__(self, options: dict[str, Any], topic: str, before: int, after: int) -> None:
        self._topic, self._before, self._after = topic, before, after
        self._error: KafkaError | None = None
        self.written = 0
        settings = {"enable.idempotence": True, "acks": "all", "linger.ms": 50, "message.max.bytes": 2_000_000}
        self._producer = Producer({**settings, **options}, logger=logging.getLogger("librdkafka"))

    def take(self, records: list[Record]) -> None:
        """Append them. Raises LogUnavailable."""
        for record in records:
            for partition in targets(record, self._before, self._after):
                self._append(record, partition)
        self._producer.poll(0)

    def _append(self, record: Record, partition: int) -> None:
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    record.value,
                    record.key,
                    partition=partition,
                    timestamp=record.timestamp,
                    headers=list(record.headers) or None,
                    on_delivery=self._delivered,
                )
            except BufferError:
                self._producer.poll(_FULL_WAIT_S)
            else:
                return

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        self.written += error is None
        self._error = self._error or error

    def finish(self) -> None:
        """Wait until all stands. Raises LogUnavailable."""
        left = self._producer.flush(_FLUSH_S)
        if left or self._error is not None:
            raise LogUnavailable(f"{self._topic}: not all was written ({self._error or f'{left} records wait'})")


async def copy_log(options: dict[str, Any], fast: dict[str, Any], source: str, target: Topic, had: int | None = None) -> int:
    """Copy a topic of events into a new one; how many records that gave. Nobody may write to either meanwhile.

    `options`, `fast`: `connection.connection`, `connection.librdkafka`; `had`: its number of partitions before it was given more, into
    which no event may have come. Raises NotCopied, LogUnavailable.
    """
    has, after = await partitions_of(options, source), target.partitions
    if has is None:
        raise NotCopied(f"there is no topic {source}")
    before = has if had is None else had
    if after % before:
        raise NotCopied(
            f"topic {source} has {before} partitions: give a multiple of them ({2 * before}, {3 * before} …), so that each new one follows "
            "one old one"
        )
    if await partitions_of(options, target.name) is not None:
        raise NotCopied(
            f"topic {target.name} exists: give the name of one that does not; what a copy that broke left behind is to be removed"
        )
    # Records keep the stamps they are given only while their topic takes them, and keep them ever after
    await ensure(options, [target._replace(config={**target.config, _TYPE: "CreateTime"})])
    copy, scanner = _Copy(fast, target.name, before, after), KafkaScanner(options)
    for number, (first, end) in sorted((await scanner.bounds(source)).items()):
        await scanner.scan(source, number, first, end, copy.take if number < before else _no_events)
    copy.finish()
    _stamp_arrivals(fast, target.name)
    return copy.written


def _no_events(records: list[Record]) -> None:
    """Of a partition that was added under a running history: what stands there was never folded beside what it belongs to."""
    for record in records:
        if record.header(CONTROL_HEADER) is None:
            raise NotCopied(
                f"events came into partition {record.partition} after the topic was given more partitions: their vendors' histories "
                "are in two places, and no copy can order them. `slawatch export` still tells all "
                "(docs/guide/operator.md, 'More partitions')"
            )


def _stamp_arrivals(fast: dict[str, Any], topic: str) -> None:
    """From now on arrivals are the broker's. Raises LogUnavailable."""
    entry = ConfigEntry(_TYPE, EVENTS[_TYPE], incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient(fast, logger=logging.getLogger("librdkafka"))  # gone, it would answer nothing more
    try:
        for answer in admin.incremental_alter_configs([resource]).values():
            answer.result(_ADMIN_S)
    except KafkaException as wrong:
        raise LogUnavailable(f"topic {topic}: {_TYPE} cannot be set: {wrong}") from wrong
