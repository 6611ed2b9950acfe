"""How much a poster may send: a token bucket, so that one vendor's flood does not become its neighbours' latency."""

from shared.ports.credentials import Credential
from shared.ports.time import TimeSource

BURST_S = 10  # as much as this many seconds' quota may come at once


class Quotas:
    """One bucket per vendor, or per key for other roles. A request may overdraw its bucket (its size is known only when it
    has been read); the next one waits until the debt is paid."""

    def __init__(self, events_per_s: float, time: TimeSource) -> None:
        self._rate, self._time = events_per_s, time
        self._levels: dict[str, tuple[float, float]] = {}  # tokens, and when; one entry per known key: bounded by their number

    @staticmethod
    def bucket_of(credential: Credential) -> str:
        """A vendor's two keys share one bucket."""
        return f"vendor {credential.vendors[0]}" if credential.role == "vendor" else f"key {credential.id}"

    def _level(self, bucket: str) -> float:
        tokens, since = self._levels.get(bucket, (self._rate * BURST_S, 0.0))
        return min(self._rate * BURST_S, tokens + (self._time.monotonic() - since) * self._rate)

    def take(self, bucket: str, events: int) -> None:
        """Book events that were read."""
        self._levels[bucket] = (self._level(bucket) - events, self._time.monotonic())

    def wait_s(self, bucket: str) -> float:
        """Seconds until the bucket is out of debt; 0: go on."""
        return max(0.0, -self._level(bucket) / self._rate)
