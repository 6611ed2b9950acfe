"""Numbers and texts as native code reads and writes them (native/src/packing.rs): little-endian, texts behind their lengths."""

import struct
from array import array
from collections.abc import Sequence
from typing import Final, Self

_U8, _U16, _U32, _I64 = (struct.Struct(f"<{kind}") for kind in "BHIq")
_EVENT_HEAD: Final = struct.Struct("<BIIIqq")
_CLOCK: Final = struct.Struct("<10qIHB")


class Pack:
    """Writes."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = bytearray()

    def done(self) -> bytes:
        """All of it."""
        return bytes(self._bytes)

    def u8(self, value: int) -> Self:
        self._bytes += _U8.pack(value)
        return self

    def u32(self, value: int) -> Self:
        self._bytes += _U32.pack(value)
        return self

    def i64(self, value: int) -> Self:
        self._bytes += _I64.pack(value)
        return self

    def short(self, text: bytes) -> Self:
        self._bytes += _U16.pack(len(text))
        self._bytes += text
        return self

    def long(self, text: bytes) -> Self:
        self._bytes += _U32.pack(len(text))
        self._bytes += text
        return self

    def longs(self, values: Sequence[int]) -> Self:
        self._bytes += _U32.pack(len(values))
        self._bytes += array("q", values).tobytes()
        return self

    def numbers(self, values: Sequence[int]) -> Self:
        self._bytes += _U32.pack(len(values))
        self._bytes += array("I", values).tobytes()
        return self


class Unpack:
    """Reads."""

    __slots__ = ("_at", "_bytes")

    def __init__(self, packed: bytes) -> None:
        self._bytes, self._at = packed, 0

    @property
    def is_empty(self) -> bool:
        """Whether all was read."""
        return self._at >= len(self._bytes)

    def _one(self, kind: struct.Struct) -> int:
        (value,) = kind.unpack_from(self._bytes, self._at)
        self._at += kind.size
        number: int = value
        return number

    def _all(self, kind: struct.Struct) -> tuple[int, ...]:
        values = kind.unpack_from(self._bytes, self._at)
        self._at += kind.size
        return values

    def u8(self) -> int:
        return self._one(_U8)

    def u32(self) -> int:
        return self._one(_U32)

    def i64(self) -> int:
        return self._one(_I64)

    def _take(self, length: int) -> bytes:
        start = self._at
        self._at += length
        return self._bytes[start : self._at]

    def short(self) -> bytes:
        return self._take(self._one(_U16))

    def long(self) -> bytes:
        return self._take(self._one(_U32))

    def event_head(self) -> tuple[int, ...]:
        """role, type, source, known, time, arrival."""
        return self._all(_EVENT_HEAD)

    def clock(self) -> tuple[int, ...]:
        """Ten instants and durations, then noted, rules and target."""
        return self._all(_CLOCK)
