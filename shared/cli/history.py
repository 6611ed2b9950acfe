"""A history through the engine, as `replay` and `explain` run it: the same code that the evaluator runs, without Kafka."""

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Literal, NamedTuple, Protocol, cast

import msgspec

from shared.cli.console import err
from shared.language import LanguageError, Loaded, bundles
from shared.language.mapping import RowMapping
from shared.language.rows import CloudEvent, Reject, Twice, numbered_events_of, text_of
from shared.sla.engine import Case, ClockMode, Engine
from shared.sla.evidence import Evidence
from shared.sla.statements import Said
from shared.sla.swift import Stretch
from shared.wire import events
from shared.wire.controls import Activation, Advance, Pulse
from shared.wire.forms import swift_forms
from shared.wire.history import BadLine, Line, RawLine, raw_lines

Order = Literal["arrival", "time"]
REJECTS_SHOWN: Final = 5
TIMERS_AT_ONCE: Final = 1_000
SWIFT_LINES: Final = 5_000  # that go the swift path at once


class Unusable(Exception):
    """The history as a whole cannot be replayed; the message says why and what to do."""


Item = Line | BadLine | RawLine


class Source(NamedTuple):
    """An open history: its items, and how many bytes of the file were read (for progress)."""

    lines: Iterator[Item]
    is_rows: bool
    size: int
    file: IO[bytes]

    @property
    def done(self) -> int:
        """Bytes read so far."""
        return self.file.tell()

    def ordered(self, order: Order | None) -> Iterator[Item]:
        """By time, or as the file stands; None: rows of a table by time, lines as they stand."""
        return by_time(self.lines) if order == "time" or (order is None and self.is_rows) else self.lines


@contextmanager
def open_history(path: Path, mapping: RowMapping | None) -> Iterator[Source]:
    """Open NDJSON, or CSV with its mapping; `.gz` too. Raises Unusable. At the end, local times that come twice are told on stderr."""
    try:
        file = path.open("rb")
    except OSError as wrong:
        raise Unusable(f"{path}: {wrong.strerror}") from wrong
    twice = Twice()
    with file:
        yield _source(path, file, mapping, twice)
    if twice.count:
        err.print(_told(twice), style="yellow", markup=False)


def _told(twice: Twice) -> str:
    shown, more = twice.lines[:REJECTS_SHOWN], twice.lines[REJECTS_SHOWN:]
    where = f"line{'s' * (len(shown) > 1)} {', '.join(map(str, shown))}{' …' * bool(more)}"
    return f"{twice.count} local time{'s come' if twice.count > 1 else ' comes'} twice, as clocks go back: the first was taken ({where})"


def _source(path: Path, file: IO[bytes], mapping: RowMapping | None, twice: Twice) -> Source:
    stream: IO[bytes] = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if path.name.endswith(".gz") else file
    is_csv = path.name.removesuffix(".gz").endswith(".csv")
    if is_csv and mapping is None:
        raise Unusable(f"{path} is CSV: say with --mapping FILE which columns mean what")
    size = path.stat().st_size
    if mapping is None:
        return Source(_readable(raw_lines(stream), path), False, size, file)
    return Source(_readable(_mapped(stream, mapping, str(path), twice), path), True, size, file)


def _readable(lines: Iterator[Item], path: Path) -> Iterator[Item]:
    """The lines; raises Unusable where the file turns out to be no table of the mapping's, or cannot be read on."""
    try:
        yield from lines
    except LanguageError as wrong:
        raise Unusable(str(wrong)) from wrong
    except (OSError, EOFError, zlib.error, UnicodeError) as wrong:  # no gzip, cut off, no text of its encoding
        raise Unusable(f"{path} cannot be read: {wrong}") from wrong


def _mapped(stream: IO[bytes], mapping: RowMapping, name: str, twice: Twice) -> Iterator[Line | BadLine]:
    with text_of(stream, mapping) as text:
        for number, found in numbered_events_of(text, mapping, name, twice):
            yield _line(number, found)


def _line(number: int, found: CloudEvent | Reject) -> Line | BadLine:
    if isinstance(found, Reject):
        return BadLine(number, f"{found.column}: {found.why}" if found.column else found.why, msgspec.json.encode(found.row).decode())
    try:
        return Line(number, events.to_evidence(found), None, None)
    except events.NotAnEvent as wrong:
        return BadLine(number, str(wrong), msgspec.json.encode(found).decode())


def by_time(lines: Iterable[Item]) -> Iterator[Line | BadLine]:
    """Sorted by the events' time; lines of one instant stay in the file's order. Holds the history in memory."""
    good: list[Line] = []
    for item in lines:
        line = item.read() if isinstance(item, RawLine) else item
        if isinstance(line, BadLine):
            yield line
        else:
            good.append(line)
    yield from sorted(good, key=lambda line: line.content.time if isinstance(line.content, Evidence) else line.arrival or 0)


class Sink(Protocol):
    """Where what a replay says goes."""

    def said(self, statements: Sequence[Said]) -> None: ...

    def rejected(self, line: BadLine) -> None: ...

    def left(self, case: Case) -> None: ...


