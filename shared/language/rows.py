"""Running a mapping: rows of a table in, CloudEvents (as plain dicts) and rejects out, one row in memory at a time."""

import gzip
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, Final, TextIO, cast

import msgspec

from shared.language.cells import converted, instant
from shared.language.mapping import ROW_VARIABLES, RowEvent, RowMapping, RowValue, Template, condition_of
from shared.language.problems import LanguageError, Problem, nearest
from shared.language.tables import Row, rows_of
from shared.sla.conditions import fields_read
from shared.sla.evidence import ATTRIBUTE_BYTES_MAX, wrong_with_text

CloudEvent = dict[str, Any]

_UNDECODED: Final = re.compile("[\udc80-\udcff]")  # what `surrogateescape` makes of a byte that cannot be decoded
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_NAME_LENGTH_MAX: Final = 60  # of a column's name that is offered in a hint
_TWICE_LINES_MAX: Final = 10  # that are remembered
_REQUIRED: Final = ("type", "subject", "vendor", "service", "source")


class Reject(msgspec.Struct, frozen=True):
    """A row, or one event of it, that could not be used. `line` is where the row ends in the file; `row` its cells as they stood.

    A cell whose column has no name of its own goes by its place, such as #7.
    """

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


class Twice:
    """Local times that clocks show twice as they go back: how many were read, each as the first of both, and on which lines.

    The lines are those of the first rows only.
    """

    def __init__(self) -> None:
        self.count = 0
        self.lines: list[int] = []

    def add(self, line: int, count: int) -> None:
        """Some in the row that ends on `line`."""
        self.count += count
        if len(self.lines) < _TWICE_LINES_MAX:
            self.lines.append(line)


def events_of(lines: Iterable[str], mapping: RowMapping, file: str = "rows") -> Iterator[CloudEvent | Reject]:
    """The events and rejects of a table's lines, in order."""
    return (found for _, found in numbered_events_of(lines, mapping, file, Twice()))


def numbered_events_of(lines: Iterable[str], mapping: RowMapping, file: str, twice: Twice) -> Iterator[tuple[int, CloudEvent | Reject]]:
    """As `events_of`, each with the line on which its row ends. Local times that come twice are counted."""
    makers = [_EventMaker(event) for event in mapping.events]
    empty = frozenset(mapping.empty)
    for line, row in _rows(lines, mapping, file):
        if isinstance(row, Reject):
            yield line, row
            continue
        cells = {column: cell for column, cell in row.items() if cell not in empty}
        doubtful = set[str]()
        for maker in makers:
            try:
                event = maker.make(cells, {"name": file, "line": line}, doubtful)
            except _Unusable as wrong:
                yield line, Reject(line, wrong.column, wrong.why, row)
                continue
            if event is not None:
                yield line, event
        if doubtful:
            twice.add(line, len(doubtful))


def _rows(lines: Iterable[str], mapping: RowMapping, file: str) -> Iterator[tuple[int, dict[str, str] | Reject]]:
    """(line, cells by column) of each row; blank lines are left out."""
    rows = rows_of(_without_mark(lines), mapping.delimiter, mapping.skip_lines)
    columns = _columns(next(rows, Row(mapping.skip_lines + 1, [], mapping.skip_lines + 1)), mapping, file)
    for line, cells, first, wrong in rows:
        if not (wrong or len(cells) != len(columns) or _UNDECODED.search("".join(cells))):
            yield line, dict(zip(columns, cells, strict=True))
            continue
        names = [*columns, *(f"#{place}" for place in range(len(columns) + 1, len(cells) + 1))]  # rows are rejected with all their cells
        row = dict(zip(names, map(_shown, cells), strict=False))
        column = next((name for name, cell in zip(names, cells, strict=False) if _UNDECODED.search(cell)), None)
        if wrong or column is None:
            yield line, Reject(line, None, wrong or _ragged(line, cells, first, columns), row)
            continue
        why = f"not {_called(mapping.encoding)} text: write in the mapping which encoding the file has, such as `encoding: cp1252`"
        yield line, Reject(line, column, why, row)


def _ragged(line: int, cells: list[str], first: int, columns: list[str]) -> str:
    """Why a row of another length is not used. One that only lacks its last cells may as well be one that was cut off in a cell."""
    begun = f" (it begins in line {first})" if first < line else ""
    missing = "".join(f", {name!r} has none" for name in columns[len(cells) : len(cells) + 1])
    return f"the row has {len(cells)} cell{'s' * (len(cells) != 1)}, the first line names {len(columns)} columns{missing}{begun}"


def _called(encoding: str) -> str:
    return "UTF-8" if encoding == "utf-8-sig" else encoding


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


