"""Rows of CSV, one in memory at a time. What cannot be read costs as few lines as can be, and each of them is told.

A quote that is never closed takes everything after it into its cell: up to the end of the file, to csv's limit of a cell, or to the
next quote, after which text follows where a delimiter should. Only its own line is given up then, and the lines after it are read anew:

    7,open,"printer down        <- given up: the quote opens here
    8,open,"no paper"           <- read anew: its first quote would close the cell, and text follows that
"""

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import Final, NamedTuple

ROW_LENGTH_MAX: Final = 1 << 24  # characters; what is longer is no row but a quote that is never closed


class Row(NamedTuple):
    """The cells of one row, which ends on `line`. `wrong`: why they are not to be used; empty: they are."""

    line: int
    cells: list[str]
    first: int
    wrong: str = ""


class _Lines:
    """The lines of a table: counted, those of the row at hand kept, so that they can be given back."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._source, self._back = iter(lines), deque[str]()
        self.count = self._length = 0
        self.row: list[str] = []
        self.is_over = False  # a line was wanted, and there was none

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else next(self._source, None)
        if line is None:
            self.is_over = True
            raise StopIteration
        self.count += 1
        self.row.append(line)
        self._length += len(line)
        if self._length > ROW_LENGTH_MAX:
            raise csv.Error(f"row larger than limit ({ROW_LENGTH_MAX})")
        return line

    def begin(self) -> None:
        """The next line is the first of a row."""
        self.row, self._length = [], 0

    def give_back(self, kept: int) -> None:
        """All lines of the row but the first `kept` are read anew."""
        again = self.row[kept:]
        self._back.extendleft(reversed(again))
        self.count -= len(again)
        self.is_over = False


def rows_of(lines: Iterable[str], delimiter: str, skip: int = 0) -> Iterator[Row]:
    """The rows of a table, blank lines left out; the first `skip` lines are none of it."""
    source = _Lines(lines)
    for _ in range(skip):
        next(source, None)
    reader = csv.reader(source, delimiter=delimiter)
    ends = rf"[ \t]*(?:{re.escape(delimiter)}|[\r\n]|\Z)"
    astray = re.compile(rf'(?:[^"]|"")*+"(?!"|{ends})')  # a line that begins inside quotes: text follows their end
    while True:
        source.begin()
        first, failed = source.count + 1, False
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:  # a cell, or the row, is too long
            cells, failed = [], True
        row = source.row
        if len(row) == 1 and not (failed or source.is_over):  # nearly always
            if cells:
                yield Row(first, cells, first)
            continue
        strays = next((place for place in range(1, len(row)) if astray.match(row[place])), None)
        if strays is None and not (failed or source.is_over):
            yield Row(source.count, cells, first)
            continue
        inside = row[:strays] if strays else row[:-1] if failed else row  # at their end the quote is still open
        kept = _opening(inside, delimiter) + 1
        source.give_back(kept)
        yield Row(source.count, _cells(row[:kept], delimiter), first, _why(first, kept, len(row) - kept, failed))


def _opening(lines: list[str], delimiter: str) -> int:
    """The place of the line, among the first of a row, that holds the quote that is still open at their end."""
    *_, cell = _cells(lines, delimiter) or [""]
    return max(len(lines) - max(sum(1 for _ in StringIO(cell, newline="")), 1), 0)


def _cells(lines: list[str], delimiter: str) -> list[str]:
    try:
        return next(csv.reader(lines, delimiter=delimiter), [])
    except csv.Error:
        return []


def _why(first: int, kept: int, lost: int, failed: bool) -> str:
    too_long = f"a cell of more than {csv.field_size_limit()} characters"
    if failed and not lost:
        return too_long
    begun = f" in a row that begins in line {first}" if kept > 1 else ""
    taken = "; the line after it is read anew" if lost == 1 else f"; the {lost} lines that it would take in are read anew"
    return f"a quote that is never closed{begun}{f', or {too_long}' if failed else ''}{taken if lost else ''}"
