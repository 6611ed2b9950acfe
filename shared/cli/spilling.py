"""Lines of cases that left memory during a replay: kept in a temporary file, and given back in order at the end.

cases that leave ──► batch ──full──► sorted run in the file        at the end: runs + batch + what is still open ──merge──► lines
"""

import tempfile
from collections.abc import Iterable, Iterator
from heapq import merge
from typing import IO, Final

import msgspec

from shared.sla.books import CaseLine, Place, place_of
from shared.sla.engine import Case, Engine
from shared.sla.statements import WrittenLine

AnyLine = CaseLine | WrittenLine
BATCH: Final = 50_000  # lines in memory, and in a run
_READ: Final = 64  # lines of a run that are read at once
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[CaseLine]).decode


class Spill:
    """The lines of cases that have left."""

    def __init__(self, batch: int = BATCH) -> None:
        """`batch`: lines held in memory."""
        self._size, self._batch = batch, list[CaseLine]()
        self._file: IO[bytes] | None = None
        self._runs: list[list[tuple[int, int]]] = []  # of each: (offset, bytes) of its pieces

    def left(self, case: Case) -> None:
        """A case leaves memory."""
        self._batch += Engine.lines_of(case)
        if len(self._batch) >= self._size:
            self._write()

    def _write(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - close() does
        self._batch.sort(key=place_of)
        run: list[tuple[int, int]] = []
        for start in range(0, len(self._batch), _READ):
            piece = _encode(self._batch[start : start + _READ])
            run.append((self._file.tell(), len(piece)))
            self._file.write(piece)
        self._runs.append(run)
        self._batch = []

    def _read(self, run: list[tuple[int, int]]) -> Iterator[CaseLine]:
        assert self._file is not None
        for offset, size in run:
            self._file.seek(offset)
            yield from _decode(self._file.read(size))

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            self._file.close()

    def merged(self, present: Iterable[CaseLine]) -> Iterator[CaseLine]:
        """All lines in order: those of cases that have left, and those that are still there."""
        there = list(present)  # first: asking for them may make the last ones leave
        last = sorted([*self._batch, *there], key=place_of)
        return merge(*map(self._read, self._runs), last, key=place_of)

    def merged_with(self, written: Iterable[Iterator[WrittenLine]], present: Iterable[CaseLine]) -> Iterator[AnyLine]:
        """Likewise, with lines of cases still there that are written already, each stream of them in order."""
        return merge(self.merged(present), *written, key=_place_of)


def _place_of(line: AnyLine) -> Place:
    return line.place if isinstance(line, WrittenLine) else place_of(line)
