"""The timers of one log time, in order; those that blind time holds are kept back."""

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from shared.sla.blindness import Blind, Door
from shared.sla.books import Book, Timer


class Fired(NamedTuple):
    """A timer whose time has come: `at` is when it is called; `held`: the blind time that kept it back."""

    at: int
    timer: Timer
    number: int  # in order of arming
    book: Book
    held: Blind | None

    @property
    def point(self) -> int:
        """The instant at which the door had to be open."""
        if self.held is not None:
            return self.at
        return self.timer.instant if self.timer.about is None else self.timer.about


class Timers:
    """Ordered by when they are called, then by instant and key."""

    __slots__ = ("_armed", "_aside", "_heap", "door")

    def __init__(self) -> None:
        self.door = Door()
        self._heap: list[Fired] = []
        self._aside: list[Fired] = []  # their time came while the door was shut
        self._armed = 0

    def arm(self, timer: Timer, book: Book) -> None:
        """Wake `book` when log time has passed the timer's `call_at`."""
        self._armed += 1
        heappush(self._heap, Fired(timer.call_at, timer, self._armed, book, None))

    @property
    def wake_at(self) -> int | None:
        """The earliest instant after which a record makes one fire."""
        return self._heap[0].at if self._heap else None

    @property
    def held(self) -> int:
        """How many wait for the door to open."""
        return len(self._aside)

    def until(self, log_time: int) -> Iterator[Fired]:
        """Take out, in order, what is to be called before `log_time` (at equality the record goes first)."""
        heap = self._heap
        while heap and heap[0].at < log_time:
            fired = heappop(heap)
            blind = self.door.blind_at(fired.point)
            if blind is None or (blind.release is not None and blind.release <= fired.at):
                yield fired
            else:
                self._hold(fired, blind)

    def pulse(self, log_time: int) -> None:
        """The door is open; what waited for it is called at the end of the catch-up."""
        ended = self.door.pulse(log_time)
        if ended is not None:
            waiting, self._aside = self._aside, []
            for fired in waiting:
                self._hold(fired, ended)

    def _hold(self, fired: Fired, blind: Blind) -> None:
        if blind.release is None:
            self._aside.append(fired)
        else:
            heappush(self._heap, fired._replace(at=blind.release, held=blind))
