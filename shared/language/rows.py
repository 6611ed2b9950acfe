"""Running a mapping: rows of a table in, CloudEvents (as plain dicts) and rejects out, one row in memory at a time."""

import csv
import gzip
import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, Final, TextIO, cast

import msgspec

from shared.language.mapping import RowEvent, RowMapping, RowValue, Template, ValueKind, condition_of
from shared.language.problems import LanguageError, Problem, nearest
from shared.language.zones import zone
from shared.sla.conditions import Condition
from shared.sla.instants import BadInstant, format_instant, from_datetime, parse_instant

CloudEvent = dict[str, Any]

_UNDECODED: Final = re.compile("[\udc80-\udcff]")  # what `surrogateescape` makes of a byte that cannot be decoded
_NAME_LENGTH_MAX: Final = 60  # of a column's name that is offered in a hint
_REQUIRED: Final = ("type", "subject", "vendor", "service", "source")
_TRUE, _FALSE = ("true", "yes", "t", "y", "1"), ("false", "no", "f", "n", "0")


class Reject(msgspec.Struct, frozen=True):
    """A row, or one event of it, that could not be used. `line` is where the row ends in the file; `row` its cells as they stood."""

    line: int
    column: str | None
    why: str
    row: dict[str, str]


class _Unusable(ValueError):
    def __init__(self, column: str | None, why: str) -> None:
        super().__init__(why)
        self.column = column
        self.why = why


class _NoEvent(Exception):
    """The row does not give this event: its type is a cell that the mapping does not list."""


def events_of_file(path: Path, mapping: RowMapping) -> Iterator[CloudEvent | Reject]:
    """The events of a CSV file, `.gz` too, in file order. Raises LanguageError where columns that the mapping needs are missing."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream, text_of(cast("IO[bytes]", stream), mapping) as lines:
        yield from events_of(lines, mapping, str(path))


@contextmanager
def text_of(stream: IO[bytes], mapping: RowMapping) -> Iterator[TextIO]:
    """The lines of a table as its mapping decodes them; a byte that is none of its encoding becomes a lone surrogate."""
    text = TextIOWrapper(stream, mapping.encoding, errors="surrogateescape", newline="")
    try:
        yield text
    finally:
        text.detach()  # closing the stream is for whoever opened it


def events_of(lines: Iterable[str], mapping: RowMapping, file: str = "rows") -> Iterator[CloudEvent | Reject]:
    """The events and rejects of a table's lines, in order."""
    return (found for _, found in numbered_events_of(lines, mapping, file))


def numbered_events_of(lines: Iterable[str], mapping: RowMapping, file: str = "rows") -> Iterator[tuple[int, CloudEvent | Reject]]:
    """As `events_of`, each with the line on which its row ends."""
    makers = [_EventMaker(event) for event in mapping.events]
    empty = frozenset(mapping.empty)
    for line, row in _rows(lines, mapping, file):
        if isinstance(row, Reject):
            yield line, row
            continue
        cells = {column: cell for column, cell in row.items() if cell not in empty}
        for maker in makers:
            try:
                event = maker.make(cells, {"name": file, "line": line})
            except _Unusable as wrong:
                yield line, Reject(line, wrong.column, wrong.why, row)
                continue
            if event is not None:
                yield line, event


def _rows(lines: Iterable[str], mapping: RowMapping, file: str) -> Iterator[tuple[int, dict[str, str] | Reject]]:
    """(line, cells by column) of each row; blank lines are left out."""
    source = _without_mark(lines)
    for _ in range(mapping.skip_lines):
        next(source, None)
    reader = csv.reader(source, delimiter=mapping.delimiter)
    columns = _columns(next(reader, []), mapping, file)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as wrong:  # such as a cell beyond the size limit
            line = mapping.skip_lines + reader.line_num
            yield line, Reject(line, None, f"not CSV: {wrong}", {})
            continue
        if cells is None:
            return
        line = mapping.skip_lines + reader.line_num
        if not cells:
            continue
        row = dict(zip(columns, map(_shown, cells), strict=False))
        if any(map(_UNDECODED.search, cells)):
            column = next((name for name, cell in zip(columns, cells, strict=False) if _UNDECODED.search(cell)), None)
            yield line, Reject(line, column, f"not {mapping.encoding} text: say in the mapping which `encoding` the file has", row)
        elif len(cells) != len(columns):
            yield line, Reject(line, None, f"the row has {len(cells)} cells, the first line names {len(columns)} columns", row)
        else:
            yield line, row


def _without_mark(lines: Iterable[str]) -> Iterator[str]:
    """The lines without the byte order mark that spreadsheets put before the first."""
    source = iter(lines)
    for first in source:
        yield first.removeprefix("\ufeff")
        break
    yield from source


def _shown(cell: str) -> str:
    """A cell that can be written down again."""
    return _UNDECODED.sub("\ufffd", cell)


