"""An engine's state as bytes, and back: what a checkpoint holds. Pure; the bytes are kept elsewhere.

    engine ──blocks()──►  head | cases of a desk | cases … | books of desks | timers  ──Restoring──►  an engine that goes on the same

Whatever follows from the agreements (rules, calendars, targets) is not written down but named by where it stands in the promises,
which the activations in the head bring back. Only this module's own classes are read, so bytes from elsewhere can run nothing.
"""

import io
import pickle
import struct
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec
from isal import isal_zlib

from shared.sla.books import Timer
from shared.sla.calendars import Calendar, Zone
from shared.sla.engine import Case, Enacted, Engine, Lane, Vendor
from shared.sla.evidence import Evidence
from shared.sla.instants import FOREVER
from shared.sla.leaving import Gone, Rest
from shared.sla.packing import Unpack
from shared.sla.rules import DeadlineRules
from shared.sla.swift import unpack_case
from shared.sla.timers import Fired

CASES_MAX: Final = 2_000  # in a piece: what is read or written at once
_BLOCK_BYTES: Final = 4 << 20  # pieces are packed together until a block is so large
_LENGTH: Final = struct.Struct(">I")
_ATOMS: Final = (str, int, float, bytes, bool, Enum, type(None))
_LEAVES: Final = (Calendar, Zone, msgspec.Struct)  # named, but not looked into: calendars compile themselves as they are asked
_ALLOWED: Final = frozenset(
    (
        *(("builtins", name) for name in ("set", "frozenset", "min", "max")),
        ("collections", "Counter"),
        ("collections", "deque"),
        ("decimal", "Decimal"),
        ("fractions", "Fraction"),
        ("msgspec._utils", "rebuild"),
    )
)

Name = tuple[object, ...]


class Unreadable(Exception):
    """Bytes that are no state of this engine; the message says why."""


class _Head(NamedTuple):
    """What the rest stands on."""

    clock: str
    enacted: list[Enacted]
    counts: tuple[int, ...]
    superseded: dict[tuple[str, str, str], tuple[str, str]]
    vendors: list[tuple[str, dict[tuple[str, str], list[Evidence]], list[str]]]  # name, evidence that was superseded, services
    lanes: list[tuple[str, int, Any]]  # vendor (log mode: empty), log time, door


class _Cases(NamedTuple):
    """Some cases of a desk: (name, evidence, books)."""

    vendor: str
    service: str
    cases: list[tuple[str, list[Evidence], list[Any]]]


class _Books(NamedTuple):
    """What a desk counts over all cases."""

    vendor: str
    service: str
    first: int | None
    first_gone: int
    last_gone: int
    books: dict[Any, Any]


class _Gone(NamedTuple):
    """Some of what is remembered of cases that have left a desk."""

    vendor: str
    service: str
    of: int  # how many shards there are
    shards: list[bytes]


class _SwiftHead(NamedTuple):
    """What the numbers in `_Swift` stand for."""

    names: list[str]
    desks: list[tuple[str, str]]
    rules: list[tuple[DeadlineRules, str]]  # and the name of the objective


class _Swift(NamedTuple):
    """Some cases of the swift path, as native code packs them."""

    block: bytes


class _Timers(NamedTuple):
    """Timers and reminders of a lane, each with who waits: (vendor, service, case or None, place or key)."""

    vendor: str
    heap: list[tuple[Fired, Name]]
    aside: list[tuple[Fired, Name]]
    buckets: list[tuple[int, list[Name]]]
    armed: int
    opened: int


class _Names:
    """What follows from the agreements, by where it stands in an engine's promises."""

    def __init__(self, engine: Engine) -> None:
        self.of: dict[int, Name] = {}
        self.found: dict[Name, object] = {}
        for key, promise in sorted(engine.promises.items()):
            self._walk(promise, (key,))

    def _walk(self, thing: Any, name: Name) -> None:
        if isinstance(thing, _ATOMS) or id(thing) in self.of:
            return
        self.of[id(thing)] = name
        self.found[name] = thing
        if isinstance(thing, _LEAVES):
            return
        for key, part in _parts(thing):
            self._walk(part, (*name, key))

    def reducers(self) -> dict[type, Callable[[Any], Any]]:
        """For pickling: named things become their names."""

        def reduce(thing: Any) -> Any:
            name = self.of.get(id(thing))
            return thing.__reduce_ex__(pickle.HIGHEST_PROTOCOL) if name is None else (_named, (name,))

        return dict.fromkeys({type(thing) for thing in self.found.values()}, reduce)


def _parts(thing: Any) -> Iterator[tuple[object, Any]]:
    if isinstance(thing, dict):
        yield from thing.items()
    elif isinstance(thing, tuple | list):
        yield from enumerate(thing)
    elif hasattr(thing, "__dict__") and not callable(thing):
        yield from vars(thing).items()
    elif not callable(thing):
        for kind in type(thing).__mro__:
            for slot in getattr(kind, "__slots__", ()):
                if hasattr(thing, slot):
                    yield slot, getattr(thing, slot)


def _named(_name: Name) -> object:
    raise AssertionError("names are resolved by the reader")


