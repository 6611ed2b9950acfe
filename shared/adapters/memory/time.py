"""`shared.ports.time.TimeSource` that stands still until it is told to move."""

import asyncio
import heapq
from itertools import count


class VirtualTime:
    """Sleepers wake in order of their instants as `advance` passes them. `wall` starts at `start` ms since 1970, `monotonic` at 0 s."""

    def __init__(self, start: int = 0) -> None:
        self._start = start
        self._seconds = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def wall(self) -> int:
        return self._start + round(self._seconds * 1000)

    def monotonic(self) -> float:
        return self._seconds

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._seconds + seconds, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Move on; whoever wakes on the way runs at its own instant, and may sleep again."""
        end = self._seconds + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._seconds, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
                await settle()
        self._seconds = end


async def settle(turns: int = 50) -> None:
    """Let everything that can run, run."""
    for _ in range(turns):
        await asyncio.sleep(0)
