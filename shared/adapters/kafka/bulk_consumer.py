"""A consumer by librdkafka's own interface: records are made into columns by native code (`native/`, decision 46), without the
interpreter's lock and without an object for each. Calls do not wait for each other.
"""

import ctypes
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from itertools import accumulate
from pathlib import Path
from struct import unpack_from
from threading import Lock
from typing import Any, Final, overload

from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException

from shared.adapters.kafka.consumers import OnAssigned, OnRevoked, Taken
from shared.adapters.kafka.librdkafka import CONSUMER, Client, Rebalance, library
from shared.ports.log import Batch, Headers

LIBRARY: Final = Path(__file__).with_name("native") / "libcolumns.so"
_SEEK_MS: Final = 5_000
_LEFT: Final = 10_000  # records that come while the group is taken leave of: nobody wants them
_LEAVE_POLLS, _LEAVE_POLL_MS = 20, 100  # how long the group is taken leave of: a broker that is away notices by itself
_HEAD: Final = "<II"  # of a record's headers: its position, how many


class _Part(ctypes.Structure):
    """Records of one partition (`Part` in native/src/lib.rs)."""

    _fields_ = (
        ("partition", ctypes.c_int64),
        ("count", ctypes.c_int64),
        ("offsets", ctypes.c_void_p),
        ("stamps", ctypes.c_void_p),
        ("ends", ctypes.c_void_p),
        ("block", ctypes.c_void_p),
        ("block_length", ctypes.c_int64),
        ("key_lengths", ctypes.c_void_p),
        ("keys", ctypes.c_void_p),
        ("keys_length", ctypes.c_int64),
        ("headers", ctypes.c_void_p),
        ("headers_length", ctypes.c_int64),
    )


class _Taken(ctypes.Structure):
    """`Taken` in native/src/lib.rs."""

    _fields_ = (
        ("parts", ctypes.POINTER(_Part)),
        ("count", ctypes.c_int64),
        ("error", ctypes.c_int64),
        ("text", ctypes.c_void_p),
        ("text_length", ctypes.c_int64),
    )


@cache
def _columns() -> ctypes.CDLL | None:
    if not LIBRARY.exists():
        return None
    found = ctypes.CDLL(str(LIBRARY))
    pointer, i64 = ctypes.c_void_p, ctypes.c_int64
    found.columns_new.restype = pointer
    found.columns_free.argtypes, found.columns_free.restype = (pointer,), None
    found.columns_take.argtypes, found.columns_take.restype = (pointer, pointer, pointer, i64, i64, ctypes.POINTER(_Taken)), i64
    return found


def is_there() -> bool:
    """Whether it can be had."""
    return library() is not None and _columns() is not None


class _Keys(Sequence[bytes | None]):
    """Keys of records, cut when they are asked for: hardly ever."""

    def __init__(self, keys: bytes, lengths: "array[int]") -> None:
        """`lengths`: -1 where there is none."""
        self._keys, self._lengths = keys, lengths

    @cached_property
    def _cut(self) -> list[bytes | None]:
        ends = accumulate(max(length, 0) for length in self._lengths)
        return [None if length < 0 else self._keys[end - length : end] for length, end in zip(self._lengths, ends, strict=True)]

    def __len__(self) -> int:
        return len(self._lengths)

    @overload
    def __getitem__(self, index: int) -> bytes | None: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes | None]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes | None] | None:
        return self._cut[index]


def _array(kind: str, at: int, count: int) -> "array[int]":
    found = array(kind)
    found.frombytes(ctypes.string_at(at, count * found.itemsize))
    return found


def _headers(packed: bytes) -> dict[int, Headers]:
    """By position, as native code has packed them."""
    found: dict[int, Headers] = {}
    at = 0

    def text() -> bytes:
        nonlocal at
        (length,) = unpack_from("<I", packed, at)
        at += 4 + length
        return packed[at - length : at]

    while at < len(packed):
        position, count = unpack_from(_HEAD, packed, at)
        at += 8
        found[position] = [(text().decode(errors="replace"), text()) for _ in range(count)]
    return found


