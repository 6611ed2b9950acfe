"""When a case leaves memory, and what stays of it (semantics.md, "Correction horizon"; decision 41).

    last evidence, last statement about a breach ──── horizon ────┬─ end of that hour: it has left ─────►  log time
    every clock closed, every breach final                        └─ what comes now is too late for its clocks, for good

Whether a case has left is a function of its state and of log time, never of when it was looked at. So cases are looked at when it
suits: each waits in a bucket of an hour in which it can leave at the earliest, and buckets that log time has passed are worked off
in slices. What arrives meanwhile has its own case looked at first. All instants and durations are milliseconds.
"""

from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from heapq import heappop, heappush
from typing import Final, Generic, NamedTuple, TypeVar

from shared.sla.instants import DAY, FOREVER, HOUR

HORIZON: Final = 7 * DAY  # where no agreement says another
SLICE: Final = 8  # cases looked at beside a record of evidence: more than the one it may have brought
IDLE_SLICE: Final = 2_000  # beside a tick or a pulse
_SHARD: Final = 1_024  # tombstones in a shard, on average, before all are halved
_PIECE: Final = 64  # shards that are written down together

CaseT = TypeVar("CaseT")


def end_of_hour(instant: int) -> int:
    """The end of the hour (UTC) that holds an instant; an end itself stays."""
    return -(-instant // HOUR) * HOUR


class Rest(NamedTuple):
    """How a case without open clocks rests: `since` its last evidence or statement about a breach; `final`: when the last of its
    breaches became final (FOREVER: that is still to come)."""

    since: int
    final: int

    def with_book(self, other: "Rest") -> "Rest":
        """With what a book adds."""
        return Rest(max(self.since, other.since), max(self.final, other.final))

    def leaves_at(self, horizon: int) -> int:
        """From when on, exclusively, it has left; FOREVER: not known yet."""
        return FOREVER if self.final == FOREVER else end_of_hour(max(self.since + horizon, self.final))

    def look_at(self, horizon: int, log_time: int) -> int:
        """It has left no earlier than this."""
        return end_of_hour(max(self.since + horizon, log_time if self.final == FOREVER else self.final))


AT_REST: Final = Rest(-FOREVER, -FOREVER)


class Leaving(Generic[CaseT]):
    """The cases of one log time, by when they are to be looked at."""

    __slots__ = ("_backlog", "_buckets", "_hour_ends", "_numbers", "born", "horizon")

    def __init__(self) -> None:
        self.born: list[CaseT] = []  # in the hour of log time
        self.horizon = FOREVER  # the shortest of any case here
        self._hour_ends = -FOREVER
        self._buckets: dict[int, list[CaseT]] = {}  # by the end of an hour
        self._numbers: list[int] = []  # of the buckets, as a heap
        self._backlog: list[CaseT] = []  # log time has passed their bucket

    @property
    def at(self) -> int:
        """When log time passes this, there is something to do; -FOREVER: now; FOREVER: there are no cases."""
        if self._backlog:
            return -FOREVER
        first = self._numbers[0] if self._numbers else FOREVER
        return min(first, self._hour_ends) if self.born else first

    def put(self, case: CaseT, at: int) -> None:
        """Look at a case when log time has passed the end of an hour."""
        self._bucket(at).append(case)

    def _bucket(self, at: int) -> list[CaseT]:
        bucket = self._buckets.get(at)
        if bucket is None:
            bucket = self._buckets[at] = []
            heappush(self._numbers, at)
        return bucket

    def due(self, log_time: int, limit: int) -> Iterator[CaseT]:
        """Take out at most `limit` of the cases that are to be looked at."""
        if log_time > self._hour_ends:
            if self.born:  # after the hour's beginning: so none can leave earlier than this
                self._bucket(self._hour_ends + self.horizon // HOUR * HOUR).extend(self.born)
                self.born = []
            self._hour_ends = end_of_hour(log_time)
        while limit > 0:
            if not self._backlog:
                if not self._numbers or self._numbers[0] >= log_time:
                    return
                self._backlog = self._buckets.pop(heappop(self._numbers))
            limit -= 1
            yield self._backlog.pop()


def mark_of(name: str) -> int:
    """Eight bytes that stand for a name."""
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


class Gone:
    """What is remembered of what has left, eight bytes each: sorted marks, in shards by their first bits."""

    __slots__ = ("_shards", "_shift", "count")

    def __init__(self) -> None:
        self._shift = 64
        self._shards = [array("Q")]
        self.count = 0

    def add(self, mark: int) -> None:
        """Remember a mark."""
        insort(self._shards[mark >> self._shift], mark)
        self.count += 1
        if self.count > _SHARD * len(self._shards):
            self._halve()

    def __contains__(self, mark: int) -> bool:
        shard = self._shards[mark >> self._shift]
        place = bisect_left(shard, mark)
        return place < len(shard) and shard[place] == mark

    def _halve(self) -> None:
        self._shift -= 1
        halves = []
        for number, shard in enumerate(self._shards):
            middle = bisect_left(shard, (2 * number + 1) << self._shift)
            halves += [shard[:middle], shard[middle:]]
        self._shards = halves

    # -- for checkpoints -------------------------------------------------------------------------------------------

    def pieces(self) -> Iterator[tuple[int, list[bytes]]]:
        """(how many shards there are, some of them), in order."""
        for start in range(0, len(self._shards), _PIECE):
            yield len(self._shards), [shard.tobytes() for shard in self._shards[start : start + _PIECE]]

    def restore(self, count: int, shards: Iterable[bytes]) -> None:
        """Take in the next piece of one that holds nothing else. `count`: of all shards."""
        if self.count == 0 and len(self._shards) == 1 and not self._shards[0]:
            self._shards, self._shift = [], 64 - count.bit_length() + 1
        for raw in shards:
            shard = array("Q")
            shard.frombytes(raw)
            self._shards.append(shard)
            self.count += len(shard)
