"""Request bodies in pieces: received with a time limit, decompressed and split with bounded memory."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Final

from starlette.types import Receive

PIECE_BYTES: Final = 64 * 1024  # the most that one step of decompression makes


class BadEncoding(Exception):
    """The body is not what its Content-Encoding says."""


class TooSlow(Exception):
    """The next part of the body did not come in time."""


class Disconnected(Exception):
    """The client is gone; nobody waits for an answer."""


class Body:
    """A request's body, as far as it has come."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False

    async def next(self, seconds: float) -> bytes | None:
        """The next part, None at the end. Raises TooSlow after `seconds` (asking again is allowed), Disconnected."""
        if self._ended:
            return None
        try:
            async with asyncio.timeout(seconds):
                message = await self._receive()
        except TimeoutError:
            raise TooSlow from None
        if message["type"] == "http.disconnect":
            raise Disconnected
        self._ended = not message.get("more_body", False)
        return bytes(message.get("body", b""))


class Plain:
    """Content-Encoding: identity."""

    def feed(self, part: bytes) -> Iterator[bytes]:
        """The decoded bytes of one part, in pieces."""
        yield part

    def end(self) -> None:
        """To be called after the last part."""


class Gunzip:
    """Content-Encoding: gzip, in pieces of bounded size however much one part of the body expands to."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(wbits=31)

    def feed(self, part: bytes) -> Iterator[bytes]:
        """The decoded bytes of one part, in pieces. Raises BadEncoding."""
        while part:
            if self._inflater.eof:
                self._inflater = zlib.decompressobj(wbits=31)  # a further member of the same file
            try:
                piece = self._inflater.decompress(part, PIECE_BYTES)
            except zlib.error as wrong:
                raise BadEncoding(f"not gzip: {wrong}") from None
            part = self._inflater.unconsumed_tail or self._inflater.unused_data
            yield piece

    def end(self) -> None:
        """To be called after the last part. Raises BadEncoding if the stream was cut off."""
        if not self._inflater.eof:
            raise BadEncoding("the gzip stream is cut off")


Decoder = Plain | Gunzip


async def pieces(body: Body, decoder: Decoder, within_s: float) -> AsyncIterator[bytes]:
    """The whole body, decoded, in bounded pieces, all of it in time. Raises TooSlow, Disconnected, BadEncoding."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while (part := await body.next(deadline - loop.time())) is not None:
        for piece in decoder.feed(part):
            yield piece
    decoder.end()


class Lines:
    """Splits a stream into lines; of a line longer than `max_bytes`, only that it was there is kept (None)."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._rest = bytearray()
        self._skipping = False

    def feed(self, piece: bytes) -> Iterator[bytes | None]:
        """The lines that end in this piece."""
        *ended, rest = piece.split(b"\n")
        for part in ended:
            line = self._line(part)
            self._rest.clear()
            self._skipping = False
            yield line
        if not self._skipping and len(self._rest) + len(rest) <= self._max_bytes + 1:
            self._rest += rest
        else:
            self._rest.clear()
            self._skipping = True

    def end(self) -> Iterator[bytes | None]:
        """The last line, if it did not end with a newline."""
        if self._rest or self._skipping:
            yield self._line(b"")

    def _line(self, last: bytes) -> bytes | None:
        if self._skipping or len(self._rest) + len(last) > self._max_bytes + 1:
            return None
        return bytes(self._rest + last if self._rest else last).strip(b" \t\r")