def _columns(first: Row, mapping: RowMapping, file: str) -> list[str]:
    """What the cells of a row are called: by their columns; those whose column has no name of its own, by their place."""
    names = [_shown(name.strip()) for name in first.cells]
    line = first.first
    if first.wrong:
        raise LanguageError((Problem(file, line, 1, f"the line of column names has {first.wrong}"),))
    if "\0" in "".join(names):
        message = f"the file is not {_called(mapping.encoding)} text: it looks like UTF-16"
        raise LanguageError((Problem(file, line, 1, message, "write encoding: utf-16 in the mapping, or save the file as UTF-8"),))
    known = {name for name in names if name and len(name) <= _NAME_LENGTH_MAX}
    missing = sorted(mapping.columns - set(names))
    if missing and len(names) < 2:
        raise LanguageError((Problem(file, line, 1, *_no_table("".join(names), mapping)),))
    needed = f"which the mapping {mapping.name!r} needs"
    problems = [Problem(file, line, 1, f"there is no column {name!r}, {needed}", nearest(name, known)) for name in missing]
    problems += [
        Problem(file, line, 1, f"{names.count(name)} columns are called {name!r}, {needed}", "rename all but one")
        for name in sorted(mapping.columns)
        if names.count(name) > 1
    ]
    if problems:
        raise LanguageError(tuple(problems))
    return [name if name and names.count(name) == 1 else _by_place(name, place, names) for place, name in enumerate(names, 1)]


def _by_place(name: str, place: int, names: list[str]) -> str:
    called = f"{name}#{place}"
    while called in names:
        called += "#"
    return called


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
        self._text = event.when or ""
        self._when = condition_of(event.when) if event.when else None
        self._attributes = event.attributes
        self._constants = {name: value.template.parts[0] for name, value in event.attributes.items() if value.is_constant}
        self._variable = {name: value for name, value in event.attributes.items() if not value.is_constant}
        self._data = event.data

    def make(self, cells: Mapping[str, str], file: Mapping[str, Any], twice: set[str]) -> CloudEvent | None:
        """The event; None where the row does not give it. Raises _Unusable. Local times that come twice are added to `twice`."""
        if self._when is not None:
            answer = self._when(file, cells)
            if answer is None:
                raise self._untold(cells)
            if not answer:
                return None
        try:
            attributes = self._attributes_of(cells, twice)
        except _NoEvent:
            return None
        data = {name: value for name, source in self._data.items() if (value := _value(source, cells, twice)) is not None}
        event = {"specversion": "1.0", **attributes, "datacontenttype": "application/json", "data": data}
        event.setdefault("id", _identity(event))
        return event

    def _untold(self, cells: Mapping[str, str]) -> _Unusable:
        """A row that may or may not give the event does not vanish without a word."""
        read, _ = fields_read(self._text, ROW_VARIABLES)
        column = next((name for name in sorted(read) if name not in cells), None)
        untold = f"the condition {self._text!r} cannot be told"
        if column is None:
            return _Unusable(None, f"{untold}: a cell is not what it takes, such as a text where int() wants a number")
        asked = f"has(row.{column})" if _IDENTIFIER.match(column) else f"{msgspec.json.encode(column).decode()} in row"
        return _Unusable(column, f"{untold}: the cell is empty; where that may be, write {asked} && …")

    def _attributes_of(self, cells: Mapping[str, str], twice: set[str]) -> dict[str, Any]:
        found: dict[str, Any] = {**self._constants}
        for name, source in self._variable.items():
            value = _value(source, cells, twice)
            if value is not None:
                found[name] = value
            elif name == "type" and source.words is not None and _filled(source.template, cells) is not None:
                raise _NoEvent
            elif name in (*_REQUIRED, "time"):
                columns = source.template.columns
                empty = next((column for column in columns if column not in cells), None)
                unlisted = "" if empty else ": the cell is none of its 'values'"
                raise _Unusable(empty or columns[0], f"the event's {name} has no value{unlisted}")
        together = "".join(found.values())
        if not together.isprintable() or len(together) * 4 > ATTRIBUTE_BYTES_MAX:  # seldom
            self._refuse_unfit(found)
        return found

    def _refuse_unfit(self, attributes: dict[str, Any]) -> None:
        for name, text in attributes.items():
            if wrong := wrong_with_text(name, text):
                raise _Unusable(next(iter(self._attributes[name].template.columns), None), wrong)


def _identity(event: CloudEvent) -> str:
    """The same row gives the same id, in any run and on any machine; another content another id."""
    return hashlib.blake2b(msgspec.json.encode(event, order="sorted"), digest_size=16).hexdigest()


def _filled(template: Template, cells: Mapping[str, str]) -> str | None:
    parts = list(template.parts)
    if len(parts) == 1:  # a constant; like a lone column, it is what nearly all templates are
        return parts[0]
    if len(parts) == 3:
        cell = cells.get(parts[1])
        return None if cell is None else f"{parts[0]}{cell}{parts[2]}"
    for place in range(1, len(parts), 2):
        cell = cells.get(parts[place])
        if cell is None:
            return None
        parts[place] = cell
    return "".join(parts)


def _value(source: RowValue, cells: Mapping[str, str], twice: set[str]) -> Any:
    """The value for one row; None where there is none. Raises _Unusable where the cell cannot be converted."""
    text = _filled(source.template, cells)
    if text is not None and source.words is not None:
        text = source.words.get(text)
    if text is None:
        text = source.default
    if text is None or source.kind == "text":
        return text
    try:
        if source.kind != "instant":
            return converted(text, source.kind, source.dates, source.zone)
        dated = instant(text, source.dates, source.zone)
    except ValueError as wrong:
        raise _Unusable(next(iter(source.template.columns), None), str(wrong)) from None
    if dated.comes_twice:
        twice.add(text)
    return dated.text