class _Reader(pickle.Unpickler):
    def __init__(self, piece: bytes, names: _Names | None) -> None:
        super().__init__(io.BytesIO(piece))
        self._names = names

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (__name__, "_named"):
            assert self._names is not None
            return self._names.found.__getitem__
        if module.startswith("shared.sla.") or (module, name) in _ALLOWED:
            return super().find_class(module, name)
        raise Unreadable(f"a checkpoint holds no {module}.{name}")


def _write(content: Any, reducers: dict[type, Callable[[Any], Any]]) -> bytes:
    out = io.BytesIO()
    pickler = pickle.Pickler(out, protocol=pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = reducers
    pickler.dump(content)
    return out.getvalue()


# -- writing -----------------------------------------------------------------------------------------------------


def blocks(engine: Engine) -> Iterator[bytes]:
    """The state, as packed blocks; nothing may be folded meanwhile."""
    block: list[bytes] = []
    size = 0
    for piece in _pieces(engine):
        block += [_LENGTH.pack(len(piece)), piece]
        size += len(piece)
        if size >= _BLOCK_BYTES:
            yield isal_zlib.compress(b"".join(block))
            block, size = [], 0
    yield isal_zlib.compress(b"".join(block))


def _pieces(engine: Engine) -> Iterator[bytes]:
    vendors = [(name, vendor.aside, list(vendor.desks)) for name, vendor in sorted(engine.vendors.items())]
    lanes = [(name, lane.seen, lane.timers.door) for name, lane in _lanes(engine)]
    yield _write(_Head(engine.clock, engine.enacted, engine.tallies, engine.superseded, vendors, lanes), {})
    reducers = _Names(engine).reducers()
    for desk in engine.desks():
        cases = iter(desk.cases.items())
        while some := [(name, case.events, case.books) for name, case in islice(cases, CASES_MAX)]:
            yield _write(_Cases(desk.vendor, desk.service, some), reducers)
    for desk in engine.desks():
        if desk.books or desk.first is not None or desk.gone is not None:
            yield _write(_Books(desk.vendor, desk.service, desk.first, desk.first_gone, desk.last_gone, desk.books), reducers)
        for count, shards in () if desk.gone is None else desk.gone.pieces():
            yield _write(_Gone(desk.vendor, desk.service, count, shards), {})
    for name, lane in _lanes(engine):
        yield _write(_timers_of(engine, name, lane), {})
    if engine.swift is not None:  # last: its cases bring their timers with them
        desks = [(desk.vendor, desk.service) for desk in engine.swift.desks]
        yield _write(_SwiftHead(engine.swift.names(), desks, engine.swift.told_rules), reducers)
        for block in engine.swift.blocks():
            yield _write(_Swift(block), {})


def _lanes(engine: Engine) -> list[tuple[str, Lane]]:
    if engine.clock == "log":
        return [("", engine.lane)]
    return [(name, vendor.lane) for name, vendor in sorted(engine.vendors.items())]


def _timers_of(engine: Engine, vendor: str, lane: Lane) -> _Timers:
    def named(many: Iterable[Fired]) -> list[tuple[Fired, Name]]:
        refs = ((fired, _name_of(engine, fired.book)) for fired in many)
        return [(fired._replace(book=_NOBODY), name) for fired, name in refs if name is not None]

    heap, aside, buckets, armed, opened = lane.timers.state()
    reminders = [(number, [name for book in bucket if (name := _name_of(engine, book)) is not None]) for number, bucket in buckets.items()]
    return _Timers(vendor, named(heap), named(aside), reminders, armed, opened)


class _Nobody:
    """In place of who waits, until it is found again."""

    def timers(self, start: int, end: int) -> Iterable[Timer]:
        """None."""
        return ()


_NOBODY: Final = _Nobody()


def _name_of(engine: Engine, book: Any) -> Name | None:
    """Who waits, by where it stands; None: nobody that can still be woken."""
    if isinstance(book, Case):
        stays = book.desk.cases.get(book.name) is book
        return (book.desk.vendor, book.desk.service, book.name, None) if stays else None
    place = getattr(book, "place", book)
    desk = engine.vendors[place.vendor].desks[place.service]
    for key, kept in desk.books.items():
        if kept is book:
            return (desk.vendor, desk.service, None, key)
    case = desk.cases.get(getattr(book, "case", ""))
    found = None if case is None else next((i for i, kept in enumerate(case.books) if kept is book), None)
    return None if case is None or found is None else (desk.vendor, desk.service, book.case, found)


# -- reading -----------------------------------------------------------------------------------------------------


class Restoring:
    """Brings an engine, new but for its standing agreements, to a state that was written. `cases`: how many were read so far."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._names: _Names | None = None
        self._swift: _SwiftHead | None = None
        self.cases = 0

    def read(self, block: bytes) -> Iterator[None]:
        """Take in the next block; there may be a breath between its pieces. Raises Unreadable."""
        try:
            whole = isal_zlib.decompress(block)
        except isal_zlib.IsalError as wrong:  # type: ignore[misc]  # its stubs take the class for an instance
            raise Unreadable(f"a block of a checkpoint cannot be unpacked: {wrong}") from wrong
        at = 0
        while at < len(whole):
            (length,) = _LENGTH.unpack_from(whole, at)
            at += _LENGTH.size
            self._take(whole[at : at + length])
            at += length
            yield

    def _take(self, piece: bytes) -> None:
        engine = self._engine
        try:
            content = _Reader(piece, self._names).load()
        except (pickle.UnpicklingError, AttributeError, EOFError, IndexError, KeyError, TypeError, ValueError) as wrong:
            raise Unreadable(f"a piece of a checkpoint cannot be read: {wrong!r}") from wrong
        match content:
            case _Head():
                _restore_head(engine, content)
                self._names = _Names(engine)
            case _Cases():
                _restore_cases(engine, content)
                self.cases += len(content.cases)
            case _Books(vendor, service, first, first_gone, last_gone, books):
                desk = engine.vendors[vendor].desks[service]
                desk.first, desk.first_gone, desk.last_gone, desk.books = first, first_gone, last_gone, books
                if engine.swift is not None:
                    engine.swift.tell_desk(desk)
            case _Gone(vendor, service, of, shards):
                desk = engine.vendors[vendor].desks[service]
                desk.gone = desk.gone or Gone()
                desk.gone.restore(of, shards)
                if engine.swift is not None:
                    engine.swift.gone(desk, b"".join(shards))
            case _Timers():
                _restore_timers(engine, content)
            case _SwiftHead():
                self._swift = content
            case _Swift(block):
                assert self._swift is not None
                self.cases += _restore_swift(engine, self._swift, block)
            case _:
                raise Unreadable(f"a checkpoint holds no {type(content).__name__}")


def _restore_head(engine: Engine, head: _Head) -> None:
    if head.clock != engine.clock:
        raise Unreadable(f"the checkpoint is of SLAWATCH_CLOCK={head.clock}, this evaluator runs under {engine.clock}")
    engine.enact(head.enacted)
    engine.tallies, engine.superseded = head.counts, head.superseded
    for name, aside, services in head.vendors:
        vendor = engine.vendor(name)
        for service in services:
            engine.desk(name, service)
        vendor.aside = aside
        for superseded in aside.values():
            for event in superseded:
                _post(vendor, event)
    for name, seen, door in head.lanes:
        lane = engine.lane if engine.clock == "log" else engine.vendor(name).lane
        lane.seen, lane.timers.door = seen, door
        if engine.swift is not None:
            engine.swift.stale.add(lane)
            engine.swift.tell_door(lane)
    for (vendor_name, source, id_), (service, case) in head.superseded.items():
        engine.note(engine.desk(vendor_name, service), case, source, id_)


def _post(vendor: Vendor, event: Evidence) -> None:
    posted = vendor.posted.get(event.source)
    if posted is None:
        posted = vendor.posted[event.source] = {}
    posted[event.id] = event


def _restore_cases(engine: Engine, piece: _Cases) -> None:
    vendor = engine.vendors[piece.vendor]
    desk = vendor.desks[piece.service]
    for name, events, books in piece.cases:
        case = desk.cases[name] = Case(desk, name, events, books)
        touched_at = case.touched_at(vendor.aside.get((piece.service, name), ()))
        desk.lane.leaving.put(case, Rest(touched_at, -FOREVER).leaves_at(desk.horizon))  # no earlier than this
        if not events:  # all was superseded
            engine.note(desk, name, "", "")
        for event in events:
            event.vendor, event.service = desk.vendor, desk.service
            _post(vendor, event)
            engine.note(desk, name, event.source, event.id)
    desk.lane.timers.watch(desk.lane.leaving.at)


def _restore_swift(engine: Engine, head: _SwiftHead, block: bytes) -> int:
    """Give cases of the swift path back to it; where native code is not built they are kept here. How many cases, as far as is known."""
    desks = [engine.vendors[vendor].desks[service] for vendor, service in head.desks]
    if engine.swift is not None:
        return engine.swift.put_in(block, head.names, desks, head.rules)
    answer, rules, count = Unpack(block), [rules for rules, _ in head.rules], 0
    while not answer.is_empty:
        packed = unpack_case(answer, head.names.__getitem__, rules)
        engine.adopt(engine.case_of(packed, desks[packed.desk]))
        count += 1
    return count


def _restore_timers(engine: Engine, piece: _Timers) -> None:
    def awake(many: list[tuple[Fired, Name]]) -> list[Fired]:
        return [fired._replace(book=_who(engine, name)) for fired, name in many]

    lane = engine.lane if engine.clock == "log" else engine.vendor(piece.vendor).lane
    buckets = {number: [_who(engine, name) for name in bucket] for number, bucket in piece.buckets}
    lane.timers.set_state(awake(piece.heap), awake(piece.aside), buckets, piece.armed, piece.opened)


def _who(engine: Engine, name: Name) -> Any:
    vendor, service, case, place = name
    desk = engine.vendors[str(vendor)].desks[str(service)]
    if case is None:
        return desk.books[place]  # type: ignore[index]  # a party book's key
    found = desk.cases[str(case)]
    return found.books[place] if isinstance(place, int) else found
