"""Burn rates: how many times too fast the error budget is used up, over a long window and a short one (semantics.md, "Burn rate").

    long   [------------------------------|        both must burn faster than the pair's factor
    short                          [------|
                                          edge     looked at on a grid of sixtieths of the short window, at least a second

A rate is looked at only while something bad lies in the short window: a service that keeps its promise costs nothing.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple

from shared.sla.instants import FOREVER, SECOND
from shared.sla.level_rules import LevelRules
from shared.sla.terms import BurnPair
from shared.sla.windows import ROLLING_PARTS

Share = tuple[int, int]  # (bad, total)
Count = Callable[[int, int, LevelRules], Share]  # (start, end, rules) -> of [start, end)


def step_of(pair: BurnPair) -> int:
    """The grid on which a pair is looked at, ms."""
    return max(pair.short // ROLLING_PARTS, SECOND)


def burns(share: Share, limit: Fraction, min_events: int = 1) -> bool:
    """Whether a window's share of bad ones exceeds a limit, with events enough to tell."""
    bad, total = share
    return total >= max(min_events, 1) and bad * limit.denominator > limit.numerator * total


class Buckets:
    """Good and bad marks on one pair's grid; what is older than its long window leaves."""

    def __init__(self, pair: BurnPair) -> None:
        self._step, self._kept = step_of(pair), 2 * (pair.long // step_of(pair) + 1)
        self._counts: dict[int, list[int]] = {}  # number of the bucket -> [bad, total]
        self._numbers: list[int] = []

    def count(self, instant: int, is_bad: bool, sign: int) -> None:
        """A mark comes (1) or goes (-1)."""
        number = instant // self._step
        entry = self._counts.get(number)
        if entry is None:
            if self._numbers and number < self._numbers[-1] - self._kept:
                return
            entry = self._counts[number] = [0, 0]
            insort(self._numbers, number)
            while self._numbers[0] < self._numbers[-1] - self._kept:
                del self._counts[self._numbers.pop(0)]
        entry[0] += sign * is_bad
        entry[1] += sign

    def share(self, start: int, end: int) -> Share:
        """Of the buckets of [start, end), both on the grid."""
        first, last = bisect_left(self._numbers, start // self._step), bisect_left(self._numbers, end // self._step)
        bad = total = 0
        for number in self._numbers[first:last]:
            counted = self._counts[number]
            bad += counted[0]
            total += counted[1]
        return bad, total


class Onset(NamedTuple):
    """A pair began to burn."""

    pair: BurnPair
    instant: int


class BurnWatch:
    """The pairs of one objective for one (vendor, service)."""

    def __init__(self) -> None:
        self._buckets: dict[BurnPair, Buckets] = {}
        self._waiting: dict[BurnPair, set[int]] = {}  # the edges that timers wait for
        self._looked: dict[BurnPair, int] = {}  # the last edge looked at
        self._burning: set[BurnPair] = set()

    def count(self, rules: LevelRules, instant: int, is_bad: bool, sign: int) -> None:
        """A mark comes (1) or goes (-1)."""
        for pair in rules.burn:
            buckets = self._buckets.get(pair)
            if buckets is None:
                buckets = self._buckets[pair] = Buckets(pair)
            buckets.count(instant, is_bad, sign)

    def edges(self, rules: LevelRules, start: int, end: int, over: int) -> Iterator[tuple[int, int]]:
        """Something bad lies in [start, end): (number of the pair, edge) of the timers that are to be armed.

        `over`: edges before this instant have been passed. Windows that ended there are not looked at again, nor for the first time.
        """
        for i, pair in enumerate(rules.burn):
            step = step_of(pair)
            passed = max((over - 1) // step * step, self._looked.get(pair, -FOREVER))
            edge = max((start // step + 1) * step, passed + step)
            if end > edge - pair.short and self._wait_for(pair, edge):
                yield i, edge

    def _wait_for(self, pair: BurnPair, edge: int) -> bool:
        """Whether that is news."""
        waiting = self._waiting.setdefault(pair, set())
        is_new = edge not in waiting
        waiting.add(edge)
        return is_new

    def rates(self, rules: LevelRules, instant: int, count: Count | None) -> Iterator[tuple[int, Fraction]]:
        """(window, rate) of each window of each pair that has anything to measure, up to the bucket of an instant. `count` as in `look`."""
        for pair in rules.burn:
            edge, buckets = (instant // step_of(pair) + 1) * step_of(pair), self._buckets.get(pair)
            for length in (pair.long, pair.short):
                if count is not None:
                    bad, total = count(edge - length, edge, rules)
                else:
                    bad, total = (0, 0) if buckets is None else buckets.share(edge - length, edge)
                if total > 0 and rules.budget > 0:
                    yield length, Fraction(bad, total) / rules.budget

    def look(self, rules: LevelRules, number: int, edge: int, count: Count | None, goes_on: int | None) -> tuple[Onset | None, int | None]:
        """At an edge: whether a pair begins to burn, and the next edge to look at (None: there is a timer, or when something bad happens).

        `count` measures a window; None: by the marks that were counted. `goes_on`: from when on, at or after the edge, something is bad.
        """
        if number >= len(rules.burn) or edge not in self._waiting.get(rules.burn[number], ()):
            return None, None
        pair, limit = rules.burn[number], rules.limits[number]
        self._waiting[pair].discard(edge)
        if edge <= self._looked.get(pair, -FOREVER):
            return None, None
        self._looked[pair] = edge
        if count is None:
            buckets, enough = self._buckets.get(pair) or Buckets(pair), rules.objective.min_events
            share = buckets.share
        else:
            enough = 1

            def share(start: int, end: int) -> Share:
                return count(start, end, rules)

        short = share(edge - pair.short, edge)
        burning = burns(short, limit) and burns(share(edge - pair.long, edge), limit, enough)
        onset = Onset(pair, edge) if burning and pair not in self._burning else None
        (self._burning.add if burning else self._burning.discard)(pair)
        step, again = step_of(pair), None
        if short[0]:
            again = edge + step
        elif goes_on is not None:
            again = (goes_on // step + 1) * step
        return onset, again if again is not None and self._wait_for(pair, again) else None
