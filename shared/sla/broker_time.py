"""Leaps of broker time: arrivals that step by more than a minute count only once a writer's own clock agrees (engine.md, "Ticks").

    arrivals     10:00:01  10:00:02  11:00:03  11:00:04  10:00:05           the broker's clock leaps an hour, and is set right
    believed     10:00:01  10:00:02  10:00:02  10:00:03  10:00:03

    arrivals     10:00:01  (nothing comes for hours)  15:00:00  tick that reads 15:00:00
    believed     10:00:01                             10:00:01  15:00:00

What is believed of an arrival is a function of the log: of the arrivals before it, and of the readings that ticks carry. While a leap is
held, time goes on from where it was by what passes between arrivals: timers neither fire early nor hang.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from shared.sla.instants import MINUTE

LEAP_MAX: Final = MINUTE  # ms: a larger step between neighbouring arrivals is a leap


class BrokerTime:
    """Of one partition. `held`: ms by which arrivals are ahead of what is believed; negative: behind; 0: they are believed."""

    __slots__ = ("arrival", "held")

    def __init__(self, arrival: int | None = None, held: int = 0) -> None:
        """Both are the state, for checkpoints. `arrival`: that of the last record, in ms since 1970; None before the first."""
        self.arrival, self.held = arrival, held

    def believe(self, arrival: int, reading: int | None = None) -> int:
        """The instant to fold a record at, which stands after the last one; `reading`: its writer's own clock, where it carries one."""
        self.held = self._held_at(arrival, reading)
        self.arrival = arrival
        return arrival - self.held

    def plain(self, arrivals: Sequence[int]) -> int:
        """How many of the arrivals that come next are believed as they are, whatever their records hold."""
        if self.held or self.arrival is None or not arrivals:
            return 0
        if max(*arrivals, self.arrival) - min(*arrivals, self.arrival) <= LEAP_MAX:
            return len(arrivals)
        steps = pairwise((self.arrival, *arrivals))
        return next((number for number, (before, after) in enumerate(steps) if abs(after - before) > LEAP_MAX), len(arrivals))

    def pass_over(self, arrival: int) -> None:
        """Believe an arrival, and all before it that `plain` told of."""
        self.arrival = arrival

    def expect(self, arrival: int, reading: int | None = None) -> int:
        """What would be believed of that arrival if it came next."""
        return arrival - self._held_at(arrival, reading)

    def _held_at(self, arrival: int, reading: int | None) -> int:
        if self.arrival is None or (reading is not None and abs(arrival - reading) <= LEAP_MAX):
            return 0
        step = arrival - self.arrival
        held = self.held if abs(step) <= LEAP_MAX else self.held + step
        return 0 if abs(held) <= LEAP_MAX else held  # set right again, but for a drift that would count anyway
