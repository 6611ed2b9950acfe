"""What a window's level is made of: tallies of marks that can be added, taken out and merged, and exact numbers.

A number is an int or a Decimal as the event wrote it; a level's value is a Fraction, so that comparisons are exact.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from itertools import chain
from math import frexp, isfinite
from typing import Any, Final, NamedTuple, Protocol

from shared.sla.terms import Bound

Number = int | Decimal
EXACT_MAX: Final = 100_000  # values a window for which a percentile is exact
_SUB_BUCKETS: Final = 128  # of each power of two: a bucket is at most 1/128 of its values wide, so its middle is within 0.4 %
_EXPONENTS: Final = 1_100  # more than any double's
_BITS_MAX: Final = 1_000  # of a whole number: what a double can still hold, more or less
_COMPARE: Final[dict[str, Callable[[Fraction, Fraction], bool]]] = {
    ">=": lambda value, target: value >= target,
    ">": lambda value, target: value > target,
    "<=": lambda value, target: value <= target,
    "<": lambda value, target: value < target,
    "==": lambda value, target: value == target,
}


class Measured(NamedTuple):
    """A level: `good` of `total`, or `total` values; `value` None where there is nothing to measure.

    For availability `good` and `total` are seconds. `events`: how many events it rests on.
    """

    good: Fraction | int | None
    total: Fraction | int
    value: Fraction | None
    events: int
    approximate: bool = False


class Goal:
    """What a level must be: a comparison with an exact number."""

    __slots__ = ("_holds", "op", "value")

    def __init__(self, bound: Bound) -> None:
        self.op, self.value = bound.op, Fraction(bound.value)
        self._holds = _COMPARE[bound.op]

    def is_met(self, value: Fraction) -> bool:
        """Whether a value keeps the promise, exactly."""
        return self._holds(value, self.value)

    @property
    def wants_more(self) -> bool:
        """Whether a greater value is the better one."""
        return self.op in (">=", ">")


def number_of(value: Any) -> Number | None:
    """A JSON number, exactly as it was written (a double: its shortest decimal); None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if isinstance(value, float):
        return Decimal(repr(value)) if isfinite(value) else None
    return None if isinstance(value, int) and value.bit_length() > _BITS_MAX else value


def exactly(value: Number) -> Fraction:
    """A number as a level's value is; what Fraction itself makes of a Decimal, sooner."""
    return Fraction(*value.as_integer_ratio())


class Tally(Protocol):
    """The marks of one window or bucket."""

    def add(self, mark: Any) -> None:
        """Count a mark."""

    def remove(self, mark: Any) -> None:
        """Take back a mark that was counted."""

    def absorb(self, *others: Any) -> None:
        """Count all that other tallies of the same kind have."""

    def measure(self) -> Measured:
        """The level as it stands."""
        ...


class Shares:
    """Good of all; marks are booleans."""

    __slots__ = ("good", "total")

    def __init__(self) -> None:
        self.good = self.total = 0

    def add(self, mark: bool) -> None:
        self.good += mark
        self.total += 1

    def remove(self, mark: bool) -> None:
        self.good -= mark
        self.total -= 1

    def absorb(self, *others: "Shares") -> None:
        self.good += sum([other.good for other in others])
        self.total += sum([other.total for other in others])

    def measure(self) -> Measured:
        return Measured(self.good, self.total, Fraction(self.good, self.total) if self.total else None, self.total)


class Sums:
    """Sum, average or count of numbers."""

    __slots__ = ("_function", "_sum", "_total")

    def __init__(self, function: str) -> None:
        self._function = function
        self._sum: Fraction | int = 0
        self._total = 0

    def add(self, mark: Number) -> None:
        self._sum += mark if isinstance(mark, int) else exactly(mark)
        self._total += 1

    def remove(self, mark: Number) -> None:
        self._sum -= mark if isinstance(mark, int) else exactly(mark)
        self._total -= 1

    def absorb(self, *others: "Sums") -> None:
        self._sum = sum([other._sum for other in others], self._sum)
        self._total += sum([other._total for other in others])

    def measure(self) -> Measured:
        total = self._total
        if self._function == "count":
            value: Fraction | None = Fraction(total)
        elif not total:
            value = None
        else:
            value = Fraction(self._sum) if self._function == "sum" else Fraction(self._sum) / total
        return Measured(None, total, value, total)


