"""A deadline objective of one agreement version, compiled: which event does what, which target applies, which version is in force."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from fractions import Fraction
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from shared.sla.calendars import Calendar, Zone, civil_days_later, extends
from shared.sla.conditions import compile_condition, compile_path, equality
from shared.sla.evidence import Evidence
from shared.sla.instants import FOREVER, BadInstant, instant_or, parse_instant
from shared.sla.terms import Agreement, Bundle, Deadline, Objective, Target, Trigger, Warn

Data = dict[str, Any]
AnyKind = TypeVar("AnyKind", bound=Objective)


class Role(IntEnum):
    """What an event does to a clock, in the order that counts at the same instant (semantics.md, "Cases and evidence")."""

    START = 0
    CHANGE = 1
    PAUSE = 2
    RESUME = 3
    RESET = 4
    STOP = 5
    REOPEN = 6
    CANCEL = 7


Question = Callable[[Evidence, Data], bool | None]  # asked of an event and its case's data; None: unknown
Finder = Callable[[Evidence, Data], Any]
_UNASKED: Data = {}


class Unknown:
    """Counts events of which a condition of one objective could not tell: each once, when it is first folded.

    Called where an answer is unknown, and only there: what can be told costs nothing.
    """

    __slots__ = ("_again", "_last", "_new", "count")

    def __init__(self) -> None:
        self.count = 0
        self._last: Evidence | None = None  # the last one counted
        self._again = False  # evidence is being folded again
        self._new: Evidence | None = None  # but for this

    def __call__(self, event: Evidence) -> None:
        """It could not be told of this event."""
        if event is not self._last and (not self._again or event is self._new):
            self._last = event
            self.count += 1

    @contextmanager
    def again(self, new: Evidence | None) -> Iterator[None]:
        """While evidence is folded again: of that only `new` counts, which was not folded before."""
        self._again, self._new = True, new
        try:
            yield
        finally:
            self._again, self._new = False, None


def question(text: str, unknown: Callable[[Evidence], None]) -> Question:
    """A condition, as it is asked of evidence. The attributes are made only for one that may name them. Raises ConditionError.

    `unknown` is told of events of which it cannot tell.
    """
    condition, asks_event = compile_condition(text), "event" in text

    def ask_event(event: Evidence, data: Data) -> bool | None:
        answer = condition(event.attributes, data)
        if answer is None:
            unknown(event)
        return answer

    def ask(event: Evidence, data: Data) -> bool | None:
        answer = condition(_UNASKED, data)
        if answer is None:
            unknown(event)
        return answer

    return ask_event if asks_event else ask


def finder(text: str) -> Finder:
    """A path, as it is followed in evidence. Raises ConditionError."""
    path = compile_path(text)
    if text.startswith("event"):
        return lambda event, data: path(event.attributes, data)
    return lambda _, data: path(_UNASKED, data)


NO_ROLE = Role.CHANGE  # an event that only brings data counts, at its instant, where a change would


class Act(IntEnum):
    """What an event does to a clock that is plain (see `plain`)."""

    START = 0
    PAUSE = 1
    RESUME = 2
    STOP = 3
    UNFOLD = 4  # something that is beyond a plain clock


_PLAIN: dict[Role, Act] = {Role.START: Act.START, Role.PAUSE: Act.PAUSE, Role.RESUME: Act.RESUME, Role.STOP: Act.STOP}


class CompiledTrigger:
    """A trigger that can be asked."""

    __slots__ = ("by", "when")

    def __init__(self, trigger: Trigger, unknown: Unknown) -> None:
        self.by = None if trigger.by == "any" else trigger.by
        self.when: Question | None = None if trigger.when is None else question(trigger.when, unknown)

    def fires(self, event: Evidence, data: Data) -> bool:
        """Whether an event of its type does the thing. An unknown condition: no."""
        if self.by is not None and event.role != self.by:
            return False
        return self.when is None or self.when(event, data) is True


class Choice(NamedTuple):
    """The target that applies: which one, and the instant it names if it is an `until`."""

    target: "CompiledTarget"
    until: int | None


class CompiledTarget:
    """One entry of `targets`."""

    def __init__(
        self, index: int, target: Target, calendar: Calendar, zone: Zone, text_zone: Callable[[str], int], unknown: Unknown
    ) -> None:
        self.index, self.calendar, self.pausable, self.within = index, calendar, target.pausable, target.within
        self.when: Question | None = None if target.when is None else question(target.when, unknown)
        self.until = None if target.until is None else finder(target.until)
        self.choice = Choice(self, None)  # what is chosen where the target is no instant
        steady = target.within is not None and target.within.unit == "ms"
        self.steady = target.within.amount if target.within is not None and steady else None  # working time that no start changes
        self._zone, self._parse = zone, text_zone

    def choose(self, event: Evidence, data: Data) -> Choice | None:
        """This target, whose condition holds; None where its instant is missing."""
        if self.until is None:
            return self.choice
        text = self.until(event, data)
        if not isinstance(text, str):
            return None
        try:
            return Choice(self, self._parse(text))
        except BadInstant:
            return None  # as good as missing: the case is listed as skipped

    def budget(self, start: int) -> int | None:
        """The target in working time, for a clock that starts there; None where the calendar never has that much, or for `until`."""
        within, calendar = self.within, self.calendar
        if within is None:
            return None
        if within.unit == "ms":
            return within.amount
        if within.unit == "cd":
            end: int | None = civil_days_later(self._zone, start, within.amount)
        elif within.same_time:
            end = calendar.same_time(start, within.amount)
        else:
            end = calendar.close_of_business(start, within.amount)
        return None if end is None else calendar.worked(start, end)


class CompiledWarn:
    """One entry of `warn_at`."""

    __slots__ = ("label", "lead", "share")

    def __init__(self, warn: Warn) -> None:
        self.label, self.lead = warn.label, warn.lead
        self.share = None if warn.share is None else Fraction(warn.share)

    def threshold(self, target: int) -> int:
        """How much of the target is used when it warns; not positive where it cannot."""
        if self.share is not None:
            return self.share.numerator * target // self.share.denominator
        return target - (self.lead or 0)


class DeadlineRules:
    """A deadline objective under one version of its agreement."""

    def __init__(self, agreement: Agreement, objective: Deadline, calendars: dict[str, Calendar], unknown: Unknown) -> None:
        self.agreement, self.objective = agreement, objective
        self.version, self.grace, self.severity = agreement.version, agreement.grace, objective.severity
        self.reads_case = True
        self.calendar = calendars[objective.calendar]
        self.next_open = objective.boundary == "next_open"
        zone = calendars["24x7"].zone
        self.targets = tuple(
            CompiledTarget(i, target, calendars[target.calendar], zone, lambda text: _instant_in(zone, text), unknown)
            for i, target in enumerate(objective.targets)
        )
        self.table, self._unknown = _table_of(objective.targets, self.targets), unknown
        self.when: Question | None = None if objective.when is None else question(objective.when, unknown)
        self.pause_while: Question | None = None if objective.pause.while_ is None else question(objective.pause.while_, unknown)
        self.pause_reason = None if objective.pause.reason is None else finder(objective.pause.reason)
        self.warnings = tuple(CompiledWarn(warn) for warn in objective.warn_at)
        self.roles: dict[str, tuple[tuple[Role, CompiledTrigger], ...]] = {}
        o = objective
        triggers = zip(Role, (o.start, o.change, o.pause, o.resume, o.reset, o.stop, o.reopen, o.cancel), strict=True)
        for role, trigger in triggers:
            compiled = CompiledTrigger(trigger, unknown)
            for event_type in trigger.on:
                self.roles[event_type] = (*self.roles.get(event_type, ()), (role, compiled))
        self.types = frozenset(self.roles)
        self.acts: dict[str, Act] = {}
        self.asked: dict[str, tuple[CompiledTrigger, Act]] = {}  # of those that say UNFOLD: what is asked, and the act where it holds
        for event_type, does in self.roles.items():
            first, act = does[0][1], self._act(does)
            asks = first.when is not None or first.by is not None
            self.acts[event_type] = Act.UNFOLD if asks else act
            if asks and act is not Act.UNFOLD:
                self.asked[event_type] = first, act

    def _act(self, does: tuple[tuple[Role, CompiledTrigger], ...]) -> Act:
        """What an event that does this does to a plain clock, if its trigger fires."""
        role, o = does[0][0], self.objective
        beyond = (role is Role.PAUSE and o.pause.at_most is not None) or (role is Role.STOP and o.stop.take == "last")
        return Act.UNFOLD if len(does) > 1 or beyond else _PLAIN.get(role, Act.UNFOLD)

    def rank(self, event: Evidence) -> Role:
        """Its place among events of the same instant: that of the first thing it does, as its own data tell."""
        return next((role for role, trigger in self.roles.get(event.type, ()) if trigger.fires(event, event.data)), NO_ROLE)

    def choose(self, event: Evidence, data: Data) -> Choice | None:
        """The first target that matches; None: no clock runs (`skipped`)."""
        if self.table is not None:
            field, by_value, otherwise = self.table
            value = data.get(field)
            found = by_value.get(value, otherwise) if value.__class__ is str else otherwise
            if value is None:
                self._unknown(event)
            return None if found is None else found.choose(event, data)
        for target in self.targets:
            if target.when is not None and target.when(event, data) is not True:
                continue
            return target.choose(event, data)
        return None


def _table_of(targets: Sequence[Target], compiled: Sequence[CompiledTarget]) -> "Table | None":
    """The targets as a table, where their conditions only ask what one field of the data equals."""
    by_value: dict[str, CompiledTarget] = {}
    fields: set[str] = set()
    for target, ready in zip(targets, compiled, strict=True):
        if target.when is None:
            return (fields.pop(), by_value, ready) if len(fields) == 1 else None
        asked = equality(target.when)
        if asked is None:
            return None
        fields.add(asked[0])
        by_value.setdefault(asked[1], ready)
    return (fields.pop(), by_value, None) if len(fields) == 1 else None


Table = tuple[str, dict[str, CompiledTarget], CompiledTarget | None]  # field, target by its value, and that for any other


def _instant_in(zone: Zone, text: str) -> int:
    """An instant that data carry; without an offset it is wall time of the agreement's zone."""
    try:
        return parse_instant(text)
    except BadInstant:
        return zone.to_instant(parse_instant(text + "Z"))


