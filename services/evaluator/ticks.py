"""Ticks: when to append one, so that log time passes a timer although nothing arrives (engine.md, "Ticks").

    broker time ≈ monotonic time here + the largest (arrival less monotonic time) seen: records are seen after they arrive,
    so every reading falls short, and the largest falls short the least.

A wrong estimate makes a tick early or late, never a verdict wrong.
"""


class BrokerClock:
    """Estimates the broker's time from what this process has read and written."""

    def __init__(self) -> None:
        self._offset: float | None = None  # ms

    def saw(self, arrival: int, monotonic: float) -> None:
        """A record arrived at `arrival` (ms) at the latest now."""
        reading = arrival - monotonic * 1000
        if self._offset is None or reading > self._offset:
            self._offset = reading

    def corrected(self, arrival: int, monotonic: float) -> None:
        """A tick fell short: the broker's clock is behind the estimate (it was set back, or drifts). Believe the tick."""
        self._offset = arrival - monotonic * 1000

    def seconds_until(self, instant: int, monotonic: float) -> float | None:
        """Seconds until broker time passes `instant` (ms); None while nothing is known."""
        if self._offset is None:
            return None
        return (instant + 1 - self._offset) / 1000 - monotonic


class TickPlan:
    """Which partitions need a tick, and when."""

    def __init__(self, clock: BrokerClock) -> None:
        self._clock = clock
        self._on_the_way: dict[int, tuple[int, int]] = {}  # partition -> (offset of its tick, the timer it was aimed at)
        self._calibrated: set[int] = set()

    def due(self, partition: int, wake_at: int | None, next_offset: int, monotonic: float) -> float | None:
        """Seconds until the partition needs a tick (0: now); None: no timer, or its tick is on the way.

        After a restart the first tick of a partition with timers is written at once: it tells broker time.
        """
        if wake_at is None:
            return None
        sent = self._on_the_way.get(partition)
        if sent is not None and next_offset <= sent[0]:
            return None
        if partition not in self._calibrated:
            return 0
        wait = self._clock.seconds_until(wake_at, monotonic)
        return 0 if wait is None else max(wait, 0)

    def sent(self, partition: int, offset: int, arrival: int, wake_at: int, monotonic: float) -> None:
        """A tick was appended at `offset`, and arrived at `arrival`."""
        if arrival <= wake_at and partition in self._calibrated:
            self._clock.corrected(arrival, monotonic)
        else:
            self._clock.saw(arrival, monotonic)
        self._on_the_way[partition] = (offset, wake_at)
        self._calibrated.add(partition)

    def forget(self, partition: int) -> None:
        """The partition went to another evaluator."""
        self._on_the_way.pop(partition, None)
        self._calibrated.discard(partition)
