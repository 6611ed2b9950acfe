"""One objective of an agreement's name over all its versions: the rules of each version, and the books in which it is kept."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, cast

from shared.sla.books import Book, CaseLine, ClockBook, Moment, Schedule
from shared.sla.breaches import Place
from shared.sla.calendars import Calendar
from shared.sla.evidence import Evidence
from shared.sla.heartbeats import HeartbeatBook, HeartbeatRules
from shared.sla.instants import FOREVER, instant_or
from shared.sla.intervals import Interval
from shared.sla.leaving import Rest
from shared.sla.level_rules import LevelRules
from shared.sla.levels import WindowBook
from shared.sla.rolling import RollingBook
from shared.sla.rules import DeadlineRules, Editions, Unknown
from shared.sla.statements import Statement
from shared.sla.terms import Agreement, AnyObjective, Deadline, Heartbeat, Level, ObjectiveOf, Ratio, Violation
from shared.sla.violations import ViolationBook, ViolationRules
from shared.sla.windows import Timetable

Key = tuple[str, ...]  # agreement, objective, and what kind of book keeps it


class CaseBook(Book, Protocol):
    """The book of one promise about one case."""

    excluded: set[tuple[str, str]]

    def begin(self, events: list[Evidence]) -> None:
        """Take what was known of the case before this book was opened."""

    def take(
        self, event: Evidence, events: list[Evidence], now: Moment, schedule: Schedule, superseded: Evidence | None = None
    ) -> list[Statement]:
        """Fold one more piece of evidence; `events` is all of the case's, this one included; `superseded` is what it replaces here."""
        ...

    def renew(self, events: list[Evidence], now: Moment, schedule: Schedule) -> list[Statement]:
        """Fold all evidence again: another version rules."""
        ...

    def rest(self) -> Rest | None:
        """How it rests; None while something of it is open."""
        ...

    def leave(self) -> None:
        """Its case leaves memory."""

    def lines(self, log_time: int, /) -> Iterator[CaseLine]:
        """Its lines of `cases.ndjson`."""
        ...


class PartyBook(Book, Protocol):
    """The book of one promise that is counted over all cases of a (vendor, service)."""

    excluded: set[tuple[str, str]]

    def begin(self, now: Moment, schedule: Schedule) -> list[Statement]:
        """A version was activated: windows or slots go on, or begin."""
        ...

    def take(
        self, event: Evidence, events: Sequence[Evidence], first: int, now: Moment, schedule: Schedule, superseded: Evidence | None = None
    ) -> list[Statement]:
        """Fold one more piece of evidence; `events` is all of its case's; `first`: when the first event of the (vendor, service) was."""
        ...

    def restate(self, now: Moment, schedule: Schedule) -> list[Statement]:
        """Forget the evidence, which is about to be told again; what stands stated is kept, to be compared."""
        ...

    @property
    def has_let_go(self) -> bool:
        """Whether it counts evidence of cases that have left, which cannot be told again."""
        ...

    @property
    def reached(self) -> Interval:
        """An event whose `time` lies in this span makes no window or slot begin: it matters only by what it says."""
        ...

    def follows(self, case: str) -> bool:
        """Whether it is to be told of all evidence of a case, be it of types of which the objective does not speak."""
        ...

    def is_open(self, case: str) -> bool:
        """Whether a case has begun something here that only its own evidence can end."""
        ...

    def let_go(self, case: str) -> None:
        """A case leaves memory: what it counted for stays, for good."""


class Promise:
    """An objective by name. Where a new version makes another kind of it, that is another promise of the same name."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.agreement, self.name, self.kind = key[0], key[1], key[2]
        self.is_of_cases = self.kind in ("deadline", "violation")
        self.editions: Editions[Any] = Editions()
        self.over: str | None = None  # the objective whose outcomes the newest version counts
        self.vendors: set[str] = set()
        self.services: set[str] = set()
        self._told: set[str] = set()  # the activations that are known here

    def concerns(self, vendor: str, service: str) -> bool:
        """Whether any version speaks of them."""
        return ("*" in self.vendors or vendor in self.vendors) and ("*" in self.services or service in self.services)

    def add(
        self,
        activation: str,
        ordinal: int,
        agreement: Agreement,
        objective: AnyObjective,
        calendars: dict[str, Calendar],
        activated: int | None,
    ) -> None:
        """Put a version in the books: known to what is folded from activation `ordinal` on, which arrived at `activated`."""
        self.vendors |= set(agreement.vendor)
        self.services |= set(agreement.service)
        if isinstance(objective, Ratio) and isinstance(objective.of, ObjectiveOf):
            self.over = objective.of.objective
        self._told.add(activation)
        self.editions.add(ordinal, agreement, _rules_of(agreement, objective, calendars, self.editions.unknown), activated)

    def add_absence(self, activation: str, ordinal: int, agreement: Agreement, activated: int | None) -> None:
        """Likewise a version that has no such objective, if that is not known yet of this activation."""
        if activation not in self._told:
            self._told.add(activation)
            self.editions.add_absence(ordinal, agreement, activated)

    def plain_ruling(self, vendor: str, service: str) -> tuple[DeadlineRules | None, int, int]:
        """(rules, from, to): what rules plain clocks that start in [from, to), as far as is known; rules None: none are plain."""
        if self.kind != "deadline":
            return None, FOREVER, FOREVER
        newest = self.editions.newest_edition()
        rules = cast(DeadlineRules, newest.rules)
        if rules.pause_while is not None or not newest.concerns(vendor, service):
            return None, FOREVER, FOREVER
        moved = max((move.instant + 1 for move in self.editions.moves), default=-FOREVER)  # what starts then goes on under no other
        return rules, max(instant_or(newest.effective_from, -FOREVER), moved), self.editions.plainly_until(newest)

    def open_case(self, event: Evidence) -> CaseBook:
        """An empty book for the case of an event."""
        if self.kind == "deadline":
            return ClockBook(self.agreement, self.name, self.editions, event)
        return ViolationBook(self.agreement, self.name, self.editions, event)

    def open_party(self, vendor: str, service: str) -> PartyBook:
        """An empty book for a (vendor, service)."""
        place = Place(self.agreement, self.name, vendor, service)
        if self.kind == "heartbeat":
            return HeartbeatBook(place, Timetable(cast(Editions[HeartbeatRules], self.editions), vendor, service))
        timetable = Timetable(cast(Editions[LevelRules], self.editions), vendor, service)
        opened = RollingBook if self.key[3] == "rolling" else WindowBook
        return opened(place, timetable, is_availability=self.kind == "availability")


def promise_of(promises: dict[Key, Promise], agreement: Agreement, objective: AnyObjective) -> Promise:
    """The promise that an objective is a version of."""
    kind = str(type(objective).__struct_config__.tag)
    rolls = isinstance(objective, Level) and objective.window.kind == "rolling"
    key = (agreement.name, objective.name, kind, "rolling" if rolls else "")
    return promises.setdefault(key, Promise(key))


def _rules_of(
    agreement: Agreement, objective: AnyObjective, calendars: dict[str, Calendar], unknown: Unknown
) -> DeadlineRules | ViolationRules | HeartbeatRules | LevelRules:
    match objective:
        case Deadline():
            return DeadlineRules(agreement, objective, calendars, unknown)
        case Violation():
            return ViolationRules(agreement, objective, calendars, unknown)
        case Heartbeat():
            return HeartbeatRules(agreement, objective, calendars, unknown)
        case _:
            return LevelRules(agreement, objective, calendars, unknown)