class Ruling(Protocol):
    """The rules of an objective under one version of its agreement."""

    @property
    def version(self) -> int: ...

    @property
    def types(self) -> frozenset[str]:
        """The types of the events that it speaks of: all others do nothing by themselves, but tell more of their case."""

    @property
    def reads_case(self) -> bool:
        """Whether the case's merged data matter, and so the order of its evidence."""
        ...


class ObjectiveRules(Generic[AnyKind]):
    """What the rules of all kinds but deadlines share."""

    def __init__(self, agreement: Agreement, objective: AnyKind, calendars: dict[str, Calendar], unknown: Unknown) -> None:
        self.agreement, self.objective = agreement, objective
        self.version, self.grace, self.horizon = agreement.version, agreement.grace, agreement.horizon
        self.types = frozenset[str]()
        self.reads_case = True
        self.calendar, self.zone = calendars[objective.calendar], calendars["24x7"].zone
        self.when: Question | None = None if objective.when is None else question(objective.when, unknown)

    def holds(self, trigger: "CompiledTrigger", event: Evidence, data: Data) -> bool:
        """Whether an event does the thing, in a case for which the objective holds. An unknown condition: no."""
        return trigger.fires(event, data) and (self.when is None or self.when(event, data) is True)


class Ruled(Ruling, Protocol):
    """Rules that know the objective they are of."""

    @property
    def objective(self) -> Objective: ...


