"""The timers of one log time, in order; those that blind time holds are kept back.

Most clocks stop before they fall due. So a clock only leaves a reminder in the bucket of the time at which it may have to be
called; when that time is near the bucket is opened, and only what still waits becomes a timer.

    reminders:  [bucket][bucket][bucket] …    opened ──►  heap of timers, in order  ──►  called
"""

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple, Protocol

from shared.sla.blindness import Blind, Door
from shared.sla.books import HELD, Book, Timer
from shared.sla.instants import FOREVER

DENSE: Final = 16  # a bucket holds 2^16 ms: for the log time of a partition
SPARSE: Final = 20  # for that of one vendor among many


class Reminded(Protocol):
    """Whoever leaves reminders."""

    def timers(self, start: int, end: int) -> Iterable[Timer]:
        """What it waits for now with `call_at` in [start, end)."""
        ...


class Fired(NamedTuple):
    """A timer whose time has come: `at` is when it is called; `held`: the blind time that kept it back."""

    at: int
    timer: Timer
    number: int  # in order of arming
    book: Book | Reminded  # who is to be woken
    held: Blind | None

    @property
    def point(self) -> int:
        """The instant at which the door had to be open."""
        if self.held is not None:
            return self.at
        return self.timer.instant if self.timer.about is None else self.timer.about


class Timers:
    """Ordered by when they are called, then by instant and key."""

    __slots__ = ("_armed", "_aside", "_buckets", "_grain", "_heap", "_numbers", "_opened", "_watched", "door", "next_at")

    def __init__(self, grain: int = DENSE) -> None:
        """A bucket of reminders holds 2^`grain` ms."""
        self._grain = grain
        self.door = Door()
        self._watched = -FOREVER
        self.next_at = -FOREVER  # nothing is called, nor is what is watched for, before a record whose arrival is later
        self._heap: list[Fired] = []
        self._aside: list[Fired] = []  # their time came while the door was shut
        self._armed = 0
        self._buckets: dict[int, list[Reminded]] = {}
        self._numbers: list[int] = []  # of the buckets, as a heap
        self._opened = -FOREVER  # buckets up to this number

    def arm(self, timer: Timer, book: Book | Reminded) -> None:
        """Wake `book` when log time has passed the timer's `call_at`."""
        self._armed += 1
        heappush(self._heap, Fired(timer.call_at, timer, self._armed, book, None))
        self.next_at = min(self.next_at, timer.call_at)

    def remind(self, call_at: int, book: Reminded) -> None:
        """Ask `book` for its timers when log time comes near `call_at`."""
        number = call_at >> self._grain
        if number <= self._opened:
            for timer in book.timers(call_at, call_at + 1):
                self.arm(timer, book)
            return
        bucket = self._buckets.get(number)
        if bucket is not None:
            bucket.append(book)
            return
        self._buckets[number] = [book]
        heappush(self._numbers, number)
        self.next_at = min(self.next_at, number << self._grain)

    def _open(self, number: int) -> None:
        """Make timers of what a bucket's reminders still stand for."""
        self._opened = number
        start = number << self._grain
        end = start + (1 << self._grain)
        for book in dict.fromkeys(self._buckets.pop(number)):
            for timer in book.timers(start, end):
                self.arm(timer, book)

    def _look_ahead(self) -> None:
        heap, numbers = self._heap, self._numbers
        at = heap[0].at if heap else FOREVER
        self.next_at = min(at, numbers[0] << self._grain, self._watched) if numbers else min(at, self._watched)

    def watch(self, at: int) -> None:
        """Besides timers, log time that passes `at` is to be noticed."""
        self._watched = at
        self._look_ahead()

    @property
    def opened_until(self) -> int:
        """Reminders for earlier instants are timers by now."""
        return -FOREVER if self._opened == -FOREVER else (self._opened + 1) << self._grain

    @property
    def wake_at(self) -> int | None:
        """The earliest instant after which a record makes one fire."""
        heap, numbers = self._heap, self._numbers
        while numbers and (not heap or numbers[0] << self._grain <= heap[0].at):
            self._open(heappop(numbers))
        self._look_ahead()
        return heap[0].at if heap else None

    @property
    def held(self) -> int:
        """How many wait for the door to open."""
        return len(self._aside)

    def until(self, log_time: int) -> Iterator[Fired]:
        """Take out, in order, what is to be called before `log_time` (at equality the record goes first); of what is held, word."""
        heap, numbers = self._heap, self._numbers
        while True:
            while numbers and numbers[0] << self._grain < log_time:
                self._open(heappop(numbers))
            if not heap or heap[0].at >= log_time:
                break
            fired = heappop(heap)
            blind = self.door.blind_at(fired.point)
            if blind is None or (blind.release is not None and blind.release <= fired.at):
                yield fired
            else:
                self._hold(fired, blind)
                yield fired._replace(timer=fired.timer._replace(what=HELD + fired.timer.what), held=None)
        self._look_ahead()

    # -- for checkpoints -------------------------------------------------------------------------------------------

    def state(self) -> tuple[list[Fired], list[Fired], dict[int, list[Reminded]], int, int]:
        """(timers, those held, reminders by bucket, how many were armed, the last bucket opened), besides the door."""
        return self._heap, self._aside, self._buckets, self._armed, self._opened

    def set_state(self, heap: list[Fired], aside: list[Fired], buckets: dict[int, list[Reminded]], armed: int, opened: int) -> None:
        """Go on from there."""
        self._heap, self._aside, self._buckets, self._armed, self._opened = heap, aside, buckets, armed, opened
        heapify(self._heap)
        self._numbers = sorted(buckets)
        self._look_ahead()

    def pulse(self, log_time: int) -> None:
        """The door is open; what waited for it is called at the end of the catch-up."""
        ended = self.door.pulse(log_time)
        if ended is not None:
            waiting, self._aside = self._aside, []
            for fired in waiting:
                self._hold(fired, ended)
            self._look_ahead()

    def _hold(self, fired: Fired, blind: Blind) -> None:
        if blind.release is None:
            self._aside.append(fired)
        else:
            heappush(self._heap, fired._replace(at=blind.release, held=blind))