def _columns(names: list[str], mapping: RowMapping, file: str) -> list[str]:
    columns = [_shown(name.strip()) for name in names]
    line = mapping.skip_lines + 1
    known = [column for column in columns if len(column) <= _NAME_LENGTH_MAX]
    missing = sorted(mapping.columns - set(columns))
    if missing and len(columns) < 2:
        raise LanguageError((Problem(file, line, 1, *_no_table("".join(columns), mapping)),))
    problems = [
        Problem(file, line, 1, f"there is no column {column!r}, which the mapping {mapping.name!r} needs", nearest(column, known))
        for column in missing
    ]
    problems += [
        Problem(file, line, 1, f"two columns are called {name!r}") for name in sorted({n for n in columns if n and columns.count(n) > 1})
    ]
    if problems:
        raise LanguageError(tuple(problems))
    return columns


def _no_table(first: str, mapping: RowMapping) -> tuple[str, str]:
    """(message, hint) for a first line that names one column, or none, where the mapping needs others."""
    if not first:
        return "there is no line of column names", "the file is empty, or `skip_lines` of the mapping is too large"
    other = next((sign for sign in (",", ";", "\t", "|") if sign in first and sign != mapping.delimiter), None)
    hint = "" if other is None else f"write delimiter: {'tab' if other == chr(9) else repr(other)} in the mapping"
    return f"the line of column names holds none that the mapping {mapping.name!r} needs, split at {mapping.delimiter!r}", hint


class _EventMaker:
    """Makes one kind of event of a mapping, row after row."""

    def __init__(self, event: RowEvent) -> None:
        self._when: Condition | None = condition_of(event.when) if event.when else None
        self._attributes = event.attributes
        self._data = event.data

    def make(self, cells: Mapping[str, str], file: Mapping[str, Any]) -> CloudEvent | None:
        """The event; None where the row does not give it. Raises _Unusable."""
        if self._when is not None and self._when(file, cells) is not True:
            return None
        try:
            attributes = self._attributes_of(cells)
        except _NoEvent:
            return None
        data = {name: value for name, source in self._data.items() if (value := _value(source, cells)) is not None}
        event = {"specversion": "1.0", **attributes, "datacontenttype": "application/json", "data": data}
        event.setdefault("id", _identity(event))
        return event

    def _attributes_of(self, cells: Mapping[str, str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, source in self._attributes.items():
            value = _value(source, cells)
            if value is not None:
                found[name] = value
            elif name == "type" and source.words is not None and _filled(source.template, cells) is not None:
                raise _NoEvent
            elif name in (*_REQUIRED, "time"):
                raise _Unusable(next(iter(source.template.columns), None), f"the event's {name} has no value")
        return found


def _identity(event: CloudEvent) -> str:
    """The same row gives the same id, in any run and on any machine; another content another id."""
    return hashlib.blake2b(msgspec.json.encode(event, order="sorted"), digest_size=16).hexdigest()


def _filled(template: Template, cells: Mapping[str, str]) -> str | None:
    parts = list(template.parts)
    for place in range(1, len(parts), 2):
        cell = cells.get(parts[place])
        if cell is None:
            return None
        parts[place] = cell
    return "".join(parts)


def _value(source: RowValue, cells: Mapping[str, str]) -> Any:
    """The value for one row; None where there is none. Raises _Unusable where the cell cannot be converted."""
    text = _filled(source.template, cells)
    if text is not None and source.words is not None:
        text = source.words.get(text)
    if text is None:
        text = source.default
    if text is None or source.kind == "text":
        return text
    try:
        return _CONVERTERS[source.kind](text, source)
    except ValueError as wrong:
        raise _Unusable(next(iter(source.template.columns), None), str(wrong)) from None


def _number(text: str, _: RowValue) -> int | float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a number")
    return int(value) if value.is_integer() and abs(value) < 2**53 and "." not in text and "e" not in text.lower() else value


def _boolean(text: str, _: RowValue) -> bool:
    word = text.strip().lower()
    if word not in (*_TRUE, *_FALSE):
        raise ValueError(f"{text!r} is neither true nor false")
    return word in _TRUE


def _instant(text: str, source: RowValue) -> str:
    return _parsed_instant(text.strip(), source.dates, source.zone or "UTC")


@lru_cache(maxsize=65_536)  # tables repeat their dates
def _parsed_instant(text: str, dates: tuple[str, ...], zone_name: str) -> str:
    """RFC 3339 of a date in one of the formats. A wall time that a change of clocks skips moves forward; of two, the first is taken."""
    for pattern in dates:
        try:
            if pattern == "rfc3339":
                return format_instant(parse_instant(text, zone(zone_name)))
            read = datetime.strptime(text, pattern)  # noqa: DTZ007 (the zone follows on the next line)
        except (BadInstant, ValueError):
            continue
        return format_instant(from_datetime(read if read.tzinfo else read.replace(tzinfo=zone(zone_name))))
    raise ValueError(f"{text!r} is not a date of the form {' or '.join(dates)}")


_CONVERTERS: Final[dict[ValueKind, Callable[[str, RowValue], Any]]] = {"number": _number, "boolean": _boolean, "instant": _instant}