R_co = TypeVar("R_co", bound=Ruling, covariant=True)
R = TypeVar("R", bound=Ruling)


class Edition(NamedTuple, Generic[R_co]):
    """One version of an agreement's objective, and from which activation on it is known (0: since ever)."""

    ordinal: int
    effective_from: int | None
    effective_to: int | None
    rules: R_co
    agreement: Agreement
    activated: int | None = None  # the arrival of its activation

    @property
    def version(self) -> int:
        """Its number."""
        return self.agreement.version

    def concerns(self, vendor: str, service: str) -> bool:
        """Whether the version is for them."""
        vendors, services = self.agreement.vendor, self.agreement.service
        return (vendor in vendors or "*" in vendors) and (service in services or "*" in services)


class Absence(NamedTuple):
    """A version of the agreement that does not speak of the objective: while it is the one in force, nothing of it begins."""

    ordinal: int
    effective_from: int | None
    effective_to: int | None
    version: int
    activated: int | None = None  # the arrival of its activation


class Move(NamedTuple, Generic[R_co]):
    """`apply_to: open`: from `instant` on, open clocks of lower versions go on under this edition."""

    instant: int
    edition: Edition[R_co]


class Editions(Generic[R]):
    """The versions of one objective, in order of activation."""

    def __init__(self) -> None:
        self._versions: list[Edition[R] | Absence] = []  # the highest comes first; of one version, what was added last
        self._editions: list[Edition[R]] = []  # those of them that speak of the objective, in order of versions
        self._rulings: list[tuple[int, int, Edition[R] | Absence]] = []  # (from, to) of windows that a version rules, likewise
        self.replaced: list[R] = []  # what began under them may hold them yet, and a checkpoint finds them here
        self.types = frozenset[str]()  # of the events that any version speaks of
        self.reads_case = False  # whether any version does
        self._first_known = FOREVER  # the lowest ordinal of any
        self.moves: list[Move[R]] = []  # in order of time
        self.size = 0  # counts up with every addition
        self.unknown = Unknown()  # over all versions

    def __iter__(self) -> Iterator[Edition[R]]:
        return iter(self._editions)

    def add(self, ordinal: int, agreement: Agreement, rules: R, activated: int | None = None) -> None:
        """Put a version in the books, known to what is folded from activation `ordinal` on, which arrived at `activated`."""
        replaced = [e for e in self._editions if e.version == agreement.version and e.ordinal >= ordinal]
        self.replaced += [e.rules for e in replaced]
        self._versions = [e for e in self._versions if e not in replaced]
        self._put(Edition(ordinal, agreement.effective_from, agreement.effective_to, rules, agreement, activated))
        self.types |= rules.types
        self.reads_case = any(e.rules.reads_case for e in self._editions)
        self._first_known = min(e.ordinal for e in self._editions)
        opening = [(self.begins(e), e) for e in self._editions if e.agreement.apply_to == "open"]
        self.moves = sorted([Move(begin, e) for begin, e in opening if begin is not None], key=lambda move: move.instant)

    def add_absence(self, ordinal: int, agreement: Agreement, activated: int | None = None) -> None:
        """Likewise a version that does not speak of the objective."""
        self._put(Absence(ordinal, agreement.effective_from, agreement.effective_to, agreement.version, activated))

    def _put(self, added: Edition[R] | Absence) -> None:
        self._versions = sorted([added, *self._versions], key=lambda e: -e.version)
        self._editions = [e for e in reversed(self._versions) if isinstance(e, Edition)]
        self._rulings = [(instant_or(self.begins(e), -FOREVER), instant_or(e.effective_to, FOREVER), e) for e in self._versions]
        self.size += 1

    def in_force(self, event: Evidence) -> R | None:
        """The highest version in force when an event happened, of those known when it was folded; None too if it is for others, or
        does not speak of the objective.
        """
        instant, known = event.time, event.known
        for version in self._versions:
            ordinal, start, end = version[:3]
            if ordinal <= known and (start is None or start <= instant) and (end is None or instant < end):
                return _rules_for(version, event.vendor, event.service)
        return None

    def begins(self, version: Edition[R] | Absence) -> int | None:
        """From when on a version rules windows: its effective.from, or its activation if others were known before; None: since ever."""
        start = version.effective_from
        if version.activated is None or all(other.ordinal >= version.ordinal for other in self._editions):
            return start
        return version.activated if start is None else max(start, version.activated)

    def ruling(self, instant: int, vendor: str, service: str) -> R | None:
        """The highest version that rules windows which begin at an instant; None too if it is for others, or does not speak of them."""
        for start, end, version in self._rulings:
            if start <= instant < end:
                return _rules_for(version, vendor, service)
        return None

    def edges(self) -> set[int]:
        """The instants at which another version may begin to rule windows, or none."""
        return {edge for start, end, _ in self._rulings for edge in (start, end) if -FOREVER < edge < FOREVER}

    def plainly_until(self, edition: Edition[R]) -> int:
        """Where a version ceases to rule what starts, be it that a higher one does not speak of the objective; FOREVER: nowhere."""
        higher = self._versions[: self._versions.index(edition)]
        ends = [instant_or(e.effective_from, -FOREVER) for e in higher if isinstance(e, Absence)]
        return min([instant_or(edition.effective_to, FOREVER), *ends])

    def knows(self, known: int) -> bool:
        """Whether any version was known to what was folded when activation `known` was the last."""
        return self._first_known <= known

    def newest_edition(self) -> Edition[R]:
        """The highest version, and from when on it is known."""
        return self._editions[-1]

    def newest(self) -> R:
        """The rules of the highest version."""
        return self.newest_edition().rules


