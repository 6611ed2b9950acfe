"""Who looks on: pages and terminals hear of every change the moment it is in the ledger, whichever notifier wrote it.

publish ──► readers here
    └────► relay ──► bulletin (PostgreSQL) ──► relay of the other notifiers ──► their readers
"""

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from shared.ports.bulletin import Bulletin, BulletinAway
from shared.ports.time import TimeSource

QUEUE_MAX: Final = 1_000  # changes kept for a reader that is slow; then the oldest go, and it is told how many
KEEPALIVE_S: Final = 15.0  # so that proxies keep the connection, and a reader that left is noticed
RELAY_S: Final = 0.05  # changes wait so long for more: a notice is a transaction
RELAY_RETRY_S: Final = 2.0
REST_S: Final = 0.25  # a page is told at most so often: it fetches what stands now, not each step


class Change(NamedTuple):
    """Something that happened: `verdict`, `delivery` or `action`; `parts` are the parts of the page that show it."""

    kind: str
    vendor: str
    breach_id: str
    parts: frozenset[str]
    data: dict[str, Any]


class Subscription:
    """One reader's bounded queue."""

    def __init__(self, vendor: str | None) -> None:
        self._vendor = vendor
        self._queue: deque[Change] = deque(maxlen=QUEUE_MAX)
        self._woken = asyncio.Event()
        self._missed = 0
        self.closed = False

    def offer(self, change: Change) -> None:
        """Take a change if it is this reader's to see; never waits."""
        if self._vendor is None or self._vendor == change.vendor:
            self._missed += len(self._queue) == QUEUE_MAX
            self._queue.append(change)
            self._woken.set()

    def close(self) -> None:
        """No more comes."""
        self.closed = True
        self._woken.set()

    async def take(self, wait_s: float) -> tuple[list[Change], int]:
        """All that waits, and how many were missed; empty after `wait_s` without any."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._woken.wait()
        changes, missed = list(self._queue), self._missed
        self._queue.clear()
        self._missed = 0
        self._woken.clear()
        return changes, missed


class Hub:
    """Passes changes on to all who look on."""

    def __init__(self) -> None:
        self._readers: set[Subscription] = set()
        self._closed = False
        self._elsewhere: Callable[[Change], None] | None = None

    def publish(self, change: Change) -> None:
        """Something happened here."""
        self.deliver(change)
        if self._elsewhere is not None:
            self._elsewhere(change)

    def deliver(self, change: Change) -> None:
        """Tell those who look on here."""
        for reader in self._readers:
            reader.offer(change)

    def connect(self, elsewhere: Callable[[Change], None]) -> None:
        """What is published goes there, too."""
        self._elsewhere = elsewhere

    def close(self) -> None:
        """End every stream: the process is stopping."""
        self._closed = True
        for reader in self._readers:
            reader.close()

    @contextlib.contextmanager
    def subscribe(self, vendor: str | None) -> Iterator[Subscription]:
        """A reader's queue, of one vendor's changes or all."""
        reader = Subscription(vendor)
        self._readers.add(reader)
        if self._closed:
            reader.close()
        try:
            yield reader
        finally:
            self._readers.discard(reader)


class Relay:
    """Passes changes on to the other notifiers and theirs to our readers. Nothing waits for it, and nothing depends on it but how soon
    a page over there is fresh: while the bulletin is away, or for what does not fit, pages hear that they are stale, not what happened."""

    def __init__(self, hub: Hub, bulletin: Bulletin, time: TimeSource) -> None:
        self._hub, self._bulletin, self._time = hub, bulletin, time
        self._own = secrets.token_hex(6)
        self._waiting: deque[Change] = deque(maxlen=QUEUE_MAX)
        self._woken = asyncio.Event()
        hub.connect(self._offer)

    def _offer(self, change: Change) -> None:
        self._waiting.append(change)
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            with contextlib.suppress(BulletinAway):
                await self._bulletin.open(self._heard)
                while True:
                    await self._woken.wait()
                    await self._time.sleep(RELAY_S)
                    self._woken.clear()
                    while self._waiting:
                        await self._bulletin.post(self._packed())
            await self._bulletin.close()
            await self._time.sleep(RELAY_RETRY_S)

    def _packed(self) -> str:
        """As many changes as fit into one notice; one that is too large goes without its data."""
        packed: list[bytes] = []
        room = self._bulletin.bytes_max - 64
        while self._waiting:
            change = self._waiting[0]
            line = _encoder.encode(change)
            if len(line) > room and not packed:
                line = _encoder.encode(change._replace(data={}))
            if len(line) >= room:
                break
            self._waiting.popleft()
            packed.append(line)
            room -= len(line) + 1
        return f'{{"by":"{self._own}","changes":[{b",".join(packed).decode()}]}}'

    def _heard(self, text: str) -> None:
        try:
            said = _decoder.decode(text)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return  # of another version of slawatch: its pages stay fresh by themselves
        if said.by != self._own:
            for change in said.changes:
                self._hub.deliver(change)


class _Said(msgspec.Struct):
    by: str
    changes: list[Change]


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(_Said)


def _event(name: str, data: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


async def feed(hub: Hub, vendor: str | None) -> AsyncGenerator[bytes, None]:
    """Server-sent events for programs: each change as JSON, named by its kind."""
    with hub.subscribe(vendor) as reader:
        yield b": slawatch\n\n"
        while not reader.closed:
            changes, missed = await reader.take(KEEPALIVE_S)
            if missed:
                yield _event("missed", msgspec.json.encode({"missed": missed}))
            for change in changes:
                if change.data:
                    yield _event(change.kind, msgspec.json.encode(change.data))
            if not changes:
                yield b": still here\n\n"


async def signals(hub: Hub, vendor: str | None) -> AsyncGenerator[bytes, None]:
    """Server-sent events for pages: which parts are stale. The page fetches those; a flood costs it four fetches a second."""
    with hub.subscribe(vendor) as reader:
        yield b"retry: 1000\n\n"
        yield _event("hello", b"")
        while not reader.closed:
            changes, _ = await reader.take(KEEPALIVE_S)
            for part in sorted({part for change in changes for part in change.parts}):
                yield _event(part, b"")
            if changes:
                await asyncio.sleep(REST_S)
            else:
                yield b": still here\n\n"
