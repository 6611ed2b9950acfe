"""The swift path: the shortest stories of clocks, folded from the records' bytes by native code (`native/`, decision 42).

    bytes of records ──► native: started, paused, resumed, stopped, fallen due ──► statements as bytes
                            │ whatever else            ▲ what was packed in a checkpoint
                            ▼                          │
                  the engine: the case goes up, whole, and stays there

A case is kept here or by the engine, never by both. Where the library is not built nothing is kept here, and the engine folds
everything itself: slower, and the same. All instants and durations are milliseconds.
"""

import ctypes
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from shared.sla.calendars import Calendar
from shared.sla.instants import DAY, FOREVER
from shared.sla.packing import Pack, Unpack
from shared.sla.plain import NAMES, PlainClock, State
from shared.sla.rules import DeadlineRules
from shared.sla.statements import Label, Sheaf, Written, WrittenLine

if TYPE_CHECKING:
    from shared.sla.engine import Desk, Lane

LIBRARY: Final = Path(__file__).with_name("native") / "libswift.so"
NEVER: Final = -(1 << 63)
_NONE: Final = (1 << 32) - 1
_NO_STATE: Final = 255
_NOTE, _FORGET, _FORGET_CASE = range(3)
_NOTES_MAX: Final = 1_000  # that wait to be told
_COPIED_BYTES: Final = 1 << 20
_BACK: Final = 100 * DAY  # how much of calendars is told with cases that are put in; what lies beyond is for the engine
_AHEAD: Final = 400 * DAY
_HEAD: Final = 3  # numbers that tell of a statement: desk, kind, length
_TYPES: Final = ("slawatch.clock.met", "slawatch.breach.opened", "slawatch.breach.closed", "slawatch.breach.final")

Form = Sequence[bytes | int]  # what is the same in all statements of some rules, and the numbers of the blanks between
Forms = tuple[Form, Form]  # of a statement, and of a line of `cases.ndjson`
FormsOf = Callable[[DeadlineRules, str], Forms | None]  # of an objective's rules and name; None: none can be made


class _Ask(IntEnum):
    """What can be asked or told (`ask` in native/src/lib.rs)."""

    CALENDAR = 0
    RULES = 1
    DESK = 2
    ADD_LANE = 3
    LANE = 4
    DOOR = 5
    MOVED = 6
    NEXT_AT = 7
    NUMBER_OF_NAME = 8
    NAME = 9
    NOTES = 10
    UP = 12
    RISING = 13
    LEAVERS = 14
    UP_DESK = 15
    COPY = 16
    PUT_IN = 17
    COPY_ONE = 18
    TALLIES = 19
    STATES = 20
    NAMES = 21
    KNOWN = 22
    LET_GO = 23
    RISE_AT = 24
    GONE = 26
    UNKNOWN = 27
    SORT_LINES = 28
    LINES = 29


class _Folded(ctypes.Structure):
    _fields_ = (
        ("count", ctypes.c_int64),
        ("why", ctypes.c_int64),
        ("heads", ctypes.c_void_p),
        ("statements", ctypes.c_int64),
        ("bytes", ctypes.c_void_p),
        ("length", ctypes.c_int64),
        ("rising", ctypes.c_int64),
        ("leavers", ctypes.c_int64),
        ("moved", ctypes.c_int64),
        ("lane", ctypes.c_int64),
        ("until", ctypes.c_int64),
        ("stuck", ctypes.c_int64),
        ("cases", ctypes.c_int64),
    )


_WHY_TIME: Final = 3
_WHY_DESK: Final = 4


@cache
def _library() -> ctypes.CDLL | None:
    """The library; None where it is not built."""
    if not LIBRARY.exists():
        return None
    library = ctypes.CDLL(str(LIBRARY))
    i64, pointer, size = ctypes.c_int64, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int64)
    library.swift_new.argtypes, library.swift_new.restype = (i64, i64), pointer
    library.swift_free.argtypes, library.swift_free.restype = (pointer,), None
    library.swift_answer.argtypes, library.swift_answer.restype = (pointer, size), pointer
    library.swift_fold.argtypes = (pointer, ctypes.c_char_p, pointer, pointer, i64, i64, ctypes.POINTER(_Folded))
    library.swift_fire.argtypes = (pointer, i64, i64, ctypes.POINTER(_Folded))
    library.swift_ask.argtypes = (pointer, i64, ctypes.c_char_p, i64)
    for asked in (library.swift_fold, library.swift_fire, library.swift_ask):
        asked.restype = i64
    return library