def _rules_for(version: Edition[R] | Absence, vendor: str, service: str) -> R | None:
    return version.rules if isinstance(version, Edition) and version.concerns(vendor, service) else None


def carries_on(later: Bundle, earlier: Bundle) -> bool:
    """Whether the same words are activated again with the same calendars, but that the holidays of later years are known."""
    if later.agreement != earlier.agreement or later.calendars.keys() != earlier.calendars.keys():
        return False
    others = [name for name, table in later.calendars.items() if table != earlier.calendars[name]]
    return bool(others) and all(extends(later.calendars[name], earlier.calendars[name]) for name in others)


def calendars_of(bundle: Bundle) -> dict[str, Calendar]:
    """The calendars of an activation, ready for arithmetic."""
    return {name: Calendar(table) for name, table in bundle.calendars.items()}


def in_order(events: Sequence[Evidence], rank: Callable[[Evidence], Role]) -> list[Evidence]:
    """Evidence in the order of semantics.md: by time; at one instant by `sequence` or by what it does; then by (source, id)."""
    ordered = sorted(events, key=lambda event: event.time)
    result: list[Evidence] = []
    first = 0
    for i in range(1, len(ordered) + 1):
        if i == len(ordered) or ordered[i].time != ordered[first].time:
            group = ordered[first:i]
            result.extend(group if len(group) == 1 else _of_one_instant(group, rank))
            first = i
    return result


def _of_one_instant(group: list[Evidence], rank: Callable[[Evidence], Role]) -> list[Evidence]:
    if all(event.sequence is not None for event in group) and len({event.source for event in group}) == 1:
        return sorted(group, key=lambda event: (_sequence(event.sequence or ""), event.id))
    return sorted(group, key=lambda event: (rank(event), event.source, event.id))


def _sequence(text: str) -> tuple[int, int, str]:
    """Whole numbers by value, before other texts by letter."""
    return (0, int(text), "") if text.isascii() and text.isdigit() else (1, 0, text)
