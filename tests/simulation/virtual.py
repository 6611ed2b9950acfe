"""Virtual time: an event loop whose clock jumps to the next timer as soon as nothing can run, and the clocks of a world's machines."""

import asyncio
import selectors
from collections.abc import Callable
from typing import Any


class _Jump(selectors.DefaultSelector):
    """Waits by moving the loop's clock. Nothing here has files or sockets to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("the world stands still: nothing can run, and nobody sleeps")
            self.now += max(timeout, 0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Begins at 0 s."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now


class Clock:
    """`shared.ports.time.TimeSource` of one machine: `start` is the wall time (ms) at the world's beginning, `rate` how fast it runs.

    Its wall clock can be stepped. `gate` is awaited before whoever slept goes on: a stopped machine wakes late.
    """

    def __init__(self, start: int, rate: float = 1.0, gate: Callable[[], Any] | None = None) -> None:
        self._start, self._rate, self._gate = start, rate, gate
        self.step = 0  # ms

    def wall(self) -> int:
        return self._start + self.step + round(asyncio.get_running_loop().time() * 1000 * self._rate)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() * self._rate

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._rate)
        if self._gate is not None:
            await self._gate()
