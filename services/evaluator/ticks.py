"""Ticks: when to append one, so that log time passes a timer although nothing arrives (engine.md, "Ticks").

    broker time ≈ monotonic time here + the largest (arrival less monotonic time) seen: records are seen after they arrive,
    so every reading falls short, and the largest falls short the least.

Each partition has its estimate, as each may have a broker of its own. A wrong one makes a tick early or late, never a verdict wrong.
Arrivals are those that the fold believes (`shared.sla.broker_time`): a leap of the broker's clock makes no storm of ticks. While one is
held, a tick asks now and then whether the clocks agree again.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

ASK_S: Final = 10.0  # between two ticks that ask whether a leap of broker time is to be believed


class Waiting(NamedTuple):
    """A partition with a timer: a record that arrives after `wake_at` (ms) makes it fire; `next_offset` is folded next.

    `in_doubt`: a leap of its broker's time is held. `wake_at` is None where there is no timer, only doubt.
    """

    wake_at: int | None
    next_offset: int
    in_doubt: bool = False


class Plan(NamedTuple):
    """Partitions that need a tick now, and seconds until another one does (None: none that is known)."""

    now: list[int]
    wait: float | None


class _Clock:
    """What is known of one partition's broker time."""

    __slots__ = ("asked", "offset", "tick", "trusted")

    def __init__(self) -> None:
        self.asked: float | None = None  # when the last tick was appended, monotonic
        self.offset: float | None = None  # ms: broker time less monotonic time
        self.trusted = False  # a tick has told, not only records that may be old
        self.tick: int | None = None  # the offset of the last tick appended


class TickPlan:
    """Which partitions need a tick, and when: one at a time for each, aimed at its earliest timer."""

    def __init__(self) -> None:
        self._clocks: dict[int, _Clock] = {}

    def saw(self, partition: int, arrival: int, monotonic: float) -> None:
        """A record arrived at `arrival` (ms) at the latest now (`monotonic`, s)."""
        clock, reading = self._clock(partition), arrival - monotonic * 1000
        if clock.offset is None or reading > clock.offset:
            clock.offset = reading

    def plan(self, waiting: Mapping[int, Waiting], monotonic: float) -> Plan:
        """What to do now, for the partitions that have timers.

        After a start nothing fresh is known of broker time: one tick, at once, tells it for all partitions.
        """
        known = max((clock.offset for clock in self._clocks.values() if clock.trusted and clock.offset is not None), default=None)
        if known is None:
            return Plan(list(waiting)[:1], None)
        now: list[int] = []
        wait: float | None = None
        for number, (wake_at, next_offset, in_doubt) in waiting.items():
            clock = self._clock(number)
            if clock.tick is not None and next_offset <= clock.tick:
                continue  # on its way, behind whatever stands before it
            if not clock.trusted:
                clock.offset, clock.trusted = known, True
            assert clock.offset is not None
            left = float("inf") if wake_at is None else (wake_at + 1 - clock.offset) / 1000 - monotonic
            if in_doubt:
                left = min(left, 0 if clock.asked is None else clock.asked + ASK_S - monotonic)
            if left <= 0:
                now.append(number)
            else:
                wait = left if wait is None else min(wait, left)
        return Plan(now, wait)

    def sent(self, partition: int, offset: int, arrival: int, aimed: int, monotonic: float) -> None:
        """A tick aimed at `aimed` (ms) was appended at `offset`, and arrived at `arrival` (ms, as it will be believed).

        One that fell short is believed: the broker's clock is behind the estimate (set back, or drifting), so the shortfall is waited for.
        """
        clock, reading = self._clock(partition), arrival - monotonic * 1000
        if not clock.trusted or arrival <= aimed or clock.offset is None or reading > clock.offset:
            clock.offset = reading
        clock.trusted, clock.tick, clock.asked = True, offset, monotonic

    def broker_time(self, partition: int, monotonic: float) -> int | None:
        """The estimate, in ms since 1970; None while nothing fresh is known."""
        clock = self._clocks.get(partition)
        return None if clock is None or clock.offset is None or not clock.trusted else round(clock.offset + monotonic * 1000)

    def forget(self, partition: int) -> None:
        """The partition went to another evaluator."""
        self._clocks.pop(partition, None)

    def _clock(self, partition: int) -> _Clock:
        return self._clocks.setdefault(partition, _Clock())