def is_built() -> bool:
    """Whether the native code is there."""
    return _library() is not None


class SwiftFailed(Exception):
    """The native code has failed: its state is not to be trusted any more."""


class Stretch:
    """Records of one partition, in order, as the native code takes them."""

    __slots__ = ("arrivals", "block", "count", "ends")

    def __init__(self, block: bytes, ends: "array[int]", arrivals: "array[int]", count: int) -> None:
        """The first `count` of the values that stand one behind the other in `block`, with where they end; `arrivals`: of each, in ms, at
        which event mode does not look. Arrays are of type q."""
        self.block, self.ends, self.arrivals, self.count = block, ends, arrivals, count

    @classmethod
    def of(cls, values: Sequence[bytes], arrivals: Iterable[int]) -> Self:
        """Of values in memory."""
        return cls(b"".join(values), array("q", accumulate(map(len, values))), array("q", arrivals), len(values))


class Folded(NamedTuple):
    """How folding went on: how many records were folded, what was said, and why it stopped, if it did.

    `stuck`: how many of the next records are for the engine. Before them, `waits`: time is to pass for the engine, in a lane until an
    instant; `unknown`: a desk is to be known, by vendor and service.
    """

    records: int
    said: Sequence[Written]
    stuck: int
    waits: "tuple[Lane, int] | None"
    unknown: tuple[str, str] | None


class PackedEvent(NamedTuple):
    """An event of a case that went up."""

    role: int
    type: str
    source: str
    known: int
    time: int
    arrival: int
    datacontenttype: str | None
    id: str
    text: str
    content: bytes


class PackedCase(NamedTuple):
    """A case that went up: its evidence, and its clocks, one for each promise of its desk that has one."""

    desk: int
    name: str
    touched: int
    events: list[PackedEvent]
    clocks: list[PlainClock | None]


