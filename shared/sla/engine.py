"""The engine: records of the log in, statements out. No clock, no I/O: verdicts are a function of what it is given.

take(evidence) / activate / advance / tick  ──►  timers up to its arrival fire  ──►  fold  ──►  statements
                                                               wake_at: when a tick is due
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Literal

from shared.sla.books import Book, CaseLine, ClockBook, Moment
from shared.sla.evidence import Evidence
from shared.sla.heartbeats import HeartbeatBook
from shared.sla.levels import LevelBook, LevelLine
from shared.sla.meters import FOREVER
from shared.sla.promises import CaseBook, PartyBook, Promise, promise_of
from shared.sla.rules import calendars_of
from shared.sla.statements import Statement
from shared.sla.terms import Agreement, Bundle
from shared.sla.timers import Fired, Timers

ClockMode = Literal["log", "event"]
Quarantine = Literal["future", "conflict"]


class Lane:
    """One log time and its timers: of a partition in log mode, of a vendor in event mode."""

    __slots__ = ("log_time", "timers")

    def __init__(self) -> None:
        self.log_time: int | None = None
        self.timers = Timers()

    def reach(self, arrival: int) -> int:
        """Log time once a record of this arrival is folded: it never goes back."""
        return arrival if self.log_time is None else max(arrival, self.log_time)


class Case:
    """All evidence of one (vendor, service, subject), in order of arrival, and its books."""

    __slots__ = ("books", "events")

    def __init__(self) -> None:
        self.events: list[Evidence] = []
        self.books: dict[tuple[str, ...], CaseBook] = {}


class Party:
    """One (vendor, service): the books of what is counted over all its cases."""

    __slots__ = ("books", "first")

    def __init__(self) -> None:
        self.first: int | None = None  # the time of its first event
        self.books: dict[tuple[str, ...], PartyBook] = {}


class Refused:
    """Evidence that changes nothing, and why."""

    __slots__ = ("detail", "reason")

    def __init__(self, reason: Quarantine, detail: str) -> None:
        self.reason, self.detail = reason, detail


class Concerned:
    """The promises that concern one (vendor, service): those kept case by case, and those counted over all cases."""

    __slots__ = ("of_cases", "of_parties")

    def __init__(self, promises: list[Promise]) -> None:
        self.of_cases = tuple(promise for promise in promises if promise.is_of_cases)
        self.of_parties = tuple(promise for promise in promises if not promise.is_of_cases)


class Engine:
    """One partition's state in log mode; all vendors' in event mode (replay, backfill)."""

    def __init__(self, clock: ClockMode = "log", *, max_skew: int = 300_000, owns: Callable[[str], bool] | None = None) -> None:
        """`max_skew` ms; `owns`: whether a vendor's events come here, so that what a vendor that never posts owes is called here.

        Left out: in event mode all vendors' do; in log mode a vendor is known by its first event.
        """
        self._event_mode = clock == "event"
        self._max_skew = max_skew
        self._owns = owns
        self._objectives: dict[tuple[str, ...], Promise] = {}
        self._matching: dict[tuple[str, str], Concerned] = {}
        self._watchers: dict[tuple[str, str], list[Promise]] = {}  # (agreement, objective) -> the ratios over it
        self._parties: dict[tuple[str, str], Party] = {}
        self._activations: dict[str, int] = {}
        self._lanes: dict[str, Lane] = {}
        self._cases: dict[tuple[str, str, str], Case] = {}
        self._ids: dict[tuple[str, str, str], tuple[bytes, str, str]] = {}  # (vendor, source, id) -> digest, service, case
        self._superseded: set[tuple[str, str, str]] = set()
        self.counts: Counter[str] = Counter()  # events_read, duplicates, quarantined, late

    # -- time ----------------------------------------------------------------------------------------------------

    def _lane(self, vendor: str) -> Lane:
        key = vendor if self._event_mode else ""
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane()
        return lane

    def _pass_time(self, lane: Lane, arrival: int) -> list[Statement]:
        """Fire what is to be called before `arrival` (at equality the record goes first), then move log time."""
        until = lane.reach(arrival)
        said = [statement for fired in lane.timers.until(until) for statement in self._call(lane, fired)]
        lane.log_time = until
        return said

    def _call(self, lane: Lane, fired: Fired) -> list[Statement]:
        now = Moment(fired.at, None, self._event_mode)
        said = fired.book.fire(fired.timer, now, lane.timers.arm)
        if self._watchers:
            said += self._pass_on(fired.book, lane, now)
        if fired.held is not None:
            for statement in said:
                statement.detail = {**statement.detail, "held": fired.held.told()}
        return said

    def _now(self, lane: Lane) -> Moment:
        """Log time of a lane as it stands, for what no event's arrival decides."""
        return Moment(lane.log_time or 0, lane.log_time, self._event_mode)

    def fire(self, arrival: int, limit: int, vendor: str | None = None) -> tuple[list[Statement], bool]:
        """Fire at most `limit` of the timers that a record of this arrival would (event mode: of a vendor, or of all).

        Returns what is stated, and whether timers are left: what many timers say can so be taken in slices, before the record itself.
        """
        names = sorted(self._lanes) if vendor is None else [vendor if self._event_mode else ""]
        said: list[Statement] = []
        for lane in (self._lanes[name] for name in names if name in self._lanes):
            for fired in lane.timers.until(lane.reach(arrival)):
                said += self._call(lane, fired)
                limit -= 1
                if limit <= 0:
                    return said, True
        return said, False

    @property
    def wake_at(self) -> int | None:
        """The earliest instant after which a record makes a timer fire; None: nothing waits."""
        return min((wake for lane in self._lanes.values() if (wake := lane.timers.wake_at) is not None), default=None)

    @property
    def last_pulse(self) -> int | None:
        """Log mode: log time at the last pulse; None before the first."""
        return None if self._event_mode else self._lane("").timers.door.last_pulse

    @property
    def held(self) -> int:
        """How many timers wait for our own door to open (engine.md, "Blind time")."""
        return sum(lane.timers.held for lane in self._lanes.values())

    @property
    def log_time(self) -> int | None:
        """The largest arrival seen, over all lanes; None before the first record."""
        return max((lane.log_time for lane in self._lanes.values() if lane.log_time is not None), default=None)

    def tick(self, arrival: int) -> list[Statement]:
        """Log mode: a record that carries nothing but its arrival."""
        return self._pass_time(self._lane(""), arrival)

    def pulse(self, arrival: int) -> list[Statement]:
        """Log mode: a record that says our own door is open."""
        lane = self._lane("")
        said = self._pass_time(lane, arrival)
        lane.timers.pulse(lane.reach(arrival))
        return said

    def advance(self, to: int, vendor: str | None = None) -> list[Statement]:
        """Event mode: log time moves to `to`, of one vendor or of all that were seen."""
        lanes = [self._lane(vendor)] if vendor is not None else [self._lanes[name] for name in sorted(self._lanes)]
        return [statement for lane in lanes for statement in self._pass_time(lane, to)]

    def settle(self) -> list[Statement]:
        """The end of a history: fire what log time has passed already (late evidence may have armed it)."""
        said: list[Statement] = []
        for name in sorted(self._lanes):
            lane = self._lanes[name]
            if lane.log_time is not None:
                said += self._pass_time(lane, lane.log_time)
        return said

    # -- agreements ----------------------------------------------------------------------------------------------

    def activate(self, bundle: Bundle, activation_id: str, arrival: int | None = None, *, restate: bool = False) -> list[Statement]:
        """Put a version of an agreement in the books; the same activation again is ignored.

        Without `arrival` it holds from the log's beginning. With `restate` it also rules what was folded before. If it says
        `apply_to: open`, open clocks go on under it from its arrival, or from `effective.from` if that is later; event mode, where
        arrivals say nothing, takes its log time instead.
        """
        said = [] if arrival is None or self._event_mode else self._pass_time(self._lane(""), arrival)
        if activation_id in self._activations:
            return said
        ordinal = 0 if arrival is None else len(self._activations) + 1
        self._activations[activation_id] = ordinal
        since = None if arrival is None or restate else self.log_time if self._event_mode else self._lane("").log_time
        agreement, calendars = bundle.agreement, calendars_of(bundle)
        for objective in agreement.objectives:
            promise = promise_of(self._objectives, agreement, objective)
            promise.add(0 if restate else ordinal, agreement, objective, calendars, since)
            if promise.over is not None:
                watchers = self._watchers.setdefault((agreement.name, promise.over), [])
                watchers += [] if promise in watchers else [promise]
        self._matching.clear()
        said += self._restate(agreement) if restate else self._begin(agreement)
        return said + (self._move(agreement) if agreement.apply_to == "open" and not restate else [])

    def _move(self, agreement: Agreement) -> list[Statement]:
        """Open clocks go on under a version that says `apply_to: open`, now if it has begun."""
        said: list[Statement] = []
        for (vendor, _, _), case in sorted(self._cases.items()):
            lane = self._lane(vendor)
            now = self._now(lane)
            for book in case.books.values():
                if book.agreement == agreement.name and isinstance(book, ClockBook):
                    said += book.renew(case.events, now, lane.timers.arm) + self._pass_on(book, lane, now)
        return said

    def _begin(self, agreement: Agreement) -> list[Statement]:
        """What counts over all cases goes on under the new version; recurring deliverables of a named vendor and service begin."""
        said: list[Statement] = []
        for (vendor, service), promise in self._named(agreement):
            if self._event_mode if self._owns is None else self._owns(vendor):
                self._party_book(self._party(vendor, service), promise, vendor, service)
        for (vendor, _), party in sorted(self._parties.items()):
            lane = self._lane(vendor)
            now = self._now(lane)
            for book in list(party.books.values()):
                if book.agreement == agreement.name:
                    said += book.begin(now, lane.timers.arm) + self._pass_on(book, lane, now)
        return said

    def _named(self, agreement: Agreement) -> Iterator[tuple[tuple[str, str], Promise]]:
        """((vendor, service), promise) of the recurring deliverables of those an agreement names."""
        for promise in self._objectives.values():
            if promise.agreement == agreement.name and promise.kind == "heartbeat" and not {"*"} & {*agreement.vendor, *agreement.service}:
                for vendor in agreement.vendor:
                    for service in agreement.service:
                        yield (vendor, service), promise

    def _restate(self, agreement: Agreement) -> list[Statement]:
        said = self._begin(agreement)
        for (vendor, _), party in sorted(self._parties.items()):
            lane = self._lane(vendor)
            now = self._now(lane)
            for book in list(party.books.values()):
                if book.agreement == agreement.name:
                    said += book.restate(now, lane.timers.arm)
        for (vendor, service, _), case in sorted(self._cases.items()):
            lane = self._lane(vendor)
            now = self._now(lane)
            concerned = self._concerned(vendor, service)
            for promise in concerned.of_cases:
                if promise.agreement == agreement.name and case.events:
                    of_case = self._book(case, promise, case.events[0])
                    said += of_case.renew(case.events, now, lane.timers.arm) + self._pass_on(of_case, lane, now)
            for promise in concerned.of_parties:
                if promise.agreement == agreement.name:
                    said += self._tell_again(case, promise, lane, now)
        return said

    def _tell_again(self, case: Case, promise: Promise, lane: Lane, now: Moment) -> list[Statement]:
        """Fold a case's evidence into a book that has forgotten it."""
        said: list[Statement] = []
        for i, event in enumerate(case.events):
            party = self._party(event.vendor, event.service)
            book = self._party_book(party, promise, event.vendor, event.service)
            said += book.take(event, case.events[: i + 1], event.time if party.first is None else party.first, now, lane.timers.arm)
            said += self._pass_on(book, lane, now)
        return said

    def _concerned(self, vendor: str, service: str) -> Concerned:
        found = self._matching.get((vendor, service))
        if found is None:
            found = Concerned([promise for _, promise in sorted(self._objectives.items()) if promise.concerns(vendor, service)])
            self._matching[vendor, service] = found
        return found

    @property
    def objectives(self) -> list[tuple[str, str]]:
        """(agreement, objective) of all that is in the books."""
        return sorted({(promise.agreement, promise.name) for promise in self._objectives.values()})

    # -- evidence ------------------------------------------------------------------------------------------------

    def take(self, event: Evidence, arrival: int | None = None) -> tuple[list[Statement], Refused | None]:
        """Fold one event. `arrival` is its record's; event mode takes the event's own time instead.

        Returns what is stated, and why the event was refused, if it was.
        """
        self.counts["events_read"] += 1
        if self._event_mode or arrival is None:
            arrival = event.time
        lane = self._lane(event.vendor)
        if not self._event_mode and event.time > arrival + self._max_skew:
            said = self._pass_time(lane, arrival)
            return said, self._refuse("future", f"its time lies {(event.time - arrival) / 1000:g} s ahead of its arrival")
        said = self._pass_time(lane, arrival)
        identity = (event.vendor, event.source, event.id)
        known = self._ids.get(identity)
        if known is not None:
            if known[0] == event.digest:
                self.counts["duplicates"] += 1
                return said, None
            return said, self._refuse("conflict", "an event of this vendor, source and id with other content stands already")
        self._ids[identity] = (event.digest, event.service, event.case)
        event.arrival, event.known = arrival, len(self._activations)
        now = Moment(lane.log_time or arrival, arrival, self._event_mode)
        superseded = self._supersede(event)
        if identity not in self._superseded:
            said += self._fold(event, lane, now, superseded)
        elif superseded is not None:
            said += self._renew(event, superseded, lane, now)
        return said, None

    def _refuse(self, reason: Quarantine, detail: str) -> Refused:
        self.counts["quarantined"] += 1
        return Refused(reason, detail)

    def _fold(self, event: Evidence, lane: Lane, now: Moment, superseded: Evidence | None) -> list[Statement]:
        place = (event.vendor, event.service, event.case)
        case = self._cases.get(place)
        if case is None:
            case = self._cases[place] = Case()
        case.events.append(event)
        said: list[Statement] = []
        if superseded is not None and (superseded.service, superseded.case) != place[1:]:
            said += self._renew(event, superseded, lane, now)
            superseded = None
        concerned = self._concerned(event.vendor, event.service)
        for promise in concerned.of_cases:
            book = self._book(case, promise, event)
            refused = len(book.excluded)
            said += book.take(event, case.events, now, lane.timers.arm, superseded)
            self.counts["late"] += len(book.excluded) - refused
            if self._watchers:
                said += self._pass_on(book, lane, now)
        if concerned.of_parties:
            said += self._fold_over_cases(event, case, concerned.of_parties, lane, now, superseded)
        return said

    @staticmethod
    def _book(case: Case, promise: Promise, event: Evidence) -> CaseBook:
        book = case.books.get(promise.key)
        if book is None:
            book = case.books[promise.key] = promise.open_case(event)
            earlier = [e for e in case.events if e is not event]
            if earlier:
                book.begin(earlier)
        return book

    # -- what counts over all cases ------------------------------------------------------------------------------

    def _party(self, vendor: str, service: str) -> Party:
        party = self._parties.get((vendor, service))
        if party is None:
            party = self._parties[vendor, service] = Party()
        return party

    @staticmethod
    def _party_book(party: Party, promise: Promise, vendor: str, service: str) -> PartyBook:
        book = party.books.get(promise.key)
        if book is None:
            book = party.books[promise.key] = promise.open_party(vendor, service)
        return book

    def _fold_over_cases(
        self, event: Evidence, case: Case, promises: tuple[Promise, ...], lane: Lane, now: Moment, superseded: Evidence | None
    ) -> list[Statement]:
        """Fold evidence into the books of its (vendor, service); where it supersedes other evidence, of that one's."""
        of = event if superseded is None else superseded
        party = self._party(of.vendor, of.service)
        if superseded is not None and superseded.time == party.first:
            cases = (other for (vendor, service, _), other in self._cases.items() if (vendor, service) == (of.vendor, of.service))
            party.first = min((e.time for other in cases for e in other.events), default=None)
        if case.events and case.events[-1] is event and (party.first is None or event.time < party.first):
            party.first = event.time
        said: list[Statement] = []
        for promise in promises:
            is_new = promise.key not in party.books
            book = self._party_book(party, promise, of.vendor, of.service)
            if is_new:
                book.begin(now, lane.timers.arm)
            refused = len(book.excluded)
            first = FOREVER if party.first is None else party.first
            said += book.take(event, case.events, first, now, lane.timers.arm, superseded)
            self.counts["late"] += len(book.excluded) - refused
            if self._watchers:
                said += self._pass_on(book, lane, now)
        return said

    def _pass_on(self, book: Book, lane: Lane, now: Moment) -> list[Statement]:
        """Tell the ratios over an objective how its clocks or slots stand."""
        watchers = self._watchers.get((book.agreement, book.objective))
        if not watchers:
            return []
        said: list[Statement] = []
        if isinstance(book, ClockBook):
            vendor, service, told = book.vendor, book.service, [(book.case, book.outcomes())]
        elif isinstance(book, HeartbeatBook):
            vendor, service, told = book.place.vendor, book.place.service, book.fresh_outcomes()
        else:
            return []
        party = self._party(vendor, service)
        for promise in watchers:
            if not promise.concerns(vendor, service):
                continue
            ratio = self._party_book(party, promise, vendor, service)
            assert isinstance(ratio, LevelBook)
            for case, outcomes in told:
                said += ratio.hear(case, book.objective, outcomes, now, lane.timers.arm)
        return said

    def _supersede(self, event: Evidence) -> Evidence | None:
        """`replaces`: the event named leaves its case, now (then it is returned) or when it arrives."""
        if event.replaces is None or event.replaces == event.id:
            return None
        old = (event.vendor, event.source, event.replaces)
        self._superseded.add(old)
        known = self._ids.get(old)
        case = None if known is None else self._cases.get((event.vendor, known[1], known[2]))
        found = None if case is None else next((e for e in case.events if e.key == old[1:]), None)
        if case is not None and found is not None:
            case.events.remove(found)
        return found

    def _renew(self, event: Evidence, superseded: Evidence, lane: Lane, now: Moment) -> list[Statement]:
        """A case has lost evidence to an event that is not in it."""
        case = self._cases[superseded.vendor, superseded.service, superseded.case]
        said: list[Statement] = []
        for book in case.books.values():
            said += book.take(event, case.events, now, lane.timers.arm, superseded)
            said += self._pass_on(book, lane, now)
        promises = self._concerned(superseded.vendor, superseded.service).of_parties
        return said + (self._fold_over_cases(event, case, promises, lane, now, superseded) if promises else [])

    # -- reports -------------------------------------------------------------------------------------------------

    def case_lines(self) -> Iterator[CaseLine]:
        """All clocks as they stand at the end of log time, ordered by agreement, objective, vendor, service, case, cycle."""
        found: list[CaseLine] = []
        for (vendor, _, _), case in self._cases.items():
            log_time = self.log_time_of(vendor)
            for book in case.books.values():
                found.extend(book.lines(log_time))
        for (vendor, _), party in self._parties.items():
            if self._lane(vendor).log_time is not None:
                for slots in party.books.values():
                    if isinstance(slots, HeartbeatBook):
                        found.extend(slots.lines(self.log_time_of(vendor)))
        yield from sorted(found, key=lambda line: (line.agreement, line.objective, line.vendor, line.service, line.case, line.cycle))

    def level_lines(self) -> Iterator[LevelLine]:
        """All windows as they stand at the end of log time, ordered by agreement, objective, vendor, service, window."""
        found: list[LevelLine] = []
        for (vendor, _), party in self._parties.items():
            for book in party.books.values():
                if isinstance(book, LevelBook):
                    found.extend(book.lines(self.log_time_of(vendor)))
        yield from sorted(found, key=lambda line: (line.agreement, line.objective, line.vendor, line.service, line.window_end))

    def log_time_of(self, vendor: str) -> int:
        """Log time as a vendor's clocks see it; 0 before the first record."""
        return self._lane(vendor).log_time or 0

    def books_of(self, case: str) -> list[ClockBook]:
        """The books of the clocks of all cases of that name."""
        books = (book for (_, _, name), entry in sorted(self._cases.items()) if name == case for book in entry.books.values())
        return [book for book in books if isinstance(book, ClockBook)]