class Rejects:
    """Lines that could not be used: how many, and the first of what was wrong with them."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[BadLine] = []
        self._known = bytearray()  # a bit for each line of the file: a row gives several events, and each may be wrong

    def add(self, line: BadLine) -> None:
        """What is wrong with a line, or with one event of it."""
        place, bit = line.number // 8, 1 << line.number % 8
        self._known.extend(bytes(max(place + 1 - len(self._known), 0)))
        self.count += not self._known[place] & bit
        self._known[place] |= bit
        if len(self._first) < REJECTS_SHOWN:
            self._first.append(line)

    def show(self, of: str = "") -> None:
        """Print them on stderr, if there are any. `of`: what they were to be used for."""
        for line in self._first:
            err.print(f"line {line.number}: {line.why}", style="yellow", markup=False)
        if self.count:
            end = f"{of} (`slawatch replay --out DIR` writes all to rejects.ndjson)"
            err.print(f"{self.count} line{'s' * (self.count != 1)} could not be used{end}", style="yellow", markup=False)


class Replay:
    """Feeds lines to engines: one for all in event mode; one a partition where the lines carry arrivals."""

    def __init__(
        self, loaded: Loaded, sink: Sink, clock: ClockMode | None, engine: Callable[..., Engine] = Engine, *, swiftly: bool = False
    ) -> None:
        """`clock`: None lets the first line decide: arrivals are used where it carries one. `engine` makes one, as `Engine` does.

        `swiftly`: in event mode, lines go the swift path where they can; the sink is then told bytes too.
        """
        self._loaded, self._sink, self.clock, self._make = loaded, sink, clock, engine
        self._options = {"forms_of": swift_forms} if swiftly else {}
        self._waiting: list[RawLine] = []  # for the swift path
        self.engines: dict[int | None, Engine] = {}
        self.poisoned = 0  # events that could not be folded

    def _engine(self, partition: int | None) -> Engine:
        key = partition if self.clock == "log" else None
        engine = self.engines.get(key)
        if engine is None:
            engine = self.engines[key] = self._make(self.clock or "event", farewell=self._sink.left, **self._options)
            for i, bundle in enumerate(bundles(self._loaded)):
                engine.activate(bundle, f"standing/{i}")
        return engine

    def feed_all(self, source: Source) -> None:
        """Every line of a history, in its usual order."""
        for line in source.ordered(None):
            self.feed(line)

    def feed(self, item: Item) -> None:
        """One line."""
        if isinstance(item, RawLine) and self.clock == "event" and self._engine(None).swift is not None:
            self._waiting.append(item)
            if len(self._waiting) >= SWIFT_LINES:
                self._feed_swiftly()
            return
        self._feed_swiftly()
        self._feed(item.read() if isinstance(item, RawLine) else item)

    def _feed_swiftly(self) -> None:
        """The lines that wait, by the swift path where they can."""
        lines, self._waiting = self._waiting, []
        if not lines:
            return
        stretch, at = Stretch.of([line.value for line in lines], [0] * len(lines)), 0
        while at < stretch.count:
            count, said, stuck = self._engine(None).fold_swiftly(stretch, at)
            self._sink.said(said)
            at += count
            for line in lines[at : at + stuck]:
                self._feed(line.read())
            at += stuck

    def _feed(self, line: Line | BadLine) -> None:
        if isinstance(line, BadLine):
            self._sink.rejected(line)
            return
        if self.clock is None:
            self.clock = "event" if line.arrival is None else "log"
        engine, content, arrival = self._engine(line.partition), line.content, line.believed
        if self.clock == "log" and arrival is None:
            self._sink.rejected(BadLine(line.number, "it carries no arrival, others do", ""))
            return
        if isinstance(content, Evidence):
            said = self._take(engine, content, arrival, line)
        elif isinstance(content, Activation):
            said = engine.activate(content.bundle, content.id, arrival or 0, restate=content.restate)
        elif isinstance(content, Advance) and self.clock == "event":
            said = engine.advance(content.to, content.vendor)
        elif isinstance(content, Pulse) and self.clock == "log":
            said = engine.pulse(arrival or 0)
        else:
            said = engine.tick(arrival or 0) if self.clock == "log" else []
        self._sink.said(said)

    def _take(self, engine: Engine, event: Evidence, arrival: int | None, line: Line) -> Sequence[Said]:
        """One event: what waits for it, then itself."""
        instant, vendor = (event.time, event.vendor) if self.clock == "event" or arrival is None else (arrival, None)
        if engine.is_waited_for(instant, vendor):  # seldom
            more = True
            while more:
                fired, more = engine.fire(instant, TIMERS_AT_ONCE, vendor)
                self._sink.said(fired)
        try:
            said, refused = engine.take(event, arrival, line.arrival)
        except Exception as wrong:  # noqa: BLE001 - the poison-message boundary: its timers have fired before, so the failure is this event's
            self.poisoned += 1
            self._sink.rejected(BadLine(line.number, f"Poison: it cannot be folded: {wrong!r}", event.id))
            return ()
        if refused is not None:
            self._sink.rejected(BadLine(line.number, f"{refused.reason}: {refused.detail}", event.id))
        return said

    def finish(self, until: int | None) -> list[Engine]:
        """Move log time to `until`, if given, and fire what is due; the engines."""
        self._feed_swiftly()
        if not self.engines:
            self._engine(None)
        engines = [engine for _, engine in sorted(self.engines.items(), key=lambda item: -1 if item[0] is None else item[0])]
        for engine in engines:
            if until is not None:
                self._sink.said(engine.advance(until) if self.clock != "log" else engine.tick(until))
            self._sink.said(engine.settle())
        return engines
