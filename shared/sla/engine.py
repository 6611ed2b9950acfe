"""The engine: records of the log in, statements out. No clock, no I/O: verdicts are a function of what it is given.

take(evidence) / activate / advance / tick  ──►  timers up to its arrival fire  ──►  fold  ──►  statements
                                                               wake_at: when a tick is due
"""

from collections import Counter
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Literal

from shared.sla.books import CaseLine, ClockBook, Moment, Schedule, Timer
from shared.sla.evidence import Evidence
from shared.sla.rules import DeadlineRules, Editions, calendars_of
from shared.sla.statements import Statement
from shared.sla.terms import Agreement, Bundle, Deadline

ClockMode = Literal["log", "event"]
Quarantine = Literal["future", "conflict"]


class Lane:
    """One log time and its timers: of a partition in log mode, of a vendor in event mode."""

    __slots__ = ("heap", "log_time")

    def __init__(self) -> None:
        self.log_time: int | None = None
        self.heap: list[tuple[Timer, int, ClockBook]] = []

    @property
    def wake_at(self) -> int | None:
        """When its next timer is to be called."""
        return self.heap[0][0].call_at if self.heap else None


class Case:
    """All evidence of one (vendor, service, subject), in order of arrival, and its books."""

    __slots__ = ("books", "events")

    def __init__(self) -> None:
        self.events: list[Evidence] = []
        self.books: dict[tuple[str, str], ClockBook] = {}


class Refused:
    """Evidence that changes nothing, and why."""

    __slots__ = ("detail", "reason")

    def __init__(self, reason: Quarantine, detail: str) -> None:
        self.reason, self.detail = reason, detail


class _Objective:
    """One objective of an agreement's name, over all its versions."""

    __slots__ = ("agreement", "editions", "name", "services", "vendors")

    def __init__(self, agreement: str, name: str) -> None:
        self.agreement, self.name, self.editions = agreement, name, Editions()
        self.vendors: set[str] = set()
        self.services: set[str] = set()

    def concerns(self, vendor: str, service: str) -> bool:
        return ("*" in self.vendors or vendor in self.vendors) and ("*" in self.services or service in self.services)