class Swift:
    """The cases of one engine that the native code keeps."""

    def __init__(self, *, event_mode: bool, max_skew: int, forms_of: FormsOf) -> None:
        library = _library()
        assert library is not None
        self._library, self._forms_of = library, forms_of
        self._handle = library.swift_new(int(event_mode), max_skew)
        self._grain = 20 if event_mode else 16
        self.lanes: list[Lane] = []
        self.desks: list[Desk] = []
        self._vendors: list[str] = []  # of the desks
        self._desk_of: dict[int, int] = {}  # by id: desks live as long as their engine
        self.rules: list[DeadlineRules] = []
        self._names: list[str] = []
        self._objectives: list[tuple[str, str]] = []  # (agreement, objective) of the rules
        self._labels: list[Label] = []  # of the kinds of statements: those of the first rules, of the second ones, and so on
        self._rules_of: dict[int, int | None] = {}  # by id: likewise; None: not for native code
        self._calendars: list[tuple[Calendar, int]] = []  # and how much of it was told
        self.stale: set[Lane] = set()  # lanes of which there is something to tell
        self._next_at: dict[Lane, int] = {}  # as long as nothing is done here
        self._notes: list[bytes] = []  # what is to be told before the next record
        self._folded = _Folded()
        self.read = self.duplicates = 0

    def __del__(self) -> None:
        self._library.swift_free(self._handle)

    # -- asking --------------------------------------------------------------------------------------------------

    def _ask(self, what: _Ask, said: bytes = b"") -> int:
        found: int = self._library.swift_ask(self._handle, what, said, len(said))
        if found == NEVER:
            raise SwiftFailed(f"native code failed at {what.name}; the message is on stderr")
        return found

    def _answer(self) -> bytes:
        length = ctypes.c_int64()
        at = self._library.swift_answer(self._handle, ctypes.byref(length))
        return ctypes.string_at(at, length.value) if length.value else b""

    def _number_of(self, name: str) -> int:
        return self._ask(_Ask.NUMBER_OF_NAME, Pack().long(name.encode()).done())

    def _name(self, number: int) -> str:
        if number >= len(self._names):
            self._names = self.names()
        return self._names[number]

    # -- telling -------------------------------------------------------------------------------------------------

    def lane(self, lane: "Lane") -> int:
        """The number of a lane, known from now on."""
        if lane.number is None:
            lane.number = self._ask(_Ask.ADD_LANE, Pack().u32(self._grain).done())
            self.lanes.append(lane)
        return lane.number

    def tell_lanes(self) -> None:
        """Tell of the lanes that have moved by what the engine did."""
        for lane in self.stale:
            self._ask(_Ask.LANE, Pack().u32(self.lane(lane)).i64(lane.seen).i64(lane.timers.next_at).done())
        self.stale.clear()

    def tell_door(self, lane: "Lane") -> None:
        """Tell when our own door was open."""
        door = lane.timers.door
        ends = [instant for blind in door.stretches for instant in (blind.start, FOREVER if blind.end is None else blind.end)]
        last = NEVER if door.last_pulse is None else door.last_pulse
        self._ask(_Ask.DOOR, Pack().u32(self.lane(lane)).i64(last).longs(ends).done())

    def tell_known(self, known: int) -> None:
        """Tell how many activations were folded."""
        self._ask(_Ask.KNOWN, Pack().u32(known).done())

    def tell_desk(self, desk: "Desk") -> bool:
        """Tell of a desk, or of what has changed of it; whether its cases may be kept here."""
        rulings, marks, is_open = [], desk.marks, not desk.over_cases and not any(desk.watched)
        for (rules, begin, end), promise in zip(desk.rulings, desk.promises, strict=True):
            number = None if rules is None else self._rules(rules, promise.name)
            types = [self._number_of(name) for name in sorted(promise.editions.types)]
            rulings.append((number, begin, end, types))
        told = Pack().short(desk.vendor.encode("utf-8", "surrogatepass")).short(desk.service.encode("utf-8", "surrogatepass"))
        is_open = is_open and any(number is not None for number, *_ in rulings)
        told.u32(self.lane(desk.lane)).i64(desk.horizon).i64(desk.last_gone).u8(is_open)
        told.u32(len(rulings))
        for mark, (number, begin, end, types) in zip(marks, rulings, strict=True):
            told.u32(_NONE if number is None else number).i64(begin).i64(end).i64(_signed(mark)).numbers(types)
        number = self._ask(_Ask.DESK, told.done())
        self._desk_of[id(desk)] = number
        if number == len(self.desks):
            self.desks.append(desk)
            self._vendors.append(desk.vendor)
        return is_open

    def _rules(self, rules: DeadlineRules, objective: str) -> int | None:
        """The number of rules; None where native code cannot follow them."""
        if id(rules) not in self._rules_of:
            self._rules_of[id(rules)] = self._tell_rules(rules, objective)
        return self._rules_of[id(rules)]

    def _tell_rules(self, rules: DeadlineRules, objective: str) -> int | None:
        forms = self._forms_of(rules, objective)
        known = [target.calendar.known for target in rules.targets]
        if forms is None or rules.when is not None or rules.pause_while is not None or None in known:
            return None
        told = Pack().i64(rules.grace).i64(rules.agreement.horizon).u8(rules.next_open).u32(len(rules.acts))
        for name, act in rules.acts.items():
            told.u32(self._number_of(name)).u8(act)
        told.u8(len(rules.targets))
        for target in rules.targets:
            within = target.steady
            warnings = [] if within is None else [warn.threshold(within) for warn in rules.warnings]
            told.i64(within or 0).u32(self._calendar(target.calendar)).longs(warnings)
        _pack_choice(told, rules)
        told.long(rules.agreement.name.encode()).long(objective.encode()).long(b'"deadline"')
        for form in forms:
            told.u32(len(form))
            for piece in form:
                if isinstance(piece, int):
                    told.u8(piece)
                else:
                    told.u8(_NO_STATE).long(piece)
        self.rules.append(rules)
        self._objectives.append((rules.agreement.name, objective))
        self._labels += [(type_, rules.agreement.name, objective) for type_ in _TYPES]
        return self._ask(_Ask.RULES, told.done())

    def _calendar(self, calendar: Calendar) -> int:
        for number, (known, _) in enumerate(self._calendars):
            if known is calendar:
                return number
        self._calendars.append((calendar, -1))
        self._tell_calendar(len(self._calendars) - 1)
        return len(self._calendars) - 1

    def _tell_calendar(self, number: int) -> None:
        calendar = self._calendars[number][0]
        told = Pack().u32(number).u8(calendar.always)
        known = calendar.known
        assert known is not None
        for instant in (*calendar.covered, *known):
            told.i64(instant)
        for column in calendar.columns:
            told.longs(column)
        self._ask(_Ask.CALENDAR, told.done())
        self._calendars[number] = (calendar, len(calendar.columns[0]))

    def tell_calendars(self) -> None:
        """Tell what the engine has compiled of calendars since."""
        for number, (calendar, told) in enumerate(self._calendars):
            if len(calendar.columns[0]) != told:
                self._tell_calendar(number)

    # -- records and time ----------------------------------------------------------------------------------------

    def fold(self, stretch: Stretch, first: int) -> "Folded":
        """Fold records from `first` on."""
        if self.stale:
            self.tell_lanes()
            self.tell_calendars()
        self._tell_notes()
        folded = self._folded
        ends, arrivals = stretch.ends.buffer_info()[0], stretch.arrivals.buffer_info()[0]
        done = self._library.swift_fold(self._handle, stretch.block, ends, arrivals, first, stretch.count, ctypes.byref(folded))
        self._check(done)
        waits = (self.lanes[folded.lane], folded.until) if folded.why == _WHY_TIME else None
        return Folded(folded.count, self._said(), folded.stuck, waits, self._unknown() if folded.why == _WHY_DESK else None)

    def _unknown(self) -> tuple[str, str]:
        self._ask(_Ask.UNKNOWN)
        answer = Unpack(self._answer())
        return answer.short().decode(), answer.short().decode()

    def fire(self, lane: "Lane", until: int) -> tuple[Sequence[Written], bool]:
        """Fire what is to be called before `until`; whether there is more to fire, once what rises has risen."""
        folded = self._folded
        self._check(self._library.swift_fire(self._handle, self.lane(lane), until, ctypes.byref(folded)))
        return self._said(), folded.why != 0

    def _check(self, done: int) -> None:
        self._next_at.clear()
        if done == NEVER:
            raise SwiftFailed("native code failed at folding; the message is on stderr")
        if self._folded.moved:
            self._ask(_Ask.MOVED)
            moved = array("q", self._answer())
            for number, seen in zip(moved[0::2], moved[1::2], strict=True):
                self.lanes[number].seen = seen

    def _said(self) -> Sequence[Written]:
        folded = self._folded
        count = folded.statements
        if not count:
            return ()
        heads = array("I", ctypes.string_at(folded.heads, 4 * _HEAD * count))
        vendors = list(map(self._vendors.__getitem__, heads[0::_HEAD]))
        return Sheaf(ctypes.string_at(folded.bytes, folded.length), heads[2::_HEAD], vendors, heads[1::_HEAD], self._labels)

    def next_at(self, lane: "Lane") -> int:
        """When the next timer of a lane is called; FOREVER: nothing waits."""
        found = self._next_at.get(lane)
        if found is None:
            found = self._next_at[lane] = self._ask(_Ask.NEXT_AT, Pack().u32(self.lane(lane)).done())
        return found

    # -- up and down ---------------------------------------------------------------------------------------------

    def _packed(self) -> Iterator[PackedCase]:
        answer = Unpack(self._answer())
        while not answer.is_empty:
            self._next_at.clear()
            yield self.unpack(answer)

    def unpack(self, answer: Unpack) -> PackedCase:
        """The next case of an answer (`Case::pack` in native/src/case.rs)."""
        return unpack_case(answer, self._name, self.rules)

    def up(self, vendor: str, service: str, case: str, source: str, id_: str, replaces: str | None) -> Iterator[PackedCase]:
        """The cases that an event speaks of, out of here: its own, those that hold it or what it replaces."""
        if not self._folded.cases:
            return iter(())
        told = Pack()
        for text in (vendor, service, case, source, id_, replaces or ""):
            told.short(text.encode("utf-8", "surrogatepass")[:65_535])
        self._ask(_Ask.UP, told.done())
        return self._packed()

    def rising(self) -> Iterator[PackedCase]:
        """The cases that are beyond the swift path, out of here."""
        if self._folded.rising:
            self._folded.rising = 0
            self._ask(_Ask.RISING)
            return self._packed()
        return iter(())

    def rise_at(self, lane: "Lane", at: int) -> Iterator[PackedCase]:
        """The cases that are called at an instant, out of here."""
        self._ask(_Ask.RISE_AT, Pack().u32(self.lane(lane)).i64(at).done())
        self._ask(_Ask.RISING)
        return self._packed()

    def leavers(self) -> Iterator[PackedCase]:
        """The cases that have left, out of here."""
        self._folded.leavers = 0
        self._ask(_Ask.LEAVERS)
        return self._packed()

    @property
    def has_leavers(self) -> bool:
        """Whether the last call has found any."""
        return bool(self._folded.leavers)

    def let_go(self, lane: "Lane") -> bool:
        """Look at some of the cases that may have left; whether there are more to look at."""
        return bool(self._ask(_Ask.LET_GO, Pack().u32(self.lane(lane)).done()))

    def up_desk(self, desk: "Desk") -> Iterator[PackedCase]:
        """All cases of a desk, out of here."""
        number = self._desk_of.get(id(desk))
        if number is None:
            return iter(())
        self._ask(_Ask.UP_DESK, Pack().u32(number).done())
        return self._packed()

    def copies(self, desk: "Desk | None" = None) -> Iterator[PackedCase]:
        """Copies of all cases (of a desk), for reading. Evidence may be folded between two of them."""
        for block in self.blocks(desk):
            answer = Unpack(block)
            while not answer.is_empty:
                yield self.unpack(answer)

    def blocks(self, desk: "Desk | None" = None) -> Iterator[bytes]:
        """Likewise, packed."""
        number = _NONE if desk is None else self._desk_of[id(desk)]
        start = 0
        while True:
            start = self._ask(_Ask.COPY, Pack().u32(start).u32(number).u32(_COPIED_BYTES).done())
            block = self._answer()
            if block:
                yield block
            if not start:
                return

    def copy(self, desk: "Desk", case: str) -> PackedCase | None:
        """A copy of one case, for reading."""
        number = self._desk_of.get(id(desk))
        if number is None:
            return None
        found = self._ask(_Ask.COPY_ONE, Pack().u32(number).short(case.encode("utf-8", "surrogatepass")).done())
        return None if found < 0 else self.unpack(Unpack(self._answer()))

    @property
    def told_rules(self) -> list[tuple[DeadlineRules, str]]:
        """The rules that cases here stand under, by number, each with the name of its objective."""
        return [(rules, objective) for rules, (_, objective) in zip(self.rules, self._objectives, strict=True)]

    def names(self) -> list[str]:
        """All names, by number."""
        self._ask(_Ask.NAMES)
        answer, found = Unpack(self._answer()), list[str]()
        while not answer.is_empty:
            found.append(answer.long().decode())
        return found

    def lines(self) -> Iterator[WrittenLine]:
        """The lines of `cases.ndjson` of all clocks here as they stand at log time, in order. Nothing may be folded meanwhile."""
        self.tell_lanes()
        for calendar, _ in self._calendars:
            if not calendar.always and self.lanes:
                calendar.cover(*calendar.covered)
                calendar.cover(calendar.covered[0], max(lane.seen for lane in self.lanes))
        self.tell_calendars()
        self._ask(_Ask.SORT_LINES)
        while self._ask(_Ask.LINES, Pack().u32(_COPIED_BYTES).done()):
            answer = Unpack(self._answer())
            while not answer.is_empty:
                desk, (agreement, objective), state = self.desks[answer.u32()], self._objectives[answer.u32()], State(answer.u8())
                started, case = answer.i64(), answer.short().decode()
                place = (agreement, objective, desk.vendor, desk.service, case, 1, started, "")
                yield WrittenLine(place, NAMES[state], answer.long())

    def put_in(self, block: bytes, names: Sequence[str], desks: Sequence["Desk"], rules: Sequence[tuple[DeadlineRules, str]]) -> int:
        """Take in cases that were packed elsewhere, where names, desks and rules had other numbers; how many."""
        told = Pack().numbers([self._number_of(name) for name in names])
        told.numbers([self._desk_of[id(desk)] for desk in desks])
        here = [self._rules(known, objective) for known, objective in rules]
        told.numbers([_NONE if number is None else number for number in here])
        times = [lane.seen for lane in self.lanes if lane.seen > 0]
        for calendar, _ in self._calendars if times else ():
            if not calendar.always:
                calendar.cover(min(times) - _BACK, max(times) + _AHEAD)
        self.tell_calendars()
        self.tell_lanes()
        self._tell_notes()
        self._next_at.clear()
        count = self._ask(_Ask.PUT_IN, told.done() + block)
        self._folded.cases += count
        return count

    def note(self, desk: "Desk", case: str, source: str, id_: str) -> None:
        """The engine has a case of this name, and an event of it (empty: none)."""
        self._later(_NOTE, self._desk_of[id(desk)], case, source, id_)

    def forget_case(self, desk: "Desk", case: str) -> None:
        """The engine has let go of a case."""
        self._later(_FORGET_CASE, self._desk_of[id(desk)], case)

    def forget(self, desk: "Desk", source: str, id_: str) -> None:
        """The engine has forgotten an event of a desk's vendor."""
        self._later(_FORGET, self._desk_of[id(desk)], source, id_)

    def _later(self, what: int, desk: int, *texts: str) -> None:
        told = Pack().u8(what).u32(desk)
        for text in texts:
            told.short(text.encode("utf-8", "surrogatepass")[:65_535])
        self._notes.append(told.done())
        if len(self._notes) >= _NOTES_MAX:
            self._tell_notes()

    def _tell_notes(self) -> None:
        if self._notes:
            self._ask(_Ask.NOTES, b"".join(self._notes))
            self._notes.clear()

    def gone(self, desk: "Desk", marks: bytes) -> None:
        """Clocks have left with their cases (`Desk.remember`): marks of eight bytes each."""
        self._ask(_Ask.GONE, Pack().u32(self._desk_of[id(desk)]).u32(len(marks) // 8).done() + marks)

    # -- reports -------------------------------------------------------------------------------------------------

    def take_counts(self) -> tuple[int, int]:
        """(events read, duplicates) since the last call."""
        self._ask(_Ask.TALLIES)
        answer = Unpack(self._answer())
        return answer.i64(), answer.i64()

    def states(self) -> Mapping[tuple[str, str, str], int]:
        """How many clocks stand here, by (agreement, objective, state)."""
        self._ask(_Ask.STATES)
        answer, found = Unpack(self._answer()), Counter[tuple[str, str, str]]()
        for agreement, objective in self._objectives:
            for state in State:
                found[agreement, objective, NAMES[state]] += answer.i64()
        return +found


def _pack_choice(told: Pack, rules: DeadlineRules) -> None:
    """How a target is chosen, where native code can."""
    steady = [target.steady is not None for target in rules.targets]
    table = rules.table
    if all(steady) and rules.targets[0].when is None:
        told.u8(0).u8(0)
    elif all(steady) and table is not None:
        told.u8(1).long(table[0].encode()).u8(_NO_STATE if table[2] is None else table[2].index).u32(len(table[1]))
        for value, target in table[1].items():
            told.long(value.encode("utf-8", "surrogatepass")).u8(target.index)
    else:
        told.u8(2)


def unpack_case(answer: Unpack, name_of: Callable[[int], str], all_rules: Sequence[DeadlineRules]) -> PackedCase:
    """One case of what native code has packed; `name_of` and `all_rules` tell what its numbers stand for."""
    desk, name, count, touched = answer.u32(), answer.short().decode(), answer.u8(), answer.i64()
    events = []
    for _ in range(count):
        role, type_, source, known, time, arrival = answer.event_head()
        content_type = answer.u32()
        id_, text, content = answer.short().decode(), answer.short().decode(), answer.long()
        content_type_name = None if not content_type else name_of(content_type - 1)
        events.append(PackedEvent(role, name_of(type_), name_of(source), known, time, arrival, content_type_name, id_, text, content))
    clocks: list[PlainClock | None] = []
    for _ in range(answer.u8()):
        state = answer.u8()
        if state == _NO_STATE:
            clocks.append(None)
            continue
        started, mark, due, armed_for, used, paused, stopped, decided_at, final, within, noted, number, target = answer.clock()
        rules = all_rules[number]
        clocks.append(
            PlainClock(
                rules,
                rules.targets[target].choice,
                within,
                started,
                mark,
                _or_none(due),
                armed_for,
                noted,
                State(state),
                used,
                paused,
                _or_none(stopped),
                decided_at,
                _or_none(final),
            )
        )
    return PackedCase(desk, name, touched, events, clocks)


def _signed(mark: int) -> int:
    return mark - (1 << 64) if mark >= 1 << 63 else mark


def _or_none(instant: int) -> int | None:
    return None if instant == NEVER else instant
