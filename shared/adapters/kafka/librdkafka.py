"""librdkafka's own interface (rdkafka.h), by ctypes, for whoever moves thousands of entries with one call.

confluent-kafka makes an object of each, and takes the interpreter's lock for each. The very library that it brings along is called here.
Where it is not found, or the machine is one on which its messages look otherwise, `library` says so, and confluent-kafka does it.
"""

import ctypes
import logging
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException

PRODUCER, CONSUMER = 0, 1
FAILED_DELIVERY, LOG, ERROR = 0x1, 0x4, 0x8  # events
MESSAGE_BYTES: Final = 512
_AT_ONCE: Final = 0x8  # a consumer that has not left its group does not wait for that
_LEVELS: Final = (50, 50, 50, 40, 30, 20, 20, 10)  # of syslog, as Python's logging has them

_logger = logging.getLogger("librdkafka")


class _Message(ctypes.Structure):
    """The beginning of `rd_kafka_message_t`."""

    _fields_ = (("error", ctypes.c_int),)


class Place(ctypes.Structure):
    """`rd_kafka_topic_partition_t`."""

    _fields_ = (
        ("topic", ctypes.c_char_p),
        ("partition", ctypes.c_int32),
        ("offset", ctypes.c_int64),
        ("metadata", ctypes.c_void_p),
        ("metadata_size", ctypes.c_size_t),
        ("opaque", ctypes.c_void_p),
        ("error", ctypes.c_int32),
        ("private", ctypes.c_void_p),
    )


class Places(ctypes.Structure):
    """`rd_kafka_topic_partition_list_t`."""

    _fields_ = (("count", ctypes.c_int), ("size", ctypes.c_int), ("items", ctypes.POINTER(Place)))


PLACES: Final = ctypes.POINTER(Places)
Rebalance: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int32, PLACES, ctypes.c_void_p)


@cache
def library() -> ctypes.CDLL | None:
    """What confluent-kafka has loaded; None where it is not to be found."""
    if sys.byteorder != "little" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    try:
        path = next((file.locate() for file in files("confluent-kafka") or () if file.name.startswith("librdkafka")), None)
    except PackageNotFoundError:
        return None
    if path is None:
        return None
    found = ctypes.CDLL(str(path))
    pointer, text, size, i32, i64 = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int32, ctypes.c_int64
    offset = ctypes.POINTER(i64)
    for name, result, arguments in (
        ("conf_new", pointer, ()),
        ("conf_set", i32, (pointer, text, text, text, size)),
        ("conf_set_events", None, (pointer, i32)),
        ("conf_set_rebalance_cb", None, (pointer, Rebalance)),
        ("conf_destroy", None, (pointer,)),
        ("new", pointer, (i32, pointer, text, size)),
        ("set_log_queue", i32, (pointer, pointer)),
        ("destroy_flags", None, (pointer, i32)),
        ("topic_new", pointer, (pointer, text, pointer)),
        ("topic_destroy", None, (pointer,)),
        ("queue_new", pointer, (pointer,)),
        ("queue_get_main", pointer, (pointer,)),
        ("queue_get_consumer", pointer, (pointer,)),
        ("queue_poll", pointer, (pointer, i32)),
        ("queue_destroy", None, (pointer,)),
        ("event_type", i32, (pointer,)),
        ("event_message_next", ctypes.POINTER(_Message), (pointer,)),
        ("event_error", i32, (pointer,)),
        ("event_error_string", text, (pointer,)),
        ("event_log", i32, (pointer, ctypes.POINTER(text), ctypes.POINTER(text), ctypes.POINTER(i32))),
        ("event_topic_partition_list", PLACES, (pointer,)),
        ("event_destroy", None, (pointer,)),
        ("fatal_error", i32, (pointer, text, size)),
        ("metadata", i32, (pointer, i32, pointer, ctypes.POINTER(pointer), i32)),
        ("metadata_destroy", None, (pointer,)),
        # producers
        ("produce_batch", i32, (pointer, i32, i32, pointer, i32)),
        ("outq_len", i32, (pointer,)),
        ("flush", i32, (pointer, i32)),
        ("purge", i32, (pointer, i32)),
        # consumers
        ("subscribe", i32, (pointer, PLACES)),
        ("seek", i32, (pointer, i32, i64, i32)),
        ("pause_partitions", i32, (pointer, PLACES)),
        ("resume_partitions", i32, (pointer, PLACES)),
        ("incremental_assign", pointer, (pointer, PLACES)),
        ("incremental_unassign", pointer, (pointer, PLACES)),
        ("error_code", i32, (pointer,)),
        ("error_destroy", None, (pointer,)),
        ("topic_partition_list_new", PLACES, (i32,)),
        ("topic_partition_list_add", ctypes.POINTER(Place), (PLACES, text, i32)),
        ("topic_partition_list_destroy", None, (PLACES,)),
        ("get_watermark_offsets", i32, (pointer, text, i32, offset, offset)),
        ("query_watermark_offsets", i32, (pointer, text, i32, offset, offset, i32)),
        ("commit_queue", i32, (pointer, PLACES, pointer, pointer, pointer)),
        ("memberid", pointer, (pointer,)),
        ("mem_free", None, (pointer, pointer)),
        ("consumer_close_queue", pointer, (pointer, pointer)),
        ("consumer_closed", i32, (pointer,)),
    ):
        function = getattr(found, f"rd_kafka_{name}")
        function.restype, function.argtypes = result, arguments
    return found


