"""The one file that reads the machine's clock."""

import asyncio
import time


class SystemTime:
    """`shared.ports.time.TimeSource` on this machine."""

    def wall(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
