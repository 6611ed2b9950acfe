"""The engine: records of the log in, statements out. No clock, no I/O: verdicts are a function of what it is given.

take(evidence) / activate / advance / tick  ──►  timers up to its arrival fire  ──►  fold  ──►  statements
                                                               wake_at: when a tick is due
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple, cast

import msgspec

from shared.sla import plain
from shared.sla.books import HELD, Book, CaseLine, ClockBook, Moment, Outcome, OverBook, Timer, place_of
from shared.sla.evidence import Evidence
from shared.sla.heartbeats import HeartbeatBook
from shared.sla.instants import FOREVER
from shared.sla.leaving import HORIZON, IDLE_SLICE, SLICE, Gone, Leaving, Rest, mark_of
from shared.sla.levels import LevelBook, LevelLine, LevelNow
from shared.sla.plain import PlainClock
from shared.sla.promises import CaseBook, Key, PartyBook, Promise, promise_of
from shared.sla.rules import DeadlineRules, calendars_of, carries_on
from shared.sla.statements import Said, Statement, joined
from shared.sla.swift import FormsOf, PackedCase, Stretch, Swift, is_built
from shared.sla.terms import ROLES, Agreement, Bundle
from shared.sla.timers import SPARSE, Fired, Timers

ClockMode = Literal["log", "event"]
Quarantine = Literal["future", "conflict"]
SLICE_STATEMENTS: Final = 1_000  # stated by timers before the caller gets its turn
_BEFORE_ALL: Final = -FOREVER
_SILENCE: Final[tuple[Sequence[Said], None]] = ((), None)


class Lane:
    """One log time and its timers: of a partition in log mode, of a vendor in event mode."""

    __slots__ = ("leaving", "number", "seen", "timers")

    def __init__(self, timers: Timers) -> None:
        self.seen = _BEFORE_ALL  # the largest arrival
        self.timers = timers
        self.leaving: Leaving[Case] = Leaving()
        self.number: int | None = None  # by which the swift path knows it

    @property
    def log_time(self) -> int | None:
        """The largest arrival seen; None before the first record."""
        return None if self.seen == _BEFORE_ALL else self.seen

    def bear(self, case: "Case") -> None:
        """A case begins here."""
        self.leaving.born.append(case)
        if len(self.leaving.born) == 1:
            self.timers.watch(self.leaving.at)

    def reach(self, arrival: int) -> int:
        """Log time once a record of this arrival is folded: it never goes back."""
        return max(arrival, self.seen)


class Case(msgspec.Struct, eq=False):
    """All evidence of one (vendor, service, subject), in order of arrival, and what is kept of it under each promise of its desk."""

    desk: "Desk"
    name: str
    events: list[Evidence]
    books: list[CaseBook | PlainClock | None]

    def outcomes(self, place: int) -> Mapping[Key, Outcome]:
        """How what is kept under a promise counts in a ratio over it."""
        book = self.books[place]
        if isinstance(book, PlainClock):
            return plain.outcome(book, self.events)
        return book.outcomes() if isinstance(book, ClockBook) else {}

    def rest(self, aside: Sequence[Evidence]) -> Rest | None:
        """How it rests; None while anything of it is open. `aside`: evidence of it that was superseded."""
        since, final, desk = self.touched_at(aside), -FOREVER, self.desk
        for book in self.books:
            if book is None or (book.__class__ is PlainClock and book.state is plain.MET):
                continue  # as most are
            rest = plain.rest(book) if isinstance(book, PlainClock) else book.rest()
            if rest is None:
                return None
            since, final = max(since, rest.since), max(final, rest.final)
        for promise in desk.over_cases:
            counted = desk.books.get(promise.key)
            if counted is not None and counted.is_open(self.name):
                return None
        return Rest(since, final)

    def touched_at(self, aside: Sequence[Evidence]) -> int:
        """Log time when it last came by evidence, or lost some."""
        last = self.events[-1].arrival if self.events else -FOREVER
        return max([last, *(event.arrival for event in aside)]) if aside else last

    # -- as one that leaves reminders (see `timers`): only plain clocks do

    def timers(self, start: int, end: int) -> Iterable[Timer]:
        """What its plain clocks wait for."""
        found: list[Timer] = []
        for place, book in enumerate(self.books):
            if book.__class__ is PlainClock and book.state is not plain.MET:
                found += plain.timers(book, self.desk.promises[place], self.events, start, end)
        return found

    def place_of(self, timer: Timer) -> int:
        """Which of its books a timer is for."""
        agreement, objective = timer.key[:2]
        promises = self.desk.promises
        return next(i for i, p in enumerate(promises) if (p.agreement, p.name, p.kind) == (agreement, objective, "deadline"))


class Desk:
    """One (vendor, service): its cases, the promises that concern it, and the books of what is counted over all its cases."""

    __slots__ = (
        "books",
        "cases",
        "first",
        "first_gone",
        "gone",
        "horizon",
        "lane",
        "last_gone",
        "marks",
        "moved_by",
        "over_cases",
        "promises",
        "reached",
        "readers",
        "rulings",
        "service",
        "vendor",
        "watched",
    )

    def __init__(self, vendor: str, service: str, lane: Lane) -> None:
        self.vendor, self.service, self.lane = vendor, service, lane
        self.cases: dict[str, Case] = {}
        self.gone: Gone | None = None  # of cases that have left: their clocks, and their evidence where it could count again
        self.last_gone = -FOREVER  # the latest time of such evidence; FOREVER: any could say its breach again
        self.marks: tuple[int, ...] = ()  # of each promise; 0: it has no clocks
        self.first: int | None = None  # the time of its first event
        self.first_gone = FOREVER  # of those of cases that have left
        self.horizon = HORIZON  # after which a case at rest leaves
        self.books: dict[Key, PartyBook] = {}
        self.promises: tuple[Promise, ...] = ()  # kept case by case
        self.rulings: tuple[tuple[DeadlineRules | None, int, int], ...] = ()  # of each: rules of plain clocks that start in [from, to)
        self.watched: tuple[bool, ...] = ()  # of each: whether a ratio counts its outcomes
        self.over_cases: tuple[Promise, ...] = ()
        self.readers: tuple[Promise, ...] = ()  # of these: events of any type may matter, as they tell more of their case
        self.moved_by: dict[str, tuple[Promise, ...]] = {}  # type -> those that speak of it, and the readers
        self.reached = _NOTHING  # an event whose time lies in this span matters to no book by its time alone

    def concern(self, promises: Iterable[Promise], watchers: Iterable[tuple[str, str]], *, with_plain: bool) -> None:
        """Take up the promises that concern it; cases keep their books."""
        mine = [promise for promise in promises if promise.concerns(self.vendor, self.service)]
        before, self.promises = self.promises, tuple(promise for promise in mine if promise.is_of_cases)
        self.over_cases = tuple(promise for promise in mine if not promise.is_of_cases)
        self.readers = tuple(promise for promise in self.over_cases if promise.editions.reads_case)
        self.moved_by = {
            event_type: tuple(p for p in self.over_cases if event_type in p.editions.types or p in self.readers)
            for event_type in frozenset[str]().union(*(promise.editions.types for promise in self.over_cases))
        }
        self.reached = _NOTHING
        self.rulings = tuple(promise.plain_ruling(self.vendor, self.service) if with_plain else _NEVER_PLAIN for promise in self.promises)
        self.watched = tuple((promise.agreement, promise.name) in watchers for promise in self.promises)
        self.horizon = max((edition.agreement.horizon for promise in mine for edition in promise.editions), default=HORIZON)
        self.lane.leaving.horizon = min(self.lane.leaving.horizon, self.horizon)
        self.marks = tuple(
            mark_of(f"{promise.agreement}\0{promise.name}") if promise.kind == "deadline" else 0 for promise in self.promises
        )
        if before != self.promises:
            for case in self.cases.values():
                kept = dict(zip(before, case.books, strict=True))
                case.books = [kept.get(promise) for promise in self.promises]

    def keeps(self, promises: Iterable[Promise]) -> bool:
        """Whether, with these promises in the books, it would keep cases by the same ones."""
        return self.promises == tuple(p for p in promises if p.is_of_cases and p.concerns(self.vendor, self.service))

    def moves(self, event: Evidence) -> list[Promise]:
        """The promises over all cases to which an event may matter whose time matters to none."""
        type_, case, books = event.type, event.case, self.books
        may = self.moved_by.get(type_, self.readers)
        return [promise for promise in may if type_ in promise.editions.types or books[promise.key].follows(case)]

    def look_how_far(self) -> None:
        """All books over all cases were told of an event: what they have reached, and the first event, bound what they are told of next."""
        spans = [self.books[promise.key].reached for promise in self.over_cases]
        first = FOREVER if self.first is None else self.first
        self.reached = max(first, *(start for start, _ in spans)), min(end for _, end in spans)

    def blank_books(self, name: str) -> list[CaseBook | PlainClock | None]:
        """Those of a case that begins: clocks that it had before it left are over."""
        if self.gone is None:
            return [None] * len(self.promises)
        of_case, found = mark_of(name), list[CaseBook | PlainClock | None]()
        for promise, mark in zip(self.promises, self.marks, strict=True):
            found.append(OverBook(promise.agreement, promise.name) if mark and of_case ^ mark in self.gone else None)
        return found

    def remember(self, case: Case, evidence: Sequence[Evidence]) -> list[int]:
        """A case leaves: its clocks shall not begin again, nor its evidence count again. The marks of its clocks."""
        gone = self.gone
        if gone is None:
            gone = self.gone = Gone()
        of_case, are_over, marks = mark_of(case.name), not self.over_cases, list[int]()
        for mark, book in zip(self.marks, case.books, strict=True):
            if book.__class__ is PlainClock or (isinstance(book, ClockBook) and book.has_begun):
                gone.add(of_case ^ mark)
                marks.append(of_case ^ mark)
            elif not isinstance(book, OverBook):
                are_over = False
        if not are_over or not self.marks:
            for event in evidence:
                gone.add(mark_of(f"{event.source}\0{event.id}"))
                self.last_gone = max(self.last_gone, event.time)
            if 0 in self.marks:
                self.last_gone = FOREVER
        first = self.first_gone
        for event in evidence:
            if event.time < first:
                self.first_gone = first = event.time
        return marks


_NEVER_PLAIN: Final = (None, FOREVER, FOREVER)
_NOTHING: Final = (FOREVER, -FOREVER)


class Enacted(NamedTuple):
    """An activation that was folded. `ordinal` 0: it holds since ever; `since`: from when on it rules what is counted in windows."""

    id: str
    bundle: Bundle
    ordinal: int
    since: int | None
    restate: bool

    @property
    def rules_from(self) -> int:
        """Known to what is folded from this activation on."""
        return 0 if self.restate else self.ordinal


class Vendor:
    """One vendor: its log time, what it has posted, its desks."""

    __slots__ = ("aside", "desks", "is_swift", "lane", "posted")

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.is_swift = False  # whether the swift path may keep cases of it
        self.posted: dict[str, dict[str, Evidence]] = {}  # by source and id
        self.aside: dict[tuple[str, str], list[Evidence]] = {}  # of these, what was superseded, by service and case
        self.desks: dict[str, Desk] = {}


class Refused:
    """Evidence that changes nothing, and why."""

    __slots__ = ("detail", "reason")

    def __init__(self, reason: Quarantine, detail: str) -> None:
        self.reason, self.detail = reason, detail


class Engine:
    """One partition's state in log mode; all vendors' in event mode (replay, backfill)."""

    def __init__(
        self,
        clock: ClockMode = "log",
        *,
        max_skew: int = 300_000,
        owns: Callable[[str], bool] | None = None,
        with_plain: bool = True,
        farewell: Callable[[Case], None] | None = None,
        leaving_slice: int = SLICE,
        forms_of: FormsOf | None = None,
    ) -> None:
        """`max_skew` ms; `owns`: whether a vendor's events come here, so that what a vendor that never posts owes is called here.

        Left out: in event mode all vendors' do; in log mode a vendor is known by its first event. `with_plain=False` leaves out the
        fast path, to compare with. `farewell` is given each case, whole as yet, as it leaves memory; `leaving_slice`: how many cases
        are looked at beside a record, to see whether they leave: it changes no verdict. `forms_of` makes forms of statements for the
        swift path, which is used if there are such and native code is built.
        """
        self.clock = clock
        self._event_mode = clock == "event"
        self._max_skew = max_skew
        self._owns = owns
        self._with_plain = with_plain
        self._farewell, self._leaving_slice = farewell, leaving_slice
        self.promises: dict[Key, Promise] = {}
        self._watchers: dict[tuple[str, str], list[Promise]] = {}  # (agreement, objective) -> the ratios over it
        self.enacted: list[Enacted] = []
        self._activations: set[str] = set()
        self.lane = Lane(Timers())  # log mode: of all vendors
        self.vendors: dict[str, Vendor] = {}
        self.superseded: dict[tuple[str, str, str], tuple[str, str]] = {}  # vendor, source, id -> service and case of what replaces it
        self._known = 0  # how many activations were folded
        usable = forms_of is not None and with_plain and is_built()
        self.swift = Swift(event_mode=self._event_mode, max_skew=max_skew, forms_of=forms_of) if forms_of is not None and usable else None
        self._read = self._duplicates = self._quarantined = self._late = 0

    @property
    def counts(self) -> Counter[str]:
        """events_read, duplicates, quarantined, late."""
        self._take_counts()
        return Counter(events_read=self._read, duplicates=self._duplicates, quarantined=self._quarantined, late=self._late)

    @property
    def unknown(self) -> Counter[tuple[str, str]]:
        """By (agreement, objective): events of which a condition of it could not tell, since this engine was made."""
        found: Counter[tuple[str, str]] = Counter()
        for promise in self.promises.values():
            if promise.editions.unknown.count:
                found[promise.agreement, promise.name] += promise.editions.unknown.count
        return found

    @property
    def tallies(self) -> tuple[int, ...]:
        """The counts as they stand in a checkpoint."""
        self._take_counts()
        return self._read, self._duplicates, self._quarantined, self._late

    @tallies.setter
    def tallies(self, counts: tuple[int, ...]) -> None:
        self._read, self._duplicates, self._quarantined, self._late = counts

    def _take_counts(self) -> None:
        if self.swift is not None:
            read, duplicates = self.swift.take_counts()
            self._read += read
            self._duplicates += duplicates

    # -- who ---------------------------------------------------------------------------------------------------------

    def vendor(self, name: str) -> Vendor:
        """The vendor of a name, known from now on."""
        vendor = self.vendors.get(name)
        if vendor is None:
            vendor = self.vendors[name] = Vendor(Lane(Timers(SPARSE)) if self._event_mode else self.lane)
        return vendor

    def desk(self, vendor: str, service: str) -> Desk:
        """The desk of a (vendor, service), known from now on."""
        holder = self.vendor(vendor)
        desk = holder.desks.get(service)
        if desk is None:
            desk = holder.desks[service] = Desk(vendor, service, holder.lane)
            self._concern(desk)
        return desk

    def _concern(self, desk: Desk) -> None:
        promises = [promise for _, promise in sorted(self.promises.items())]
        if self.swift is not None and not desk.keeps(promises):
            self._rise(self.swift.up_desk(desk))
        desk.concern(promises, self._watchers, with_plain=self._with_plain)
        if self.swift is None:
            return
        if self.swift.tell_desk(desk):
            self._open_to_swift(self.vendors[desk.vendor])
        else:
            self._rise(self.swift.up_desk(desk))  # what they come to is counted over all cases from now on

    def desks(self) -> Iterator[Desk]:
        """All desks, ordered by vendor and service."""
        for _, vendor in sorted(self.vendors.items()):
            for _, desk in sorted(vendor.desks.items()):
                yield desk

    def _lanes(self, vendor: str | None = None) -> list[Lane]:
        """All lanes, or that of a vendor; none before its first record."""
        if not self._event_mode:
            return [self.lane]
        if vendor is not None:
            return [self.vendors[vendor].lane] if vendor in self.vendors else []
        return [vendor.lane for _, vendor in sorted(self.vendors.items())]

    # -- time ----------------------------------------------------------------------------------------------------

    def _pass_time(self, lane: Lane, arrival: int) -> list[Said]:
        """Fire what is to be called before `arrival` (at equality the record goes first), then move log time."""
        until = lane.reach(arrival)
        said = [statement for some in self._firing(lane, until) for statement in some]
        lane.seen = until
        self._let_go_of_some(lane, self._leaving_slice)
        return said

    def _firing(self, lane: Lane, until: int) -> Iterator[Sequence[Said]]:
        """Fire what is to be called before `until`, in order, timer by timer, or as many as the swift path fires at once."""
        swift = self.swift
        if swift is None:
            for fired in lane.timers.until(until):
                yield self._call(lane, fired)
            return
        swift.stale.add(lane)
        while True:
            mine, swifts = lane.timers.wake_at, swift.next_at(lane)
            mine = FOREVER if mine is None else mine
            if min(mine, swifts) >= until:
                return
            if swifts == mine:
                self._rise(swift.rise_at(lane, mine))
            elif swifts < mine:
                said, _ = swift.fire(lane, min(until, mine))
                self._rise(swift.rising())
                yield said
            else:
                for fired in lane.timers.until(min(until, swifts)):
                    yield self._call(lane, fired)

    def _call(self, lane: Lane, fired: Fired) -> list[Statement]:
        now = Moment(fired.at, None, self._event_mode)
        book, timer = fired.book, fired.timer
        if timer.what.startswith(HELD) and not isinstance(book, HeartbeatBook | LevelBook):
            return []  # a case goes on with nothing
        if isinstance(book, Case):
            said = self._call_case(book, timer, now)
        else:
            woken = cast(Book, book)
            said = woken.fire(timer, now, lane.timers.arm)
            if timer.what == "move" and isinstance(woken, ClockBook):
                self._touch(self.desk(woken.vendor, woken.service).cases.get(woken.case))
            if self._watchers:
                said += self._pass_on(woken, lane, now)
        if fired.held is not None:
            for statement in said:
                statement.detail = {**statement.detail, "held": fired.held.told()}
        return said

    def _call_case(self, case: Case, timer: Timer, now: Moment) -> list[Statement]:
        """A timer for what was a plain clock when its time came near."""
        if not case.books:
            return []  # it has left
        place = case.place_of(timer)
        clock, promise, lane = case.books[place], case.desk.promises[place], case.desk.lane
        if not isinstance(clock, PlainClock):
            assert isinstance(clock, ClockBook)
            said = clock.fire(timer, now, lane.timers.arm)
            return said + self._pass_on(clock, lane, now)
        if not plain.waits_for(clock, timer, promise, case.events):
            return []
        if timer.what == "final":
            said = [plain.final(clock, promise, case.events, timer.instant, now.decided_at)]
        elif timer.what == "due":
            clock.state = plain.BREACHED
            said = [plain.opened(clock, promise, case.events, now.decided_at)]
            lane.timers.remind(now.decided_at + clock.rules.agreement.horizon, case)  # it may be near: then the clock is asked at once
        else:
            return plain.warn(clock, promise, case.events, timer, now.log_time)
        return said + self._tell_watchers(case, place, now) if case.desk.watched[place] else said

    def _now(self, lane: Lane) -> Moment:
        """Log time of a lane as it stands, for what no event's arrival decides."""
        return Moment(lane.log_time or 0, lane.log_time, self._event_mode)

    def is_waited_for(self, arrival: int, vendor: str | None = None) -> bool:
        """Whether `fire` would do anything (event mode: of a vendor)."""
        lane = self.lane
        if self._event_mode:
            holder = self.vendors.get(vendor or "")
            if holder is None:
                return False
            lane = holder.lane
        until = max(arrival, lane.seen)
        return lane.timers.next_at < until or (self.swift is not None and self.swift.next_at(lane) < until)

    def fire(self, arrival: int, limit: int, vendor: str | None = None) -> tuple[Sequence[Said], bool]:
        """Fire at most `limit` of the timers that a record of this arrival would (event mode: of a vendor, or of all).

        Returns what is stated, and whether timers are left: what many timers say can so be taken in slices, before the record itself.
        """
        said: list[Sequence[Said]] = []
        for lane in self._lanes(vendor):
            until = lane.reach(arrival)
            if self.swift is None and lane.timers.next_at >= until:
                continue  # as with most records
            for some in self._firing(lane, until):
                said.append(some)
                limit -= max(len(some), 1)
                if limit <= 0:
                    return joined(said), True
        return joined(said), False

    @property
    def wake_at(self) -> int | None:
        """The earliest instant after which a record makes a timer fire; None: nothing waits."""
        found = [wake for lane in self._lanes() if (wake := lane.timers.wake_at) is not None]
        if self.swift is not None:
            found += [wake for lane in self._lanes() if (wake := self.swift.next_at(lane)) != FOREVER]
        return min(found, default=None)

    @property
    def last_pulse(self) -> int | None:
        """Log mode: log time at the last pulse; None before the first."""
        return self.lane.timers.door.last_pulse

    @property
    def held(self) -> int:
        """How many timers wait for our own door to open (engine.md, "Blind time")."""
        return sum(lane.timers.held for lane in self._lanes())

    @property
    def log_time(self) -> int | None:
        """The largest arrival seen, over all lanes; None before the first record."""
        return max((lane.log_time for lane in self._lanes() if lane.log_time is not None), default=None)

    def tick(self, arrival: int) -> list[Said]:
        """Log mode: a record that carries nothing but its arrival."""
        said = self._pass_time(self.lane, arrival)
        self._let_go_of_some(self.lane, IDLE_SLICE)
        return said

    def pulse(self, arrival: int) -> list[Said]:
        """Log mode: a record that says our own door is open."""
        said = self._pass_time(self.lane, arrival)
        self.lane.timers.pulse(self.lane.seen)
        if self.swift is not None:
            self.swift.tell_door(self.lane)
        self._let_go_of_some(self.lane, IDLE_SLICE)
        return said

    def advance(self, to: int, vendor: str | None = None) -> list[Said]:
        """Event mode: log time moves to `to`, of one vendor or of all that were seen."""
        lanes = self._lanes() if vendor is None else [self.vendor(vendor).lane]
        return [statement for lane in lanes for statement in self._pass_time(lane, to)]

    def settle(self) -> list[Said]:
        """The end of a history: fire what log time has passed already (late evidence may have armed it)."""
        said = [statement for lane in self._lanes() if lane.log_time is not None for statement in self._pass_time(lane, lane.seen)]
        self._let_go_of_all()
        return said

    # -- the swift path ------------------------------------------------------------------------------------------

    def fold_swiftly(self, stretch: Stretch, first: int) -> tuple[int, Sequence[Said], int]:
        """Fold records from `first` on by the swift path: how many, what is stated, and how many of the next are for `take`.

        Where neither all are folded nor the next ones are for `take`, it is to be called again.
        """
        assert self.swift is not None
        count, written, stuck, waits, unknown = self.swift.fold(stretch, first)
        self._rise(self.swift.rising())
        if self.swift.has_leavers:
            self._take_leave()
        if unknown is not None:
            self.desk(*unknown)
        if waits is None:
            return count, written, stuck
        said: list[Sequence[Said]] = [written]
        left = SLICE_STATEMENTS - len(written)
        lane, until = waits
        for some in self._firing(lane, until):
            said.append(some)
            left -= len(some)
            if left <= 0:
                return count, joined(said), 0
        return count, joined([*said, self._pass_time(lane, until)]), 0

    def _open_to_swift(self, vendor: Vendor) -> None:
        """The swift path may keep cases of a vendor: it is to know those that are here, and all events."""
        if vendor.is_swift:
            return
        vendor.is_swift = True
        for desk in vendor.desks.values():
            for name in desk.cases:
                self.note(desk, name, "", "")
        for of_source in vendor.posted.values():
            for event in of_source.values():
                self.note(vendor.desks[event.service], event.case, event.source, event.id)
        for (name, source, id_), (service, case) in self.superseded.items():
            if self.vendors.get(name) is vendor and service in vendor.desks:
                self.note(vendor.desks[service], case, source, id_)

    def note(self, desk: Desk, case: str, source: str, id_: str) -> None:
        """Tell the swift path of a case that is kept here, and of an event of it (empty: none)."""
        if self.swift is not None and self.vendors[desk.vendor].is_swift:
            self.swift.note(desk, case, source, id_)

    def _make_way(self, event: Evidence, vendor: Vendor) -> None:
        """Before an event is folded here: what it speaks of comes up from the swift path."""
        assert self.swift is not None
        self.swift.stale.add(vendor.lane)
        if not vendor.is_swift and event.service in vendor.desks:
            return
        desk = vendor.desks.get(event.service) or self.desk(event.vendor, event.service)
        self._rise(self.swift.up(desk.vendor, desk.service, event.case, event.source, event.id, event.replaces))

    def _rise(self, packed: Iterable[PackedCase]) -> None:
        """Cases come up from the swift path: they are kept here from now on."""
        assert self.swift is not None
        for one in packed:
            case = self._case_of(one)
            self.swift.stale.add(case.desk.lane)
            self.adopt(case)

    def adopt(self, case: Case) -> None:
        """Keep a case that comes from elsewhere: its evidence, and plain clocks."""
        desk, lane = case.desk, case.desk.lane
        desk.cases[case.name] = case
        for event in case.events:
            self.vendors[desk.vendor].posted.setdefault(event.source, {})[event.id] = event
        for place, clock in enumerate(case.books):
            if isinstance(clock, PlainClock):
                for timer in plain.timers(clock, desk.promises[place], case.events, -FOREVER, FOREVER):
                    lane.timers.remind(timer.call_at, case)
        rest = case.rest(())
        if rest is not None and rest.leaves_at(desk.horizon) < lane.seen:
            self._let_go(case)
        else:
            lane.leaving.put(case, Rest(case.touched_at(()), -FOREVER).leaves_at(desk.horizon))  # no earlier than this
            lane.timers.watch(lane.leaving.at)

    def _case_of(self, packed: PackedCase) -> Case:
        assert self.swift is not None
        return self.case_of(packed, self.swift.desks[packed.desk])

    @staticmethod
    def case_of(packed: PackedCase, desk: Desk) -> Case:
        """A case, of what native code has packed."""
        name = packed.name
        events = [
            Evidence(
                vendor=desk.vendor,
                service=desk.service,
                case=name,
                type=one.type,
                source=one.source,
                id=one.id,
                text=one.text,
                content=one.content,  # type: ignore[arg-type]  # as the decoder leaves it
                datacontenttype=one.datacontenttype,
                role=ROLES[one.role],
                time=one.time,
                arrival=one.arrival,
                known=one.known,
            )
            for one in packed.events
        ]
        events[-1].arrival = packed.touched
        return Case(desk, name, events, list(packed.clocks))

    def _take_leave(self) -> None:
        """Of the cases that have left the swift path."""
        assert self.swift is not None
        for packed in self.swift.leavers():
            case = self._case_of(packed)
            if self._farewell is not None:
                self._farewell(case)
            self._remember(case.desk, case, case.events)

    def cases_of(self, desk: Desk) -> Iterator[Case]:
        """All cases of a desk, for reading: copies of those on the swift path."""
        yield from list(desk.cases.values())
        if self.swift is not None:
            yield from map(self._case_of, self.swift.copies(desk))

    def case(self, desk: Desk, name: str) -> Case | None:
        """A case of a desk, for reading; None where there is none."""
        case = desk.cases.get(name)
        if case is None and self.swift is not None:
            packed = self.swift.copy(desk, name)
            case = None if packed is None else self._case_of(packed)
        return case

    # -- cases that leave ----------------------------------------------------------------------------------------

    def _let_go_of_some(self, lane: Lane, limit: int) -> None:
        """Look at some of the cases that may have left."""
        if self.swift is not None:
            self.swift.stale.add(lane)
            if limit >= IDLE_SLICE:
                self._let_go_of_swift(lane)
        if lane.leaving.at < lane.seen:
            for case in lane.leaving.due(lane.seen, limit):
                self._look_at(case)
        lane.timers.watch(lane.leaving.at)

    def _let_go_of_swift(self, lane: Lane) -> None:
        """Let go of what has left the swift path by now."""
        assert self.swift is not None
        more = True
        while more:
            self.swift.tell_lanes()
            more = self.swift.let_go(lane)
            self._take_leave()

    def _let_go_of_all(self) -> None:
        for lane in self._lanes():
            if self.swift is not None:
                self._let_go_of_swift(lane)
            while lane.leaving.at < lane.seen:
                self._let_go_of_some(lane, IDLE_SLICE)

    def _look_at(self, case: Case) -> None:
        """Let a case go if it has left by now; else it is looked at again when it may have."""
        desk = case.desk
        if desk.cases.get(case.name) is not case:
            return  # it has gone before its turn
        log_time, horizon, aside = desk.lane.seen, desk.horizon, self.vendors[desk.vendor].aside
        rest = case.rest(aside.get((desk.service, case.name), ()) if aside else ())
        if rest is None:
            desk.lane.leaving.put(case, Rest(log_time, log_time).leaves_at(horizon))
        elif rest.leaves_at(horizon) < log_time:
            self._let_go(case)
        else:
            desk.lane.leaving.put(case, rest.look_at(horizon, log_time))

    def _look_first(self, event: Evidence, vendor: Vendor) -> None:
        """While cases wait to be looked at, those that an event speaks of come first: it finds what it would find later."""
        if vendor.lane.leaving.at >= vendor.lane.seen:
            return
        places = [(event.service, event.case), self.superseded.get((event.vendor, event.source, event.id))]
        posted = vendor.posted.get(event.source)
        known = None if posted is None else [posted.get(event.id), None if event.replaces is None else posted.get(event.replaces)]
        for place in places + [(e.service, e.case) for e in known or () if e is not None]:
            desk = None if place is None else vendor.desks.get(place[0])
            case = None if desk is None or place is None else desk.cases.get(place[1])
            if case is not None:
                rest = case.rest(vendor.aside.get((case.desk.service, case.name), ()))
                if rest is not None and rest.leaves_at(case.desk.horizon) < case.desk.lane.seen:
                    self._let_go(case)

    def _let_go(self, case: Case) -> None:
        """A case leaves: of its evidence and clocks nothing stays but their marks, and what was counted over all cases."""
        if self._farewell is not None:
            self._farewell(case)
        desk, vendor, evidence = case.desk, self.vendors[case.desk.vendor], case.events
        del desk.cases[case.name]
        if vendor.aside:
            evidence = evidence + vendor.aside.pop((desk.service, case.name), [])
        self._remember(desk, case, evidence)
        posted, is_swift = vendor.posted, vendor.is_swift
        for event in evidence:
            if is_swift:
                self.swift.forget(desk, event.source, event.id)  # type: ignore[union-attr]  # else no vendor is
            of_source = posted[event.source]
            del of_source[event.id]
            if not of_source:
                del posted[event.source]
            if event.replaces is not None:
                named = (desk.vendor, event.source, event.replaces)
                if self.superseded.get(named) == (desk.service, case.name):
                    del self.superseded[named]
        for counted in desk.books.values():
            counted.let_go(case.name)
        for book in case.books:
            if book is not None and book.__class__ is not PlainClock:
                book.leave()  # type: ignore[union-attr]  # mypy does not narrow by class
        if is_swift:
            self.swift.forget_case(desk, case.name)  # type: ignore[union-attr]
        case.events, case.books = [], []  # reminders of it may last

    def _remember(self, desk: Desk, case: Case, evidence: Sequence[Evidence]) -> None:
        last_gone = desk.last_gone
        marks = desk.remember(case, evidence)
        if self.swift is not None:
            self.swift.gone(desk, array("Q", marks).tobytes())
            if desk.last_gone != last_gone:
                self.swift.tell_desk(desk)

    @staticmethod
    def _touch(case: Case | None) -> None:
        """Something other than evidence has changed a case: its horizon begins anew."""
        if case is not None and case.events:
            case.events[-1].arrival = case.desk.lane.seen

    # -- agreements ----------------------------------------------------------------------------------------------

    def activate(self, bundle: Bundle, activation_id: str, arrival: int | None = None, *, restate: bool = False) -> list[Said]:
        """Put a version of an agreement in the books; the same activation again is ignored.

        Without `arrival` it holds from the log's beginning. With `restate` it also rules what was folded before. If it says
        `apply_to: open`, open clocks go on under it from its arrival, or from `effective.from` if that is later; event mode, where
        arrivals say nothing, takes its log time instead. The same words again with holidays of later years take the place of the
        earlier ones: what was provisional is revised.
        """
        said: list[Said] = [] if arrival is None or self._event_mode else self._pass_time(self.lane, arrival)
        if activation_id in self._activations:
            return said
        self._let_go_of_all()
        earlier = self._carried_on_by(bundle)
        rules_the_past, moves = restate or earlier is not None, bundle.agreement.apply_to == "open"
        if self.swift is not None and (rules_the_past or moves):
            for desk in self.desks():
                self._rise(self.swift.up_desk(desk))
        for case, place, _ in self._books(bundle.agreement) if rules_the_past else ():
            if case.books[place].__class__ is PlainClock:
                self._unfold(case, place)  # by the versions that it ran under
        if earlier is not None and not restate:
            enacted = earlier._replace(id=activation_id, bundle=bundle)
        else:
            ordinal = 0 if arrival is None else len(self._activations) + 1
            since = None if arrival is None or restate else self.log_time
            enacted = Enacted(activation_id, bundle, ordinal, since, restate)
        self.enact([enacted])
        if self.swift is not None:
            self.swift.stale.update(self._lanes())  # timers may come here that the swift path has to let pass first
        agreement = bundle.agreement
        if rules_the_past:
            return said + self._restate(agreement)
        said += self._begin(agreement) + self._hear_of_clocks(agreement)
        return said + (self._move(agreement) if moves else [])

    def _carried_on_by(self, bundle: Bundle) -> Enacted | None:
        """The last activation of the same version, if this is that one again with holidays of later years."""
        words = bundle.agreement
        same = (e for e in reversed(self.enacted) if (e.bundle.agreement.name, e.bundle.agreement.version) == (words.name, words.version))
        last = next(same, None)
        return last if last is not None and carries_on(bundle, last.bundle) else None

    def enact(self, activations: Iterable[Enacted]) -> None:
        """Put versions in the books, and no more: those known are passed over."""
        for enacted in activations:
            if enacted.id in self._activations:
                continue
            agreement, calendars = enacted.bundle.agreement, calendars_of(enacted.bundle)
            earlier = [known for known in self.enacted if known.bundle.agreement.name == agreement.name]
            self._activations.add(enacted.id)
            self.enacted.append(enacted)
            for objective in agreement.objectives:
                promise = promise_of(self.promises, agreement, objective)
                for known in earlier:  # those that did not speak of it come first
                    promise.add_absence(known.id, known.rules_from, known.bundle.agreement, known.since)
                promise.add(enacted.id, enacted.rules_from, agreement, objective, calendars, enacted.since)
                if promise.over is not None:
                    watchers = self._watchers.setdefault((agreement.name, promise.over), [])
                    watchers += [] if promise in watchers else [promise]
            for promise in self.promises.values() if earlier else ():
                if promise.agreement == agreement.name:
                    promise.add_absence(enacted.id, enacted.rules_from, agreement, enacted.since)
        self._known = len(self._activations)
        if self.swift is not None:
            self.swift.tell_known(self._known)
        for desk in self.desks():
            self._concern(desk)

    def _books(self, agreement: Agreement) -> Iterator[tuple[Case, int, Promise]]:
        """Where the promises of an agreement stand in each case: (case, place, promise)."""
        for desk in self.desks():
            places = [(i, promise) for i, promise in enumerate(desk.promises) if promise.agreement == agreement.name]
            for _, case in sorted(desk.cases.items()) if places else ():
                for place, promise in places:
                    yield case, place, promise

    def _move(self, agreement: Agreement) -> list[Statement]:
        """Open clocks go on under a version that says `apply_to: open`, now if it has begun."""
        said: list[Statement] = []
        for case, place, promise in self._books(agreement):
            if promise.kind == "deadline" and case.books[place] is not None:
                lane = case.desk.lane
                now, book = self._now(lane), self._book(case, place)
                said += book.renew(case.events, now, lane.timers.arm) + self._pass_on(book, lane, now)
                self._touch(case)
        return said

    def _begin(self, agreement: Agreement) -> list[Statement]:
        """What counts over all cases goes on under the new version; recurring deliverables of a named vendor and service begin."""
        said: list[Statement] = []
        for (vendor, service), promise in self._named(agreement):
            if self._event_mode if self._owns is None else self._owns(vendor):
                self._party_book(self.desk(vendor, service), promise)
        for desk in self.desks():
            now = self._now(desk.lane)
            for book in list(desk.books.values()):
                if book.agreement == agreement.name:
                    said += book.begin(now, desk.lane.timers.arm) + self._pass_on(book, desk.lane, now)
        return said

    def _hear_of_clocks(self, agreement: Agreement) -> list[Statement]:
        """Ratios that come with a version hear at once how the clocks stand that they count; else it would hang on when those next act."""
        said: list[Statement] = []
        for desk in self.desks():
            now = self._now(desk.lane)
            for ratio in desk.over_cases:
                if ratio.agreement != agreement.name or ratio.over is None or ratio.key in desk.books:
                    continue
                for place, promise in enumerate(desk.promises):
                    if (promise.agreement, promise.name) == (agreement.name, ratio.over):
                        told = ((name, case.outcomes(place)) for name, case in sorted(desk.cases.items()))
                        said += self._hear(desk, promise.agreement, promise.name, told, now)
        return said

    def _named(self, agreement: Agreement) -> Iterator[tuple[tuple[str, str], Promise]]:
        """((vendor, service), promise) of the recurring deliverables of those an agreement names."""
        for promise in self.promises.values():
            if promise.agreement == agreement.name and promise.kind == "heartbeat" and not {"*"} & {*agreement.vendor, *agreement.service}:
                for vendor in agreement.vendor:
                    for service in agreement.service:
                        yield (vendor, service), promise

    def _restate(self, agreement: Agreement) -> list[Statement]:
        said = self._begin(agreement)
        for desk in self.desks():
            for kept in list(desk.books.values()):
                if kept.agreement == agreement.name and not kept.has_let_go:
                    said += kept.restate(self._now(desk.lane), desk.lane.timers.arm)
        for desk in self.desks():
            now = self._now(desk.lane)
            for _, case in sorted(desk.cases.items()):
                for place, promise in enumerate(desk.promises):
                    if promise.agreement == agreement.name and case.events:
                        book = self._book(case, place)
                        said += book.renew(case.events, now, desk.lane.timers.arm) + self._pass_on(book, desk.lane, now)
                        self._touch(case)
                for promise in desk.over_cases:
                    if promise.agreement == agreement.name and not self._party_book(desk, promise).has_let_go:
                        said += self._tell_again(case, promise, now)
        return said

    def _tell_again(self, case: Case, promise: Promise, now: Moment) -> list[Statement]:
        """Fold a case's evidence into a book that has forgotten it."""
        said: list[Statement] = []
        desk = case.desk
        book = self._party_book(desk, promise)
        for i, event in enumerate(case.events):
            first = event.time if desk.first is None else desk.first
            said += book.take(event, case.events[: i + 1], first, now, desk.lane.timers.arm)
            said += self._pass_on(book, desk.lane, now)
        return said

    @property
    def objectives(self) -> list[tuple[str, str]]:
        """(agreement, objective) of all that is in the books."""
        return sorted({(promise.agreement, promise.name) for promise in self.promises.values()})

    # -- evidence ------------------------------------------------------------------------------------------------

    def take(self, event: Evidence, arrival: int | None = None, stamped: int | None = None) -> tuple[Sequence[Said], Refused | None]:
        """Fold one event. `arrival` is its record's; event mode takes the event's own time instead. `stamped`: the broker's stamp, of
        which less may be believed (`broker_time`): an event is not of the future because a leap is held.

        Returns what is stated, and why the event was refused, if it was.
        """
        time, event_mode = event.time, self._event_mode
        self._read += 1
        if event_mode or arrival is None:
            arrival = time
        vendor = self.vendors.get(event.vendor) or self.vendor(event.vendor)
        lane = vendor.lane
        if self.swift is not None:
            self._make_way(event, vendor)
        said: list[Said] | None = None
        until = lane.reach(arrival)
        if lane.timers.next_at < until or (self.swift is not None and self.swift.next_at(lane) < until):
            said = self._pass_time(lane, arrival)
            self._look_first(event, vendor)
        lane.seen = until
        if time > arrival + self._max_skew and (stamped is None or time > stamped + self._max_skew):
            return said or (), self._refuse("future", f"its time lies {(time - arrival) / 1000:g} s ahead of its arrival")
        posted = vendor.posted.get(event.source)
        if posted is None:
            posted = vendor.posted[event.source] = {}
        known = posted.get(event.id)
        if known is not None:
            if known.says_the_same(event):
                self._duplicates += 1
                return said or (), None
            return said or (), self._refuse("conflict", "an event of this vendor, source and id with other content stands already")
        desk = vendor.desks.get(event.service) or self.desk(event.vendor, event.service)
        if time <= desk.last_gone and desk.gone is not None and mark_of(f"{event.source}\0{event.id}") in desk.gone:
            self._late += 1  # it was counted, and has left
            return said or (), None
        posted[event.id] = event
        if vendor.is_swift:
            self.note(desk, event.case, event.source, event.id)
        event.arrival, event.known = lane.seen, self._known
        if event.replaces is not None or self.superseded:
            return [*(said or ()), *self._take_superseding(event, desk, arrival)], None
        found = self._fold(event, desk, arrival)
        if found is not None:
            said = [*(said or ()), *found]
        return (said, None) if said else _SILENCE

    def _refuse(self, reason: Quarantine, detail: str) -> Refused:
        self._quarantined += 1
        return Refused(reason, detail)

    def _take_superseding(self, event: Evidence, desk: Desk, arrival: int) -> list[Statement]:
        """Fold an event that replaces another, or may have been replaced before it came."""
        superseded, lane = self._supersede(event), desk.lane
        if (event.vendor, event.source, event.id) in self.superseded:
            self._set_aside(event, desk)
            return [] if superseded is None else self._renew(event, superseded, lane, arrival)
        if superseded is None or (superseded.service, superseded.case) == (event.service, event.case):
            return self._fold(event, desk, arrival, superseded) or []
        return self._renew(event, superseded, lane, arrival) + (self._fold(event, desk, arrival) or [])

    def _fold(self, event: Evidence, desk: Desk, arrival: int, superseded: Evidence | None = None) -> list[Statement] | None:
        """Fold an event into its case: by the fast path where all goes in order and the clocks are plain."""
        case = desk.cases.get(event.case)
        if case is None:
            event.vendor, event.service = desk.vendor, desk.service  # one text for all
            books: list[CaseBook | PlainClock | None] = [None] * len(desk.promises) if desk.gone is None else desk.blank_books(event.case)
            case = desk.cases[event.case] = Case(desk, event.case, [event], books)
            desk.lane.bear(case)
        elif superseded is None and case.events and event.time > (last := case.events[-1]).time:
            event.vendor, event.service, event.case = last.vendor, last.service, last.case
            if event.content == last.content:
                event.content = last.content  # many sources repeat the case's data in every event
            case.events.append(event)
        else:
            self._unfold_all(case)
            case.events.append(event)
            return self._fold_at_length(event, case, arrival, superseded)
        said: list[Statement] | None = None
        for place, book in enumerate(case.books):
            if book.__class__ is PlainClock:
                found = self._step(case, place, book, event, arrival)
            elif book is None:
                found = self._start(case, place, event, arrival)
            else:
                found = self._fold_one(event, case, place, book, arrival, None)  # type: ignore[arg-type]  # likewise
            if found:
                said = found if said is None else said + found
        if desk.over_cases:
            found = self._fold_over_cases(event, case, desk.over_cases, Moment(desk.lane.seen, arrival, self._event_mode), None)
            if found:
                said = found if said is None else said + found
        return said

    def _start(self, case: Case, place: int, event: Evidence, arrival: int) -> list[Statement] | None:
        """The case's next event in order, where no clock runs yet."""
        desk, events = case.desk, case.events
        rules, begin, end = desk.rulings[place]
        if rules is None or not begin <= event.time < end:
            if event.type not in desk.promises[place].editions.types:
                return None  # a book begins with the first event of which its promise speaks, and reads the earlier ones then
            return self._fold_one(event, case, place, None, arrival, None)
        act = rules.acts.get(event.type)
        if act is plain.START:
            earlier = events[:-1] if len(events) > 1 else None
            clock = plain.start(rules, event, earlier, None if self._event_mode else arrival)
            if clock is not None:
                case.books[place] = clock
                desk.lane.timers.remind(clock.armed_for + rules.grace, case)
                if rules.warnings:
                    self._remind_of_warnings(case, clock)
                return None
        elif act is not plain.UNFOLD:
            return None  # there is no clock yet for it to act on
        return self._fold_one(event, case, place, None, arrival, None)

    def _step(self, case: Case, place: int, clock: PlainClock, event: Evidence, arrival: int) -> list[Statement] | None:
        """Let the case's next event in order act on a plain clock."""
        events, rules, before = case.events, clock.rules, clock.state
        if not plain.step(clock, rules.acts.get(event.type), event, events, None if self._event_mode else arrival):
            return self._fold_one(event, case, place, self._unfold(case, place, events[:-1]), arrival, None)
        after = clock.state
        if after is before or after is plain.PAUSED:
            return None
        desk = case.desk
        if after is plain.RUNNING:
            desk.lane.timers.remind(clock.armed_for + rules.grace, case)
            if rules.warnings:
                self._remind_of_warnings(case, clock)
            return None
        promise, decided_at = desk.promises[place], desk.lane.seen
        if after is plain.MET:
            said = [plain.met(clock, promise, events, decided_at)]
        else:
            said = [] if before is plain.BREACHED else [plain.opened(clock, promise, events, decided_at)]
            said.append(plain.closed(clock, promise, events, decided_at))
            desk.lane.timers.remind(decided_at + rules.agreement.horizon, case)
        if desk.watched[place] and before is not plain.BREACHED:
            said += self._tell_watchers(case, place, Moment(decided_at, arrival, self._event_mode))
        return said

    @staticmethod
    def _remind_of_warnings(case: Case, clock: PlainClock) -> None:
        for _, instant in plain.warnings(clock):
            case.desk.lane.timers.remind(instant + clock.rules.grace, case)

    def _tell_watchers(self, case: Case, place: int, now: Moment) -> list[Statement]:
        desk, promise = case.desk, case.desk.promises[place]
        return self._hear(desk, promise.agreement, promise.name, [(case.events[0].case, case.outcomes(place))], now)

    # -- beyond the fast path ------------------------------------------------------------------------------------

    def _unfold(self, case: Case, place: int, events: list[Evidence] | None = None) -> ClockBook:
        """Make a book of a plain clock. `events`: what it has folded.

        Timers that were made of its reminders find the book by its case; reminders are for plain clocks only, so the rest become timers.
        """
        clock, promise = case.books[place], case.desk.promises[place]
        assert isinstance(clock, PlainClock)
        events = case.events if events is None else events
        book = case.books[place] = plain.unfold(clock, promise, events)
        timers = case.desk.lane.timers
        for timer in plain.timers(clock, promise, events, timers.opened_until, FOREVER):
            timers.arm(timer, book)
        return book

    def _unfold_all(self, case: Case) -> None:
        """Before something is folded that is not the case's next event in order."""
        for place, book in enumerate(case.books):
            if book.__class__ is PlainClock:
                self._unfold(case, place)

    def _book(self, case: Case, place: int) -> CaseBook:
        """The book of a promise in a case, opened or unfolded if need be."""
        book = case.books[place]
        if isinstance(book, PlainClock):
            return self._unfold(case, place)
        if book is None:
            book = case.books[place] = case.desk.promises[place].open_case(case.events[0])
        return book

    def _fold_at_length(self, event: Evidence, case: Case, arrival: int, superseded: Evidence | None) -> list[Statement]:
        """Fold an event, which is in its case already, into all books."""
        said: list[Statement] = []
        for place, book in enumerate(case.books):
            assert not isinstance(book, PlainClock)
            said += self._fold_one(event, case, place, book, arrival, superseded)
        if case.desk.over_cases:
            now = Moment(case.desk.lane.seen, arrival, self._event_mode)
            said += self._fold_over_cases(event, case, case.desk.over_cases, now, superseded)
        return said

    def _fold_one(
        self, event: Evidence, case: Case, place: int, book: CaseBook | None, arrival: int, superseded: Evidence | None
    ) -> list[Statement]:
        lane = case.desk.lane
        if book is None:
            book = case.books[place] = case.desk.promises[place].open_case(event)
            earlier = [e for e in case.events if e is not event]
            if earlier:
                book.begin(earlier)
        now = Moment(lane.seen, arrival, self._event_mode)
        refused = len(book.excluded)
        said = book.take(event, case.events, now, lane.timers.arm, superseded)
        self._late += len(book.excluded) - refused
        if self._watchers:
            said += self._pass_on(book, lane, now)
        return said

    # -- what counts over all cases ------------------------------------------------------------------------------

    @staticmethod
    def _party_book(desk: Desk, promise: Promise) -> PartyBook:
        book = desk.books.get(promise.key)
        if book is None:
            book = desk.books[promise.key] = promise.open_party(desk.vendor, desk.service)
        return book

    def _fold_over_cases(
        self, event: Evidence, case: Case, promises: tuple[Promise, ...], now: Moment, superseded: Evidence | None
    ) -> list[Statement]:
        """Fold evidence into the books of its (vendor, service); where it supersedes other evidence, of that one's."""
        desk = case.desk
        if superseded is None and desk.reached[0] <= event.time < desk.reached[1]:
            return self._tell_books(event, case, desk.moves(event), now, None)
        if superseded is not None and superseded.time == desk.first:
            first = min((e.time for other in desk.cases.values() for e in other.events), default=FOREVER)
            desk.first = None if first == desk.first_gone == FOREVER else min(first, desk.first_gone)
        if case.events and case.events[-1] is event and (desk.first is None or event.time < desk.first):
            desk.first = event.time
        said = self._tell_books(event, case, promises, now, superseded)
        desk.look_how_far()
        return said

    def _tell_books(
        self, event: Evidence, case: Case, promises: Iterable[Promise], now: Moment, superseded: Evidence | None
    ) -> list[Statement]:
        desk = case.desk
        lane = desk.lane
        first = FOREVER if desk.first is None else desk.first
        said: list[Statement] = []
        for promise in promises:
            book = desk.books.get(promise.key)
            if book is None:
                book = self._party_book(desk, promise)
                book.begin(now, lane.timers.arm)
            refused = len(book.excluded)
            said += book.take(event, case.events, first, now, lane.timers.arm, superseded)
            self._late += len(book.excluded) - refused
            if self._watchers:
                said += self._pass_on(book, lane, now)
        return said

    def _pass_on(self, book: Book, lane: Lane, now: Moment) -> list[Statement]:
        """Tell the ratios over an objective how its clocks or slots stand."""
        if (book.agreement, book.objective) not in self._watchers:
            return []
        if isinstance(book, ClockBook):
            if book.has_left:
                return []
            desk = self.desk(book.vendor, book.service)
            return self._hear(desk, book.agreement, book.objective, [(book.case, book.outcomes())], now)
        if isinstance(book, HeartbeatBook):
            desk = self.desk(book.place.vendor, book.place.service)
            return self._hear(desk, book.agreement, book.objective, book.fresh_outcomes(), now)
        return []

    def _hear(
        self, desk: Desk, agreement: str, objective: str, told: Iterable[tuple[str, Mapping[tuple[str, ...], Outcome]]], now: Moment
    ) -> list[Statement]:
        said: list[Statement] = []
        told = list(told)
        for promise in self._watchers[agreement, objective]:
            if promise.concerns(desk.vendor, desk.service):
                ratio = self._party_book(desk, promise)
                assert isinstance(ratio, LevelBook)
                for case, outcomes in told:
                    said += ratio.hear(case, objective, outcomes, now, desk.lane.timers.arm)
        return said

    def _supersede(self, event: Evidence) -> Evidence | None:
        """`replaces`: the event named leaves its case, now (then it is returned) or when it arrives."""
        if event.replaces is None or event.replaces == event.id:
            return None
        self.superseded[event.vendor, event.source, event.replaces] = (event.service, event.case)
        self.note(self.desk(event.vendor, event.service), event.case, event.source, event.replaces)
        vendor = self.vendors[event.vendor]
        known = vendor.posted[event.source].get(event.replaces)
        case = None if known is None else self.desk(event.vendor, known.service).cases.get(known.case)
        if known is None or case is None or known not in case.events:
            mark = mark_of(f"{event.source}\0{event.replaces}")
            if known is None and any(desk.gone is not None and mark in desk.gone for desk in vendor.desks.values()):
                self._late += 1  # what it would replace was counted, and has left
            return None
        self._unfold_all(case)
        case.events.remove(known)
        known.arrival = case.desk.lane.seen  # its case is another from now on
        self._set_aside(known, case.desk)
        return known

    def _set_aside(self, event: Evidence, desk: Desk) -> None:
        """Keep what was superseded, so that it is known when it comes again, for as long as its case stays."""
        self.note(desk, event.case, event.source, event.id)
        if event.case not in desk.cases:
            case = desk.cases[event.case] = Case(desk, event.case, [], desk.blank_books(event.case))
            desk.lane.bear(case)
        self.vendors[desk.vendor].aside.setdefault((desk.service, event.case), []).append(event)

    def _renew(self, event: Evidence, superseded: Evidence, lane: Lane, arrival: int) -> list[Statement]:
        """A case has lost evidence to an event that is not in it."""
        desk = self.desk(superseded.vendor, superseded.service)
        case, now = desk.cases[superseded.case], Moment(lane.seen, arrival, self._event_mode)
        said: list[Statement] = []
        for book in case.books:
            if book is not None:
                assert not isinstance(book, PlainClock)
                said += book.take(event, case.events, now, lane.timers.arm, superseded)
                said += self._pass_on(book, lane, now)
        return said + (self._fold_over_cases(event, case, desk.over_cases, now, superseded) if desk.over_cases else [])

    # -- reports -------------------------------------------------------------------------------------------------

    def clocks(self, vendor: str | None = None, case: str | None = None, *, swiftly: bool = True) -> Iterator[CaseLine]:
        """Clocks (of a vendor, of a case) as they stand at log time, in no order. Evidence may be folded between two of them.

        `swiftly=False` leaves out those on the swift path.
        """
        for desk in list(self.desks()):
            if vendor not in (None, desk.vendor):
                continue
            named = None if case is None else self.case(desk, case)
            every = self.cases_of(desk) if swiftly else list(desk.cases.values())
            for found in every if case is None else () if named is None else (named,):
                yield from self.lines_of(found)
            if desk.lane.log_time is not None:
                for slots in list(desk.books.values()):
                    if isinstance(slots, HeartbeatBook):
                        yield from (line for line in slots.lines(desk.lane.log_time) if case in (None, line.case))

    def states_by_swift(self) -> Mapping[tuple[str, str, str], int]:
        """How many clocks stand on the swift path, by (agreement, objective, state)."""
        return {} if self.swift is None else self.swift.states()

    @staticmethod
    def lines_of(case: Case) -> list[CaseLine]:
        """The clocks of a case as they stand at log time."""
        found: list[CaseLine] = []
        log_time = case.desk.lane.log_time or 0
        for promise, book in zip(case.desk.promises, case.books, strict=True) if case.books else ():
            if isinstance(book, PlainClock):
                found.append(plain.line(book, promise, case.events, log_time))
            elif book is not None:
                found += book.lines(log_time)
        return found

    def case_lines(self, *, swiftly: bool = True) -> Iterator[CaseLine]:
        """All clocks as they stand at the end of log time, ordered by agreement, objective, vendor, service, case, cycle, start.

        Those of cases that have left were handed out with them. `swiftly=False` leaves out those on the swift path (`Swift.lines`).
        """
        self._let_go_of_all()
        yield from sorted(self.clocks(swiftly=swiftly), key=place_of)

    def level_lines(self) -> Iterator[LevelLine]:
        """All windows as they stand at the end of log time, ordered by agreement, objective, vendor, service, window."""
        found: list[LevelLine] = []
        for desk in self.desks():
            for book in desk.books.values():
                if isinstance(book, LevelBook):
                    found.extend(book.lines(desk.lane.log_time or 0))
        yield from sorted(found, key=lambda line: (line.agreement, line.objective, line.vendor, line.service, line.window_end))

    def levels_now(self) -> Iterator[LevelNow]:
        """Every level as it stands in its current window. Evidence may be folded between two of them; a level new since may be missing."""
        for desk in list(self.desks()):
            for book in list(desk.books.values()):
                now = book.now(desk.lane.log_time or 0) if isinstance(book, LevelBook) else None
                if now is not None:
                    yield now

    def log_time_of(self, vendor: str) -> int:
        """Log time as a vendor's clocks see it; 0 before the first record."""
        return self.vendors[vendor].lane.log_time or 0 if vendor in self.vendors else 0

    def books_of(self, case: str) -> list[ClockBook]:
        """The books of the clocks of all cases of that name, for reading."""
        return [book for desk in self.desks() if (found := self.case(desk, case)) is not None for book in books_of(found)]


def books_of(case: Case) -> list[ClockBook]:
    """The books of a case's clocks, for reading."""
    found: list[ClockBook] = []
    for promise, book in zip(case.desk.promises, case.books, strict=True):
        if isinstance(book, PlainClock):
            found.append(plain.unfold(book, promise, case.events))
        elif isinstance(book, ClockBook):
            found.append(book)
        elif book is None and promise.kind == "deadline" and any(event.type in promise.editions.types for event in case.events):
            blank = promise.open_case(case.events[0])  # nothing has started a clock yet
            blank.begin(case.events)
            found.append(cast(ClockBook, blank))
    return found