def _conf(lib: ctypes.CDLL, config: Mapping[str, Any], events: int) -> int:
    """Raises KafkaException."""
    conf, wrong = lib.rd_kafka_conf_new(), ctypes.create_string_buffer(MESSAGE_BYTES)
    for name, value in {**config, "log.queue": True}.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if lib.rd_kafka_conf_set(conf, name.encode(), text.encode(), wrong, MESSAGE_BYTES):
            lib.rd_kafka_conf_destroy(conf)
            raise KafkaException(KafkaError(KafkaError._INVALID_ARG, wrong.value.decode()))
    lib.rd_kafka_conf_set_events(conf, events | LOG | ERROR)
    return conf  # type: ignore[no-any-return]


class Client:
    """A producer or a consumer of librdkafka's, and what it has to say. Its owner sees to it that nobody calls it once it is closed."""

    def __init__(self, kind: int, config: Mapping[str, Any], *, events: int = 0, on_rebalance: Any = None) -> None:
        """`config`: librdkafka's; `events`: beside logs and errors; `on_rebalance`: a `Rebalance`, which the caller keeps.

        Raises KafkaException.
        """
        found = library()
        assert found is not None
        self.library = found
        conf, wrong = _conf(found, config, events), ctypes.create_string_buffer(MESSAGE_BYTES)
        if on_rebalance is not None:
            found.rd_kafka_conf_set_rebalance_cb(conf, on_rebalance)
        self.handle = found.rd_kafka_new(kind, conf, wrong, MESSAGE_BYTES)
        if self.handle is None:
            found.rd_kafka_conf_destroy(conf)
            raise KafkaException(KafkaError(KafkaError._FAIL, wrong.value.decode()))
        found.rd_kafka_set_log_queue(self.handle, None)
        self._events = found.rd_kafka_queue_get_main(self.handle)
        self._topics: dict[str, int] = {}

    def topic(self, name: str) -> int:
        """The handle of a topic."""
        if name not in self._topics:
            self._topics[name] = self.library.rd_kafka_topic_new(self.handle, name.encode(), None)
        return self._topics[name]

    def error(self, code: int) -> KafkaError:
        """What a code of librdkafka's means."""
        return KafkaError(code, None, bool(self.library.rd_kafka_fatal_error(self.handle, None, 0)))

    def hear(self, timeout: float) -> list[KafkaError]:
        """Why entries were not delivered; what librdkafka has to say is logged. `timeout` in s: how long to wait for it."""
        failures: list[KafkaError] = []
        while event := self.library.rd_kafka_queue_poll(self._events, round(timeout * 1_000)):
            try:
                kind = self.library.rd_kafka_event_type(event)
                if kind == FAILED_DELIVERY:
                    while message := self.library.rd_kafka_event_message_next(event):
                        failures.append(self.error(message.contents.error))
                elif kind == LOG:
                    self._log(event)
                elif kind == ERROR:
                    _logger.warning("%s", self.library.rd_kafka_event_error_string(event).decode(errors="replace"))
            finally:
                self.library.rd_kafka_event_destroy(event)
        return failures

    def _log(self, event: int) -> None:
        facility, text, level = ctypes.c_char_p(), ctypes.c_char_p(), ctypes.c_int32()
        if self.library.rd_kafka_event_log(event, ctypes.byref(facility), ctypes.byref(text), ctypes.byref(level)) == 0:
            said = (value.value.decode(errors="replace") if value.value else "" for value in (facility, text))
            _logger.log(_LEVELS[level.value & 7], "%s %s", *said)

    def close(self) -> None:
        """End it, with its threads."""
        for topic in self._topics.values():
            self.library.rd_kafka_topic_destroy(topic)
        self.library.rd_kafka_queue_destroy(self._events)
        self.library.rd_kafka_destroy_flags(self.handle, _AT_ONCE)
