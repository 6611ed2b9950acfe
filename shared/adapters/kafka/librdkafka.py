"""librdkafka's own interface (rdkafka.h), for appending thousands of entries with one call.

confluent-kafka takes records one by one, makes an object of each that is delivered, and takes the interpreter's lock for each. The very
library that it brings along is called here: nothing is made of an entry, and only failures are told. Where the library is not found, or
the machine is one on which its messages look otherwise, `is_there` says so, and FastWriter does without.
"""

import ctypes
import logging
import sys
from array import array
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from itertools import accumulate, islice
from threading import Lock
from typing import Any, Final, cast

from confluent_kafka import KafkaError, KafkaException

from shared.ports.log import Run

_PRODUCER: Final = 0
_UNASSIGNED: Final = -1  # a partition: that of the key
_COPY: Final = 2  # the entries' bytes are copied: they need not outlive the call
_FAILED_DELIVERY, _LOG, _ERROR = 0x1, 0x4, 0x8  # events
_IN_FLIGHT, _QUEUED = 0x1, 0x2  # what to purge
_WORDS: Final = 9  # of a message: error, topic, partition, value, its length, key, its length, offset, opaque
_OURS: Final = {"log.queue": True, "delivery.report.only.error": True}
_ERROR_BITS: Final = 0xFFFFFFFF  # of a message's first word
_LEVELS: Final = (50, 50, 50, 40, 30, 20, 20, 10)  # of syslog, as Python's logging has them
_MESSAGE_BYTES: Final = 512

_logger = logging.getLogger("librdkafka")


class _Message(ctypes.Structure):
    """The beginning of `rd_kafka_message_t`."""

    _fields_ = (("error", ctypes.c_int),)


@cache
def _library() -> ctypes.CDLL | None:
    """What confluent-kafka has loaded; None where it is not to be found."""
    if sys.byteorder != "little" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    try:
        path = next((file.locate() for file in files("confluent-kafka") or () if file.name.startswith("librdkafka")), None)
    except PackageNotFoundError:
        return None
    if path is None:
        return None
    library = ctypes.CDLL(str(path))
    pointer, text, size, i32 = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int32
    for name, result, arguments in (
        ("conf_new", pointer, ()),
        ("conf_set", i32, (pointer, text, text, text, size)),
        ("conf_set_events", None, (pointer, i32)),
        ("conf_destroy", None, (pointer,)),
        ("new", pointer, (i32, pointer, text, size)),
        ("set_log_queue", i32, (pointer, pointer)),
        ("topic_new", pointer, (pointer, text, pointer)),
        ("topic_destroy", None, (pointer,)),
        ("produce_batch", i32, (pointer, i32, i32, pointer, i32)),
        ("outq_len", i32, (pointer,)),
        ("queue_get_main", pointer, (pointer,)),
        ("queue_poll", pointer, (pointer, i32)),
        ("queue_destroy", None, (pointer,)),
        ("event_type", i32, (pointer,)),
        ("event_message_next", ctypes.POINTER(_Message), (pointer,)),
        ("event_error_string", text, (pointer,)),
        ("event_log", i32, (pointer, ctypes.POINTER(text), ctypes.POINTER(text), ctypes.POINTER(i32))),
        ("event_destroy", None, (pointer,)),
        ("fatal_error", i32, (pointer, text, size)),
        ("flush", i32, (pointer, i32)),
        ("purge", i32, (pointer, i32)),
        ("destroy", None, (pointer,)),
    ):
        function = getattr(library, f"rd_kafka_{name}")
        function.restype, function.argtypes = result, arguments
    return library


def is_there() -> bool:
    """Whether the library can be called."""
    return _library() is not None