def _batch(topic: str, part: _Part) -> Batch:
    keys = _Keys(ctypes.string_at(part.keys, part.keys_length), _array("i", part.key_lengths, part.count))
    offsets, stamps, ends = (_array("q", at, part.count) for at in (part.offsets, part.stamps, part.ends))
    headers = _headers(ctypes.string_at(part.headers, part.headers_length)) if part.headers_length else {}
    return Batch(topic, part.partition, offsets, stamps, keys, ctypes.string_at(part.block, part.block_length), ends, headers)


class BulkConsumer:
    """`shared.adapters.kafka.consumers.Consumer`."""

    def __init__(self, config: dict[str, Any], topic: str, on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        """`config`: librdkafka's. Raises KafkaException."""
        columns = _columns()
        assert columns is not None
        self._columns, self._topic, self._on_assigned, self._on_revoked = columns, topic, on_assigned, on_revoked
        self._rebalanced = Rebalance(self._rebalance)  # librdkafka keeps no hold of it
        self._client = Client(CONSUMER, config, on_rebalance=self._rebalanced)
        self._library, self._handle = self._client.library, self._client.handle
        self._queue = self._library.rd_kafka_queue_get_consumer(self._handle)
        names = ("consume_batch_queue", "message_timestamp", "message_headers", "header_get_all", "message_destroy")
        functions = (ctypes.cast(getattr(self._library, f"rd_kafka_{name}"), ctypes.c_void_p).value for name in names)
        self._calls = (ctypes.c_void_p * len(names))(*functions)
        self._taker, self._taken = columns.columns_new(), _Taken()
        self._asking = Lock()
        self._is_closed = False
        self._failure: Exception | None = None  # of a rebalance

    @contextmanager
    def _open(self) -> Iterator[None]:
        """Questions are put one at a time, and none once it is closed."""
        with self._asking:
            if self._is_closed:
                raise KafkaException(KafkaError(KafkaError._DESTROY))
            yield

    def _check(self, code: int) -> None:
        if code:
            raise KafkaException(self._client.error(code))

    def reach(self, timeout: float) -> None:
        with self._open():
            found = ctypes.c_void_p()
            topic = self._client.topic(self._topic)
            self._check(self._library.rd_kafka_metadata(self._handle, 0, topic, ctypes.byref(found), round(timeout * 1_000)))
            self._library.rd_kafka_metadata_destroy(found)

    def join(self) -> None:
        with self._places({-1: OFFSET_INVALID}) as topics:
            self._check(self._library.rd_kafka_subscribe(self._handle, topics))

    @contextmanager
    def _places(self, offsets: dict[int, int]) -> "Iterator[ctypes._Pointer[Any]]":
        places = self._library.rd_kafka_topic_partition_list_new(len(offsets))
        try:
            for partition, offset in offsets.items():
                self._library.rd_kafka_topic_partition_list_add(places, self._topic.encode(), partition).contents.offset = offset
            yield places
        finally:
            self._library.rd_kafka_topic_partition_list_destroy(places)

    # -- in the thread that takes ----------------------------------------------------------------------------------

    def take(self, limit: int, timeout: float) -> Taken:
        taken = self._take(limit, round(timeout * 1_000))
        self._client.hear(0)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        trouble = None
        if taken.error:
            text = ctypes.string_at(taken.text, taken.text_length).decode(errors="replace")
            trouble = KafkaError(taken.error, text, self._client.error(taken.error).fatal())
        return Taken([_batch(self._topic, taken.parts[number]) for number in range(taken.count)], trouble)

    def _take(self, limit: int, timeout_ms: int) -> _Taken:
        taken = self._taken
        if self._columns.columns_take(self._taker, self._calls, self._queue, limit, timeout_ms, ctypes.byref(taken)) < 0:
            raise KafkaException(KafkaError(KafkaError._FAIL, "native code failed at taking; the message is on stderr"))
        return taken

    def seek(self, partition: int, offset: int | None) -> None:
        with self._places({partition: OFFSET_INVALID}) as places:
            if offset is None:
                self._check(self._library.rd_kafka_pause_partitions(self._handle, places))
                return
            self._check(self._library.rd_kafka_resume_partitions(self._handle, places))
        self._check(self._library.rd_kafka_seek(self._client.topic(self._topic), partition, offset, _SEEK_MS))

    def _rebalance(self, handle: int, code: int, places: Any, _opaque: int | None) -> None:
        """By librdkafka, while records are taken or it is closed: nothing may be raised, and it waits for the answer."""
        those = [places.contents.items[number] for number in range(places.contents.count)]
        try:
            if code == KafkaError._ASSIGN_PARTITIONS:
                begins = self._on_assigned({place.partition for place in those})
                for place in those:
                    place.offset = begins.get(place.partition, OFFSET_INVALID)
            else:
                self._on_revoked({place.partition for place in those})
        except Exception as wrong:  # noqa: BLE001 - raised by `take`
            self._failure = wrong
        answer = (
            self._library.rd_kafka_incremental_assign
            if code == KafkaError._ASSIGN_PARTITIONS
            else self._library.rd_kafka_incremental_unassign
        )
        if error := answer(handle, places):
            self._failure = self._failure or KafkaException(KafkaError(self._library.rd_kafka_error_code(error)))
            self._library.rd_kafka_error_destroy(error)

    def close(self) -> None:
        if error := self._library.rd_kafka_consumer_close_queue(self._handle, self._queue):
            self._library.rd_kafka_error_destroy(error)  # it has failed for good already
        for _ in range(_LEAVE_POLLS):
            if self._library.rd_kafka_consumer_closed(self._handle):
                break
            self._take(_LEFT, _LEAVE_POLL_MS)  # rebalances are told while records are taken
        with self._asking:
            self._is_closed = True
        self._library.rd_kafka_queue_destroy(self._queue)
        self._columns.columns_free(self._taker)
        self._client.close()

    # -- questions -------------------------------------------------------------------------------------------------

    def member(self) -> str:
        name = self._library.rd_kafka_memberid(self._handle)
        if not name:
            return ""
        try:
            return (ctypes.cast(name, ctypes.c_char_p).value or b"").decode()
        finally:
            self._library.rd_kafka_mem_free(self._handle, name)

    def end_seen(self, partition: int) -> int | None:
        low, high = ctypes.c_int64(-1), ctypes.c_int64(-1)
        found = self._library.rd_kafka_get_watermark_offsets(
            self._handle, self._topic.encode(), partition, ctypes.byref(low), ctypes.byref(high)
        )
        return None if found or high.value < 0 else high.value

    def bounds(self, partition: int, timeout: float) -> tuple[int, int]:
        low, high = ctypes.c_int64(), ctypes.c_int64()
        with self._open():
            ask: Callable[..., int] = self._library.rd_kafka_query_watermark_offsets
            self._check(ask(self._handle, self._topic.encode(), partition, ctypes.byref(low), ctypes.byref(high), round(timeout * 1_000)))
        return low.value, high.value

    def commit(self, offsets: dict[int, int], timeout: float) -> None:
        """What is not answered in time may be committed all the same."""
        with self._open():
            answers = self._library.rd_kafka_queue_new(self._handle)
            try:
                with self._places(offsets) as places:
                    self._check(self._library.rd_kafka_commit_queue(self._handle, places, answers, None, None))
                event = self._library.rd_kafka_queue_poll(answers, round(timeout * 1_000))
                if not event:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
                try:
                    self._check(self._library.rd_kafka_event_error(event))
                    told = self._library.rd_kafka_event_topic_partition_list(event).contents
                    for number in range(told.count):
                        self._check(told.items[number].error)
                finally:
                    self._library.rd_kafka_event_destroy(event)
            finally:
                self._library.rd_kafka_queue_destroy(answers)
