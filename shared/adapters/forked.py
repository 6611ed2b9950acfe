"""Snapshots by fork: a child process has the state as it stood, and writes it while the parent goes on.

    parent   ──fork──► goes on folding              reads blocks from a pipe ──► store
    child       └────► writes the state, block by block, and ends

The child touches nothing but the state and the pipe: no event loop, no connection, no thread of the parent is in it.
"""

import asyncio
import fcntl
import gc
import os
import signal
import struct
from collections.abc import AsyncIterator, Mapping
from typing import Final

from shared.ports.checkpoints import Blocks, CheckpointsUnavailable

_FRAME: Final = struct.Struct(">iI")  # partition, length; length 0: the partition is whole
_NICE: Final = 10  # the parent, the broker and the database go first
_PIPE_BYTES: Final = 1 << 20  # a block or two: the loop folds between two looks at it
_STALLED_S: Final = 30.0


class _Child:
    """A snapshot being written by a child process."""

    def __init__(self, pid: int, pipe: int) -> None:
        self._pid, self._pipe = pid, pipe
        self._reader: asyncio.StreamReader | None = None
        self._transport: asyncio.BaseTransport | None = None

    async def blocks(self, partition: int) -> AsyncIterator[bytes]:
        reader = self._reader or await self._open()
        try:
            while True:
                async with asyncio.timeout(_STALLED_S):
                    number, length = _FRAME.unpack(await reader.readexactly(_FRAME.size))
                    block = await reader.readexactly(length)
                if number != partition:
                    raise CheckpointsUnavailable(f"the snapshot speaks of partition {number} in place of {partition}")
                if not length:
                    return
                yield block
        except (asyncio.IncompleteReadError, TimeoutError) as wrong:
            raise CheckpointsUnavailable(f"the snapshot was not written to its end: {wrong!r}") from wrong

    async def _open(self) -> asyncio.StreamReader:
        self._reader = asyncio.StreamReader(limit=8 << 20)
        protocol = asyncio.StreamReaderProtocol(self._reader)
        self._transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(self._pipe, "rb", 0))
        return self._reader

    async def close(self) -> float:
        if self._transport is not None:
            self._transport.close()
        elif self._reader is None:
            os.close(self._pipe)
        os.kill(self._pid, signal.SIGKILL)  # ours: it has written all, or is no longer wanted
        _, _, used = await asyncio.get_running_loop().run_in_executor(None, os.wait4, self._pid, 0)
        return used.ru_utime + used.ru_stime


class ForkedSnapshots:
    """`shared.ports.checkpoints.Snapshots` by fork."""

    def take(self, states: Mapping[int, Blocks]) -> _Child:
        """As the port says."""
        reading, writing = os.pipe()
        try:
            if hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux
                fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            pid = os.fork()
        except OSError:
            os.close(reading)
            os.close(writing)
            raise
        if pid == 0:
            _write(states, reading, writing)
        os.close(writing)
        return _Child(pid, reading)


def _write(states: Mapping[int, Blocks], reading: int, writing: int) -> None:
    """The child's life."""
    code = 1
    try:
        gc.disable()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        os.close(reading)
        os.nice(_NICE)
        for partition, write in states.items():
            for block in write():
                _send(writing, _FRAME.pack(partition, len(block)) + block)
            _send(writing, _FRAME.pack(partition, 0))
        code = 0
    finally:
        os._exit(code)  # no handler, buffer or destructor of the parent may run here


def _send(pipe: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(pipe, view) :]