class Extremes:
    """The least or greatest number."""

    __slots__ = ("_best", "_counts", "_find", "_total")

    def __init__(self, function: str) -> None:
        self._find: Callable[[Iterable[Number]], Number] = min if function == "min" else max
        self._counts: Counter[Number] = Counter()
        self._total = 0
        self._best: Number | None = None  # None: to be found again

    def add(self, mark: Number) -> None:
        self._counts[mark] += 1
        if not self._total:
            self._best = mark
        elif self._best is not None:
            self._best = self._find((self._best, mark))
        self._total += 1

    def remove(self, mark: Number) -> None:
        self._counts[mark] -= 1
        if not self._counts[mark]:
            del self._counts[mark]
        self._total -= 1
        if mark == self._best:
            self._best = None

    def absorb(self, *others: "Extremes") -> None:
        for other in others:
            self._counts.update(other._counts)
            self._total += other._total
        self._best = None

    def measure(self) -> Measured:
        if not self._total:
            return Measured(None, 0, None, 0)
        if self._best is None:
            self._best = self._find(self._counts)
        return Measured(None, self._total, exactly(self._best), self._total)


class Percentile:
    """Nearest rank: exact up to `EXACT_MAX` values, from then on a sketch of logarithmic buckets (and marked so)."""

    __slots__ = ("_sketch", "_values", "_wanted")

    def __init__(self, function: str) -> None:
        self._wanted = Fraction(function[1:]) / 100
        self._values: list[Number] = []
        self._sketch: Counter[int] | None = None

    def add(self, mark: Number) -> None:
        if self._sketch is not None:
            self._sketch[bucket_of(mark)] += 1
            return
        insort(self._values, mark)
        if len(self._values) > EXACT_MAX:
            self._sketch, self._values = Counter(map(bucket_of, self._values)), []

    def remove(self, mark: Number) -> None:
        if self._sketch is None:
            del self._values[bisect_left(self._values, mark)]
            return
        bucket = bucket_of(mark)
        self._sketch[bucket] -= 1
        if not self._sketch[bucket]:
            del self._sketch[bucket]

    def absorb(self, *others: "Percentile") -> None:
        all_ = (self, *others)
        if all(one._sketch is None for one in all_) and sum(len(one._values) for one in all_) <= EXACT_MAX:
            self._values = sorted(chain.from_iterable(one._values for one in all_))
            return
        merged = self._as_sketch()
        for other in others:
            merged.update(other._as_sketch())
        self._sketch, self._values = merged, []

    def _as_sketch(self) -> Counter[int]:
        return Counter(map(bucket_of, self._values)) if self._sketch is None else self._sketch

    def measure(self) -> Measured:
        total = len(self._values) if self._sketch is None else self._sketch.total()
        if not total:
            return Measured(None, 0, None, 0)
        rank = max(-(-self._wanted.numerator * total // self._wanted.denominator), 1)
        if self._sketch is None:
            return Measured(None, total, exactly(self._values[rank - 1]), total)
        for bucket in sorted(self._sketch):
            rank -= self._sketch[bucket]
            if rank <= 0:
                return Measured(None, total, middle_of(bucket), total, approximate=True)
        raise AssertionError("the rank is at most the total")


def bucket_of(value: Number) -> int:
    """The sketch's bucket of a number: its power of two and the leading bits that follow, in the order of the numbers; exact arithmetic."""
    fraction, exponent = frexp(abs(float(value)))
    if not fraction:
        return 0
    place = (exponent + _EXPONENTS) * _SUB_BUCKETS + int((fraction * 2 - 1) * _SUB_BUCKETS) + 1
    return place if value > 0 else -place


def middle_of(bucket: int) -> Fraction:
    """The number that stands for a bucket: less than 1 % from all that are in it."""
    if not bucket:
        return Fraction(0)
    exponent, part = divmod(abs(bucket) - 1, _SUB_BUCKETS)
    middle = (1 + (Fraction(part) + Fraction(1, 2)) / _SUB_BUCKETS) * Fraction(2) ** (exponent - _EXPONENTS - 1)
    return middle if bucket > 0 else -middle


def tally_of(aggregate: str | None) -> Tally:
    """An empty tally: of an aggregate function, or of shares (None)."""
    if aggregate is None:
        return Shares()
    if aggregate in ("avg", "sum", "count"):
        return Sums(aggregate)
    return Extremes(aggregate) if aggregate in ("min", "max") else Percentile(aggregate)


def as_number(value: Fraction | int | None) -> int | float | None:
    """A level for JSON: whole where it is, else to twelve decimals."""
    if value is None or isinstance(value, int):
        return value
    return value.numerator if value.denominator == 1 else float(round(value, 12))
