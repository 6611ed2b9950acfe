"""From admitted events to the log: duplicates told apart, bytes in flight bounded, nothing counted before the broker has it."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from services.ingest.core import CONFLICT, Admitted, Refused
from services.ingest.metrics import Metrics
from shared.ports.log import Entry, LogUnavailable, LogWriter
from shared.ports.time import TimeSource

REMEMBERED: Final = 100_000  # acknowledged events whose repetition is noticed here; the evaluator notices all


class Full(Exception):
    """No room for more bytes in flight. `own`: the poster's own share is used up, others still have room."""

    def __init__(self, *, own: bool) -> None:
        super().__init__("too many bytes in flight")
        self.own = own


class InFlight:
    """Counts the bytes that requests hold, in all and per poster; one poster gets at most half."""

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most, self._metrics = most, metrics
        self._held: dict[str, int] = {}
        self._total = 0
        metrics.in_flight_max.set(most)

    @contextmanager
    def hold(self, poster: str) -> "Iterator[Hold]":
        """A request's share; released at the end."""
        hold = Hold(self, poster)
        try:
            yield hold
        finally:
            hold.resize(0)

    def change(self, poster: str, more: int) -> None:
        """Book bytes. Raises Full."""
        held = self._held.get(poster, 0) + more
        if more > 0 and held > self._most // 2:
            raise Full(own=True)
        if more > 0 and self._total + more > self._most:
            raise Full(own=False)
        self._total += more
        if held:
            self._held[poster] = held
        else:
            self._held.pop(poster, None)
        self._metrics.in_flight.set(self._total)


class Hold:
    """The bytes of one request."""

    def __init__(self, in_flight: InFlight, poster: str) -> None:
        self._in_flight, self._poster, self._bytes = in_flight, poster, 0

    def resize(self, size: int) -> None:
        """The request holds this many bytes now. Raises Full."""
        self._in_flight.change(self._poster, size - self._bytes)
        self._bytes = size


class Outcome(NamedTuple):
    """What became of a batch: `refused` pairs a position in the batch with the reason."""

    accepted: int
    duplicates: int
    refused: list[tuple[int, Refused]]


def _key(event: Admitted) -> bytes:
    return hashlib.blake2b(event.identity.encode(), digest_size=16).digest()


class Pipeline:
    """Writes admitted events to the topic and remembers what the broker acknowledged."""

    def __init__(self, log: LogWriter, topic: str, time: TimeSource, metrics: Metrics, *, remembered: int = REMEMBERED) -> None:
        self._log, self._topic, self._time, self._metrics = log, topic, time, metrics
        self._remembered = remembered
        self._known: OrderedDict[bytes, bytes] = OrderedDict()  # identity's hash -> content's digest

    async def append(self, events: Sequence[Admitted]) -> Outcome:
        """Append what is new; returns when the broker has all of it. Raises LogUnavailable: then nothing of it is acknowledged."""
        fresh: dict[bytes, Admitted] = {}
        duplicates: list[str] = []  # their vendors
        refused: list[tuple[int, Refused]] = []
        for position, event in enumerate(events):
            key = _key(event)
            known = fresh[key].digest if key in fresh else self._known.get(key)
            if known is None:
                fresh[key] = event
            elif known == event.digest:
                duplicates.append(event.vendor)
            else:
                detail = (
                    "an event of this vendor, source and id but other content was taken before; a correction has its own id and `replaces`"
                )
                refused.append((position, Refused(CONFLICT, detail, "/id", event.id, event.vendor)))
        if fresh:
            await self._write(list(fresh.values()))
            self._remember(fresh)
        for vendor in duplicates:
            self._metrics.count_duplicate(vendor)
        return Outcome(len(fresh), len(duplicates), refused)

    async def _write(self, events: list[Admitted]) -> None:
        began = self._time.monotonic()
        try:
            await self._log.append(self._topic, [Entry(event.vendor.encode(), event.value) for event in events])
        except LogUnavailable:
            self._metrics.produce_failures.inc()
            raise
        self._metrics.produced.observe(self._time.monotonic() - began)
        now = self._time.wall()
        for event in events:
            self._metrics.count_accepted(event.vendor, (now - event.time) / 1000)

    def _remember(self, acknowledged: dict[bytes, Admitted]) -> None:
        for key, event in acknowledged.items():
            self._known[key] = event.digest
            self._known.move_to_end(key)
        while len(self._known) > self._remembered:
            self._known.popitem(last=False)
