"""Time, as a collaborator: one adapter (`shared.adapters.system_time`) reads the machine's clock, tests bring their own."""

from typing import Protocol


class TimeSource(Protocol):
    def wall(self) -> int:
        """Milliseconds since 1970, by this machine's idea. Never decides a verdict."""

    def monotonic(self) -> float:
        """Seconds that only move forward; for intervals."""

    async def sleep(self, seconds: float) -> None:
        """Let others run for this long."""