class Engine:
    """One partition's state in log mode; all vendors' in event mode (replay, backfill)."""

    def __init__(self, clock: ClockMode = "log", *, max_skew: int = 300_000, arrivals: bool = True) -> None:
        """`max_skew` ms; `arrivals`: whether evidence carries arrivals of its own (event mode never looks at them)."""
        self._event_mode = clock == "event"
        self._max_skew = max_skew
        self._objectives: dict[tuple[str, str], _Objective] = {}
        self._matching: dict[tuple[str, str], tuple[_Objective, ...]] = {}
        self._activations: dict[str, int] = {}
        self._lanes: dict[str, Lane] = {}
        self._cases: dict[tuple[str, str, str], Case] = {}
        self._ids: dict[tuple[str, str, str], tuple[bytes, str, str]] = {}  # (vendor, source, id) -> digest, service, case
        self._superseded: set[tuple[str, str, str]] = set()
        self._timers = 0
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
        said: list[Statement] = []
        heap = lane.heap
        until = arrival if lane.log_time is None else max(arrival, lane.log_time)
        while heap and heap[0][0].call_at < until:
            timer, _, book = heappop(heap)
            now = Moment(timer.call_at, None, self._event_mode)
            said += book.fire(timer, now, self._schedule_in(lane))
        lane.log_time = until
        return said

    def _schedule_in(self, lane: Lane) -> Schedule:
        def schedule(timer: Timer, book: ClockBook) -> None:
            self._timers += 1
            heappush(lane.heap, (timer, self._timers, book))

        return schedule

    @property
    def wake_at(self) -> int | None:
        """The earliest instant after which a record makes a timer fire; None: nothing waits."""
        return min((lane.heap[0][0].call_at for lane in self._lanes.values() if lane.heap), default=None)

    @property
    def log_time(self) -> int | None:
        """The largest arrival seen, over all lanes; None before the first record."""
        return max((lane.log_time for lane in self._lanes.values() if lane.log_time is not None), default=None)

    def tick(self, arrival: int) -> list[Statement]:
        """Log mode: a record that carries nothing but its arrival."""
        return self._pass_time(self._lane(""), arrival)

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

        Without `arrival` it holds from the log's beginning. With `restate` it also rules what was folded before.
        """
        said = [] if arrival is None or self._event_mode else self._pass_time(self._lane(""), arrival)
        if activation_id in self._activations:
            return said
        ordinal = 0 if arrival is None else len(self._activations) + 1
        self._activations[activation_id] = ordinal
        agreement, calendars = bundle.agreement, calendars_of(bundle)
        for objective in agreement.objectives:
            if not isinstance(objective, Deadline):
                continue
            entry = self._objectives.setdefault((agreement.name, objective.name), _Objective(agreement.name, objective.name))
            entry.vendors |= set(agreement.vendor)
            entry.services |= set(agreement.service)
            entry.editions.add(0 if restate else ordinal, agreement, DeadlineRules(agreement, objective, calendars))
        self._matching.clear()
        return said + (self._restate(agreement) if restate else [])

    def _restate(self, agreement: Agreement) -> list[Statement]:
        said: list[Statement] = []
        for (vendor, service, _), case in sorted(self._cases.items()):
            lane = self._lane(vendor)
            now = Moment(lane.log_time or 0, lane.log_time, self._event_mode)
            for entry in self._concerned(vendor, service):
                if entry.agreement == agreement.name and case.events:
                    book = self._book(case, entry, case.events[0])
                    said += book.renew(case.events, now, self._schedule_in(lane))
        return said

    def _concerned(self, vendor: str, service: str) -> tuple[_Objective, ...]:
        found = self._matching.get((vendor, service))
        if found is None:
            found = tuple(entry for _, entry in sorted(self._objectives.items()) if entry.concerns(vendor, service))
            self._matching[vendor, service] = found
        return found

    @property
    def objectives(self) -> list[tuple[str, str]]:
        """(agreement, objective) of all that is in the books."""
        return sorted(self._objectives)

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
        if event.replaces is not None:
            said += self._supersede(event, lane, now)
        if identity not in self._superseded:
            said += self._fold(event, lane, now)
        return said, None

    def _refuse(self, reason: Quarantine, detail: str) -> Refused:
        self.counts["quarantined"] += 1
        return Refused(reason, detail)

    def _fold(self, event: Evidence, lane: Lane, now: Moment) -> list[Statement]:
        place = (event.vendor, event.service, event.case)
        case = self._cases.get(place)
        if case is None:
            case = self._cases[place] = Case()
        case.events.append(event)
        said: list[Statement] = []
        for entry in self._concerned(event.vendor, event.service):
            book = self._book(case, entry, event)
            refused = len(book.excluded)
            said += book.take(event, case.events, now, self._schedule_in(lane))
            self.counts["late"] += len(book.excluded) - refused
        return said

    @staticmethod
    def _book(case: Case, entry: _Objective, event: Evidence) -> ClockBook:
        key = (entry.agreement, entry.name)
        book = case.books.get(key)
        if book is None:
            book = case.books[key] = ClockBook(entry.agreement, entry.name, entry.editions, event)
            earlier = [e for e in case.events if e is not event]
            if earlier:
                book.fold.refold(earlier)
        return book

    def _supersede(self, event: Evidence, lane: Lane, now: Moment) -> list[Statement]:
        """`replaces`: the event named leaves its case, now or when it arrives."""
        old = (event.vendor, event.source, event.replaces or "")
        self._superseded.add(old)
        known = self._ids.get(old)
        if known is None:
            return []
        case = self._cases.get((event.vendor, known[1], known[2]))
        if case is None:
            return []
        case.events = [e for e in case.events if e.key != old[1:]]
        said: list[Statement] = []
        for book in case.books.values():
            said += book.renew(case.events, now, self._schedule_in(lane))
        return said

    # -- reports -------------------------------------------------------------------------------------------------

    def case_lines(self) -> Iterator[CaseLine]:
        """All clocks as they stand at the end of log time, ordered by agreement, objective, vendor, service, case, cycle."""
        found: list[CaseLine] = []
        for (vendor, _, _), case in self._cases.items():
            log_time = self.log_time_of(vendor)
            for book in case.books.values():
                found.extend(book.lines(log_time))
        yield from sorted(found, key=lambda line: (line.agreement, line.objective, line.vendor, line.service, line.case, line.cycle))

    def log_time_of(self, vendor: str) -> int:
        """Log time as a vendor's clocks see it; 0 before the first record."""
        return self._lane(vendor).log_time or 0

    def books_of(self, case: str) -> list[ClockBook]:
        """The books of all cases of that name."""
        return [book for (_, _, name), entry in sorted(self._cases.items()) if name == case for book in entry.books.values()]
