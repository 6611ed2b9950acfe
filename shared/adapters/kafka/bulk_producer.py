"""Appending thousands of entries with one call of librdkafka: nothing is made of an entry, and only failures are told."""

import ctypes
from array import array
from collections.abc import Mapping
from itertools import accumulate, islice
from threading import Lock
from typing import Any, Final, cast

from confluent_kafka import KafkaError

from shared.adapters.kafka.librdkafka import FAILED_DELIVERY, PRODUCER, Client, library
from shared.ports.log import Run

_UNASSIGNED: Final = -1  # a partition: that of the key
_UNCOPIED: Final = 0  # values stay where they are, keys are copied
_IN_FLIGHT, _QUEUED = 0x1, 0x2  # what to purge
_WORDS: Final = 9  # of a message: error, topic, partition, value, its length, key, its length, offset, opaque
_ERROR_BITS: Final = 0xFFFFFFFF  # of a message's first word


def is_there() -> bool:
    """Whether it can be had."""
    return library() is not None


class BulkProducer:
    """A producer of runs. One thread may close it while another uses it, which then finds nothing there and does nothing."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """`config`: librdkafka's. Raises KafkaException."""
        self._client = Client(PRODUCER, {**config, "delivery.report.only.error": True}, events=FAILED_DELIVERY)
        self._library, self._handle = self._client.library, self._client.handle
        self._using = Lock()
        self._is_closed = False
        self._values: list[bytes] = []  # of what may be on its way: librdkafka reads them there
        self.failures: list[KafkaError] = []

    def __len__(self) -> int:
        """How many entries are neither delivered nor told as failed."""
        with self._using:
            return 0 if self._is_closed else self._on_their_way()

    def _on_their_way(self) -> int:
        return cast(int, self._library.rd_kafka_outq_len(self._handle))

    def put(self, topic: str, run: Run) -> None:
        """Hand over entries. Those that are refused at once are among the failures."""
        count, keys, key_lengths = len(run), b"".join(run.keys), array("q", map(len, run.keys))
        messages = array("q", bytes(8 * _WORDS * count))  # filled column by column: a tenth of a microsecond an entry
        messages[3::_WORDS], messages[4::_WORDS] = _places(run.values, run.lengths), array("q", run.lengths)
        messages[5::_WORDS], messages[6::_WORDS] = _places(keys, key_lengths), key_lengths
        partition, at = _UNASSIGNED if run.partition is None else run.partition, messages.buffer_info()[0]
        with self._using:
            if self._is_closed:
                return
            self._values.append(run.values)
            if self._library.rd_kafka_produce_batch(self._client.topic(topic), partition, _UNCOPIED, at, count) != count:
                wrong = [word for word in messages[0::_WORDS] if word & _ERROR_BITS]
                self.failures += [self._client.error(ctypes.c_int32(word).value) for word in wrong]

    def poll(self, timeout: float) -> None:
        """Add to `failures` why entries were not delivered. `timeout` in s: how long to wait for it."""
        with self._using:
            if not self._is_closed:
                self.failures += self._client.hear(timeout)
                if not self._on_their_way():
                    self._values.clear()

    def flush(self, timeout: float) -> None:
        """Wait for what is on its way, at most so many seconds."""
        self._library.rd_kafka_flush(self._handle, round(timeout * 1_000))

    def purge(self) -> None:
        """Give up what is on its way."""
        self._library.rd_kafka_purge(self._handle, _QUEUED | _IN_FLIGHT)

    def close(self) -> None:
        """End it, with its threads: it is of no use from then on."""
        with self._using:
            self._is_closed = True
        self._client.close()


def _places(buffer: bytes, lengths: "array[int]") -> "array[int]":
    """Where in memory the pieces of a buffer begin."""
    begin = ctypes.c_void_p.from_buffer(ctypes.c_char_p(buffer)).value  # `cast` would leave a cycle, which holds the buffer
    return array("q", islice(accumulate(lengths, initial=begin), len(lengths)))