def _conf(library: ctypes.CDLL, config: Mapping[str, Any]) -> int:
    """Raises KafkaException."""
    conf, wrong = library.rd_kafka_conf_new(), ctypes.create_string_buffer(_MESSAGE_BYTES)
    for name, value in config.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if library.rd_kafka_conf_set(conf, name.encode(), text.encode(), wrong, _MESSAGE_BYTES):
            library.rd_kafka_conf_destroy(conf)
            raise KafkaException(KafkaError(KafkaError._INVALID_ARG, wrong.value.decode()))
    library.rd_kafka_conf_set_events(conf, _FAILED_DELIVERY | _LOG | _ERROR)
    return conf  # type: ignore[no-any-return]


class BulkProducer:
    """A producer of runs. One thread may close it while another uses it, which then finds nothing there and does nothing."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """`config`: librdkafka's. Raises KafkaException."""
        library = _library()
        assert library is not None
        self._library = library
        conf, wrong = _conf(library, {**config, **_OURS}), ctypes.create_string_buffer(_MESSAGE_BYTES)
        handle = library.rd_kafka_new(_PRODUCER, conf, wrong, _MESSAGE_BYTES)
        if handle is None:
            library.rd_kafka_conf_destroy(conf)
            raise KafkaException(KafkaError(KafkaError._FAIL, wrong.value.decode()))
        self._handle = handle
        library.rd_kafka_set_log_queue(handle, None)
        self._events = library.rd_kafka_queue_get_main(handle)
        self._topics: dict[str, int] = {}
        self._using = Lock()
        self._is_closed = False
        self.failures: list[KafkaError] = []

    def __len__(self) -> int:
        """How many entries are neither delivered nor told as failed."""
        with self._using:
            return 0 if self._is_closed else cast(int, self._library.rd_kafka_outq_len(self._handle))

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
            if self._library.rd_kafka_produce_batch(self._topic(topic), partition, _COPY, at, count) != count:
                self.failures += [self._error(ctypes.c_int32(word).value) for word in messages[0::_WORDS] if word & _ERROR_BITS]

    def _error(self, code: int) -> KafkaError:
        return KafkaError(code, None, bool(self._library.rd_kafka_fatal_error(self._handle, None, 0)))

    def _topic(self, name: str) -> int:
        if name not in self._topics:
            self._topics[name] = self._library.rd_kafka_topic_new(self._handle, name.encode(), None)
        return self._topics[name]

    def poll(self, timeout: float) -> None:
        """Add to `failures` why entries were not delivered, and log what librdkafka has to say. `timeout` in s: how long to wait for it."""
        with self._using:
            while not self._is_closed and (event := self._library.rd_kafka_queue_poll(self._events, round(timeout * 1_000))):
                self._hear(event)

    def _hear(self, event: int) -> None:
        try:
            kind = self._library.rd_kafka_event_type(event)
            if kind == _FAILED_DELIVERY:
                while message := self._library.rd_kafka_event_message_next(event):
                    self.failures.append(self._error(message.contents.error))
            elif kind == _LOG:
                self._log(event)
            elif kind == _ERROR:
                _logger.warning("%s", self._library.rd_kafka_event_error_string(event).decode(errors="replace"))
        finally:
            self._library.rd_kafka_event_destroy(event)

    def _log(self, event: int) -> None:
        facility, text, level = ctypes.c_char_p(), ctypes.c_char_p(), ctypes.c_int32()
        if self._library.rd_kafka_event_log(event, ctypes.byref(facility), ctypes.byref(text), ctypes.byref(level)) == 0:
            said = (value.value.decode(errors="replace") if value.value else "" for value in (facility, text))
            _logger.log(_LEVELS[level.value & 7], "%s %s", *said)

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
        for topic in self._topics.values():
            self._library.rd_kafka_topic_destroy(topic)
        self._library.rd_kafka_queue_destroy(self._events)
        self._library.rd_kafka_destroy(self._handle)


def _places(buffer: bytes, lengths: "array[int]") -> "array[int]":
    """Where in memory the pieces of a buffer begin."""
    begin = ctypes.c_void_p.from_buffer(ctypes.c_char_p(buffer)).value  # `cast` would leave a cycle, which holds the buffer
    return array("q", islice(accumulate(lengths, initial=begin), len(lengths)))
