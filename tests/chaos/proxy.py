"""A TCP proxy that misbehaves on demand: slow, half-open, cut."""

import asyncio
import contextlib
import socket
import struct
from typing import Self

CHUNK_BYTES = 65_536
_LINGER_NONE = struct.pack("ii", 1, 0)  # closing sends RST


class Proxy:
    """Passes connections to loopback's `port` on to `target` (a port, too). `delay_s` is added to whatever passes, either way."""

    def __init__(self, port: int, target: int) -> None:
        self.port, self.target = port, target
        self.delay_s = 0.0
        self._swallows = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.StreamWriter] = set()  # of these
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        self.reset()
        await asyncio.gather(*self._serving)

    def reset(self) -> None:
        """Cut all connections, without a word of farewell."""
        for writer in list(self._writers):
            raw = writer.get_extra_info("socket")
            if raw is not None:
                with contextlib.suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
            writer.transport.abort()

    async def half_open(self, seconds: float) -> None:
        """For so long, connections stay open and nothing comes through them; then they are cut, as what they carried is lost."""
        self._swallows = True
        await asyncio.sleep(seconds)
        self._swallows = False
        self.reset()

    def forge(self, words: bytes) -> None:
        """Tell all clients what the target never said."""
        for writer in self._clients:
            writer.write(words)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(upstream_writer)
        self._clients.add(writer)
        try:
            await asyncio.gather(self._pump(reader, upstream_writer), self._pump(upstream_reader, writer))
        finally:
            self._writers -= {writer, upstream_writer}
            self._clients.discard(writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(CHUNK_BYTES):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if not self._swallows:
                    writer.write(chunk)
                    await writer.drain()
        except OSError:
            pass  # cut on one side: so is the other
        finally:
            writer.close()
